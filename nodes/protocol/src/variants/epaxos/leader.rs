//! The owner of an instance: from clients' requests to a decision, by the fast path or by the slow one.

use super::message::{Deps, Instance, Message, Payload, Record, initial_ballot, is_initial};
use super::{EPaxos, Out};
use crate::core::{NodeId, Position, RequestId, Time};
use crate::machine::{Failure, Reply, Request};
use crate::replication::{Ballot, Origin, Value, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// An instance of this node for which somebody waits.
#[derive(Debug)]
pub(super) struct Own {
    /// Who, by request. Empty once all were answered.
    pub(super) origins: Vec<Origin>,
    pub(super) value: Value,
    pub(super) deadline: Time,
}

/// A ballot of this node in one instance.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) ballot: Ballot,
    pub(super) stage: Stage,
    pub(super) began_at: Time,
    /// When it was last asked.
    pub(super) asked_at: Time,
}

/// How far an attempt has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// Recovery: what do the others hold?
    Preparing {
        /// By node; this one's own is in its log.
        votes: BTreeMap<NodeId, super::Vote>,
    },
    /// Which instances interfere?
    PreAccepting {
        payload: Payload,
        /// What this node knows.
        deps: Deps,
        /// What others know.
        replies: BTreeMap<NodeId, Deps>,
    },
    /// Paxos.
    Accepting { payload: Payload, deps: Deps, acks: BTreeSet<NodeId> },
    /// The fast path is decided once the record before this position is durable.
    Writing { payload: Payload, deps: Deps, until: Position },
}

impl EPaxos {
    pub(super) fn on_request(&mut self, id: RequestId, request: Request, out: &mut Out) {
        let origin = Origin::Client { id, exposed: false };
        if self.requests.waiting() >= self.config.limits.queue {
            return self.requests.refuse(origin, out);
        }
        let deadline = self.now.after(self.config.timing.request);
        self.requests.wait(Waiting { origin, request, deadline });
    }

    /// Proposes what waits: a few instances at once, more only if they are full.
    pub(super) fn propose_waiting(&mut self, out: &mut Out) {
        let limits = self.config.limits;
        loop {
            let under_way = self.next - 1 - self.log.executed_in(self.row);
            let full = self.requests.waiting() >= limits.batch_commands.max(1);
            let bound = if full { limits.pipeline.max(1) as u64 } else { self.eager };
            if self.requests.waiting() == 0 || under_way >= bound.min(limits.pipeline.max(1) as u64)
            {
                break;
            }
            let (value, origins) = self.requests.take_batch();
            let deadline = self.now.after(self.config.timing.request);
            self.own.insert(self.next, Own { origins, value: value.clone(), deadline });
            self.propose(Payload::Requests(value), out);
        }
        self.propose_barrier(out);
    }

    /// Proposes a barrier if one is due. Nodes take turns, the later ones only if the earlier ones do not do it.
    fn propose_barrier(&mut self, out: &mut Out) {
        let rows = self.log.rows() as u64;
        let turn = (self.row as u64 + rows - self.barriers % rows) % rows;
        let due = self.config.limits.snapshot_entries.max(1);
        let due = due.saturating_add(turn * (due / 4).max(8));
        if self.barrier.is_none() && self.since_barrier >= due {
            self.barrier = Some(self.next);
            self.propose(Payload::Barrier, out);
        }
    }

    fn propose(&mut self, payload: Payload, out: &mut Out) {
        let instance = self.instance(self.row, self.next);
        self.next += 1;
        let ballot = initial_ballot(self.config.node, self.config.incarnation);
        let deps = self.conflicts.with(instance, &payload);
        self.pre_accept(instance, ballot, payload.clone(), deps.clone(), out);
        self.ask_dependencies(instance, ballot, payload, deps, out);
    }

    /// Phase 1 of an instance, in which this node has pre-accepted.
    pub(super) fn ask_dependencies(
        &mut self,
        instance: Instance,
        ballot: Ballot,
        payload: Payload,
        deps: Deps,
        out: &mut Out,
    ) {
        let stage = Stage::PreAccepting { payload, deps, replies: BTreeMap::new() };
        self.begin(instance, ballot, stage, out);
    }

