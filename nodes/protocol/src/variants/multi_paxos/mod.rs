//! Multi-Paxos: a replicated log, each slot of it decided by an instance of Paxos, under a stable leader.
//!
//! Source: L. Lamport, "Paxos Made Simple" (2001), section 2 for one instance and section 3 for the log; pipelining,
//! batching and catching up as in R. van Renesse and D. Altinbuken, "Paxos Made Moderately Complex" (2015), section 4;
//! reads as in D. Ongaro's dissertation (2014), section 6.4.
//!
//! Every node is acceptor, learner and, when it leads, proposer. A leader has run phase 1 once, for all slots from its
//! first undecided one on ("infinitely many instances", section 3); from then on a request costs one phase 2.
//!
//! | message     | from, to               | when                                                                        |
//! |-------------|------------------------|-----------------------------------------------------------------------------|
//! | `canvass`   | follower to all        | it has heard no leader for a random time: does anybody else hear one?       |
//! | `canvassed` | all to follower        | always, at once                                                             |
//! | `prepare`   | candidate to all       | a majority heard no leader; its own promise is durable                      |
//! | `promise`   | acceptor to candidate  | it had promised nothing higher; durable. Carries what it has accepted, in pages |
//! | `accept`    | leader to all          | at once, while its own acceptance is being written                          |
//! | `accepted`  | acceptor to leader     | it had promised nothing higher; durable                                     |
//! | `heartbeat` | leader to all          | every `heartbeat`, and to confirm its reign before it answers reads         |
//! | `heard`     | acceptor to leader     | it had promised nothing higher at that moment                               |
//! | `rejected`  | acceptor to proposer   | it has promised a higher ballot than the one it was asked for               |
//! | `catch-up`  | learner to leader      | it lacks decided values; asked again for each part                          |
//! | `decided`   | any to learner         | the values are still in memory                                              |
//! | `snapshot`  | any to learner         | they are not: a chunk of the state instead                                  |
//! | `forward`   | follower to leader     | a client asked the follower                                                 |
//! | `answer`    | leader to follower     | the forwarded requests are applied, or their fate became unknown            |
//! | `return`    | any to follower        | this copy of the forwarded request was not proposed                         |
//!
//! Cost, of `n` nodes without faults: a write at the leader takes `2(n - 1)` messages (`accept`, `accepted`), one round
//! trip, and one record a node, of which a majority is waited for; a batch of writes costs as much as one. A read at the
//! leader takes `2(n - 1)` messages (`heartbeat`, `heard`), one round trip, no record; all reads that wait share a round.
//! A request at a follower takes two messages more. Idle, `2(n - 1)` messages every `heartbeat`.
//!
//! # Invariants
//! * A promise never falls, whatever crashes (P1a: an acceptor accepts ballot n iff it has not promised above n).
//! * A ballot names its proposer and is used in one reign only: its own promise is durable before `prepare` leaves.
//! * One ballot proposes at most one value a slot, and by P2c that of the highest ballot that a majority reports.
//! * The decided slots that a node knows are a prefix; it only grows, and is applied at once: applied equals decided.
//! * A leader announces as decided only what it tallied in its own ballot, or what it knew before it proposed anything.
//!   A follower therefore takes an announced slot's value from its own log iff it accepted it *in that ballot*; anything
//!   else it fetches.
//! * Whatever is said of this node's disk is said after the disk has it (`Output::send`).
//!
//! # Decisions
//! * *Requests.* Forwarded at most once, to one reign of one leader, which takes each ticket once. What comes back
//!   unproposed (`return`) waits or is forwarded anew, and from then on can only fail as unknown. `NoLeader` and
//!   `Overloaded` mean that the request was proposed nowhere. A leader that steps down answers unknown for what it
//!   proposed. What was forwarded to a leader that has since been replaced has `resend` left to be answered.
//! * *Disturbance.* A node canvasses before it prepares, and prepares only if a majority hears no leader: one that was
//!   cut off does not depose a healthy leader on its return. A leader that does not hear a majority for `election_max` steps
//!   down, so that a leader which only a minority hears cannot keep that minority from electing another.
//! * *Pipelining.* Up to `eager` slots are proposed without waiting, however little is in them; beyond that only full
//!   batches, up to `Limits::pipeline` slots. Under load the batches grow instead of the number of messages.
//! * *Membership.* A change goes through the log and governs the slots from `alpha` later on (`membership.rs`): one at a time, at
//!   the leader only, answered when it is in force. Whoever is no member learns, forwards and never leads.
//!
//! # Absent
//! Leases by default (no clock is trusted unless `reads=lease` says so: see `lease.rs`), reads at followers, and relaying between
//! nodes that do not reach each other: a node that cannot reach the leader answers `NoLeader`.

