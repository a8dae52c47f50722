//! Whether one key is sequentially consistent: Lamport, "How to make a multiprocessor computer that correctly executes
//! multiprocess programs" (1979). Some order of all operations explains every result and keeps the order of each process;
//! real time does not matter.
//!
//! NP-complete in general (Gibbons and Korach, "Testing Shared Memories", 1997), and so over several locations even when each
//! read names its write. But on *one* register with unique values it is decided exactly in O(n):
//!
//! A version's write and reads stand together in every legal order, and so do versions that are linked by cas: a *chain*
//! (`history`). So a legal order is an order of chains, nil's first. It keeps the order of a process exactly if
//! 1. everything seen was written by somebody who counts, one cas at most leaves a version, and no chain is a ring;
//! 2. from one operation of a process to its next, within a chain, the place does not fall, and no process reads a version
//!    before its own write of it;
//! 3. the graph of chains, with an edge wherever a process goes from one to another, has no cycle, and no edge enters
//!    nil's chain.
//!
//! *Proof.* These are necessary, since chains stand together. Given them, sort the chains topologically with nil's
//! first, by place inside, each write before its reads, and reads of one version by process and call: legal by
//! construction, and by 2 and 3 no two neighbours of a process are out of order. ∎
//!
//! Over several keys the property of each is *coherence*, which is weaker than sequential consistency of the whole: the latter
//! is not composable. A violation on one key is one of the whole.

use super::history::{Kind, NIL, NONE, Versions};
use rustc_hash::FxHashSet;

/// A process step from one operation to a later one that no order can keep, or an operation that none can explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contradiction {
    /// It saw what nobody wrote.
    Unwritten(u32),
    /// Its cas found a version that another one had left, or itself made.
    Chain(u32),
    /// A process went back, from a later place of a chain to an earlier one, or to nil.
    Back(u32, u32),
    /// Steps of processes from chain to chain, that lead in a circle.
    Circle(Vec<(u32, u32)>),
}

/// `None` if the key is sequentially consistent: proven.
pub(super) fn contradiction(versions: &Versions<'_>, sessions: &[u32]) -> Option<Contradiction> {
    let lost = sessions.iter().find(|&&id| versions.without_writer(&versions.records[id as usize]));
    if let Some(&id) = lost {
        return Some(Contradiction::Unwritten(id));
    }
    if let Some(id) = versions.broken_chain {
        return Some(Contradiction::Chain(id));
    }
    let mut steps: FxHashSet<(u32, u32)> = FxHashSet::default();
    let mut edges: Vec<Edge> = Vec::new();
    for pair in sessions.windows(2) {
        let (first, second) = (pair[0], pair[1]);
        let [one, other] = [first, second].map(|id| &versions.records[id as usize]);
        if one.process != other.process {
            continue;
        }
        let [from, to] = [one, other].map(|record| versions.get(record.value));
        let own_write = from.place == to.place && other.kind != Kind::Read;
        let within = from.chain == to.chain;
        if (within && (from.place > to.place || own_write)) || (!within && to.chain == NIL) {
            return Some(Contradiction::Back(first, second));
        }
        if !within && steps.insert((from.chain, to.chain)) {
            edges.push(Edge { from: from.chain, to: to.chain, first, second });
        }
    }
    circle(versions.all.len(), edges).map(Contradiction::Circle)
}

/// A process's step from one chain to another.
#[derive(Clone, Copy)]
struct Edge {
    from: u32,
    to: u32,
    first: u32,
    second: u32,
}

/// Strikes out chains that nothing (left) leads to (Kahn 1962); what remains holds a cycle, found by walking backwards.
fn circle(chains: usize, mut edges: Vec<Edge>) -> Option<Vec<(u32, u32)>> {
    edges.sort_unstable_by_key(|edge| (edge.from, edge.to));
    let mut entering = vec![0_u32; chains];
    edges.iter().for_each(|edge| entering[edge.to as usize] += 1);
    let leaving = |chain: u32| {
        let start = edges.partition_point(|edge| edge.from < chain);
        edges[start..].iter().take_while(move |edge| edge.from == chain)
    };
    let mut work: Vec<u32> =
        (0..).zip(&entering).filter(|(_, count)| **count == 0).map(|(chain, _)| chain).collect();
    while let Some(chain) = work.pop() {
        for edge in leaving(chain) {
            let count = &mut entering[edge.to as usize];
            *count -= 1;
            if *count == 0 {
                work.push(edge.to);
            }
        }
    }
    // Every chain that is left has an edge from another that is left.
    let mut before: Vec<u32> = vec![NONE; chains];
    for (nth, edge) in (0..).zip(&edges) {
        if entering[edge.from as usize] > 0 && entering[edge.to as usize] > 0 {
            before[edge.to as usize] = nth;
        }
    }
    let mut at = (0..).zip(&before).find(|(_, edge)| **edge != NONE)?.0;
    let mut walked = vec![false; chains];
    while !std::mem::replace(&mut walked[at as usize], true) {
        at = edges[before[at as usize] as usize].from;
    }
    let (end, mut steps) = (at, Vec::new());
    loop {
        let edge = edges[before[at as usize] as usize];
        steps.push((edge.first, edge.second));
        at = edge.from;
        if at == end {
            steps.reverse();
            return Some(steps);
        }
    }
}
