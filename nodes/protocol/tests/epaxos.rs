//! "There Is More Consensus in Egalitarian Parliaments" and what the variant's header promises: small, by hand.
//!
//! Messages wait until a test delivers them; a disk is as fast as a step, unless a test stalls it.

use std::collections::BTreeMap;
use std::time::Duration;
use tribunal_protocol::machine::Value as Held;
use tribunal_protocol::replication::Ballot;
use tribunal_protocol::variants::cost::Asked;
use tribunal_protocol::variants::epaxos::{
    EPaxos, Instance, Message, Payload, Record, VARIANT, Vote,
};
use tribunal_protocol::*;

/// A message under way.
type Letter = (NodeId, NodeId, Message);

struct Replica {
    core: EPaxos,
    /// What was appended and is not durable.
    written: Vec<Record>,
    held: Vec<Effect<Message>>,
    disk: Vec<(Position, Record)>,
    snapshot: Option<Snapshot>,
    incarnation: u64,
    stalled: bool,
}

struct Stage {
    now: Time,
    limits: Limits,
    replicas: Vec<Replica>,
    letters: Vec<Letter>,
    replies: BTreeMap<(NodeId, RequestId), Reply>,
    requests: u64,
    /// Messages sent, and batches written.
    sent: u64,
    syncs: u64,
}

fn node(number: u32) -> NodeId {
    NodeId(number)
}

fn instance(owner: u32, number: u64) -> Instance {
    Instance { row: owner - 1, number }
}

impl Stage {
    fn new(nodes: u32) -> Self {
        Self::with(nodes, Limits::default())
    }

    fn with(nodes: u32, limits: Limits) -> Self {
        let mut stage = Self {
            now: Time(1),
            limits,
            replicas: Vec::new(),
            letters: Vec::new(),
            replies: BTreeMap::new(),
            requests: 0,
            sent: 0,
            syncs: 0,
        };
        for number in 1..=nodes {
            let config = stage.config(number, nodes, 1);
            let core = start(config, stage.now, None, Vec::new());
            stage.replicas.push(Replica {
                core,
                written: Vec::new(),
                held: Vec::new(),
                disk: Vec::new(),
                snapshot: None,
                incarnation: 1,
                stalled: false,
            });
        }
        stage
    }

    fn config(&self, number: u32, nodes: u32, incarnation: u64) -> Config {
        Config {
            node: node(number),
            members: (1..=nodes).map(NodeId).collect(),
            incarnation,
            seed: u64::from(number) + 100 * incarnation,
            timing: Timing::default(),
            limits: self.limits,
            options: BTreeMap::new(),
        }
    }

    fn step(&mut self, number: u32, input: Input<Message>) {
        let now = self.now;
        let replica = &mut self.replicas[number as usize - 1];
        let mut out = Output::default();
        replica.core.step(now, input, &mut out);
        replica.written.append(&mut out.records);
        replica.held.append(&mut out.when_durable);
        let mut leaves = out.at_once;
        if let Some(saved) = out.snapshot {
            replica.snapshot = Some(saved.snapshot);
        }
        let flushed = !replica.stalled && !replica.written.is_empty();
        if !replica.stalled {
            leaves.append(&mut replica.held);
            for record in replica.written.drain(..) {
                let position = Position(replica.disk.len() as u64);
                replica.disk.push((position, record));
            }
        }
        let persisted = Position(replica.disk.len() as u64);
        self.syncs += u64::from(flushed);
        for effect in leaves {
            self.leave(number, effect);
        }
        if flushed {
            self.step(number, Input::Persisted(persisted));
        }
    }

    fn leave(&mut self, number: u32, effect: Effect<Message>) {
        let all = u32::try_from(self.replicas.len()).expect("few");
        match effect {
            Effect::Reply(id, reply) => drop(self.replies.insert((node(number), id), reply)),
            Effect::Send(Destination::Node(to), message) => {
                self.sent += 1;
                self.letters.push((node(number), to, message));
            }
            Effect::Send(Destination::Peers, message) => {
                for to in (1..=all).filter(|to| *to != number) {
                    self.sent += 1;
                    self.letters.push((node(number), node(to), message.clone()));
                }
            }
        }
    }