    /// Begins a stage of an attempt: asks all. It leaves once this node's own vote is durable, which therefore counts.
    pub(super) fn begin(
        &mut self,
        instance: Instance,
        ballot: Ballot,
        stage: Stage,
        out: &mut Out,
    ) {
        let attempt = Attempt { ballot, stage, began_at: self.now, asked_at: self.now };
        if let Some(question) = attempt.question(instance) {
            out.broadcast(question);
        }
        self.attempts.insert(instance, attempt);
    }

    pub(super) fn on_pre_accept_ok(
        &mut self,
        from: NodeId,
        instance: Instance,
        ballot: Ballot,
        deps: Deps,
        out: &mut Out,
    ) {
        let Some(attempt) = self.attempts.get_mut(&instance) else { return };
        if let Stage::PreAccepting { replies, .. } = &mut attempt.stage
            && attempt.ballot == ballot
        {
            replies.insert(from, deps);
            self.advance(instance, out);
        }
    }

    pub(super) fn on_accept_ok(
        &mut self,
        from: NodeId,
        instance: Instance,
        ballot: Ballot,
        out: &mut Out,
    ) {
        let Some(attempt) = self.attempts.get_mut(&instance) else { return };
        if let Stage::Accepting { acks, .. } = &mut attempt.stage
            && attempt.ballot == ballot
        {
            acks.insert(from);
            self.advance(instance, out);
        }
    }

    /// Somebody has promised a higher ballot: this attempt is over. If nobody else succeeds, the row is suspected later.
    pub(super) fn on_rejected(&mut self, instance: Instance, ballot: Ballot, promised: Ballot) {
        if self.attempts.get(&instance).is_some_and(|attempt| attempt.ballot == ballot)
            && !self.is_writing(instance)
        {
            self.attempts.remove(&instance);
            self.met = self.met.max(promised);
        }
    }

    /// Goes on with every attempt.
    pub(super) fn advance_all(&mut self, out: &mut Out) {
        let under_way: Vec<_> = self.attempts.keys().copied().collect();
        under_way.into_iter().for_each(|instance| self.advance(instance, out));
    }

    /// Goes on with an attempt, if it has the answers that it needs.
    pub(super) fn advance(&mut self, instance: Instance, out: &mut Out) {
        let Some(attempt) = self.attempts.get(&instance) else { return };
        match &attempt.stage {
            Stage::Preparing { .. } => self.advance_recovery(instance, out),
            Stage::PreAccepting { .. } => self.advance_phase_1(instance, out),
            Stage::Accepting { acks, payload, deps } if acks.len() + 1 >= self.quorum => {
                let (payload, deps) = (payload.clone(), deps.clone());
                self.announce(instance, payload, deps, out);
            }
            Stage::Accepting { .. } | Stage::Writing { .. } => {}
        }
    }

    fn advance_phase_1(&mut self, instance: Instance, out: &mut Out) {
        let Some(Attempt { ballot, stage, began_at, .. }) = self.attempts.get(&instance) else {
            return;
        };
        let Stage::PreAccepting { payload, deps, replies } = stage else { return };
        let ballot = *ballot;
        let agree = 1 + replies.values().filter(|reply| *reply == deps).count();
        let (payload, mut deps) = (payload.clone(), deps.clone());
        if is_initial(ballot) && agree >= self.fast_quorum {
            return self.decide_fast(instance, payload, deps, out);
        }
        let waits = is_initial(ballot)
            && self.now.since(*began_at) < self.config.timing.resend
            && agree + self.silent(replies) >= self.fast_quorum;
        if replies.len() + 1 < self.quorum || waits {
            return;
        }
        replies.values().for_each(|reply| deps.merge(reply));
        self.ask_acceptance(instance, ballot, payload, deps, out);
    }

    /// How many nodes may yet answer.
    fn silent(&self, replies: &BTreeMap<NodeId, Deps>) -> usize {
        let members = self.config.members.iter().enumerate();
        let silent = members.filter(|(row, node)| {
            *row != self.row && !replies.contains_key(node) && self.hears(*row)
        });
        silent.count()
    }

