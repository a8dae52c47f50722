//! Counters: every read must lie between what must and what may have been added.
//!
//! Operations: `add` (or `increment`) `[key, delta]`, of either sign, and `read` `[key, n]`; a counter starts at 0 (nil).
//!
//! For a read from `call` to `end`:
//! * *must* have taken effect: adds acknowledged before `call`; *may*: those that did not fail and began before `end`.
//! * The lower bound takes the positive deltas that must and the negative ones that may, the upper bound the reverse.
//!
//! For a read that begins after an earlier one ended, what may lie between the two is every add that began before
//! the later one's end and was not acknowledged before the earlier one's call. The difference of the two values is bounded
//! by the sums of their negative and of their positive deltas. Both sums split into a part of the later and one
//! of the earlier read, so that it is enough to compare each read with the extreme of all reads before it.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `below-bound`, `above-bound` | a read outside of its bounds |
//! | `failed-operation-observed` | such a read that additions explain which surely failed, and began before it ended |
//! | `stale-read` | a read below what an earlier read allows: acknowledged or observed increments are missing |
//! | `unexplained-rise` | a read above an earlier read by more than was added |
//!
//! A pass is not complete, and cannot be at this cost: whether some subset of the deltas gives the value read is
//! the subset sum problem, which is NP-hard. Results of `add` are not looked at. O(n log n); 56 bytes an operation.

use crate::checker::Checker;
use crate::keyed::{Findings, Names, Trace, Unreadable, argument, result};
use crate::verdict::Verdict;
use tribunal_history::{Operation, Outcome, Value};

/// Why a counter that nobody read is unknown.
pub(crate) const NOTHING_READ: &str = "no read succeeded";

/// The checker.
#[derive(Debug, Default)]
pub struct CounterChecker {
    keys: Names<Value>,
    counters: Vec<Counter>,
    unreadable: Unreadable,
}

/// The operations of one key, each with its delta or its result.
#[derive(Debug, Default)]
struct Counter {
    adds: Vec<(Trace, i64)>,
    /// Additions that surely did not take effect.
    failed: Vec<(Trace, i64)>,
    reads: Vec<(Trace, i64)>,
}

impl CounterChecker {
    /// Nothing seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn counter(&mut self, key: &Value) -> &mut Counter {
        let number = self.keys.number(key.clone()) as usize;
        if number == self.counters.len() {
            self.counters.push(Counter::default());
        }
        &mut self.counters[number]
    }

    fn add(&mut self, operation: &Operation) {
        let (key, delta) = argument(&operation.input);
        match delta.as_int() {
            Some(delta) if operation.outcome == Outcome::Fail => {
                self.counter(key).failed.push((Trace::of(operation), delta));
            }
            Some(delta) => self.counter(key).adds.push((Trace::of(operation), delta)),
            None => self.unreadable.add(operation, "adds something else than an integer"),
        }
    }

    fn read(&mut self, operation: &Operation) {
        let (key, value) = result(operation);
        match if value.is_nil() { Some(0) } else { value.as_int() } {
            Some(value) => self.counter(key).reads.push((Trace::of(operation), value)),
            None => self.unreadable.add(operation, "reads something else than an integer"),
        }
    }
}

