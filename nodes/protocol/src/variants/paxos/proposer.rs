//! The requests of a node's clients, register by register: where they wait, what is tried for them, what they are told.
//!
//! A register with requests has one *attempt* under way, and a time at which to look after it. [`super::attempt`] is
//! what an attempt does with the answers to it.

use super::attempt::{Attempt, Phase};
use super::message::{Message, Query, Register};
use super::state::Change;
use super::{Out, Paxos};
use crate::core::{Config, Damaged, NodeId, Observation, Position, RequestId, Time};
use crate::machine::{Command, Failure, Reply, Request};
use crate::replication::Ballot;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Bits of a ballot's round that hold the incarnation of its node; those above count.
const INCARNATION_BITS: u32 = 24;

/// The shortest range of times from which the first wait after a conflict is drawn.
const BACKOFF_MIN: Duration = Duration::from_millis(1);

/// A client's request that waits for a decision.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: RequestId,
    pub(super) change: Change,
    deadline: Time,
    /// Counts the requests of this node: whether it came before something was asked.
    pub(super) arrival: u64,
    /// Whether it was part of a proposal that may still be decided.
    pub(super) exposed: bool,
    /// It reads, and found the nodes divided: it needs a ballot.
    divided: bool,
}

/// What a node does for one register.
#[derive(Debug)]
pub(super) struct Work {
    /// Requests of no attempt, the oldest first.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) attempt: Attempt,
    /// The highest ballot that a rejection told of.
    pub(super) met: Ballot,
    /// Attempts that ended in a conflict since the last success.
    pub(super) conflicts: u32,
    /// When to ask again, or to try another ballot.
    pub(super) act_at: Time,
    /// Its entry in `Proposers::due`.
    due: Time,
}

/// All that a node does for its clients.
#[derive(Debug)]
pub(super) struct Proposers {
    random: ChaCha8Rng,
    pub(super) works: BTreeMap<Register, Work>,
    due: BTreeSet<(Time, Register)>,
    /// Requests that wait, of all registers.
    open: usize,
    /// Requests ever.
    pub(super) arrivals: u64,
    /// Queries ever.
    queries: u64,
}

/// What a node tells itself once its disk holds it.
#[derive(Debug)]
pub(super) enum OwnVote {
    /// It had accepted that ballot when it asked.
    Report(Register, Query, Ballot),
    /// It has promised the first ballot, and had accepted the second.
    Promised(Register, Ballot, Ballot),
    /// It has accepted in that ballot.
    Accepted(Register, Ballot),
}

impl Proposers {
    pub(super) fn new(config: &Config) -> Result<Self, Damaged> {
        if config.incarnation >= 1 << INCARNATION_BITS {
            return Err(Damaged("the node has started more often than ballots can name".into()));
        }
        Ok(Self {
            random: ChaCha8Rng::seed_from_u64(config.seed),
            works: BTreeMap::new(),
            due: BTreeSet::new(),
            open: 0,
            arrivals: 0,
            queries: 0,
        })
    }

    /// When something is due.
    pub(super) fn wake_at(&self) -> Option<Time> {
        self.due.first().map(|(time, _)| *time)
    }

    /// A random time to wait after a conflict of an attempt that took `elapsed`: it may take so long to try.
    pub(super) fn backoff(
        &mut self,
        conflicts: u32,
        elapsed: Duration,
        most: Duration,
    ) -> Duration {
        let range = BACKOFF_MIN.max(elapsed.saturating_mul(2));
        let range = range.saturating_mul(1 << conflicts.min(6)).min(most);
        let nanos = u64::try_from(range.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.random.random_range(0..=nanos))
    }

    /// The time at which to look after a register has changed.
    pub(super) fn schedule(&mut self, register: &Register) {
        let Some(work) = self.works.get_mut(register) else { return };
        let asking = work.attempt.batch().next();
        let oldest = work.waiting.front().into_iter().chain(asking);
        let deadline = oldest.map(|waiting| waiting.deadline).min();
        let due = deadline.map_or(work.act_at, |deadline| deadline.min(work.act_at));
        if due != work.due {
            self.due.remove(&(work.due, register.clone()));
            self.due.insert((due, register.clone()));
            work.due = due;
        }
    }

