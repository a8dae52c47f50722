//! Fast Paxos: a replicated log whose clients' commands go to the acceptors without a detour to the leader.
//!
//! Source: L. Lamport, "Fast Paxos" (2006): sections 2.1 and 2.2 for the rounds and the rule by which values are picked,
//! 2.3 and 3.3 for quorums, 3.2.2 for coordinated recovery, 3.1 for a log of many instances. Elections, snapshots and
//! catching up are as in [`multi_paxos`](super::multi_paxos).
//!
//! Every node is acceptor, learner, proposer of fast rounds, and one is the leader, the coordinator. A *reign* has a fast
//! round and right above it a classic one ([`round`]). The leader has run phase 1 for both, for all undecided slots. It
//! proposes in the classic round what phase 1 has brought up, and then opens the fast round for every slot above ("any").
//! From then on a node sends its clients' requests, as one value, to all acceptors, for the first slot that it takes for
//! free; an acceptor accepts the first value that comes for a slot, and tells all nodes. A fast quorum decides.
//!
//! | message     | from, to               | when                                                                        |
//! |-------------|------------------------|-----------------------------------------------------------------------------|
//! | `canvass`   | follower to all        | it has heard no leader for a random time: does anybody else hear one?       |
//! | `canvassed` | all to follower        | always, at once                                                             |
//! | `prepare`   | candidate to all       | a majority heard no leader, or the leader leaves its fast round; its own promise is durable |
//! | `promise`   | acceptor to candidate  | it had promised nothing higher; durable. Carries what it has accepted, in pages |
//! | `any`       | leader to all          | it opens the fast round; also in each `heartbeat`                           |
//! | `propose`   | any to all             | at once, while its own vote is being written; again after `resend`          |
//! | `voted`     | acceptor to all        | it has accepted a `propose` as the first for its slot; durable              |
//! | `accept`    | leader to all          | at once, while its own acceptance is being written                          |
//! | `accepted`  | acceptor to leader     | it had promised nothing higher; durable                                     |
//! | `heartbeat` | leader to all          | every `heartbeat`, when it has recovered a slot, or leads and has nothing to propose |
//! | `heard`     | acceptor to leader     | it had promised nothing higher at that moment                               |
//! | `rejected`  | acceptor to proposer   | it has promised a higher reign than the one it was asked for                |
//! | `catch-up`  | learner to leader      | it lacks decided values; asked again for each part                          |
//! | `decided`   | any to learner         | the values are still in memory                                              |
//! | `snapshot`  | any to learner         | they are not: a chunk of the state instead                                  |
//! | `forward`   | follower to leader     | a client asked the follower, and no fast round is open                      |
//! | `answer`    | leader to follower     | the forwarded requests are applied, or their fate became unknown            |
//! | `return`    | any to follower        | this copy of the forwarded request was not proposed                         |
//!
//! Cost, of `n` nodes without faults and collisions, in a fast round: at any node `n - 1` messages `propose` and
//! `n (n - 1)` messages `voted`, that is `(n - 1)(n + 1)`, two message delays (against four at a follower of Multi-Paxos),
//! and one record a node, of which a fast quorum is waited for. Reads cost the same: they are commands in the log.
//! A collision costs `accept`, `accepted` and a `heartbeat` more, and the loser another attempt. In a classic round:
//! `2 (n - 1)` messages and two delays at the leader, two more of each elsewhere. Idle, `2 (n - 1)` messages every
//! `heartbeat`.
//!
//! # Quorums
//! Classic quorums are majorities. Any classic quorum and any two fast ones must intersect (section 2.3), that is,
//! `classic + 2 fast > 2 n`: fast quorums are 3 of 3, 3 of 4, 4 of 5, 6 of 7. See [`Quorums`].
//!
//! # Invariants
//! * A promise never falls, whatever crashes. It is one of a reign: below it nothing is accepted in any slot.
//! * In one slot an acceptor's round never falls, and it votes once in each: after the classic round of a reign it does not
//!   vote in the fast one. So there is no fourth thing beside "voted", "will not vote" and "may yet vote", and the votes of
//!   a fast round serve as phase 1 of the classic one.
//! * The classic round of a reign has one value a slot: a new one below the slot from which on its fast round is open, above
//!   it the one that the rule picks from the votes of a classic quorum.
//! * A leader announces as decided only what it learned in its own reign, or before it. Whoever hears the announcement takes
//!   a slot's value from its own log iff it accepted it *in the classic round of that reign*. Votes of a fast round prove
//!   nothing alone: they are counted by each learner, or the decided value is fetched.
//! * The decided slots that a node knows are a prefix; it only grows, and is applied at once: applied equals decided.
//! * Whatever is said of this node's disk is said after the disk has it (`Output::send`).
//!
//! # Decisions
//! * *Slots.* A proposer names the slot, the first that it takes for free, and an acceptor accepts for it or not at all. (The
//!   paper leaves the choice to the proposer's guess, section 3.1. Acceptors that put each value into *their* next slot win
//!   when messages arrive in the same order everywhere, but one that missed a message then votes one slot off for ever.)
//!   So a command is in one slot at a time, and one that lost its slot has surely had no effect. A node has one proposal
//!   of a fast round under way; what comes meanwhile makes the next batch.
//! * *Who is told.* Acceptors tell every node and not only leader and proposer, so that each node learns in two delays
//!   also what came before its own command.
//! * *Collisions* are recovered by the leader (section 3.2.2) as soon as no value can reach a fast quorum of acceptors that
//!   live (else, with one node dead of four, each collision would wait for its vote). A slot that is undecided for `resend` is recovered, too, once a classic quorum has voted in it; until then the leader proposes in it
//!   again, so that everybody who lives votes. If that does not help (it may lack the value that was chosen) it begins a
//!   new reign: phase 1 brings all.
//! * *Availability.* The leader leaves the fast round, by phase 1 of a new reign, when fewer nodes than a fast quorum answer
//!   it, or collisions are frequent ([`pace`]); requests are then forwarded to it. It opens a fast round again when a
//!   fast quorum answers, and the pause is over.
//! * *Requests.* One whose attempt was under way when its reign ended is proposed again after `resend` as *exposed*: it may
//!   then stand in two slots, and sessions let it take effect once. `NoLeader` and `Overloaded` mean that no copy can have
//!   effect.
//! * *Reigns* begin without a no-op of their own: phase 1 has brought up all that may be chosen, heartbeats say what is
//!   decided, and no read is answered without a slot. So idle nodes whose leaders change still agree on the last slot.
//! * *Reads* are commands in the log: the leader of a fast round does not hear of what is chosen without it in time.
//! * *Claims.* Rounds are claimed by their number, even for fast ones ([`Round::number`]); promises by the classic round
//!   of their reign. Fast acceptances are claimed by records only: the words of messages' claims and of observations know
//!   one ballot a node that never falls, and one value a ballot and slot.
//!
//! # Absent
//! Uncoordinated recovery, learning by a coordinator alone, leases, read index, changes of membership, and relaying between
//! nodes that do not reach each other.