impl Checker for CounterChecker {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn operation(&mut self, operation: &Operation) {
        match (&*operation.f, operation.outcome) {
            ("add" | "increment", _) => self.add(operation),
            ("read", Outcome::Ok) => self.read(operation),
            ("read", _) => {}
            _ => self.unreadable.add(operation, "is neither an add nor a read"),
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        let Self { keys, counters, unreadable } = *self;
        let mut findings = Findings::default();
        for (number, counter) in (0..).zip(&counters) {
            let key = || keys.name(number).cloned().unwrap_or_default();
            counter.check(&key, &mut findings);
        }
        let reads: usize = counters.iter().map(|counter| counter.reads.len()).sum();
        let adds: usize = counters.iter().map(|counter| counter.adds.len()).sum();
        // Beside what is kept, a step of the sums for each addition, and the bounds of each read.
        let bytes = adds * (size_of::<(Trace, i64)>() + size_of::<(u64, i128, i128)>())
            + reads * (size_of::<(Trace, i64)>() + size_of::<Bounded>());
        let nothing = (reads == 0).then(|| NOTHING_READ.to_owned());
        findings
            .verdict("counter", false, unreadable.reason(), nothing)
            .figure("adds_count", adds)
            .figure("reads_count", reads)
            .figure("engine_bytes", bytes)
    }
}

/// The sum of deltas up to an event, by their sign.
#[derive(Debug, Default)]
struct Sums {
    /// Index of an event, and the positive and the negative sum up to and with it.
    steps: Vec<(u64, i128, i128)>,
}

impl Sums {
    fn new(mut deltas: Vec<(u64, i64)>) -> Self {
        deltas.sort_unstable();
        let mut sums = (0, 0);
        let step = |(index, delta): (u64, i64)| {
            let delta = i128::from(delta);
            sums = (sums.0 + delta.max(0), sums.1 + delta.min(0));
            (index, sums.0, sums.1)
        };
        Self { steps: deltas.into_iter().map(step).collect() }
    }

    /// The positive and the negative sum of what comes before the event `index`.
    fn before(&self, index: u64) -> (i128, i128) {
        let count = self.steps.partition_point(|(at, _, _)| *at < index);
        count.checked_sub(1).map_or((0, 0), |last| (self.steps[last].1, self.steps[last].2))
    }
}

/// A read with the sums that bound it.
struct Bounded {
    trace: Trace,
    value: i64,
    /// Positive and negative sum of what must have taken effect before its call.
    must: (i128, i128),
    /// Positive and negative sum of what may have taken effect by its end.
    may: (i128, i128),
    /// Positive and negative sum of what began before its end and failed.
    failed: (i128, i128),
}

impl Counter {
    fn check(&self, key: &dyn Fn() -> Value, findings: &mut Findings) {
        let called = self.adds.iter().map(|(trace, delta)| (trace.call.index, *delta));
        let acknowledged = self.adds.iter().filter(|(trace, _)| trace.outcome == Outcome::Ok);
        let acknowledged = acknowledged.map(|(trace, delta)| (trace.acknowledged(), *delta));
        let (called, acknowledged) =
            (Sums::new(called.collect()), Sums::new(acknowledged.collect()));
        let failed = self.failed.iter().map(|(trace, delta)| (trace.call.index, *delta));
        let failed = Sums::new(failed.collect());
        let bounded = |(trace, value): &'_ (Trace, i64)| Bounded {
            trace: *trace,
            value: *value,
            must: acknowledged.before(trace.call.index),
            may: called.before(trace.end().index),
            failed: failed.before(trace.end().index),
        };
        let reads: Vec<Bounded> = self.reads.iter().map(bounded).collect();
        for read in &reads {
            self.check_bounds(read, key, findings);
        }
        check_pairs(&reads, key, findings);
    }

    fn check_bounds(&self, read: &Bounded, key: &dyn Fn() -> Value, findings: &mut Findings) {
        let (lower, upper) = (read.must.0 + read.may.1, read.may.0 + read.must.1);
        let value = i128::from(read.value);
        let (name, bound, sign) = if value < lower {
            ("below-bound", format!("at least {lower}"), 1)
        } else if value > upper {
            ("above-bound", format!("at most {upper}"), -1)
        } else {
            return;
        };
        if lower + read.failed.1 <= value && value <= upper + read.failed.0 {
            self.failed_observed(read, &bound, sign, key, findings);
            return;
        }
        findings.add(name, || {
            let key = key();
            let message = format!("a read of {} where the additions allow {bound}", read.value);
            let mut witness = self.acknowledged_before(read, sign, &key);
            witness.push(read_operation(&read.trace, read.value, &key));
            (message, key, witness)
        });
    }

