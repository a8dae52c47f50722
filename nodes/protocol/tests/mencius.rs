//! What the paper on Mencius says, and what the header of the variant promises beside it, one test each.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tribunal_protocol::Value::Int;
use tribunal_protocol::core::{Destination, Effect, Message as _};
use tribunal_protocol::replication::{Ballot, Slot, Value};
use tribunal_protocol::variants::mencius::{Mencius, Message, Proposal, Record, Run};
use tribunal_protocol::{
    Command, Config, Core, Failure, Input, Limits, NodeId, Operation, Output, Position, Reply,
    Request, RequestId, SessionId, Time, Timing,
};

/// Servers whose disks are quick and whose messages wait to be delivered or lost.
struct Group {
    servers: BTreeMap<u32, Mencius>,
    records: BTreeMap<u32, Vec<Record>>,
    wire: VecDeque<(u32, u32, Message)>,
    replies: Vec<(u32, RequestId, Reply)>,
    down: Vec<u32>,
    now: Time,
}

fn config(node: u32, incarnation: u64) -> Config {
    Config {
        node: NodeId(node),
        members: [1, 2, 3].map(NodeId).to_vec(),
        incarnation,
        seed: u64::from(node),
        timing: Timing::default(),
        limits: Limits::default(),
        options: BTreeMap::new(),
    }
}

impl Group {
    fn new() -> Self {
        let mut group = Self {
            servers: BTreeMap::new(),
            records: BTreeMap::new(),
            wire: VecDeque::new(),
            replies: Vec::new(),
            down: Vec::new(),
            now: Time(0),
        };
        (1..=3).for_each(|node| group.start(node, 1));
        group
    }

    /// Starts a server from its records.
    fn start(&mut self, node: u32, incarnation: u64) {
        let held = self.records.entry(node).or_default().clone();
        let records = held.into_iter().enumerate().map(|(at, r)| (Position(at as u64), r));
        let mut out = Output::default();
        let config = config(node, incarnation);
        let server = Mencius::recover(config, self.now, None, records, &mut out);
        self.servers.insert(node, server.expect("sound records"));
        self.down.retain(|other| *other != node);
        self.carry_out(node, out);
    }

    fn crash(&mut self, node: u32) {
        self.down.push(node);
        self.wire.retain(|(from, to, _)| *from != node && *to != node);
    }

    /// Steps a server, and its disk at once.
    fn step(&mut self, node: u32, input: Input<Message>) {
        let mut out = Output::default();
        self.servers.get_mut(&node).expect("started").step(self.now, input, &mut out);
        self.carry_out(node, out);
    }

    fn carry_out(&mut self, node: u32, out: Output<Mencius>) {
        let wrote = !out.records.is_empty();
        let records = self.records.entry(node).or_default();
        records.extend(out.records);
        let durable = Position(records.len() as u64);
        for effect in out.at_once.into_iter().chain(out.when_durable) {
            match effect {
                Effect::Send(Destination::Node(to), message) => {
                    self.wire.push_back((node, to.0, message));
                }
                Effect::Send(Destination::Peers, message) => {
                    let peers = (1..=3).filter(|to| *to != node);
                    self.wire.extend(peers.map(|to| (node, to, message.clone())));
                }
                Effect::Reply(id, reply) => self.replies.push((node, id, reply)),
            }
        }
        if wrote {
            self.step(node, Input::Persisted(durable));
        }
    }

    /// Delivers what is under way between servers that are up, until nothing is.
    fn settle(&mut self) {
        self.settle_unless(|_, _, _| false);
    }

    fn settle_unless(&mut self, lost: impl Fn(u32, u32, &Message) -> bool) {
        let mut delivered = 0;
        while let Some((from, to, message)) = self.wire.pop_front() {
            delivered += 1;
            assert!(delivered < 10_000, "they never fall silent, last with {message:?}");
            if !self.down.contains(&to) && !lost(from, to, &message) {
                self.step(to, Input::Message(NodeId(from), message));
            }
        }
    }

    /// Lets time pass, heartbeat by heartbeat.
    fn wait(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while self.now < end {
            self.now = self.now.after(Timing::default().heartbeat);
            for node in (1..=3).filter(|node| !self.down.contains(node)).collect::<Vec<_>>() {
                self.step(node, Input::Wake);
            }
            self.settle();
        }
    }

    fn open(&mut self, node: u32, id: u64) {
        self.step(node, Input::Request(RequestId(id), Request::OpenSession { nonce: id }));
    }

    /// What is under way of that kind.
    fn sent(&self, kind: &str) -> Vec<&(u32, u32, Message)> {
        self.wire.iter().filter(|(_, _, message)| message.kind() == kind).collect()
    }

    /// The slots in which a server has suggestions under way.
    fn suggested(&self, by: u32) -> Vec<u64> {
        let slot = |(from, _, message): &(u32, u32, Message)| match message {
            Message::Accept { proposal, .. } if *from == by => Some(proposal.slot.0),
            _ => None,
        };
        let mut slots: Vec<_> = self.wire.iter().filter_map(slot).collect();
        slots.dedup();
        slots
    }

