//! The multi-writer atomic register: reads and writes that a majority makes linearizable, without consensus.
//!
//! Source: H. Attiya, A. Bar-Noy and D. Dolev, "Sharing Memory Robustly in Message-Passing Systems", JACM 42(1) (1995),
//! sections 3 and 4; with several writers: N. Lynch and A. Shvartsman, "Robust Emulation of Shared Memory Using Dynamic
//! Quorum-Acknowledged Broadcasts", FTCS (1997), whose two phases are *query* and *propagation*. One register a key;
//! any node carries out the operations of its clients.
//!
//! | message  | from, to         | when                                                                              |
//! |----------|------------------|-----------------------------------------------------------------------------------|
//! | `query`  | asker to peers   | phase 1 of a read and of a write; at once                                         |
//! | `report` | peer to asker    | always, once durable: its timestamp, for a read its value too                     |
//! | `store`  | asker to peers   | phase 2: a write's value with a higher timestamp, or what a read found; at once   |
//! | `ack`    | peer to asker    | the peer's timestamp is this one or higher, and durable                           |
//!
//! The asker counts itself, but like any peer only once its own disk holds what it says. Each phase ends with a
//! majority. `query` and `store` go out again to whoever has not answered within `resend`.
//!
//! Invariants
//! * A node's timestamp of a key never falls, also across restarts, and one timestamp names one value: it holds a
//!   counter, the writer, and the writer's incarnation and operation, which no other operation shares.
//! * After an operation on a timestamp is answered, a majority holds that timestamp or a higher one durably.
//! * A write's timestamp is above that of every operation answered before the write began, as two majorities share a
//!   node. So operations in the order of their timestamps, each write before the reads of its value, are a
//!   linearization.
//!
//! A read skips phase 2 if a majority has reported the highest timestamp that it found. Phase 2 is there to make the
//! second invariant true, and it is true then already: `report` says what is durable. Where fewer have reported it,
//! `store` goes only to the others, and those who have reported it count as if they had acknowledged it.
//!
//! Cost, of `n` nodes without faults: a write takes 4(n - 1) messages, 4 message delays and n syncs, of which a
//! majority is waited for; a read takes 2(n - 1) messages, 2 delays and no sync, and as much as a write if the nodes
//! differ.
//!
//! What clients are told: an operation that has no majority within `request` fails as `no-leader`, the contract's word
//! for "not proposed in time", while it queries: nothing of it was stored anywhere, and nothing will be. From a write's
//! first `store` on it fails as `unknown`, and may take effect later, when a read finds the value at one node. A read
//! in its second phase is `unknown` as well.
//!
//! Bounds: a value, a timestamp and no history a key; a snapshot every `snapshot_entries` records; at most `queue`
//! operations and own votes.
//!
//! Absent, and what follows:
//! * consensus: a register without it cannot compare and set (Herlihy, "Wait-Free Synchronization", 1991), nor tell
//!   what a delete removed. `cas`, `delete`, `append`, `add`, `insert` and transactions are refused before anything
//!   happens;
//! * sessions: a request that its *client* sends again is another write. A session is a name that no two share;
//! * ballots, slots and a log of decisions: nothing here promises or accepts, so messages and records claim nothing,
//!   and the white-box invariants about slots have nothing to look at;
//! * catching up: a node that missed a write learns it from a later write or read of that key, and needs no more, since
//!   its report counts as one of a majority.

mod asker;
mod registers;

use super::Variant;
use super::cost::{Asked, At, Cost, NONE, formula};
use crate::core::{
    self, Admin, Config, Core, Damaged, Input, NodeId, Observation, Output, Position, Role,
    Snapshot, Time,
};
use crate::machine::{Capabilities, Failure, Key, Reply, Value};
use asker::Asker;
use registers::Registers;
use serde::{Deserialize, Serialize};

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "abd",
    summary: "a multi-writer atomic register a key: reads and writes by majority, without consensus",
    paper: "Attiya, Bar-Noy, Dolev, \"Sharing Memory Robustly in Message-Passing Systems\" (JACM 1995); \
            several writers: Lynch, Shvartsman (FTCS 1997)",
    params: &[(
        "snapshot-entries=20000",
        "with real processes: records after which a node takes a snapshot and drops its log before it",
    )],
    capabilities: Abd::CAPABILITIES,
    quorums: "more than n/2 report; more than n/2 store",
    survives: "(n - 1)/2 nodes down or cut off, any loss, delay and reordering of messages, clocks that are wrong",
    costs: &[
        Cost {
            asked: Asked::Write,
            at: At::Any,
            messages: formula("4(n - 1)", |n| 4 * (n - 1)),
            delays: formula("4", |_| 4),
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

/// Names an operation of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OperationId {
    /// The node's incarnation.
    pub incarnation: u64,
    /// Counts the node's operations in that incarnation.
    pub number: u64,
}

/// When a value was written: timestamps are totally ordered, and no two writes share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp {
    /// One more than the highest that the write found.
    pub counter: u64,
    /// Who wrote.
    pub writer: NodeId,
    /// Which of the writer's operations it was: two of them may have found the same counter.
    pub operation: OperationId,
}

