//! The events to come, in the order of their times; events of one time in the order in which they were added.
//!
//! A heap of small entries over a slab of events, since events hold messages and a heap moves its entries about.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Events to come.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    /// Time, number, place in the slab.
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    slab: Vec<Option<E>>,
    free: Vec<u32>,
    /// How many events were ever added.
    added: u64,
}

impl<E> Queue<E> {
    /// No events.
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), slab: Vec::new(), free: Vec::new(), added: 0 }
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, at_ns: u64, event: E) {
        let place = match self.free.pop() {
            Some(place) => {
                self.slab[place as usize] = Some(event);
                place
            }
            None => {
                self.slab.push(Some(event));
                u32::try_from(self.slab.len() - 1).expect("fewer than 2^32 events wait at a time")
            }
        };
        self.heap.push(Reverse((at_ns, self.added, place)));
        self.added += 1;
    }

    /// Takes the next event, if it is due by `until_ns`.
    pub(crate) fn pop_until(&mut self, until_ns: u64) -> Option<(u64, E)> {
        let Reverse((at_ns, _, place)) = *self.heap.peek()?;
        if at_ns > until_ns {
            return None;
        }
        self.heap.pop();
        let event = self.slab[place as usize].take().expect("each entry has its event");
        self.free.push(place);
        Some((at_ns, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_by_their_adding() {
        let mut queue = Queue::new();
        for (at_ns, name) in [(5, "c"), (1, "a"), (5, "d"), (3, "b"), (9, "e")] {
            queue.push(at_ns, name);
        }
        let mut taken = Vec::new();
        while let Some((_, name)) = queue.pop_until(5) {
            taken.push(name);
        }
        assert_eq!(taken, ["a", "b", "c", "d"]);
        queue.push(6, "f");
        assert_eq!(queue.pop_until(9), Some((6, "f")));
        assert_eq!(queue.pop_until(9), Some((9, "e")));
        assert_eq!(queue.pop_until(u64::MAX), None);
    }
}
