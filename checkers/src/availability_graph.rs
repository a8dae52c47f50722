//! Who can talk to whom at one moment, as the faults leave it.
//!
//! A fault whose outcome is not known may have been in effect, and its end may not have healed anything: it is taken to be in
//! effect from its start for ever. A fault that names neither nodes that are down nor links that are cut (a slow disk, a
//! skewed clock) may keep its targets from answering: they are taken to be down, all nodes if it names none.
//! Both err on the side of the accused.

use crate::windows::{CLIENTS, FaultOutcome, Window};
use std::collections::BTreeSet;

/// Nodes that are up and links that carry, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Graph {
    nodes: u32,
    down: BTreeSet<u32>,
    cut: BTreeSet<(u32, u32)>,
}

/// A change of the graph: from `time_ns` on.
pub(crate) struct Phase {
    pub(crate) from_ns: u64,
    pub(crate) graph: Graph,
}

/// The most nodes whose subsets are tried one by one.
pub(crate) const NODES_MAX: u32 = 9;

impl Graph {
    /// All of `nodes` are up and connected.
    pub(crate) fn whole(nodes: u32) -> Self {
        Self { nodes, down: BTreeSet::new(), cut: BTreeSet::new() }
    }

    fn under<'a>(nodes: u32, faults: impl Iterator<Item = &'a Window>) -> Self {
        let mut graph = Self::whole(nodes);
        for window in faults {
            graph.down.extend(&window.down);
            graph.cut.extend(&window.cut);
            if window.down.is_empty() && window.cut.is_empty() {
                graph.down.extend(&window.targets);
                if window.targets.is_empty() {
                    graph.down.extend(1..=nodes);
                }
            }
        }
        graph
    }

    fn up(&self, node: u32) -> bool {
        !self.down.contains(&node)
    }

    fn linked(&self, a: u32, b: u32) -> bool {
        !self.cut.contains(&(a, b)) && !self.cut.contains(&(b, a))
    }

    /// Whether the node is up and exchanges bytes with the clients.
    fn reachable(&self, node: u32) -> bool {
        self.up(node) && self.linked(node, CLIENTS)
    }

    /// Whether the node cannot serve: down, cut from the clients, or linked to fewer nodes than make a majority with it.
    pub(crate) fn cut_off(&self, node: u32) -> bool {
        let peers = (1..=self.nodes).filter(|peer| *peer != node && self.up(*peer));
        let linked = peers.filter(|peer| self.linked(node, *peer)).count();
        !self.reachable(node) || (linked + 1) * 2 <= self.nodes as usize
    }

    /// The maximal sets of nodes that are up, connected to each other in both directions and with the clients, and form a
    /// majority of `needed` at least; each as an ordered set.
    fn majorities(&self, needed: u32) -> Vec<BTreeSet<u32>> {
        let candidates: Vec<u32> = (1..=self.nodes).filter(|node| self.reachable(*node)).collect();
        let subset = |bits: u32| -> BTreeSet<u32> {
            let chosen = candidates.iter().enumerate().filter(|(nth, _)| bits >> nth & 1 == 1);
            chosen.map(|(_, node)| *node).collect()
        };
        let connected = |set: &BTreeSet<u32>| {
            set.iter().all(|a| set.iter().all(|b| a == b || self.linked(*a, *b)))
        };
        let sets = (0..1_u32 << candidates.len())
            .filter(|bits| bits.count_ones() >= needed.max(self.nodes / 2 + 1))
            .map(subset)
            .filter(connected);
        let sets: Vec<BTreeSet<u32>> = sets.collect();
        let maximal = |set: &&BTreeSet<u32>| !sets.iter().any(|o| o != *set && o.is_superset(set));
        sets.iter().filter(maximal).cloned().collect()
    }

    /// The part of the system that has to serve, if there is one: more than half of all nodes, and `needed` of them.
    pub(crate) fn service(&self, needed: u32) -> Option<Service> {
        let majorities = self.majorities(needed);
        let (first, others) = majorities.split_first()?;
        // Where majorities overlap (a bridge), the leader may sit in one of them and be out of reach for the rest of the
        // other. A node that is in all of them reaches every node that can lead.
        let common = |common: BTreeSet<u32>, set: &BTreeSet<u32>| &common & set;
        let nodes: BTreeSet<u32> = others.iter().fold(first.clone(), common);
        if nodes.is_empty() {
            return None;
        }
        let members: BTreeSet<u32> = majorities.iter().flatten().copied().collect();
        let links = self.links_of(&members);
        Some(Service { nodes, links })
    }

    /// The directed links that carry between nodes that are up, with an end in `members`.
    fn links_of(&self, members: &BTreeSet<u32>) -> BTreeSet<(u32, u32)> {
        let all = (1..=self.nodes).flat_map(|a| (1..=self.nodes).map(move |b| (a, b)));
        all.filter(|(a, b)| a != b && self.up(*a) && self.up(*b) && !self.cut.contains(&(*a, *b)))
            .filter(|(a, b)| members.contains(a) || members.contains(b))
            .collect()
    }
}

