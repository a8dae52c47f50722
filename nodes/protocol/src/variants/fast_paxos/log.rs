//! The slots that a node remembers: what it has accepted in each, and how far they are known to be decided.
//!
//! Invariants: the decided slots are a prefix, which only grows; a decided slot's value never changes; an accepted
//! proposal is only replaced by one of a higher round. Everything is indexed by slot, in O(1).

use super::message::Proposal;
use super::round::Round;
use crate::replication::{Slot, Value, Window};

/// A window of slots.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Every slot up to this one is decided.
    decided: Slot,
    /// What was accepted in each slot. No undecided one is dropped.
    entries: Window<Proposal>,
}

impl Log {
    /// A log whose slots up to `decided` are decided and dropped.
    pub(super) fn starting_after(decided: Slot) -> Self {
        Self { decided, entries: Window::starting_after(decided) }
    }

    /// Every slot up to this one is decided.
    pub(super) fn decided(&self) -> Slot {
        self.decided
    }

    /// Every slot up to this one has been dropped.
    pub(super) fn dropped(&self) -> Slot {
        self.entries.dropped()
    }

    /// The last slot in which something was accepted, or the last decided one.
    pub(super) fn last(&self) -> Slot {
        self.entries.last().max(self.decided)
    }

    /// What was accepted in `slot`, or decided.
    pub(super) fn get(&self, slot: Slot) -> Option<&Proposal> {
        self.entries.get(slot)
    }

    /// Whether `proposal` was accepted, or its very value is decided.
    pub(super) fn holds(&self, proposal: &Proposal) -> bool {
        self.get(proposal.slot).is_some_and(|held| {
            let current = held.round == proposal.round || proposal.slot <= self.decided;
            current && held.value == proposal.value
        })
    }

    /// Accepts a proposal in a slot that is not decided.
    pub(super) fn accept(&mut self, proposal: Proposal) {
        assert!(proposal.slot > self.decided, "a decided slot's value never changes");
        if let Some(held) = self.get(proposal.slot) {
            assert!(held.round <= proposal.round, "an accepted round never falls");
            // An acceptor votes once in a round and slot, and a classic round has one proposer.
            assert!(
                held.round < proposal.round || held.value == proposal.value,
                "a round has one vote, but two values in slot {}",
                proposal.slot
            );
        }
        self.entries.put(proposal.slot, proposal);
    }

    /// Sets the value of the first undecided slot to what a peer knows to be decided.
    pub(super) fn learn(&mut self, slot: Slot, value: Value) {
        assert_eq!(slot, self.decided.next(), "decided values are learned in order");
        let round = self.get(slot).map_or(Round::NONE, |held| held.round);
        self.entries.put(slot, Proposal { slot, round, value });
        self.decided = slot;
    }

    /// The value in the first undecided slot is the decided one.
    pub(super) fn decide_next(&mut self) -> &Value {
        let slot = self.decided.next();
        self.decided = slot;
        let held = self.get(slot).expect("a slot is decided where it was accepted");
        &held.value
    }

    /// What was accepted above the decided prefix, in slot order, from `from` on.
    pub(super) fn undecided_from(&self, from: Slot) -> impl Iterator<Item = &Proposal> {
        self.entries.from(from.max(self.decided.next())).map(|(_, held)| held)
    }

    /// The decided values above `after`, in order. None if some of them were dropped.
    pub(super) fn decided_after(&self, after: Slot) -> Option<impl Iterator<Item = &Value>> {
        let decided = self.decided;
        (after >= self.entries.dropped()).then(|| {
            let known = self.entries.from(after.next());
            known.take_while(move |(slot, _)| *slot <= decided).map(|(_, held)| &held.value)
        })
    }

    /// Forgets decided slots but for the last `keep`.
    pub(super) fn drop_decided(&mut self, keep: u64) {
        self.entries.drop_through(Slot(self.decided.0.saturating_sub(keep)));
    }

    /// Jumps ahead to a snapshot: all slots up to `slot` are decided and dropped. What was accepted above stays.
    pub(super) fn install(&mut self, slot: Slot) {
        assert!(slot > self.decided, "the decided prefix only grows");
        self.entries.drop_through(slot);
        self.decided = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::NodeId;
    use crate::replication::Ballot;

    fn proposal(slot: u64, round: u64) -> Proposal {
        let round = Round::classic(Ballot { round, node: NodeId(1) });
        Proposal { slot: Slot(slot), round, value: Value::new(Vec::new(), &slot.to_le_bytes()) }
    }

    #[test]
    fn the_window_moves_without_losing_what_is_above_it() {
        let mut log = Log::default();
        for slot in [1, 2, 3, 5] {
            log.accept(proposal(slot, 1));
        }
        log.decide_next();
        log.decide_next();
        log.drop_decided(1);
        assert_eq!((log.dropped(), log.decided()), (Slot(1), Slot(2)));
        assert_eq!(log.get(Slot(1)), None);
        let undecided: Vec<_> = log.undecided_from(Slot(0)).map(|held| held.slot.0).collect();
        assert_eq!(undecided, [3, 5]);
        log.install(Slot(4));
        assert_eq!(log.get(Slot(5)), Some(&proposal(5, 1)));
        assert_eq!(log.get(Slot(4)), None);
        assert!(log.decided_after(Slot(3)).is_none(), "slot 4 was dropped");
        assert_eq!(log.decided_after(Slot(4)).map(Iterator::count), Some(0));
    }

    #[test]
    #[should_panic(expected = "an accepted round never falls")]
    fn a_lower_round_is_not_accepted_over_a_higher() {
        let mut log = Log::default();
        log.accept(proposal(1, 2));
        log.accept(proposal(1, 1));
    }

    #[test]
    #[should_panic(expected = "a decided slot's value never changes")]
    fn a_decided_slot_accepts_nothing() {
        let mut log = Log::default();
        log.accept(proposal(1, 1));
        log.decide_next();
        log.accept(proposal(1, 2));
    }
}
