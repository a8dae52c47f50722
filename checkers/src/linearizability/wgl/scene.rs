//! What is open at a return, kept up to date as a search walks forth and back.

use super::timeline::{Class, NEVER, Timeline};
use crate::models::Nature;

/// An open operation that will return.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) class: Class,
    pub(super) deadline: u32,
    pub(super) bit: u32,
}

/// Those called since the return before, with those that they make needless or that make them so.
#[derive(Clone, Debug)]
pub(super) struct Fresh {
    pub(super) open: Open,
    pub(super) nature: Nature,
    /// If one of these waits, this one need not.
    pub(super) served_by: Vec<u32>,
    /// If this one waits, these need not.
    pub(super) serves: Vec<u32>,
}

/// The open operations just before a return.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    timeline: &'a Timeline,
    /// The number of the return.
    pub(super) at: usize,
    /// How many events have passed.
    position: usize,
    /// By bit.
    slots: Vec<u32>,
    /// By class: crashed operations called so far.
    crashed: Vec<u32>,
    /// Classes of which some crashed operation was called, in the order of the first calls.
    pub(super) crashed_classes: Vec<Class>,
    /// The one that returns.
    pub(super) returning: Open,
    /// Open ones that may change the state, by class, then by deadline.
    pub(super) movers: Vec<Open>,
    /// Open ones that only observe.
    pub(super) observers: Vec<Open>,
    /// Bits of the open ones that are never refused, in words.
    pub(super) total: Vec<u64>,
    pub(super) fresh: Vec<Fresh>,
}

impl<'a> Scene<'a> {
    /// Before everything. Go to a return before use.
    pub(super) fn new(timeline: &'a Timeline) -> Self {
        Self {
            timeline,
            at: usize::MAX,
            position: 0,
            slots: vec![NEVER; timeline.width],
            crashed: vec![0; timeline.classes.len()],
            crashed_classes: Vec::new(),
            returning: Open { class: 0, deadline: 0, bit: 0 },
            movers: Vec::new(),
            observers: Vec::new(),
            total: vec![0; timeline.width.div_ceil(64)],
            fresh: Vec::new(),
        }
    }

    /// Crashed operations of a class that were called so far.
    pub(super) fn crashed_of(&self, class: Class) -> u32 {
        self.crashed[class as usize]
    }

    /// Whether the operation that returns only observes.
    pub(super) fn returning_observes(&self) -> bool {
        self.timeline.class(self.returning.class).nature == Nature::Observes
    }

    /// All that are open, as numbers of operations, crashed ones included.
    pub(super) fn everything(&self) -> Vec<usize> {
        let live = self.slots.iter().copied().filter(|&operation| operation != NEVER);
        let passed = self.timeline.events[..self.position].iter().map(|event| event.operation);
        let crashed = passed.filter(|&nth| self.timeline.known(nth).deadline == NEVER);
        live.chain(crashed).map(|operation| operation as usize).collect()
    }

    /// Walks to the return number `at`.
    pub(super) fn go_to(&mut self, at: usize) {
        if self.at == at {
            return;
        }
        let target = self.timeline.returns[at] as usize;
        while self.position < target {
            self.forth();
        }
        while self.position > target {
            self.back();
        }
        self.at = at;
        self.prepare();
    }

    fn forth(&mut self) {
        let event = self.timeline.events[self.position];
        let known = self.timeline.known(event.operation);
        self.position += 1;
        if known.deadline != NEVER {
            self.slots[known.bit as usize] = if event.returns { NEVER } else { event.operation };
            return;
        }
        let count = &mut self.crashed[known.class as usize];
        *count += 1;
        if *count == 1 {
            self.crashed_classes.push(known.class);
        }
    }

    fn back(&mut self) {
        self.position -= 1;
        let event = self.timeline.events[self.position];
        let known = self.timeline.known(event.operation);
        if known.deadline != NEVER {
            self.slots[known.bit as usize] = if event.returns { event.operation } else { NEVER };
            return;
        }
        let count = &mut self.crashed[known.class as usize];
        *count -= 1;
        if *count == 0 {
            self.crashed_classes.pop();
        }
    }

    fn open(&self, operation: u32) -> Open {
        let known = self.timeline.known(operation);
        Open { class: known.class, deadline: known.deadline, bit: known.bit }
    }

    fn prepare(&mut self) {
        self.returning = self.open(self.timeline.events[self.position].operation);
        self.movers.clear();
        self.observers.clear();
        self.total.fill(0);
        for &operation in self.slots.iter().filter(|&&operation| operation != NEVER) {
            let known = self.timeline.known(operation);
            let open = Open { class: known.class, deadline: known.deadline, bit: known.bit };
            let nature = self.timeline.class(open.class).nature;
            match nature {
                Nature::Observes => self.observers.push(open),
                _ => self.movers.push(open),
            }
            if matches!(nature, Nature::Total | Nature::Overwrites) {
                self.total[open.bit as usize / 64] |= 1 << (open.bit % 64);
            }
        }
        self.movers.sort_unstable_by_key(|open| (open.class, open.deadline));
        self.prepare_fresh();
    }

    /// Relates those called since the return before to all that were called before them.
    fn prepare_fresh(&mut self) {
        let first = if self.at == 0 { 0 } else { self.timeline.returns[self.at - 1] as usize + 1 };
        let calls = &self.timeline.events[first..self.position];
        let calls = calls.iter().map(|event| event.operation);
        let fresh: Vec<Open> = calls
            .filter(|&operation| self.timeline.known(operation).deadline != NEVER)
            .map(|operation| self.open(operation))
            .collect();
        // Those called before the one at hand: not yet seen among the fresh ones.
        let mut later: Vec<u32> = fresh.iter().map(|open| open.bit).collect();
        later.reverse();
        self.fresh.clear();
        for open in fresh {
            let nature = self.timeline.class(open.class).nature;
            let mut entry = Fresh { open, nature, served_by: Vec::new(), serves: Vec::new() };
            let alike = if nature == Nature::Observes { &self.observers } else { &self.movers };
            for other in alike.iter().filter(|other| !later.contains(&other.bit)) {
                if other.deadline < open.deadline && self.serves(*other, open) {
                    entry.served_by.push(other.bit);
                } else if other.deadline > open.deadline && self.serves(open, *other) {
                    entry.serves.push(other.bit);
                }
            }
            later.pop();
            self.fresh.push(entry);
        }
    }

    /// Whether `late` owes nothing any more once `early`, which returns before it, does not, if both are open.
    fn serves(&self, early: Open, late: Open) -> bool {
        let nature = |open: Open| self.timeline.class(open.class).nature;
        match (nature(early), nature(late)) {
            (Nature::Observes, Nature::Observes) => early.class == late.class,
            (Nature::Overwrites, Nature::Overwrites | Nature::Total) => true,
            _ => false,
        }
    }
}
