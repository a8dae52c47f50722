//! Counters: exact in O(n log n) where every add adds the same.
//!
//! Operations: `add` (or `increment`) a number, or `[key, number]`; `read` answers the sum, nil being 0. Each key is a counter
//! of its own.
//!
//! With adds that are all of the same `d`, they are alike but for their times, and only their number counts. Walk over
//! the ends of operations, counting adds that have their place:
//! * an open read gets its place as soon as the sum is what it read: it changes nothing, so sooner is never worse;
//! * an add that ends without a place gets it now;
//! * a read that ends and needs a larger sum lets open adds go before, those that end first first; if there are too few, or
//!   the sum is past it, there is no order.
//!
//! Why no other choice does better: points of adds can be moved later, to just before the next end (Lowe 2017, section 4),
//! and of two open adds, the one that ends later can stand in for the other later on. Crashed adds end last of all.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `too-high` | a read returned more than all adds that could come before it |
//! | `too-low` | in every order, the sum was past what a read returned |
//!
//! The general engine judges keys whose adds differ.

use super::ruling::{General, general};
use super::transfers::seconds;
use crate::checker::Checker;
use crate::keyed::{Findings, Names, Trace, Unreadable, argument, result};
use crate::linearizability::wgl::{Interval, Limits};
use crate::models;
use crate::models::counter::CounterOp;
use crate::verdict::Verdict;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;
use tribunal_history::{Operation, Outcome, Value};

/// The checker. Complete. Memory: 64 bytes an operation.
#[derive(Debug)]
pub struct Counter {
    limits: Limits,
    keys: Names<Value>,
    /// By key: what may have happened there.
    operations: Vec<Vec<(Trace, CounterOp)>>,
    unreadable: Unreadable,
    seen: u64,
    crashed: u64,
}

/// Why a read has no place.
#[derive(Clone, Copy, Debug)]
enum Stuck {
    TooHigh { read: usize, sum: i128 },
    TooLow { read: usize, sum: i128 },
}

impl Counter {
    /// A checker with these limits for the general engine; the fast one needs none.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            keys: Names::default(),
            operations: Vec::new(),
            unreadable: Unreadable::default(),
            seen: 0,
            crashed: 0,
        }
    }

    fn keep(&mut self, key: &Value, operation: &Operation, op: CounterOp) {
        let key = self.keys.number(key.clone()) as usize;
        if key == self.operations.len() {
            self.operations.push(Vec::new());
        }
        self.operations[key].push((Trace::of(operation), op));
    }

    fn show(key: &Value, trace: &Trace, op: CounterOp) -> Operation {
        let keyed = |value: Value| {
            if key.is_nil() { value } else { Value::keyed(key.clone(), value) }
        };
        match op {
            CounterOp::Add(delta) => trace.operation("add", keyed(delta.into()), Value::Nil),
            CounterOp::Read(sum) => trace.operation("read", keyed(Value::Nil), keyed(sum.into())),
        }
    }

    /// Judges one key; answers whether the general engine did, and why it could not.
    fn judge(
        &self,
        key: usize,
        deadline: Instant,
        findings: &mut Findings,
    ) -> (bool, Option<String>) {
        let operations = &self.operations[key];
        let name = || self.keys.name(u32::try_from(key).unwrap_or(u32::MAX)).cloned();
        let Some(step) = same_step(operations) else {
            let key = name().unwrap_or_default();
            let show = |nth: usize| Self::show(&key, &operations[nth].0, operations[nth].1);
            let intervals: Vec<Interval<CounterOp>> = operations.iter().map(interval).collect();
            let memory = self.limits.memory_bytes;
            return match general(&models::Counter, &intervals, deadline, memory, show) {
                General::Linearizable => (true, None),
                General::Violated(anomaly) => {
                    findings.add("not-linearizable", || {
                        (anomaly.message, key.clone(), anomaly.witness)
                    });
                    (true, None)
                }
                General::Unknown(why) => (true, Some(why)),
            };
        };
        if let Some(stuck) = count(operations, step) {
            let anomaly = match stuck {
                Stuck::TooHigh { .. } => "too-high",
                Stuck::TooLow { .. } => "too-low",
            };
            findings.add(anomaly, || explain(&name().unwrap_or_default(), operations, stuck));
        }
        (false, None)
    }
}

