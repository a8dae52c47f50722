//! The general engine: a search for a linearization under any [`Model`].
//!
//! Wing and Gong, "Testing and Verifying Concurrent Objects" (1993): try the operations that may come next, one after
//! the other, and go back where none fits. Lowe, "Testing for Linearizability" (2017): remember the configurations that
//! were tried (section 3), and linearize *just in time* (section 4): an operation is given its place only when it,
//! or one that needs it, is about to return.
//!
//! A configuration is a place among the events, the state, and the set of operations that are open and have their
//! place already. Between two returns nothing has to be decided, so only returns are places. At the return of `i`:
//! if `i` has its place, go on; else give some open operation its place, `i` itself first.
//!
//! * Sound: a path to the end gives every operation that returned a place between its call and its return.
//! * Complete: in any linearization the points can be moved later, up to just before the next return, without change of
//!   their order; so the search over returns misses none. Equal configurations have equal futures.
//!
//! Invariants: no recursion; slots of the set are reused when their operation returned, so a set is as wide as the
//! concurrency plus the crashed operations. Time and memory have limits, and reaching one answers unknown.
//!
//! Absent: reductions for particular models, and partition by key, which its callers do.

use crate::models::Model;
use rustc_hash::FxHashSet;
use std::time::{Duration, Instant};

/// Where the search gives up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time for all keys together.
    pub time: Duration,
    /// The memory for all keys together, as the search estimates it, in bytes.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(60), memory_bytes: 2 << 30 }
    }
}

/// An operation as the search sees it.
#[derive(Clone, Debug)]
pub struct Interval<Op> {
    /// What it did.
    pub op: Op,
    /// The index of its invocation.
    pub call: u64,
    /// The index of its completion; `None` if it may take effect at any later time, or never.
    pub end: Option<u64>,
}

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is a linearization.
    Linearizable,
    /// There is none. No order reaches beyond the return of `stuck`, an index into the input.
    NotLinearizable {
        /// The operation that cannot get a place, in the order that got farthest.
        stuck: usize,
        /// Those that were open when it returned, without itself.
        open: Vec<usize>,
    },
    /// A limit came first.
    Unknown {
        /// Which one.
        why: &'static str,
        /// Operations that returned in the order that got farthest.
        linearized: usize,
        /// Operations that returned in the history.
        returned: usize,
    },
}

/// Searches for a linearization. `deadline` and `memory_bytes` bound it.
///
/// Exponential in the concurrency and in the number of crashed operations at worst; linear where the order is plain.
pub fn search<M: Model>(
    model: &M,
    operations: &[Interval<M::Op>],
    deadline: Instant,
    memory_bytes: usize,
) -> Answer {
    let timeline = Timeline::new(operations);
    Search {
        model,
        operations,
        timeline: &timeline,
        tried: FxHashSet::default(),
        bytes: 0,
        farthest: 0,
    }
    .run(deadline, memory_bytes)
}

/// An open operation and its slot.
#[derive(Clone, Copy)]
struct Open {
    slot: usize,
    operation: usize,
}

/// The return of an operation, with what is open just before.
struct Return {
    returning: Open,
    /// The others that are open and will return.
    others: Box<[Open]>,
    /// How many of [`Timeline::crashed`] were called before.
    crashed: usize,
}

/// The history as the search walks it.
struct Timeline {
    returns: Vec<Return>,
    /// Those that never return, by their calls.
    crashed: Vec<Open>,
    /// How many slots there are.
    width: usize,
}

/// A place in the search: before the return number `at`.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration<S> {
    at: usize,
    state: S,
    placed: Slots,
}

struct Search<'a, M: Model> {
    model: &'a M,
    operations: &'a [Interval<M::Op>],
    timeline: &'a Timeline,
    tried: FxHashSet<Configuration<M::State>>,
    bytes: usize,
    farthest: usize,
}

