//! One attempt to read a register or to decide its next version, and what comes of the answers to it.

use super::message::{Message, Query, Register};
use super::proposer::{OwnVote, Waiting};
use super::state::State;
use super::{Out, Paxos};
use crate::core::{NodeId, Time};
use crate::machine::Reply;
use crate::replication::Ballot;
use crate::replication::requests::doubt;
use std::collections::{BTreeMap, BTreeSet};

/// What is tried for a register.
#[derive(Debug)]
pub(super) struct Attempt {
    /// When it began.
    began: Time,
    /// An acceptor has promised a higher ballot: wait, then try another.
    pub(super) conflict: bool,
    pub(super) phase: Phase,
}

/// How far an attempt has come.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing was asked.
    None,
    /// Reads ask what was accepted.
    Query {
        query: Query,
        known: Ballot,
        /// What each node has accepted last.
        reports: BTreeMap<NodeId, Ballot>,
        /// The states of the ballots reported, where this node had another.
        states: BTreeMap<Ballot, State>,
        batch: Vec<Waiting>,
    },
    /// Phase 1.
    Prepare {
        ballot: Ballot,
        /// What the own acceptor had accepted when it promised.
        known: Ballot,
        /// What each node that promised has accepted last.
        promises: BTreeMap<NodeId, Ballot>,
        /// The state of the highest of these ballots, if that is above `known`.
        newest: Option<(Ballot, State)>,
        /// Requests that arrived later came after the question.
        arrivals: u64,
    },
    /// Phase 2.
    Accept {
        ballot: Ballot,
        state: State,
        /// Who has accepted it.
        accepted: BTreeSet<NodeId>,
        /// The requests that the state has carried out, with what they will be answered.
        batch: Vec<(Waiting, Reply)>,
    },
}

impl Attempt {
    /// Nothing is under way.
    pub(super) fn none(now: Time) -> Self {
        Self { began: now, conflict: false, phase: Phase::None }
    }

    pub(super) fn query(now: Time, query: Query, known: Ballot, batch: Vec<Waiting>) -> Self {
        let (reports, states) = (BTreeMap::new(), BTreeMap::new());
        let phase = Phase::Query { query, known, reports, states, batch };
        Self { phase, ..Self::none(now) }
    }

    pub(super) fn prepare(now: Time, ballot: Ballot, known: Ballot, arrivals: u64) -> Self {
        let promises = BTreeMap::new();
        let phase = Phase::Prepare { ballot, known, promises, newest: None, arrivals };
        Self { phase, ..Self::none(now) }
    }

    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.phase, Phase::None)
    }

    /// What it asks of its peers.
    pub(super) fn message(&self, register: &Register) -> Option<Message> {
        let register = register.clone();
        match &self.phase {
            Phase::None => None,
            Phase::Query { query, known, .. } => {
                Some(Message::Query { register, query: *query, known: *known })
            }
            Phase::Prepare { ballot, known, .. } => {
                Some(Message::Prepare { register, ballot: *ballot, known: *known })
            }
            Phase::Accept { ballot, state, .. } => {
                Some(Message::Accept { register, ballot: *ballot, state: state.clone() })
            }
        }
    }

    /// Whether the node has answered.
    pub(super) fn has_heard(&self, node: NodeId) -> bool {
        match &self.phase {
            Phase::None => false,
            Phase::Query { reports, .. } => reports.contains_key(&node),
            Phase::Prepare { promises, .. } => promises.contains_key(&node),
            Phase::Accept { accepted, .. } => accepted.contains(&node),
        }
    }

    /// The requests that it carries, the oldest first.
    pub(super) fn batch(&self) -> impl Iterator<Item = &Waiting> {
        let (reads, changes) = match &self.phase {
            Phase::Query { batch, .. } => (batch.as_slice(), [].as_slice()),
            Phase::Accept { batch, .. } => ([].as_slice(), batch.as_slice()),
            Phase::None | Phase::Prepare { .. } => ([].as_slice(), [].as_slice()),
        };
        reads.iter().chain(changes.iter().map(|(waiting, _)| waiting))
    }

    /// Takes away the requests whose time is over.
    pub(super) fn take_expired(&mut self, over: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        match &mut self.phase {
            Phase::Query { batch, .. } => batch.extract_if(.., |waiting| over(waiting)).collect(),
            Phase::Accept { batch, .. } => {
                let expired = batch.extract_if(.., |(waiting, _)| over(waiting));
                expired.map(|(waiting, _)| waiting).collect()
            }
            Phase::None | Phase::Prepare { .. } => Vec::new(),
        }
    }

    /// Takes away all its requests, which it has not brought to a decision, and ends.
    pub(super) fn take_unfinished(&mut self) -> Vec<Waiting> {
        match std::mem::replace(&mut self.phase, Phase::None) {
            Phase::Query { batch, .. } => batch,
            Phase::Accept { batch, .. } => batch.into_iter().map(|(waiting, _)| waiting).collect(),
            Phase::None | Phase::Prepare { .. } => Vec::new(),
        }
    }

    /// The ballot of a proposer.
    fn ballot(&self) -> Option<Ballot> {
        match &self.phase {
            Phase::Prepare { ballot, .. } | Phase::Accept { ballot, .. } => Some(*ballot),
            Phase::None | Phase::Query { .. } => None,
        }
    }
}

