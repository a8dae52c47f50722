//! The general engine: a search for a linearization under any [`Model`].
//!
//! Wing and Gong, "Testing and Verifying Concurrent Objects" (1993): try the operations that may come next. Lowe, "Testing
//! for Linearizability" (2017): remember the configurations that were tried (section 3), and linearize *just in time*
//! (section 4): an operation gets its place only when it, or one that needs it, is about to return.
//!
//! A configuration is a state and, for each operation that is open, two bits: whether it is `done` (owes nothing
//! any more) and whether it is `spent` (cannot be placed again). It *dominates* another of the same place and state if
//! all that is done there is done here, and all that is spent here is spent there: whatever follows the other follows it
//! too. Each of the following replaces a configuration only by one that dominates it, so no linearization is lost:
//!
//! * *Observations at once.* An operation that never changes the state ([`Nature::Observes`]) is done as soon as it is open
//!   in a state that allows it: moving it to an earlier point within its interval changes nothing for others. Of those
//!   alike that wait, only the one that returns first has to be remembered: the state that it needs serves all.
//! * *Absorption.* Immediately before an operation whose effect hides the state before it ([`Nature::Overwrites`]), every
//!   open operation that is never refused ([`Nature::Total`]) may be placed unseen. So placing the former makes all the
//!   latter done but not spent. They may still be placed for what they do; hence at the return of one that is done
//!   and not spent there are two ways on: without it, or placing it now. Of those that wait for absorption, one that
//!   overwrites and returns first stands for those that return later.
//! * *Earliest return first.* Of equal operations with equal bits, the one that returns first is placed first; a crashed one
//!   last, and crashed ones in the order of their calls, so that they are in effect counted: in any continuation, swap them.
//! * *No idle overwriting.* An overwriting operation that let nobody observe its state is not followed by another
//!   overwriting one: leaving it out dominates.
//! * *No lost observation.* A configuration that rules out an observation that waits, or the next to be called
//!   ([`Model::loses`]), is dropped.
//! * Crashed operations that can change nothing are left out ([`Model::may_matter`]), as are crashed observations.
//!
//! Two searches share these steps. `depth` goes on with what got farthest, and remembers all it tried; it is done soon
//! where an order is easily found. `breadth` keeps the configurations after one return only, without dominated ones, so
//! its memory does not grow with the length; it is better where there is no order, or hardly any. Depth begins alone; after
//! some thousand configurations breadth runs beside it, and the first that knows answers.
//!
//! Invariants: no recursion; a configuration is as wide as the concurrency plus the crashed operations kept. Equal
//! states have one number, and each step of the model is computed once. Limits of time and memory answer unknown.
//!
//! Absent: partition by key, which callers do; and sharing one breadth layer among threads.

mod breadth;
mod depth;
mod moves;
mod scene;
mod states;
mod table;
mod timeline;

use crate::models::Model;
#[cfg(doc)]
use crate::models::Nature;
use breadth::Breadth;
use depth::Depth;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use timeline::Timeline;

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
        /// Operations that returned before it: the longest linearizable prefix.
        linearized: usize,
        /// The states that were possible before any of the open ones took effect, as the model describes them; the
        /// first few.
        states: Vec<String>,
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
    search_by(Strategy::Both, model, operations, deadline, memory_bytes)
}

/// Which of the two searches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Depth first, then both side by side.
    #[default]
    Both,
    /// Depth alone.
    Depth,
    /// Breadth alone.
    Breadth,
}

/// As [`search`], by one of its parts: for comparison.
pub fn search_by<M: Model>(
    strategy: Strategy,
    model: &M,
    operations: &[Interval<M::Op>],
    deadline: Instant,
    memory_bytes: usize,
) -> Answer {
    let timeline = Timeline::new(model, operations);
    let stop = AtomicBool::new(false);
    // What the timeline takes is not for the search. Each of two gets half.
    let rest = memory_bytes.saturating_sub(timeline.bytes());
    let memory_bytes = if strategy == Strategy::Both { rest / 2 } else { rest };
    let bounds = Bounds { deadline, memory_bytes, stop: &stop };
    match strategy {
        Strategy::Both => both(model, operations, &timeline, &bounds),
        Strategy::Depth => only_depth(&mut Depth::new(model, operations, &timeline), &bounds),
        Strategy::Breadth => Breadth::new(model, operations, &timeline).run(&bounds),
    }
}

fn both<M: Model>(
    model: &M,
    operations: &[Interval<M::Op>],
    timeline: &Timeline,
    bounds: &Bounds<'_>,
) -> Answer {
    let mut depth = Depth::new(model, operations, timeline);
    let alone = ALONE + 4 * timeline.returns.len();
    if let Some(answer) = depth.run(bounds, alone) {
        return answer;
    }
    let (deep, broad) = std::thread::scope(|threads| {
        let broad = threads.spawn(|| {
            let answer = Breadth::new(model, operations, timeline).run(bounds);
            bounds.decided(&answer);
            answer
        });
        let deep = only_depth(&mut depth, bounds);
        bounds.decided(&deep);
        // Its memory is of no use to the other.
        drop(depth);
        (deep, broad.join())
    });
    let broad = broad.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    better(deep, broad)
}

fn only_depth<M: Model>(depth: &mut Depth<'_, M>, bounds: &Bounds<'_>) -> Answer {
    depth.run(bounds, usize::MAX).unwrap_or_else(|| depth.unknown(INTERRUPTED))
}

/// What an answer is worth: knowing, else getting farther.
fn better(deep: Answer, broad: Answer) -> Answer {
    match (&deep, &broad) {
        (Answer::Unknown { linearized: a, why, .. }, Answer::Unknown { linearized: b, .. }) => {
            if a > b && *why != INTERRUPTED { deep } else { broad }
        }
        (Answer::Unknown { .. }, _) => broad,
        _ => deep,
    }
}

/// When to end.
struct Bounds<'a> {
    deadline: Instant,
    memory_bytes: usize,
    /// Set when the other search knows.
    stop: &'a AtomicBool,
}

impl Bounds<'_> {
    /// The limit that was reached, if any. `bytes` is what the search holds.
    fn reached(&self, bytes: usize) -> Option<&'static str> {
        if self.stop.load(Ordering::Relaxed) {
            Some(INTERRUPTED)
        } else if bytes > self.memory_bytes {
            Some("the memory limit was reached")
        } else if Instant::now() >= self.deadline {
            Some("the time limit was reached")
        } else {
            None
        }
    }

    /// Ends the other search if this one knows.
    fn decided(&self, answer: &Answer) {
        if !matches!(answer, Answer::Unknown { .. }) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

const INTERRUPTED: &str = "the other search had decided";
/// Configurations that depth tries alone, beyond four for each operation.
const ALONE: usize = 4096;
/// Configurations between two looks at the limits.
const LOOK_EVERY: usize = 256;
/// How many possible states are told.
const STATES_MAX: usize = 8;
