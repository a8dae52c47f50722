//! The majority vote of introductory texts, taken literally: what many people think consensus is.
//!
//! Source: a textbook article on distributed systems, its section on voting. "The node that receives a write asks all
//! other nodes to agree. Once a majority has agreed, the write has succeeded. A read asks a majority, too, and since
//! two majorities always overlap it sees the write." Nothing is added to it but what any program needs in order to
//! run: messages are sent again, waiting ends, and what was agreed to outlives a crash.
//!
//! | message  | from, to         | when                                                                              |
//! |----------|------------------|-----------------------------------------------------------------------------------|
//! | `ask`    | asker to peers   | a client writes; the asker has applied the write itself, and logs it meanwhile    |
//! | `agree`  | peer to asker    | the peer has applied the write at once, and its log holds it                      |
//! | `refuse` | peer to asker    | the peer cannot: it holds another type of value (only `append`, `add`, `insert`)  |
//! | `query`  | asker to peers   | a client reads                                                                    |
//! | `answer` | peer to asker    | always, with the peer's value, once all is durable that this value rests on       |
//!
//! The asker counts itself. A write is answered ok at a majority of `agree`; a read at a majority of `answer`, with the
//! value that most of them hold, its own on a tie. A cas is compared with the asker's own value only, and then asked
//! for as a plain write. `ask` and `query` go out again to whoever has not answered within `resend`; after `request`
//! the client is told that the outcome is unknown.
//!
//! Cost, of `n` nodes without faults: a write takes 2(n - 1) messages, one round trip and one record (one fsync at
//! most) a node, of which a majority is waited for; a read takes 2(n - 1) messages, one round trip and no record; a cas
//! that does not match takes nothing.
//!
//! Absent, and what follows:
//! * ballots and slots, so *order*: two concurrent writes of one key reach different nodes in different orders, each node
//!   keeps the one that came last, and the nodes differ from then on. Reads then answer now this value, now that one,
//!   by whose answers came first. Not linearizable, and that without a single fault;
//! * taking back: a write without a majority stays where it was applied, and may surface later;
//! * catching up: a node that missed a write never learns it;
//! * sessions: a request that is sent again by its *client* takes effect again. A session is a name and nothing else;
//! * transactions.
//!
//! Invariants that do hold: a node applies a question of a peer at most once, however often the message comes, also
//! across its own restarts; it says `agree` only when its log holds the write; its store is what its log says.

use super::Variant;
use super::cost::{Asked, At, Cost, NONE, formula};
use crate::core::{
    self, Admin, Config, Core, Damaged, Input, NodeId, Observation, Output, Position, RequestId,
    Role, SaveSnapshot, Snapshot, Time,
};
use crate::machine::store::Store;
use crate::machine::{
    Capabilities, Failure, Key, Operation, Reply, Request, SessionId, Value, digest,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "majority-vote",
    summary: "a vote by majority without ballots or order: replicas diverge under concurrent writes",
    paper: "a textbook article, its section on voting",
    params: &[],
    capabilities: MajorityVote::CAPABILITIES,
    quorums: "more than n/2 agree to a write; more than n/2 answer a read",
    survives: "claims (n - 1)/2 nodes down; keeps linearizability under nothing, not even concurrency",
    costs: &[
        Cost {
            asked: Asked::Write,
            at: At::Any,
            messages: formula("2(n - 1)", |n| 2 * (n - 1)),
            delays: formula("2", |_| 2),
            syncs: formula("n", |n| n),
        },
        Cost {
            asked: Asked::Read,
            at: At::Any,
            messages: formula("2(n - 1)", |n| 2 * (n - 1)),
            delays: formula("2", |_| 2),
            syncs: NONE,
        },
    ],
};

/// One node.
#[derive(Debug)]
pub struct MajorityVote {
    config: Config,
    kept: Kept,
    /// Records appended since the last snapshot.
    since_snapshot: u64,
    /// Questions asked in this incarnation.
    asked: u64,
    /// The questions of this node that wait for votes; at most `limits.queue`.
    open: BTreeMap<u64, Question>,
    /// When each open question is due for a resend or for giving up.
    due: BTreeSet<(Time, u64)>,
}

