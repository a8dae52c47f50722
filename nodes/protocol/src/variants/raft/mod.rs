//! Raft: a replicated log under an elected leader, whose log every other becomes.
//!
//! Source: D. Ongaro and J. Ousterhout, "In Search of an Understandable Consensus Algorithm", extended version (2014), here
//! "the paper"; D. Ongaro, "Consensus: Bridging Theory and Practice", dissertation (2014): section 3.10 for a leader that an
//! operator wants, 4.1 to 4.3 for changes of membership (with the correction of 2015, see [`membership`]), 4.2.3 for
//! stickiness, 6.2 for a leader without a majority, 6.4 for reads, 9.6 for pre-votes, 10.2.1 for writing in parallel.
//!
//! | message        | from, to              | when                                                                  |
//! |----------------|-----------------------|-----------------------------------------------------------------------|
//! | `pre-vote`     | voter to all          | it has heard no leader for a random time: who would vote for it?      |
//! | `pre-voted`    | all to voter          | always, at once                                                       |
//! | `request-vote` | candidate to all      | a majority would; its new term and its own vote are durable           |
//! | `vote`         | any to candidate      | it has voted in that term for nobody else, and its log is not newer; durable. At once if not |
//! | `append`       | leader to all         | at once, while its own records are being written                      |
//! | `appended`     | follower to leader    | its log is the leader's up to there; durable                          |
//! | `refused`      | follower to leader    | it lacks the entry before; at once, with where to go on               |
//! | `heartbeat`    | leader to all         | every `heartbeat`, and to confirm its reign before it answers reads   |
//! | `heard`        | follower to leader    | it knew of no later term at that moment                               |
//! | `stale`        | any to a leader       | its term is over                                                      |
//! | `snapshot`     | leader to follower    | the follower's next entry was dropped: a part of the state instead    |
//! | `fetch`        | follower to leader    | it has got a part, and what it needs next                             |
//! | `forward`      | follower to leader    | a client asked the follower                                           |
//! | `answer`       | leader to follower    | the forwarded requests are applied, or their fate became unknown      |
//! | `return`       | any to follower       | this copy of the forwarded request was not proposed                   |
//!
//! Cost, of `n` nodes without faults: a write at the leader takes `2(n - 1)` messages (`append`, `appended`), one round trip,
//! and one record a node, of which a majority is waited for; a batch of writes costs as much as one. A read at the leader
//! takes `2(n - 1)` messages (`heartbeat`, `heard`), one round trip, no record; all reads that wait share a round. A request
//! at a follower takes two messages more. Idle, `2(n - 1)` messages every `heartbeat`.
//!
//! # Invariants (figure 3 of the paper)
//! * *Election safety*: at most one leader a term. A term and a vote are durable before anybody hears of them.
//! * *Leader append-only*: a leader never replaces entries of its own log.
//! * *Log matching*: logs that share an entry are identical up to it. A follower appends only behind an entry that it shares
//!   with the leader, and cuts off only what conflicts.
//! * *Leader completeness*: an entry that is committed is in the log of every later leader. A server votes only for a log that
//!   is at least as up-to-date as its own; a leader commits by counting only entries of its own term.
//! * *State machine safety*: what is committed is applied in order, at once: applied equals committed. A follower commits only
//!   what it knows to be the leader's.
//! * Whatever is said of this node's disk is said after the disk has it (`Output::send`).
//!
//! # Decisions
//! * *Requests, pipelining, batches* as in [`multi_paxos`](super::multi_paxos): forwarded at most once, to one term's leader,
//!   which takes each ticket once; `NoLeader` and `Overloaded` only for what was proposed nowhere; up to `eager` slots without
//!   waiting, beyond that only full batches, up to `Limits::pipeline` slots that are not committed.
//! * *Writing in parallel.* The leader sends an entry before its own disk has it, and counts itself once it has.
//! * *Non-voters* are all nodes outside the configuration. They receive the log, forward requests, and start no election.
//! * *A leader that hears no majority* for `election_max` steps down, so that it cannot keep others from electing another.
//!
//! # Claims
//! What messages and records say in the words of Paxos, for the invariants of a simulator, with a term as ballot. Entering a
//! term, or voting in it, is a promise: nothing of a lower term is accepted any more. A candidate's `request-vote` names a
//! ballot of its own, since rivals share a term. A server *accepts* an entry in the term in which the leader created it, if it
//! appends it in that term; and, in a later term, as soon as it appends an entry *of that term* behind it (`Record::Covered`,
//! which serves nobody else, and is written only when a leader takes office over entries that are not committed). An entry of
//! an earlier term that a leader passes on is not accepted by that alone: a majority that holds it has not chosen it (figure
//! 8). With that reading a value that a majority has accepted in one term stays chosen, every committed entry was accepted by
//! a majority in one term, and no acceptance is lost but where entries conflict, which `Log::cut_in` remembers.
//!
//! # Absent
//! Leases (no clock is trusted), joint consensus, handing over leadership by the leader (`Admin::Lead` asks for it from the
//! other side), reads at followers, relaying between nodes that do not reach each other. An operator's change of membership is
//! taken by the leader only; any other node answers `NoLeader`.