    /// The read is out of bounds, but would not be had additions taken effect that failed.
    fn failed_observed(
        &self,
        read: &Bounded,
        bound: &str,
        missing: i64,
        key: &dyn Fn() -> Value,
        findings: &mut Findings,
    ) {
        findings.add("failed-operation-observed", || {
            let key = key();
            let message = format!(
                "a read of {} where the additions allow {bound}, unless some took effect that failed",
                read.value
            );
            let failed = self.failed.iter().rev().filter(|(trace, delta)| {
                trace.call.index < read.trace.end().index && delta.signum() == -missing
            });
            let add = |(trace, delta): &(Trace, i64)| {
                trace.operation("add", keyed(&key, (*delta).into()), Value::Nil)
            };
            let mut witness: Vec<Operation> = failed.take(ADDS_SHOWN).map(add).collect();
            witness.push(read_operation(&read.trace, read.value, &key));
            (message, key, witness)
        });
    }

    /// The last few adds of this sign that the read must have seen.
    fn acknowledged_before(&self, read: &Bounded, sign: i64, key: &Value) -> Vec<Operation> {
        let before = |trace: &Trace| trace.acknowledged() < read.trace.call.index;
        let adds = self.adds.iter().rev();
        adds.filter(|(trace, delta)| before(trace) && delta.signum() == sign)
            .take(ADDS_SHOWN)
            .map(|(trace, delta)| trace.operation("add", keyed(key, (*delta).into()), Value::Nil))
            .collect()
    }
}

/// How many adds a witness shows.
const ADDS_SHOWN: usize = 4;

/// Compares each read with the extremes of the reads that ended before it began.
fn check_pairs(reads: &[Bounded], key: &dyn Fn() -> Value, findings: &mut Findings) {
    // Completion order is the order in which reads came, by their ends; what follows needs the order of calls.
    let mut by_call: Vec<usize> = (0..reads.len()).collect();
    by_call.sort_unstable_by_key(|read| reads[*read].trace.call.index);
    let (mut ended, mut highest, mut lowest) = (0, None, None);
    for later in by_call.into_iter().map(|read| &reads[read]) {
        while reads.get(ended).is_some_and(|read| read.trace.end() < later.trace.call) {
            let read = &reads[ended];
            let floor = i128::from(read.value) - read.must.1;
            let ceiling = i128::from(read.value) - read.must.0;
            if highest.is_none_or(|(top, _)| floor > top) {
                highest = Some((floor, ended));
            }
            if lowest.is_none_or(|(bottom, _)| ceiling < bottom) {
                lowest = Some((ceiling, ended));
            }
            ended += 1;
        }
        let value = i128::from(later.value);
        if let Some((floor, earlier)) = highest.filter(|(floor, _)| value - later.may.1 < *floor) {
            let least = floor + later.may.1;
            pair("stale-read", &format!("at least {least}"), &reads[earlier], later, key, findings);
        }
        if let Some((ceiling, earlier)) =
            lowest.filter(|(ceiling, _)| value - later.may.0 > *ceiling)
        {
            let most = ceiling + later.may.0;
            let bound = format!("at most {most}");
            pair("unexplained-rise", &bound, &reads[earlier], later, key, findings);
        }
    }
}

fn pair(
    name: &'static str,
    bound: &str,
    earlier: &Bounded,
    later: &Bounded,
    key: &dyn Fn() -> Value,
    findings: &mut Findings,
) {
    findings.add(name, || {
        let key = key();
        let message = format!(
            "a read of {} after a read of {} had ended; the additions around them allow {bound}",
            later.value, earlier.value
        );
        let read = |read: &Bounded| read_operation(&read.trace, read.value, &key);
        let witness = vec![read(earlier), read(later)];
        (message, key, witness)
    });
}

fn read_operation(trace: &Trace, value: i64, key: &Value) -> Operation {
    trace.operation("read", keyed(key, Value::Nil), keyed(key, value.into()))
}

