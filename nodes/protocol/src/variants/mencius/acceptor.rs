//! The acceptor: what is promised and accepted, for the slots of each owner.
//!
//! Invariants: a promise for an owner's slots never falls, neither its ballot nor its last slot; it may cover more than it
//! was asked for. Up to that slot nothing below its ballot is accepted, above it every initial ballot. Accepting in a
//! revocation's ballot promises it, too. An acceptance of a slot that is known to be decided otherwise is never said.

use super::message::{Bound, Message, Proposal, Record};
use super::slots::is_revocation;
use super::storage::raise;
use super::{Mencius, Out};
use crate::core::NodeId;
use crate::replication::{Ballot, Slot};

impl Mencius {
    pub(super) fn bound(&self, owner: NodeId) -> Bound {
        self.bounds.get(&owner).copied().unwrap_or(Bound::NONE)
    }

    /// Phase 2b: accepts, unless something higher was promised; skips what lies below and is not used (rule 2).
    pub(super) fn on_accept(
        &mut self,
        from: NodeId,
        proposal: Proposal,
        applied: Slot,
        out: &mut Out,
    ) {
        let Proposal { slot, ballot, .. } = proposal;
        self.notice_lag(from, applied, out);
        if !self.is_kept(slot) {
            return; // Too far ahead; it is asked again, after this server has caught up.
        }
        if !self.is_acceptable(&proposal) {
            return self.refuse(from, ballot, self.owners.of(slot), out);
        }
        let used = !proposal.value.requests().is_empty();
        let held = slot <= self.log.applied()
            || self.log.get(slot).is_some_and(|entry| entry.holds(&proposal));
        if !held {
            self.accept(proposal, out);
        }
        if used {
            self.skip_below(slot, out);
        }
        let skips = if is_revocation(ballot) { Vec::new() } else { self.own_skips(applied, slot) };
        out.send(from, Message::Ack { ballot, slot, skips });
    }

    fn is_acceptable(&self, proposal: &Proposal) -> bool {
        let Proposal { slot, ballot, value } = proposal;
        if *slot <= self.log.applied() {
            // Decided. If it is so with another value, or with one that was dropped, this must not count.
            return self.log.decided(*slot) == Some(value);
        }
        let bound = self.bound(self.owners.of(*slot));
        let held = self.log.get(*slot);
        if held.is_some_and(|entry| entry.holds(proposal)) {
            return true; // A copy.
        }
        let promised =
            if is_revocation(*ballot) { *ballot >= bound.ballot } else { *slot > bound.upto };
        promised && held.is_none_or(|entry| entry.may_accept(proposal))
    }

    /// Writes down an accepted proposal. The caller has made sure that it is acceptable.
    pub(super) fn accept(&mut self, proposal: Proposal, out: &mut Out) {
        let Proposal { slot, ballot, .. } = proposal;
        let owner = self.owners.of(slot);
        if is_revocation(ballot) {
            self.meet(owner, ballot);
            raise(&mut self.bounds, owner, Bound { ballot, upto: slot });
            if owner == self.config.node {
                self.yield_own(slot, out);
            }
        }
        if !proposal.value.requests().is_empty() {
            self.seen = self.seen.max(slot);
        }
        self.observe_accepted(&proposal, out);
        self.append(Record::Accepted(proposal.clone()), out);
        self.log.accept(proposal);
    }

    /// Phase 1b: promises, unless something higher was promised; answers with what was accepted.
    pub(super) fn on_prepare(
        &mut self,
        from: NodeId,
        owner: NodeId,
        ballot: Ballot,
        first: Slot,
        upto: Slot,
        out: &mut Out,
    ) {
        if ballot < self.bound(owner).ballot {
            return self.refuse(from, ballot, owner, out);
        }
        self.promise(owner, Bound { ballot, upto }, out);
        let page = self.promise_page(owner, ballot, first, upto);
        out.send(from, page);
    }

    /// Notes a promise. The caller says nothing of it before it is durable.
    pub(super) fn promise(&mut self, owner: NodeId, bound: Bound, out: &mut Out) {
        let before = self.bound(owner);
        self.meet(owner, bound.ballot);
        if owner == self.config.node {
            self.yield_own(bound.upto, out);
        }
        raise(&mut self.bounds, owner, bound);
        let now = self.bound(owner);
        if now != before {
            self.append(Record::Promised(owner, now), out);
        }
    }

    /// What was accepted in the owner's slots from `first` up to `upto`, above the applied prefix, as much as fits one message.
    fn promise_page(&self, owner: NodeId, ballot: Ballot, first: Slot, upto: Slot) -> Message {
        let mut accepted = Vec::new();
        let (mut more, mut bytes) = (None, 0);
        let below = Slot(first.0.saturating_sub(1)).max(self.log.applied());
        for slot in self.owners.slots(owner, below, upto) {
            let Some(entry) = self.log.get(slot) else { continue };
            let Some((in_ballot, value)) = &entry.accepted else { continue };
            if bytes > self.config.limits.chunk_bytes {
                more = Some(slot);
                break;
            }
            bytes += value.bytes();
            accepted.push(Proposal { slot, ballot: *in_ballot, value: value.clone() });
        }
        let applied = self.log.applied();
        Message::Promise { owner, ballot, applied, from: first, accepted, more }
    }

    fn refuse(&self, from: NodeId, ballot: Ballot, owner: NodeId, out: &mut Out) {
        let (bound, applied) = (self.bound(owner), self.log.applied());
        out.send_at_once(from, Message::Refuse { ballot, owner, bound, applied });
    }

    /// A peer does not accept, or promise, what it was asked.
    pub(super) fn on_refuse(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        owner: NodeId,
        bound: Bound,
        applied: Slot,
        out: &mut Out,
    ) {
        self.notice_lag(from, applied, out);
        self.meet(owner, bound.ballot);
        if owner == self.config.node && ballot == self.suggestions.ballot {
            self.suggestions.refused = self.suggestions.refused.max(bound.upto);
            self.yield_own(bound.upto, out);
        }
    }
}
