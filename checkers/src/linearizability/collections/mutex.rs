//! Locks, with and without owners: both exact in O(n log n), also with operations of unknown outcome.
//!
//! Operations: `acquire` and `release`. A failed one asserts nothing.
//!
//! [`Mutex`], without owners: operations of one kind are alike but for their times, and acquires and releases alternate.
//! Walk over the ends of operations. Before one that has no place yet ends, it gets one: at once if the lock allows it,
//! else after one open operation of the other kind, of these the one that ends first. Why no other choice does better:
//! * points can be moved later, to just before the next end, without change of their order (Lowe 2017, section 4);
//! * of two open operations of a kind, the one that ends later can stand in for the other later on;
//! * an acquire and a release placed side by side change nothing, and can be so placed as long as both are open.
//!
//! [`OwnedMutex`]: the process that acquired is the one that must release. Then it is surely the holder from the end of its
//! acquire to the call of its release, and the history is linearizable exactly if these spans do not overlap: in their
//! order, let each acquire take effect at its end and each release at its call. A release of unknown outcome may be taken
//! to have happened, which only helps; an acquire of unknown outcome as not.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `acquired-while-held` | without owners: no release was there that could have freed the lock |
//! | `released-while-free` | without owners: no acquire was there that could have taken it |
//! | `held-twice` | two processes surely held the lock at the same time |
//! | `acquired-twice` | a process acquired what it held (the lock is not reentrant) |
//! | `released-without-holding` | a process released what it did not hold |
//!
//! Those without owners rest on all operations before them; the witness shows the last holder only. Those with owners are
//! proved by their witness alone.

use super::transfers::seconds;
use crate::checker::Checker;
use crate::keyed::{Findings, Trace};
use crate::linearizability::wgl::Limits;
use crate::verdict::Verdict;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tribunal_history::{Operation, Outcome, Process, Value};

/// A lock without owners. Complete. Memory: 56 bytes an operation.
#[derive(Debug)]
pub struct Mutex {
    /// Operations that may have happened, and whether they acquire.
    operations: Vec<(Trace, bool)>,
    seen: Seen,
}

/// What both locks count.
#[derive(Debug, Default)]
struct Seen {
    operations: u64,
    crashed: u64,
    refused: Option<String>,
}

impl Seen {
    /// Whether the operation acquires; `None` if it did not happen or is none of a lock.
    fn acquires(&mut self, operation: &Operation) -> Option<bool> {
        self.operations += 1;
        self.crashed += u64::from(operation.outcome == Outcome::Info);
        let acquires = match &*operation.f {
            "acquire" => true,
            "release" => false,
            _ => {
                self.refuse(operation, "is no operation of a lock");
                return None;
            }
        };
        (operation.outcome != Outcome::Fail).then_some(acquires)
    }

    fn refuse(&mut self, operation: &Operation, why: &str) {
        self.refused.get_or_insert_with(|| {
            format!("the `{}` invoked at event {} {why}", operation.f, operation.call.index)
        });
    }

    fn verdict(self, name: &'static str, findings: Findings, bytes: usize) -> Verdict {
        let mut verdict = match self.refused {
            Some(why) => Verdict::unknown(name, why),
            None => findings.verdict(name, true, None, None),
        };
        verdict.engine = Some("lock".into());
        verdict
            .figure("operations", self.operations)
            .figure("operations_crashed", self.crashed)
            .figure("engine_bytes", bytes)
    }
}

impl Mutex {
    /// A checker. It needs no limits, and takes them as its siblings do.
    #[must_use]
    pub fn new(_limits: Limits) -> Self {
        Self { operations: Vec::new(), seen: Seen::default() }
    }
}

impl Checker for Mutex {
    fn name(&self) -> &'static str {
        "mutex"
    }

    fn operation(&mut self, operation: &Operation) {
        if let Some(acquires) = self.seen.acquires(operation) {
            self.operations.push((Trace::of(operation), acquires));
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        let mut findings = Findings::default();
        let bytes = self.operations.capacity() * (size_of::<(Trace, bool)>() + 64);
        if let Some((stuck, holder)) = alternate(&self.operations) {
            let (trace, acquires) = self.operations[stuck];
            let name = if acquires { "acquired-while-held" } else { "released-while-free" };
            findings
                .add(name, || impossible(&trace, acquires, holder.map(|nth| self.operations[nth])));
        }
        self.seen.verdict("mutex", findings, bytes)
    }
}

/// The first operation that cannot get a place, and the one that was placed before it.
fn alternate(operations: &[(Trace, bool)]) -> Option<(usize, Option<usize>)> {
    let mut events: Vec<(u64, u32)> = Vec::with_capacity(2 * operations.len());
    for (nth, (trace, _)) in (0..).zip(operations) {
        events.push((trace.call.index, nth));
        events.extend(Some((trace.acknowledged(), nth)).filter(|(end, _)| *end != u64::MAX));
    }
    events.sort_unstable();
    // Open operations by their ends, releases and acquires; placed ones are passed over.
    let mut open = [BinaryHeap::new(), BinaryHeap::new()];
    let mut placed = vec![false; operations.len()];
    let (mut held, mut last) = (false, None);
    for (at, nth) in events {
        let (trace, acquires) = operations[nth as usize];
        if at == trace.call.index {
            open[usize::from(acquires)].push(Reverse((trace.acknowledged(), nth)));
            continue;
        }
        if std::mem::replace(&mut placed[nth as usize], true) {
            continue;
        }
        if acquires == held {
            let others = &mut open[usize::from(!acquires)];
            let other =
                std::iter::from_fn(|| others.pop()).find(|other| !placed[other.0.1 as usize]);
            let Some(Reverse((_, other))) = other else { return Some((nth as usize, last)) };
            placed[other as usize] = true;
        }
        held = acquires;
        last = Some(nth as usize);
    }
    None
}