mod acceptor;
mod catch_up;
mod election;
mod leader;
mod learner;
mod log;
mod message;
mod pace;
mod proposer;
mod requests;
pub mod round;
mod storage;

pub use message::{Message, Proposal, Record};
pub use round::{Kind, Quorums, Round};
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
use election::{Canvass, Preparation};
use leader::Reign;
use learner::Ballots;
use log::Log;
use message::promise_of;
use pace::Pace;
use proposer::Attempt;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use round::Pick;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use storage::Journal;

/// What one operation costs in a fast round, wherever it is asked for.
const fn fast(asked: Asked, at: At) -> Cost {
    Cost {
        asked,
        at,
        messages: formula("(n - 1)(n + 1)", |n| (n - 1) * (n + 1)),
        delays: formula("2", |_| 2),
        syncs: formula("n", |n| n),
    }
}

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "fast-paxos",
    summary: "Fast Paxos: commands go to all acceptors at once, coordinated recovery from collisions, classic rounds \
              under load and when nodes are missing",
    paper: "Lamport, Fast Paxos (2006)",
    params: &[
        (
            "eager=4",
            "slots of a classic round that may be under way before requests wait for a full batch",
        ),
        (
            "snapshot-entries=20000",
            "with real processes: decided entries after which a node takes a snapshot and drops its log before it",
        ),
    ],
    capabilities: FastPaxos::CAPABILITIES,
    quorums: "more than n/2 promise, more than n/2 accept in a classic round; in a fast round so many that any two such \
              sets and a majority share a node: 3 of 3, 3 of 4, 4 of 5, 6 of 7",
    survives: "(n - 1)/2 nodes down or cut off, as long as the others reach the leader (in classic rounds: a fast one \
               needs a fast quorum); any number of restarts, message loss, delay, duplication and reordering; clocks \
               that are wrong",
    costs: &[
        fast(Asked::Write, At::Leader),
        fast(Asked::Write, At::Other),
        fast(Asked::Read, At::Leader),
        fast(Asked::Read, At::Other),
    ],
};

