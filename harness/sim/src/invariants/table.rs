//! What invariants remember, by node and by slot.
//!
//! Invariants: both tables grow with what is asked for; [`Slots`] never holds more than its span, and drops the lowest
//! slots for higher ones.

use std::collections::VecDeque;
use tribunal_protocol::NodeId;

/// A value for each node. The numbers of nodes are small.
#[derive(Debug)]
pub(super) struct Nodes<T>(Vec<T>);

impl<T: Default> Nodes<T> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// The node's value; the default one at first.
    pub(super) fn at(&mut self, node: NodeId) -> &mut T {
        let index = node.0 as usize;
        if index >= self.0.len() {
            self.0.resize_with(index + 1, T::default);
        }
        &mut self.0[index]
    }
}

/// A value for each of the last slots, in O(1). The first slot is 1, as in [`tribunal_protocol::Core::applied`].
#[derive(Debug)]
pub(super) struct Slots<T> {
    /// The lowest slot that is held.
    first: u64,
    values: VecDeque<T>,
    span: usize,
}

impl<T: Default> Slots<T> {
    /// Remembers at most `span` slots.
    pub(super) fn new(span: usize) -> Self {
        Self { first: 1, values: VecDeque::new(), span }
    }

    /// The slot's value, the default one at first; `None` if the slot was dropped.
    pub(super) fn at(&mut self, slot: u64) -> Option<&mut T> {
        let above = slot.checked_sub(self.first)?;
        let excess = above.saturating_sub(self.span as u64 - 1);
        if excess > 0 {
            let dropped = usize::try_from(excess).unwrap_or(usize::MAX).min(self.values.len());
            self.values.drain(..dropped);
            self.first += excess;
        }
        let index = usize::try_from(slot - self.first).ok()?;
        if index >= self.values.len() {
            self.values.resize_with(index + 1, T::default);
        }
        self.values.get_mut(index)
    }

    /// The values of the slots above `slot` that are held.
    pub(super) fn above(&self, slot: u64) -> impl Iterator<Item = (u64, &T)> {
        let skipped = usize::try_from((slot + 1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        (self.first..).zip(&self.values).skip(skipped)
    }

    /// Drops the lowest slots that are `finished`.
    pub(super) fn drop_while(&mut self, finished: impl Fn(&T) -> bool) {
        while self.values.front().is_some_and(&finished) {
            self.values.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_span_moves_with_the_highest_slot() {
        let mut slots = Slots::new(3);
        for slot in 1..=5 {
            *slots.at(slot).expect("not dropped") = slot;
        }
        assert_eq!([0, 1, 2].map(|slot| slots.at(slot).copied()), [None; 3]);
        assert_eq!([3, 4, 5].map(|slot| slots.at(slot).copied()), [Some(3), Some(4), Some(5)]);
        assert_eq!(slots.at(1_000_000_000), Some(&mut 0), "a leap costs no more than the span");
        assert_eq!(slots.values.len(), 3);
        assert_eq!(slots.at(5), None);
        assert_eq!(slots.at(999_999_998), Some(&mut 0));
    }

    #[test]
    fn what_is_finished_is_dropped_from_below() {
        let mut slots = Slots::new(10);
        for slot in [1, 2, 4] {
            *slots.at(slot).expect("not dropped") = true;
        }
        slots.drop_while(|finished| *finished);
        assert_eq!(slots.at(2), None);
        assert_eq!(slots.at(3), Some(&mut false));
        assert_eq!(slots.at(4), Some(&mut true));
    }

    #[test]
    fn what_lies_above_a_slot_is_found_by_its_number() {
        let mut slots = Slots::new(2);
        for slot in 1..=3 {
            *slots.at(slot).expect("not dropped") = slot;
        }
        assert_eq!(slots.above(0).collect::<Vec<_>>(), [(2, &2), (3, &3)]);
        assert_eq!(slots.above(2).collect::<Vec<_>>(), [(3, &3)]);
        assert_eq!(slots.above(7).count(), 0);
    }

    #[test]
    fn nodes_begin_with_the_default() {
        let mut nodes = Nodes::new();
        *nodes.at(NodeId(3)) += 1;
        assert_eq!((*nodes.at(NodeId(3)), *nodes.at(NodeId(1))), (1, 0));
    }
}