impl Checker for Counter {
    fn name(&self) -> &'static str {
        "counter-linearizable"
    }

    fn operation(&mut self, operation: &Operation) {
        self.seen += 1;
        self.crashed += u64::from(operation.outcome == Outcome::Info);
        match &*operation.f {
            "add" | "increment" => {
                let (key, delta) = argument(&operation.input);
                match delta.as_int() {
                    _ if operation.outcome == Outcome::Fail => {}
                    // It changes nothing.
                    Some(0) => {}
                    Some(delta) => self.keep(key, operation, CounterOp::Add(delta)),
                    None => self.unreadable.add(operation, "adds no integer"),
                }
            }
            "read" if operation.outcome == Outcome::Ok => {
                let (key, sum) = result(operation);
                match sum {
                    Value::Nil => self.keep(key, operation, CounterOp::Read(0)),
                    Value::Int(sum) => self.keep(key, operation, CounterOp::Read(*sum)),
                    _ => self.unreadable.add(operation, "did not return an integer"),
                }
            }
            "read" => {}
            _ => self.unreadable.add(operation, "is no operation of a counter"),
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        let mut findings = Findings::default();
        let (mut by_general, mut unknown) = (0, None);
        let deadline = Instant::now() + self.limits.time;
        for key in 0..self.operations.len() {
            let (general, why) = self.judge(key, deadline, &mut findings);
            by_general += usize::from(general);
            unknown = unknown.or(why);
        }
        let kept: usize = self.operations.iter().map(Vec::capacity).sum();
        let bytes = kept * (size_of::<(Trace, CounterOp)>() + 60);
        let keys = self.operations.len();
        let refused = self.unreadable.reason();
        let mut verdict = findings.verdict("counter-linearizable", true, refused, unknown);
        verdict.engine = Some(match by_general {
            0 => "counter".into(),
            some if some == keys => "wgl".into(),
            _ => "counter, wgl".into(),
        });
        verdict
            .figure("operations", self.seen)
            .figure("operations_crashed", self.crashed)
            .figure("engine_bytes", bytes)
    }
}

fn interval((trace, op): &(Trace, CounterOp)) -> Interval<CounterOp> {
    let end = Some(trace.acknowledged()).filter(|&end| end != u64::MAX);
    Interval { op: *op, call: trace.call.index, end }
}

/// What every add adds; 1 if there is none, `None` if they differ.
fn same_step(operations: &[(Trace, CounterOp)]) -> Option<i64> {
    let mut steps = operations.iter().filter_map(|(_, op)| match op {
        CounterOp::Add(delta) => Some(*delta),
        CounterOp::Read(_) => None,
    });
    let first = steps.next().unwrap_or(1);
    steps.all(|step| step == first).then_some(first)
}

/// The walk of the header.
struct Walk<'a> {
    operations: &'a [(Trace, CounterOp)],
    step: i128,
    sum: i128,
    placed: Vec<bool>,
    /// Open adds by their ends; placed ones are passed over.
    adds: BinaryHeap<Reverse<(u64, usize)>>,
    /// Open reads without a place by what they read.
    reads: FxHashMap<i128, Vec<usize>>,
}

fn count(operations: &[(Trace, CounterOp)], step: i64) -> Option<Stuck> {
    let mut events: Vec<(u64, usize)> = Vec::with_capacity(2 * operations.len());
    for (nth, (trace, _)) in operations.iter().enumerate() {
        events.push((trace.call.index, nth));
        events.extend(Some((trace.acknowledged(), nth)).filter(|(end, _)| *end != u64::MAX));
    }
    events.sort_unstable();
    let mut walk = Walk {
        operations,
        step: i128::from(step),
        sum: 0,
        placed: vec![false; operations.len()],
        adds: BinaryHeap::new(),
        reads: FxHashMap::default(),
    };
    events.into_iter().find_map(|(at, nth)| match at == operations[nth].0.call.index {
        true => {
            walk.call(nth);
            None
        }
        false => walk.end(nth),
    })
}

