//! A stage for stories: a few Multi-Paxos nodes whose messages are delivered in order, one script line at a time, and
//! written down. Disks write at once, timers ring when the script says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;
use tribunal_protocol::replication::{Chunk, Partial, Value};
use tribunal_protocol::variants::multi_paxos::{Message, MultiPaxos, Proposal, Record};
use tribunal_protocol::*;

/// The stage.
pub struct Stage {
    nodes: BTreeMap<NodeId, Option<MultiPaxos>>,
    disks: BTreeMap<NodeId, Disk>,
    members: Vec<NodeId>,
    limits: Limits,
    pub now: Time,
    links: VecDeque<(NodeId, NodeId, Message)>,
    absent: BTreeSet<NodeId>,
    requests: u64,
    pub trace: String,
    /// Messages sent, by kind.
    pub sent: BTreeMap<&'static str, usize>,
    /// Steps that had something to write: what a host would sync.
    pub writes: usize,
    pub replies: BTreeMap<u64, Reply>,
}

#[derive(Default)]
struct Disk {
    records: Vec<Record>,
    snapshot: Option<Snapshot>,
    keep_from: u64,
    starts: u64,
}

impl Stage {
    pub fn new(nodes: u32, limits: Limits) -> Self {
        let members: Vec<_> = (1..=nodes).map(NodeId).collect();
        let mut stage = Self {
            nodes: BTreeMap::new(),
            disks: members.iter().map(|node| (*node, Disk::default())).collect(),
            members: members.clone(),
            limits,
            now: Time(0),
            links: VecDeque::new(),
            absent: BTreeSet::new(),
            requests: 0,
            trace: String::new(),
            sent: BTreeMap::new(),
            writes: 0,
            replies: BTreeMap::new(),
        };
        members.iter().for_each(|node| stage.start(node.0));
        stage
    }

