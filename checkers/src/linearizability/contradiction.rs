//! What the general engine found, made small and told.
//!
//! A history that is not linearizable is reduced to few operations that are not linearizable either. Each reduction is
//! *sound*: it leaves a linearizable history linearizable, so what is not linearizable in the end proves that the whole is not.
//!
//! * *Cutting the end.* Of a linearization, what stands before the cut is one of the history up to the cut, where operations
//!   that are still open count as crashed: those in it took effect, the others not yet.
//! * *Leaving out an observation* ([`Nature::Observes`]): the others find the same states without it.
//! * *Leaving out what does not matter to what remains* ([`Model::may_matter`]): that is the hook's contract.
//!
//! Nothing else is left out; so a model without observations or that hook is only cut. What can go is found by leaving out
//! halves, quarters and so on (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002), each
//! attempt judged by the engine, within a limit of time. At any time the operations at hand are a proof.

use super::wgl::{self, Answer, Interval};
use crate::models::{Model, Nature};
use std::fmt::Write;
use std::time::{Duration, Instant};
use tribunal_history::{Operation, Outcome};

/// Operations that cannot be put in order.
#[derive(Clone, Debug)]
pub(super) struct Contradiction {
    /// The few, by their numbers, in the order of their calls. Not linearizable by themselves.
    pub(super) witness: Vec<usize>,
    /// The one that no order of the whole history reaches beyond.
    pub(super) stuck: usize,
    /// Completed operations before it, which can be put in order.
    pub(super) prefix: usize,
    /// The states that they may have left.
    pub(super) states: Vec<String>,
}

impl Contradiction {
    /// Reduces what is not linearizable, as `answer` says; `None` if it says something else.
    pub(super) fn of<M: Model>(
        model: &M,
        operations: &[Interval<M::Op>],
        answer: Answer,
        deadline: Instant,
        memory_bytes: usize,
    ) -> Option<Self> {
        let Answer::NotLinearizable { stuck, linearized, states, .. } = answer else { return None };
        let deadline = deadline.min(Instant::now() + SHRINK_TIME);
        let cut = cut(operations, operations[stuck].end.unwrap_or(u64::MAX));
        let memory_bytes = memory_bytes.min(SHRINK_BYTES);
        let mut witness = Shrink { model, deadline, memory_bytes }.run(cut);
        witness.sort_unstable_by_key(|item| item.interval.call);
        let witness = witness.into_iter().map(|item| item.nth).collect();
        Some(Self { witness, stuck, prefix: linearized, states })
    }

    /// What contradicts, in a sentence or two; `stuck` is the operation of that number, `place` where it happened.
    pub(super) fn sentence(&self, stuck: &Operation, place: &str) -> String {
        let value = if stuck.output.is_nil() { &stuck.input } else { &stuck.output };
        let failed = if stuck.outcome == Outcome::Fail { "failed " } else { "" };
        let mut sentence = format!(
            "No order of the operations on {place} reaches beyond process {}'s {failed}{} of {value}, invoked at event {}",
            stuck.process, stuck.f, stuck.call.index
        );
        if let Some(end) = stuck.end {
            let seconds = |time: u64| Duration::from_nanos(time).as_secs_f64();
            let (from, to) = (seconds(stuck.call.time), seconds(end.time));
            write!(sentence, " and open from {from:.3} s to {to:.3} s").expect("to a String");
        }
        let states = self.states.join(" or ");
        write!(
            sentence,
            ". The {} operations that completed before it can be put in order, and leave {states}; nothing open since leads from there to what it saw.",
            self.prefix
        )
        .expect("to a String");
        sentence
    }
}

/// An operation that is still at hand.
#[derive(Clone)]
struct Item<Op> {
    nth: usize,
    interval: Interval<Op>,
}

/// What began before `end`, as it was known then.
fn cut<Op: Clone>(operations: &[Interval<Op>], end: u64) -> Vec<Item<Op>> {
    let begun = operations.iter().enumerate().filter(|(_, interval)| interval.call < end);
    begun
        .map(|(nth, interval)| {
            let end = interval.end.filter(|&own| own <= end);
            Item { nth, interval: Interval { end, ..interval.clone() } }
        })
        .collect()
}