    fn drop_work(&mut self, register: &Register) {
        if let Some(work) = self.works.remove(register) {
            self.due.remove(&(work.due, register.clone()));
        }
    }

    /// Tells a client what became of its request.
    pub(super) fn answer(&mut self, waiting: &Waiting, reply: Reply, out: &mut Out) {
        self.open -= 1;
        // At once: what is decided rests on the disks of a majority, and the own one counted only when it was written.
        out.reply_at_once(waiting.id, reply);
    }

    /// Tells a client that its time is over.
    fn give_up(&mut self, waiting: &Waiting, out: &mut Out) {
        let failure = if waiting.exposed { Failure::Unknown } else { Failure::NoLeader };
        self.answer(waiting, Reply::Failed(failure), out);
    }

    /// Gives up the requests for the register whose time is over. False if none is left.
    fn expire(&mut self, now: Time, register: &Register, out: &mut Out) -> bool {
        let Some(work) = self.works.get_mut(register) else { return false };
        let over = |waiting: &Waiting| waiting.deadline <= now;
        let mut expired = work.attempt.take_expired(over);
        while let Some(waiting) = work.waiting.pop_front_if(|waiting| over(waiting)) {
            expired.push(waiting);
        }
        let left = !work.waiting.is_empty() || work.attempt.batch().next().is_some();
        for waiting in expired {
            self.give_up(&waiting, out);
        }
        left
    }
}

/// Requests.
impl Paxos {
    pub(super) fn on_request(&mut self, now: Time, id: RequestId, request: Request, out: &mut Out) {
        let (register, change) = match request {
            Request::OpenSession { .. } => (Register::Sessions, Change::OpenSession),
            Request::Execute(command) => match register_of(&command) {
                Some(register) => (register, Change::Execute(command)),
                None => return out.reply_at_once(id, Reply::Failed(Failure::Unsupported)),
            },
        };
        let queue = self.config.limits.queue;
        if self.proposers.open >= queue || self.acceptors.journal.waiting() >= queue {
            out.observe(Observation::Refused);
            return out.reply_at_once(id, Reply::Failed(Failure::Overloaded));
        }
        self.proposers.open += 1;
        self.proposers.arrivals += 1;
        let deadline = now.after(self.config.timing.request);
        let arrival = self.proposers.arrivals;
        let waiting = Waiting { id, change, deadline, arrival, exposed: false, divided: false };
        match self.proposers.works.get_mut(&register) {
            Some(work) => work.waiting.push_back(waiting),
            None => {
                let work = Work {
                    waiting: VecDeque::from([waiting]),
                    attempt: Attempt::none(now),
                    met: Ballot::NONE,
                    conflicts: 0,
                    act_at: deadline,
                    due: deadline,
                };
                self.proposers.due.insert((deadline, register.clone()));
                self.proposers.works.insert(register.clone(), work);
                self.attempt(now, &register, out);
            }
        }
    }

    /// Looks after the registers for which it is time.
    pub(super) fn on_wake(&mut self, now: Time, out: &mut Out) {
        while let Some((time, register)) = self.proposers.due.first().cloned()
            && time <= now
        {
            if !self.proposers.expire(now, &register, out) {
                self.proposers.drop_work(&register);
                continue;
            }
            let Some(work) = self.proposers.works.get_mut(&register) else { continue };
            if work.act_at > now {
                self.proposers.schedule(&register);
            } else if work.attempt.conflict || !work.attempt.is_under_way() {
                self.attempt(now, &register, out);
            } else {
                work.act_at = now.after(self.config.timing.resend);
                for peer in self.config.peers().filter(|peer| !work.attempt.has_heard(*peer)) {
                    if let Some(message) = work.attempt.message(&register) {
                        out.send_at_once(peer, message);
                    }
                }
                self.proposers.schedule(&register);
            }
        }
    }