    /// A line of the story.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.trace, "# {text}");
    }

    /// Starts a node from its disk.
    pub fn start(&mut self, node: u32) {
        let node = NodeId(node);
        let disk = self.disks.get_mut(&node).expect("a member");
        disk.starts += 1;
        let config = Config {
            node,
            members: self.members.clone(),
            incarnation: disk.starts,
            seed: u64::from(node.0),
            timing: Timing::default(),
            limits: self.limits,
            options: BTreeMap::new(),
        };
        let mut out = Output::default();
        let records = disk.records.iter().cloned().zip(0_u64..);
        let records = records.map(|(record, position)| (Position(position), record));
        let kept = records.filter(|(position, _)| position.0 >= disk.keep_from);
        let core = MultiPaxos::recover(config, self.now, disk.snapshot.clone(), kept, &mut out);
        self.nodes.insert(node, Some(core.expect("an undamaged disk")));
        self.absent.remove(&node);
        self.carry_out(node, out);
    }

    /// Kills a node; messages to it are lost from now on.
    pub fn kill(&mut self, node: u32) {
        self.nodes.insert(NodeId(node), None);
        self.cut(node);
    }

    /// Cuts a node off: what it sends and what is sent to it is lost.
    pub fn cut(&mut self, node: u32) {
        self.absent.insert(NodeId(node));
    }

    /// Ends the cut.
    pub fn join(&mut self, node: u32) {
        self.absent.remove(&NodeId(node));
    }

    /// The node's timers ring, after so long that it takes its leader for dead; then messages flow.
    pub fn timeout(&mut self, node: u32) {
        self.wait(node, Duration::from_millis(600));
        self.settle();
    }

    /// Time passes, and one node's timers ring.
    pub fn wait(&mut self, node: u32, duration: Duration) {
        self.now = self.now.after(duration);
        self.step(NodeId(node), Input::Wake);
    }

    /// A client asks. Messages do not flow yet.
    pub fn request(&mut self, node: u32, operation: Operation) -> u64 {
        self.requests += 1;
        let request = Request::Execute(Command {
            session: SessionId(1),
            sequence: self.requests,
            watermark: 1,
            operations: vec![operation],
        });
        self.submit(node, request)
    }

    /// A client asks for a session.
    pub fn open_session(&mut self, node: u32) -> u64 {
        self.requests += 1;
        self.submit(node, Request::OpenSession { nonce: 7 })
    }

    fn submit(&mut self, node: u32, request: Request) -> u64 {
        let id = self.requests;
        let _ = writeln!(self.trace, "client -> n{node}  {}", describe_request(&request));
        self.step(NodeId(node), Input::Request(RequestId(id), request));
        id
    }

    /// An operator asks.
    pub fn admin(&mut self, node: u32, admin: Admin) {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.step(NodeId(node), Input::Admin(id, admin));
    }

    /// Puts a message on the link from `from` to `to`, as if a peer had sent it.
    pub fn forge(&mut self, from: u32, to: u32, message: Message) {
        self.links.push_back((NodeId(from), NodeId(to), message));
    }

    /// Messages flow until none is left.
    pub fn settle(&mut self) {
        while !self.links.is_empty() {
            self.deliver(1);
        }
    }

    /// The next `count` messages arrive.
    pub fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let Some((from, to, message)) = self.links.pop_front() else { return };
            let lost = self.absent.contains(&from) || self.absent.contains(&to);
            let mark = if lost { "  (lost)" } else { "" };
            let _ = writeln!(self.trace, "{from} -> {to}  {}{mark}", describe(&message));
            if !lost {
                self.step(to, Input::Message(from, message));
            }
        }
    }

    /// Everything under way is lost.
    pub fn lose_all(&mut self) {
        for (from, to, message) in std::mem::take(&mut self.links) {
            let _ = writeln!(self.trace, "{from} -> {to}  {}  (lost)", describe(&message));
        }
    }

    /// What is under way.
    pub fn under_way(&self) -> impl Iterator<Item = &Message> {
        self.links.iter().map(|(_, _, message)| message)
    }

    pub fn core(&self, node: u32) -> &MultiPaxos {
        self.nodes[&NodeId(node)].as_ref().expect("running")
    }

    fn step(&mut self, node: NodeId, input: Input<Message>) {
        let Some(Some(core)) = self.nodes.get_mut(&node) else { return };
        let mut out = Output::default();
        core.step(self.now, input, &mut out);
        self.carry_out(node, out);
    }

    fn carry_out(&mut self, node: NodeId, out: Output<MultiPaxos>) {
        for observation in &out.observations {
            self.observe(node, observation);
        }
        out.at_once.into_iter().for_each(|effect| self.effect(node, effect));
        let disk = self.disks.get_mut(&node).expect("a member");
        let wrote = !out.records.is_empty();
        self.writes += usize::from(wrote);
        disk.records.extend(out.records);
        if let Some(saved) = out.snapshot {
            disk.snapshot = Some(saved.snapshot);
            disk.keep_from = saved.keep_from.0;
        }
        let upto = Position(disk.records.len() as u64);
        out.when_durable.into_iter().for_each(|effect| self.effect(node, effect));
        if wrote {
            self.step(node, Input::Persisted(upto));
        }
    }

    fn effect(&mut self, from: NodeId, effect: Effect<Message>) {
        match effect {
            Effect::Send(to, message) => {
                let all = self.members.iter().copied().filter(|node| *node != from);
                let to: Vec<NodeId> = match to {
                    Destination::Node(node) => vec![node],
                    Destination::Peers => all.collect(),
                };
                for to in to {
                    *self.sent.entry(core::Message::kind(&message)).or_default() += 1;
                    self.links.push_back((from, to, message.clone()));
                }
            }
            Effect::Reply(id, reply) => {
                let _ = writeln!(self.trace, "{from} -> client  {reply:?}");
                assert!(self.replies.insert(id.0, reply).is_none(), "answered once");
            }
        }
    }

    fn observe(&mut self, node: NodeId, observation: &Observation) {
        let _ = match observation {
            Observation::Role { role, .. } => writeln!(self.trace, "{node} is {role}"),
            Observation::Decided { slot, .. } => writeln!(self.trace, "{node} decides slot {slot}"),
            Observation::Snapshot { slot, installed: true } => {
                writeln!(self.trace, "{node} installs a snapshot up to slot {slot}")
            }
            _ => Ok(()),
        };
    }
}

