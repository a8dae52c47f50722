//! Cycles of dependencies: their classes, and a short one of each.
//!
//! Source: Adya (1999) for G0, G1c, G-single and G2-item; Elle, section 5, for the search: a breadth-first search in
//! each strongly connected component, from an edge that the class requires back to its source.
//!
//! Short cycles are looked for first. What is found is a cycle, whatever the search skipped: it ends early when its budget of
//! states is spent, and says so if it found none of a class. Then it need not be the shortest, either.

use super::graph::{ALL, Edge, Graph, PROCESS, REAL_TIME, RW, WR, WW};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, VecDeque};

/// Which dependencies a cycle is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Write dependencies only.
    G0,
    /// Also read dependencies.
    G1c,
    /// One anti-dependency.
    Single,
    /// Several anti-dependencies, no two of them adjacent.
    Nonadjacent,
    /// Several anti-dependencies, some adjacent.
    Skew,
}

/// What else it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// Nothing.
    Plain,
    /// The order within a process.
    Process,
    /// The order of real time.
    RealTime,
}

/// A transaction, and how the next one of the cycle depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) transaction: u32,
    pub(super) kind: u8,
}

/// Transactions each of which must come before the next, and the last before the first.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    pub(super) class: Class,
    pub(super) family: Family,
    pub(super) steps: Vec<Step>,
}

impl Cycle {
    /// The field's name for it.
    pub(super) fn name(&self) -> &'static str {
        match (self.class, self.family) {
            (Class::G0, Family::Plain) => "G0",
            (Class::G0, Family::Process) => "G0-process",
            (Class::G0, Family::RealTime) => "G0-realtime",
            (Class::G1c, Family::Plain) => "G1c",
            (Class::G1c, Family::Process) => "G1c-process",
            (Class::G1c, Family::RealTime) => "G1c-realtime",
            (Class::Single, Family::Plain) => "G-single",
            (Class::Single, Family::Process) => "G-single-process",
            (Class::Single, Family::RealTime) => "G-single-realtime",
            (Class::Nonadjacent, Family::Plain) => "G-nonadjacent",
            (Class::Nonadjacent, Family::Process) => "G-nonadjacent-process",
            (Class::Nonadjacent, Family::RealTime) => "G-nonadjacent-realtime",
            (Class::Skew, Family::Plain) => "G2-item",
            (Class::Skew, Family::Process) => "G2-item-process",
            (Class::Skew, Family::RealTime) => "G2-item-realtime",
        }
    }

    /// The cycles of a closed walk: more than one if a transaction comes twice, since each part is a cycle too.
    ///
    /// All are told, since the class of the walk is that of one of them only. If no two anti-dependencies of the walk are
    /// adjacent, then none are in some part: where two meet at a joint of one part, none does there in the rest.
    fn of(walk: Vec<Step>) -> Vec<Self> {
        let mut cycles = Vec::new();
        let mut open: Vec<Step> = Vec::new();
        let mut places: FxHashMap<u32, usize> = FxHashMap::default();
        for step in walk {
            if let Some(first) = places.get(&step.transaction).copied() {
                let part = open.split_off(first);
                for step in &part {
                    places.remove(&step.transaction);
                }
                cycles.push(Self::simple(part));
            }
            places.insert(step.transaction, open.len());
            open.push(step);
        }
        cycles.push(Self::simple(open));
        cycles
    }

    /// A cycle in which no transaction comes twice.
    fn simple(steps: Vec<Step>) -> Self {
        let kinds = steps.iter().fold(0, |kinds, step| kinds | step.kind);
        let anti = |place: usize| steps[place % steps.len()].kind & RW != 0;
        let count = (0..steps.len()).filter(|place| anti(*place)).count();
        let adjacent = (0..steps.len()).any(|place| anti(place) && anti(place + 1));
        let class = match count {
            0 if kinds & WR == 0 => Class::G0,
            0 => Class::G1c,
            1 => Class::Single,
            _ if adjacent => Class::Skew,
            _ => Class::Nonadjacent,
        };
        let family = match () {
            () if kinds & REAL_TIME != 0 => Family::RealTime,
            () if kinds & PROCESS != 0 => Family::Process,
            () => Family::Plain,
        };
        Self { class, family, steps }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// One of each name, from the first component that has one.
    pub(super) cycles: Vec<Cycle>,
    /// Strongly connected components.
    pub(super) components: usize,
    /// Whether a class may have been missed because the search was too much.
    pub(super) cut_short: bool,
}

