//! Two segment trees over a fixed number of places, for the stack's engine. All operations are O(log n).

use std::ops::Range;

/// The minimum of any range, where single places change.
#[derive(Debug)]
pub(super) struct MinTree {
    size: usize,
    nodes: Vec<u64>,
}

/// The value of a place that holds none.
pub(super) const ABSENT: u64 = u64::MAX;

impl MinTree {
    pub(super) fn new(values: impl ExactSizeIterator<Item = u64>) -> Self {
        let size = values.len().next_power_of_two();
        let mut nodes = vec![ABSENT; 2 * size];
        nodes[size..].iter_mut().zip(values).for_each(|(node, value)| *node = value);
        for node in (1..size).rev() {
            nodes[node] = nodes[2 * node].min(nodes[2 * node + 1]);
        }
        Self { size, nodes }
    }

    pub(super) fn set(&mut self, place: usize, value: u64) {
        let mut node = self.size + place;
        self.nodes[node] = value;
        while node > 1 {
            node /= 2;
            let least = self.nodes[2 * node].min(self.nodes[2 * node + 1]);
            if self.nodes[node] == least {
                break;
            }
            self.nodes[node] = least;
        }
    }

    pub(super) fn min(&self, range: Range<usize>) -> u64 {
        let (mut left, mut right) = (self.size + range.start, self.size + range.end);
        let mut least = ABSENT;
        while left < right {
            if left % 2 == 1 {
                least = least.min(self.nodes[left]);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                least = least.min(self.nodes[right]);
            }
            left /= 2;
            right /= 2;
        }
        least
    }

    /// The first place of the range whose value is below `bound`.
    pub(super) fn first_below(&self, range: Range<usize>, bound: u64) -> Option<usize> {
        let mut node = self.size + range.start;
        if range.is_empty() {
            return None;
        }
        // Up and to the right until a node holds one, then down to its first.
        while self.nodes[node] >= bound {
            while node % 2 == 1 {
                node /= 2;
                if node <= 1 {
                    return None;
                }
            }
            node += 1;
        }
        while node < self.size {
            node *= 2;
            node += usize::from(self.nodes[node] >= bound);
        }
        Some(node - self.size).filter(|&place| place < range.end)
    }

    pub(super) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<u64>()
    }
}

/// A count for each place, never below zero: ranges change, and zeros are found.
#[derive(Debug)]
pub(super) struct Counts {
    size: usize,
    /// By node: the least count below it, with what was added to the node itself but not to those above.
    nodes: Vec<i32>,
    /// By inner node: what was added to all below it.
    added: Vec<i32>,
}

/// The count of a place that is gone; no sum of changes brings it near zero.
const GONE: i32 = i32::MAX / 2;

impl Counts {
    pub(super) fn new(counts: impl ExactSizeIterator<Item = i32>) -> Self {
        let size = counts.len().next_power_of_two();
        let mut nodes = vec![GONE; 2 * size];
        nodes[size..].iter_mut().zip(counts).for_each(|(node, count)| *node = count);
        for node in (1..size).rev() {
            nodes[node] = nodes[2 * node].min(nodes[2 * node + 1]);
        }
        Self { size, nodes, added: vec![0; size] }
    }

    /// Takes one from every count of the range.
    pub(super) fn decrement(&mut self, range: Range<usize>) {
        let (first, last) = (self.size + range.start, self.size + range.end);
        let (mut left, mut right) = (first, last);
        if range.is_empty() {
            return;
        }
        while left < right {
            if left % 2 == 1 {
                self.lower(left);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                self.lower(right);
            }
            left /= 2;
            right /= 2;
        }
        self.refresh(first);
        self.refresh(last - 1);
    }

    fn lower(&mut self, node: usize) {
        self.nodes[node] -= 1;
        if node < self.size {
            self.added[node] -= 1;
        }
    }

    /// Computes what is above a node again.
    fn refresh(&mut self, mut node: usize) {
        while node > 1 {
            node /= 2;
            let below = self.nodes[2 * node].min(self.nodes[2 * node + 1]);
            self.nodes[node] = below + self.added[node];
        }
    }

    /// Leaves a place out from now on.
    pub(super) fn remove(&mut self, place: usize) {
        self.nodes[self.size + place] = GONE;
        self.refresh(self.size + place);
    }

    /// The places of the range whose count is zero, in order.
    pub(super) fn zeros(&self, range: Range<usize>, found: &mut Vec<usize>) {
        // Node, the places below it, and what was added above it. The left half is looked at first.
        let mut waiting = vec![(1, 0..self.size, 0)];
        while let Some((node, places, above)) = waiting.pop() {
            let outside = places.end <= range.start || range.end <= places.start;
            if outside || self.nodes[node] + above > 0 {
                continue;
            }
            if node >= self.size {
                found.push(node - self.size);
                continue;
            }
            let above = above + self.added[node];
            let middle = usize::midpoint(places.start, places.end);
            waiting.push((2 * node + 1, middle..places.end, above));
            waiting.push((2 * node, places.start..middle, above));
        }
    }

    pub(super) fn bytes(&self) -> usize {
        (self.nodes.capacity() + self.added.capacity()) * size_of::<i32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minimum_is_that_of_its_range() {
        let values = [5_u64, 3, 9, 3, 7, 1, 8];
        let mut tree = MinTree::new(values.into_iter());
        for start in 0..values.len() {
            for end in start..=values.len() {
                let part = &values[start..end];
                assert_eq!(tree.min(start..end), part.iter().copied().min().unwrap_or(ABSENT));
                let first = part.iter().position(|&value| value < 4).map(|nth| start + nth);
                assert_eq!(tree.first_below(start..end, 4), first, "{start}..{end}");
            }
        }
        tree.set(5, ABSENT);
        assert_eq!((tree.min(4..7), tree.first_below(4..7, 8)), (7, Some(4)));
    }

    #[test]
    fn zeros_are_found_after_changes_of_ranges() {
        let mut counts = Counts::new([1, 2, 2, 1, 0, 3].into_iter());
        let zeros = |counts: &Counts, range| {
            let mut found = Vec::new();
            counts.zeros(range, &mut found);
            found
        };
        assert_eq!(zeros(&counts, 0..6), [4]);
        counts.decrement(0..4);
        assert_eq!(zeros(&counts, 0..6), [0, 3, 4]);
        counts.remove(3);
        counts.decrement(1..3);
        assert_eq!(zeros(&counts, 0..6), [0, 1, 2, 4]);
        assert_eq!(zeros(&counts, 1..4), [1, 2]);
    }
}
