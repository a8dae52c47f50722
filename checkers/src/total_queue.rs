//! Queues as bags: what went in comes out, once. The order does not matter.
//!
//! Operations: `enqueue` `element`; `dequeue`, answered with an element, or nil if the queue was empty; and `drain`, answered
//! with a list of elements after which the queue was empty. Elements may repeat. Source: Jepsen's `total-queue`.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `lost` | an element whose enqueue was acknowledged never came out, though the queue was found empty later |
//! | `unexpected` | an element came out that nobody tried to enqueue, or before anybody did |
//! | `duplicated` | an element came out more often than it may have gone in (at-least-once queues may: then allow it) |
//! | `failed-operation-observed` | an element came out whose only enqueue failed |
//!
//! *Recovered* elements, whose enqueue is of unknown fate and which came out, are counted.
//!
//! When an element is surely lost: the queue was found empty (by an acknowledged drain, a dequeue answered nil, or one that
//! failed with the error `empty` or `queue-empty`) by an operation that began after its enqueue had ended. A dequeue
//! of unknown fate may have taken one element, and a drain of unknown fate any: what they can account for is not called lost, but
//! makes the verdict unknown. So does what may still be in the queue.
//!
//! A pass is not complete: it says nothing of order, nor of an "empty" that was untrue when answered. O(1) an element;
//! about 150 bytes a different element and 56 an acknowledged enqueue.

use crate::checker::Checker;
use crate::keyed::{Findings, Names, Trace, Unreadable, plain};
use crate::verdict::Verdict;
use tribunal_history::{Operation, Outcome, Value};

/// The checker.
#[derive(Debug, Default)]
pub struct TotalQueue {
    duplicates_allowed: bool,
    names: Names<Value>,
    elements: Vec<Element>,
    /// The acknowledged enqueues, and of which element.
    acknowledged: Vec<(u32, Trace)>,
    /// The call of the last operation that found the queue empty.
    emptied: Option<u64>,
    crashed_dequeues: u64,
    crashed_drains: u64,
    dequeued: u64,
    operations: u64,
    crashed: u64,
    unreadable: Unreadable,
}

/// What became of one element.
#[derive(Clone, Copy, Debug, Default)]
struct Element {
    acknowledged: u64,
    unknown: u64,
    failed: u64,
    out: u64,
    /// The first enqueue that may have happened, by its call; of the failed ones if there is none.
    enqueue: Option<Trace>,
    /// Those that took it out: the one that ended first, and the last.
    first_out: Option<Trace>,
    last_out: Option<Trace>,
}

impl TotalQueue {
    /// What came out twice must have gone in twice.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The queue delivers at least once: what comes out more often than it went in is counted, and no anomaly.
    #[must_use]
    pub fn duplicates_allowed(mut self) -> Self {
        self.duplicates_allowed = true;
        self
    }

    fn element(&mut self, name: &Value) -> (u32, &mut Element) {
        let number = self.names.number(name.clone());
        if number as usize == self.elements.len() {
            self.elements.push(Element::default());
        }
        (number, &mut self.elements[number as usize])
    }

    fn enqueue(&mut self, operation: &Operation) {
        let trace = Trace::of(operation);
        let (number, element) = self.element(&operation.input);
        let replaces = element.enqueue.is_none_or(|earlier| {
            (trace.possible(), earlier.call) > (earlier.possible(), trace.call)
        });
        if replaces {
            element.enqueue = Some(trace);
        }
        match operation.outcome {
            Outcome::Ok => {
                element.acknowledged += 1;
                self.acknowledged.push((number, trace));
            }
            Outcome::Info => element.unknown += 1,
            Outcome::Fail => element.failed += 1,
        }
    }

    fn dequeue(&mut self, operation: &Operation) {
        match operation.outcome {
            Outcome::Ok if operation.output.is_nil() => self.empty(operation),
            Outcome::Ok => self.out(&operation.output, operation),
            Outcome::Info => self.crashed_dequeues += 1,
            Outcome::Fail if says_empty(operation) => self.empty(operation),
            Outcome::Fail => {}
        }
    }

    fn drain(&mut self, operation: &Operation) {
        match operation.outcome {
            Outcome::Ok => match operation.output.as_list() {
                Some(elements) => {
                    elements.iter().for_each(|element| self.out(element, operation));
                    self.empty(operation);
                }
                None if operation.output.is_nil() => self.empty(operation),
                None => self.unreadable.add(operation, "drained something else than a list"),
            },
            Outcome::Info => self.crashed_drains += 1,
            Outcome::Fail => {}
        }
    }

