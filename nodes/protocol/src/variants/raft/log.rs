//! The log: consecutive entries above those that a snapshot replaces, and how far they are committed.
//!
//! Invariants: the slots are consecutive and their terms never fall; the committed prefix only grows and is never replaced;
//! no entry is dropped that is not committed. Everything by slot takes O(1), by term O(log n).

use super::message::{Entry, EntryId, Term};
use crate::replication::{Slot, Window};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A server's log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Every slot up to this one is committed.
    committed: Slot,
    /// The last entry that was dropped.
    dropped: EntryId,
    entries: Window<Stored>,
    /// The first entry of each term in the log, where that was not dropped.
    terms: VecDeque<EntryId>,
    /// The last term in which entries were cut off.
    cut_in: Term,
}

/// An entry, and how this node came by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// The entry.
    pub entry: Entry,
    /// The term in which the node has accepted it, as [`super`] explains.
    pub accepted_in: Term,
}

impl Log {
    /// A log that begins after `dropped`, which is committed as is everything before it.
    pub(super) fn starting_after(dropped: EntryId, cut_in: Term) -> Self {
        let entries = Window::starting_after(dropped.slot);
        Self { committed: dropped.slot, dropped, entries, terms: VecDeque::new(), cut_in }
    }

    /// Every slot up to this one is committed.
    pub(super) fn committed(&self) -> Slot {
        self.committed
    }

    /// The last entry that is committed.
    pub(super) fn last_committed(&self) -> EntryId {
        let term = self.term_at(self.committed);
        EntryId { term: term.expect("no more is dropped than committed"), slot: self.committed }
    }

    /// The last entry that was dropped.
    pub(super) fn dropped(&self) -> EntryId {
        self.dropped
    }

    /// The last entry.
    pub(super) fn last(&self) -> EntryId {
        match self.terms.back() {
            Some(newest) => EntryId { term: newest.term, slot: self.entries.last() },
            None => self.dropped,
        }
    }

    /// The last term in which entries were cut off.
    pub(super) fn cut_in(&self) -> Term {
        self.cut_in
    }

    /// The entry in `slot`, unless it was dropped.
    pub(super) fn get(&self, slot: Slot) -> Option<&Stored> {
        self.entries.get(slot)
    }

    /// The entry in `slot`, to be accepted anew.
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Stored> {
        self.entries.get_mut(slot)
    }

    /// The term of the entry in `slot`, which may be the last one dropped.
    pub(super) fn term_at(&self, slot: Slot) -> Option<Term> {
        if slot == self.dropped.slot {
            return Some(self.dropped.term);
        }
        self.get(slot).map(|stored| stored.entry.term)
    }

    /// Whether the log holds this entry of a leader's log: a committed one is in every leader's.
    pub(super) fn holds(&self, id: EntryId) -> bool {
        id.slot <= self.committed || self.term_at(id.slot) == Some(id.term)
    }

    /// Appends an entry after the last one.
    pub(super) fn push(&mut self, stored: Stored) {
        let last = self.last();
        let (slot, term) = (last.slot.next(), stored.entry.term);
        assert!(last.term <= term, "terms never fall along a log");
        if self.terms.back().is_none_or(|newest| newest.term < term) {
            self.terms.push_back(EntryId { term, slot });
        }
        self.entries.put(slot, stored);
    }

    /// Cuts off every entry after `last`; a leader's log of `term` conflicts with them.
    pub(super) fn cut_off_after(&mut self, last: Slot, term: Term) {
        assert!(last >= self.committed, "a committed entry is in the log of every later leader");
        self.cut_in = self.cut_in.max(term);
        self.entries.cut_off_after(last);
        while self.terms.back().is_some_and(|newest| newest.slot > last) {
            self.terms.pop_back();
        }
    }

    /// Commits the first entry that is not, and gives it.
    pub(super) fn commit_next(&mut self) -> &Entry {
        self.committed = self.committed.next();
        let stored = self.entries.get(self.committed);
        &stored.expect("an entry is committed where it is held").entry
    }

    /// The entries from `from` on.
    pub(super) fn from(&self, from: Slot) -> impl Iterator<Item = (Slot, &Stored)> {
        self.entries.from(from)
    }