/// What survives a crash: the snapshot, and what the records since then make of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    store: Store,
    /// Which questions of each peer are applied already.
    agreed: BTreeMap<NodeId, Agreed>,
    /// Records ever appended.
    position: u64,
}

/// The questions of one peer that this node agreed to.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Agreed {
    /// The peer's latest incarnation that was heard of. Questions of earlier ones died with them.
    incarnation: u64,
    /// The peer awaits no vote on questions below this.
    settled_below: u64,
    /// Questions agreed to, none below `settled_below`.
    numbers: BTreeSet<u64>,
}

/// A question that waits for votes.
#[derive(Debug)]
struct Question {
    request: RequestId,
    subject: Subject,
    /// One a node, its own included.
    votes: BTreeMap<NodeId, Vote>,
    /// When to give up.
    deadline: Time,
    /// Its entry in `due`.
    due: Time,
}

/// What a question is about.
#[derive(Debug)]
enum Subject {
    /// A write, and what to answer if it succeeds.
    Write(Operation, Vec<Value>),
    Read(Key),
}

/// What one node says to a question.
#[derive(Debug)]
enum Vote {
    Agree,
    Refuse,
    Holds(Value),
}

/// Names a question of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QuestionId {
    /// The asker's incarnation.
    pub incarnation: u64,
    /// Counts the asker's questions in that incarnation.
    pub number: u64,
}

/// What the nodes say to each other; see the table above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Will you write this?
    Ask {
        /// The question.
        question: QuestionId,
        /// The asker awaits no vote on its questions below this.
        settled_below: u64,
        /// What to write; never a read or a cas.
        operation: Operation,
    },
    /// The write is applied and durable here.
    Agree {
        /// The question.
        question: QuestionId,
    },
    /// The write does not fit what the key holds here.
    Refuse {
        /// The question.
        question: QuestionId,
    },
    /// What does this key hold?
    Query {
        /// The question.
        question: QuestionId,
        /// The key.
        key: Key,
    },
    /// It holds this here.
    Answer {
        /// The question.
        question: QuestionId,
        /// The value.
        value: Value,
    },
}

impl core::Message for Message {
    const KINDS: &'static [&'static str] = &["ask", "agree", "refuse", "query", "answer"];

    fn kind(&self) -> &'static str {
        match self {
            Self::Ask { .. } => "ask",
            Self::Agree { .. } => "agree",
            Self::Refuse { .. } => "refuse",
            Self::Query { .. } => "query",
            Self::Answer { .. } => "answer",
        }
    }
}

/// A write that this node has applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who asked for it.
    pub asker: NodeId,
    /// The question.
    pub question: QuestionId,
    /// What the asker had settled when it asked.
    pub settled_below: u64,
    /// The write.
    pub operation: Operation,
}

impl Core for MajorityVote {
    type Message = Message;
    type Record = Record;

    const CAPABILITIES: Capabilities = Capabilities {
        cas: true,
        collections: true,
        transactions: false,
        sessions: false,
        membership: false,
        linearizable: false,
        leader: false,
        survives: |nodes| nodes.saturating_sub(1) / 2,
    };