/// A short cycle of every class and family in the graph; none exactly if the graph has no cycle. `times` tells when each
/// transaction was called and when it had ended for sure.
pub(super) fn cycles(graph: &Graph, times: &[(u64, u64)]) -> Found {
    let components = graph.components(ALL);
    let mut best = Best::default();
    let mut local = match components.is_empty() {
        true => Vec::new(),
        false => vec![0; graph.nodes() as usize],
    };
    let count = components.len();
    let mut cut_short = false;
    for component in components {
        let (part, names) = graph.induced(component, &mut local);
        let mut search =
            Search { graph: &part, names: &names, times, best: &mut best, found: false };
        for family in [Family::Plain, Family::Process, Family::RealTime] {
            for class in [Class::G0, Class::G1c, Class::Single, Class::Nonadjacent, Class::Skew] {
                cut_short |= search.class(Want { class, family });
            }
        }
        if !search.found {
            search.any();
        }
    }
    Found { cycles: best.0.into_values().collect(), components: count, cut_short }
}

#[derive(Debug, Default)]
struct Best(BTreeMap<(Class, Family), Cycle>);

impl Best {
    fn length(&self, want: Want) -> usize {
        self.0.get(&(want.class, want.family)).map_or(usize::MAX, |cycle| cycle.steps.len())
    }

    fn add(&mut self, walk: Vec<Step>) {
        Cycle::of(walk).into_iter().for_each(|cycle| self.add_cycle(cycle));
    }

    fn add_cycle(&mut self, cycle: Cycle) {
        let want = Want { class: cycle.class, family: cycle.family };
        if cycle.steps.len() < self.length(want) {
            self.0.insert((cycle.class, cycle.family), cycle);
        }
    }
}

/// Lengths up to which cycles are looked for first.
const BOUNDS: [usize; 5] = [2, 3, 4, 6, 10];
/// States that the search for cycles up to one length may visit, beside two a node, and that for any length.
const BUDGET_OF_ROUND: usize = 100_000;
const BUDGET: usize = 1_000_000;

/// What a walk has passed so far.
const FAMILY: u8 = 1;
const READ: u8 = 2;
const LAST_ANTI: u8 = 4;
const ANTI_AGAIN: u8 = 8;
const STARTED: u8 = 16;

#[derive(Clone, Copy, Debug)]
struct Want {
    class: Class,
    family: Family,
}

impl Want {
    fn mask(self) -> u8 {
        let data = match self.class {
            Class::G0 => WW,
            Class::G1c => WW | WR,
            Class::Single | Class::Nonadjacent | Class::Skew => WW | WR | RW,
        };
        data | match self.family {
            Family::Plain => 0,
            Family::Process => PROCESS,
            Family::RealTime => PROCESS | REAL_TIME,
        }
    }

    fn family_edge(self) -> u8 {
        match self.family {
            Family::Plain => 0,
            Family::Process => PROCESS,
            Family::RealTime => REAL_TIME,
        }
    }

    /// The kind of edge with which the walk begins: one that every cycle of this class has.
    fn first(self) -> u8 {
        match (self.class, self.family_edge()) {
            (Class::Single | Class::Nonadjacent | Class::Skew, _) => RW,
            (_, family) if family != 0 => family,
            (Class::G1c, _) => WR,
            _ => WW,
        }
    }

    /// The state after one more edge, if the class allows it.
    fn step(self, state: u8, kind: u8, from_joint: bool) -> Option<u8> {
        let mut next = state;
        if kind & self.family_edge() != 0 {
            next |= FAMILY;
        }
        if from_joint {
            return Some(next);
        }
        if kind & WR != 0 {
            next |= READ;
        }
        let (anti, started) = (kind & RW != 0, state & STARTED != 0);
        let allowed = match self.class {
            Class::G0 | Class::G1c => true,
            Class::Single => !anti || !started,
            Class::Nonadjacent => !anti || state & LAST_ANTI == 0,
            // Turned so that two adjacent anti-dependencies come first.
            Class::Skew => anti || !started || state & ANTI_AGAIN != 0,
        };
        if anti && started {
            next |= ANTI_AGAIN;
        }
        next = if anti { next | LAST_ANTI } else { next & !LAST_ANTI };
        allowed.then_some(next | STARTED)
    }

    /// As [`Want::step`], along a path that an edge of real time will close.
    fn step_before_time(self, state: u8, kind: u8, from_joint: bool) -> Option<u8> {
        if from_joint {
            return Some(state);
        }
        let mut next = if kind & WR != 0 { state | READ } else { state };
        if kind & RW == 0 {
            return Some(next & !LAST_ANTI);
        }
        let (again, adjacent) = (state & STARTED != 0, state & LAST_ANTI != 0);
        let allowed = match self.class {
            Class::G0 | Class::G1c | Class::Skew => true,
            Class::Single => !again,
            Class::Nonadjacent => !adjacent,
        };
        if adjacent || (again && self.class == Class::Nonadjacent) {
            next |= ANTI_AGAIN;
        }
        allowed.then_some(next | STARTED | LAST_ANTI)
    }

