//! What causal consistency demands of the commit order (AWDIT, section 3.3; the axiom is of Biswas and Enea 2019).
//!
//! *Axiom*: if `t2` comes before a transaction by any chain of session order and reads, and the transaction reads a key that
//! `t2` writes from another `t1`, then `t2` commits before `t1`.
//!
//! Of each session it is enough to look at the last such `t2`. Which one that is, a vector clock tells: by session, the last
//! node that comes before. Clocks only rise along a session, so that a place in each list of writers of a key rises as well.
//!
//! Cost: O(n k) for `k` sessions. A clock is kept only until its last reader has joined it; what remains of it are its
//! differences to the one before in the session. So memory is a few times the history where few sessions live at a time,
//! even if thousands ended with a crashed transaction.

use super::graph::Graph;
use super::{Demand, view::View};
use crate::keyed::number_of;

/// Tells `demand` what must commit before what. `order` has causes before effects.
pub(super) fn infer(view: &View, causes: &Graph, order: &[u32], demand: &mut impl FnMut(Demand)) {
    let clocks = Clocks::new(view, causes, order);
    let mut writers = Writers::new(view);
    let sessions = view.session_start.len() - 1;
    let mut clock = vec![0u32; sessions];
    for session in 0..number_of(sessions) {
        clock.fill(0);
        for reader in view.session_start[session as usize]..view.session_start[session as usize + 1]
        {
            if view.follows(reader - 1, reader) {
                clock[session as usize] = reader - 1;
            }
            for (other, node) in clocks.rises(reader) {
                clock[*other as usize] = *node;
            }
            for read in view.reads(reader) {
                for list in writers.of(read.key) {
                    let bound = clock[list.session as usize];
                    let before = list.last(bound, session);
                    if before != 0 && before != read.writer {
                        demand(Demand { before, after: read.writer, reader, key: read.key });
                    }
                }
            }
        }
    }
}

/// What each node knows more than the one before it in its session: session and last node.
struct Clocks {
    /// By node: where its rises are.
    place: Vec<(u32, u32)>,
    rises: Vec<(u32, u32)>,
}

impl Clocks {
    fn new(view: &View, causes: &Graph, order: &[u32]) -> Self {
        let mut pool = Pool::new(view.session_start.len() - 1, view.nodes());
        let mut clocks = Self { place: vec![(0, 0); view.nodes()], rises: Vec::new() };
        for node in order.iter().copied().filter(|node| *node != 0) {
            let before = view.follows(node - 1, node).then(|| node - 1);
            let mut clock = pool.clock(before);
            let start = number_of(clocks.rises.len());
            let writers = view.reads(node).iter().filter(|read| read.first && read.writer != 0);
            for writer in writers.map(|read| read.writer) {
                pool.join(&mut clock, writer);
            }
            clocks.note(&clock, before.map(|before| pool.of(before)), view.session[node as usize]);
            clocks.place[node as usize] = (start, number_of(clocks.rises.len()));
            clock[view.session[node as usize] as usize] = node;
            pool.keep(node, clock, causes.targets(node).len());
            before.into_iter().for_each(|before| pool.release(before));
            let writers = view.reads(node).iter().filter(|read| read.first && read.writer != 0);
            writers.for_each(|read| pool.release(read.writer));
        }
        clocks
    }

    fn note(&mut self, clock: &[u32], before: Option<&[u32]>, own: u32) {
        for (session, node) in (0u32..).zip(clock) {
            let known = before.map_or(0, |before| before[session as usize]);
            if session != own && *node != known {
                self.rises.push((session, *node));
            }
        }
    }

    fn rises(&self, node: u32) -> &[(u32, u32)] {
        let (start, end) = self.place[node as usize];
        &self.rises[start as usize..end as usize]
    }
}

/// The clocks that somebody will still ask for.
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
        self.clocks[node as usize]
            .as_deref()
            .expect("a cause comes first, and is kept for its effects")
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
    nodes: Vec<u32>,
}

/// The nodes of one session that write one key.
struct List {
    session: u32,
    /// Its place in [`Writers::nodes`].
    start: u32,
    end: u32,
    /// How far the session that reads has come, and what it saw last there: the node before `next`.
    reader: u32,
    next: u32,
}

impl Writers {
    fn new(view: &View) -> Self {
        let mut by_key: Vec<(u32, u32)> = Vec::new();
        for node in view.committed() {
            by_key.extend(view.writes(node).iter().map(|key| (*key, node)));
        }
        let graph = Graph::new(view.keys, &by_key);
        let mut writers = Self { start: Vec::new(), lists: Vec::new(), nodes: Vec::new() };
        for key in 0..number_of(view.keys) {
            writers.start.push(number_of(writers.lists.len()));
            let same = |a: &u32, b: &u32| view.session[*a as usize] == view.session[*b as usize];
            for nodes in graph.targets(key).chunk_by(same) {
                let start = number_of(writers.nodes.len());
                writers.nodes.extend(nodes);
                let (session, end) =
                    (view.session[nodes[0] as usize], number_of(writers.nodes.len()));
                writers.lists.push(List { session, start, end, reader: u32::MAX, next: start });
            }
        }
        writers.start.push(number_of(writers.lists.len()));
        writers
    }

    fn of(&mut self, key: u32) -> impl Iterator<Item = Cursor<'_>> {
        let range = self.start[key as usize] as usize..self.start[key as usize + 1] as usize;
        let nodes = &self.nodes;
        self.lists[range].iter_mut().map(move |list| Cursor { session: list.session, list, nodes })
    }
}

/// A list and its nodes.
struct Cursor<'a> {
    session: u32,
    list: &'a mut List,
    nodes: &'a [u32],
}

impl Cursor<'_> {
    /// The last node of the list that is not after `bound`, which must not fall for the same reading session; 0 if none.
    fn last(self, bound: u32, reader: u32) -> u32 {
        let Self { list, nodes, .. } = self;
        if list.reader != reader {
            (list.reader, list.next) = (reader, list.start);
        }
        while list.next < list.end && nodes[list.next as usize] <= bound {
            list.next += 1;
        }
        if list.next == list.start { 0 } else { nodes[list.next as usize - 1] }
    }
}