fn describe(message: &Message) -> String {
    let kind = core::Message::kind(message);
    match message {
        Message::Prepare { ballot, from } => format!("{kind} {ballot} from slot {from}"),
        Message::Promise { ballot, decided, accepted, .. } => {
            let accepted: Vec<_> = accepted.iter().map(describe_proposal).collect();
            let accepted = match accepted.is_empty() {
                true => "nothing accepted".to_owned(),
                false => format!("accepted {}", accepted.join(", ")),
            };
            format!("{kind} {ballot}: decided up to {decided}, {accepted}")
        }
        Message::Accept { proposal, decided } => {
            format!("{kind} {}; decided up to {decided}", describe_proposal(proposal))
        }
        Message::Accepted { ballot, slot } => format!("{kind} {ballot} slot {slot}"),
        Message::Heartbeat { ballot, round, decided } => {
            format!("{kind} {ballot} round {round}; decided up to {decided}")
        }
        Message::Heard { ballot, round } => format!("{kind} {ballot} round {round}"),
        Message::Rejected { ballot, promised } => format!("{kind} {ballot}: promised {promised}"),
        Message::Canvass { .. } => kind.to_owned(),
        Message::Canvassed { hears: Some(ballot), .. } => format!("{kind}: hears {ballot}"),
        Message::Canvassed { hears: None, .. } => format!("{kind}: hears nobody"),
        Message::CatchUp { decided, partial: None } => format!("{kind} from slot {decided}"),
        Message::CatchUp { decided, partial: Some(partial) } => {
            let (slot, offset) = (partial.slot, partial.offset);
            format!("{kind} from slot {decided}; has {offset} bytes of the snapshot up to {slot}")
        }
        Message::Decided { first, values, .. } => {
            let values: Vec<_> = values.iter().map(describe_value).collect();
            format!("{kind} from slot {first}: {}", values.join(", "))
        }
        Message::Snapshot(Chunk { at: Partial { slot, offset, .. }, total, bytes }) => {
            let end = offset + bytes.len() as u64;
            format!("{kind} up to slot {slot}: bytes {offset}..{end} of {total}")
        }
        Message::Forward { request, .. } | Message::Return { request, .. } => {
            format!("{kind} {}", describe_request(request))
        }
        Message::Answer { replies } => {
            let replies: Vec<_> = replies.iter().map(|(_, reply)| format!("{reply:?}")).collect();
            format!("{kind} {}", replies.join(", "))
        }
    }
}

fn describe_proposal(proposal: &Proposal) -> String {
    let Proposal { slot, ballot, value } = proposal;
    format!("{ballot} slot {slot} {}", describe_value(value))
}

fn describe_value(value: &Value) -> String {
    let requests: Vec<_> = value.requests().iter().map(describe_request).collect();
    match requests.is_empty() {
        true => "no-op".to_owned(),
        false => format!("[{}]", requests.join("; ")),
    }
}

fn describe_request(request: &Request) -> String {
    match request {
        Request::OpenSession { .. } => "open session".to_owned(),
        Request::Execute(command) => match &command.operations[..] {
            [Operation::Write(key, tribunal_protocol::Value::Int(int))] => {
                format!("{key} := {int}")
            }
            [Operation::Read(key)] => format!("read {key}"),
            other => format!("{other:?}"),
        },
    }
}
