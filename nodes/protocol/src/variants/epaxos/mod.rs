//! Egalitarian Paxos: no leader; every node proposes the requests of its own clients, and the order of those that
//! interfere is agreed on with them.
//!
//! Source: I. Moraru, D. Andersen, M. Kaminsky, "There Is More Consensus in Egalitarian Parliaments" (SOSP 2013), in
//! the simple form of its section 4.3, with the fast quorum of all nodes but one. Corrections: P. Sutra, "On the
//! Correctness of Egalitarian Paxos" (2019), two ballots an instance; S. Tollman, S. Park, J. Ousterhout, "EPaxos
//! Revisited" (NSDI 2021); "Making Democracy Work: Fixing and Simplifying Egalitarian Paxos" (arXiv 2511.02743), on
//! recovery.
//!
//! Each node owns a row of instances, numbered without a gap. An instance decides a payload (a batch of requests) and
//! its *dependencies*: of each row, every instance up to a number. Of its own row it always depends on all before it.
//!
//! | message         | from, to              | when                                                            |
//! |-----------------|-----------------------|-----------------------------------------------------------------|
//! | `pre-accept`    | owner to all          | requests wait; its own record is durable. In a recovery, too    |
//! | `pre-accept-ok` | acceptor to proposer  | it had promised nothing higher; durable. What interferes        |
//! | `accept`        | proposer to all       | slow path, or bound recovery; its own acceptance is durable     |
//! | `accept-ok`     | acceptor to proposer  | it had promised nothing higher; durable                         |
//! | `commit`        | proposer to all       | it is decided; by the fast path: durable at the owner           |
//! | `prepare`       | any to all            | undecided for a random time; its own promise is durable         |
//! | `prepare-ok`    | acceptor to recoverer | it had promised nothing higher; durable. What it holds          |
//! | `rejected`      | acceptor to proposer  | it has promised more than it was asked for; at once             |
//! | `status`        | all to all            | every `heartbeat`, at once: how far it knows decisions          |
//! | `catch-up`      | learner to any        | it lacks decisions that the other one knows; at once            |
//! | `decided`       | any to learner        | at once: decisions in memory, or one that was asked a vote for  |
//! | `snapshot`      | any to learner        | at once: they are not in memory; a chunk of the state           |
//!
//! Cost, of `n` nodes without faults, at any node, of a write as of a read that interferes with nothing under way:
//! `3(n - 1)` messages (`pre-accept`, `pre-accept-ok`, `commit`), two message delays, and `n + 1` syncs: a record a
//! node, and the owner's decision. If two nodes meanwhile learn of an interfering instance (one node, of two or
//! three), the slow path adds `2(n - 1)` messages and two delays, `n - 1` syncs. A batch costs as much as one. Idle,
//! `n(n - 1)` messages every `heartbeat`.
//!
//! # Invariants
//! * Agreement: an instance is decided once. Two ballots are kept for it, the one promised and the one in which it
//!   was last accepted.
//! * Order: of two decided instances that interfere (see [`Conflicts`]) one depends on the other.
//! * An owner never uses a number twice: its own record is durable before `pre-accept` leaves.
//! * An instance is executed after or together with all that it depends on; instances that depend on each other (a
//!   strongly connected component) in the order of numbers, then rows. So of each row a prefix is executed.
//! * Whatever is said of this node's disk is said after the disk has it (`Output::send`).
//!
//! *Why Order.* Whoever proposes dependencies has them from a majority of *witnesses*. A witness answers all
//! interfering instances that it knows, and from then on knows this one, durably. Two majorities share a witness, and
//! of two instances it knew the one when it answered for the other. An instance of a row that is not named itself is
//! reached through its successors, of which each depends on its predecessor.
//!
//! *Why linearizable, without sequence numbers.* A request is answered after it was executed, so everything that it
//! depends on, directly or not, was decided by then. A request that begins later is not among that; they interfere,
//! so it depends on the earlier one. It is in no component with it and is executed after it at every node.
//!
//! # Recovery
//! A node that waits too long for a decision promises a higher ballot and asks all for theirs, and for what they
//! hold. With the answers of a majority M:
//! 1. One has accepted: it proposes what was accepted in the highest ballot (Paxos).
//! 2. The owner is not in M, and all of M but `n` less the fast quorum (one, at most) agreed to the owner's own
//!    dependencies in its initial ballot: it proposes these.
//! 3. One knows the payload: phase 1 anew in the new ballot, and its union is proposed, always by the slow path.
//! 4. It proposes a no-op.
//!
//! *Agreement.* If the slow path or a recovery has decided, M holds an acceptance, and rule 1 is that of Paxos. If
//! the owner has decided by the fast path, all nodes but one, itself included, agreed to its dependencies before they
//! promised more. It has that on its disk before it tells anybody, so if it is in M it says so, and the recovery is
//! over; if it is not, at most one of M did not agree: rule 2 applies. Rules 3 and 4 apply only where nothing was
//! decided.
//! *Order.* Rule 2 proposes dependencies that `|M| - 1` of M and the owner have witnessed: a majority. Here the size
//! of the fast quorum is used: with a smaller one these would be too few, and a conflicting instance might not know
//! them. It also has to be a majority itself, for two nodes. Rule 3 has a majority of witnesses anew. That the owner
//! agreed to its own dependencies, whoever else heard of them, holds because its record was durable first.
//!
//! # Bounds
//! A *barrier* interferes with everything. Every node has executed the same when it has executed the component of a
//! barrier, but for no-ops, so the states after barriers are totally ordered though those between them are not. A
//! node takes its snapshot then, and drops nothing but what a barrier depended on: whoever has executed as many
//! barriers lacks none of it, and whoever has executed fewer can take over this node's whole state, since what it has
//! executed itself is a part of that. Snapshots carry the decisions since the last barrier, too, for the next one who
//! lags. A barrier is proposed when `Limits::snapshot_entries` instances were executed since the last one.
//!
//! # Decisions
//! * *Requests* are answered by the node that was asked, when executed; unknown after `Timing::request`. Those of an
//!   instance that became a no-op are proposed again. `Overloaded` means that a request was proposed nowhere.
//! * *Pipelining.* Up to `eager` instances of a node are under way however little is in them, beyond that only full
//!   batches up to `Limits::pipeline`. Both count until execution, which bounds the components.
//! * *Sessions.* Commands of one session interfere, and `OpenSession` with everything; see [`Machine::commuting`].
//! * The fast path is not waited for beyond `resend`, nor if too few nodes were heard lately.
//!
//! # Absent
//! The optimized fast quorum with `TryPreAccept`, sequence numbers, answers before execution, leases, changes of
//! membership, thrifty sends. The host is shown no slots: instances are decided and executed in no total order, so
//! there is nothing true to say for `Core::applied`, `Core::decided` and the observations of these. A promise binds
//! in one instance only, which neither `Claim::Promised` nor an `Accepted` in a message can say; they say nothing.
//! `accept` claims its proposal and the record of an acceptance claims that, under a slot number of the instance's
//! own, with the dependencies in the digest.