impl<M: Model> Search<'_, M> {
    fn run(mut self, deadline: Instant, memory_bytes: usize) -> Answer {
        let placed = Slots::new(self.timeline.width);
        let start = Configuration { at: 0, state: self.model.init(), placed };
        let mut stack = vec![start];
        let mut steps = 0_u32;
        while let Some(configuration) = stack.pop() {
            let Some(branch) = self.skip_placed(configuration) else {
                return Answer::Linearizable;
            };
            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(CLOCK_EVERY) && Instant::now() >= deadline {
                return self.unknown("the time limit was reached");
            }
            // What waits on the stack is of the same kind as what was tried, and counts as much.
            if self.bytes + stack.len() * self.weight(&branch) > memory_bytes {
                return self.unknown("the memory limit was reached");
            }
            if !self.tried.contains(&branch) {
                self.push_children(&branch, &mut stack);
                self.bytes += self.weight(&branch);
                self.tried.insert(branch);
            }
        }
        self.not_linearizable()
    }

    /// Goes over the returns of operations that have their place. `None` at the end of the history.
    fn skip_placed(
        &mut self,
        mut configuration: Configuration<M::State>,
    ) -> Option<Configuration<M::State>> {
        loop {
            self.farthest = self.farthest.max(configuration.at);
            let next = self.timeline.returns.get(configuration.at)?;
            if !configuration.placed.remove(next.returning.slot) {
                return Some(configuration);
            }
            configuration.at += 1;
        }
    }

    /// Gives each open operation the next place, in turn; the one that returns is tried first.
    fn push_children(
        &self,
        branch: &Configuration<M::State>,
        stack: &mut Vec<Configuration<M::State>>,
    ) {
        let next = &self.timeline.returns[branch.at];
        let others = self.timeline.open_at(next).filter(|open| !branch.placed.contains(open.slot));
        for Open { slot, operation } in others.chain([next.returning]) {
            let op = &self.operations[operation].op;
            if let Some(state) = self.model.step(&branch.state, op) {
                let mut placed = branch.placed.clone();
                placed.insert(slot);
                stack.push(Configuration { at: branch.at, state, placed });
            }
        }
    }

    fn weight(&self, configuration: &Configuration<M::State>) -> usize {
        // A hash set keeps at most 7/8 of its places filled, and doubles: twice the size is a fair mean.
        2 * size_of::<Configuration<M::State>>()
            + configuration.placed.heap_bytes()
            + self.model.heap_bytes(&configuration.state)
    }

    fn unknown(&self, why: &'static str) -> Answer {
        Answer::Unknown { why, linearized: self.farthest, returned: self.timeline.returns.len() }
    }

    fn not_linearizable(&self) -> Answer {
        let stuck = &self.timeline.returns[self.farthest];
        let open = self.timeline.open_at(stuck).map(|open| open.operation).collect();
        Answer::NotLinearizable { stuck: stuck.returning.operation, open }
    }
}

impl Timeline {
    fn new<Op>(operations: &[Interval<Op>]) -> Self {
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * operations.len());
        for (nth, operation) in operations.iter().enumerate() {
            events.push((operation.call, false, nth));
            events.extend(operation.end.map(|end| (end, true, nth)));
        }
        events.sort_unstable();
        let mut timeline = Self { returns: Vec::new(), crashed: Vec::new(), width: 0 };
        let mut open: Vec<Open> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        for (_, is_return, operation) in events {
            if is_return {
                let returning = take(&mut open, operation);
                free.push(returning.slot);
                let crashed = timeline.crashed.len();
                timeline.returns.push(Return { returning, others: open[..].into(), crashed });
                continue;
            }
            let slot = free.pop().unwrap_or(timeline.width);
            timeline.width = timeline.width.max(slot + 1);
            match operations[operation].end {
                Some(_) => open.push(Open { slot, operation }),
                None => timeline.crashed.push(Open { slot, operation }),
            }
        }
        timeline
    }

    /// The others that are open at a return: crashed ones first, which are seldom what is needed next.
    fn open_at<'a>(&'a self, next: &'a Return) -> impl Iterator<Item = Open> + 'a {
        self.crashed[..next.crashed].iter().chain(&next.others).copied()
    }
}

fn take(open: &mut Vec<Open>, operation: usize) -> Open {
    let nth = open.iter().position(|other| other.operation == operation);
    open.remove(nth.expect("an operation returns after its call"))
}

/// A set of slots. The first 64 need no allocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Slots {
    first: u64,
    rest: Box<[u64]>,
}

impl Slots {
    fn new(width: usize) -> Self {
        Self { first: 0, rest: vec![0; width.div_ceil(64).saturating_sub(1)].into() }
    }

    fn word(&mut self, slot: usize) -> &mut u64 {
        match slot / 64 {
            0 => &mut self.first,
            nth => &mut self.rest[nth - 1],
        }
    }

    fn contains(&self, slot: usize) -> bool {
        let word = if slot < 64 { self.first } else { self.rest[slot / 64 - 1] };
        word & (1 << (slot % 64)) != 0
    }

    fn insert(&mut self, slot: usize) {
        *self.word(slot) |= 1 << (slot % 64);
    }

    /// Whether it was there.
    fn remove(&mut self, slot: usize) -> bool {
        let was = self.contains(slot);
        *self.word(slot) &= !(1 << (slot % 64));
        was
    }

    fn heap_bytes(&self) -> usize {
        self.rest.len() * 8
    }
}

/// Configurations between two looks at the clock.
const CLOCK_EVERY: u32 = 1024;
