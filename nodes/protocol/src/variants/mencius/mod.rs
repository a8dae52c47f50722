//! Mencius: a replicated log whose slots the servers own in turn, so that any of them serves its own clients.
//!
//! Source: Y. Mao, F. Junqueira, K. Marzullo, "Mencius: Building Efficient Replicated State Machines for WANs" (OSDI
//! 2008), section 4: simple consensus and Coordinated Paxos; rule 1 (an owner suggests in its slots in turn), 2 (it skips
//! what lies below another's suggestion), 3 (a suspected server's slots are revoked) and 4 (what was revoked is suggested
//! again); optimizations 1 and 2 (skips ride on acks and on later messages) and 3 (revocation in blocks).
//!
//! Slot `s` belongs to the member number `(s - 1) mod n`. Its owner alone may propose a request there, without phase 1;
//! anybody else may only *revoke* it: find in phase 1 what the owner may have proposed, else put a no-op. Hence the owner's
//! own no-op, a *skip*, is decided as soon as the owner holds itself to it. A server skips its unused slots below any slot
//! in which somebody else proposes, so that nobody waits for an idle one. Every server applies all slots in order, so
//! every request waits for a word of every owner, or for the revocation of those that are suspected.
//!
//! | message     | from, to               | when                                                                        |
//! |-------------|------------------------|-----------------------------------------------------------------------------|
//! | `suggest`   | owner to all           | at once, while its own acceptance is being written; the slot is reserved durably |
//! | `ack`       | acceptor to proposer   | it has accepted; durable. Says which own slots below it has skipped          |
//! | `learn`     | proposer to all        | a majority has accepted, and everybody who seems to live. Says which no-ops it knows below |
//! | `prepare`   | revoker to all         | the owner is suspected, or the log does not get on; its own promise is durable |
//! | `promise`   | acceptor to revoker    | it had promised nothing higher; durable. What it has accepted of that owner, in pages |
//! | `propose`   | revoker to all         | a majority has promised: what was reported, else a no-op; at once            |
//! | `refuse`    | acceptor to proposer   | it has promised a higher ballot, or knows the slot to be decided otherwise   |
//! | `heartbeat` | all to all             | every `heartbeat`: how far slots are in use, and which own ones were skipped; durable |
//! | `catch-up`  | learner to any         | it lacks decided values; asked again for each part                          |
//! | `decided`   | any to learner         | the values are still in memory                                              |
//! | `snapshot`  | any to learner         | they are not: a chunk of the state instead                                  |
//!
//! Cost, of `n` servers without faults: a request takes `3(n - 1)` messages (`suggest`, `ack`, `learn`), as the paper
//! counts; its client is answered after two delays, when *every* live server has acked, for the acks carry the skips; one
//! record a server. A batch of requests costs as much as one. Reads go through the log like writes. Idle, `n(n - 1)` messages
//! every `heartbeat`. A down server costs a `propose`, an `ack` and a `learn` a peer for each of its slots, beside one
//! phase 1 a block.
//!
//! # Invariants
//! * A slot is used by its owner once: for a skip, or for one suggestion of one incarnation. Suggestions stay below a
//!   durable reservation, and a restarted server goes on above it ([`Record::Reserved`]). For a suggestion leaves while its
//!   record is being written: a crash can lose the record and not the message, and a second value in the slot's initial ballot
//!   could then be chosen beside the first.
//! * A skip is told, and applied, once it is durable; it holds after a restart.
//! * A promise for an owner's slots never falls, whatever crashes; up to its last slot the owner's suggestions count no more.
//! * A revocation proposes in each slot the value of the highest ballot that a majority reports, a no-op if there is none,
//!   and nothing in slots that somebody of that majority has applied: those it fetches.
//! * One ballot proposes at most one value a slot. A learner takes a slot's value from its own log iff it accepted it in
//!   the ballot in which it was decided.
//! * The applied slots are a prefix; it only grows.
//! * Whatever is said of this server's disk is said after the disk has it (`Output::send`).
//!
//! # Decisions
//! * *Reservation* of [`Record::Reserved`] blocks, instead of a durable record before each `suggest`, which would cost every
//!   request a second sync in a row. What an earlier incarnation has left undecided is revoked by its owner itself, by
//!   ordinary phase 1, once it is in the way.
//! * *Channels* may lose, repeat and reorder, where the paper assumes FIFO ones. So skips are told by slot numbers, each
//!   `ack` names all that its receiver may lack, and heartbeats repeat them.
//! * *Learn* waits for everybody who seems to live, so that it can tell the skips of all (optimization 2) in one message;
//!   not longer than twice `resend`. The owner itself decides with a majority, as ever.
//! * *Suspicion.* A peer that was not heard for a random time is suspected. The first live server revokes its slots, in
//!   blocks of twice [`BETA`](revocation) slots ahead of those in use; any server does if its log does not get on for long.
//! * *Promises* are one ballot and one last slot an owner, not one a slot: promising more than was asked is always allowed.
//! * *Requests.* A request whose slot was revoked took surely no effect there: it is suggested again. `NoLeader` (no
//!   majority is heard) and `Overloaded` are answered to what was never suggested, or surely not chosen. What is under way
//!   for longer than `Timing::request`, or hidden in a peer's snapshot, is unknown.
//! * *Pipelining.* Up to `eager` slots are under way without waiting, however little is in them; beyond that only full
//!   batches, up to `Limits::pipeline` slots.
//!
//! # What watchers see
//! Ballots are numbered in three classes ([`slots`]). A skip is an acceptance in the lowest, which its owner decides alone
//! ([`Core::decides`]). Promises are for slots of one owner, so there is no [`Core::promised_ballot`], and `promise` claims
//! nothing.
//!
//! # Absent
//! Out-of-order commit of requests that commute: every variant here applies in slot order. Accelerators with
//! timers of their own: heartbeats do. Changes of membership, and leases.