mod acceptor;
mod catch_up;
mod conflicts;
mod execution;
mod leader;
mod log;
mod message;
mod order;
mod recovery;
mod storage;

pub use conflicts::Conflicts;
pub use log::Entry;
pub use message::{
    Decision, Deps, Instance, Message, Payload, Record, Vote, ballot_above, initial_ballot,
    is_initial,
};
pub use storage::Head;

use super::Variant;
use super::cost::{Asked, At, Cost, formula};
use crate::core::{
    Admin, Claim, Config, Core, Damaged, Input, NodeId, Observation, Output, Position, RequestId,
    Role, Snapshot, Time,
};
use crate::machine::{Capabilities, Failure, Machine, Reply};
use crate::replication::{Ballot, Incoming, Requests, Source};
use catch_up::CatchUp;
use leader::{Attempt, Own};
use log::Log;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::Duration;
use storage::Journal;

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "epaxos",
    summary: "Egalitarian Paxos: every node leads its own commands, ordered by their dependencies only",
    paper: "Moraru, Andersen, Kaminsky, There Is More Consensus in Egalitarian Parliaments (2013), section 4.3",
    params: &[(
        "eager=4",
        "instances of one node that may be under way before requests wait for a full batch: more for latency over \
         slow links, fewer for less CPU",
    )],
    capabilities: EPaxos::CAPABILITIES,
    quorums: "fast path max(n - 1, majority), the owner among them; everything else a majority",
    survives: "(n - 1) / 2 nodes down or cut off; messages lost, late or twice; loss of power; clocks of any rate",
    costs: &[
        Cost {
            asked: Asked::Write,
            at: At::Any,
            messages: formula("3(n - 1)", |n| 3 * (n - 1)),
            delays: formula("2", |_| 2),
            syncs: formula("n + 1", |n| n + 1),
        },
        Cost {
            asked: Asked::Read,
            at: At::Any,
            messages: formula("3(n - 1)", |n| 3 * (n - 1)),
            delays: formula("2", |_| 2),
            syncs: formula("n + 1", |n| n + 1),
        },
    ],
};

