//! What causal consistency demands of the commit order (AWDIT, section 3.3; the axiom is of Biswas and Enea 2019).
//!
//! *Axiom*: if `t2` comes before a transaction by any chain of session order and reads, and the transaction reads a key that
//! `t2` writes from another `t1`, then `t2` commits before `t1`.
//!
//! Of each session it is enough to look at the last such `t2`. Which one that is, a vector clock tells: by session, the last
//! node that comes before. The clock of `t1` tells as much of `t1`: a `t2` that comes before it anyway demands nothing new.
//! That leaves out the many writers that are long known to everybody, above all those of sessions that ended.
//!
//! Cost: O(n k) comparisons of clocks for `k` sessions, and for the few sessions of which the reader knows more than
//! `t1`, a binary search in that session's writes of the key (AWDIT keeps a place for each pair of sessions and each key
//! instead: no logarithm, but memory of n k). A clock is kept only until its last reader has joined it, so that memory
//! follows what is being read, not how many sessions ended with a crashed transaction.

use super::graph::Graph;
use super::{Demand, view::View};
use crate::keyed::number_of;

/// Tells `demand` what must commit before what. `order` has causes before effects.
pub(super) fn infer(view: &View, causes: &Graph, order: &[u32], demand: &mut impl FnMut(Demand)) {
    let writers = Writers::new(view);
    let mut pool = Pool::new(view.session_start.len() - 1, view.nodes());
    let nothing = vec![0; view.session_start.len() - 1];
    for reader in order.iter().copied().filter(|node| *node != 0) {
        let before = view.follows(reader - 1, reader).then(|| reader - 1);
        let mut clock = pool.clock(before);
        let sources = || view.reads(reader).iter().filter(|read| read.first && read.writer != 0);
        sources().for_each(|read| pool.join(&mut clock, read.writer));
        for read in view.reads(reader) {
            let known = if read.writer == 0 { &nothing[..] } else { pool.of(read.writer) };
            writers.seen(read.key, &clock, known, |before| {
                demand(Demand { before, after: read.writer, reader, key: read.key });
            });
        }
        clock[view.session[reader as usize] as usize] = reader;
        pool.keep(reader, clock, causes.targets(reader).len());
        before
            .into_iter()
            .chain(sources().map(|read| read.writer))
            .for_each(|cause| pool.release(cause));
    }
}

/// The clocks that somebody will still ask for. A node's clock includes the node.
struct Pool {
    sessions: usize,
    clocks: Vec<Option<Box<[u32]>>>,
    /// By node: how many will still ask.
    waiting: Vec<u32>,
    free: Vec<Box<[u32]>>,
}

impl Pool {
    fn new(sessions: usize, nodes: usize) -> Self {
        let clocks = std::iter::repeat_with(|| None).take(nodes).collect();
        Self { sessions, clocks, waiting: vec![0; nodes], free: Vec::new() }
    }

    /// A copy of a node's clock, or a clock that knows nothing.
    fn clock(&mut self, of: Option<u32>) -> Box<[u32]> {
        let mut clock = self.free.pop().unwrap_or_else(|| vec![0; self.sessions].into());
        match of {
            Some(node) => clock.copy_from_slice(self.of(node)),
            None => clock.fill(0),
        }
        clock
    }

    fn of(&self, node: u32) -> &[u32] {
        let clock = self.clocks[node as usize].as_deref();
        clock.expect("a cause comes first, and is kept for its effects")
    }

    fn join(&self, clock: &mut [u32], with: u32) {
        for (known, more) in clock.iter_mut().zip(self.of(with)) {
            *known = (*known).max(*more);
        }
    }

    fn keep(&mut self, node: u32, clock: Box<[u32]>, waiting: usize) {
        if waiting == 0 {
            self.free.push(clock);
        } else {
            self.clocks[node as usize] = Some(clock);
            self.waiting[node as usize] = number_of(waiting);
        }
    }

    fn release(&mut self, node: u32) {
        let waiting = &mut self.waiting[node as usize];
        *waiting -= 1;
        if *waiting == 0 {
            self.free.extend(self.clocks[node as usize].take());
        }
    }
}

/// By key and session: who writes the key.
struct Writers {
    /// By key: where its lists are.
    start: Vec<u32>,
    lists: Vec<List>,
    nodes: Graph,
}

/// The nodes of one session that write one key.
struct List {
    session: u32,
    /// The last of them.
    last: u32,
    /// Its range among the nodes that write the key.
    start: u32,
    end: u32,
}

impl Writers {
    fn new(view: &View) -> Self {
        let mut by_key: Vec<(u32, u32)> = Vec::new();
        for node in view.committed() {
            by_key.extend(view.writes(node).iter().map(|key| (*key, node)));
        }
        let nodes = Graph::new(view.keys, &by_key);
        let (mut start, mut lists) = (Vec::with_capacity(view.keys + 1), Vec::new());
        for key in 0..number_of(view.keys) {
            start.push(number_of(lists.len()));
            let same = |a: &u32, b: &u32| view.session[*a as usize] == view.session[*b as usize];
            let mut at = 0;
            for of_session in nodes.targets(key).chunk_by(same) {
                let (start, last) = (at, of_session[of_session.len() - 1]);
                at += number_of(of_session.len());
                lists.push(List { session: view.session[last as usize], last, start, end: at });
            }
        }
        start.push(number_of(lists.len()));
        Self { start, lists, nodes }
    }

    /// Of each session, the last writer of a key that `clock` knows, if `known` does not know it.
    fn seen(&self, key: u32, clock: &[u32], known: &[u32], mut tell: impl FnMut(u32)) {
        let key_lists = self.start[key as usize] as usize..self.start[key as usize + 1] as usize;
        for list in &self.lists[key_lists] {
            let session = list.session as usize;
            let (bound, known) = (clock[session], known[session]);
            if bound <= known || list.last <= known {
                continue;
            }
            let nodes = &self.nodes.targets(key)[list.start as usize..list.end as usize];
            let before =
                nodes.partition_point(|node| *node <= bound).checked_sub(1).map(|at| nodes[at]);
            before.filter(|node| *node > known).into_iter().for_each(&mut tell);
        }
    }
}