mod acceptor;
mod catch_up;
mod learner;
mod log;
mod message;
mod owner;
mod revocation;
mod slots;
mod storage;

pub use message::{Bound, Message, Proposal, Record, Run};
pub use storage::Head;

use super::Variant;
use super::cost::{Asked, At, Cost, formula};
use crate::core::{
    Admin, Claim, Config, Core, Damaged, Input, NodeId, Observation, Output, Position, RequestId,
    Role, Snapshot, Time,
};
use crate::machine::{Capabilities, Failure, Machine, Reply, Request};
use crate::replication::{Ballot, Requests, Slot, Source};
use catch_up::CatchUp;
use log::Log;
use owner::{Reservation, Suggestions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use revocation::Revoker;
use slots::Owners;
use std::collections::BTreeMap;
use std::time::Duration;
use storage::Journal;

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "mencius",
    summary: "Mencius: the servers take turns as the leader of a slot, and skip those that they do not need",
    paper: "Mao, Junqueira, Marzullo, Mencius (OSDI 2008)",
    params: &[
        (
            "eager=4",
            "slots that a server may have under way before requests wait for a full batch: more for latency over slow \
             links, fewer for less CPU",
        ),
        (
            "snapshot-entries=20000",
            "with real processes: decided entries after which a node takes a snapshot and drops its log before it",
        ),
    ],
    capabilities: Mencius::CAPABILITIES,
    quorums: "more than n/2 accept; the owner alone skips; more than n/2 promise a revocation",
    survives: "(n - 1)/2 nodes down or cut off, but each failure delays everybody until it is suspected; any number \
               of restarts, message loss, delay, duplication and reordering; clocks that are wrong",
    costs: &[cost(Asked::Write), cost(Asked::Read)],
};

/// `suggest`, `ack` and `learn`, to and from every peer, and a record at every server.
const fn cost(asked: Asked) -> Cost {
    Cost {
        asked,
        at: At::Any,
        messages: formula("3(n - 1)", |n| 3 * (n - 1)),
        delays: formula("2", |_| 2),
        syncs: formula("n", |n| n),
    }
}

/// One server.
#[derive(Debug)]
pub struct Mencius {
    config: Config,
    owners: Owners,
    random: ChaCha8Rng,
    now: Time,

    /// Acceptor: what was promised for the slots of each owner. Durable before anybody learns of it.
    bounds: BTreeMap<NodeId, Bound>,
    /// Acceptor and learner: what was accepted and decided, and how far it is applied.
    log: Log,
    journal: Journal,

    /// Learner: the state after every applied slot.
    machine: Machine,
    catch_up: CatchUp,
    source: Option<Source>,
    /// The last slot of which something else than a no-op is known: whatever lies below has to be decided.
    seen: Slot,

    /// Owner.
    suggestions: Suggestions,
    reservation: Reservation,
    requests: Requests<()>,
    eager: usize,

