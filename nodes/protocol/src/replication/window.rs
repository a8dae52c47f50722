//! A window of slots: what a node remembers of each slot above those that it has dropped.

use super::Slot;
use std::collections::VecDeque;

/// Slots to entries, without those up to a floor. Everything by slot takes O(1).
#[derive(Clone, Debug)]
pub struct Window<T> {
    /// Every slot up to this one has been dropped.
    dropped: Slot,
    entries: VecDeque<Option<T>>,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self::starting_after(Slot(0))
    }
}

impl<T> Window<T> {
    /// An empty window above `dropped`.
    #[must_use]
    pub fn starting_after(dropped: Slot) -> Self {
        Self { dropped, entries: VecDeque::new() }
    }

    /// Every slot up to this one has been dropped.
    #[must_use]
    pub fn dropped(&self) -> Slot {
        self.dropped
    }

    /// The last slot of the window: no entry lies above it.
    #[must_use]
    pub fn last(&self) -> Slot {
        Slot(self.dropped.0 + self.entries.len() as u64)
    }

    fn index(&self, slot: Slot) -> Option<usize> {
        let above = slot.0.checked_sub(self.dropped.0 + 1)?;
        usize::try_from(above).ok()
    }

    /// The entry of `slot`.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(self.index(slot)?)?.as_ref()
    }

    /// The entry of `slot`, to be changed.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        let index = self.index(slot)?;
        self.entries.get_mut(index)?.as_mut()
    }

    /// Sets the entry of a slot.
    ///
    /// # Panics
    /// If the slot was dropped.
    pub fn put(&mut self, slot: Slot, entry: T) {
        let index = self.index(slot).expect("above what was dropped");
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index] = Some(entry);
    }

    /// The entries from `from` on, each with its slot.
    pub fn from(&self, from: Slot) -> impl Iterator<Item = (Slot, &T)> {
        let first = self.index(from).unwrap_or(0);
        let slots = (self.dropped.0 + 1 + first as u64..).map(Slot);
        let entries = self.entries.iter().skip(first);
        slots.zip(entries).filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)))
    }

    /// Drops every slot up to `upto`, whether it held something or not.
    pub fn drop_through(&mut self, upto: Slot) {
        if upto > self.dropped {
            let covered = usize::try_from(upto.0 - self.dropped.0).unwrap_or(usize::MAX);
            self.entries.drain(..covered.min(self.entries.len()));
            self.dropped = upto;
        }
    }

    /// Forgets the entries of every slot above `last`.
    pub fn cut_off_after(&mut self, last: Slot) {
        let keep = last.0.saturating_sub(self.dropped.0);
        self.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_gone_and_what_lies_above_stays_in_its_place() {
        let mut window = Window::default();
        for slot in [1, 2, 5] {
            window.put(Slot(slot), slot);
        }
        window.drop_through(Slot(3));
        assert_eq!((window.dropped(), window.last()), (Slot(3), Slot(5)));
        assert_eq!((window.get(Slot(2)), window.get(Slot(5))), (None, Some(&5)));
        assert_eq!(window.from(Slot(0)).collect::<Vec<_>>(), [(Slot(5), &5)]);
        window.cut_off_after(Slot(4));
        assert_eq!((window.get(Slot(5)), window.last()), (None, Slot(4)));
        window.drop_through(Slot(9));
        assert_eq!((window.dropped(), window.last()), (Slot(9), Slot(9)));
    }
}
