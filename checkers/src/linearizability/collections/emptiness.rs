//! Where a queue or a stack may have been empty: exact for takes that found nothing.
//!
//! A value is surely inside from the end of its put to the call of its take. A take that found nothing is legal exactly
//! if some moment between its call and its end lies in no such span; and such takes can be judged one by one:
//! * Henzinger, Sezgin and Vafeiadis, "Aspect-Oriented Linearizability Proofs" (CONCUR 2013), violation VWit, for queues.
//! * A moment in no span splits the history: every value is put in and taken out before it, or after it, or its put and
//!   its take overlap and can stand together on one side. What is left of the moment can be squeezed before it in its
//!   own order, likewise on the right, so the halves of a stack or a bag are linearizable if the whole was.
//!
//! O(n log n) for the sort; then each take is found by bisection.

use super::transfers::Span;
use crate::keyed::Trace;

/// A stretch during which something is surely inside.
#[derive(Clone, Copy, Debug)]
struct Covered {
    start: u64,
    end: u64,
}

/// The first take that found nothing although something was surely inside all along, if there is one. `spans` by `put_end`.
pub(super) fn false_empty(spans: &[Span], nothing: &[Trace]) -> Option<usize> {
    if nothing.is_empty() {
        return None;
    }
    let covered = union(spans);
    nothing.iter().position(|take| {
        let after = covered.partition_point(|covered| covered.start < take.call.index);
        after.checked_sub(1).is_some_and(|nth| covered[nth].end > take.end().index)
    })
}

/// The fewest values that are surely inside from `start` to `end`, one after the other. `spans` by `put_end`.
pub(super) fn cover(spans: &[Span], start: u64, end: u64) -> Vec<Span> {
    let mut chain = Vec::new();
    let mut reached = start;
    let mut rest = spans.iter().filter(|span| span.surely_inside()).peekable();
    while reached <= end {
        let mut best: Option<&Span> = None;
        while let Some(span) = rest.next_if(|span| span.put_end <= reached) {
            best = best.into_iter().chain([span]).max_by_key(|span| span.take_call);
        }
        let Some(next) = best.filter(|next| next.take_call > reached) else { break };
        chain.push(*next);
        reached = next.take_call;
    }
    chain
}

fn union(spans: &[Span]) -> Vec<Covered> {
    let mut covered: Vec<Covered> = Vec::new();
    for span in spans.iter().filter(|span| span.surely_inside()) {
        match covered.last_mut() {
            Some(last) if span.put_end < last.end => last.end = last.end.max(span.take_call),
            _ => covered.push(Covered { start: span.put_end, end: span.take_call }),
        }
    }
    covered
}