impl Walk<'_> {
    fn call(&mut self, nth: usize) {
        let (trace, op) = self.operations[nth];
        match op {
            CounterOp::Add(_) => self.adds.push(Reverse((trace.acknowledged(), nth))),
            CounterOp::Read(sum) if i128::from(sum) == self.sum => self.placed[nth] = true,
            CounterOp::Read(sum) => self.reads.entry(sum.into()).or_default().push(nth),
        }
    }

    fn add(&mut self, nth: usize) {
        self.placed[nth] = true;
        self.sum += self.step;
        for read in self.reads.remove(&self.sum).into_iter().flatten() {
            self.placed[read] = true;
        }
    }

    fn end(&mut self, nth: usize) -> Option<Stuck> {
        let wanted = match self.operations[nth].1 {
            _ if self.placed[nth] => return None,
            CounterOp::Add(_) => {
                self.add(nth);
                return None;
            }
            CounterOp::Read(wanted) => i128::from(wanted),
        };
        // With a falling counter, high and low change places.
        while (wanted - self.sum) * self.step.signum() > 0 {
            let Some(Reverse((_, add))) = self.adds.pop() else {
                return Some(Stuck::TooHigh { read: nth, sum: self.sum });
            };
            if !self.placed[add] {
                self.add(add);
            }
        }
        (!self.placed[nth]).then_some(Stuck::TooLow { read: nth, sum: self.sum })
    }
}

fn explain(
    key: &Value,
    operations: &[(Trace, CounterOp)],
    stuck: Stuck,
) -> (String, Value, Vec<Operation>) {
    let (Stuck::TooHigh { read, sum } | Stuck::TooLow { read, sum }) = stuck;
    let (trace, op) = operations[read];
    let read = Counter::show(key, &trace, op);
    let why = match stuck {
        Stuck::TooHigh { .. } => format!("all adds called by then come to no more than {sum}"),
        Stuck::TooLow { .. } => {
            format!("in every order the sum comes to {sum} by then, and passes over what it read")
        }
    };
    let message = format!(
        "Process {}'s read of {} ended at {}, but {why}.",
        read.process,
        models::Model::describe(&models::Counter, &op).trim_start_matches("read "),
        seconds(trace.end().time)
    );
    (message, key.clone(), vec![read])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::verdict::Validity;
    use std::time::Duration;

    #[test]
    fn sums_may_pass_the_integers_on_the_way() {
        let mut script = Script::new();
        for delta in [i64::MAX, 1, -1] {
            script = script.invoke(0, "add", delta).ok(0, "add", Value::Nil);
        }
        let script = script.invoke(0, "read", Value::Nil).ok(0, "read", i64::MAX);
        let verdict = script.judge(Counter::new(Limits::default()));
        assert_eq!(verdict.validity, Validity::Valid);
    }

    #[test]
    fn all_keys_share_the_time() {
        let mut script = Script::new();
        for key in 0..30 {
            // No sum of these is odd, but to know that takes all 2^40.
            for nth in 0..40 {
                let add = Value::keyed(key.into(), (2_i64 << nth).into());
                script = script.invoke(1_000 * (nth + 1) + key.unsigned_abs(), "add", add);
            }
            let read = |sum: Value| Value::keyed(key.into(), sum);
            script =
                script.invoke(0, "read", read(Value::Nil)).ok(0, "read", read(i64::MAX.into()));
        }
        let limits = Limits { time: Duration::from_millis(100), ..Limits::default() };
        let start = Instant::now();
        let verdict = script.judge(Counter::new(limits));
        assert_eq!(verdict.validity, Validity::Unknown);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}
