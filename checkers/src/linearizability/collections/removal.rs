//! Whether a stack can have worked last in, first out: exact in O(n log n), by taking away the bottom again and again.
//!
//! In the spirit of Lee and Mathur, "Efficient Decrease-and-Conquer Linearizability Monitoring" (OOPSLA 2025). A value is
//! *surely inside* from the end of its push to the call of its pop. The argument:
//!
//! * Where push and pop overlap (and the pop did not end before the push was called), both can stand side by side at one
//!   moment, whatever else happens: such a value can be left out.
//! * Between the others, a moment at which nothing is surely inside splits the history: every value is pushed and popped
//!   on one side (as far as it must; what could go beyond can be squeezed before the moment in the same order).
//! * So look at a *block*: values whose spans together cover all from `start`, the first end of a push, to `end`, the last
//!   call of a pop. The stack is never empty in it, so one value lies at the bottom all the while: it was pushed before
//!   `start` and popped after `end`. Only a value whose push was called before `start` and whose pop ended after `end` can
//!   be that one. If there is none, there is no linearization.
//! * If there is one, let it be the bottom: pushed just before `start` and popped just after `end` it constrains nobody
//!   else, whose pushes end after `start` and whose pops were called before `end`. So the history is linearizable
//!   exactly if it is without this value, and it does not matter which candidate is taken.
//!
//! Each value is taken away once. Its span then no longer covers anything, and the block may fall apart.
//!
//! Values are numbered by the end of their push. `covering[k]` counts the values that are surely inside when the push of
//! `k` ends; where it is zero a block begins, and blocks are ranges of numbers.
//!
//! A pop of unknown outcome may have taken a value that stays. [`linearize`] gives one to the first such value that stands
//! in the way, in one of two ways ([`Share`]), and an earlier one where that was too late after all. Another choice may
//! be needed: with such pops, only a success is a proof.

use super::transfers::{STAYS, Span};
use super::trees::{ABSENT, Counts, MinTree};
use std::ops::Range;

/// What was found.
pub(super) enum Lifo {
    /// There is an order. These are the spans (all that were given) with the pops of unknown outcome that were used.
    Possible { spans: Vec<Span>, bytes: usize },
    /// No value of this block can be its bottom.
    Stuck { block: Vec<Span>, bytes: usize },
}

/// Which pop of unknown outcome a value gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Share {
    /// The last called that still helps; the last blocks are looked at first.
    Latest,
    /// The first called; the first blocks are looked at first.
    Earliest,
}

/// Decides for `spans`, sorted by `put_end`, and the calls of pops of unknown outcome, in order.
pub(super) fn linearize(mut spans: Vec<Span>, crashed_pops: &[u64], share: Share) -> Lifo {
    let inside: Vec<usize> = (0..spans.len()).filter(|&nth| spans[nth].surely_inside()).collect();
    let mut stack =
        Blocks::new(inside.iter().map(|&nth| spans[nth]).collect(), crashed_pops, share);
    let stuck = stack.remove_all();
    let bytes = stack.bytes() + inside.capacity() * size_of::<usize>();
    if let Some(block) = stuck {
        return Lifo::Stuck { block, bytes };
    }
    inside.into_iter().zip(stack.spans).for_each(|(nth, span)| spans[nth] = span);
    Lifo::Possible { spans, bytes }
}

struct Blocks {
    spans: Vec<Span>,
    covering: Counts,
    /// The call of the push of each value that is there and not known to be called before its block.
    push_calls: MinTree,
    /// Of those that are there: the call of the pop, complemented, so that the least is the latest.
    pop_calls: MinTree,
    /// Of those that are there and were called before their block: the end of the pop, complemented.
    bottoms: MinTree,
    /// Of those that are there and that nobody is known to have popped: the call of the pop, complemented.
    flexible: MinTree,
    /// Calls of pops of unknown outcome that are not used, in order.
    crashed_pops: Vec<u64>,
    /// How often a pop of unknown outcome may still be given to a value.
    patience: usize,
    share: Share,
}

impl Blocks {
    fn new(spans: Vec<Span>, crashed_pops: &[u64], share: Share) -> Self {
        Self {
            covering: Counts::new(covering(&spans).into_iter()),
            push_calls: MinTree::new(spans.iter().map(|span| span.put_call)),
            pop_calls: MinTree::new(spans.iter().map(|span| !span.take_call)),
            bottoms: MinTree::new(spans.iter().map(|_| ABSENT)),
            flexible: MinTree::new(spans.iter().map(flexible)),
            share,
            patience: PATIENCE * crashed_pops.len(),
            crashed_pops: crashed_pops.to_vec(),
            spans,
        }
    }

