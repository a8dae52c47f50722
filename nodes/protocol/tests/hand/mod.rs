//! One core, driven by hand: its disk writes at once, its peers are whoever the test speaks for.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test uses its own part of a module that is not exported"
)]

use std::time::Duration;
use tribunal_protocol::variants::multi_paxos::{Message, Record};
use tribunal_protocol::*;

/// A core of the family of Multi-Paxos.
pub struct Hand<C: Core<Message = Message, Record = Record>> {
    pub core: C,
    pub now: Time,
    /// What it has sent since it was last looked at, but not to whom.
    sent: Vec<Message>,
    /// What it has answered.
    pub replies: Vec<(u64, Reply)>,
    records: Vec<Record>,
    config: Config,
    requests: u64,
}

/// A configuration of `nodes` nodes with options like `phase1=2`.
pub fn config(node: u32, nodes: u32, options: &[(&str, &str)]) -> Config {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Config {
        node: NodeId(node),
        members: (1..=nodes).map(NodeId).collect(),
        incarnation: 1,
        seed: 7,
        timing: Timing::default(),
        limits: Limits::default(),
        options: options.iter().map(owned).collect(),
    }
}

impl<C: Core<Message = Message, Record = Record>> Hand<C> {
    /// Starts a node from an empty disk.
    pub fn new(config: Config) -> Self {
        let mut out = Output::default();
        let core = C::recover(config.clone(), Time(0), None, std::iter::empty(), &mut out);
        let core = core.expect("an empty disk and options that fit");
        let (sent, replies, records) = (Vec::new(), Vec::new(), Vec::new());
        Self { core, now: Time(0), sent, replies, records, config, requests: 0 }
    }

    /// Kills the node and starts it from its disk.
    pub fn restart(&mut self) {
        self.config.incarnation += 1;
        let records = self.records.iter().cloned().zip(0_u64..);
        let records = records.map(|(record, position)| (Position(position), record));
        let mut out = Output::default();
        let core = C::recover(self.config.clone(), self.now, None, records, &mut out);
        self.core = core.expect("an undamaged disk");
        self.sent.clear();
    }

    fn step(&mut self, input: Input<Message>) {
        let mut out = Output::default();
        self.core.step(self.now, input, &mut out);
        let wrote = !out.records.is_empty();
        self.records.append(&mut out.records);
        for effect in out.at_once.into_iter().chain(out.when_durable) {
            match effect {
                Effect::Send(_, message) => self.sent.push(message),
                Effect::Reply(id, reply) => self.replies.push((id.0, reply)),
            }
        }
        if wrote {
            self.step(Input::Persisted(Position(self.records.len() as u64)));
        }
    }

    /// A peer's message arrives; what the node has sent since it was last asked.
    pub fn hear(&mut self, from: u32, message: Message) -> Vec<Message> {
        self.step(Input::Message(NodeId(from), message));
        self.sent()
    }

    /// What the node has sent since it was last asked.
    pub fn sent(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.sent)
    }

    /// A client asks; the request's number.
    pub fn ask(&mut self, operation: Operation) -> u64 {
        self.requests += 1;
        let sequence = self.requests;
        let session = SessionId(1);
        let command = Command { session, sequence, watermark: 1, operations: vec![operation] };
        self.step(Input::Request(RequestId(sequence), Request::Execute(command)));
        sequence
    }

    /// Whether the request was answered.
    pub fn has_answered(&self, request: u64) -> bool {
        self.replies.iter().any(|(id, _)| *id == request)
    }

    /// An operator asks.
    pub fn admin(&mut self, admin: Admin) -> Vec<Message> {
        self.step(Input::Admin(RequestId(1_000_000), admin));
        self.sent()
    }

    /// Time passes, and the node's timers ring.
    pub fn wait(&mut self, duration: Duration) -> Vec<Message> {
        self.now = self.now.after(duration);
        self.step(Input::Wake);
        self.sent()
    }
}

/// The kinds of messages.
pub fn kinds(messages: &[Message]) -> Vec<&'static str> {
    messages.iter().map(core::Message::kind).collect()
}