    /// The first slot, of those that are not dropped, that holds an entry of `term`; `None` if none does.
    pub(super) fn first_of(&self, term: Term) -> Option<Slot> {
        let at = self.terms.binary_search_by_key(&term, |first| first.term).ok()?;
        Some(self.terms[at].slot.max(self.dropped.slot.next()))
    }

    /// The last slot, of those that are not dropped, that holds an entry of `term`; `None` if none does.
    pub(super) fn last_of(&self, term: Term) -> Option<Slot> {
        let at = self.terms.binary_search_by_key(&term, |first| first.term).ok()?;
        let end = self.terms.get(at + 1).map_or(self.last().slot.next(), |next| next.slot);
        Some(Slot(end.0 - 1))
    }

    /// Drops committed entries but for the last `keep`.
    pub(super) fn drop_committed(&mut self, keep: u64) {
        self.drop_through(Slot(self.committed.0.saturating_sub(keep)));
    }

    fn drop_through(&mut self, upto: Slot) {
        let Some(term) = self.term_at(upto).filter(|_| upto > self.dropped.slot) else { return };
        self.dropped = EntryId { term, slot: upto };
        self.entries.drop_through(upto);
        // The term of the first entry that stays began at or before it.
        while self.terms.front().is_some_and(|_| {
            self.terms.get(1).map_or(self.entries.last() <= upto, |next| next.slot <= upto.next())
        }) {
            self.terms.pop_front();
        }
    }

    /// Jumps ahead to a snapshot up to `id`. "If instead the follower receives a snapshot that describes a prefix of its
    /// log", the entries that follow it are retained; all are discarded otherwise (section 7).
    pub(super) fn install(&mut self, id: EntryId, term: Term) {
        assert!(id.slot > self.committed, "the committed prefix only grows");
        if self.term_at(id.slot) == Some(id.term) {
            self.committed = id.slot;
            self.drop_through(id.slot);
        } else {
            *self = Self::starting_after(id, term);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Payload;
    use super::*;
    use crate::replication::Value;

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::default();
        for term in terms {
            log.push(stored(*term));
        }
        log
    }

    fn stored(term: u64) -> Stored {
        let payload = Payload::Requests(Value::no_op());
        Stored { entry: Entry { term: Term(term), payload }, accepted_in: Term(term) }
    }

    fn id(slot: u64, term: u64) -> EntryId {
        EntryId { term: Term(term), slot: Slot(slot) }
    }

    #[test]
    fn where_a_term_begins_and_ends_is_known_also_after_entries_were_dropped() {
        let mut log = log(&[1, 1, 1, 4, 4, 5]);
        assert_eq!((log.first_of(Term(1)), log.last_of(Term(1))), (Some(Slot(1)), Some(Slot(3))));
        assert_eq!((log.first_of(Term(2)), log.last_of(Term(5))), (None, Some(Slot(6))));
        (0..5).for_each(|_| drop(log.commit_next().clone()));
        log.drop_committed(1);
        assert_eq!((log.dropped(), log.last()), (id(4, 4), id(6, 5)));
        assert_eq!((log.first_of(Term(4)), log.first_of(Term(1))), (Some(Slot(5)), None));
        log.cut_off_after(Slot(5), Term(7));
        assert_eq!((log.last(), log.cut_in()), (id(5, 4), Term(7)));
        log.drop_committed(0);
        assert_eq!((log.last(), log.first_of(Term(4))), (id(5, 4), None));
        log.push(stored(7));
        assert_eq!((log.last(), log.last_of(Term(7))), (id(6, 7), Some(Slot(6))));
    }

    #[test]
    fn a_snapshot_of_a_prefix_keeps_what_follows_and_another_one_keeps_nothing() {
        let mut kept = log(&[1, 1, 2]);
        kept.install(id(2, 1), Term(3));
        assert_eq!((kept.last(), kept.committed()), (id(3, 2), Slot(2)));
        let mut other = log(&[1, 1, 2]);
        other.install(id(2, 3), Term(3));
        assert_eq!((other.last(), other.committed(), other.cut_in()), (id(2, 3), Slot(2), Term(3)));
    }

    #[test]
    #[should_panic(expected = "a committed entry is in the log of every later leader")]
    fn a_committed_entry_is_never_cut_off() {
        let mut log = log(&[1, 1]);
        log.commit_next();
        log.cut_off_after(Slot(0), Term(2));
    }
}