struct Shrink<'a, M> {
    model: &'a M,
    deadline: Instant,
    /// What one attempt may take.
    memory_bytes: usize,
}

impl<M: Model> Shrink<'_, M> {
    fn run(&self, mut items: Vec<Item<M::Op>>) -> Vec<Item<M::Op>> {
        if !self.contradict(&items) {
            return items;
        }
        let mut chunk = items.len().div_ceil(2);
        loop {
            let mut from = 0;
            let mut shrunk = false;
            while from < items.len() && Instant::now() < self.deadline {
                match self.without(&items, from, chunk) {
                    Some(fewer) => {
                        shrunk = true;
                        items = fewer;
                    }
                    None => from += chunk,
                }
            }
            if Instant::now() >= self.deadline || (chunk == 1 && !shrunk) {
                return items;
            }
            chunk = if chunk == 1 { 1 } else { chunk.div_ceil(2) };
        }
    }

    /// Leaves out what may be left out among `chunk` items, if the rest is still a contradiction.
    fn without(
        &self,
        items: &[Item<M::Op>],
        from: usize,
        chunk: usize,
    ) -> Option<Vec<Item<M::Op>>> {
        let mut fewer = items.to_vec();
        let tail = fewer.split_off((from + chunk).min(items.len()));
        let mut candidates = fewer.split_off(from);
        candidates.retain(|item| self.model.nature(&item.interval.op) != Nature::Observes);
        fewer.extend(tail);
        let certain: Vec<&M::Op> = fewer.iter().map(|item| &item.interval.op).collect();
        let doubtful: Vec<&M::Op> = candidates.iter().map(|item| &item.interval.op).collect();
        let matters = self.model.may_matter(&certain, &doubtful);
        let kept = candidates.into_iter().zip(matters).filter(|(_, matters)| *matters);
        let kept: Vec<Item<M::Op>> = kept.map(|(item, _)| item).collect();
        fewer.extend(kept);
        // In the order of the calls again, so that a walk through the chunks meets each once.
        fewer.sort_unstable_by_key(|item| item.interval.call);
        (fewer.len() < items.len() && self.contradict(&fewer)).then_some(fewer)
    }

    fn contradict(&self, items: &[Item<M::Op>]) -> bool {
        let intervals: Vec<Interval<M::Op>> =
            items.iter().map(|item| item.interval.clone()).collect();
        let answer = wgl::search(self.model, &intervals, self.deadline, self.memory_bytes);
        matches!(answer, Answer::NotLinearizable { .. })
    }
}

/// How long a witness may take; after that it is as small as it has become.
const SHRINK_TIME: Duration = Duration::from_secs(2);
/// What one attempt may take at most, whatever the limit of memory.
const SHRINK_BYTES: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::register::{Register, RegisterOp};

    #[test]
    fn shrinking_keeps_to_the_limit_of_memory() {
        // Every subset of the cas in a ring, and a read that fits nowhere.
        let cas = (0..12_i64).flat_map(|from| (0..12_i64).map(move |to| (from % 4, to % 4)));
        let cas = cas.filter(|(from, to)| from != to).take(24);
        let all = cas.map(|(from, to)| RegisterOp::Cas(from.into(), to.into()));
        let mut operations =
            vec![Interval { op: RegisterOp::Write(0.into()), call: 0, end: Some(1) }];
        operations.extend((2..).zip(all).map(|(call, op)| Interval {
            op,
            call,
            end: Some(1000 + call),
        }));
        let read = Interval { op: RegisterOp::Read(77.into()), call: 2000, end: Some(2001) };
        operations.push(read);
        let within = |memory_bytes| {
            let (stuck, states) = (operations.len() - 1, Vec::new());
            let answer =
                Answer::NotLinearizable { stuck, open: Vec::new(), linearized: stuck, states };
            let deadline = Instant::now() + Duration::from_secs(60);
            Contradiction::of(&Register::default(), &operations, answer, deadline, memory_bytes)
                .expect("a contradiction")
                .witness
                .len()
        };
        assert_eq!(within(0), operations.len());
        assert!(within(1 << 30) < operations.len());
    }
}