    /// Phase 2.
    pub(super) fn ask_acceptance(
        &mut self,
        instance: Instance,
        ballot: Ballot,
        payload: Payload,
        deps: Deps,
        out: &mut Out,
    ) {
        self.accept(instance, ballot, payload.clone(), deps.clone(), out);
        self.begin(
            instance,
            ballot,
            Stage::Accepting { payload, deps, acks: BTreeSet::new() },
            out,
        );
    }

    /// A fast quorum agrees. This is a decision once it is durable here.
    fn decide_fast(&mut self, instance: Instance, payload: Payload, deps: Deps, out: &mut Out) {
        if !self.decides_durably {
            return self.announce(instance, payload, deps, out);
        }
        self.append(Record::Committed { instance, payload: None, deps: deps.clone() }, out);
        let until = self.journal.next();
        if let Some(attempt) = self.attempts.get_mut(&instance) {
            attempt.stage = Stage::Writing { payload, deps, until };
        }
    }

    /// Whether this node has decided the instance, and only its disk does not know yet.
    pub(super) fn is_writing(&self, instance: Instance) -> bool {
        let attempt = self.attempts.get(&instance);
        attempt.is_some_and(|attempt| matches!(attempt.stage, Stage::Writing { .. }))
    }

    /// Tells of the decisions that became durable.
    pub(super) fn announce_written(&mut self, out: &mut Out) {
        let persisted = self.journal.persisted;
        let written = |(instance, attempt): (&Instance, &Attempt)| match &attempt.stage {
            Stage::Writing { payload, deps, until } if *until <= persisted => {
                Some((*instance, payload.clone(), deps.clone()))
            }
            _ => None,
        };
        let written: Vec<_> = self.attempts.iter().filter_map(written).collect();
        for (instance, payload, deps) in written {
            self.announce(instance, payload, deps, out);
        }
    }

    /// An instance is decided, and this node is the first to know.
    fn announce(&mut self, instance: Instance, payload: Payload, deps: Deps, out: &mut Out) {
        let no_op = payload == Payload::NoOp;
        out.broadcast_at_once(Message::Commit { instance, deps: deps.clone(), no_op });
        self.learn(instance, payload, deps);
    }

    /// Asks again what was not answered for `resend`.
    pub(super) fn ask_again(&mut self, out: &mut Out) {
        self.advance_all(out); // The fast path is not waited for much longer than a round trip.
        let resend = self.config.timing.resend;
        for (instance, attempt) in &mut self.attempts {
            if self.now.since(attempt.asked_at) >= resend
                && let Some(question) = attempt.question(*instance)
            {
                attempt.asked_at = self.now;
                out.broadcast(question);
            }
        }
    }

    /// An own instance turned out to do nothing: its requests were executed nowhere, and are proposed again.
    pub(super) fn propose_again(&mut self, number: u64) {
        let Some(Own { origins, value, deadline }) = self.own.remove(&number) else { return };
        let requests = origins.into_iter().zip(value.requests());
        let again = requests.map(|(origin, request)| {
            let request = request.clone();
            Waiting { origin, request, deadline }
        });
        self.requests.wait_again(again);
    }

    /// Gives up the requests whose time is over: what was proposed may still take effect.
    pub(super) fn expire_requests(&mut self, out: &mut Out) {
        self.requests.expire(self.now, &Failure::Overloaded, out);
        let mut lost = Vec::new();
        for own in self.own.values_mut().filter(|own| own.deadline <= self.now) {
            lost.append(&mut own.origins);
        }
        self.give_up(lost, out);
    }

    /// Nobody will learn here what became of these requests.
    pub(super) fn give_up(&mut self, origins: Vec<Origin>, out: &mut Out) {
        for origin in origins {
            self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
        }
    }
}

impl Attempt {
    /// What is asked in this stage, if anything is.
    fn question(&self, instance: Instance) -> Option<Message> {
        let ballot = self.ballot;
        match &self.stage {
            Stage::Preparing { .. } => Some(Message::Prepare { instance, ballot }),
            Stage::PreAccepting { payload, deps, .. } => {
                let (payload, deps) = (payload.clone(), deps.clone());
                Some(Message::PreAccept { instance, ballot, payload, deps })
            }
            Stage::Accepting { payload, deps, .. } => {
                let (payload, deps) = (payload.clone(), deps.clone());
                Some(Message::Accept { instance, ballot, payload, deps })
            }
            Stage::Writing { .. } => None,
        }
    }
}