/// Reads.
impl Paxos {
    /// Counts a report. One that comes late, twice, or for another question, changes nothing.
    pub(super) fn on_report(
        &mut self,
        now: Time,
        from: NodeId,
        register: &Register,
        asked: Query,
        (accepted, state): (Ballot, Option<State>),
        out: &mut Out,
    ) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        let Phase::Query { query, reports, states, .. } = &mut work.attempt.phase else { return };
        if *query != asked {
            return;
        }
        reports.insert(from, accepted);
        if let Some(state) = state {
            states.insert(accepted, state);
        }
        if reports.len() >= self.config.majority() {
            self.end_query(now, register, out);
        }
    }

    /// A majority has reported: if all of them have accepted the same, that is decided, and no older than the question.
    fn end_query(&mut self, now: Time, register: &Register, out: &mut Out) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        let Phase::Query { reports, states, batch, .. } = &mut work.attempt.phase else { return };
        let decided = all_equal(reports.values().copied());
        let state = decided.and_then(|ballot| {
            states.remove(&ballot).or_else(|| self.acceptors.state_of(register, ballot))
        });
        let Some(mut state) = state else { return self.go_on_with_ballot(now, register, out) };
        for waiting in std::mem::take(batch) {
            let outcome = state.apply(&waiting.change, &self.config.limits);
            self.proposers.answer(&waiting, outcome.reply, out);
        }
        self.end_attempt(now, register, out);
    }
}

