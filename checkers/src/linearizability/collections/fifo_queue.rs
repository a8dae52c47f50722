//! First-in, first-out queues with unique values: exact in O(n log n).
//!
//! Operations: `enqueue` a value; `dequeue` answers a value, or nil where it found the queue empty.
//!
//! Henzinger, Sezgin and Vafeiadis, "Aspect-Oriented Linearizability Proofs" (CONCUR 2013), show that a history is
//! linearizable exactly if it has none of four violations; Bouajjani, Emmi, Enea and Hamza, "On Reducing Linearizability to
//! State Reachability" (ICALP 2015), prove it again. Ours by name:
//!
//! | anomaly | meaning |
//! |---|---|
//! | `unexpected`, `failed-operation-observed`, `duplicated`, `future-read` | see `transfers` |
//! | `out-of-order` | `a` was enqueued before `b`, and `b` dequeued before `a` |
//! | `lost` | `a` was enqueued before `b`, `b` was dequeued, and `a` never |
//! | `false-empty` | a dequeue found nothing while something was inside all along |
//!
//! Order: walk the values by the call of their enqueue, and know of those enqueued before it the one whose dequeue was
//! called last.
//!
//! Crashed dequeues: one that was called at `c` may have taken any value at any time after `c`. A value `a` that stays has
//! to be taken by one if some `b` was enqueued after it and dequeued until `d`, and this one must be called before the
//! least such `d`. Such dequeues end never, so they put nothing else out of order, and what was enqueued before `a` has no
//! later bound than `a`: so the question is whether bounds and calls can be matched, and in the order of both they can if
//! they can at all. The rest may have taken nothing, or, where an empty answer asks for it, the oldest that stay.
//!
//! The general engine decides where values repeat, and where only crashed dequeues could explain an empty answer.

use super::emptiness::false_empty;
use super::ruling::{Ruling, judge_nothing, settle};
use super::transfers::{STAYS, Span, Step, Transfers, Words, seconds};
use crate::checker::Checker;
use crate::linearizability::wgl::Limits;
use crate::models;
use crate::models::fifo_queue::QueueOp;
use crate::verdict::Verdict;
use rayon::slice::ParallelSliceMut;
use tribunal_history::{Operation, Value};

/// The checker. Complete. Memory: about 250 bytes a value.
#[derive(Debug)]
pub struct FifoQueue {
    limits: Limits,
    transfers: Transfers,
}

const WORDS: Words = Words { checker: "fifo-queue", put: "enqueue", take: "dequeue" };

impl FifoQueue {
    /// A checker with these limits for the general engine; the fast one needs none.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, transfers: Transfers::new(WORDS) }
    }
}