    fn recover(
        config: Config,
        _now: Time,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
        out: &mut Output<Self>,
    ) -> Result<Self, Damaged> {
        let mut kept =
            snapshot.map_or_else(|| Ok(Kept::default()), |saved| Kept::decode(&saved))?;
        let mut since_snapshot = 0;
        for (position, record) in records {
            if position.0 >= kept.position {
                kept.replay(position, &record)?;
                since_snapshot += 1;
            }
        }
        out.observe(Observation::Role { role: Role::Peer, ballot: 0 });
        let (open, due) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { config, kept, since_snapshot, asked: 0, open, due })
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Output<Self>) {
        match input {
            Input::Request(id, request) => self.on_request(now, id, request, out),
            Input::Message(from, message) => self.on_message(from, message, out),
            Input::Wake => self.on_wake(now, out),
            // Every effect that rests on the disk is held back by the host.
            Input::Persisted(_) => {}
            Input::Admin(id, Admin::Snapshot) => {
                self.take_snapshot(out);
                out.reply(id, Reply::Done);
            }
            Input::Admin(id, _) => {
                out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
            }
        }
        if self.since_snapshot >= self.config.limits.snapshot_entries {
            self.take_snapshot(out);
        }
        if let Some((time, _)) = self.due.first() {
            out.wake_at(*time);
        }
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn leader(&self) -> Option<NodeId> {
        None
    }
}

/// The asker.
impl MajorityVote {
    fn on_request(&mut self, now: Time, id: RequestId, request: Request, out: &mut Output<Self>) {
        let operations = match request {
            Request::OpenSession { nonce } => {
                let name = digest::of(&(self.config.node, nonce));
                return out.reply_at_once(id, Reply::Session(SessionId(name)));
            }
            Request::Execute(command) => command.operations,
        };
        let Ok([operation]) = <[Operation; 1]>::try_from(operations) else {
            return out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
        };
        if self.open.len() >= self.config.limits.queue {
            out.observe(Observation::Refused);
            return out.reply_at_once(id, Reply::Failed(Failure::Overloaded));
        }
        match operation {
            Operation::Read(key) => self.ask_read(now, id, key, out),
            Operation::Cas(key, expected, _) if *self.kept.store.get(&key) != expected => {
                out.reply(id, Reply::Failed(Failure::CasMismatch { key }));
            }
            Operation::Cas(key, _, value) => {
                self.ask_write(now, id, Operation::Write(key, value), out);
            }
            write => self.ask_write(now, id, write, out),
        }
    }

    /// Agrees with itself first: it applies the write before it asks, as every node does that agrees.
    fn ask_write(&mut self, now: Time, id: RequestId, write: Operation, out: &mut Output<Self>) {
        match self.apply(self.config.node, self.next_question(), self.settled_below(), &write, out)
        {
            Ok(results) => self.ask(now, id, Subject::Write(write, results), Vote::Agree, out),
            Err(failure) => out.reply(id, Reply::Failed(failure)),
        }
    }

    fn ask_read(&mut self, now: Time, id: RequestId, key: Key, out: &mut Output<Self>) {
        let own = Vote::Holds(self.kept.store.get(&key).clone());
        self.ask(now, id, Subject::Read(key), own, out);
    }

    /// Puts a question to all peers. They need not wait for this node's disk: only the client's answer does.
    fn ask(
        &mut self,
        now: Time,
        request: RequestId,
        subject: Subject,
        own: Vote,
        out: &mut Output<Self>,
    ) {
        let question = self.next_question();
        out.broadcast_at_once(subject.message(question, self.settled_below()));
        self.asked += 1;
        let votes = BTreeMap::from([(self.config.node, own)]);
        let deadline = now.after(self.config.timing.request);
        let due = now.after(self.config.timing.resend).min(deadline);
        self.due.insert((due, question.number));
        self.open.insert(question.number, Question { request, subject, votes, deadline, due });
        self.settle_if_decided(question.number, out);
    }

    /// Counts a vote. One that comes late, twice, or for an earlier incarnation, changes nothing.
    fn on_vote(&mut self, from: NodeId, question: QuestionId, vote: Vote, out: &mut Output<Self>) {
        if question.incarnation != self.config.incarnation {
            return;
        }
        if let Some(open) = self.open.get_mut(&question.number) {
            open.votes.entry(from).or_insert(vote);
            self.settle_if_decided(question.number, out);
        }
    }

    fn settle_if_decided(&mut self, number: u64, out: &mut Output<Self>) {
        let decided = self.open.get(&number).and_then(|question| question.tally(&self.config));
        if let Some(reply) = decided {
            self.settle(number, reply, out);
        }
    }