mod acceptor;
mod catch_up;
mod election;
mod leader;
mod learner;
mod lease;
mod log;
mod membership;
mod message;
mod options;
mod quorums;
mod reads;
mod requests;
mod storage;

pub use message::{Message, Proposal, Record};
pub(crate) use quorums::Quorums;
pub use storage::Head;

use super::Variant;
use super::cost::{Asked, At, Cost, NONE, formula};
use crate::core::{
    Admin, Claim, Config, Core, Damaged, Input, NodeId, Observation, Output, Position, RequestId,
    Role, Snapshot, Time,
};
use crate::machine::{Capabilities, Machine, Reply, Request};
use crate::replication::{Ballot, Requests, Slot, Source};
use catch_up::CatchUp;
use election::{Canvass, Preparation};
use leader::Reign;
use log::Log;
use membership::{Change, Memberships};
use options::Options;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use storage::Journal;

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "multi-paxos",
    summary: "Multi-Paxos with a stable leader, pipelining, batching and linearizable reads by read index",
    paper: "Lamport, Paxos Made Simple (2001), section 3",
    params: &PARAMS,
    capabilities: MultiPaxos::CAPABILITIES,
    quorums: "more than n/2 promise, more than n/2 accept",
    survives: "(n - 1)/2 nodes down or cut off, as long as the others reach the leader; any number of restarts, \
               message loss, delay, duplication and reordering; clocks that are wrong, but not with reads=lease",
    costs: &[
        Cost {
            asked: Asked::Write,
            at: At::Leader,
            messages: formula("2(n - 1)", |n| 2 * (n - 1)),
            delays: formula("2", |_| 2),
            syncs: formula("n", |n| n),
        },
        Cost {
            asked: Asked::Write,
            at: At::Other,
            messages: formula("2(n - 1) + 2", |n| 2 * (n - 1) + 2),
            delays: formula("4", |_| 4),
            syncs: formula("n", |n| n),
        },
        Cost {
            asked: Asked::Read,
            at: At::Leader,
            messages: formula("2(n - 1)", |n| 2 * (n - 1)),
            delays: formula("2", |_| 2),
            syncs: NONE,
        },
        Cost {
            asked: Asked::Read,
            at: At::Other,
            messages: formula("2(n - 1) + 2", |n| 2 * (n - 1) + 2),
            delays: formula("4", |_| 4),
            syncs: NONE,
        },
    ],
};

/// Its parameters.
pub(super) const PARAMS: [(&str, &str); 5] = [
    (
        "eager=4",
        "slots that may be under way before requests wait for a full batch: more for latency over slow links, \
             fewer for less CPU",
    ),
    (
        "reads=index",
        "index: the leader asks a quorum whether it still leads before it answers reads; lease: it trusts that no \
             clock is wrong by more than `drift`, and answers at once",
    ),
    ("drift=10", "with reads=lease: how wrong the rate of a clock may be, in percent"),
    (
        "snapshot-entries=20000",
        "with real processes: decided entries after which a node takes a snapshot and drops its log before it",
    ),
    (
        "voters=all",
        "how many nodes are members to begin with, the first ones; the others are learners until they are added",
    ),
];