/// One node.
#[derive(Debug)]
pub struct EPaxos {
    config: Config,
    eager: u64,
    /// The place of this node among the members.
    row: usize,
    random: ChaCha8Rng,
    now: Time,

    /// Acceptor and learner: what is held of each instance.
    log: Log,
    conflicts: Conflicts,
    journal: Journal,

    /// Learner: the state after every executed instance.
    machine: Machine,
    /// By row, what its next instance waits for.
    blocked: Vec<Option<Instance>>,
    /// Barriers executed, ever.
    barriers: u64,
    /// Every node that has executed so many barriers has executed the instances up to here.
    common: Deps,
    /// Instances executed since the last barrier.
    since_barrier: u64,
    /// This node's own barrier that is under way.
    barrier: Option<u64>,
    catch_up: CatchUp,
    incoming: Option<Incoming>,
    source: Option<Source>,

    /// Owner: the number of its next instance.
    next: u64,
    /// Owner: who waits for which of its instances.
    own: BTreeMap<u64, Own>,
    /// Owner, or whoever recovers: what is under way.
    attempts: BTreeMap<Instance, Attempt>,
    /// By row, when its first undecided instance is to be recovered.
    suspects: Vec<Suspect>,
    /// The highest ballot in any rejection.
    met: Ballot,
    /// By row, when its owner was heard last; at first, all were.
    heard: Vec<Time>,
    tick_at: Time,

    /// How many nodes, the owner included, must agree to the owner's dependencies for the fast path. All but one: see
    /// "Recovery".
    pub(crate) fast_quorum: usize,
    /// How many nodes are a quorum for everything else.
    pub(crate) quorum: usize,
    /// Whether the owner waits for its disk before it tells of a decision by the fast path. It must: see "Recovery".
    pub(crate) decides_durably: bool,

    requests: Requests<()>,
}

/// How long the first undecided instance of a row has been waited for.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    /// It is recovered after this time.
    at: Time,
    /// Recoveries without progress.
    tries: u32,
}

type Out = Output<EPaxos>;

impl Core for EPaxos {
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
        let rows = config.members.len();
        let row = config.members.iter().position(|member| *member == config.node);
        let row = row.ok_or_else(|| Damaged("the node is none of the members".to_owned()))?;
        let kept = storage::Kept::recover(&config, snapshot, records)?;
        let mut node = Self {
            eager,
            row,
            random: ChaCha8Rng::seed_from_u64(config.seed),
            now,
            next: kept.log.known_in(row) + 1,
            log: kept.log,
            conflicts: kept.conflicts,
            journal: kept.journal,
            machine: kept.machine,
            blocked: vec![None; rows],
            barriers: kept.barriers,
            common: kept.common,
            since_barrier: 0,
            barrier: None,
            catch_up: CatchUp::default(),
            incoming: None,
            source: None,
            own: BTreeMap::new(),
            attempts: BTreeMap::new(),
            suspects: vec![Suspect { at: now, tries: 0 }; rows],
            met: Ballot::NONE,
            heard: vec![now; rows],
            tick_at: now.after(config.timing.heartbeat),
            fast_quorum: config.majority().max(rows.saturating_sub(1)),
            quorum: config.majority(),
            decides_durably: true,
            requests: Requests::new(&config),
            config,
        };
        (0..rows).for_each(|row| node.trust(row));
        out.observe(Observation::Role { role: Role::Peer, ballot: 0 });
        node.execute(out);
        out.wake_at(node.tick_at);
        Ok(node)
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
        self.execute(out);
        self.propose_waiting(out);
        self.write_decisions(out);
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

    fn accepted_ballot(&self, slot: u64) -> Option<u64> {
        let rows = self.log.rows() as u64;
        let (number, row) = ((slot - 1) / rows + 1, (slot - 1) % rows);
        let instance = Instance { row: u32::try_from(row).ok()?, number };
        match self.log.get(instance).map(|entry| &entry.vote) {
            _ if self.log.is_committed(instance) => None,
            Some(Vote::Accepted { ballot, .. }) => Some(ballot.number()),
            _ => Some(0),
        }
    }

