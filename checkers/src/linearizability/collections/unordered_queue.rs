//! Queues without an order (bags) with unique values: exact in O(n), and O(n log n) where some dequeue found nothing.
//!
//! Operations: `enqueue` a value; `dequeue` answers a value, or nil where it found nothing.
//!
//! Without empty answers a value concerns no other: `unexpected`, `failed-operation-observed`, `duplicated` and
//! `future-read` (see `transfers`) are all that can go wrong. An empty answer needs a moment at which nothing is surely
//! inside (see `emptiness`): `false-empty`. A value that stays is no violation: it may still be inside.
//!
//! The general engine decides where values repeat, and where only crashed dequeues could explain an empty answer.

use super::emptiness::false_empty;
use super::fifo_queue::queue_op;
use super::ruling::{Ruling, judge_nothing, settle};
use super::transfers::{Span, Step, Transfers, Words};
use crate::checker::Checker;
use crate::linearizability::wgl::Limits;
use crate::models;
use crate::models::fifo_queue::QueueOp;
use crate::verdict::Verdict;
use rayon::slice::ParallelSliceMut;
use tribunal_history::Operation;

/// The checker. Complete. Memory: about 250 bytes a value.
#[derive(Debug)]
pub struct UnorderedQueue {
    limits: Limits,
    transfers: Transfers,
}

const WORDS: Words = Words { checker: "unordered-queue", put: "enqueue", take: "dequeue" };

impl UnorderedQueue {
    /// A checker with these limits for the general engine; the fast one needs none.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, transfers: Transfers::new(WORDS) }
    }
}

impl Checker for UnorderedQueue {
    fn name(&self) -> &'static str {
        WORDS.checker
    }

    fn operation(&mut self, operation: &Operation) {
        self.transfers.operation(operation);
    }

    fn finish(self: Box<Self>) -> Verdict {
        let general = (&models::UnorderedQueue, queue_op as fn(&Step<'_>) -> QueueOp);
        settle(&self.transfers, self.limits, ("bag", judge), general)
    }
}

fn judge(transfers: &Transfers) -> Ruling {
    let mut ruling = Ruling::default();
    if transfers.nothing.is_empty() {
        return ruling;
    }
    let mut spans = transfers.spans();
    ruling.bytes = spans.capacity() * size_of::<Span>();
    spans.par_sort_unstable_by_key(|span| (span.put_end, span.put_call));
    if false_empty(&spans, &transfers.nothing).is_some() {
        // Crashed dequeues may have taken what stays: one way to share them out, and if it helps, it is a proof.
        let mut crashed: Vec<u64> = transfers.crashed.iter().map(|take| take.call.index).collect();
        crashed.sort_unstable();
        let staying = spans.iter_mut().filter(|span| span.stays());
        staying.zip(crashed).for_each(|(span, call)| span.take_call = call);
    }
    judge_nothing(transfers, &mut spans, &mut ruling);
    ruling
}