/// One node.
#[derive(Debug)]
pub struct MultiPaxos {
    config: Config,
    eager: usize,
    /// How long leases last, where reads rest on them.
    leases: Option<lease::Terms>,
    random: ChaCha8Rng,
    now: Time,

    /// Acceptor: no proposal with a lower ballot is accepted. Durable before anybody learns of it.
    promised: Ballot,
    /// Acceptor: with leases, nothing is promised before this moment.
    pledged_until: Time,
    /// Acceptor and learner: what was accepted, and how far it is decided.
    log: Log,
    journal: Journal,
    /// Who is a member, slot by slot.
    memberships: Memberships,
    /// How many slots a change waits before it governs: as many as may be proposed without knowing what they decide.
    pub(crate) governs_after: u64,
    /// The members to begin with, whose quorums have the sizes below. Those of others are majorities.
    first_members: Vec<NodeId>,

    /// Learner: the state after every decided slot.
    machine: Machine,
    catch_up: CatchUp,
    source: Option<Source>,

    /// Proposer.
    standing: Standing,
    /// The highest round met in any ballot.
    round_met: u64,
    canvasses: u64,

    /// The ballot of the leader that this node, not leading itself, has heard lately.
    leader: Option<Ballot>,
    /// When it was heard.
    heard_at: Time,
    /// When to canvass, unless a leader is heard before.
    election_at: Time,
    /// When to look after everything that is done from time to time.
    tick_at: Time,
    /// How many nodes, this one included, must promise before it leads.
    pub(crate) promise_quorum: usize,
    /// How many nodes, this one included, must accept a proposal before it is decided. So many share a node with any
    /// `promise_quorum`, so that whoever comes to lead hears of it.
    pub(crate) accept_quorum: usize,
    /// How many nodes, this one included, must confirm its reign before it answers reads. So many share a node with any
    /// `promise_quorum`, so that no later leader escapes them.
    pub(crate) read_quorum: usize,

    requests: Requests<Ballot>,
}

/// What a node does as a proposer.
#[derive(Debug)]
enum Standing {
    /// Nothing.
    Follower,
    /// Asks whether anybody hears a leader.
    Canvassing(Canvass),
    /// Phase 1.
    Preparing(Preparation),
    /// Phase 2, slot by slot.
    Leading(Box<Reign>),
}

type Out = Output<MultiPaxos>;

impl Core for MultiPaxos {
    type Message = Message;
    type Record = Record;

    const CAPABILITIES: Capabilities = Capabilities {
        cas: true,
        collections: true,
        transactions: true,
        sessions: true,
        membership: true,
        linearizable: true,
        leader: true,
        survives: |nodes| nodes.saturating_sub(1) / 2,
    };

    fn recover(
        config: Config,
        now: Time,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
        out: &mut Out,
    ) -> Result<Self, Damaged> {
        let quorums = Quorums::majorities(config.first_voters()?.len());
        Self::start(config, quorums, now, snapshot, records, out)
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
        self.propose_waiting(out);
        self.snapshot_if_due(out);
        self.requests.send_answers(out);
        self.ask_to_be_woken(out);
    }

    fn role(&self) -> Role {
        match self.standing {
            Standing::Follower | Standing::Canvassing(_) => Role::Follower,
            Standing::Preparing(_) => Role::Candidate,
            Standing::Leading(_) => Role::Leader,
        }
    }

    fn leader(&self) -> Option<NodeId> {
        match self.standing {
            Standing::Leading(_) => Some(self.config.node),
            _ => self.leader.map(|ballot| ballot.node),
        }
    }

    fn claim_of(record: &Record) -> Claim {
        record.claim()
    }

    fn applied(&self) -> Option<u64> {
        Some(self.log.decided().0) // Every decided slot is applied at once.
    }