    fn decided(&self, at: u32, slot: u64) -> Option<usize> {
        self.servers[&at].decided(slot).map(<[Request]>::len)
    }
}

fn value(name: &str) -> Value {
    let operations = vec![Operation::Write(name.into(), Int(1))];
    let command = Command { session: SessionId(1), sequence: 1, watermark: 1, operations };
    Value::new(vec![Request::Execute(command)], name.as_bytes())
}

fn suggest(slot: u64, owner: u32, name: &str) -> Message {
    let ballot = Ballot { round: 2, node: NodeId(owner) };
    let proposal = Proposal { slot: Slot(slot), ballot, value: value(name) };
    Message::Accept { proposal, applied: Slot(0) }
}

#[test]
fn rule_1_an_owner_suggests_in_its_own_slots_in_turn() {
    let mut group = Group::new();
    (1..=2).for_each(|id| group.open(2, id));
    assert_eq!(group.suggested(2), [2, 5]);
}

#[test]
fn rule_2_a_server_skips_its_slots_below_a_suggestion_and_says_so_with_its_ack() {
    let mut group = Group::new();
    group.step(1, Input::Message(NodeId(3), suggest(6, 3, "a")));
    let acks = group.sent("ack");
    let [(1, 3, Message::Ack { slot: Slot(6), skips, .. })] = acks[..] else { panic!("{acks:?}") };
    assert_eq!(skips[..], [Run { first: Slot(1), last: Slot(4) }]);
}

#[test]
fn an_owner_that_is_busy_does_not_wait_for_idle_ones() {
    let mut group = Group::new();
    group.open(3, 7);
    group.settle();
    assert!(matches!(group.replies[..], [(3, RequestId(7), Reply::Session(_))]));
    for node in 1..=3 {
        let decided = [1, 2, 3].map(|slot| group.decided(node, slot));
        assert_eq!(decided, [Some(0), Some(0), Some(1)], "n{node}, without a heartbeat");
    }
}

#[test]
fn a_skip_is_not_said_before_it_is_durable_nor_applied() {
    let mut server =
        Mencius::recover(config(1, 1), Time(0), None, std::iter::empty(), &mut Output::default())
            .expect("an empty disk");
    let mut out = Output::default();
    server.step(Time(1), Input::Message(NodeId(2), suggest(2, 2, "a")), &mut out);
    let skips = |record: &Record| matches!(record, Record::Skipped(Slot(1), NodeId(1)));
    assert!(out.records.iter().any(skips), "{:?}", out.records);
    assert!(out.at_once.is_empty(), "{:?}", out.at_once);
    let learn = Message::Learn { decided: vec![(Slot(2), suggested_by(2))], no_ops: Vec::new() };
    server.step(Time(2), Input::Message(NodeId(2), learn), &mut Output::default());
    assert_eq!(server.applied(), Some(0));
    server.step(Time(3), Input::Persisted(Position(99)), &mut Output::default());
    assert_eq!(server.applied(), Some(2));
}

fn suggested_by(owner: u32) -> Ballot {
    Ballot { round: 2, node: NodeId(owner) }
}

#[test]
fn a_restarted_owner_goes_on_above_what_it_may_have_used() {
    let mut group = Group::new();
    group.step(1, Input::Message(NodeId(3), suggest(3, 3, "a"))); // It skips slot 1.
    group.open(1, 7); // Its suggestion in slot 4 leaves, its record is lost.
    assert_eq!(group.suggested(1), [4]);
    let own = |record: &Record| matches!(record, Record::Accepted(found) if found.slot == Slot(4));
    group.records.get_mut(&1).expect("some").retain(|record| !own(record));
    group.crash(1);
    group.start(1, 2);
    group.open(1, 8);
    let [slot] = group.suggested(1)[..] else { panic!("one suggestion") };
    assert!(slot > 4, "slot {slot} may hold another value in the same ballot");
}

#[test]
fn a_revocation_proposes_what_somebody_has_accepted() {
    let mut group = Group::new();
    group.open(1, 7);
    group.settle_unless(|_, to, _| to != 3); // Only server 3 hears of it; server 2 will revoke.
    group.crash(1);
    group.wait(Duration::from_secs(3));
    group.open(2, 8);
    group.settle();
    group.wait(Duration::from_secs(3));
    assert_eq!([group.decided(2, 1), group.decided(3, 1)], [Some(1), Some(1)]);
    assert!(matches!(group.replies[..], [(2, RequestId(8), Reply::Session(_))]));
}

#[test]
fn rule_3_the_slots_of_a_suspected_server_become_no_ops() {
    let mut group = Group::new();
    group.crash(1);
    group.wait(Duration::from_secs(1));
    group.open(2, 7);
    group.settle();
    assert!(matches!(group.replies[..], [(2, RequestId(7), Reply::Session(_))]));
    assert_eq!([group.decided(2, 1), group.decided(2, 2)], [Some(0), Some(1)]);
}