    /// Who revokes what.
    revoker: Revoker,
    /// When each peer was heard last.
    heard: BTreeMap<NodeId, Time>,
    /// A peer that was not heard for so long is suspected.
    patience: Duration,
    tick_at: Time,
    /// How many servers, this one included, must accept a proposal before it is decided.
    pub(crate) quorum: usize,
}

type Out = Output<Mencius>;

impl Core for Mencius {
    type Message = Message;
    type Record = Record;

    const CAPABILITIES: Capabilities = Capabilities {
        cas: true,
        collections: true,
        transactions: true,
        sessions: true,
        membership: false,
        linearizable: true,
        leader: false,
        survives: |nodes| nodes.saturating_sub(1) / 2,
    };

    fn recover(
        config: Config,
        now: Time,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
        out: &mut Out,
    ) -> Result<Self, Damaged> {
        let eager = eager(&config)?;
        let owners = Owners::new(&config);
        let kept = storage::Kept::recover(&config, |slot| owners.of(slot), snapshot, records)?;
        let hole = kept.hole;
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        let timing = config.timing;
        let patience = random_duration(&mut random, timing.election_min, timing.election_max);
        let mut server = Self {
            eager,
            random,
            now,
            suggestions: Suggestions::new(&config),
            reservation: Reservation::recovered(kept.reserved),
            requests: Requests::new(&config),
            revoker: Revoker::default(),
            heard: config.peers().map(|peer| (peer, now)).collect(),
            patience,
            tick_at: now.after(timing.heartbeat),
            quorum: config.majority(),
            bounds: kept.bounds,
            log: kept.log,
            journal: kept.journal,
            machine: kept.machine,
            catch_up: CatchUp::default(),
            source: None,
            seen: Slot(0),
            owners,
            config,
        };
        out.observe(Observation::Role { role: Role::Peer, ballot: 0 });
        server.recover_position();
        server.reserve_ahead(out);
        if hole {
            server.save_snapshot(out); // Or the records to come would lie behind the hole, too.
        }
        out.wake_at(server.tick_at);
        Ok(server)
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Out) {
        self.now = now;
        match input {
            Input::Request(id, request) => self.on_request(id, request, out),
            Input::Message(from, message) => self.on_message(from, message, out),
            Input::Wake => self.on_wake(out),
            Input::Persisted(upto) => self.on_persisted(upto, out),
            Input::Admin(id, admin) => self.on_admin(id, admin, out),
        }
        self.advance(out);
        self.suggest_waiting(out);
        self.announce(out);
        self.revoke_suspects(out);
        self.snapshot_if_due(out);
        out.wake_at(self.tick_at);
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn leader(&self) -> Option<NodeId> {
        None
    }

    fn claim_of(record: &Record) -> Claim {
        record.claim()
    }

    fn applied(&self) -> Option<u64> {
        Some(self.log.applied().0)
    }

    fn decided(&self, slot: u64) -> Option<&[Request]> {
        let known = (slot <= self.log.applied().0).then(|| self.log.decided(Slot(slot)))?;
        known.map(crate::replication::Value::requests)
    }

    fn decides(&self, slot: u64, ballot: u64, acceptors: &[NodeId]) -> Option<bool> {
        let owner = self.owners.of(Slot(slot));
        let skipped = ballot == slots::skip(owner).number() && acceptors.contains(&owner);
        Some(skipped || acceptors.len() >= self.config.majority())
    }

    fn accepted_ballot(&self, slot: u64) -> Option<u64> {
        let known = Slot(slot) > self.log.dropped();
        let ballot = |slot| self.log.get(slot).map_or(Ballot::NONE, log::Entry::ballot);
        known.then(|| ballot(Slot(slot)).number())
    }

    fn state_digest(&self) -> Option<u64> {
        Some(self.machine.digest())
    }
}

impl Mencius {
    /// The state after every applied slot.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    fn on_message(&mut self, from: NodeId, message: Message, out: &mut Out) {
        self.heard.insert(from, self.now);
        match message {
            Message::Accept { proposal, applied } => self.on_accept(from, proposal, applied, out),
            Message::Ack { ballot, slot, skips } => self.on_ack(from, ballot, slot, &skips, out),
            Message::Learn { decided, no_ops } => self.on_learn(&decided, &no_ops),
            Message::Refuse { ballot, owner, bound, applied } => {
                self.on_refuse(from, ballot, owner, bound, applied, out);
            }
            Message::Prepare { owner, ballot, from: first, upto } => {
                self.on_prepare(from, owner, ballot, first, upto, out);
            }
            Message::Promise { owner, ballot, applied, from: page, accepted, more } => {
                let page = revocation::Page { applied, from: page, accepted, more };
                self.on_promise(from, owner, ballot, page, out);
            }
            Message::Heartbeat { seen, applied, skips } => {
                self.on_heartbeat(from, seen, applied, &skips, out);
            }
            Message::CatchUp { applied, partial } => self.on_catch_up(from, applied, partial, out),
            Message::Decided { first, values, applied } => {
                self.on_decided(from, first, values, applied, out);
            }
            Message::Snapshot(chunk) => self.on_snapshot(from, &chunk, out),
        }
    }