    fn decided(&self, slot: u64) -> Option<&[Request]> {
        let known = self.log.get(Slot(slot)).filter(|held| held.slot <= self.log.decided());
        known.map(|held| held.value.requests())
    }

    fn decides(&self, slot: u64, _ballot: u64, acceptors: &[NodeId]) -> Option<bool> {
        let slot = Slot(slot);
        if self.memberships == Memberships::new(self.config.members.clone()) {
            return None;
        }
        let known = slot.0 <= self.log.decided().0 + self.alpha();
        let counted = self.memberships.at(slot);
        let acceptors = acceptors.iter().filter(|node| counted.contains(node)).count();
        Some(known && acceptors > counted.len() / 2)
    }

    fn promised_ballot(&self) -> Option<u64> {
        Some(self.promised.number())
    }

    fn accepted_ballot(&self, slot: u64) -> Option<u64> {
        let known = Slot(slot) > self.log.dropped();
        known.then(|| self.log.get(Slot(slot)).map_or(0, |held| held.ballot.number()))
    }

    fn state_digest(&self) -> Option<u64> {
        Some(self.machine.digest())
    }
}

/// What experiments may look at and change. The protocol itself does not use it.
impl MultiPaxos {
    /// The state after every decided slot.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The same, to be changed behind the protocol's back.
    pub fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// Forgets what this acceptor has promised, though its word may have been counted. What it has accepted stays.
    pub fn forget_promise(&mut self) {
        self.promised = Ballot::NONE;
    }

    /// Forgets what this acceptor has accepted above the decided prefix, though its word may have been counted. A leader
    /// must not: it has to hold what it proposes.
    pub fn forget_accepted(&mut self) {
        assert!(!matches!(self.standing, Standing::Leading(_)), "a leader holds what it proposes");
        self.log.forget_undecided();
    }
}

impl MultiPaxos {
    /// Starts a node that counts by these quorums.
    pub(crate) fn start(
        config: Config,
        quorums: Quorums,
        now: Time,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
        out: &mut Out,
    ) -> Result<Self, Damaged> {
        let options = Options::read(&config)?;
        let kept = storage::Kept::recover(&config, snapshot, records)?;
        let hole = kept.hole;
        let mut node = Self {
            eager: options.eager,
            leases: options.leases,
            random: ChaCha8Rng::seed_from_u64(config.seed),
            now,
            promised: kept.promised,
            pledged_until: options.leases.map_or(now, |leases| leases.pledge_from(now)),
            log: kept.log,
            journal: kept.journal,
            memberships: kept.memberships,
            governs_after: config.limits.pipeline.max(1) as u64,
            first_members: config.first_voters()?,
            machine: kept.machine,
            catch_up: CatchUp::default(),
            source: None,
            standing: Standing::Follower,
            round_met: kept.promised.round,
            canvasses: config.incarnation << 32,
            leader: None,
            heard_at: now,
            election_at: now,
            tick_at: now.after(config.timing.heartbeat),
            promise_quorum: quorums.promise,
            accept_quorum: quorums.accept,
            read_quorum: quorums.read,
            requests: Requests::new(&config),
            config,
        };
        // Long enough to hear a leader that lives, not longer: nothing can be served before.
        let timing = node.config.timing;
        node.election_at = node.random_time(timing.heartbeat * 2, timing.election_min);
        out.observe(Observation::Role { role: Role::Follower, ballot: node.promised.number() });
        if hole {
            node.save_snapshot(out); // Or the records to come would lie behind the hole, too.
        }
        node.ask_to_be_woken(out);
        Ok(node)
    }

    /// The last slot that this node knows to be decided, as are all before it, and the state after it.
    pub(crate) fn applied(&self) -> (Slot, &Machine) {
        (self.log.decided(), &self.machine)
    }