mod election;
mod follower;
mod leader;
mod log;
mod membership;
mod message;
mod reads;
mod replication;
mod requests;
mod snapshots;
mod storage;

pub use log::Stored;
pub use message::{Entry, EntryId, Message, Payload, Record, Term};
pub use storage::Head;

use super::Variant;
use super::cost::{Asked, At, Cost, NONE, formula};
use crate::core::{
    Admin, Claim, Config, Core, Damaged, Input, NodeId, Observation, Output, Position, RequestId,
    Role, Snapshot, Time, VOTERS,
};
use crate::machine::{Capabilities, Machine, Reply, Request};
use crate::replication::{Incoming, Requests, Slot, Source};
use election::{Candidacy, PreVote};
use leader::Reign;
use log::Log;
use membership::Voters;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use storage::Journal;

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "raft",
    summary: "Raft with pre-vote, pipelining, batching, read index and single-server changes of membership",
    paper: "Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm (2014); Ongaro's dissertation (2014)",
    params: &[
        (
            "eager=4",
            "slots that may be under way before requests wait for a full batch: more for latency over slow links, \
             fewer for less CPU",
        ),
        (
            "snapshot-entries=20000",
            "with real processes: committed entries after which a node takes a snapshot and drops its log before it",
        ),
        ("voters=all", "how many nodes, by their numbers from 1 on, are members to begin with"),
    ],
    capabilities: Raft::CAPABILITIES,
    quorums: "more than n/2 vote, more than n/2 append; of the voters that the newest entry names",
    survives: "(n - 1)/2 nodes down or cut off, as long as the others reach the leader; any number of restarts, \
               message loss, delay, duplication and reordering; clocks that are wrong",
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

/// One node.
#[derive(Debug)]
pub struct Raft {
    config: Config,
    eager: u64,
    random: ChaCha8Rng,
    now: Time,

    /// The latest term that this node has entered. Durable before anybody learns of it, as is `vote`.
    term: Term,
    /// For whom it has voted in that term.
    vote: Option<NodeId>,
    log: Log,
    voters: Voters,
    journal: Journal,
    machine: Machine,
    /// Up to here the log is known to be that of the current term's leader.
    validated: Slot,
    /// The entries up to this one were accepted in its term.
    covered: EntryId,

    /// Where the mark of a leader's snapshot stands that is not durable yet.
    installing: Option<Position>,
    incoming: Option<Incoming>,
    source: Option<Source>,

    standing: Standing,
    /// The highest term met in any message.
    term_met: Term,
    /// How many pre-votes were asked for.
    questions: u64,

    /// The leader of the current term, if this node, not leading itself, has heard it lately.
    leader: Option<NodeId>,
    /// When it was heard.
    heard_at: Time,
    /// When to ask for pre-votes, unless a leader is heard before.
    election_at: Time,
    /// When to look after everything that is done from time to time.
    tick_at: Time,

    requests: Requests<Term>,