/// One node.
#[derive(Debug)]
pub struct FastPaxos {
    config: Config,
    eager: usize,
    random: ChaCha8Rng,
    now: Time,

    /// Acceptor: no proposal of a lower reign is accepted. Durable before anybody learns of it.
    promised: Ballot,
    /// Acceptor and learner: what was accepted, and how far it is decided.
    log: Log,
    journal: Journal,
    /// Votes of fast rounds whose records are not durable yet, with the place of the record: reign and value of a slot.
    own_votes: VecDeque<(Position, Slot, Ballot, u64)>,

    /// Learner: the state after every decided slot.
    machine: Machine,
    /// The votes of fast rounds in undecided slots.
    ballots: BTreeMap<Slot, Ballots>,
    /// The highest reign whose leader was heard to say how far the slots are decided.
    announced: (Ballot, Slot),
    catch_up: CatchUp,
    source: Option<Source>,

    /// Proposer of fast rounds.
    attempt: Option<Attempt>,
    /// From which slot on the fast round of the leader's reign is open. `None` if it is not, or there is no leader.
    fast: Option<Slot>,

    /// Coordinator.
    standing: Standing,
    pace: Pace,
    /// A slot was recovered in this step, or a reign has begun that has nothing to propose.
    announce: bool,
    /// The highest round met in any reign.
    round_met: u64,
    canvasses: u64,

    /// The reign of the leader that this node, not leading itself, has heard lately.
    leader: Option<Ballot>,
    /// When it was heard.
    heard_at: Time,
    /// When to canvass, unless a leader is heard before.
    election_at: Time,
    /// When to look after everything that is done from time to time.
    tick_at: Time,
    /// How many nodes have to accept before anything is decided.
    pub(crate) quorums: Quorums,
    /// What a coordinator makes of the votes that it has heard.
    pub(crate) pick: Pick,

    requests: Requests<Ballot>,
}

/// What a node does as a coordinator.
#[derive(Debug)]
enum Standing {
    /// Nothing.
    Follower,
    /// Asks whether anybody hears a leader.
    Canvassing(Canvass),
    /// Phase 1.
    Preparing(Preparation),
    /// Phase 2, slot by slot.
    Leading(Reign),
}

type Out = Output<FastPaxos>;

impl Core for FastPaxos {
    type Message = Message;
    type Record = Record;