    /// The attempt has ended; whatever waits gets the next one.
    pub(super) fn end_attempt(&mut self, now: Time, register: &Register, out: &mut Out) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        work.conflicts = 0;
        work.attempt = Attempt::none(now);
        if work.waiting.is_empty() {
            self.proposers.drop_work(register);
        } else {
            self.attempt(now, register, out);
        }
    }

    /// Begins an attempt for all that waits, and for what an attempt before this one has not brought to a decision.
    pub(super) fn attempt(&mut self, now: Time, register: &Register, out: &mut Out) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        let unfinished = work.attempt.take_unfinished();
        for waiting in unfinished.into_iter().rev() {
            work.waiting.push_front(waiting);
        }
        work.act_at = now.after(self.config.timing.resend);
        let is_fresh_read = |waiting: &Waiting| waiting.change.is_read() && !waiting.divided;
        if work.waiting.iter().all(is_fresh_read) {
            self.query(now, register, out);
        } else {
            self.prepare(now, register, out);
        }
        self.proposers.schedule(register);
    }

    /// Asks for what was accepted, on behalf of all reads that wait.
    fn query(&mut self, now: Time, register: &Register, out: &mut Out) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        self.proposers.queries += 1;
        let incarnation = self.config.incarnation;
        let query = Query { incarnation, number: self.proposers.queries };
        let (_, known) = self.acceptors.ballots(register);
        let batch = work.waiting.drain(..).collect();
        work.attempt = Attempt::query(now, query, known, batch);
        out.broadcast_at_once(Message::Query { register: register.clone(), query, known });
        self.vote(now, OwnVote::Report(register.clone(), query, known), out);
    }

    /// Phase 1a.
    fn prepare(&mut self, now: Time, register: &Register, out: &mut Out) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        let (promised, known) = self.acceptors.ballots(register);
        let round = promised.max(work.met).round >> INCARNATION_BITS;
        let round = (round + 1) << INCARNATION_BITS | self.config.incarnation;
        let ballot = Ballot { round, node: self.config.node };
        work.attempt = Attempt::prepare(now, ballot, known, self.proposers.arrivals);
        out.broadcast_at_once(Message::Prepare { register: register.clone(), ballot, known });
        let promise = self.acceptors.on_prepare(register.clone(), ballot, known, out);
        debug_assert!(matches!(promise, Message::Promise { .. }), "the ballot is the highest here");
        self.vote(now, OwnVote::Promised(register.clone(), ballot, known), out);
    }

    /// This node's own vote counts once its disk holds what it rests on.
    pub(super) fn vote(&mut self, now: Time, vote: OwnVote, out: &mut Out) {
        if let Some(vote) = self.acceptors.journal.when_durable(vote) {
            self.count_own(now, vote, out);
        }
    }

    fn count_own(&mut self, now: Time, vote: OwnVote, out: &mut Out) {
        let node: NodeId = self.config.node;
        match vote {
            OwnVote::Report(register, query, accepted) => {
                self.on_report(now, node, &register, query, (accepted, None), out);
            }
            OwnVote::Promised(register, ballot, accepted) => {
                self.on_promise(now, node, &register, ballot, (accepted, None), out);
            }
            OwnVote::Accepted(register, ballot) => {
                self.on_accepted(now, node, &register, ballot, out);
            }
        }
    }

    pub(super) fn on_persisted(&mut self, now: Time, position: Position, out: &mut Out) {
        self.acceptors.journal.persisted(position);
        while let Some(vote) = self.acceptors.journal.next_vote() {
            self.count_own(now, vote, out);
        }
    }

    /// Reads that found the nodes divided go on with a ballot, before what came later.
    pub(super) fn go_on_with_ballot(&mut self, now: Time, register: &Register, out: &mut Out) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        if let Phase::Query { batch, .. } = &mut work.attempt.phase {
            batch.iter_mut().for_each(|waiting| waiting.divided = true);
        }
        self.attempt(now, register, out);
    }
}

/// The one register that a command is about.
fn register_of(command: &Command) -> Option<Register> {
    let (first, rest) = command.operations.split_first()?;
    let one_key = rest.iter().all(|operation| operation.key() == first.key());
    one_key.then(|| Register::Key(first.key().clone()))
}