fn impossible(
    trace: &Trace,
    acquires: bool,
    before: Option<(Trace, bool)>,
) -> (String, Value, Vec<Operation>) {
    let show = |trace: &Trace, acquires: bool| {
        let f = if acquires { "acquire" } else { "release" };
        trace.operation(f, Value::Nil, Value::Nil)
    };
    let stuck = show(trace, acquires);
    let before = before.map(|(trace, acquires)| show(&trace, acquires));
    let last = before.as_ref().map_or(String::new(), |before| {
        format!(" since process {}'s {} of {}", before.process, before.f, seconds(before.call.time))
    });
    let (state, needed) = if acquires { ("taken", "release") } else { ("free", "acquire") };
    let message = format!(
        "Process {}'s {} succeeded at {}, but in every order the lock was {state}{last}: all that could {needed} it until then have had their turn.",
        stuck.process,
        stuck.f,
        seconds(trace.end().time)
    );
    (message, Value::Nil, before.into_iter().chain([stuck]).collect())
}

/// A lock that only its holder, the process that acquired it, may release. Complete. Memory: 104 bytes a hold.
#[derive(Debug)]
pub struct OwnedMutex {
    /// Acquires and, where there is one, their releases.
    holds: Vec<Hold>,
    /// The hold of each process that is not released; `None` if an operation of unknown outcome ended the process.
    holding: FxHashMap<Process, Option<usize>>,
    findings: Findings,
    seen: Seen,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    acquire: Trace,
    release: Option<Trace>,
}

impl Hold {
    /// Until when the process surely holds the lock.
    fn until(&self) -> u64 {
        self.release.map_or(u64::MAX, |release| release.call.index)
    }

    fn operations(&self) -> impl Iterator<Item = Operation> {
        let show = |trace: Trace, f| trace.operation(f, Value::Nil, Value::Nil);
        let acquire = show(self.acquire, "acquire");
        [acquire].into_iter().chain(self.release.map(|release| show(release, "release")))
    }
}

impl OwnedMutex {
    /// A checker. It needs no limits, and takes them as its siblings do.
    #[must_use]
    pub fn new(_limits: Limits) -> Self {
        let (holds, holding) = (Vec::new(), FxHashMap::default());
        Self { holds, holding, findings: Findings::default(), seen: Seen::default() }
    }

    fn acquired(&mut self, operation: &Operation, hold: Option<usize>) {
        if let Some(hold) = hold {
            self.findings.add("acquired-twice", || {
                let message = format!(
                    "Process {} acquired at {} what it held and had not released.",
                    operation.process,
                    seconds(operation.call.time)
                );
                let first = self.holds[hold].operations();
                (message, Value::Nil, first.chain([operation.clone()]).collect())
            });
            // It goes on holding: told once is enough.
            return;
        }
        self.holding.insert(operation.process, Some(self.holds.len()));
        self.holds.push(Hold { acquire: Trace::of(operation), release: None });
    }

    fn released(&mut self, operation: &Operation, hold: Option<usize>) {
        match hold {
            Some(hold) => self.holds[hold].release = Some(Trace::of(operation)),
            None if operation.outcome == Outcome::Info => {}
            None => self.findings.add("released-without-holding", || {
                let message = format!(
                    "Process {} released the lock at {} and had not acquired it.",
                    operation.process,
                    seconds(operation.call.time)
                );
                (message, Value::Nil, vec![operation.clone()])
            }),
        }
        self.holding.remove(&operation.process);
    }
}

impl Checker for OwnedMutex {
    fn name(&self) -> &'static str {
        "owned-mutex"
    }

    fn operation(&mut self, operation: &Operation) {
        let Some(acquires) = self.seen.acquires(operation) else { return };
        let hold = match self.holding.get(&operation.process) {
            Some(None) => {
                let why = "is by a process whose operation of unknown outcome went before";
                return self.seen.refuse(operation, why);
            }
            Some(Some(hold)) => Some(*hold),
            None => None,
        };
        let crashed = operation.outcome == Outcome::Info;
        match acquires {
            true if crashed => {}
            true => self.acquired(operation, hold),
            false => self.released(operation, hold),
        }
        if crashed {
            self.holding.insert(operation.process, None);
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        let bytes = self.holds.capacity() * size_of::<Hold>();
        self.holds.sort_unstable_by_key(|hold| hold.acquire.end().index);
        let mut last: Option<Hold> = None;
        for hold in &self.holds {
            if let Some(last) = last.filter(|last| last.until() > hold.acquire.end().index) {
                self.findings.add("held-twice", || held_twice(&last, hold));
            }
            last = last.filter(|last| last.until() > hold.until()).or(Some(*hold));
        }
        self.seen.verdict("owned-mutex", self.findings, bytes)
    }
}

fn held_twice(first: &Hold, second: &Hold) -> (String, Value, Vec<Operation>) {
    let witness: Vec<Operation> = first.operations().chain(second.operations()).collect();
    let [one, two] = [first, second].map(|hold| hold.acquire.operation("", Value::Nil, Value::Nil));
    let release = match first.release {
        Some(release) => format!("called its release only at {}", seconds(release.call.time)),
        None => "never released".to_owned(),
    };
    let message = format!(
        "Process {} had acquired the lock by {} and {release}, but process {} had acquired it by {}.",
        one.process,
        seconds(first.acquire.end().time),
        two.process,
        seconds(second.acquire.end().time)
    );
    (message, Value::Nil, witness)
}
