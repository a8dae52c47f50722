//! The slots that a server remembers: what it has accepted in each, what is decided, and how far it is applied.
//!
//! Invariants: the applied slots are a prefix, all of them decided; a decided slot's value never changes; an accepted
//! proposal is only replaced by one of a higher ballot. Everything is indexed by slot, in O(1).

use super::message::Proposal;
use crate::replication::{Ballot, Slot, Value, Window};

/// What is known of a slot. At least one of the two.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    /// What was accepted, and in which ballot. The records have it.
    pub(super) accepted: Option<(Ballot, Value)>,
    /// What is decided, however that became known.
    pub(super) decided: Option<Value>,
}

impl Entry {
    /// In which ballot something was accepted; [`Ballot::NONE`] if nothing was.
    pub(super) fn ballot(&self) -> Ballot {
        self.accepted.as_ref().map_or(Ballot::NONE, |(ballot, _)| *ballot)
    }

    /// The decided value, else the accepted one.
    pub(super) fn value(&self) -> Option<&Value> {
        self.decided.as_ref().or_else(|| self.accepted.as_ref().map(|(_, value)| value))
    }

    /// Whether the slot is not known to be decided otherwise, nor accepted so already.
    pub(super) fn may_accept(&self, proposal: &Proposal) -> bool {
        let fits = |decided: &Value| *decided == proposal.value;
        self.ballot() <= proposal.ballot && self.decided.as_ref().is_none_or(fits)
    }

    /// Whether this very proposal was accepted.
    pub(super) fn holds(&self, proposal: &Proposal) -> bool {
        self.accepted
            .as_ref()
            .is_some_and(|(ballot, value)| *ballot == proposal.ballot && *value == proposal.value)
    }

    /// The decided value, if a recovery that knows what was accepted would not find it: nothing stands for a no-op.
    pub(super) fn unrecorded(&self) -> Option<&Value> {
        let decided = self.decided.as_ref()?;
        let recorded = match &self.accepted {
            Some((_, accepted)) => accepted == decided,
            None => decided.requests().is_empty(),
        };
        (!recorded).then_some(decided)
    }
}

/// A window of slots.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Every slot up to this one is decided and applied.
    applied: Slot,
    /// No slot above is dropped.
    entries: Window<Entry>,
}

impl Log {
    /// A log whose slots up to `applied` are applied and dropped.
    pub(super) fn starting_after(applied: Slot) -> Self {
        Self { applied, entries: Window::starting_after(applied) }
    }

    pub(super) fn applied(&self) -> Slot {
        self.applied
    }

    /// Every slot up to this one has been dropped.
    pub(super) fn dropped(&self) -> Slot {
        self.entries.dropped()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot)
    }

    /// What is decided in `slot`, if that is known and still in memory.
    pub(super) fn decided(&self, slot: Slot) -> Option<&Value> {
        self.get(slot)?.decided.as_ref()
    }

    /// Whether `slot` is known to be decided.
    pub(super) fn is_decided(&self, slot: Slot) -> bool {
        slot <= self.applied || self.decided(slot).is_some()
    }

    fn entry(&mut self, slot: Slot) -> &mut Entry {
        if self.entries.get(slot).is_none() {
            self.entries.put(slot, Entry::default());
        }
        self.entries.get_mut(slot).expect("just put there")
    }

    /// Accepts a proposal in a slot that is not applied.
    pub(super) fn accept(&mut self, proposal: Proposal) {
        let slot = proposal.slot;
        assert!(slot > self.applied, "an applied slot's value never changes");
        let entry = self.entry(slot);
        assert!(entry.may_accept(&proposal), "slot {slot} is decided, or accepted higher");
        // One proposer a ballot, one proposal a ballot and slot.
        let again = entry.ballot() == proposal.ballot;
        assert!(!again || entry.holds(&proposal), "one ballot has two values in slot {slot}");
        entry.accepted = Some((proposal.ballot, proposal.value));
    }

    /// What was accepted in `slot` is decided.
    pub(super) fn decide(&mut self, slot: Slot) {
        let accepted = self.get(slot).and_then(|entry| entry.accepted.as_ref());
        if let Some((_, value)) = accepted {
            let value = value.clone();
            self.decide_as(slot, value);
        }
    }

    /// `value` is decided in `slot`, whatever was accepted there.
    pub(super) fn decide_as(&mut self, slot: Slot, value: Value) {
        if slot > self.applied {
            let known = self.entry(slot).decided.get_or_insert(value.clone());
            assert_eq!(*known, value, "slot {slot} is decided twice");
        }
    }

    /// The first slot that is not applied, if it is decided.
    pub(super) fn next_decided(&self) -> Option<(Slot, &Entry)> {
        let slot = self.applied.next();
        self.get(slot).filter(|entry| entry.decided.is_some()).map(|entry| (slot, entry))
    }

    /// That slot is applied.
    pub(super) fn applied_next(&mut self) {
        self.applied = self.applied.next();
    }

    /// The entries above the applied prefix, in slot order, from `from` on.
    pub(super) fn above_applied(&self, from: Slot) -> impl Iterator<Item = (Slot, &Entry)> {
        self.entries.from(from.max(self.applied.next()))
    }

    /// What was accepted above the applied prefix, from `from` on.
    pub(super) fn accepted(&self, from: Slot) -> impl Iterator<Item = Proposal> {
        self.above_applied(from).filter_map(|(slot, entry)| {
            let (ballot, value) = entry.accepted.clone()?;
            Some(Proposal { slot, ballot, value })
        })
    }

    /// The applied values above `after`, in order. None if some of them were dropped.
    pub(super) fn applied_after(&self, after: Slot) -> Option<impl Iterator<Item = &Value>> {
        let applied = self.applied;
        (after >= self.entries.dropped()).then(|| {
            let known = self.entries.from(after.next());
            let known = known.take_while(move |(slot, _)| *slot <= applied);
            known.filter_map(|(_, entry)| entry.decided.as_ref())
        })
    }

    /// Forgets applied slots but for the last `keep`.
    pub(super) fn drop_applied(&mut self, keep: u64) {
        self.entries.drop_through(Slot(self.applied.0.saturating_sub(keep)));
    }

    /// Jumps ahead to a snapshot: all slots up to `slot` are applied and dropped. What lies above stays.
    pub(super) fn install(&mut self, slot: Slot) {
        assert!(slot > self.applied, "the applied prefix only grows");
        self.entries.drop_through(slot);
        self.applied = slot;
    }
}
