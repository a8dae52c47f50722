//! The acceptor: what is promised and accepted ("Fast Paxos", sections 2.1 and 2.2, phases 1b and 2b).
//!
//! A promise is one of a reign, for all slots. Within a reign each slot has its own round: an acceptor that has accepted a
//! slot in the classic round accepts nothing more in it in the fast one, while the fast round of other slots goes on.

use super::message::{Message, Proposal, Record, promise_of};
use super::round::Round;
use super::{FastPaxos, Out, Standing};
use crate::core::{NodeId, Observation};
use crate::replication::{Ballot, Slot, Value};

impl FastPaxos {
    /// Phase 1b: promises, unless something higher was promised; answers with what was accepted.
    pub(super) fn on_prepare(&mut self, from: NodeId, reign: Ballot, slot: Slot, out: &mut Out) {
        if reign < self.promised {
            return self.reject(from, reign, out);
        }
        self.join(reign, out);
        self.await_leader();
        let page = self.promise_page(reign, slot);
        out.send(from, page);
    }

    /// Takes part in no reign below this one any more.
    fn join(&mut self, reign: Ballot, out: &mut Out) {
        if reign > self.promised {
            self.step_down(out);
            self.forget_leader();
            self.promise(reign, out);
        }
    }

    /// Notes a promise. The caller answers with `Output::send`, that is, not before it is durable.
    pub(super) fn promise(&mut self, reign: Ballot, out: &mut Out) {
        assert!(reign > self.promised, "a promise never falls");
        self.promised = reign;
        self.round_met = self.round_met.max(reign.round);
        self.append(Record::Promised(reign), out);
        out.observe(Observation::Promised { ballot: promise_of(reign) });
    }

    /// What was accepted from `slot` on, above the decided prefix, as much as fits one message.
    fn promise_page(&self, reign: Ballot, slot: Slot) -> Message {
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
        Message::Promise { reign, decided: self.log.decided(), from: slot, accepted, more }
    }

    /// Phase 2b of a fast round: accepts the first value that comes for a slot.
    ///
    /// That the proposer knows the round to be open for the slot is the leader's word for it, at second hand.
    pub(super) fn on_propose(
        &mut self,
        from: NodeId,
        reign: Ballot,
        slot: Slot,
        value: Value,
        out: &mut Out,
    ) {
        if reign < self.promised {
            return self.reject(from, reign, out);
        }
        self.join(reign, out);
        let round = Round::fast(reign);
        match self.log.get(slot) {
            Some(held) if held.round == round => {
                // The first that came counts; its answer may have been lost.
                let digest = held.value.digest();
                out.send(from, Message::Voted { reign, slot, digest });
            }
            Some(held) if held.round > round => {}
            _ if slot > self.log.decided() && slot.0 - self.log.decided().0 <= self.window() => {
                self.vote(Proposal { slot, round, value: value.clone() }, out);
            }
            _ => {}
        }
        self.note_seen(slot, value);
    }

    /// Accepts a proposal of a fast round, and tells every learner once that is durable.
    pub(super) fn vote(&mut self, proposal: Proposal, out: &mut Out) {
        let Proposal { slot, round: Round { reign, .. }, .. } = proposal;
        let digest = proposal.value.digest();
        self.accept(proposal, out);
        self.own_votes.push_back((self.journal.last(), slot, reign, digest));
        out.broadcast(Message::Voted { reign, slot, digest });
    }

    /// Phase 2b of a classic round: accepts, unless something higher was promised.
    pub(super) fn on_accept(
        &mut self,
        from: NodeId,
        proposal: Proposal,
        decided: Slot,
        out: &mut Out,
    ) {
        let (reign, slot) = (proposal.round.reign, proposal.slot);
        if reign < self.promised {
            return self.reject(from, reign, out);
        }
        self.follow(reign, None, out);
        let accepted = self.take(proposal, out);
        self.learn_announced(from, reign, decided, out);
        if accepted {
            out.send(from, Message::Accepted { reign, slot });
        }
    }

    /// Accepts a proposal of a classic round; false if it cannot be.
    fn take(&mut self, proposal: Proposal, out: &mut Out) -> bool {
        if self.log.holds(&proposal) {
            return true; // A copy, or decided with this value.
        }
        if proposal.slot <= self.log.dropped() {
            return true; // Decided; a promise for a higher reign would report the slot as such.
        }
        if proposal.slot <= self.log.decided() {
            return false; // Decided otherwise: a late message of a leader that a majority has left behind.
        }
        if proposal.slot.0 - self.log.decided().0 > self.window() {
            return false; // Too far ahead to be kept; the leader asks again, after this node has caught up.
        }
        self.accept(proposal, out);
        true
    }

    /// Writes down an accepted proposal. The caller has made sure that its reign is the promised one.
    pub(super) fn accept(&mut self, proposal: Proposal, out: &mut Out) {
        assert_eq!(proposal.round.reign, self.promised, "what is accepted was promised");
        if !proposal.is_fast() {
            // Not of fast rounds, which may have several values in one slot.
            out.observe(Observation::Accepted {
                slot: proposal.slot.0,
                ballot: proposal.round.number(),
                digest: proposal.value.digest(),
            });
        }
        self.append(Record::Accepted(proposal.clone()), out);
        self.log.accept(proposal);
    }

    /// How many slots above its decided prefix a node keeps. Above the pipeline, so that one which lags a little still
    /// takes part.
    pub(super) fn window(&self) -> u64 {
        8 * self.config.limits.pipeline.max(1) as u64
    }

    pub(super) fn on_heartbeat(
        &mut self,
        from: NodeId,
        reign: Ballot,
        decided: Slot,
        fast: Option<Slot>,
        out: &mut Out,
    ) {
        if reign < self.promised {
            return self.reject(from, reign, out);
        }
        self.follow(reign, fast, out);
        // At once: it says nothing of the disk, only that no promise above `reign` has left this node so far.
        out.send_at_once(from, Message::Heard { reign });
        self.learn_announced(from, reign, decided, out);
    }

    /// The fast round of `reign` is open from slot `first` on.
    pub(super) fn on_any(&mut self, from: NodeId, reign: Ballot, first: Slot, out: &mut Out) {
        if reign < self.promised {
            return self.reject(from, reign, out);
        }
        self.follow(reign, Some(first), out);
    }

    fn reject(&self, from: NodeId, reign: Ballot, out: &mut Out) {
        out.send_at_once(from, Message::Rejected { reign, promised: self.promised });
    }

    /// A leader was heard whose reign is not below the promise. `fast` says from where on its fast round is open, if the
    /// message said so.
    fn follow(&mut self, reign: Ballot, fast: Option<Slot>, out: &mut Out) {
        self.join(reign, out);
        assert_ne!(reign.node, self.config.node, "nobody else uses this node's reigns");
        if !matches!(self.standing, Standing::Follower) {
            self.step_down(out);
        }
        self.heard_at = self.now;
        self.await_leader();
        let is_new = self.leader != Some(reign);
        if is_new {
            self.forget_leader();
            self.leader = Some(reign);
        }
        if fast.is_some() {
            self.fast = fast;
        }
        if is_new {
            self.redirect_requests(reign, out);
        }
    }

    /// No leader is known any more, nor whether a fast round is open.
    pub(super) fn forget_leader(&mut self) {
        self.leader = None;
        self.fast = None;
    }

    /// Starts the election timer anew.
    pub(super) fn await_leader(&mut self) {
        let timing = self.config.timing;
        self.election_at = self.random_time(timing.election_min, timing.election_max);
    }
}