    /// Delivers every message that `pick` picks, also those that follow, until there is none.
    fn deliver(&mut self, pick: impl Fn(u32, u32, &Message) -> bool) {
        while let Some(at) =
            self.letters.iter().position(|(from, to, message)| pick(from.0, to.0, message))
        {
            let (from, to, message) = self.letters.remove(at);
            self.step(to.0, Input::Message(from, message));
        }
    }

    fn deliver_all(&mut self) {
        self.deliver(|_, _, _| true);
    }

    fn count(&self, kind: &str) -> usize {
        self.letters.iter().filter(|(.., message)| core::Message::kind(message) == kind).count()
    }

    fn ask(&mut self, number: u32, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.step(number, Input::Request(id, request));
        id
    }

    fn reply(&self, number: u32, id: RequestId) -> Option<&Reply> {
        self.replies.get(&(node(number), id))
    }

    /// Opens a session, everywhere.
    fn open(&mut self, nonce: u64) -> SessionId {
        let id = self.ask(1, Request::OpenSession { nonce });
        self.deliver_all();
        match self.reply(1, id) {
            Some(Reply::Session(session)) => *session,
            other => panic!("{other:?}"),
        }
    }

    /// Lets the time pass and wakes `up`.
    fn pass(&mut self, duration: Duration, up: &[u32]) {
        let until = self.now.after(duration);
        while self.now < until {
            self.now = self.now.after(Timing::default().heartbeat);
            up.iter().for_each(|number| self.step(*number, Input::Wake));
            self.letters.retain(|(.., message)| !matches!(message, Message::Status { .. }));
        }
    }

    /// The node starts again from what its disk holds, and whatever it had sent is lost.
    fn restart(&mut self, number: u32) {
        let nodes = u32::try_from(self.replicas.len()).expect("few");
        self.letters.retain(|(from, ..)| from.0 != number);
        let incarnation = self.replicas[number as usize - 1].incarnation + 1;
        let config = self.config(number, nodes, incarnation);
        let replica = &mut self.replicas[number as usize - 1];
        replica.written.clear();
        replica.held.clear();
        replica.stalled = false;
        replica.incarnation = incarnation;
        let (snapshot, records) = (replica.snapshot.clone(), replica.disk.clone());
        replica.core = start(config, self.now, snapshot, records);
    }

    fn vote(&self, number: u32, at: Instance) -> Vote {
        let core = &self.replicas[number as usize - 1].core;
        core.entry(at).map(|entry| entry.vote.clone()).unwrap_or_default()
    }

    fn decision(&self, number: u32, at: Instance) -> (Payload, Vec<u64>) {
        match self.vote(number, at) {
            Vote::Committed { payload, deps } => {
                (payload, deps.rows().map(|(_, number)| number).collect())
            }
            other => panic!("{at} is not decided at {number}: {other:?}"),
        }
    }

    fn digests(&self) -> Vec<Option<u64>> {
        self.replicas.iter().map(|replica| replica.core.state_digest()).collect()
    }
}

fn start(
    config: Config,
    now: Time,
    snapshot: Option<Snapshot>,
    records: Vec<(Position, Record)>,
) -> EPaxos {
    let mut out = Output::default();
    EPaxos::recover(config, now, snapshot, records.into_iter(), &mut out).expect("undamaged")
}

fn command(session: SessionId, sequence: u64, operation: Operation) -> Request {
    let operations = vec![operation];
    Request::Execute(Command { session, sequence, watermark: 1, operations })
}

fn write(session: SessionId, sequence: u64, key: &str, value: i64) -> Request {
    command(session, sequence, Operation::Write(key.into(), Held::Int(value)))
}

fn read(session: SessionId, sequence: u64, key: &str) -> Request {
    command(session, sequence, Operation::Read(key.into()))
}

fn is_ok(reply: Option<&Reply>) -> bool {
    matches!(reply, Some(Reply::Results(_)))
}

fn to(number: u32) -> impl Fn(u32, u32, &Message) -> bool {
    move |_, to, _| to == number
}

