//! The two phases of a node's own operations, and what its clients are told.

use super::{Abd, Message, OperationId, Out, Record, Timestamp};
use crate::core::{Config, NodeId};
use crate::core::{Observation, Position, RequestId, Time};
use crate::machine::{Failure, Key, Operation, Reply, Request, SessionId, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The operations of a node that wait for a majority.
#[derive(Debug, Default)]
pub(super) struct Asker {
    /// Operations begun in this incarnation.
    begun: u64,
    /// Sessions opened in this incarnation.
    sessions: u64,
    /// At most `limits.queue`.
    open: BTreeMap<u64, Open>,
    /// When each of them is due for a resend or for giving up.
    due: BTreeSet<(Time, u64)>,
}

/// An operation that waits for a majority.
#[derive(Debug)]
struct Open {
    request: RequestId,
    key: Key,
    phase: Phase,
    /// When to give up.
    deadline: Time,
    /// Its entry in `due`.
    due: Time,
}

#[derive(Debug)]
enum Phase {
    /// Phase 1.
    Query {
        /// What to write; `None` to read.
        write: Option<Value>,
        /// The timestamp that each node has reported.
        reports: BTreeMap<NodeId, Timestamp>,
        /// The highest of them, and for a read its value.
        newest: (Timestamp, Value),
    },
    /// Phase 2.
    Store {
        timestamp: Timestamp,
        value: Value,
        /// Who holds it, or something newer.
        acks: BTreeSet<NodeId>,
        /// What the client will be told.
        result: Value,
    },
}

/// What a node tells itself once its disk holds it.
#[derive(Debug)]
pub(super) enum OwnVote {
    /// What it has held when the operation of that number began.
    Report(u64, Timestamp, Option<Value>),
    /// It holds what the operation of that number stores.
    Ack(u64),
}

impl Asker {
    /// When something is due.
    pub(super) fn wake_at(&self) -> Option<Time> {
        self.due.first().map(|(time, _)| *time)
    }

    /// A name that no session of any node has had: it holds the node, its incarnation and a count.
    fn open_session(&mut self, config: &Config) -> SessionId {
        self.sessions += 1;
        let low = |number: u64| number & ((1 << 26) - 1);
        let node = u64::from(config.node.0) << 52;
        SessionId(node | low(config.incarnation) << 26 | low(self.sessions))
    }
}

impl Phase {
    fn message(&self, operation: OperationId, key: &Key) -> Message {
        let key = key.clone();
        match self {
            Self::Query { write, .. } => {
                Message::Query { operation, key, wants_value: write.is_none() }
            }
            Self::Store { timestamp, value, .. } => {
                let (timestamp, value) = (*timestamp, value.clone());
                Message::Store { operation, key, timestamp, value }
            }
        }
    }

    fn has_heard(&self, node: NodeId) -> bool {
        match self {
            Self::Query { reports, .. } => reports.contains_key(&node),
            Self::Store { acks, .. } => acks.contains(&node),
        }
    }
}

impl Abd {
    pub(super) fn on_request(&mut self, now: Time, id: RequestId, request: Request, out: &mut Out) {
        let command = match request {
            Request::OpenSession { .. } => {
                let session = self.asker.open_session(&self.config);
                return out.reply_at_once(id, Reply::Session(session));
            }
            Request::Execute(command) => command,
        };
        let (key, write) = match <[Operation; 1]>::try_from(command.operations) {
            Ok([Operation::Read(key)]) => (key, None),
            Ok([Operation::Write(key, value)]) => (key, Some(value)),
            _ => return out.reply_at_once(id, Reply::Failed(Failure::Unsupported)),
        };
        let queue = self.config.limits.queue;
        if self.asker.open.len() >= queue || self.registers.journal.waiting() >= queue {
            out.observe(Observation::Refused);
            return out.reply_at_once(id, Reply::Failed(Failure::Overloaded));
        }
        self.query(now, id, key, write, out);
    }

    /// Begins phase 1.
    fn query(
        &mut self,
        now: Time,
        request: RequestId,
        key: Key,
        write: Option<Value>,
        out: &mut Out,
    ) {
        self.asker.begun += 1;
        let number = self.asker.begun;
        let (timestamp, value) = self.registers.get(&key);
        let own = OwnVote::Report(number, timestamp, write.is_none().then(|| value.clone()));
        let newest = (Timestamp::NEVER, Value::Nil);
        let phase = Phase::Query { write, reports: BTreeMap::new(), newest };
        out.broadcast_at_once(phase.message(self.operation(number), &key));
        let deadline = now.after(self.config.timing.request);
        let due = now.after(self.config.timing.resend).min(deadline);
        self.asker.due.insert((due, number));
        self.asker.open.insert(number, Open { request, key, phase, deadline, due });
        self.vote(own, out);
    }

    fn operation(&self, number: u64) -> OperationId {
        OperationId { incarnation: self.config.incarnation, number }
    }

    /// This node's own vote counts once its disk holds what it rests on.
    fn vote(&mut self, vote: OwnVote, out: &mut Out) {
        if let Some(vote) = self.registers.journal.when_durable(vote) {
            self.count_own(vote, out);
        }
    }

    fn count_own(&mut self, vote: OwnVote, out: &mut Out) {
        let node = self.config.node;
        match vote {
            OwnVote::Report(number, timestamp, value) => {
                self.on_report(node, number, timestamp, value, out);
            }
            OwnVote::Ack(number) => self.on_ack(node, number, out),
        }
    }

    pub(super) fn on_persisted(&mut self, position: Position, out: &mut Out) {
        self.registers.journal.persisted(position);
        while let Some(vote) = self.registers.journal.next_vote() {
            self.count_own(vote, out);
        }
    }

    /// Counts a report. One that comes late or twice changes nothing.
    pub(super) fn on_report(
        &mut self,
        from: NodeId,
        number: u64,
        timestamp: Timestamp,
        value: Option<Value>,
        out: &mut Out,
    ) {
        let Some(open) = self.asker.open.get_mut(&number) else { return };
        let Phase::Query { reports, newest, .. } = &mut open.phase else { return };
        reports.insert(from, timestamp);
        if timestamp > newest.0 {
            *newest = (timestamp, value.unwrap_or_default());
        }
        if reports.len() >= self.config.majority() {
            self.end_query(number, out);
        }
    }

    /// A majority has reported: writes get their timestamp, and reads know what they have found.
    fn end_query(&mut self, number: u64, out: &mut Out) {
        let writer = self.config.node;
        let operation = self.operation(number);
        let Some(open) = self.asker.open.get_mut(&number) else { return };
        let Phase::Query { write, reports, newest: (highest, found) } = &mut open.phase else {
            return;
        };
        if let Some(value) = write.take() {
            let timestamp = Timestamp { counter: highest.counter + 1, writer, operation };
            return self.store(number, timestamp, value, BTreeSet::new(), Value::Nil, out);
        }
        let holds =
            |(node, reported): (&NodeId, &Timestamp)| (reported == highest).then_some(*node);
        let holders: BTreeSet<_> = reports.iter().filter_map(holds).collect();
        let (highest, found) = (*highest, std::mem::take(found));
        if holders.len() >= self.config.majority() || !self.reads_write_back {
            return self.settle(number, Reply::Results(vec![found]), out);
        }
        self.store(number, highest, found.clone(), holders, found, out);
    }

    /// Begins phase 2, with those who hold the value already.
    fn store(
        &mut self,
        number: u64,
        timestamp: Timestamp,
        value: Value,
        acks: BTreeSet<NodeId>,
        result: Value,
        out: &mut Out,
    ) {
        let operation = self.operation(number);
        let Some(open) = self.asker.open.get_mut(&number) else { return };
        let record = Record { key: open.key.clone(), timestamp, value: value.clone() };
        open.phase = Phase::Store { timestamp, value, acks, result };
        open.send(operation, &self.config, out);
        self.registers.store(record, out);
        self.vote(OwnVote::Ack(number), out);
    }

    pub(super) fn on_ack(&mut self, from: NodeId, number: u64, out: &mut Out) {
        let Some(open) = self.asker.open.get_mut(&number) else { return };
        let Phase::Store { acks, result, .. } = &mut open.phase else { return };
        acks.insert(from);
        if acks.len() >= self.config.majority() {
            let result = std::mem::take(result);
            self.settle(number, Reply::Results(vec![result]), out);
        }
    }

    /// At once: the answer rests on the disks of a majority, and this node's own counted only once it was written.
    fn settle(&mut self, number: u64, reply: Reply, out: &mut Out) {
        if let Some(open) = self.asker.open.remove(&number) {
            self.asker.due.remove(&(open.due, number));
            out.reply_at_once(open.request, reply);
        }
    }

    /// Gives up the operations whose time is over, and asks again for the others that are due.
    pub(super) fn on_wake(&mut self, now: Time, out: &mut Out) {
        while let Some(&(time, number)) = self.asker.due.first()
            && time <= now
        {
            self.asker.due.pop_first();
            let operation = self.operation(number);
            let Some(open) = self.asker.open.get_mut(&number) else { continue };
            if open.deadline <= now {
                let failure = open.failure();
                self.settle(number, Reply::Failed(failure), out);
                continue;
            }
            open.send(operation, &self.config, out);
            open.due = now.after(self.config.timing.resend).min(open.deadline);
            self.asker.due.insert((open.due, number));
        }
    }
}

impl Open {
    /// Sends what the phase asks to all peers that have not answered it.
    fn send(&self, operation: OperationId, config: &Config, out: &mut Out) {
        let message = self.phase.message(operation, &self.key);
        for peer in config.peers().filter(|peer| !self.phase.has_heard(*peer)) {
            out.send_at_once(peer, message.clone());
        }
    }

    /// What is known of an operation that is given up.
    fn failure(&self) -> Failure {
        match self.phase {
            Phase::Query { .. } => Failure::NoLeader,
            Phase::Store { .. } => Failure::Unknown,
        }
    }
}
