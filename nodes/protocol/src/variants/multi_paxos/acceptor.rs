//! The acceptor: what is promised and accepted ("Paxos Made Simple", section 2.2, and P1a).

use super::message::{Message, Proposal, Record};
use super::{MultiPaxos, Out, Standing};
use crate::core::{NodeId, Observation};
use crate::replication::{Ballot, Slot};

impl MultiPaxos {
    /// Phase 1b: promises, unless something higher was promised; answers with what was accepted.
    pub(super) fn on_prepare(&mut self, from: NodeId, ballot: Ballot, slot: Slot, out: &mut Out) {
        if ballot < self.promised {
            return self.reject(from, ballot, out);
        }
        if ballot > self.promised {
            if self.is_pledged() {
                return; // The candidate asks again.
            }
            self.step_down(out);
            self.leader = None;
            self.promise(ballot, out);
        }
        self.await_leader();
        let page = self.promise_page(ballot, slot);
        out.send(from, page);
    }

    /// Notes a promise. The caller answers with `Output::send`, that is, not before it is durable.
    pub(super) fn promise(&mut self, ballot: Ballot, out: &mut Out) {
        assert!(ballot > self.promised, "a promise never falls");
        self.promised = ballot;
        self.round_met = self.round_met.max(ballot.round);
        self.append(Record::Promised(ballot), out);
        out.observe(Observation::Promised { ballot: ballot.number() });
    }

    /// What was accepted from `slot` on, above the decided prefix, as much as fits one message.
    fn promise_page(&self, ballot: Ballot, slot: Slot) -> Message {
        let mut accepted = Vec::new();
        let (mut more, mut bytes) = (None, 0);
        for proposal in self.log.undecided_from(slot) {
            if bytes > self.config.limits.chunk_bytes {
                more = Some(proposal.slot);
                break;
            }
            bytes += proposal.value.bytes();
            accepted.push(proposal.clone());
        }
        Message::Promise { ballot, decided: self.log.decided(), from: slot, accepted, more }
    }

    /// Phase 2b: accepts, unless something higher was promised.
    pub(super) fn on_accept(
        &mut self,
        from: NodeId,
        proposal: Proposal,
        decided: Slot,
        out: &mut Out,
    ) {
        let (ballot, slot) = (proposal.ballot, proposal.slot);
        if ballot < self.promised {
            return self.reject(from, ballot, out);
        }
        self.follow(ballot, out);
        if self.accept_as_follower(proposal, out) {
            out.send(from, Message::Accepted { ballot, slot });
        }
        self.learn_announced(from, ballot, decided, out);
    }

    /// Whether the proposal counts as accepted here.
    fn accept_as_follower(&mut self, proposal: Proposal, out: &mut Out) -> bool {
        if self.log.holds(&proposal) {
            return true; // A copy, or decided with this value.
        }
        if proposal.slot <= self.log.dropped() {
            return true; // Decided; a promise for a higher ballot would report the slot as such.
        }
        if proposal.slot <= self.log.decided() {
            return false; // Decided otherwise: a late message of a proposer that a majority has left behind.
        }
        if proposal.slot.0 - self.log.decided().0 > self.window() {
            return false; // Too far ahead to be kept; the leader asks again, after this node has caught up.
        }
        self.accept(proposal, out);
        true
    }

    /// Writes down an accepted proposal. The caller has made sure that its ballot is the promised one.
    pub(super) fn accept(&mut self, proposal: Proposal, out: &mut Out) {
        assert_eq!(proposal.ballot, self.promised, "what is accepted was promised");
        out.observe(Observation::Accepted {
            slot: proposal.slot.0,
            ballot: proposal.ballot.number(),
            digest: proposal.value.digest(),
        });
        self.append(Record::Accepted(proposal.clone()), out);
        self.log.accept(proposal);
    }

    /// How many slots above its decided prefix a node keeps. Above the pipeline, so that one which lags a little still
    /// takes part.
    pub(super) fn window(&self) -> u64 {
        8 * self.config.limits.pipeline.max(1) as u64
    }

    /// No proposal below this ballot is accepted here.
    pub(crate) fn promised(&self) -> Ballot {
        self.promised
    }

    /// What was accepted in `slot`, or decided, if it is still in memory.
    pub(crate) fn held(&self, slot: Slot) -> Option<&Proposal> {
        self.log.get(slot)
    }

    pub(super) fn on_heartbeat(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        round: u64,
        decided: Slot,
        out: &mut Out,
    ) {
        if ballot < self.promised {
            return self.reject(from, ballot, out);
        }
        self.follow(ballot, out);
        self.pledge();
        // At once: it says nothing of the disk, only that no promise above `ballot` has left this node so far.
        out.send_at_once(from, Message::Heard { ballot, round });
        self.learn_announced(from, ballot, decided, out);
    }

    fn reject(&self, from: NodeId, ballot: Ballot, out: &mut Out) {
        out.send_at_once(from, Message::Rejected { ballot, promised: self.promised });
    }

    /// A leader was heard whose ballot is not below the promise.
    fn follow(&mut self, ballot: Ballot, out: &mut Out) {
        if ballot > self.promised {
            self.promise(ballot, out);
        }
        assert_ne!(ballot.node, self.config.node, "nobody else uses this node's ballots");
        if !matches!(self.standing, Standing::Follower) {
            self.step_down(out);
        }
        self.heard_at = self.now;
        self.await_leader();
        if self.leader != Some(ballot) {
            self.leader = Some(ballot);
            self.redirect_requests(ballot, out);
        }
    }

    /// Starts the election timer anew.
    pub(super) fn await_leader(&mut self) {
        let timing = self.config.timing;
        self.election_at = self.random_time(timing.election_min, timing.election_max);
    }
}