    fn settle(&mut self, number: u64, reply: Reply, out: &mut Output<Self>) {
        if let Some(question) = self.open.remove(&number) {
            self.due.remove(&(question.due, number));
            out.reply(question.request, reply);
        }
    }

    /// Gives up the questions whose time is over, and puts the others that are due again to whoever is silent.
    fn on_wake(&mut self, now: Time, out: &mut Output<Self>) {
        while let Some(&(time, number)) = self.due.first()
            && time <= now
        {
            self.due.pop_first();
            match self.open.get(&number) {
                Some(question) if question.deadline > now => self.ask_again(now, number, out),
                _ => self.settle(number, Reply::Failed(Failure::Unknown), out),
            }
        }
    }

    fn ask_again(&mut self, now: Time, number: u64, out: &mut Output<Self>) {
        let settled_below = self.settled_below();
        let Some(question) = self.open.get_mut(&number) else { return };
        let id = QuestionId { incarnation: self.config.incarnation, number };
        let message = question.subject.message(id, settled_below);
        for peer in self.config.peers().filter(|peer| !question.votes.contains_key(peer)) {
            out.send_at_once(peer, message.clone());
        }
        question.due = now.after(self.config.timing.resend).min(question.deadline);
        self.due.insert((question.due, number));
    }

    fn next_question(&self) -> QuestionId {
        QuestionId { incarnation: self.config.incarnation, number: self.asked }
    }

    /// No question below this one waits for votes.
    fn settled_below(&self) -> u64 {
        self.open.first_key_value().map_or(self.asked, |(number, _)| *number)
    }
}

/// The node that is asked.
impl MajorityVote {
    fn on_message(&mut self, from: NodeId, message: Message, out: &mut Output<Self>) {
        match message {
            Message::Ask { question, settled_below, operation } => {
                self.on_ask(from, question, settled_below, &operation, out);
            }
            Message::Query { question, key } => {
                let value = self.kept.store.get(&key).clone();
                out.send(from, Message::Answer { question, value });
            }
            Message::Agree { question } => self.on_vote(from, question, Vote::Agree, out),
            Message::Refuse { question } => self.on_vote(from, question, Vote::Refuse, out),
            Message::Answer { question, value } => {
                self.on_vote(from, question, Vote::Holds(value), out);
            }
        }
    }

    /// Agrees, and applies the write at once, unless it did so already.
    fn on_ask(
        &mut self,
        from: NodeId,
        question: QuestionId,
        settled_below: u64,
        operation: &Operation,
        out: &mut Output<Self>,
    ) {
        let known = self.kept.agreed.entry(from).or_default();
        known.hear(question.incarnation, settled_below);
        let vote = if known.numbers.contains(&question.number) {
            Message::Agree { question }
        } else if known.is_over(question) {
            // A late copy: nobody waits for the vote, and whether the write was applied is no longer known here.
            return;
        } else if self.apply(from, question, settled_below, operation, out).is_ok() {
            Message::Agree { question }
        } else {
            Message::Refuse { question }
        };
        out.send(from, vote);
    }

    /// Applies a write and logs it. One that fails leaves no trace.
    fn apply(
        &mut self,
        asker: NodeId,
        question: QuestionId,
        settled_below: u64,
        operation: &Operation,
        out: &mut Output<Self>,
    ) -> Result<Vec<Value>, Failure> {
        let record = Record { asker, question, settled_below, operation: operation.clone() };
        let results = self.kept.apply(&record)?;
        self.since_snapshot += 1;
        out.append(record);
        out.observe(Observation::Applied { slot: self.kept.position - 1, commands: 1 });
        Ok(results)
    }

    /// The store is the snapshot; every record so far is then dropped.
    fn take_snapshot(&mut self, out: &mut Output<Self>) {
        let snapshot = Snapshot { data: digest::encode(&self.kept) };
        let keep_from = Position(self.kept.position);
        out.snapshot = Some(SaveSnapshot { snapshot, keep_from });
        out.observe(Observation::Snapshot {
            slot: self.kept.position.saturating_sub(1),
            installed: false,
        });
        self.since_snapshot = 0;
    }
}