    fn accepts_before_time(self, state: u8) -> bool {
        match self.class {
            Class::G0 => true,
            Class::G1c => state & READ != 0,
            Class::Single => state & STARTED != 0,
            Class::Nonadjacent | Class::Skew => state & ANTI_AGAIN != 0,
        }
    }

    fn accepts(self, state: u8) -> bool {
        let family = self.family == Family::Plain || state & FAMILY != 0;
        family
            && match self.class {
                Class::G0 | Class::Single => true,
                Class::G1c => state & READ != 0,
                Class::Nonadjacent => state & ANTI_AGAIN != 0 && state & LAST_ANTI == 0,
                Class::Skew => state & ANTI_AGAIN != 0,
            }
    }
}

/// Looks for cycles in one component.
struct Search<'a> {
    graph: &'a Graph,
    /// The transactions of the nodes.
    names: &'a [u32],
    /// By transaction, not by node.
    times: &'a [(u64, u64)],
    best: &'a mut Best,
    found: bool,
}

/// A node and what the walk has passed.
type Place = (u32, u8);

impl Search<'_> {
    /// Looks for a cycle of a class, short ones first; answers whether it gave up with none.
    fn class(&mut self, want: Want) -> bool {
        let mut component = vec![0_u32; self.graph.nodes() as usize];
        for (number, members) in (1..).zip(self.graph.components(want.mask())) {
            members.iter().for_each(|member| component[*member as usize] = number);
        }
        let before = self.best.length(want);
        let budget = BUDGET_OF_ROUND + 2 * self.graph.nodes() as usize;
        for bound in BOUNDS {
            self.round(&component, want, budget, |search, from, budget| match want.family {
                Family::RealTime => search.once_in_time(want, from, bound, &component, budget),
                _ => search.back_to(want, from, bound, &component, budget),
            });
        }
        if self.best.length(want) < usize::MAX {
            self.found |= self.best.length(want) < before;
            return false;
        }
        let left = self.round(&component, want, BUDGET, |search, from, budget| {
            search.back_to(want, from, usize::MAX - 1, &component, budget);
        });
        self.found |= self.best.length(want) < usize::MAX;
        left == 0 && self.best.length(want) == usize::MAX
    }

    /// One search from every transaction of a component, until a cycle is found or the budget is spent; answers what is left.
    fn round(
        &mut self,
        component: &[u32],
        want: Want,
        mut budget: usize,
        mut search: impl FnMut(&mut Self, u32, &mut usize),
    ) -> usize {
        for from in 0..self.graph.transactions {
            if budget == 0 || self.best.length(want) < usize::MAX {
                break;
            }
            if component[from as usize] != 0 {
                search(self, from, &mut budget);
            }
        }
        budget
    }

    /// Looks for cycles of at most `bound` transactions that begin with an edge which the class requires.
    fn back_to(
        &mut self,
        want: Want,
        from: u32,
        bound: usize,
        component: &[u32],
        budget: &mut usize,
    ) {
        for (to, kind) in self.graph.out(from) {
            let inside = component[from as usize] == component[to as usize];
            if !inside || kind & want.first() == 0 || kind & !want.mask() != 0 {
                continue;
            }
            let edge = Edge { from, to, kind };
            if let Some(steps) = self.shortest(want, edge, bound, component, budget) {
                self.best.add(steps);
            }
        }
    }

    /// The shortest closed walk that begins with `first`, if within `bound` and shorter than the best so far.
    fn shortest(
        &self,
        want: Want,
        first: Edge,
        bound: usize,
        component: &[u32],
        budget: &mut usize,
    ) -> Option<Vec<Step>> {
        let state = want.step(0, first.kind, false)?;
        let bound = self.best.length(want).min(bound + 1);
        let origin: Place = (first.from, 0);
        let mut reached: FxHashMap<Place, (Place, u8)> = FxHashMap::default();
        reached.insert((first.to, state), (origin, first.kind));
        // Distances in transactions: joints cost nothing, so they go to the front.
        let mut queue: VecDeque<(Place, usize)> = VecDeque::from([((first.to, state), 1)]);
        while let Some((place, length)) = queue.pop_front() {
            *budget = budget.saturating_sub(1);
            if length >= bound || *budget == 0 {
                return None;
            }
            let from_joint = self.graph.joint(place.0);
            if !from_joint && length + 1 >= bound {
                continue;
            }
            for (to, kind) in self.graph.out(place.0) {
                let outside = component[to as usize] != component[first.from as usize];
                if outside || kind & !want.mask() != 0 {
                    continue;
                }
                let Some(state) = want.step(place.1, kind, from_joint) else { continue };
                if to == first.from && want.accepts(state) {
                    return Some(self.walk(&reached, place, kind));
                }
                let next = (to, state);
                if next.0 == first.from || reached.contains_key(&next) {
                    continue;
                }
                reached.insert(next, (place, kind));
                match from_joint {
                    true => queue.push_front((next, length)),
                    false => queue.push_back((next, length + 1)),
                }
            }
        }
        None
    }

    /// Looks for a cycle of at most `bound` transactions that uses real time once, from its last one back to `from`.
    ///
    /// It compares times instead of walking along them: what is short is found at once.
    fn once_in_time(
        &mut self,
        want: Want,
        from: u32,
        bound: usize,
        component: &[u32],
        budget: &mut usize,
    ) {
        let (call, _) = self.times[self.names[from as usize] as usize];
        let mut reached: FxHashMap<Place, (Place, u8)> = FxHashMap::default();
        let mut queue: VecDeque<(Place, usize)> = VecDeque::from([((from, 0), 1)]);
        while let Some((place, length)) = queue.pop_front() {
            *budget = budget.saturating_sub(1);
            if *budget == 0 {
                return;
            }
            let from_joint = self.graph.joint(place.0);
            for (to, kind) in self.graph.out(place.0) {
                let outside = component[to as usize] != component[from as usize] || to == from;
                if outside || kind & !want.mask() != 0 || kind == REAL_TIME {
                    continue;
                }
                let Some(state) = want.step_before_time(place.1, kind, from_joint) else {
                    continue;
                };
                let next = (to, state);
                if reached.contains_key(&next) {
                    continue;
                }
                reached.insert(next, (place, kind));
                let joint = self.graph.joint(to);
                let ended = !joint && self.times[self.names[to as usize] as usize].1 < call;
                if ended && want.accepts_before_time(state) {
                    let steps = self.walk(&reached, next, REAL_TIME);
                    self.best.add(steps);
                    return;
                }
                match from_joint {
                    true => queue.push_front((next, length)),
                    false if length + 1 < bound || joint => queue.push_back((next, length + 1)),
                    false => {}
                }
            }
        }
    }

    /// Back from the last place to the origin, without the joints.
    fn walk(&self, reached: &FxHashMap<Place, (Place, u8)>, last: Place, kind: u8) -> Vec<Step> {
        let mut steps = Vec::new();
        let (mut place, mut kind) = (last, kind);
        loop {
            if !self.graph.joint(place.0) {
                steps.push(Step { transaction: self.names[place.0 as usize], kind });
            }
            // Only the origin has no entry: its state is 0, and every other place has started.
            let Some((before, into)) = reached.get(&place) else { break };
            (place, kind) = (*before, *into);
        }
        steps.reverse();
        steps
    }

    fn add(&mut self, steps: Vec<Step>) {
        self.found = true;
        self.best.add(steps);
    }

    /// Some cycle: every component has one. For when the searches by class gave up.
    fn any(&mut self) {
        for (to, kind) in self.graph.out(0) {
            let mut reached: FxHashMap<Place, (Place, u8)> = FxHashMap::default();
            reached.insert((to, STARTED), ((0, 0), kind));
            let mut queue = VecDeque::from([(to, STARTED)]);
            while let Some(place) = queue.pop_front() {
                for (next, kind) in self.graph.out(place.0) {
                    if next == 0 {
                        let steps = self.walk(&reached, place, kind);
                        self.add(steps);
                        return;
                    }
                    if let Entry::Vacant(fresh) = reached.entry((next, STARTED)) {
                        fresh.insert((place, kind));
                        queue.push_back((next, STARTED));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_walk_that_passes_a_transaction_twice_every_cycle_is_told() {
        let step = |(transaction, kind)| Step { transaction, kind };
        let told = |walk: &[(u32, u8)]| {
            let cycles = Cycle::of(walk.iter().copied().map(step).collect());
            cycles.iter().map(|cycle| (cycle.class, cycle.steps.len())).collect::<Vec<_>>()
        };
        // No two are adjacent in the walk; in its first part, the last and the first.
        let walk = [(1, RW), (2, WW), (3, RW), (1, WW), (4, WR), (5, WW)];
        assert_eq!(told(&walk), [(Class::Skew, 3), (Class::G1c, 3)]);
        let walk = [(0, RW), (1, WW), (2, WR)];
        assert_eq!(told(&walk), [(Class::Single, 3)]);
    }
}
