//! Stacks with unique values: exact in O(n log n).
//!
//! Operations: `push` a value; `pop` answers a value, or nil where it found the stack empty.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `unexpected`, `failed-operation-observed`, `duplicated`, `future-read` | see `transfers` |
//! | `not-lifo` | over some time the stack cannot have been empty, and no value can have been at its bottom |
//! | `false-empty` | a pop found nothing while something was inside all along |
//!
//! The engine and its proof are in `removal`, empty answers in `emptiness`.
//!
//! The witness of `not-lifo` is a chain of values of the stuck block that are inside one after the other from its start
//! to its end. It is a proof alone: it has the same start and end, and its values are none of them candidates.
//!
//! The general engine decides where values repeat, and where crashed pops matter that could not be shared out at once:
//! a history is valid if it is so with the pops that `removal` gives to values, and invalid if it is so without all
//! values that stay (what is left of a linearization without some values is one of the rest).

use super::emptiness::cover;
use super::removal::{Lifo, Share, linearize};
use super::ruling::{CRASHED_TAKES, Ruling, SHOWN, judge_nothing, settle};
use super::transfers::{STAYS, Span, Step, Transfers, Words, seconds};
use crate::checker::Checker;
use crate::linearizability::wgl::Limits;
use crate::models;
use crate::models::stack::StackOp;
use crate::verdict::Verdict;
use rayon::slice::ParallelSliceMut;
use tribunal_history::{Operation, Value};

/// The checker. Complete. Memory: about 350 bytes a value.
#[derive(Debug)]
pub struct Stack {
    limits: Limits,
    transfers: Transfers,
}

const WORDS: Words = Words { checker: "stack", put: "push", take: "pop" };

impl Stack {
    /// A checker with these limits for the general engine; the fast one needs none.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, transfers: Transfers::new(WORDS) }
    }
}

impl Checker for Stack {
    fn name(&self) -> &'static str {
        WORDS.checker
    }

    fn operation(&mut self, operation: &Operation) {
        self.transfers.operation(operation);
    }

    fn finish(self: Box<Self>) -> Verdict {
        let general = (&models::Stack, stack_op as fn(&Step<'_>) -> StackOp);
        settle(&self.transfers, self.limits, ("lifo", judge), general)
    }
}

fn stack_op(step: &Step<'_>) -> StackOp {
    match step {
        Step::Put(value) => StackOp::Push((*value).clone()),
        Step::Take(value) => StackOp::Pop((*value).clone()),
        Step::Nothing => StackOp::PopNothing,
        Step::Unknown => StackOp::PopUnknown,
    }
}

fn judge(transfers: &Transfers) -> Ruling {
    let mut spans = transfers.spans();
    spans.par_sort_unstable_by_key(|span| (span.put_end, span.put_call));
    let mut crashed: Vec<u64> = transfers.crashed.iter().map(|take| take.call.index).collect();
    crashed.sort_unstable();
    let mut ruling =
        Ruling { bytes: 2 * spans.capacity() * size_of::<Span>(), ..Ruling::default() };
    let taken = match crashed.is_empty() {
        true => Vec::new(),
        false => spans.iter().filter(|span| !span.stays()).copied().collect(),
    };
    let again = if crashed.is_empty() { Vec::new() } else { spans.clone() };
    let mut answer = linearize(spans, &crashed, Share::Latest);
    if matches!(answer, Lifo::Stuck { .. }) && !crashed.is_empty() {
        answer = linearize(again, &crashed, Share::Earliest);
    }
    match answer {
        Lifo::Possible { mut spans, bytes } => {
            ruling.bytes += bytes;
            judge_nothing(transfers, &mut spans, &mut ruling);
        }
        Lifo::Stuck { block, bytes } if crashed.is_empty() => {
            ruling.bytes += bytes;
            ruling.findings.add("not-lifo", || not_lifo(transfers, &block));
        }
        Lifo::Stuck { .. } => match linearize(taken, &[], Share::Latest) {
            Lifo::Possible { .. } => ruling.undecided = Some(CRASHED_TAKES),
            Lifo::Stuck { block, bytes } => {
                ruling.bytes += bytes;
                ruling.findings.add("not-lifo", || not_lifo(transfers, &block));
            }
        },
    }
    ruling
}

fn not_lifo(transfers: &Transfers, block: &[Span]) -> (String, Value, Vec<Operation>) {
    let start = block.first().map_or(0, |span| span.put_end);
    let end = block.iter().map(|span| span.take_call).max().unwrap_or(start);
    let chain = cover(block, start, end - 1);
    let named: Vec<String> =
        chain.iter().take(SHOWN).map(|span| transfers.value(span.element).to_string()).collect();
    let more = match chain.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let element = |span: Option<&Span>| span.map(|span| transfers.elements[span.element as usize]);
    let pushed = element(chain.first()).and_then(|element| element.put);
    let popped = element(chain.last()).and_then(|element| element.take);
    let until = match end {
        STAYS => "to the end".to_owned(),
        _ => format!("until {}", seconds(popped.map_or(0, |take| take.call.time))),
    };
    let message = format!(
        "From {} {until} the stack held {}{more}, one after the other, so it was never empty and one value was at its bottom all along; but none of them was both pushed early enough and popped late enough to be that one.",
        seconds(pushed.map_or(0, |put| put.end().time)),
        named.join(", "),
    );
    let witness = chain.iter().flat_map(|span| transfers.life(span.element));
    (message, Value::Nil, witness.collect())
}
