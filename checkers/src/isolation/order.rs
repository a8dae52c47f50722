//! Edges that come of time, and edges between whole sets; both in linear number.
//!
//! Source: Elle, section 5 (a transitive reduction of real time); here joints stand for the moments of time instead.

use super::graph::{Edge, Graph, PROCESS, REAL_TIME, RW, WW};
use super::history::Transaction;
use rustc_hash::FxHashMap;
use tribunal_history::Outcome;

/// Collects edges.
#[derive(Debug)]
pub(super) struct Edges {
    pub(super) edges: Vec<Edge>,
    transactions: u32,
    nodes: u32,
}

impl Edges {
    pub(super) fn new(transactions: usize) -> Self {
        let transactions = transactions as u32;
        Self { edges: Vec::new(), transactions, nodes: transactions }
    }

    /// A dependency; none of a transaction on itself.
    pub(super) fn add(&mut self, from: u32, to: u32, kind: u8) {
        if from != to {
            self.edges.push(Edge { from, to, kind });
        }
    }

    fn joint(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    /// Every target depends on every source, but nothing on itself. Linear, for all but the first two that are in both.
    ///
    /// Those are joined to all others one by one: through a joint they would reach themselves. If there are two, they are a
    /// cycle already, whatever the others do: each depends on the other.
    pub(super) fn join(&mut self, sources: &[(u32, u8)], targets: &[u32]) {
        match (sources, targets) {
            ([], _) | (_, []) => return,
            ([(from, kind)], _) => {
                return targets.iter().for_each(|to| self.add(*from, *to, *kind));
            }
            (_, [to]) => {
                return sources.iter().for_each(|(from, kind)| self.add(*from, *to, *kind));
            }
            _ => {}
        }
        let wanted: FxHashMap<u32, ()> = targets.iter().map(|target| (*target, ())).collect();
        let mut both: FxHashMap<u32, u8> = FxHashMap::default();
        for (source, kind) in sources {
            if wanted.contains_key(source) {
                both.insert(*source, *kind);
            }
        }
        let mut first: Vec<(u32, u8)> = both.iter().map(|(both, kind)| (*both, *kind)).collect();
        first.sort_unstable();
        first.truncate(2);
        for (one, kind) in first {
            targets.iter().for_each(|target| self.add(one, *target, kind));
            sources.iter().for_each(|(source, kind)| self.add(*source, one, *kind));
        }
        let joint = self.joint();
        for (source, kind) in sources.iter().filter(|(source, _)| !both.contains_key(source)) {
            self.add(*source, joint, *kind);
        }
        for target in targets.iter().filter(|target| !both.contains_key(target)) {
            self.add(joint, *target, WW);
        }
    }

    /// The order within each process and that of real time.
    pub(super) fn time(&mut self, transactions: &[Transaction], committed: &[bool]) {
        let mut moments: Vec<(u64, u32, bool)> = Vec::with_capacity(2 * transactions.len());
        for (number, transaction) in (0..).zip(transactions) {
            if committed[number as usize] {
                moments.push((transaction.call.index, number, false));
                if let (Outcome::Ok, Some(end)) = (transaction.outcome, transaction.end) {
                    moments.push((end.index, number, true));
                }
            }
        }
        moments.sort_unstable();
        let mut last_of: FxHashMap<u64, u32> = FxHashMap::default();
        // All that ended before now can be reached from this joint; `open` while nothing has begun since.
        let (mut now, mut open) = (None, false);
        for (_, number, end) in moments {
            let process = transactions[number as usize].process;
            if end {
                last_of.insert(process, number);
                if !open {
                    let joint = self.joint();
                    if let Some(before) = now.replace(joint) {
                        self.add(before, joint, REAL_TIME);
                    }
                    open = true;
                }
                now.into_iter().for_each(|joint| self.add(number, joint, REAL_TIME));
            } else {
                last_of.get(&process).into_iter().for_each(|last| self.add(*last, number, PROCESS));
                now.into_iter().for_each(|joint| self.add(joint, number, REAL_TIME));
                open = false;
            }
        }
    }

    /// The graph of what was added.
    pub(super) fn graph(self) -> Graph {
        Graph::new(self.transactions, self.nodes, &self.edges)
    }
}

/// What reads a version and what wrote it, as sources of edges to what replaced it. `rests` is added to the kinds.
pub(super) fn before(writer: Option<u32>, readers: &[u32], rests: u8) -> Vec<(u32, u8)> {
    let writer = writer.map(|writer| (writer, WW | rests));
    // A reader last, so that of one that reads and writes the anti-dependency counts.
    writer.into_iter().chain(readers.iter().map(|reader| (*reader, RW | rests))).collect()
}