    fn state_digest(&self) -> Option<u64> {
        Some(self.machine.digest())
    }
}

/// What experiments may look at. The protocol itself does not use it.
impl EPaxos {
    /// What this node holds of an instance.
    #[must_use]
    pub fn entry(&self, instance: Instance) -> Option<&Entry> {
        self.log.get(instance)
    }

    /// Up to where each row is executed.
    #[must_use]
    pub fn executed(&self) -> Deps {
        self.log.executed()
    }
}

impl EPaxos {
    fn on_message(&mut self, from: NodeId, message: Message, out: &mut Out) {
        let Some(sender) = self.row_of(from) else { return };
        self.heard[sender] = self.now;
        match message {
            Message::PreAccept { instance, ballot, payload, deps } => {
                self.on_pre_accept(from, instance, ballot, payload, deps, out);
            }
            Message::PreAcceptOk { instance, ballot, deps } => {
                self.on_pre_accept_ok(from, instance, ballot, deps, out);
            }
            Message::Accept { instance, ballot, payload, deps } => {
                self.on_accept(from, instance, ballot, payload, deps, out);
            }
            Message::AcceptOk { instance, ballot } => {
                self.on_accept_ok(from, instance, ballot, out);
            }
            Message::Commit { instance, deps, no_op } => {
                self.on_commit(instance, deps, no_op);
            }
            Message::Prepare { instance, ballot } => self.on_prepare(from, instance, ballot, out),
            Message::PrepareOk { instance, ballot, vote } => {
                self.on_prepare_ok(from, instance, ballot, vote, out);
            }
            Message::Rejected { instance, ballot, promised } => {
                self.on_rejected(instance, ballot, promised);
            }
            Message::Status { committed, barriers } => {
                self.on_status(from, &committed, barriers, out);
            }
            Message::CatchUp { committed, barriers, partial } => {
                self.on_catch_up(from, &committed, barriers, partial, out);
            }
            Message::Decided { decisions, committed } => {
                self.on_decided(from, decisions, &committed, out);
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

    fn on_persisted(&mut self, upto: Position, out: &mut Out) {
        self.journal.persisted = self.journal.persisted.max(upto);
        self.announce_written(out);
        if self.config.members.len() == 1 {
            self.advance_all(out); // Nobody else will answer.
        }
    }

    /// Every `heartbeat`: says again what may have been lost, and gives up what has waited too long.
    fn on_wake(&mut self, out: &mut Out) {
        if self.now < self.tick_at {
            return;
        }
        self.tick_at = self.now.after(self.config.timing.heartbeat);
        out.broadcast_at_once(Message::Status {
            committed: self.log.committed(),
            barriers: self.barriers,
        });
        self.ask_again(out);
        self.recover_suspects(out);
        self.drop_idle_source();
        self.expire_requests(out);
    }

    fn row_of(&self, node: NodeId) -> Option<usize> {
        self.config.members.binary_search(&node).ok()
    }

    fn owner(&self, instance: Instance) -> NodeId {
        self.config.members[instance.row()]
    }

    fn instance(&self, row: usize, number: u64) -> Instance {
        debug_assert!(row < self.config.members.len());
        Instance { row: u32::try_from(row).expect("rows are few"), number }
    }

    /// Whether a row's owner was heard lately.
    fn hears(&self, row: usize) -> bool {
        self.now.since(self.heard[row]) < self.config.timing.election_min
    }

    fn random_time(&mut self, min: Duration, max: Duration) -> Time {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (min, max) = (nanos(min), nanos(max));
        let wait = self.random.random_range(min..max.max(min.saturating_add(1)));
        self.now.after(Duration::from_nanos(wait))
    }
}

/// The option of that name.
fn eager(config: &Config) -> Result<u64, Damaged> {
    let refuse = |what: &str| Damaged(format!("no log was read: option {what}"));
    if let Some(unknown) = config.options.keys().find(|key| *key != "eager") {
        return Err(refuse(&format!("`{unknown}` is not one of epaxos")));
    }
    match config.options.get("eager").map_or(Ok(4), |text| text.parse()) {
        Ok(eager) if eager > 0 => Ok(eager),
        _ => Err(refuse("`eager` must be a number above 0")),
    }
}
