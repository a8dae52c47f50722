//! Nodes that are driven by hand. Every message is delivered when the test says so, a disk takes no time, and what happens is
//! told as a story.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;
use tribunal_protocol::replication::Value;
use tribunal_protocol::variants::fast_paxos::{FastPaxos, Message, Record};
use tribunal_protocol::{
    Admin, Command, Config, Core, Destination, Effect, Input, Limits, Message as _, NodeId,
    Operation, Output, Position, Reply, Request, RequestId, SessionId, Time, Timing,
};

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) message: Message,
}

pub(crate) struct Cluster {
    cores: BTreeMap<u32, FastPaxos>,
    records: BTreeMap<u32, Vec<Record>>,
    /// Nodes that get and send nothing.
    pub(crate) down: Vec<u32>,
    now: Time,
    pub(crate) wire: VecDeque<Letter>,
    /// The kind of every message ever sent.
    pub(crate) sent: Vec<&'static str>,
    pub(crate) syncs: usize,
    pub(crate) replies: BTreeMap<u64, Reply>,
    requests: u64,
    /// What happened so far.
    pub(crate) story: String,
    /// Values by their digests.
    names: BTreeMap<u64, String>,
}

fn config(nodes: u32, node: u32, incarnation: u64) -> Config {
    Config {
        node: NodeId(node),
        members: (1..=nodes).map(NodeId).collect(),
        incarnation,
        seed: u64::from(node),
        timing: Timing::default(),
        limits: Limits::default(),
        options: BTreeMap::new(),
    }
}

impl Cluster {
    /// Nodes of which nobody leads.
    pub(crate) fn new(nodes: u32) -> Self {
        let mut cluster = Self {
            cores: BTreeMap::new(),
            records: BTreeMap::new(),
            down: Vec::new(),
            now: Time(0),
            wire: VecDeque::new(),
            sent: Vec::new(),
            syncs: 0,
            replies: BTreeMap::new(),
            requests: 0,
            story: String::new(),
            names: BTreeMap::new(),
        };
        (1..=nodes).for_each(|node| cluster.start(nodes, node, 1));
        cluster
    }

    /// Node 1 leads, its fast round is open, and one session is open.
    pub(crate) fn fast(nodes: u32) -> Self {
        let mut cluster = Self::new(nodes);
        cluster.lead(1);
        cluster.pass(Duration::from_millis(100)); // The leader hears that enough are there.
        let session = cluster.ask(1, Request::OpenSession { nonce: 7 });
        cluster.settle();
        assert_eq!(cluster.replies[&session], Reply::Session(SessionId(1)));
        (cluster.sent, cluster.syncs) = (Vec::new(), 0);
        cluster
    }

    pub(crate) fn start(&mut self, nodes: u32, node: u32, incarnation: u64) {
        let records = self.records.entry(node).or_default().clone();
        let records = (0..).map(Position).zip(records);
        let mut out = Output::default();
        let config = config(nodes, node, incarnation);
        let core = FastPaxos::recover(config, self.now, None, records, &mut out).expect("sound");
        self.cores.insert(node, core);
        self.carry_out(node, out);
    }

    pub(crate) fn step(&mut self, node: u32, input: Input<Message>) {
        let out = self.asks(node, input);
        self.carry_out(node, out);
    }

    /// What a step asks of the host, which does nothing of it.
    pub(crate) fn asks(&mut self, node: u32, input: Input<Message>) -> Output<FastPaxos> {
        let mut out = Output::default();
        self.cores.get_mut(&node).expect("known").step(self.now, input, &mut out);
        out
    }

    fn carry_out(&mut self, node: u32, out: Output<FastPaxos>) {
        let written = out.records.len();
        self.records.entry(node).or_default().extend(out.records);
        for effect in out.at_once.into_iter().chain(out.when_durable) {
            match effect {
                Effect::Reply(id, reply) => {
                    let _ = writeln!(self.story, "         n{node} answers {reply:?}");
                    assert_eq!(self.replies.insert(id.0, reply), None);
                }
                Effect::Send(Destination::Node(to), message) => self.send(node, to.0, message),
                Effect::Send(Destination::Peers, message) => {
                    let peers: Vec<_> =
                        self.cores.keys().copied().filter(|to| *to != node).collect();
                    peers.into_iter().for_each(|to| self.send(node, to, message.clone()));
                }
            }
        }
        if written > 0 {
            self.syncs += 1;
            self.step(node, Input::Persisted(Position(self.records[&node].len() as u64)));
        }
    }

    fn send(&mut self, from: u32, to: u32, message: Message) {
        self.sent.push(message.kind());
        self.name_value(&message);
        if !self.down.contains(&from) && !self.down.contains(&to) {
            self.wire.push_back(Letter { from, to, message });
        }
    }