/// The nodes that have to serve, and all links by which others can help or disturb them: two moments are alike for the
/// system exactly if both agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) nodes: BTreeSet<u32>,
    links: BTreeSet<(u32, u32)>,
}

/// The graph from the start of the run, at each change. O(windows^2) at worst; windows come every few seconds.
pub(crate) fn phases(nodes: u32, windows: &[Window]) -> Vec<Phase> {
    let effective = |window: &&Window| window.outcome != FaultOutcome::Skipped;
    let windows: Vec<&Window> = windows.iter().filter(effective).collect();
    let end = |window: &Window| match window.outcome {
        FaultOutcome::Installed => window.end,
        FaultOutcome::Skipped | FaultOutcome::Indeterminate => None,
    };
    let mut times = BTreeSet::from([0]);
    times.extend(windows.iter().map(|window| window.start));
    times.extend(windows.iter().filter_map(|window| end(window)));
    let graph = |time: u64| {
        let active = windows.iter().copied();
        let active = active.filter(|w| w.start <= time && end(w).is_none_or(|end| time < end));
        Graph::under(nodes, active)
    };
    times.into_iter().map(|from_ns| Phase { from_ns, graph: graph(from_ns) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(down: &[u32], cut: &[(u32, u32)]) -> Window {
        Window {
            down: down.iter().copied().collect(),
            cut: cut.iter().copied().collect(),
            start: 10,
            end: Some(20),
            outcome: FaultOutcome::Installed,
            ..Window::default()
        }
    }

    fn service(nodes: u32, window: Window) -> Option<Vec<u32>> {
        let graph = Graph::under(nodes, std::iter::once(&window));
        graph.service(0).map(|service| service.nodes.into_iter().collect())
    }

    fn both_ways(pairs: &[(u32, u32)]) -> Vec<(u32, u32)> {
        pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect()
    }

    #[test]
    fn a_majority_serves_and_a_minority_does_not() {
        assert_eq!(service(5, window(&[4, 5], &[])), Some(vec![1, 2, 3]));
        assert_eq!(service(5, window(&[3, 4, 5], &[])), None);
        assert_eq!(service(4, window(&[3, 4], &[])), None);
        let halves = both_ways(&[(1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5)]);
        assert_eq!(service(5, window(&[], &halves)), Some(vec![3, 4, 5]));
    }

    #[test]
    fn one_direction_is_not_connected() {
        let deaf: Vec<(u32, u32)> = (2..=5).map(|from| (from, 1)).collect();
        assert_eq!(service(5, window(&[], &deaf)), Some(vec![2, 3, 4, 5]));
        assert_eq!(service(3, window(&[], &[(0, 1), (2, CLIENTS)])), None);
    }

    #[test]
    fn in_a_bridge_only_the_bridge_has_to_serve_and_in_a_ring_nobody() {
        let bridge = both_ways(&[(1, 4), (1, 5), (2, 4), (2, 5)]);
        assert_eq!(service(5, window(&[], &bridge)), Some(vec![3]));
        let ring = both_ways(&[(1, 3), (1, 4), (2, 4), (2, 5), (3, 5)]);
        assert_eq!(service(5, window(&[], &ring)), None);
    }

    #[test]
    fn where_more_than_a_majority_is_needed_a_mere_majority_is_asked_for_nothing() {
        let graph = Graph::under(5, std::iter::once(&window(&[1, 2], &[])));
        assert!(graph.service(3).is_some_and(|service| service.nodes.len() == 3));
        assert!(graph.service(4).is_none());
    }

    #[test]
    fn a_node_without_a_majority_is_cut_off() {
        let cuts = both_ways(&[(1, 2), (1, 3), (1, 4)]);
        let graph = Graph::under(5, std::iter::once(&window(&[5], &cuts)));
        let cut_off: Vec<u32> = (1..=5).filter(|node| graph.cut_off(*node)).collect();
        assert_eq!(cut_off, [1, 5]);
    }

    #[test]
    fn a_fault_that_may_have_been_lasts_and_one_that_says_nothing_covers_its_targets() {
        let unsure = Window { outcome: FaultOutcome::Indeterminate, ..window(&[1], &[]) };
        assert!(phases(3, &[unsure]).last().is_some_and(|phase| phase.graph.cut_off(1)));
        assert!(phases(3, &[window(&[1], &[])]).last().is_some_and(|p| !p.graph.cut_off(1)));
        let slow = Window { targets: vec![1], ..window(&[], &[]) };
        assert_eq!(service(3, slow), Some(vec![2, 3]));
        assert_eq!(service(3, window(&[], &[])), None);
        let skipped = Window { outcome: FaultOutcome::Skipped, ..window(&[1], &[]) };
        assert_eq!(phases(3, &[skipped]).len(), 1);
    }
}
