//! The synod of single-decree Paxos, one instance a key and version: registers that change, without a log and a leader.
//!
//! Source: L. Lamport, "Paxos Made Simple" (2001), section 2, for prepare, promise, accept and accepted; D. Rystsov,
//! "CASPaxos: Replicated State Machines without logs" (2018, arXiv 1802.07000), section 2, for values that change. A
//! proposer prepares, takes the state that was accepted in the highest ballot, applies its clients' commands to it (the
//! *change function*) and proposes the outcome, the next version, in its ballot. Any node proposes for its clients.
//!
//! | message    | from, to              | when                                                                       |
//! |------------|-----------------------|----------------------------------------------------------------------------|
//! | `prepare`  | proposer to peers     | phase 1a; at once, since no ballot of another node or incarnation is equal |
//! | `promise`  | acceptor to proposer  | phase 1b, once durable: what it accepted last, if the proposer lacks it    |
//! | `accept`   | proposer to peers     | phase 2a; at once                                                          |
//! | `accepted` | acceptor to proposer  | phase 2b, once durable                                                     |
//! | `rejected` | acceptor to proposer  | it has promised a higher ballot, which it tells                            |
//! | `query`    | reader to peers       | what have you accepted last? No ballot, no promise; at once                |
//! | `report`   | acceptor to reader    | that, once durable                                                         |
//!
//! A proposer counts its own acceptor, but like any other only once its disk holds what it says. Whoever has not
//! answered within `resend` is asked again. After `rejected` a proposer waits for a random time, longer with each
//! conflict, and tries a higher ballot; until then it still counts what comes.
//!
//! All requests of one node for one key are under way in one attempt at a time: what waits when phase 1 ends is applied
//! in one proposal, in order of arrival. Different keys have nothing to do with each other.
//!
//! Invariants, for each key
//! * A ballot is used for one attempt: a round holds a count and the node's incarnation, and the count is above every
//!   ballot that the own acceptor has promised, so above the node's own.
//! * An acceptor promises and accepts only ballots that are not below its promise, durably before it says so.
//! * If a state is accepted by a majority in ballot b, every proposal above b descends from it (P2 of "Paxos Made
//!   Simple"): its proposer was promised by a majority, one of whom reported b or a later descendant.
//! * A command takes effect once: the state holds the answers to the requests of its last sessions at or above their
//!   watermarks, so a copy that any node proposes again finds its answer. A session that the state has dropped lies at
//!   or below its *floor*, and is refused from then on.
//!
//! Phase 2 is skipped if nothing changes: a majority reports the same accepted ballot b, the state that answers is that
//! of b (a proposer may be ahead of all who have promised), and all that it answers are reads and copies that came
//! before the question was sent. The state of b is decided, since a majority has accepted it. No write that was
//! answered before the question is missing in it: a majority had accepted that in some b', one node of that majority
//! reported b, an acceptor's accepted ballot never falls, so b >= b'. And nobody will read anything older, for a later
//! majority has a node in common with the one that accepted b. No promise plays a part in this, so reads begin with a
//! `query`, which promises and writes nothing, and only those that find the nodes divided go on with a ballot.
//!
//! Sessions are named by a register of its own, a counter that the same protocol changes. A later session has a higher
//! name.
//!
//! Cost, of `n` nodes without faults: a write takes 4(n - 1) messages, 4 message delays, and 2n syncs, for a promise
//! and an acceptance at each node; a read takes 2(n - 1) messages, 2 delays and no sync, and as much as a write beside
//! that if the nodes are divided.
//!
//! What clients are told: a request that was in no `accept` when its time is over fails as `no-leader`, the contract's
//! word for "not proposed in time"; any other as `unknown`, and so does every refusal of one attempt after an earlier
//! one.
//!
//! Bounds: one state a key, with the answers of [`state::SESSIONS`] sessions; a snapshot every `snapshot_entries`
//! records; `queue` requests and own votes; `batch_commands` requests a proposal. A key's state has to fit into a
//! message, and each version of it is written whole.
//!
//! Absent, and what follows:
//! * a leader, so the one round trip of those who have one: conflicting proposers of a key delay each other, and only
//!   random waiting ends that;
//! * the one-round-trip optimization of CASPaxos (section 2.2.1), which sends the next `prepare` with `accept`;
//! * slots: versions are counted for each key, and an acceptor promises each key for itself. Messages and records claim
//!   nothing, since the claims that the white-box invariants compare are about one promise a node, and one global log;
//! * transactions on several keys: refused before anything happens. Several operations on one key are one change;
//! * deletion of registers (CASPaxos, section 3.1): a key that holds nil keeps its ballots and its sessions;
//! * catching up: a node that missed a version is one of a minority, whom every proposal and every divided read
//!   repairs.