impl Subject {
    fn message(&self, question: QuestionId, settled_below: u64) -> Message {
        match self {
            Self::Write(operation, _) => {
                Message::Ask { question, settled_below, operation: operation.clone() }
            }
            Self::Read(key) => Message::Query { question, key: key.clone() },
        }
    }
}

impl Question {
    /// The answer to the client, if the votes suffice for one.
    fn tally(&self, config: &Config) -> Option<Reply> {
        match &self.subject {
            Subject::Write(_, results) => {
                let refused = self.count(|vote| matches!(vote, Vote::Refuse));
                if self.count(|vote| matches!(vote, Vote::Agree)) >= config.majority() {
                    Some(Reply::Results(results.clone()))
                } else if refused > config.members.len() - config.majority() {
                    // No majority can come any more, but some have applied the write.
                    Some(Reply::Failed(Failure::Unknown))
                } else {
                    None
                }
            }
            Subject::Read(_) => (self.votes.len() >= config.majority())
                .then(|| Reply::Results(vec![self.most_held(config.node)])),
        }
    }

    fn count(&self, which: impl Fn(&Vote) -> bool) -> usize {
        self.votes.values().filter(|vote| which(vote)).count()
    }

    /// The value that most answers hold; `node`'s own on a tie.
    fn most_held(&self, node: NodeId) -> Value {
        let mut holders: BTreeMap<&Value, usize> = BTreeMap::new();
        let mut own = &Value::Nil;
        for (voter, vote) in &self.votes {
            if let Vote::Holds(value) = vote {
                *holders.entry(value).or_default() += 1;
                if *voter == node {
                    own = value;
                }
            }
        }
        let most = holders.values().max();
        let mut winners = holders.iter().filter(|(_, count)| Some(*count) == most);
        match (winners.next(), winners.next()) {
            (Some((value, _)), None) => (*value).clone(),
            _ => own.clone(),
        }
    }
}

impl Kept {
    /// Carries out a record on the store, and remembers its question, so that a copy of it is known again.
    fn apply(&mut self, record: &Record) -> Result<Vec<Value>, Failure> {
        let results = self.store.transact(std::slice::from_ref(&record.operation))?;
        let known = self.agreed.entry(record.asker).or_default();
        known.hear(record.question.incarnation, record.settled_below);
        known.numbers.insert(record.question.number);
        self.position += 1;
        Ok(results)
    }

    fn replay(&mut self, position: Position, record: &Record) -> Result<(), Damaged> {
        if position.0 != self.position {
            return Err(Damaged(format!("record {} is missing", self.position)));
        }
        self.apply(record)
            .map(drop)
            .map_err(|failure| Damaged(format!("record {}: {failure}", position.0)))
    }

    fn decode(snapshot: &Snapshot) -> Result<Self, Damaged> {
        match postcard::take_from_bytes(&snapshot.data) {
            Ok((kept, [])) => Ok(kept),
            Ok((_, rest)) => Err(Damaged(format!("{} bytes follow the snapshot", rest.len()))),
            Err(error) => Err(Damaged(format!("the snapshot: {error}"))),
        }
    }
}

impl Agreed {
    /// Takes note of what the peer has settled, so that this does not grow without limit.
    fn hear(&mut self, incarnation: u64, settled_below: u64) {
        if incarnation > self.incarnation {
            *self = Self { incarnation, ..Self::default() };
        }
        if incarnation == self.incarnation && settled_below > self.settled_below {
            self.settled_below = settled_below;
            self.numbers = self.numbers.split_off(&settled_below);
        }
    }

    /// Whether nobody waits for a vote on the question any more.
    fn is_over(&self, question: QuestionId) -> bool {
        question.incarnation < self.incarnation || question.number < self.settled_below
    }
}
