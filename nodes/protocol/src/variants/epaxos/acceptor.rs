//! What a node answers as an acceptor, to the owner of an instance or to whoever recovers it.
//!
//! Everything that is said here is said after the disk has it.

use super::message::{Deps, Instance, Message, Payload, Record, Vote, is_initial};
use super::{EPaxos, Out};
use crate::core::NodeId;
use crate::replication::Ballot;

impl EPaxos {
    pub(super) fn on_pre_accept(
        &mut self,
        from: NodeId,
        instance: Instance,
        ballot: Ballot,
        payload: Payload,
        deps: Deps,
        out: &mut Out,
    ) {
        if !self.may_vote(from, instance, ballot, out) {
            return;
        }
        let deps = match &self.log.get(instance).map(|entry| &entry.vote) {
            // A copy is answered as the first was.
            Some(Vote::PreAccepted { deps, .. }) if is_initial(ballot) => deps.clone(),
            Some(Vote::Accepted { .. }) if is_initial(ballot) => return,
            _ => self.pre_accept(instance, ballot, payload, deps, out),
        };
        out.send(from, Message::PreAcceptOk { instance, ballot, deps });
    }

    /// Knows the payload from now on, and answers which dependencies are known, `deps` among them.
    pub(super) fn pre_accept(
        &mut self,
        instance: Instance,
        ballot: Ballot,
        payload: Payload,
        deps: Deps,
        out: &mut Out,
    ) -> Deps {
        let mut known = self.conflicts.with(instance, &payload);
        known.merge(&deps);
        known.set(instance.row(), instance.number - 1);
        self.conflicts.add(instance, &payload);
        let entry = self.log.entry(instance);
        let promises = ballot > entry.promised;
        entry.promised = ballot;
        if entry.vote == Vote::Nothing {
            let agreed = is_initial(ballot) && known == deps;
            let vote = (payload.clone(), known.clone());
            entry.vote = Vote::PreAccepted { payload: vote.0, deps: vote.1, agreed };
            let deps = known.clone();
            self.append(Record::PreAccepted { instance, ballot, payload, deps, agreed }, out);
        } else if promises {
            self.append(Record::Promised(instance, ballot), out);
        }
        known
    }

    pub(super) fn on_accept(
        &mut self,
        from: NodeId,
        instance: Instance,
        ballot: Ballot,
        payload: Payload,
        deps: Deps,
        out: &mut Out,
    ) {
        if self.may_vote(from, instance, ballot, out) {
            self.accept(instance, ballot, payload, deps, out);
            out.send(from, Message::AcceptOk { instance, ballot });
        }
    }

    pub(super) fn accept(
        &mut self,
        instance: Instance,
        ballot: Ballot,
        payload: Payload,
        deps: Deps,
        out: &mut Out,
    ) {
        self.conflicts.add(instance, &payload);
        let entry = self.log.entry(instance);
        entry.promised = ballot;
        if let Vote::Accepted { ballot: held, payload: own, deps: after } = &entry.vote {
            assert!(*held <= ballot, "an accepted ballot never falls");
            if *held == ballot {
                assert!(
                    *own == payload && *after == deps,
                    "ballot {ballot} has two values in {instance}"
                );
                return;
            }
        }
        entry.vote = Vote::Accepted { ballot, payload: payload.clone(), deps: deps.clone() };
        self.append(Record::Accepted { instance, ballot, payload, deps }, out);
    }

    pub(super) fn on_prepare(
        &mut self,
        from: NodeId,
        instance: Instance,
        ballot: Ballot,
        out: &mut Out,
    ) {
        if self.may_vote(from, instance, ballot, out) {
            let vote = self.promise(instance, ballot, out);
            out.send(from, Message::PrepareOk { instance, ballot, vote });
        }
    }

    /// Promises a ballot, and answers what is held of the instance.
    pub(super) fn promise(&mut self, instance: Instance, ballot: Ballot, out: &mut Out) -> Vote {
        let entry = self.log.entry(instance);
        let vote = entry.vote.clone();
        if ballot > entry.promised {
            entry.promised = ballot;
            self.append(Record::Promised(instance, ballot), out);
        }
        vote
    }

    /// Whether this node may take part in a ballot of an instance. If not, it says why.
    fn may_vote(
        &mut self,
        from: NodeId,
        instance: Instance,
        ballot: Ballot,
        out: &mut Out,
    ) -> bool {
        if self.log.is_committed(instance) {
            self.tell_decision(from, instance, out);
            return false;
        }
        // What this node has decided by the fast path it will tell in a moment, and nobody can prevent it.
        if self.is_writing(instance) || instance.number > self.horizon(instance.row()) {
            return false;
        }
        let promised = self.log.get(instance).map_or(Ballot::NONE, |entry| entry.promised);
        if ballot < promised {
            out.send_at_once(from, Message::Rejected { instance, ballot, promised });
            return false;
        }
        if self.attempts.get(&instance).is_some_and(|attempt| attempt.ballot < ballot) {
            self.attempts.remove(&instance);
        }
        true
    }

    /// This node takes part in no instance beyond: it lags too far and would hold too much.
    pub(super) fn horizon(&self, row: usize) -> u64 {
        let limits = self.config.limits;
        let span = limits.snapshot_entries.saturating_add(limits.keep_entries);
        let pipeline = limits.pipeline as u64;
        self.log
            .executed_in(row)
            .saturating_add(span.saturating_mul(2))
            .saturating_add(8 * pipeline)
    }
}
