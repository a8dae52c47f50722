//! A few nodes of any variant, whose every message, sync and alarm is the test's own decision.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tribunal_protocol::core::Message as _;
use tribunal_protocol::*;

/// The nodes, and what is under way between them.
pub(crate) struct Stage<C: Core> {
    pub(crate) nodes: BTreeMap<NodeId, C>,
    disks: BTreeMap<NodeId, Disk<C>>,
    /// Messages under way, in the order in which they were sent.
    pub(crate) links: VecDeque<(NodeId, NodeId, C::Message)>,
    pub(crate) replies: BTreeMap<RequestId, Reply>,
    /// Nodes whose disks write nothing until [`Stage::sync`].
    pub(crate) stalled: BTreeSet<NodeId>,
    pub(crate) now: Time,
    pub(crate) limits: Limits,
    /// Messages sent, and syncs.
    pub(crate) sent: usize,
    pub(crate) syncs: usize,
    requests: u64,
}

struct Disk<C: Core> {
    snapshot: Option<Snapshot>,
    records: Vec<(Position, C::Record)>,
    appended: u64,
    starts: u64,
    /// Records and effects that a stalled disk holds back.
    held: Vec<(Position, C::Record)>,
    effects: Vec<Effect<C::Message>>,
}

impl<C: Core> Stage<C> {
    pub(crate) fn new(nodes: u32) -> Self {
        Self::with_limits(nodes, Limits::default())
    }

    pub(crate) fn with_limits(nodes: u32, limits: Limits) -> Self {
        let mut stage = Self {
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            links: VecDeque::new(),
            replies: BTreeMap::new(),
            stalled: BTreeSet::new(),
            now: Time(0),
            limits,
            sent: 0,
            syncs: 0,
            requests: 0,
        };
        for node in (1..=nodes).map(NodeId) {
            let (records, held, effects) = (Vec::new(), Vec::new(), Vec::new());
            let disk = Disk { snapshot: None, records, appended: 0, starts: 0, held, effects };
            stage.disks.insert(node, disk);
        }
        (1..=nodes).for_each(|node| stage.restart(node));
        stage
    }

    /// Starts a node from what its disk holds; what a stalled disk holds back is lost.
    pub(crate) fn restart(&mut self, node: u32) {
        let node = NodeId(node);
        let members = self.disks.keys().copied().collect();
        let disk = self.disks.get_mut(&node).expect("a node");
        disk.starts += 1;
        disk.appended -= disk.held.len() as u64;
        disk.held.clear();
        disk.effects.clear();
        let config = Config {
            node,
            members,
            incarnation: disk.starts,
            seed: u64::from(node.0) << 32 | disk.starts,
            timing: Timing::default(),
            limits: self.limits,
            options: BTreeMap::new(),
        };
        let mut out = Output::default();
        let records = disk.records.iter().cloned();
        let core = C::recover(config, self.now, disk.snapshot.clone(), records, &mut out);
        self.nodes.insert(node, core.expect("the records are sound"));
        self.carry_out(node, out);
    }

    /// Lets a node take one input.
    pub(crate) fn step(&mut self, node: u32, input: Input<C::Message>) {
        let node = NodeId(node);
        let mut out = Output::default();
        self.nodes.get_mut(&node).expect("a node").step(self.now, input, &mut out);
        self.carry_out(node, out);
    }

    fn carry_out(&mut self, node: NodeId, out: Output<C>) {
        for effect in out.at_once {
            self.let_go(node, effect);
        }
        let disk = self.disks.get_mut(&node).expect("a node");
        for record in out.records {
            disk.held.push((Position(disk.appended), record));
            disk.appended += 1;
        }
        disk.effects.extend(out.when_durable);
        if let Some(save) = out.snapshot {
            disk.snapshot = Some(save.snapshot);
            disk.records.retain(|(position, _)| *position >= save.keep_from);
        }
        if disk.held.is_empty() || !self.stalled.contains(&node) {
            self.sync(node.0);
        }
    }