/// Proposals.
impl Paxos {
    /// Counts a promise. One that comes late, twice, or for another ballot, changes nothing.
    pub(super) fn on_promise(
        &mut self,
        now: Time,
        from: NodeId,
        register: &Register,
        promised: Ballot,
        (accepted, state): (Ballot, Option<State>),
        out: &mut Out,
    ) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        let Phase::Prepare { ballot, promises, newest, .. } = &mut work.attempt.phase else {
            return;
        };
        if *ballot != promised {
            return;
        }
        promises.insert(from, accepted);
        if let Some(state) = state
            && newest.as_ref().is_none_or(|(highest, _)| accepted > *highest)
        {
            *newest = Some((accepted, state));
        }
        if promises.len() >= self.config.majority() {
            self.propose(now, register, out);
        }
    }

    /// A majority has promised: what waits is applied to the newest state, and proposed if that changes it.
    fn propose(&mut self, now: Time, register: &Register, out: &mut Out) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        let Phase::Prepare { ballot, known, promises, newest, arrivals } = &mut work.attempt.phase
        else {
            return;
        };
        let (ballot, known, arrivals) = (*ballot, *known, *arrivals);
        // If the own acceptor has promised a higher ballot meanwhile, it may have accepted something else.
        let (held, _) = self.acceptors.ballots(register);
        if held != ballot {
            return self.on_rejected(now, register, ballot, held);
        }
        let (base, newest) = match newest.take() {
            Some((ballot, state)) => (ballot, Some(state)),
            None => (known, None),
        };
        let Some(mut state) = newest.or_else(|| self.acceptors.state_of(register, known)) else {
            unreachable!("an acceptor accepts nothing below its promise");
        };
        // Where the own acceptor is ahead of all who have promised, they may agree, but not on this state.
        let mut is_settled = promises.values().all(|accepted| *accepted == base);
        let limits = &self.config.limits;
        let batch = work.waiting.len().min(limits.batch_commands.max(1));
        let batch: Vec<_> = work.waiting.drain(..batch).collect();
        let apply = |waiting: Waiting| {
            let outcome = state.apply(&waiting.change, limits);
            is_settled &= !outcome.changed && waiting.arrival <= arrivals;
            let reply = doubt(waiting.exposed, outcome.reply);
            (waiting, reply)
        };
        let batch: Vec<_> = batch.into_iter().map(apply).collect();
        if is_settled {
            self.decided(now, register, batch, out);
        } else {
            self.accept(now, register, ballot, state, batch, out);
        }
    }

    /// Phase 2a.
    fn accept(
        &mut self,
        now: Time,
        register: &Register,
        ballot: Ballot,
        mut state: State,
        mut batch: Vec<(Waiting, Reply)>,
        out: &mut Out,
    ) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        state.next_version();
        batch.iter_mut().for_each(|(waiting, _)| waiting.exposed = true);
        let proposal = state.clone();
        let accepted = BTreeSet::new();
        work.attempt.phase = Phase::Accept { ballot, state, accepted, batch };
        // A rejection of the ballot leaves this attempt as little time as the one before.
        if !work.attempt.conflict {
            work.act_at = now.after(self.config.timing.resend);
        }
        if let Some(message) = work.attempt.message(register) {
            out.broadcast_at_once(message);
        }
        self.proposers.schedule(register);
        self.acceptors.on_accept(register.clone(), ballot, proposal, out);
        self.vote(now, OwnVote::Accepted(register.clone(), ballot), out);
    }

    pub(super) fn on_accepted(
        &mut self,
        now: Time,
        from: NodeId,
        register: &Register,
        in_ballot: Ballot,
        out: &mut Out,
    ) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        let Phase::Accept { ballot, accepted, batch, .. } = &mut work.attempt.phase else {
            return;
        };
        if *ballot != in_ballot {
            return;
        }
        accepted.insert(from);
        if accepted.len() >= self.config.majority() {
            let batch = std::mem::take(batch);
            self.decided(now, register, batch, out);
        }
    }

    /// What the requests are answered is decided.
    fn decided(
        &mut self,
        now: Time,
        register: &Register,
        batch: Vec<(Waiting, Reply)>,
        out: &mut Out,
    ) {
        for (waiting, reply) in batch {
            self.proposers.answer(&waiting, reply, out);
        }
        self.end_attempt(now, register, out);
    }

    /// A higher ballot stands in the way of this attempt.
    pub(super) fn on_rejected(
        &mut self,
        now: Time,
        register: &Register,
        ballot: Ballot,
        promised: Ballot,
    ) {
        let Some(work) = self.proposers.works.get_mut(register) else { return };
        if work.attempt.ballot() != Some(ballot) {
            return;
        }
        work.met = work.met.max(promised);
        if work.attempt.conflict {
            return;
        }
        work.attempt.conflict = true;
        let elapsed = now.since(work.attempt.began);
        let conflicts = work.conflicts;
        work.conflicts = conflicts.saturating_add(1);
        let most = self.config.timing.resend.saturating_mul(2);
        let wait = self.proposers.backoff(conflicts, elapsed, most);
        if let Some(work) = self.proposers.works.get_mut(register) {
            work.act_at = now.after(wait);
        }
        self.proposers.schedule(register);
    }
}

/// The value that all are; `None` if two differ.
fn all_equal(mut ballots: impl Iterator<Item = Ballot>) -> Option<Ballot> {
    let first = ballots.next()?;
    ballots.all(|ballot| ballot == first).then_some(first)
}