    fn empty(&mut self, operation: &Operation) {
        self.emptied = self.emptied.max(Some(operation.call.index));
    }

    fn out(&mut self, name: &Value, operation: &Operation) {
        self.dequeued += 1;
        let trace = Trace::of(operation);
        let (_, element) = self.element(name);
        element.out += 1;
        element.first_out.get_or_insert(trace);
        element.last_out = Some(trace);
    }

    fn name(&self, number: u32) -> Value {
        self.names.name(number).cloned().unwrap_or_default()
    }

    /// The enqueue of an element and what took it out.
    fn witness(&self, number: u32) -> Vec<Operation> {
        let element = &self.elements[number as usize];
        let name = self.name(number);
        let enqueue =
            element.enqueue.map(|trace| trace.operation("enqueue", name.clone(), Value::Nil));
        let out = |trace: Trace| trace.operation("dequeue", Value::Nil, name.clone());
        let first = element.first_out.map(out);
        let last = element
            .last_out
            .map(out)
            .filter(|last| first.as_ref().is_some_and(|f| f.call != last.call));
        enqueue.into_iter().chain(first).chain(last).collect()
    }

    fn judge(&self, number: u32, findings: &mut Findings) {
        let element = &self.elements[number as usize];
        let possible = element.acknowledged + element.unknown;
        let early = || {
            element
                .first_out
                .zip(element.enqueue)
                .is_some_and(|(out, enqueue)| out.end() < enqueue.call)
        };
        let (anomaly, what) = match element.out {
            0 => return,
            _ if possible + element.failed == 0 => {
                ("unexpected", "came out, but nobody tried to enqueue it".to_owned())
            }
            _ if possible == 0 => {
                ("failed-operation-observed", "came out, but its enqueue failed".to_owned())
            }
            _ if early() => {
                ("unexpected", "came out before anybody tried to enqueue it".to_owned())
            }
            out if out > possible && !self.duplicates_allowed => (
                "duplicated",
                format!("came out {out} times, but went in at most {possible} times"),
            ),
            _ => return,
        };
        findings.add(anomaly, || {
            (format!("{} {what}", plain(&self.name(number))), Value::Nil, self.witness(number))
        });
    }

    /// What went in, surely, and did not come out: by element, how many must have come out by the last time that the queue
    /// was found empty but did not, and how many may still be in it.
    fn missing(&self) -> (Vec<(u32, u64)>, u64) {
        let mut due = vec![0u64; self.elements.len()];
        for (number, trace) in &self.acknowledged {
            if self.emptied.is_some_and(|emptied| trace.acknowledged() < emptied) {
                due[*number as usize] += 1;
            }
        }
        let mut missing = Vec::new();
        let mut inside = 0;
        for ((number, element), due) in (0u32..).zip(&self.elements).zip(due) {
            let never = element.acknowledged.saturating_sub(element.out);
            // The others of the same name, which were not due, may be those that came out.
            let lost = due.saturating_sub(element.out);
            inside += never - lost;
            if lost > 0 {
                missing.push((number, lost));
            }
        }
        (missing, inside)
    }

    fn lost(&self, missing: &[(u32, u64)], findings: &mut Findings) {
        let but = match self.crashed_dequeues {
            0 => String::new(),
            crashed => format!(
                "; there are {} such, and {crashed} dequeues of unknown fate",
                missing.len()
            ),
        };
        for (number, times) in missing {
            findings.add("lost", || {
                let often = if *times == 1 { String::new() } else { format!(" {times} times") };
                let message = format!(
                    "the enqueue of {} was acknowledged, but it never came out{often}, and the queue was found empty \
                     by an operation that began later{but}",
                    plain(&self.name(*number))
                );
                (message, Value::Nil, self.witness(*number))
            });
        }
    }
}

/// Whether the error says that the queue was empty, and nothing else: an "empty-response" says nothing of the queue.
fn says_empty(operation: &Operation) -> bool {
    let error = operation.error.as_deref().unwrap_or_default();
    matches!(error.strip_prefix(':').unwrap_or(error), "empty" | "queue-empty")
}