    /// A rule of the paper that this node does without; none, but in experiments.
    pub(crate) waived: Option<Rule>,
}

/// A rule without which Raft is not safe, as a decision that can be taken otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Only entries of the leader's own term are committed by counting (section 5.4.2).
    CurrentTerm,
    /// A message that holds less than the log does not cut the log off (section 5.3).
    KeepMatching,
    /// A follower commits only what it knows to be the leader's ("min(leaderCommit, index of last new entry)", figure 2).
    ValidatedPrefix,
    /// Votes only go to logs that are at least as up-to-date (section 5.4.1).
    ElectionRestriction,
    /// A leader changes the voters only after it has committed an entry of its own term.
    SettledChanges,
}

/// What a node does in its term.
#[derive(Debug)]
enum Standing {
    /// It follows, or waits for a leader.
    Following,
    /// It asks who would vote for it, still in its old term.
    Asking(PreVote),
    /// It asks for votes.
    Campaigning(Candidacy),
    /// It leads.
    Leading(Reign),
}

type Out = Output<Raft>;

impl Core for Raft {
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
        let eager = eager(&config)?;
        let kept = storage::Kept::recover(&config, snapshot, records)?;
        let hole = kept.hole;
        let mut node = Self {
            eager,
            random: ChaCha8Rng::seed_from_u64(config.seed),
            now,
            term: kept.term,
            vote: kept.vote,
            validated: kept.log.committed(),
            covered: EntryId::default(),
            log: kept.log,
            voters: kept.voters,
            journal: kept.journal,
            machine: kept.machine,
            installing: None,
            incoming: None,
            source: None,
            standing: Standing::Following,
            term_met: kept.term,
            questions: config.incarnation << 32,
            leader: None,
            heard_at: now,
            election_at: now,
            tick_at: now.after(config.timing.heartbeat),
            requests: Requests::new(&config),
            waived: None,
            config,
        };
        // Long enough to hear a leader that lives, not longer: nothing can be served before.
        let timing = node.config.timing;
        node.election_at = node.random_time(timing.heartbeat * 2, timing.election_min);
        out.observe(Observation::Role { role: Role::Follower, ballot: node.term.0 });
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
        self.snapshot_if_due(out);
        self.requests.send_answers(out);
        self.ask_to_be_woken(out);
    }

    fn role(&self) -> Role {
        match self.standing {
            Standing::Following | Standing::Asking(_) => Role::Follower,
            Standing::Campaigning(_) => Role::Candidate,
            Standing::Leading(_) => Role::Leader,
        }
    }

    fn leader(&self) -> Option<NodeId> {
        match self.standing {
            Standing::Leading(_) => Some(self.config.node),
            _ => self.leader,
        }
    }

    fn claim_of(record: &Record) -> Claim {
        record.claim()
    }

    fn applied(&self) -> Option<u64> {
        Some(self.log.committed().0) // Every committed entry is applied at once.
    }

    fn decided(&self, slot: u64) -> Option<&[Request]> {
        let known = Some(Slot(slot)).filter(|slot| *slot <= self.log.committed())?;
        self.log.get(known).map(|stored| stored.entry.requests())
    }

    fn decides(&self, slot: u64, ballot: u64, acceptors: &[NodeId]) -> Option<bool> {
        // Who votes is known of the history to which the held entry belongs, and of no other that was cut off. An entry may
        // have been dropped in the very step that has committed it: then those vote who did at the newest one dropped.
        let held = self.log.get(Slot(slot));
        let dropped = Slot(slot) <= self.log.dropped().slot;
        let knows = dropped || held.is_some_and(|stored| stored.accepted_in.0 == ballot);
        Some(knows && self.voters.commit(Slot(slot), acceptors))
    }

    fn promised_ballot(&self) -> Option<u64> {
        Some(self.term.0)
    }

    fn accepted_ballot(&self, slot: u64) -> Option<u64> {
        let slot = Slot(slot);
        let beyond = || Some(self.log.cut_in()).filter(|_| slot > self.log.last().slot);
        let held = self.log.get(slot).map(|stored| stored.accepted_in);
        held.or_else(beyond).map(|term| term.0)
    }

    fn state_digest(&self) -> Option<u64> {
        Some(self.machine.digest())
    }
}