    /// Takes away bottoms until nothing is left, or answers the values of a block that has none.
    fn remove_all(&mut self) -> Option<Vec<Span>> {
        let mut starts = Vec::new();
        let mut blocks = Vec::new();
        self.split(0..self.spans.len(), &mut starts, &mut blocks);
        while let Some(block) = blocks.pop() {
            match self.bottom(&block) {
                Some(bottom) => self.remove(bottom),
                None if self.use_crashed_pop(&block) => {}
                None => return Some(self.values(block)),
            }
            self.split(block, &mut starts, &mut blocks);
        }
        None
    }

    /// The blocks into which a range falls.
    fn split(&self, range: Range<usize>, starts: &mut Vec<usize>, blocks: &mut Vec<Range<usize>>) {
        starts.clear();
        self.covering.zeros(range.clone(), starts);
        let ends = starts.iter().skip(1).copied().chain([range.end]);
        let before = blocks.len();
        blocks.extend(starts.iter().zip(ends).map(|(&start, end)| start..end));
        if matches!(self.share, Share::Earliest) {
            blocks[before..].reverse();
        }
    }

    /// A value of the block that can lie at its bottom.
    fn bottom(&mut self, block: &Range<usize>) -> Option<usize> {
        let start = self.spans[block.start].put_end;
        while let Some(early) = self.push_calls.first_below(block.clone(), start) {
            // Blocks only shrink: what was called before this one was called before all that become of it.
            self.push_calls.set(early, ABSENT);
            self.bottoms.set(early, !self.spans[early].take_end);
        }
        let end = !self.pop_calls.min(block.clone());
        self.bottoms.first_below(block.clone(), !end)
    }

    fn remove(&mut self, value: usize) {
        self.bottoms.set(value, ABSENT);
        self.push_calls.set(value, ABSENT);
        self.pop_calls.set(value, ABSENT);
        self.flexible.set(value, ABSENT);
        self.covering.remove(value);
        let covers = self.covers(value, self.spans[value].take_call);
        self.covering.decrement(covers);
    }

    /// The values whose pushes end while `value` is inside, if it leaves at `until`.
    fn covers(&self, value: usize, until: u64) -> Range<usize> {
        let end = self.spans.partition_point(|span| span.put_end < until);
        value + 1..end.max(value + 1)
    }

    /// Lets a pop of unknown outcome take a value that is there over the end of the block's latest possible bottom; or an
    /// earlier one than the one that it has.
    fn use_crashed_pop(&mut self, block: &Range<usize>) -> bool {
        let latest = !self.bottoms.min(block.clone());
        let over = self.flexible.first_below(block.clone(), !latest);
        let last = self.flexible.min(block.clone());
        let found =
            over.or_else(|| self.flexible.first_below(block.clone(), last.saturating_add(1)));
        let Some(value) = found.filter(|_| self.patience > 0) else { return false };
        self.patience -= 1;
        let Span { put_end, take_call, .. } = self.spans[value];
        let helps = self.crashed_pops.partition_point(|&call| call < latest.min(take_call));
        if helps == 0 || put_end > latest {
            return false;
        }
        let call = self.crashed_pops.remove(match self.share {
            Share::Latest => helps - 1,
            Share::Earliest => 0,
        });
        if take_call != STAYS {
            let place = self.crashed_pops.partition_point(|&other| other < take_call);
            self.crashed_pops.insert(place, take_call);
        }
        if call < put_end {
            // Push and pop overlap: it is in nobody's way any more.
            self.remove(value);
            self.spans[value].take_call = call;
            return true;
        }
        self.spans[value].take_call = call;
        let covers = self.covers(value, call).end..self.covers(value, take_call).end;
        self.covering.decrement(covers);
        self.pop_calls.set(value, !call);
        self.flexible.set(value, !call);
        true
    }

    fn values(&self, block: Range<usize>) -> Vec<Span> {
        let there = |nth: &usize| self.pop_calls.min(*nth..*nth + 1) != ABSENT;
        block.filter(there).map(|nth| self.spans[nth]).collect()
    }

    fn bytes(&self) -> usize {
        self.covering.bytes()
            + 4 * self.push_calls.bytes()
            + self.spans.capacity() * size_of::<Span>()
    }
}

fn flexible(span: &Span) -> u64 {
    if span.stays() { !span.take_call } else { ABSENT }
}

/// How often, on the average, a pop of unknown outcome is given to a value before the engine gives up.
const PATIENCE: usize = 16;

/// By value: how many others are surely inside when its push ends.
fn covering(spans: &[Span]) -> Vec<i32> {
    let mut changes = vec![0_i32; spans.len() + 1];
    for (nth, span) in spans.iter().enumerate() {
        let end = spans.partition_point(|other| other.put_end < span.take_call);
        changes[nth + 1] += 1;
        changes[end.max(nth + 1)] -= 1;
    }
    let mut count = 0;
    changes.pop();
    changes
        .into_iter()
        .map(|change| {
            count += change;
            count
        })
        .collect()
}