    fn on_message(&mut self, from: NodeId, message: Message, out: &mut Out) {
        match message {
            Message::Canvass { number } => self.on_canvass(from, number, out),
            Message::Canvassed { number, hears, promised } => {
                self.on_canvassed(from, number, hears, promised, out);
            }
            Message::Prepare { ballot, from: slot } => self.on_prepare(from, ballot, slot, out),
            Message::Promise { ballot, decided, from: page, accepted, more } => {
                let promise = election::Page { decided, from: page, accepted, more };
                match self.standing {
                    Standing::Leading(_) => self.on_late_promise(from, ballot, promise, out),
                    _ => self.on_promise(from, ballot, promise, out),
                }
            }
            Message::Accept { proposal, decided } => self.on_accept(from, proposal, decided, out),
            Message::Accepted { ballot, slot } => self.on_accepted(from, ballot, slot, out),
            Message::Heartbeat { ballot, round, decided } => {
                self.on_heartbeat(from, ballot, round, decided, out);
            }
            Message::Heard { ballot, round } => self.on_heard(from, ballot, round, out),
            Message::Rejected { ballot, promised } => self.on_rejected(ballot, promised, out),
            Message::CatchUp { decided, partial } => {
                self.on_catch_up(from, decided, partial, out);
            }
            Message::Decided { first, values, decided } => {
                self.on_decided(from, first, values, decided, out);
            }
            Message::Snapshot(chunk) => self.on_snapshot(from, &chunk, out),
            Message::Forward { ballot, ticket, request } => {
                self.on_forward(from, ballot, ticket, request, out);
            }
            Message::Answer { replies } => self.requests.on_answer(replies, out),
            Message::Return { ticket, request } => self.on_return(ticket, request, out),
        }
    }

    fn on_admin(&mut self, id: RequestId, admin: Admin, out: &mut Out) {
        match admin {
            Admin::Snapshot => {
                self.take_snapshot(out);
                out.reply(id, Reply::Done);
            }
            Admin::Lead => {
                if !matches!(self.standing, Standing::Leading(_)) {
                    self.prepare(out);
                }
                out.reply(id, Reply::Done);
            }
            Admin::Add(node) => self.on_change(id, Change { node, joins: true }, out),
            Admin::Remove(node) => self.on_change(id, Change { node, joins: false }, out),
        }
    }

    /// The node's own records became durable: as an acceptor it has now promised, or accepted, what it wrote.
    fn on_persisted(&mut self, upto: Position, out: &mut Out) {
        self.journal.persisted = self.journal.persisted.max(upto);
        match self.standing {
            Standing::Preparing(_) => self.lead_if_promised(out),
            Standing::Leading(_) => self.count_own_acceptances(out),
            Standing::Follower | Standing::Canvassing(_) => {}
        }
    }

    fn on_wake(&mut self, out: &mut Out) {
        if !matches!(self.standing, Standing::Leading(_)) && self.now >= self.election_at {
            self.canvass(out);
        }
        if self.now >= self.tick_at {
            self.tick_at = self.now.after(self.config.timing.heartbeat);
            self.tick(out);
        }
    }

    /// Every `heartbeat`: says again what may have been lost, and gives up what has waited too long.
    fn tick(&mut self, out: &mut Out) {
        match self.standing {
            Standing::Leading(_) => self.reign_on(out),
            Standing::Preparing(_) => self.prepare_again(out),
            Standing::Follower | Standing::Canvassing(_) => {}
        }
        self.pursue(out);
        self.drop_idle_source();
        self.expire_requests(out);
    }

    fn ask_to_be_woken(&self, out: &mut Out) {
        out.wake_at(match self.standing {
            Standing::Leading(_) => self.tick_at,
            _ => self.tick_at.min(self.election_at),
        });
    }

    fn random_time(&mut self, min: Duration, max: Duration) -> Time {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (min, max) = (nanos(min), nanos(max));
        let wait = self.random.random_range(min..max.max(min.saturating_add(1)));
        self.now.after(Duration::from_nanos(wait))
    }
}