    const CAPABILITIES: Capabilities = Capabilities {
        cas: true,
        collections: true,
        transactions: true,
        sessions: true,
        membership: false,
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
        let eager = eager(&config)?;
        let kept = storage::Kept::recover(&config.limits, snapshot, records)?;
        let hole = kept.hole;
        let mut node = Self {
            eager,
            random: ChaCha8Rng::seed_from_u64(config.seed),
            now,
            promised: kept.promised,
            log: kept.log,
            journal: kept.journal,
            own_votes: VecDeque::new(),
            machine: kept.machine,
            ballots: BTreeMap::new(),
            announced: (Ballot::NONE, Slot(0)),
            catch_up: CatchUp::default(),
            source: None,
            attempt: None,
            fast: None,
            standing: Standing::Follower,
            pace: Pace::default(),
            announce: false,
            round_met: kept.promised.round,
            canvasses: config.incarnation << 32,
            leader: None,
            heard_at: now,
            election_at: now,
            tick_at: now.after(config.timing.heartbeat),
            quorums: Quorums::of(config.members.len()),
            pick: round::pick,
            requests: Requests::new(&config),
            config,
        };
        // Long enough to hear a leader that lives, not longer: nothing can be served before.
        let timing = node.config.timing;
        node.election_at = node.random_time(timing.heartbeat * 2, timing.election_min);
        node.recount_own_votes();
        out.observe(Observation::Role { role: Role::Follower, ballot: promise_of(node.promised) });
        if hole {
            node.save_snapshot(out); // Or the records to come would lie behind the hole, too.
        }
        node.ask_to_be_woken(out);
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
        self.propose_waiting(out);
        if std::mem::take(&mut self.announce) {
            self.beat(out);
        }
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
            _ => self.leader.map(|reign| reign.node),
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

    fn decides(&self, _slot: u64, ballot: u64, acceptors: &[NodeId]) -> Option<bool> {
        let quorums = Quorums::of(self.config.members.len());
        Some(acceptors.len() >= quorums.size(Round::kind_of(ballot)))
    }

    fn promised_ballot(&self) -> Option<u64> {
        Some(if self.promised == Ballot::NONE { 0 } else { promise_of(self.promised) })
    }

    fn accepted_ballot(&self, slot: u64) -> Option<u64> {
        let known = Slot(slot) > self.log.dropped();
        known.then(|| self.log.get(Slot(slot)).map_or(0, |held| held.round.number()))
    }

    fn state_digest(&self) -> Option<u64> {
        Some(self.machine.digest())
    }
}

impl FastPaxos {
    fn on_message(&mut self, from: NodeId, message: Message, out: &mut Out) {
        match message {
            Message::Canvass { number } => self.on_canvass(from, number, out),
            Message::Canvassed { number, hears, promised } => {
                self.on_canvassed(from, number, hears, promised, out);
            }
            Message::Prepare { reign, from: slot } => self.on_prepare(from, reign, slot, out),
            Message::Promise { reign, decided, from: page, accepted, more } => {
                let promise = election::Page { decided, from: page, accepted, more };
                self.on_promise(from, reign, promise, out);
            }
            Message::Any { reign, from: slot } => self.on_any(from, reign, slot, out),
            Message::Propose { reign, slot, value } => {
                self.on_propose(from, reign, slot, value, out);
            }
            Message::Voted { reign, slot, digest } => {
                self.on_voted(from, reign, slot, digest, out);
            }
            Message::Accept { proposal, decided } => self.on_accept(from, proposal, decided, out),
            Message::Accepted { reign, slot } => self.on_accepted(from, reign, slot, out),
            Message::Heartbeat { reign, decided, fast } => {
                self.on_heartbeat(from, reign, decided, fast, out);
            }
            Message::Heard { reign } => self.on_heard(from, reign),
            Message::Rejected { reign, promised } => self.on_rejected(reign, promised, out),
            Message::CatchUp { decided, partial } => {
                self.on_catch_up(from, decided, partial, out);
            }
            Message::Decided { first, values, decided } => {
                self.on_decided(from, first, values, decided, out);
            }
            Message::Snapshot(chunk) => self.on_snapshot(from, &chunk, out),
            Message::Forward { reign, ticket, request } => {
                self.on_forward(from, reign, ticket, request, out);
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
            Admin::Add(_) | Admin::Remove(_) => {
                out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
            }
        }
    }

    /// The node's own records became durable: as an acceptor it has now promised, or accepted, what it wrote.
    fn on_persisted(&mut self, upto: Position, out: &mut Out) {
        self.journal.persisted = self.journal.persisted.max(upto);
        self.count_own_votes(out);
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
        self.look_after_attempt(out);
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

/// The option of that name.
fn eager(config: &Config) -> Result<usize, Damaged> {
    let refuse = |what: &str| Damaged(format!("no log was read: option {what}"));
    if let Some(unknown) = config.options.keys().find(|key| *key != "eager") {
        return Err(refuse(&format!("`{unknown}` is not one of fast-paxos")));
    }
    match config.options.get("eager").map_or(Ok(4), |text| text.parse()) {
        Ok(eager) if eager > 0 => Ok(eager),
        _ => Err(refuse("`eager` must be a number above 0")),
    }
}