    fn deliver(&mut self, letter: Letter) {
        let Letter { from, to, message } = letter;
        let what = self.describe(&message);
        let _ = writeln!(self.story, "n{from} -> n{to}  {what}");
        if !self.down.contains(&to) {
            self.step(to, Input::Message(NodeId(from), message));
        }
    }

    /// Delivers what is under way now and fits, not what follows from it.
    pub(crate) fn deliver_if(&mut self, fits: impl Fn(&Letter) -> bool) {
        let (now, later) = std::mem::take(&mut self.wire).into_iter().partition(fits);
        self.wire = later;
        let now: VecDeque<Letter> = now;
        now.into_iter().for_each(|letter| self.deliver(letter));
    }

    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            let Some(letter) = self.wire.pop_front() else { return };
            self.deliver(letter);
        }
        panic!("never at rest");
    }

    /// Time passes, in steps of a heartbeat, and all messages arrive.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now.after(time);
        while self.now < until {
            self.now = self.now.after(Timing::default().heartbeat);
            let up: Vec<_> =
                self.cores.keys().copied().filter(|node| !self.down.contains(node)).collect();
            up.into_iter().for_each(|node| self.step(node, Input::Wake));
            self.settle();
        }
    }

    pub(crate) fn lead(&mut self, node: u32) {
        self.requests += 1;
        self.step(node, Input::Admin(RequestId(self.requests), Admin::Lead));
        self.settle();
    }

    pub(crate) fn ask(&mut self, node: u32, request: Request) -> u64 {
        self.requests += 1;
        self.step(node, Input::Request(RequestId(self.requests), request));
        self.requests
    }

    /// Adds to the counter; the answer is its new value.
    pub(crate) fn add(&mut self, node: u32, sequence: u64) -> u64 {
        self.ask(node, add(sequence))
    }

    pub(crate) fn reply(&self, request: u64) -> Option<&Reply> {
        self.replies.get(&request)
    }

    pub(crate) fn kinds(&self, kind: &str) -> usize {
        self.sent.iter().filter(|sent| **sent == kind).count()
    }

    pub(crate) fn core(&self, node: u32) -> &FastPaxos {
        &self.cores[&node]
    }

    pub(crate) fn agree(&mut self) {
        self.pass(Duration::from_millis(400));
        let digest = |node: &u32| self.core(*node).state_digest();
        let up: Vec<_> = self.cores.keys().filter(|node| !self.down.contains(node)).collect();
        assert!(up.windows(2).all(|two| digest(two[0]) == digest(two[1])));
    }

    /// A line between what happens.
    pub(crate) fn say(&mut self, line: &str) {
        let _ = writeln!(self.story, "\n# {line}");
    }

    fn name_value(&mut self, message: &Message) {
        let value = match message {
            Message::Propose { value, .. } => value,
            Message::Accept { proposal, .. } => &proposal.value,
            _ => return,
        };
        self.names.entry(value.digest()).or_insert_with(|| name(value));
    }

    fn describe(&self, message: &Message) -> String {
        let kind = message.kind();
        let name = |digest: u64| self.names.get(&digest).map_or("?", String::as_str);
        match message {
            Message::Prepare { reign, from } => format!("{kind} reign {reign} from slot {from}"),
            Message::Promise { reign, accepted, .. } => {
                let held = accepted.iter().map(|held| {
                    format!(", slot {}: {} in {}", held.slot, name(held.value.digest()), held.round)
                });
                format!("{kind} reign {reign}{}", held.collect::<String>())
            }
            Message::Any { reign, from } => format!("{kind} of reign {reign} from slot {from}"),
            Message::Propose { slot, value, .. } => {
                format!("{kind} slot {slot}: {}", name(value.digest()))
            }
            Message::Voted { slot, digest, .. } => format!("{kind} slot {slot}: {}", name(*digest)),
            Message::Accept { proposal, decided } => {
                let (slot, value) = (proposal.slot, name(proposal.value.digest()));
                format!("{kind} slot {slot}: {value}, decided {decided}")
            }
            Message::Accepted { slot, .. } => format!("{kind} slot {slot}"),
            Message::Heartbeat { decided, fast, .. } => {
                let fast = fast.map_or_else(String::new, |from| format!(", any from slot {from}"));
                format!("{kind}, decided {decided}{fast}")
            }
            _ => kind.to_owned(),
        }
    }
}

fn name(value: &Value) -> String {
    let names = value.requests().iter().map(|request| match request {
        Request::OpenSession { .. } => "session".to_owned(),
        Request::Execute(command) => format!("#{}", command.sequence),
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() { "no-op".to_owned() } else { names.join(" ") }
}

/// Adds 1 to the counter.
pub(crate) fn add(sequence: u64) -> Request {
    let operations = vec![Operation::Add("counter".into(), 1)];
    Request::Execute(Command { session: SessionId(1), sequence, watermark: 0, operations })
}

/// The answer to an addition.
pub(crate) fn counted(number: i64) -> Reply {
    Reply::Results(vec![tribunal_protocol::Value::Int(number)])
}