    fn on_admin(&mut self, id: RequestId, admin: Admin, out: &mut Out) {
        match admin {
            Admin::Snapshot => {
                self.take_snapshot(out);
                out.reply(id, Reply::Done);
            }
            Admin::Lead | Admin::Add(_) | Admin::Remove(_) => {
                out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
            }
        }
    }

    /// The server's own records became durable: it has now accepted, promised, skipped and reserved what it wrote.
    fn on_persisted(&mut self, upto: Position, out: &mut Out) {
        self.journal.persisted = self.journal.persisted.max(upto);
        self.reservation.persisted(upto);
        self.count_own_acceptances();
        self.own_promises_persisted(out);
    }

    fn on_wake(&mut self, out: &mut Out) {
        if self.now >= self.tick_at {
            self.tick_at = self.now.after(self.config.timing.heartbeat);
            self.tick(out);
        }
    }

    /// Every `heartbeat`: says again what may have been lost, and gives up what has waited too long.
    fn tick(&mut self, out: &mut Out) {
        let applied = self.log.applied();
        let skips = self.own_skips(applied, Slot(u64::MAX));
        out.broadcast(Message::Heartbeat { seen: self.seen, applied, skips });
        self.suggest_again(out);
        self.revoke_again(out);
        self.revoke_if_stuck(out);
        self.pursue(out);
        self.drop_idle_source();
        self.give_up_old_suggestions(out);
        let why = if self.hears_quorum() { Failure::Overloaded } else { Failure::NoLeader };
        self.requests.expire(self.now, &why, out);
    }

    /// A peer lives, and says how far the log is in use and which slots it left out.
    fn on_heartbeat(
        &mut self,
        from: NodeId,
        seen: Slot,
        applied: Slot,
        skips: &[Run],
        out: &mut Out,
    ) {
        self.seen = self.seen.max(seen);
        self.learn_no_ops(skips);
        self.skip_below(self.seen, out);
        self.notice_lag(from, applied, out);
    }

    /// Whether a peer was not heard for too long.
    fn suspects(&self, node: NodeId) -> bool {
        self.heard.get(&node).is_some_and(|at| self.now.since(*at) > self.patience)
    }

    fn trusted_peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.config.peers().filter(|peer| !self.suspects(*peer))
    }

    /// Whether it makes sense to suggest anything.
    fn hears_quorum(&self) -> bool {
        1 + self.trusted_peers().count() >= self.config.majority()
    }

    /// How many slots above its applied prefix a server keeps: more than what suggestions and revocations need, so that one
    /// which lags a little still takes part.
    fn window(&self) -> u64 {
        let each = 8 * self.config.limits.pipeline.max(1) as u64 + 4 * revocation::BETA;
        each * self.owners.count()
    }

    fn is_kept(&self, slot: Slot) -> bool {
        slot.0 <= self.log.applied().0 + self.window()
    }

    fn election_timeout(&mut self) -> Duration {
        let timing = self.config.timing;
        random_duration(&mut self.random, timing.election_min, timing.election_max)
    }
}

fn random_duration(random: &mut ChaCha8Rng, min: Duration, max: Duration) -> Duration {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let (min, max) = (nanos(min), nanos(max));
    Duration::from_nanos(random.random_range(min..max.max(min.saturating_add(1))))
}

/// The option of that name.
fn eager(config: &Config) -> Result<usize, Damaged> {
    let refuse = |what: &str| Damaged(format!("no log was read: option {what}"));
    if let Some(unknown) = config.options.keys().find(|key| *key != "eager") {
        return Err(refuse(&format!("`{unknown}` is not one of mencius")));
    }
    match config.options.get("eager").map_or(Ok(4), |text| text.parse()) {
        Ok(eager) if eager > 0 => Ok(eager),
        _ => Err(refuse("`eager` must be a number above 0")),
    }
}
