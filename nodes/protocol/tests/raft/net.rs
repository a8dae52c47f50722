//! A few Raft nodes whose messages are delivered in order when a test says so. Disks write at once unless they are stalled;
//! nobody's timer rings but by the test.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tribunal_protocol::replication::{Slot, Value};
use tribunal_protocol::variants::raft::{Entry, EntryId, Message, Payload, Record, Term};
use tribunal_protocol::*;

/// Nodes, wire and disks.
pub(crate) struct Net<C: Core<Message = Message, Record = Record>> {
    pub(crate) cores: BTreeMap<u32, C>,
    disks: BTreeMap<u32, Disk>,
    members: Vec<NodeId>,
    pub(crate) options: BTreeMap<String, String>,
    limits: Limits,
    now: Time,
    pub(crate) wire: VecDeque<(u32, u32, Message)>,
    /// Only these nodes reach each other.
    pub(crate) reachable: BTreeSet<u32>,
    /// What is lost besides.
    pub(crate) loses: fn(from: u32, to: u32, message: &Message) -> bool,
    /// Nodes whose disks do not come to an end with anything.
    pub(crate) stalled: BTreeSet<u32>,
    pub(crate) replies: BTreeMap<u64, Reply>,
    /// The digests of the values that any node took for decided, by slot.
    pub(crate) decided: BTreeMap<u64, BTreeSet<u64>>,
    /// Messages delivered, by kind.
    pub(crate) delivered: BTreeMap<&'static str, usize>,
    requests: u64,
}

#[derive(Default)]
struct Disk {
    records: Vec<Record>,
    snapshot: Option<SaveSnapshot>,
    starts: u64,
}

impl<C: Core<Message = Message, Record = Record>> Net<C> {
    /// Nodes 1 to `nodes`, with empty disks.
    pub(crate) fn new(nodes: u32, options: &[(&str, &str)], limits: Limits) -> Self {
        let logs: Vec<&[u64]> = vec![&[]; nodes as usize];
        Self::with_logs(&logs, options, limits)
    }

    /// Nodes whose logs hold entries of these terms.
    pub(crate) fn with_logs(logs: &[&[u64]], options: &[(&str, &str)], limits: Limits) -> Self {
        let all = 1..=u32::try_from(logs.len()).expect("few");
        let own = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
        let mut net = Self {
            cores: BTreeMap::new(),
            disks: BTreeMap::new(),
            members: all.clone().map(NodeId).collect(),
            options: options.iter().map(own).collect(),
            limits,
            now: Time(0),
            wire: VecDeque::new(),
            reachable: all.clone().collect(),
            loses: |_, _, _| false,
            stalled: BTreeSet::new(),
            replies: BTreeMap::new(),
            decided: BTreeMap::new(),
            delivered: BTreeMap::new(),
            requests: 0,
        };
        for (node, terms) in all.zip(logs) {
            net.disks.insert(node, Disk { records: records(terms), ..Disk::default() });
            net.restart(node);
        }
        net
    }

    /// Starts a node from its disk.
    pub(crate) fn restart(&mut self, node: u32) {
        let disk = self.disks.get_mut(&node).expect("a node");
        disk.starts += 1;
        let config = Config {
            node: NodeId(node),
            members: self.members.clone(),
            incarnation: disk.starts,
            seed: u64::from(node) * 1_000 + disk.starts,
            timing: Timing::default(),
            limits: self.limits,
            options: self.options.clone(),
        };
        let from = disk.snapshot.as_ref().map_or(0, |saved| saved.keep_from.0);
        let snapshot = disk.snapshot.as_ref().map(|saved| saved.snapshot.clone());
        let kept: Vec<_> = (0..).map(Position).zip(disk.records.iter().cloned()).collect();
        let kept = kept.into_iter().filter(move |(at, _)| at.0 >= from);
        let mut out = Output::default();
        let core = C::recover(config, self.now, snapshot, kept, &mut out).expect("undamaged");
        self.cores.insert(node, core);
        self.carry_out(node, out);
    }

    pub(crate) fn step(&mut self, node: u32, input: Input<Message>) {
        let mut out = Output::default();
        self.cores.get_mut(&node).expect("a node").step(self.now, input, &mut out);
        self.carry_out(node, out);
    }

    fn carry_out(&mut self, node: u32, mut out: Output<C>) {
        for observation in out.observations {
            if let Observation::Decided { slot, digest } = observation {
                self.decided.entry(slot).or_default().insert(digest);
            }
        }
        self.send(node, out.at_once);
        let wrote = !out.records.is_empty();
        if self.stalled.contains(&node) {
            return;
        }
        let disk = self.disks.get_mut(&node).expect("a node");
        disk.records.append(&mut out.records);
        disk.snapshot = out.snapshot.or(disk.snapshot.take());
        let position = Position(disk.records.len() as u64);
        self.send(node, out.when_durable);
        if wrote {
            self.step(node, Input::Persisted(position));
        }
    }