    /// Makes durable what a node has appended.
    pub(crate) fn sync(&mut self, node: u32) {
        let id = NodeId(node);
        let disk = self.disks.get_mut(&id).expect("a node");
        let wrote = !disk.held.is_empty();
        disk.records.append(&mut disk.held);
        let position = Position(disk.appended);
        for effect in std::mem::take(&mut disk.effects) {
            self.let_go(id, effect);
        }
        if wrote {
            self.syncs += 1;
            self.step(node, Input::Persisted(position));
        }
    }

    fn let_go(&mut self, from: NodeId, effect: Effect<C::Message>) {
        match effect {
            Effect::Send(Destination::Node(to), message) => self.send(from, to, message),
            Effect::Send(Destination::Peers, message) => {
                let peers: Vec<_> = self.disks.keys().copied().filter(|to| *to != from).collect();
                for to in peers {
                    self.send(from, to, message.clone());
                }
            }
            Effect::Reply(id, reply) => {
                assert!(self.replies.insert(id, reply).is_none(), "{id:?} is answered twice");
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: C::Message) {
        self.sent += 1;
        self.links.push_back((from, to, message));
    }

    /// A client asks a node something.
    pub(crate) fn ask(&mut self, node: u32, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.step(node, Input::Request(id, request));
        id
    }

    /// A client without a past asks for one operation.
    pub(crate) fn execute(&mut self, node: u32, operation: Operation) -> RequestId {
        let sequence = self.requests + 1;
        self.ask(node, command(1, sequence, vec![operation]))
    }

    /// Asks, delivers everything, and gives the answer.
    pub(crate) fn settled(&mut self, node: u32, operation: Operation) -> Reply {
        let id = self.execute(node, operation);
        self.deliver_all();
        self.reply(id).expect("an answer")
    }

    pub(crate) fn reply(&self, id: RequestId) -> Option<Reply> {
        self.replies.get(&id).cloned()
    }

    /// Delivers the first message from one node to another; its kind.
    pub(crate) fn deliver(&mut self, from: u32, to: u32) -> &'static str {
        let is_it = |(a, b, _): &(NodeId, NodeId, C::Message)| (a.0, b.0) == (from, to);
        let nth = self.links.iter().position(is_it).expect("a message on this link");
        let (_, _, message) = self.links.remove(nth).expect("it was found");
        let kind = message.kind();
        self.step(to, Input::Message(NodeId(from), message));
        kind
    }

    /// Delivers a question from one node to another, and what is answered.
    pub(crate) fn round_trip(&mut self, from: u32, to: u32) -> &'static str {
        self.deliver(from, to);
        self.deliver(to, from)
    }

    /// Delivers whatever is under way until nothing is.
    pub(crate) fn deliver_all(&mut self) {
        while let Some((from, to, message)) = self.links.pop_front() {
            self.step(to.0, Input::Message(from, message));
        }
    }

    pub(crate) fn lose_all(&mut self) {
        self.links.clear();
    }

    /// Lets time pass, and every node look at its clock.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now.after(std::time::Duration::from_millis(millis));
        for node in 1..=self.disks.len() {
            self.step(u32::try_from(node).expect("few nodes"), Input::Wake);
        }
    }
}

pub(crate) fn command(session: u64, sequence: u64, operations: Vec<Operation>) -> Request {
    let session = SessionId(session);
    Request::Execute(Command { session, sequence, watermark: 0, operations })
}

pub(crate) fn write(value: i64) -> Operation {
    Operation::Write("x".into(), Value::Int(value))
}

pub(crate) fn read() -> Operation {
    Operation::Read("x".into())
}

pub(crate) fn cas(from: i64, to: i64) -> Operation {
    Operation::Cas("x".into(), Value::Int(from), Value::Int(to))
}

pub(crate) fn append(value: i64) -> Operation {
    Operation::Append("x".into(), Value::Int(value))
}

pub(crate) fn done() -> Reply {
    Reply::Results(vec![Value::Nil])
}

pub(crate) fn found(value: i64) -> Reply {
    Reply::Results(vec![Value::Int(value)])
}