#[test]
fn optimization_3_revokes_a_block_ahead_so_that_the_next_requests_do_not_wait() {
    let mut group = Group::new();
    group.crash(1);
    group.wait(Duration::from_secs(1));
    group.open(2, 7);
    group.settle();
    group.open(3, 8);
    group.settle_unless(|_, _, message| message.kind() == "prepare");
    assert_eq!(group.replies.len(), 2, "{:?}", group.replies);
    assert_eq!([group.decided(2, 4), group.decided(3, 4)], [Some(0), Some(0)], "and the next one");
}

#[test]
fn rule_4_what_was_revoked_is_suggested_again() {
    let mut group = Group::new();
    let cut_off = |from, to, _: &Message| from == 1 || to == 1;
    group.open(1, 7);
    group.settle_unless(cut_off);
    group.crash(1); // Nobody hears it, though it lives.
    group.wait(Duration::from_secs(1));
    group.open(2, 8);
    group.settle();
    assert_eq!(group.decided(2, 1), Some(0));
    group.down.clear();
    group.wait(Duration::from_secs(2));
    let answered: Vec<_> = group.replies.iter().filter(|(node, ..)| *node == 1).collect();
    assert!(matches!(answered[..], [(1, RequestId(7), Reply::Session(_))]), "{answered:?}");
    assert_eq!(group.decided(1, 1), Some(0));
    assert_eq!(group.servers[&1].state_digest(), group.servers[&2].state_digest());
}

#[test]
fn an_acceptor_that_promised_a_revocation_refuses_the_owner() {
    let mut group = Group::new();
    let ballot = Ballot { round: 1 << 33, node: NodeId(3) };
    let prepare = Message::Prepare { owner: NodeId(1), ballot, from: Slot(1), upto: Slot(9) };
    group.step(2, Input::Message(NodeId(3), prepare));
    assert_eq!(group.sent("promise").len(), 1);
    group.step(2, Input::Message(NodeId(1), suggest(7, 1, "a")));
    assert_eq!((group.sent("refuse").len(), group.sent("ack").len()), (1, 0));
    group.step(2, Input::Message(NodeId(1), suggest(10, 1, "b")));
    assert_eq!(group.sent("ack").len(), 1, "the promise ends at slot 9");
}

#[test]
fn what_was_never_suggested_fails_for_sure() {
    let mut group = Group::new();
    group.crash(2);
    group.crash(3);
    group.wait(Duration::from_secs(1));
    group.open(1, 7);
    assert!(group.suggested(1).is_empty());
    group.wait(Duration::from_secs(5));
    assert_eq!(group.replies, [(1, RequestId(7), Reply::Failed(Failure::NoLeader))]);
}

#[test]
fn what_was_suggested_and_is_not_decided_fails_as_unknown() {
    let mut group = Group::new();
    group.open(1, 7);
    group.crash(2);
    group.crash(3);
    group.wait(Duration::from_secs(5));
    assert_eq!(group.replies, [(1, RequestId(7), Reply::Failed(Failure::Unknown))]);
}

/// Simulated seeds 2398 and 3311: each start leaves a reservation behind, and at some distance nobody suggested any more.
#[test]
fn an_owner_that_restarts_often_has_the_others_follow_to_its_slots() {
    let mut group = Group::new();
    (2..20).for_each(|incarnation| group.start(1, incarnation));
    group.open(1, 7);
    assert!(group.suggested(1).is_empty(), "too far ahead for the others");
    group.wait(Duration::from_secs(2));
    assert!(matches!(group.replies[..], [(1, RequestId(7), Reply::Session(_))]));
    assert!(group.decided(3, 1000).is_some());
}

/// Simulated seeds 20193 and 23224: who lagged asked only the server that had been furthest, which was down by then, and
/// revoked its slots, which another had applied, without a pause.
#[test]
fn a_server_that_lags_asks_who_lives_though_one_that_is_down_was_further() {
    let mut group = Group::new();
    let ahead = |applied| Message::Heartbeat {
        seen: Slot(9),
        applied: Slot(applied),
        skips: vec![Run { first: Slot(8), last: Slot(302) }], // The slots of server 2 that are not applied.
    };
    group.step(1, Input::Message(NodeId(2), ahead(9)));
    for _ in 0..20 {
        group.now = group.now.after(Timing::default().heartbeat);
        group.step(1, Input::Message(NodeId(3), ahead(6)));
        group.step(1, Input::Wake);
    }
    let asked = group.sent("catch-up");
    assert!(asked.iter().any(|(from, to, _)| (*from, *to) == (1, 3)), "{asked:?}");

    let prepares = group.sent("prepare");
    let (.., Message::Prepare { owner: NodeId(2), ballot, from, .. }) = prepares[0] else {
        panic!("{prepares:?}")
    };
    let (owner, ballot, from, accepted) = (NodeId(2), *ballot, *from, Vec::new());
    group.wire.clear();
    let promise = Message::Promise { owner, ballot, applied: Slot(6), from, accepted, more: None };
    group.step(1, Input::Message(NodeId(3), promise));
    assert_eq!(group.sent("prepare").len(), 0, "what it lacks is to be fetched");
}