impl Checker for FifoQueue {
    fn name(&self) -> &'static str {
        WORDS.checker
    }

    fn operation(&mut self, operation: &Operation) {
        self.transfers.operation(operation);
    }

    fn finish(self: Box<Self>) -> Verdict {
        let general = (&models::FifoQueue, queue_op as fn(&Step<'_>) -> QueueOp);
        settle(&self.transfers, self.limits, ("fifo", judge), general)
    }
}

pub(super) fn queue_op(step: &Step<'_>) -> QueueOp {
    match step {
        Step::Put(value) => QueueOp::Enqueue((*value).clone()),
        Step::Take(value) => QueueOp::Dequeue((*value).clone()),
        Step::Nothing => QueueOp::DequeueNothing,
        Step::Unknown => QueueOp::DequeueUnknown,
    }
}

/// A value by the call of its enqueue.
#[derive(Clone, Copy)]
struct Later {
    put_call: u64,
    take_end: u64,
    element: u32,
}

fn judge(transfers: &Transfers) -> Ruling {
    let mut spans = transfers.spans();
    spans.par_sort_unstable_by_key(|span| (span.put_end, span.put_call));
    let mut later: Vec<Later> = spans
        .iter()
        .map(|&Span { put_call, take_end, element, .. }| Later { put_call, take_end, element })
        .collect();
    later.par_sort_unstable_by_key(|value| value.put_call);
    let bytes = spans.capacity() * size_of::<Span>() + later.capacity() * size_of::<Later>();
    let mut ruling = Ruling { bytes, ..Ruling::default() };
    judge_order(transfers, &spans, &later, &mut ruling);
    let unused = judge_stayed(transfers, &mut spans, &mut later, &mut ruling);
    // What else crashed dequeues took matters only to empty answers.
    if !unused.is_empty() && false_empty(&spans, &transfers.nothing).is_some() {
        take_oldest(&mut spans, unused);
    }
    judge_nothing(transfers, &mut spans, &mut ruling);
    ruling
}

/// Finds pairs that were both dequeued, in the wrong order.
fn judge_order(transfers: &Transfers, spans: &[Span], later: &[Later], ruling: &mut Ruling) {
    let mut earlier = spans.iter().filter(|span| !span.stays()).peekable();
    let mut last: Option<&Span> = None;
    for value in later {
        while let Some(span) = earlier.next_if(|span| span.put_end < value.put_call) {
            last = last.filter(|last| last.take_call > span.take_call).or(Some(span));
        }
        let Some(last) = last.filter(|last| last.take_call > value.take_end) else { continue };
        ruling
            .findings
            .add("out-of-order", || out_of_order(transfers, last.element, value.element));
    }
}

/// Gives crashed dequeues to the values that must have been dequeued by one; answers the calls of those left.
fn judge_stayed(
    transfers: &Transfers,
    spans: &mut [Span],
    later: &mut [Later],
    ruling: &mut Ruling,
) -> Vec<u64> {
    let mut crashed: Vec<u64> = transfers.crashed.iter().map(|take| take.call.index).collect();
    crashed.sort_unstable();
    // From here on, each entry holds the least end of a dequeue among itself and those enqueued later, and whose it is.
    for nth in (1..later.len()).rev() {
        let (before, after) = later.split_at_mut(nth);
        let (value, next) = (&mut before[nth - 1], &after[0]);
        if next.take_end < value.take_end {
            (value.take_end, value.element) = (next.take_end, next.element);
        }
    }
    let bound = |span: &Span| {
        let next = later.partition_point(|value| value.put_call < span.put_end);
        later.get(next).filter(|value| value.take_end != u64::MAX)
    };
    let mut bounded: Vec<(u64, usize, u32)> = (0..spans.len())
        .filter(|&nth| spans[nth].stays())
        .filter_map(|nth| bound(&spans[nth]).map(|by| (by.take_end, nth, by.element)))
        .collect();
    bounded.sort_unstable();
    let mut used = 0;
    for (bound, nth, by) in bounded {
        match crashed.get(used).filter(|&&call| call < bound) {
            Some(&call) => {
                spans[nth].take_call = call;
                used += 1;
            }
            None => ruling.findings.add("lost", || lost(transfers, spans[nth].element, by, used)),
        }
    }
    crashed.split_off(used)
}

/// Lets crashed dequeues take the oldest of the values that stay: nothing comes out of order by that.
fn take_oldest(spans: &mut [Span], unused: Vec<u64>) {
    let staying = spans.iter_mut().filter(|span| span.take_call == STAYS);
    staying.zip(unused).for_each(|(span, call)| span.take_call = call);
}

fn out_of_order(transfers: &Transfers, first: u32, second: u32) -> (String, Value, Vec<Operation>) {
    let [a, b] = [first, second].map(|number| transfers.value(number));
    let [one, two] = [first, second].map(|number| transfers.elements[number as usize]);
    let time = |stamp: Option<u64>| seconds(stamp.unwrap_or(0));
    let message = format!(
        "{a} was enqueued by {}, before the enqueue of {b} began at {}; but {b} was dequeued by {}, before the dequeue of {a} began at {}.",
        time(one.put.map(|put| put.end().time)),
        time(two.put.map(|put| put.call.time)),
        time(two.take.map(|take| take.end().time)),
        time(one.take.map(|take| take.call.time))
    );
    let witness = transfers.life(first).into_iter().chain(transfers.life(second));
    (message, Value::Nil, witness.collect())
}

fn lost(
    transfers: &Transfers,
    first: u32,
    second: u32,
    used: usize,
) -> (String, Value, Vec<Operation>) {
    let [a, b] = [first, second].map(|number| transfers.value(number));
    let [one, two] = [first, second].map(|number| transfers.elements[number as usize]);
    let explained = match (transfers.crashed.len(), used) {
        (0, _) => String::new(),
        (_, 0) => " No dequeue of unknown outcome was called early enough to have taken it.".into(),
        (_, used) => format!(
            " The dequeues of unknown outcome that were called early enough are needed for {used} other values of that kind."
        ),
    };
    let time = |stamp: Option<u64>| seconds(stamp.unwrap_or(0));
    let message = format!(
        "{a} was enqueued by {}, before the enqueue of {b} began at {}; {b} was dequeued at {}, and {a} never.{explained}",
        time(one.put.map(|put| put.end().time)),
        time(two.put.map(|put| put.call.time)),
        time(two.take.map(|take| take.end().time)),
    );
    let witness = transfers.life(first).into_iter().chain(transfers.life(second));
    (message, Value::Nil, witness.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::verdict::Validity;
    use tribunal_history::Value;

    #[test]
    fn a_put_that_answers_another_value_gives_no_verdict() {
        let put = |answer: Value| {
            let script = Script::new().invoke(0, "enqueue", 1).ok(0, "enqueue", answer);
            script.invoke(1, "dequeue", Value::Nil).ok(1, "dequeue", 1)
        };
        let judged = |answer| put(answer).judge(FifoQueue::new(Limits::default())).validity;
        assert_eq!(judged(2.into()), Validity::Unknown);
        assert_eq!(judged(1.into()), Validity::Valid);
        assert_eq!(judged(Value::Nil), Validity::Valid);
    }
}