/// What experiments may look at and change. The protocol itself does not use it.
impl Raft {
    /// The node's term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// The terms of the entries that the log still holds, in order.
    pub fn terms(&self) -> impl Iterator<Item = Term> {
        self.log.from(Slot(0)).map(|(_, stored)| stored.entry.term)
    }

    /// Who votes, by the newest entry.
    #[must_use]
    pub fn voters(&self) -> &[NodeId] {
        self.voters.current()
    }

    /// Forgets for whom it has voted in its term, though that vote may have been counted.
    pub fn forget_vote(&mut self) {
        self.vote = None;
    }
}

impl Raft {
    fn on_message(&mut self, from: NodeId, message: Message, out: &mut Out) {
        match message {
            Message::PreVote { number, last } => self.on_pre_vote(from, number, last, out),
            Message::PreVoted { number, term, granted } => {
                self.on_pre_voted(from, number, term, granted, out);
            }
            Message::RequestVote { term, last, wanted, .. } => {
                self.on_request_vote(from, term, last, wanted, out);
            }
            Message::Vote { term, granted } => self.on_vote(from, term, granted, out),
            Message::Append { term, previous, entries, commit } => {
                self.on_append(from, term, previous, entries, commit, out);
            }
            Message::Appended { term, matched } => self.on_appended(from, term, matched, out),
            Message::Refused { term, previous, first, conflict } => {
                self.on_refused(from, term, previous, first, conflict, out);
            }
            Message::Heartbeat { term, round, commit } => {
                self.on_heartbeat(from, term, round, commit, out);
            }
            Message::Heard { term, round } => self.on_heard(from, term, round, out),
            Message::Stale { term } => self.on_stale(term, out),
            Message::Snapshot { term, chunk } => self.on_snapshot(from, term, &chunk, out),
            Message::Fetch { term, partial } => self.on_fetch(from, term, partial, out),
            Message::Forward { term, ticket, request } => {
                self.on_forward(from, term, ticket, request, out);
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
                if !matches!(self.standing, Standing::Leading(_)) && self.is_voter() {
                    self.campaign(true, out);
                }
                out.reply(id, Reply::Done);
            }
            Admin::Add(node) => self.on_change(id, node, true, out),
            Admin::Remove(node) => self.on_change(id, node, false, out),
        }
    }

    /// The node's own records became durable: it has now voted, or appended, what it wrote.
    fn on_persisted(&mut self, upto: Position, out: &mut Out) {
        self.journal.persisted = self.journal.persisted.max(upto);
        self.installing.take_if(|mark| *mark < upto);
        match self.standing {
            Standing::Campaigning(_) => self.lead_if_elected(out),
            Standing::Leading(_) => self.count_own(out),
            Standing::Following | Standing::Asking(_) => {}
        }
    }

    fn on_wake(&mut self, out: &mut Out) {
        if !matches!(self.standing, Standing::Leading(_)) && self.now >= self.election_at {
            self.pre_vote(out);
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
            Standing::Campaigning(_) => self.campaign_on(out),
            Standing::Following | Standing::Asking(_) => {}
        }
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

    /// Whether this node does without that rule.
    fn waives(&self, rule: Rule) -> bool {
        self.waived == Some(rule)
    }
}

/// The option of that name.
fn eager(config: &Config) -> Result<u64, Damaged> {
    let refuse = |what: &str| Damaged(format!("no log was read: option {what}"));
    let known = |key: &str| key == "eager" || key == VOTERS;
    if let Some(unknown) = config.options.keys().find(|key| !known(key)) {
        return Err(refuse(&format!("`{unknown}` is not one of raft")));
    }
    match config.options.get("eager").map_or(Ok(4), |text| text.parse()) {
        Ok(eager) if eager > 0 => Ok(eager),
        _ => Err(refuse("`eager` must be a number above 0")),
    }
}