/// Section 4.3.1: without interference a command commits after one round trip to a fast quorum, at any replica.
#[test]
fn a_command_alone_takes_the_fast_path() {
    for nodes in 1..=7 {
        let mut stage = Stage::new(nodes);
        let session = stage.open(1);
        let id = stage.ask(nodes, write(session, 1, "x", 1));
        assert_eq!(stage.count("pre-accept"), nodes as usize - 1);
        stage.deliver(|_, _, message| matches!(message, Message::PreAccept { .. }));
        assert_eq!(stage.count("pre-accept-ok"), nodes as usize - 1);
        stage.deliver(|_, _, message| matches!(message, Message::PreAcceptOk { .. }));
        assert!(is_ok(stage.reply(nodes, id)), "{nodes} nodes");
        assert_eq!((stage.count("accept"), stage.count("commit")), (0, nodes as usize - 1));
    }
}

/// The formulas of the registry, counted.
#[test]
fn an_operation_costs_what_the_registry_says() {
    for nodes in 1..=7u32 {
        for cost in VARIANT.costs {
            let mut stage = Stage::new(nodes);
            let session = stage.open(1);
            (stage.sent, stage.syncs) = (0, 0);
            let request = match cost.asked {
                Asked::Write => write(session, 1, "x", 1),
                Asked::Read => read(session, 1, "x"),
            };
            let id = stage.ask(nodes, request);
            stage.deliver_all();
            assert!(is_ok(stage.reply(nodes, id)));
            let expected = ((cost.messages.of)(nodes.into()), (cost.syncs.of)(nodes.into()));
            assert_eq!((stage.sent, stage.syncs), expected, "{nodes} nodes");
        }
    }
}

/// Section 4.3: all but one of the nodes are the fast quorum; a silent one costs nothing, a second one costs the slow path.
#[test]
fn the_fast_path_needs_all_but_one() {
    let mut stage = Stage::new(5);
    let session = stage.open(1);
    let id = stage.ask(1, write(session, 1, "x", 1));
    stage.deliver(|_, to, message| {
        (to != 4 && to != 5) && !matches!(message, Message::Status { .. })
    });
    assert_eq!(
        (stage.reply(1, id), stage.count("accept")),
        (None, 0),
        "it waits for the fast path"
    );
    stage.deliver(|from, to, _| to == 4 || from == 4);
    assert!(is_ok(stage.reply(1, id)));
    assert_eq!(stage.count("accept"), 0);

    let id = stage.ask(1, write(session, 2, "x", 1));
    stage.deliver(|_, to, _| to <= 3);
    stage.pass(Duration::from_millis(110), &[1]);
    stage.deliver(|_, to, _| to <= 3);
    assert!(is_ok(stage.reply(1, id)), "a majority is enough for the slow path");
}