mod acceptor;
mod attempt;
mod message;
mod proposer;
pub mod state;

pub use message::{Message, Query, Record, Register};

use super::Variant;
use super::cost::{Asked, At, Cost, NONE, formula};
use crate::core::{
    Admin, Config, Core, Damaged, Input, NodeId, Observation, Output, Position, Role, Snapshot,
    Time,
};
use crate::machine::{Capabilities, Failure, Reply};
use acceptor::Acceptors;
use proposer::Proposers;

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "paxos",
    summary: "single-decree Paxos, one instance a key and version (CASPaxos): no log, no leader",
    paper: "Lamport, \"Paxos Made Simple\" (2001), section 2; \
            Rystsov, \"CASPaxos\" (2018, arXiv 1802.07000), section 2",
    params: &[(
        "snapshot-entries=20000",
        "with real processes: records after which a node takes a snapshot and drops its log before it",
    )],
    capabilities: Paxos::CAPABILITIES,
    quorums: "more than n/2 promise; more than n/2 accept; more than n/2 report the same for a read",
    survives: "(n - 1)/2 nodes down or cut off, any loss, delay and reordering of messages, clocks that are wrong",
    costs: &[
        Cost {
            asked: Asked::Write,
            at: At::Any,
            messages: formula("4(n - 1)", |n| 4 * (n - 1)),
            delays: formula("4", |_| 4),
            syncs: formula("2n", |n| 2 * n),
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

/// One node: an acceptor, and a proposer for its clients.
#[derive(Debug)]
pub struct Paxos {
    config: Config,
    acceptors: Acceptors,
    proposers: Proposers,
}

type Out = Output<Paxos>;

impl Core for Paxos {
    type Message = Message;
    type Record = Record;

    const CAPABILITIES: Capabilities = Capabilities {
        cas: true,
        collections: true,
        transactions: false,
        sessions: true,
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
        let proposers = Proposers::new(&config)?;
        let acceptors = Acceptors::recover(snapshot, records)?;
        out.observe(Observation::Role { role: Role::Peer, ballot: 0 });
        Ok(Self { config, acceptors, proposers })
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Out) {
        match input {
            Input::Request(id, request) => self.on_request(now, id, request, out),
            Input::Message(from, message) => self.on_message(now, from, message, out),
            Input::Wake => self.on_wake(now, out),
            Input::Persisted(position) => self.on_persisted(now, position, out),
            Input::Admin(id, Admin::Snapshot) => {
                self.acceptors.take_snapshot(out);
                out.reply(id, Reply::Done);
            }
            Input::Admin(id, _) => {
                out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
            }
        }
        self.acceptors.snapshot_if_due(self.config.limits.snapshot_entries, out);
        if let Some(time) = self.proposers.wake_at() {
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

impl Paxos {
    fn on_message(&mut self, now: Time, from: NodeId, message: Message, out: &mut Out) {
        match message {
            Message::Prepare { register, ballot, known } => {
                let answer = self.acceptors.on_prepare(register, ballot, known, out);
                out.send(from, answer);
            }
            Message::Accept { register, ballot, state } => {
                let answer = self.acceptors.on_accept(register, ballot, state, out);
                out.send(from, answer);
            }
            Message::Query { register, query, known } => {
                out.send(from, self.acceptors.on_query(register, query, known));
            }
            Message::Promise { register, ballot, accepted, state } => {
                self.on_promise(now, from, &register, ballot, (accepted, state), out);
            }
            Message::Accepted { register, ballot } => {
                self.on_accepted(now, from, &register, ballot, out);
            }
            Message::Rejected { register, ballot, promised } => {
                self.on_rejected(now, &register, ballot, promised);
            }
            Message::Report { register, query, accepted, state } => {
                self.on_report(now, from, &register, query, (accepted, state), out);
            }
        }
    }

    /// Makes the acceptor of a key forget its promise, as if it held itself to none. For experiments only.
    pub(crate) fn forget_promise(&mut self, register: &Register) {
        self.acceptors.forget_promise(register);
    }
}