impl Timestamp {
    /// Of a key that was never written; below all others.
    pub const NEVER: Self = Self {
        counter: 0,
        writer: NodeId(0),
        operation: OperationId { incarnation: 0, number: 0 },
    };
}

/// What the nodes say to each other; see the table above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// What does the peer hold?
    Query {
        /// Who asks this.
        operation: OperationId,
        /// Of which key.
        key: Key,
        /// Whether the value is wanted, too.
        wants_value: bool,
    },
    /// What the peer holds, durably.
    Report {
        /// The operation that asked.
        operation: OperationId,
        /// The timestamp.
        timestamp: Timestamp,
        /// The value, where it was wanted.
        value: Option<Value>,
    },
    /// Hold this, unless what you hold is newer.
    Store {
        /// Who asks this.
        operation: OperationId,
        /// The key.
        key: Key,
        /// The value's timestamp.
        timestamp: Timestamp,
        /// The value.
        value: Value,
    },
    /// The peer holds that, or something newer, durably.
    Ack {
        /// The operation that asked.
        operation: OperationId,
    },
}

impl core::Message for Message {
    const KINDS: &'static [&'static str] = &["query", "report", "store", "ack"];

    fn kind(&self) -> &'static str {
        match self {
            Self::Query { .. } => "query",
            Self::Report { .. } => "report",
            Self::Store { .. } => "store",
            Self::Ack { .. } => "ack",
        }
    }
}

/// A value that this node has stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The key.
    pub key: Key,
    /// The value's timestamp.
    pub timestamp: Timestamp,
    /// The value.
    pub value: Value,
}

/// One node.
#[derive(Debug)]
pub struct Abd {
    config: Config,
    registers: Registers,
    asker: Asker,
    /// Whether a read makes sure that a majority holds what it answers. Without that, a later read may answer something
    /// older: such a register is called *regular* (Lamport, "On Interprocess Communication", 1986).
    pub(crate) reads_write_back: bool,
}

type Out = Output<Abd>;

impl Core for Abd {
    type Message = Message;
    type Record = Record;

    const CAPABILITIES: Capabilities = Capabilities {
        cas: false,
        collections: false,
        transactions: false,
        sessions: false,
        membership: false,
        linearizable: true,
        leader: false,
        survives: |nodes| nodes.saturating_sub(1) / 2,
    };

    fn recover(
        config: Config,
        _now: Time,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
        out: &mut Out,
    ) -> Result<Self, Damaged> {
        let registers = Registers::recover(snapshot, records)?;
        out.observe(Observation::Role { role: Role::Peer, ballot: 0 });
        Ok(Self { config, registers, asker: Asker::default(), reads_write_back: true })
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Out) {
        match input {
            Input::Request(id, request) => self.on_request(now, id, request, out),
            Input::Message(from, message) => self.on_message(from, message, out),
            Input::Wake => self.on_wake(now, out),
            Input::Persisted(position) => self.on_persisted(position, out),
            Input::Admin(id, Admin::Snapshot) => {
                self.registers.take_snapshot(out);
                out.reply(id, Reply::Done);
            }
            Input::Admin(id, _) => {
                out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
            }
        }
        self.registers.snapshot_if_due(self.config.limits.snapshot_entries, out);
        if let Some(time) = self.asker.wake_at() {
            out.wake_at(time);
        }
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn leader(&self) -> Option<NodeId> {
        None
    }
}

impl Abd {
    fn on_message(&mut self, from: NodeId, message: Message, out: &mut Out) {
        match message {
            Message::Query { operation, key, wants_value } => {
                let (timestamp, value) = self.registers.get(&key);
                let value = wants_value.then(|| value.clone());
                out.send(from, Message::Report { operation, timestamp, value });
            }
            Message::Store { operation, key, timestamp, value } => {
                self.registers.store(Record { key, timestamp, value }, out);
                out.send(from, Message::Ack { operation });
            }
            // Answers to an earlier incarnation are about operations that died with it.
            Message::Report { operation, timestamp, value } => {
                if operation.incarnation == self.config.incarnation {
                    self.on_report(from, operation.number, timestamp, value, out);
                }
            }
            Message::Ack { operation } => {
                if operation.incarnation == self.config.incarnation {
                    self.on_ack(from, operation.number, out);
                }
            }
        }
    }
}