/// Section 4.3.1: replicas that know interfering commands add them, and the union of a majority is accepted (Paxos-Accept).
#[test]
fn interfering_commands_at_once_depend_on_each_other_and_are_executed_alike() {
    let mut stage = Stage::new(3);
    let (a, b) = (stage.open(1), stage.open(2));
    let (one, two) = (stage.ask(1, write(a, 1, "x", 1)), stage.ask(2, write(b, 1, "x", 2)));
    stage.deliver_all();
    assert!(is_ok(stage.reply(1, one)) && is_ok(stage.reply(2, two)));
    let ((_, first), (_, second)) =
        (stage.decision(3, instance(1, 3)), stage.decision(3, instance(2, 1)));
    assert!(first[1] == 1 || second[0] == 3, "{first:?} {second:?}");
    let id = stage.ask(3, read(a, 2, "x"));
    stage.deliver_all();
    let seen = stage.reply(3, id).cloned();
    let held = |number| Some(Reply::Results(vec![Held::Int(number)]));
    assert!(seen == held(1) || seen == held(2), "{seen:?}");
    let digests = stage.digests();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

/// Section 3: commands that do not interfere commute. Executed in different orders, they leave equal states, sessions
/// included.
#[test]
fn commands_that_do_not_interfere_take_no_notice_of_each_other() {
    let mut stage = Stage::new(3);
    let (a, b) = (stage.open(1), stage.open(2));
    stage.ask(1, write(a, 1, "x", 1));
    stage.ask(2, write(b, 1, "y", 2));
    stage.deliver(|from, to, _| (from, to) != (2, 1) && (from, to) != (1, 2));
    stage.deliver_all();
    assert_eq!(stage.decision(3, instance(1, 3)).1, [2, 0, 0]);
    assert_eq!(stage.decision(3, instance(2, 1)).1, [2, 0, 0], "after the sessions only");
    let digests = stage.digests();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

/// Section 4.3.3, Explicit Prepare, case of no reply that knows the command: "it finalizes a no-op". Here the requests of
/// the owner, which lives, are proposed again.
#[test]
fn what_nobody_knows_becomes_a_no_op_and_is_proposed_again() {
    let mut stage = Stage::new(3);
    let (a, b) = (stage.open(1), stage.open(2));
    stage.ask(1, write(a, 1, "x", 1));
    let lost = stage.ask(1, write(a, 2, "x", 2));
    // Only the second of row 1 becomes known to node 2, so it has to learn of the first.
    let second = |_: u32, _: u32, message: &Message| matches!(message, Message::PreAccept { instance, .. } if instance.number == 4);
    stage.deliver(|from, to, message| to == 2 && second(from, to, message));
    stage.letters.clear();
    stage.ask(2, write(b, 1, "x", 3));
    stage.letters.clear();
    stage.pass(Duration::from_millis(1300), &[2]);
    stage.deliver(|from, to, _| from != 1 && to != 1);
    stage.pass(Duration::from_millis(60), &[2]);
    stage.deliver(|from, to, _| from != 1 && to != 1);
    assert_eq!(stage.decision(3, instance(1, 3)).0, Payload::NoOp);
    assert!(matches!(stage.decision(3, instance(1, 4)).0, Payload::Requests(_)));
    assert!(stage.reply(1, lost).is_none());
    stage.pass(Duration::from_millis(400), &[1, 2, 3]);
    stage.deliver_all();
    stage.pass(Duration::from_millis(400), &[1, 2, 3]);
    stage.deliver_all();
    assert!(is_ok(stage.reply(1, lost)));
}

/// A fast decision that only its owner knows, which is gone: the others find it by counting (rule 2).
#[test]
fn a_fast_decision_survives_its_owner() {
    for nodes in [3, 4, 5] {
        let mut stage = Stage::new(nodes);
        let session = stage.open(1);
        let id = stage.ask(nodes, write(session, 1, "x", 1));
        stage.deliver(|from, to, _| from != 2 && to != 2 || nodes == 3);
        assert!(is_ok(stage.reply(nodes, id)), "{nodes} nodes");
        let decided = stage.decision(nodes, instance(nodes, 1));
        // Its commit reached nobody: everybody forgets all but the votes.
        stage.letters.clear();
        let up: Vec<u32> = (1..nodes).collect();
        up.iter().for_each(|number| stage.restart(*number));
        assert!(!stage.vote(1, instance(nodes, 1)).is_committed(), "commits are written lazily");
        stage.pass(Duration::from_millis(700), &up);
        stage.deliver(|from, to, _| from != nodes && to != nodes);
        assert_eq!(stage.decision(1, instance(nodes, 1)), decided, "{nodes} nodes");
    }
}

/// Sutra (2019), BUGS 9: an acceptor tells in which ballot it has accepted, not what it has promised since.
#[test]
fn two_ballots_are_kept() {
    let mut stage = Stage::new(3);
    let at = instance(1, 1);
    let deps = tribunal_protocol::variants::epaxos::Deps::none(3);
    let ballot = |round: u64, number: u32| Ballot { round: round << 24, node: node(number) };
    let accept =
        Message::Accept { instance: at, ballot: ballot(1, 2), payload: Payload::NoOp, deps };
    stage.step(3, Input::Message(node(2), accept));
    for round in 2..4 {
        stage.letters.clear();
        let prepare = Message::Prepare { instance: at, ballot: ballot(round, 1) };
        stage.step(3, Input::Message(node(1), prepare));
        let [(_, _, Message::PrepareOk { vote: Vote::Accepted { ballot: held, .. }, .. })] =
            &stage.letters[..]
        else {
            panic!("{:?}", stage.letters)
        };
        assert_eq!(*held, ballot(1, 2));
        stage.restart(3);
    }
}

/// BUGS 5: what was answered is durable; and an owner never uses a number twice.
#[test]
fn nothing_is_said_before_it_is_durable() {
    let mut stage = Stage::new(3);
    let session = stage.open(1);
    stage.replicas[0].stalled = true;
    stage.ask(1, write(session, 1, "x", 1));
    assert_eq!(stage.count("pre-accept"), 0);
    stage.restart(1);
    stage.replicas[1].stalled = true;
    stage.ask(1, write(session, 1, "x", 1));
    assert_eq!(stage.count("pre-accept"), 2, "the number was not used");
    stage.deliver(to(2));
    assert_eq!(stage.count("pre-accept-ok"), 0);
    stage.restart(1);
    stage.ask(1, write(session, 1, "x", 1));
    let fresh = stage.letters.iter().all(|(.., message)| match message {
        Message::PreAccept { instance, .. } => instance.number == 3,
        _ => true,
    });
    assert!(fresh, "the number may have left: {:?}", stage.letters);
}

/// BUGS 30: the owner tells nobody of a fast decision before its own disk knows it.
#[test]
fn a_fast_decision_is_durable_before_it_is_told() {
    let mut stage = Stage::new(3);
    let session = stage.open(1);
    let id = stage.ask(1, write(session, 1, "x", 1));
    stage.replicas[0].stalled = true;
    stage.deliver_all();
    assert_eq!((stage.reply(1, id), stage.count("commit")), (None, 0));
    assert!(!stage.vote(2, instance(1, 2)).is_committed());
}

/// The owner is asked and has decided nothing by the fast path, so nothing binds the others (rule 3): whatever
/// interferes is found anew.
#[test]
fn recovery_keeps_every_dependency() {
    let mut stage = Stage::new(3);
    let (a, b) = (stage.open(1), stage.open(2));
    stage.ask(1, write(a, 1, "x", 1)); // 1.3, known at node 1 only
    stage.letters.clear();
    let id = stage.ask(3, write(b, 1, "x", 2)); // 3.1, decided by 2 and 3
    stage.deliver(|from, to, _| from != 1 && to != 1);
    assert!(is_ok(stage.reply(3, id)));
    stage.letters.clear();
    stage.restart(1);
    stage.pass(Duration::from_millis(700), &[1]);
    stage.deliver(|from, to, _| from != 3 && to != 3);
    let (payload, deps) = stage.decision(2, instance(1, 3));
    assert!(matches!(payload, Payload::Requests(_)));
    assert_eq!(deps[2], 1, "3.1 does not depend on 1.3");
}

/// Bounded logs: a node that has missed everything gets a peer's state, and ends with the same.
#[test]
fn who_lags_behind_a_barrier_gets_a_snapshot() {
    let limits =
        Limits { snapshot_entries: 10, keep_entries: 0, chunk_bytes: 64, ..Limits::default() };
    let mut stage = Stage::with(3, limits);
    let session = stage.open(1);
    for sequence in 1..60 {
        let key = format!("k{}", sequence % 7);
        stage.ask(1 + (sequence % 2) as u32, write(session, sequence, &key, sequence as i64));
        stage.deliver(|from, to, _| from != 3 && to != 3);
        stage.letters.clear();
    }
    assert!(stage.replicas[0].snapshot.is_some());
    assert_eq!(stage.vote(1, instance(1, 1)), Vote::Nothing, "it was dropped");
    for _ in 0..100 {
        stage.now = stage.now.after(Timing::default().heartbeat);
        (1..=3).for_each(|number| stage.step(number, Input::Wake));
        stage.deliver_all();
    }
    let digests = stage.digests();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    stage.restart(3);
    assert_eq!(stage.digests()[2], digests[0], "its own snapshot has it");
}

/// Two nodes that lag alike must not calm each other (simulator, 5 nodes, seed 5384).
#[test]
fn two_who_lag_alike_catch_up() {
    let mut stage = Stage::new(5);
    let session = stage.open(1);
    stage.ask(1, write(session, 1, "x", 1));
    stage.deliver(|from, to, _| from < 4 && to < 4);
    stage.pass(Duration::from_millis(110), &[1]);
    stage.deliver(|from, to, _| from < 4 && to < 4);
    stage.letters.clear();
    for _ in 0..20 {
        stage.now = stage.now.after(Timing::default().heartbeat);
        (1..=5).for_each(|number| stage.step(number, Input::Wake));
        stage.deliver_all();
    }
    let digests = stage.digests();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}
