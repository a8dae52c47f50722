//! A few nodes, and a network whose every delivery is the test's own decision.
//!
//! Absent on purpose: time that passes and messages that move by themselves.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tribunal_protocol::core::{
    Config, Core, Destination, Effect, Input, Limits, NodeId, Output, Position, RequestId,
    Snapshot, Time, Timing,
};
use tribunal_protocol::variants::majority_vote::{MajorityVote, Message, QuestionId, Record};
use tribunal_protocol::{Command, Operation, Reply, Request, SessionId, Value};

/// A few nodes whose disks are immediate and whose messages go where the test says, first come first served a link.
pub(crate) struct Net {
    pub(crate) nodes: BTreeMap<NodeId, MajorityVote>,
    pub(crate) links: BTreeMap<(NodeId, NodeId), VecDeque<Message>>,
    pub(crate) disks: BTreeMap<NodeId, Disk>,
    pub(crate) replies: Vec<(RequestId, Reply)>,
    pub(crate) limits: Limits,
    pub(crate) now: Time,
    pub(crate) requests: u64,
    pub(crate) sent: usize,
    pub(crate) trace: String,
}

/// What a node finds again after a crash.
#[derive(Default)]
pub(crate) struct Disk {
    snapshot: Option<Snapshot>,
    pub(crate) records: VecDeque<(Position, Record)>,
    pub(crate) appended: u64,
    starts: u64,
}

impl Net {
    pub(crate) fn new(nodes: u32, limits: Limits) -> Self {
        let mut net = Self {
            nodes: BTreeMap::new(),
            links: BTreeMap::new(),
            disks: BTreeMap::new(),
            replies: Vec::new(),
            limits,
            now: Time(0),
            requests: 0,
            sent: 0,
            trace: String::new(),
        };
        for node in (1..=nodes).map(NodeId) {
            net.disks.insert(node, Disk::default());
        }
        (1..=nodes).for_each(|node| net.start(NodeId(node)));
        net
    }

    pub(crate) fn members(&self) -> Vec<NodeId> {
        self.disks.keys().copied().collect()
    }

    /// Starts a node, or kills it and starts it again, from what its disk holds.
    pub(crate) fn start(&mut self, node: NodeId) {
        let members = self.members();
        let disk = self.disks.get_mut(&node).unwrap();
        disk.starts += 1;
        let config = config(node, members, disk.starts, self.limits);
        let mut out = Output::default();
        let records = disk.records.iter().cloned();
        let snapshot = disk.snapshot.clone();
        let core = MajorityVote::recover(config, self.now, snapshot, records, &mut out).unwrap();
        self.nodes.insert(node, core);
        self.carry_out(node, out);
    }

    pub(crate) fn step(&mut self, node: NodeId, input: Input<Message>) {
        let mut out = Output::default();
        self.nodes.get_mut(&node).unwrap().step(self.now, input, &mut out);
        self.carry_out(node, out);
    }

    fn carry_out(&mut self, node: NodeId, out: Output<MajorityVote>) {
        let disk = self.disks.get_mut(&node).unwrap();
        for record in out.records {
            disk.records.push_back((Position(disk.appended), record));
            disk.appended += 1;
        }
        if let Some(save) = out.snapshot {
            disk.snapshot = Some(save.snapshot);
            disk.records.retain(|(position, _)| *position >= save.keep_from);
        }
        for effect in out.at_once.into_iter().chain(out.when_durable) {
            match effect {
                Effect::Send(Destination::Node(to), message) => self.send(node, to, message),
                Effect::Send(Destination::Peers, message) => {
                    for to in self.members().into_iter().filter(|to| *to != node) {
                        self.send(node, to, message.clone());
                    }
                }
                Effect::Reply(request, reply) => {
                    self.note(&format!("{node} answers {}: {reply:?}", request.0));
                    self.replies.push((request, reply));
                }
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        self.sent += 1;
        self.links.entry((from, to)).or_default().push_back(message);
    }

    pub(crate) fn request(&mut self, node: NodeId, operation: Operation) -> RequestId {
        self.execute(node, vec![operation])
    }

    pub(crate) fn execute(&mut self, node: NodeId, operations: Vec<Operation>) -> RequestId {
        self.note(&format!("{node} is asked {}: {operations:?}", self.requests + 1));
        let session = SessionId(0);
        let command = Command { session, sequence: self.requests, watermark: 0, operations };
        self.submit(node, Request::Execute(command))
    }

    pub(crate) fn submit(&mut self, node: NodeId, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.step(node, Input::Request(id, request));
        id
    }

    /// Delivers the oldest message of a link.
    pub(crate) fn deliver(&mut self, from: NodeId, to: NodeId) {
        let message = self.links.get_mut(&(from, to)).and_then(VecDeque::pop_front).unwrap();
        self.note(&format!("{from} -> {to} {}", describe(&message)));
        self.step(to, Input::Message(from, message));
    }

    /// Delivers all that is under way now, and nothing that is sent in answer: one message delay.
    pub(crate) fn deliver_round(&mut self) {
        let under_way: Vec<_> =
            self.links.iter().map(|(link, queue)| (*link, queue.len())).collect();
        for ((from, to), count) in under_way {
            (0..count).for_each(|_| self.deliver(from, to));
        }
    }

    pub(crate) fn deliver_all(&mut self) {
        while self.links.values().any(|queue| !queue.is_empty()) {
            self.deliver_round();
        }
    }

    pub(crate) fn lose_all(&mut self) {
        self.links.clear();
    }

    pub(crate) fn pass(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
        self.note(&format!("{} ms", self.now.0 / 1_000_000));
        for node in self.members() {
            self.step(node, Input::Wake);
        }
    }

    pub(crate) fn reply(&self, request: RequestId) -> Option<&Reply> {
        let mut replies = self.replies.iter().filter(|(id, _)| *id == request);
        let reply = replies.next().map(|(_, reply)| reply);
        assert!(replies.next().is_none(), "request {} was answered twice", request.0);
        reply
    }

    /// What a node holds, by the answer that it would give to a peer.
    pub(crate) fn held(&mut self, node: NodeId, key: &str) -> Value {
        let question = QuestionId { incarnation: 0, number: 0 };
        let query = Message::Query { question, key: key.into() };
        let mut out = Output::default();
        let core = self.nodes.get_mut(&node).unwrap();
        core.step(self.now, Input::Message(NodeId(99), query), &mut out);
        match out.when_durable.pop() {
            Some(Effect::Send(_, Message::Answer { value, .. })) => value,
            other => panic!("a query was answered by {other:?}"),
        }
    }

    pub(crate) fn note(&mut self, line: &str) {
        self.trace += line;
        self.trace += "\n";
    }
}

fn describe(message: &Message) -> String {
    let name = |question: &QuestionId| format!("{}.{}", question.incarnation, question.number);
    match message {
        Message::Ask { question, operation, .. } => format!("ask {} {operation:?}", name(question)),
        Message::Agree { question } => format!("agree {}", name(question)),
        Message::Refuse { question } => format!("refuse {}", name(question)),
        Message::Query { question, key } => format!("query {} {key}", name(question)),
        Message::Answer { question, value } => format!("answer {} {value:?}", name(question)),
    }
}

pub(crate) fn config(
    node: NodeId,
    members: Vec<NodeId>,
    incarnation: u64,
    limits: Limits,
) -> Config {
    let (timing, options) = (Timing::default(), BTreeMap::new());
    Config { node, members, incarnation, seed: 0, timing, limits, options }
}