    fn send(&mut self, from: u32, effects: Vec<Effect<Message>>) {
        for effect in effects {
            match effect {
                Effect::Send(Destination::Node(to), message) => {
                    self.wire.push_back((from, to.0, message));
                }
                Effect::Send(Destination::Peers, message) => {
                    let peers = self.members.iter().filter(|to| to.0 != from);
                    self.wire.extend(peers.map(|to| (from, to.0, message.clone())));
                }
                Effect::Reply(id, reply) => {
                    assert!(self.replies.insert(id.0, reply).is_none(), "answered twice");
                }
            }
        }
    }

    /// Delivers until nothing is under way.
    pub(crate) fn deliver(&mut self) {
        for _ in 0..10_000 {
            let Some((from, to, message)) = self.wire.pop_front() else { return };
            let reaches = self.reachable.contains(&from) && self.reachable.contains(&to);
            if reaches && !(self.loses)(from, to, &message) {
                *self.delivered.entry(core::Message::kind(&message)).or_default() += 1;
                self.step(to, Input::Message(NodeId(from), message));
            }
        }
        panic!("messages without end");
    }

    /// Only these reach each other from now on.
    pub(crate) fn only(&mut self, nodes: &[u32]) {
        self.reachable = nodes.iter().copied().collect();
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now = self.now.after(Duration::from_millis(ms));
    }

    /// Time passes, and one node's timer rings; then everything is delivered.
    pub(crate) fn wake(&mut self, node: u32, ms: u64) {
        self.pass(ms);
        self.step(node, Input::Wake);
        self.deliver();
    }

    /// An operator asks a node; then everything is delivered. The request's number.
    pub(crate) fn admin(&mut self, node: u32, admin: Admin) -> u64 {
        self.requests += 1;
        self.step(node, Input::Admin(RequestId(self.requests), admin));
        self.deliver();
        self.requests
    }

    /// A node begins a term, by an operator's wish, and leads if it is elected.
    pub(crate) fn lead(&mut self, node: u32) {
        self.admin(node, Admin::Lead);
    }

    /// A node hears of a term.
    pub(crate) fn know(&mut self, node: u32, term: u64) {
        self.step(node, Input::Message(NodeId(node), Message::Stale { term: Term(term) }));
    }

    /// A client asks a node something that changes the state; nothing is delivered. The request's number.
    pub(crate) fn ask(&mut self, node: u32) -> u64 {
        self.requests += 1;
        let request = Request::OpenSession { nonce: self.requests };
        self.step(node, Input::Request(RequestId(self.requests), request));
        self.requests
    }

    /// A client reads at a node; nothing is delivered. The request's number.
    pub(crate) fn read(&mut self, node: u32) -> u64 {
        self.requests += 1;
        let operations = vec![Operation::Read("x".into())];
        let command = Command { session: SessionId(1), sequence: 1, watermark: 1, operations };
        self.step(node, Input::Request(RequestId(self.requests), Request::Execute(command)));
        self.requests
    }

    /// Delivers a message from `from` to `to`, and gives what `to` sends in return.
    pub(crate) fn tell(&mut self, from: u32, to: u32, message: Message) -> Vec<Message> {
        self.wire.clear();
        self.step(to, Input::Message(NodeId(from), message));
        self.wire.drain(..).map(|(_, _, message)| message).collect()
    }

    /// The terms of the entries on a node's disk, as its records tell them.
    pub(crate) fn log(&self, node: u32) -> Vec<u64> {
        let mut terms = Vec::new();
        for record in &self.disks[&node].records {
            if let Record::Entry { slot, entry, .. } = record {
                terms.truncate(usize::try_from(slot.0).expect("few") - 1);
                terms.push(entry.term.0);
            }
        }
        terms
    }

    pub(crate) fn applied(&self, node: u32) -> u64 {
        self.cores[&node].applied().expect("slots")
    }

    pub(crate) fn leads(&self, node: u32) -> bool {
        self.cores[&node].role() == Role::Leader
    }
}

/// The records of a node that holds entries of these terms.
fn records(terms: &[u64]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut last = 0;
    for (slot, term) in (1..).zip(terms.iter().copied()) {
        if term > last {
            records.push(Record::Vote(Term(term), None));
            last = term;
        }
        let entry = entry(slot, term);
        records.push(Record::Entry { accepted_in: Term(term), slot: Slot(slot), entry });
    }
    records
}

/// The entry that the leader of `term` has put into `slot`.
pub(crate) fn entry(slot: u64, term: u64) -> Entry {
    let request = Request::OpenSession { nonce: term * 1_000 + slot };
    let value = Value::new(vec![request], &(term * 1_000 + slot).to_le_bytes());
    Entry { term: Term(term), payload: Payload::Requests(value) }
}

pub(crate) fn id(slot: u64, term: u64) -> EntryId {
    EntryId { term: Term(term), slot: Slot(slot) }
}