fn keyed(key: &Value, value: Value) -> Value {
    if key.is_nil() { value } else { Value::keyed(key.clone(), value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, names};
    use crate::verdict::Validity;

    fn add(script: Script, delta: i64) -> Script {
        script.invoke(0, "add", delta).ok(0, "add", Value::Nil)
    }

    fn read(script: Script, value: i64) -> Script {
        script.invoke(1, "read", Value::Nil).ok(1, "read", value)
    }

    fn anomalies(script: Script) -> Vec<String> {
        let verdict = script.judge(CounterChecker::new());
        names(&verdict).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_read_of_the_sum_is_valid() {
        let verdict = read(add(add(Script::new(), 3), -1), 2).judge(CounterChecker::new());
        assert_eq!(verdict.validity, Validity::Valid);
        assert!(!verdict.complete);
    }

    #[test]
    fn acknowledged_deltas_of_either_sign_must_be_seen() {
        assert_eq!(anomalies(read(add(Script::new(), 3), 0)), ["below-bound"]);
        assert_eq!(anomalies(read(add(Script::new(), -3), 0)), ["above-bound"]);
        assert_eq!(anomalies(read(add(Script::new(), 3), 4)), ["above-bound"]);
        assert_eq!(anomalies(read(add(Script::new(), -3), -4)), ["below-bound"]);
    }

    #[test]
    fn concurrent_and_unknown_adds_may_or_may_not_count() {
        for (value, fine) in [(-2, true), (0, true), (3, true), (1, true), (-3, false), (4, false)]
        {
            let script = Script::new()
                .invoke(2, "add", -2)
                .info(2, "add", "timeout")
                .invoke(1, "read", Value::Nil)
                .invoke(0, "add", 3)
                .ok(1, "read", value)
                .ok(0, "add", Value::Nil);
            assert_eq!(anomalies(script).is_empty(), fine, "read {value}");
        }
    }

    #[test]
    fn a_failed_add_and_one_that_began_later_do_not_count() {
        let failed = || Script::new().invoke(0, "add", 1).fail(0, "add", "refused");
        let verdict = read(failed(), 1).judge(CounterChecker::new());
        assert_eq!(names(&verdict), ["failed-operation-observed"]);
        assert_eq!(verdict.anomalies[0].witness.len(), 2);
        assert!(anomalies(read(failed(), 0)).is_empty());
        assert_eq!(anomalies(read(failed(), 2)), ["above-bound"]);
        assert_eq!(anomalies(add(read(Script::new(), 1), 1)), ["above-bound"]);
        let later = read(Script::new(), 1).invoke(0, "add", 1).fail(0, "add", "refused");
        assert_eq!(anomalies(later), ["above-bound"]);
    }

    #[test]
    fn what_one_read_saw_a_later_one_must_see() {
        let pending = || Script::new().invoke(0, "add", 1).info(0, "add", "timeout");
        assert!(anomalies(read(read(pending(), 0), 1)).is_empty());
        assert_eq!(anomalies(read(read(pending(), 1), 0)), ["stale-read"]);
        let falling = || Script::new().invoke(0, "add", -1).info(0, "add", "timeout");
        assert!(anomalies(read(read(falling(), 0), -1)).is_empty());
        assert_eq!(anomalies(read(read(falling(), -1), 0)), ["unexplained-rise"]);
    }

    #[test]
    fn concurrent_reads_may_differ() {
        let script = Script::new()
            .invoke(0, "add", 1)
            .info(0, "add", "timeout")
            .invoke(1, "read", Value::Nil)
            .invoke(2, "read", Value::Nil)
            .ok(2, "read", 1)
            .ok(1, "read", 0);
        assert!(anomalies(script).is_empty());
    }

    #[test]
    fn sums_beyond_64_bits_do_not_wrap() {
        let large = add(add(Script::new(), i64::MAX), i64::MAX);
        assert_eq!(anomalies(read(large, -2)), ["below-bound"]);
    }

    #[test]
    fn what_it_did_not_take_in_may_explain_what_it_found() {
        let script = add(Script::new(), 5).invoke(0, "decrement", 2).ok(0, "decrement", 2);
        let verdict = read(script, 3).judge(CounterChecker::new());
        assert_eq!(verdict.validity, Validity::Unknown);
        let incremented = || Script::new().invoke(0, "increment", 2).ok(0, "increment", 2);
        assert_eq!(anomalies(read(incremented(), 0)), ["below-bound"]);
        assert_eq!(read(incremented(), 2).judge(CounterChecker::new()).validity, Validity::Valid);
    }

    #[test]
    fn without_a_read_it_does_not_acquit() {
        let verdict = add(Script::new(), 1).judge(CounterChecker::new());
        assert_eq!(verdict.validity, Validity::Unknown);
    }
}