impl Checker for TotalQueue {
    fn name(&self) -> &'static str {
        "total-queue"
    }

    fn operation(&mut self, operation: &Operation) {
        self.operations += 1;
        self.crashed += u64::from(operation.outcome == Outcome::Info);
        match &*operation.f {
            "enqueue" => self.enqueue(operation),
            "dequeue" => self.dequeue(operation),
            "drain" => self.drain(operation),
            _ => self.unreadable.add(operation, "is neither an enqueue nor a dequeue nor a drain"),
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        let mut findings = Findings::default();
        for number in (0u32..).take(self.elements.len()) {
            self.judge(number, &mut findings);
        }
        let (missing, inside) = self.missing();
        let lost: u64 = missing.iter().map(|(_, times)| times).sum();
        let taken = if self.crashed_drains > 0 { u64::MAX } else { self.crashed_dequeues };
        if lost > taken {
            self.lost(&missing, &mut findings);
        }
        let doubt = if lost > 0 {
            Some(format!(
                "{lost} acknowledged elements never came out, but {} dequeues and {} drains of unknown fate may have taken them",
                self.crashed_dequeues, self.crashed_drains
            ))
        } else if inside > 0 {
            Some(format!(
                "{inside} acknowledged elements may still be in the queue: nothing found it empty after they went in"
            ))
        } else {
            None
        };
        let nothing = (self.operations == 0).then(|| "no operation".to_owned());
        let recovered = self
            .elements
            .iter()
            .map(|e| e.out.min(e.acknowledged + e.unknown).saturating_sub(e.acknowledged));
        let recovered: u64 = recovered.sum();
        let duplicated = self.elements.iter().filter(|e| e.acknowledged + e.unknown > 0);
        let duplicated: u64 =
            duplicated.map(|e| e.out.saturating_sub(e.acknowledged + e.unknown)).sum();
        let unreadable = std::mem::take(&mut self.unreadable);
        let bytes = self.elements.capacity() * (size_of::<Element>() + 40)
            + self.acknowledged.capacity() * size_of::<(u32, Trace)>();
        findings
            .verdict("total-queue", false, unreadable.reason(), doubt.or(nothing))
            .figure("operations", self.operations)
            .figure("operations_crashed", self.crashed)
            .figure("enqueues_acknowledged_count", self.acknowledged.len())
            .figure("dequeued_count", self.dequeued)
            .figure("elements_missing_count", lost + inside)
            .figure("elements_recovered_count", recovered)
            .figure("elements_duplicated_count", duplicated)
            .figure("engine_bytes", bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, list, names};
    use crate::verdict::Validity;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn enqueue(script: Script, element: i64) -> Script {
        script.invoke(0, "enqueue", element).ok(0, "enqueue", element)
    }

    fn dequeue(script: Script, element: impl Into<Value>) -> Script {
        script.invoke(1, "dequeue", Value::Nil).ok(1, "dequeue", element)
    }

    fn drain(script: Script, elements: &[i64]) -> Script {
        script.invoke(1, "drain", Value::Nil).ok(1, "drain", list(elements))
    }

    fn anomalies(script: Script) -> Vec<String> {
        let verdict = script.judge(TotalQueue::new());
        names(&verdict).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn what_went_in_comes_out_in_any_order() {
        let script = enqueue(enqueue(enqueue(Script::new(), 1), 2), 3);
        let verdict = drain(dequeue(script, 2), &[3, 1]).judge(TotalQueue::new());
        assert_eq!((verdict.validity, verdict.complete), (Validity::Valid, false));
    }

    #[test]
    fn an_acknowledged_element_that_never_came_out_is_lost_once_the_queue_was_empty() {
        let script = || enqueue(enqueue(Script::new(), 1), 2);
        assert_eq!(anomalies(drain(script(), &[2])), ["lost"]);
        assert_eq!(anomalies(dequeue(dequeue(script(), 2), Value::Nil)), ["lost"]);
        let failed =
            |error| dequeue(script(), 2).invoke(1, "dequeue", Value::Nil).fail(1, "dequeue", error);
        for error in ["empty", ":empty", "queue-empty"] {
            assert_eq!(anomalies(failed(error)), ["lost"]);
        }
        let response = failed("empty-response").judge(TotalQueue::new());
        assert_eq!(response.validity, Validity::Unknown);
        assert_eq!(dequeue(script(), 2).judge(TotalQueue::new()).validity, Validity::Unknown);
    }

    #[test]
    fn a_dequeue_of_unknown_fate_may_have_taken_one() {
        let crashed = |elements: &[i64]| {
            let script =
                elements.iter().fold(Script::new(), |script, element| enqueue(script, *element));
            let script = script.invoke(2, "dequeue", Value::Nil).info(2, "dequeue", "timeout");
            drain(script, &[]).judge(TotalQueue::new())
        };
        assert_eq!(crashed(&[1]).validity, Validity::Unknown);
        assert_eq!(names(&crashed(&[1, 2])), ["lost", "lost"]);
        let message = &crashed(&[1, 2]).anomalies[0].message;
        assert!(
            message.ends_with("; there are 2 such, and 1 dequeues of unknown fate"),
            "{message}"
        );
    }

    #[test]
    fn an_element_of_an_operation_that_it_does_not_know_is_not_from_nowhere() {
        let all = list(&[7, 8]);
        let script = Script::new().invoke(0, "enqueue-all", all.clone()).ok(0, "enqueue-all", all);
        let verdict = dequeue(script, 7).judge(TotalQueue::new());
        assert_eq!(verdict.validity, Validity::Unknown);
    }

    #[test]
    fn elements_from_nowhere_are_unexpected() {
        assert_eq!(anomalies(dequeue(Script::new(), 7)), ["unexpected"]);
        assert_eq!(anomalies(enqueue(dequeue(Script::new(), 7), 7)), ["unexpected"]);
    }

    #[test]
    fn what_failed_to_go_in_must_not_come_out() {
        let failed = Script::new().invoke(0, "enqueue", 1).fail(0, "enqueue", "refused");
        assert_eq!(anomalies(dequeue(failed, 1)), ["failed-operation-observed"]);
    }

    #[test]
    fn what_comes_out_twice_went_in_twice() {
        let once = || drain(dequeue(enqueue(Script::new(), 1), 1), &[1]);
        assert_eq!(anomalies(once()), ["duplicated"]);
        let allowed = once().judge(TotalQueue::new().duplicates_allowed());
        assert_eq!(allowed.validity, Validity::Valid);
        assert!(
            anomalies(drain(dequeue(enqueue(enqueue(Script::new(), 1), 1), 1), &[1])).is_empty()
        );
    }

    #[test]
    fn an_enqueue_of_unknown_fate_may_come_out_or_not() {
        let crashed = || Script::new().invoke(2, "enqueue", 1).info(2, "enqueue", "timeout");
        assert!(anomalies(drain(crashed(), &[])).is_empty());
        let recovered = drain(crashed(), &[1]).judge(TotalQueue::new());
        assert_eq!(recovered.validity, Validity::Valid);
        assert_eq!(recovered.figures["elements_recovered_count"], 1);
    }

    /// A queue in memory, asked at random; crashed operations happened or did not. `steal` takes one element away.
    fn random(seed: u64, steal: bool) -> Verdict {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut script, mut queue, mut next, mut process) = (Script::new(), Vec::new(), 0, 10);
        for _ in 0..rng.random_range(1..=12) {
            process += 1;
            let (crashes, happens) = (rng.random_bool(0.2), rng.random_bool(0.5));
            if rng.random_bool(0.6) {
                next += i64::from(rng.random_bool(0.8));
                script = script.invoke(process, "enqueue", next);
                if !crashes || happens {
                    queue.push(next);
                }
                script = match (crashes, happens) {
                    (true, _) => script.info(process, "enqueue", "timeout"),
                    (false, _) => script.ok(process, "enqueue", next),
                };
            } else {
                let taken = (!crashes || happens).then(|| queue.pop()).flatten();
                script = script.invoke(process, "dequeue", Value::Nil);
                script = match crashes {
                    true => script.info(process, "dequeue", "timeout"),
                    false => script.ok(process, "dequeue", taken.map_or(Value::Nil, Value::Int)),
                };
            }
        }
        if steal {
            queue.pop();
        }
        drain(script, &queue).judge(TotalQueue::new())
    }

    #[test]
    fn a_queue_that_works_is_never_convicted_and_a_thief_often_is() {
        let mut told = [0u32; 3];
        for seed in 0..3_000 {
            let honest = random(seed, false);
            assert_ne!(honest.validity, Validity::Invalid, "seed {seed}: {:?}", honest.anomalies);
            told[0] += u32::from(honest.validity == Validity::Valid);
            told[1] += u32::from(honest.validity == Validity::Unknown);
            told[2] += u32::from(random(seed, true).validity == Validity::Invalid);
        }
        assert!(told.iter().all(|count| *count > 100), "{told:?}");
    }
}
