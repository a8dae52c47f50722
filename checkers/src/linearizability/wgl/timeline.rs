//! A history as the search walks it: calls and returns, classes of equal operations, and the bits of each operation.

use super::Interval;
use crate::models::{Model, Nature};
use rustc_hash::FxHashMap;

/// The number of a class of equal operations.
pub(super) type Class = u32;

/// Equal operations.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassInfo {
    pub(super) nature: Nature,
    /// One of them.
    pub(super) example: usize,
    /// The bit of its first crashed one, among the bits of the crashed.
    pub(super) crashed_first: u32,
}

/// A call or a return.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) operation: u32,
    pub(super) returns: bool,
}

/// What is known of an operation beforehand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) class: Class,
    /// The number of its return; `NEVER` if it crashed.
    pub(super) deadline: u32,
    /// Its bit, among those that return or among the crashed.
    pub(super) bit: u32,
}

/// The history. Crashed operations that can change nothing are not in it.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    pub(super) classes: Vec<ClassInfo>,
    pub(super) operations: Vec<Known>,
    pub(super) events: Vec<Event>,
    /// Where the returns are among the events.
    pub(super) returns: Vec<u32>,
    /// For each return, the class of the first observation called after it; `NEVER` if there is none.
    pub(super) ahead: Vec<u32>,
    /// How many bits the operations that return need.
    pub(super) width: usize,
    /// How many crashed operations there are.
    pub(super) crashed: usize,
}

impl Timeline {
    pub(super) fn new<M: Model>(model: &M, intervals: &[Interval<M::Op>]) -> Self {
        let (operations, mut classes) = classify(model, intervals);
        let mut timeline = Self {
            classes: Vec::new(),
            operations,
            events: events(intervals, &kept(model, intervals)),
            returns: Vec::new(),
            ahead: Vec::new(),
            width: 0,
            crashed: 0,
        };
        timeline.number_crashed(&mut classes);
        timeline.classes = classes;
        timeline.number_live();
        timeline.look_ahead();
        timeline
    }

    fn look_ahead(&mut self) {
        let mut next = NEVER;
        for event in self.events.iter().rev() {
            let class = self.operations[event.operation as usize].class;
            if event.returns {
                self.ahead.push(next);
            } else if self.classes[class as usize].nature == Nature::Observes {
                next = class;
            }
        }
        self.ahead.reverse();
    }

    /// Gives crashed operations their bits: together for each class, in the order of their calls.
    fn number_crashed(&mut self, classes: &mut [ClassInfo]) {
        let crashed = self.events.iter().map(|event| event.operation as usize);
        let mut crashed: Vec<usize> =
            crashed.filter(|&nth| self.operations[nth].deadline == NEVER).collect();
        crashed.sort_by_key(|&nth| self.operations[nth].class);
        let mut before = None;
        for (bit, &nth) in (0..).zip(&crashed) {
            let known = &mut self.operations[nth];
            known.bit = bit;
            if before.replace(known.class) != Some(known.class) {
                classes[known.class as usize].crashed_first = bit;
            }
        }
        self.crashed = crashed.len();
    }

    /// Gives the others their bits, each free again after a return, and the numbers of their returns.
    fn number_live(&mut self) {
        let mut free: Vec<u32> = Vec::new();
        let mut width = 0;
        for (position, event) in (0..).zip(&self.events) {
            let known = &mut self.operations[event.operation as usize];
            if event.returns {
                known.deadline = narrow(self.returns.len());
                self.returns.push(position);
                free.push(known.bit);
            } else if known.deadline != NEVER {
                known.bit = free.pop().unwrap_or_else(|| {
                    width += 1;
                    width - 1
                });
            }
        }
        self.width = width as usize;
    }

    pub(super) fn known(&self, operation: u32) -> Known {
        self.operations[operation as usize]
    }

    pub(super) fn class(&self, class: Class) -> &ClassInfo {
        &self.classes[class as usize]
    }

    /// What it occupies.
    pub(super) fn bytes(&self) -> usize {
        self.operations.len() * size_of::<Known>()
            + self.events.len() * size_of::<Event>()
            + 2 * self.returns.len() * size_of::<u32>()
            + self.classes.len() * size_of::<ClassInfo>()
    }
}

fn classify<M: Model>(model: &M, intervals: &[Interval<M::Op>]) -> (Vec<Known>, Vec<ClassInfo>) {
    let mut numbers: FxHashMap<&M::Op, Class> = FxHashMap::default();
    let mut classes = Vec::new();
    let known = intervals.iter().enumerate().map(|(nth, interval)| {
        let class = *numbers.entry(&interval.op).or_insert_with(|| {
            let nature = model.nature(&interval.op);
            classes.push(ClassInfo { nature, example: nth, crashed_first: 0 });
            narrow(classes.len() - 1)
        });
        Known { class, deadline: interval.end.map_or(NEVER, |_| 0), bit: 0 }
    });
    (known.collect(), classes)
}

/// Which operations take part.
fn kept<M: Model>(model: &M, intervals: &[Interval<M::Op>]) -> Vec<bool> {
    let (crashed, completed): (Vec<(usize, _)>, Vec<(usize, _)>) =
        intervals.iter().enumerate().partition(|(_, interval)| interval.end.is_none());
    let mut kept = vec![true; intervals.len()];
    if crashed.is_empty() {
        return kept;
    }
    let completed: Vec<&M::Op> = completed.iter().map(|(_, interval)| &interval.op).collect();
    let crashed_ops: Vec<&M::Op> = crashed.iter().map(|(_, interval)| &interval.op).collect();
    let useful = model.may_matter(&completed, &crashed_ops);
    for ((nth, interval), useful) in crashed.into_iter().zip(useful) {
        kept[nth] = useful && model.nature(&interval.op) != Nature::Observes;
    }
    kept
}

fn events<Op>(intervals: &[Interval<Op>], kept: &[bool]) -> Vec<Event> {
    let mut events: Vec<(u64, bool, u32)> = Vec::with_capacity(2 * intervals.len());
    for (nth, interval) in intervals.iter().enumerate().filter(|(nth, _)| kept[*nth]) {
        events.push((interval.call, false, narrow(nth)));
        events.extend(interval.end.map(|end| (end, true, narrow(nth))));
    }
    // At one index a call comes before a return: they overlap.
    events.sort_unstable();
    events.into_iter().map(|(_, returns, operation)| Event { operation, returns }).collect()
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("a history of less than 2^31 operations")
}

/// The deadline of a crashed operation.
pub(super) const NEVER: u32 = u32::MAX;
