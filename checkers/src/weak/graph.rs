//! A directed graph of small numbers: an order of it, or its shortest cycles.

use std::collections::VecDeque;

/// Who points to whom, by the one who points.
#[derive(Debug)]
pub(super) struct Graph {
    start: Vec<u32>,
    targets: Vec<u32>,
}

impl Graph {
    /// A graph of the nodes below `nodes`. Linear, by counting.
    pub(super) fn new(nodes: usize, edges: &[(u32, u32)]) -> Self {
        let mut start = vec![0u32; nodes + 1];
        for (from, _) in edges {
            start[*from as usize + 1] += 1;
        }
        for node in 0..nodes {
            start[node + 1] += start[node];
        }
        let mut next = start.clone();
        let mut targets = vec![0; edges.len()];
        for (from, to) in edges {
            let slot = &mut next[*from as usize];
            targets[*slot as usize] = *to;
            *slot += 1;
        }
        Self { start, targets }
    }

    fn len(&self) -> usize {
        self.start.len() - 1
    }

    /// Whom a node points to.
    pub(super) fn targets(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.targets[self.start[node] as usize..self.start[node + 1] as usize]
    }

    /// An order in which every edge points onward, or `None` if there is a cycle (Kahn 1962). Linear.
    pub(super) fn order(&self) -> Option<Vec<u32>> {
        let mut waits = vec![0u32; self.len()];
        self.targets.iter().for_each(|target| waits[*target as usize] += 1);
        let mut order = Vec::with_capacity(self.len());
        order.extend((0u32..).zip(&waits).filter(|(_, waits)| **waits == 0).map(|(node, _)| node));
        let mut done = 0;
        while let Some(node) = order.get(done).copied() {
            done += 1;
            for target in self.targets(node) {
                let waits = &mut waits[*target as usize];
                *waits -= 1;
                if *waits == 0 {
                    order.push(*target);
                }
            }
        }
        (order.len() == self.len()).then_some(order)
    }

    /// A cycle of each of the first few strongly connected components, those of few nodes first.
    ///
    /// The shortest of its component, as long as [`BUDGET`] steps are enough to look from every node; else the shortest
    /// that was found in these. Empty exactly if there is no cycle.
    pub(super) fn cycles(&self, limit: usize) -> Vec<Vec<u32>> {
        let components = self.components();
        let mut sizes = vec![0usize; self.len()];
        components.iter().for_each(|component| sizes[*component as usize] += 1);
        let mut cyclic: Vec<u32> =
            (0u32..).zip(&sizes).filter(|(_, size)| **size > 1).map(|(c, _)| c).collect();
        cyclic.sort_by_key(|component| sizes[*component as usize]);
        cyclic.truncate(limit);
        cyclic.into_iter().map(|component| self.shortest(component, &components)).collect()
    }

    fn shortest(&self, component: u32, components: &[u32]) -> Vec<u32> {
        let mut search = Search::new(self.len());
        let mut best: Vec<u32> = Vec::new();
        for node in (0u32..).zip(components).filter(|(_, c)| **c == component).map(|(node, _)| node)
        {
            let shorter_than = if best.is_empty() { usize::MAX } else { best.len() };
            let inside = |target: u32| components[target as usize] == component;
            if let Some(found) = search.path(self, node, node, shorter_than, inside) {
                best = found;
            }
            if best.len() == 2 || search.steps > BUDGET {
                break;
            }
        }
        best
    }

    /// The shortest way from one node to another, both included.
    pub(super) fn path(&self, from: u32, to: u32) -> Option<Vec<u32>> {
        let mut path = Search::new(self.len()).path(self, from, to, usize::MAX, |_| true)?;
        path.push(to);
        Some(path)
    }

    /// The strongly connected component of each node (Tarjan 1972, with a stack of its own).
    fn components(&self) -> Vec<u32> {
        const UNSEEN: u32 = u32::MAX;
        let (mut index, mut low) = (vec![UNSEEN; self.len()], vec![0u32; self.len()]);
        let mut component = vec![UNSEEN; self.len()];
        let (mut stack, mut calls) = (Vec::new(), Vec::new());
        let (mut seen, mut found) = (0, 0);
        for root in (0u32..).take(self.len()) {
            if index[root as usize] != UNSEEN {
                continue;
            }
            calls.push((root, 0));
            while let Some((node, edge)) = calls.pop() {
                let at = node as usize;
                if edge == 0 {
                    (index[at], low[at]) = (seen, seen);
                    seen += 1;
                    stack.push(node);
                }
                if edge > 0 {
                    let child = self.targets(node)[edge - 1] as usize;
                    if component[child] == UNSEEN {
                        low[at] = low[at].min(low[child]);
                    }
                }
                if let Some(target) = self.targets(node).get(edge).copied() {
                    calls.push((node, edge + 1));
                    if index[target as usize] == UNSEEN {
                        calls.push((target, 0));
                    }
                } else if low[at] == index[at] {
                    while let Some(member) = stack.pop() {
                        component[member as usize] = found;
                        if member == node {
                            break;
                        }
                    }
                    found += 1;
                }
            }
        }
        component
    }
}

/// How many edges the search for the shortest cycle of a component walks.
const BUDGET: usize = 20_000_000;

/// Breadth first, again and again over the same nodes.
struct Search {
    /// By node: the search that reached it last, and from where.
    reached: Vec<(u32, u32)>,
    round: u32,
    steps: usize,
}

impl Search {
    fn new(nodes: usize) -> Self {
        Self { reached: vec![(0, 0); nodes], round: 0, steps: 0 }
    }

    /// The shortest way over at least one edge, without its last node, if it has fewer edges than `shorter_than`.
    fn path(
        &mut self,
        graph: &Graph,
        from: u32,
        to: u32,
        shorter_than: usize,
        inside: impl Fn(u32) -> bool,
    ) -> Option<Vec<u32>> {
        self.round += 1;
        let mut queue = VecDeque::from([(from, 0)]);
        while let Some((node, length)) = queue.pop_front() {
            if length + 1 >= shorter_than {
                return None;
            }
            for target in graph.targets(node).iter().copied().filter(|target| inside(*target)) {
                self.steps += 1;
                if target == to {
                    return Some(self.back(from, node));
                }
                let reached = &mut self.reached[target as usize];
                if reached.0 != self.round && target != from {
                    *reached = (self.round, node);
                    queue.push_back((target, length + 1));
                }
            }
        }
        None
    }

    fn back(&self, from: u32, last: u32) -> Vec<u32> {
        let mut path = vec![last];
        let mut node = last;
        while node != from {
            node = self.reached[node as usize].1;
            path.push(node);
        }
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_cycle_has_an_order() {
        let graph = Graph::new(4, &[(3, 1), (1, 0), (3, 0), (0, 2)]);
        assert_eq!(graph.order(), Some(vec![3, 1, 0, 2]));
        assert!(graph.cycles(3).is_empty());
    }

    #[test]
    fn the_shortest_cycle_of_each_component_is_found() {
        let edges = [(0, 1), (1, 2), (2, 3), (3, 0), (2, 0), (3, 4), (4, 5), (5, 4)];
        let graph = Graph::new(6, &edges);
        assert_eq!(graph.order(), None);
        assert_eq!(graph.cycles(3), [vec![4, 5], vec![0, 1, 2]]);
        assert_eq!(graph.path(0, 5), Some(vec![0, 1, 2, 3, 4, 5]));
    }
}
