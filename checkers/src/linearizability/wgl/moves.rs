//! Configurations, and the steps that both searches share.

use super::Interval;
use super::scene::{Open, Scene};
use super::states::{State, States};
use super::timeline::{Class, NEVER, Timeline};
use crate::models::{Model, Nature};
use rustc_hash::FxHashMap;

/// How a configuration lies in words: the state, then a bit for each operation that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Words for those that return: once for done, once for spent.
    live: usize,
    /// All words.
    pub(super) width: usize,
}

impl Layout {
    pub(super) fn new(timeline: &Timeline) -> Self {
        let live = timeline.width.div_ceil(64);
        Self { live, width: 1 + 2 * live + timeline.crashed.div_ceil(64) }
    }

    /// The configuration before everything.
    pub(super) fn start(self) -> Vec<u64> {
        let mut configuration = vec![0; self.width];
        configuration[0] = u64::from(INITIAL);
        configuration
    }

    fn done(self, bit: u32) -> (usize, u64) {
        (1 + bit as usize / 64, 1 << (bit % 64))
    }

    fn spent(self, bit: u32) -> (usize, u64) {
        (1 + self.live + bit as usize / 64, 1 << (bit % 64))
    }

    fn crashed(self, bit: u32) -> (usize, u64) {
        (1 + 2 * self.live + bit as usize / 64, 1 << (bit % 64))
    }

    /// Whether whatever follows `other` also follows `one`: it has done no less and spent no more.
    pub(super) fn dominates(self, one: &[u64], other: &[u64]) -> bool {
        let spent = 1 + self.live;
        let done_no_less = (1..spent).all(|word| other[word] & !one[word] == 0);
        done_no_less && (spent..self.width).all(|word| one[word] & !other[word] == 0)
    }

    /// Greater or equal for one that dominates.
    pub(super) fn worth(self, configuration: &[u64]) -> i64 {
        let count =
            |words: &[u64]| words.iter().map(|word| i64::from(word.count_ones())).sum::<i64>();
        count(&configuration[1..=self.live]) - count(&configuration[1 + self.live..])
    }
}

/// What a configuration becomes by placing one operation.
#[derive(Debug, Default)]
pub(super) struct Children {
    width: usize,
    /// One after the other.
    words: Vec<u64>,
}

impl Children {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u64]> {
        self.words.chunks_exact(self.width)
    }
}

/// The steps.
pub(super) struct Moves<'a, M: Model> {
    pub(super) layout: Layout,
    timeline: &'a Timeline,
    pub(super) states: States<'a, M>,
    /// At the return of the scene: for each state, the bits of the observations that it allows, then of those that
    /// nothing allows any more after it.
    allowed: FxHashMap<State, Box<[u64]>>,
    /// Whether the history has an operation that overwrites.
    overwritten: bool,
    allowed_at: usize,
    pub(super) children: Children,
    /// Classes whose living members are available, in the expansion at hand.
    alive: Vec<Class>,
}

impl<'a, M: Model> Moves<'a, M> {
    pub(super) fn new(
        model: &'a M,
        operations: &'a [Interval<M::Op>],
        timeline: &'a Timeline,
    ) -> Self {
        let layout = Layout::new(timeline);
        Self {
            layout,
            timeline,
            states: States::new(model, operations, timeline),
            allowed: FxHashMap::default(),
            overwritten: timeline.classes.iter().any(|class| class.nature == Nature::Overwrites),
            allowed_at: usize::MAX,
            children: Children { width: layout.width, words: Vec::new() },
            alive: Vec::new(),
        }
    }

    /// Opens the operations that were called since the return before.
    pub(super) fn admit(&mut self, scene: &Scene<'_>, configuration: &mut [u64]) {
        let layout = self.layout;
        for fresh in &scene.fresh {
            let (word, mask) = layout.done(fresh.open.bit);
            let waits = |configuration: &[u64], bit: u32| {
                let (word, mask) = layout.done(bit);
                configuration[word] & mask == 0
            };
            let served = match fresh.nature {
                Nature::Observes => {
                    self.states.step(state(configuration), fresh.open.class).is_some()
                }
                _ => false,
            };
            if served || fresh.served_by.iter().any(|&bit| waits(configuration, bit)) {
                configuration[word] |= mask;
                continue;
            }
            for &bit in &fresh.serves {
                let (word, mask) = layout.done(bit);
                configuration[word] |= mask;
            }
        }
    }

    /// Whether the one that returns owes nothing.
    pub(super) fn returns(&self, scene: &Scene<'_>, configuration: &[u64]) -> bool {
        let (word, mask) = self.layout.done(scene.returning.bit);
        configuration[word] & mask != 0
    }

    /// Whether the one that returns may still be placed to some purpose.
    pub(super) fn goes_on(&self, scene: &Scene<'_>, configuration: &[u64]) -> bool {
        let (word, mask) = self.layout.spent(scene.returning.bit);
        let spent = configuration[word] & mask != 0;
        let observed = scene.returning_observes() && self.returns(scene, configuration);
        !(spent || observed)
    }

    /// Whether a child is to go on beyond the return: unless its parent was, and nothing was decided since.
    pub(super) fn passes(&self, scene: &Scene<'_>, parent: &[u64], child: &[u64]) -> bool {
        let (word, mask) = self.layout.spent(scene.returning.bit);
        self.returns(scene, child) && (!self.returns(scene, parent) || child[word] & mask != 0)
    }

    /// Takes the return out of the configuration.
    pub(super) fn pass(&self, scene: &Scene<'_>, configuration: &mut [u64]) {
        let (done, mask) = self.layout.done(scene.returning.bit);
        let (spent, _) = self.layout.spent(scene.returning.bit);
        configuration[done] &= !mask;
        configuration[spent] &= !mask;
        configuration[0] &= !IDLE;
    }

    /// Places each operation that may come next, the earliest returning first; the results are [`Self::children`].
    pub(super) fn expand(&mut self, scene: &Scene<'_>, parent: &[u64]) {
        if self.allowed_at != scene.at {
            self.allowed.clear();
            self.allowed_at = scene.at;
        }
        self.children.words.clear();
        self.alive.clear();
        let mut rest = &scene.movers[..];
        while let Some(first) = rest.first() {
            let alike = rest.iter().take_while(|open| open.class == first.class).count();
            let (class, others) = rest.split_at(alike);
            rest = others;
            self.place_living(scene, parent, class);
        }
        for &class in &scene.crashed_classes {
            if self.alive.contains(&class) {
                continue;
            }
            let first = self.timeline.class(class).crashed_first;
            let mut bits = first..first + scene.crashed_of(class);
            let unspent = bits.find(|&bit| {
                let (word, mask) = self.layout.crashed(bit);
                parent[word] & mask == 0
            });
            if let Some(bit) = unspent {
                let spent = self.layout.crashed(bit);
                self.place(scene, parent, class, None, spent);
            }
        }
    }

    /// Places the first of a class that waits, and the first that does not: if it overwrites, only the first of all.
    fn place_living(&mut self, scene: &Scene<'_>, parent: &[u64], class: &[Open]) {
        let overwrites = self.timeline.class(class[0].class).nature == Nature::Overwrites;
        let mut placed = [false; 2];
        for open in class {
            let (word, mask) = self.layout.spent(open.bit);
            if parent[word] & mask != 0 {
                continue;
            }
            let (word, mask) = self.layout.done(open.bit);
            let done = usize::from(!overwrites && parent[word] & mask != 0);
            if !std::mem::replace(&mut placed[done], true) {
                let spent = self.layout.spent(open.bit);
                self.place(scene, parent, open.class, Some(open.bit), spent);
            }
        }
        if placed.contains(&true) {
            self.alive.push(class[0].class);
        }
    }

    /// Places one, if the state allows it.
    fn place(
        &mut self,
        scene: &Scene<'_>,
        parent: &[u64],
        class: Class,
        living: Option<u32>,
        spent: (usize, u64),
    ) {
        let overwrites = self.timeline.class(class).nature == Nature::Overwrites;
        if overwrites && parent[0] & IDLE != 0 {
            return;
        }
        let before = state(parent);
        let Some(after) = self.states.step(before, class) else { return };
        // A crashed one that changes nothing and hides nothing would be spent for nothing.
        if after == before && living.is_none() && !overwrites {
            return;
        }
        let ahead = self.timeline.ahead[scene.at];
        if !self.overwritten && ahead != NEVER && self.states.loses(after, ahead) {
            return;
        }
        let layout = self.layout;
        self.allow(scene, after);
        let (allowed, lost) = self.allowed[&after].split_at(layout.live);
        if lost.iter().zip(&parent[1..]).any(|(lost, done)| lost & !done != 0) {
            return;
        }
        let at = self.children.words.len();
        self.children.words.extend_from_slice(parent);
        let child = &mut self.children.words[at..];
        child[0] = u64::from(after);
        child[spent.0] |= spent.1;
        if let Some(bit) = living {
            let (word, mask) = layout.done(bit);
            child[word] |= mask;
        }
        let mut observed = 0;
        for (nth, &mask) in allowed.iter().enumerate() {
            observed |= mask & !child[1 + nth];
            child[1 + nth] |= mask;
        }
        if overwrites {
            for (nth, &mask) in scene.total.iter().enumerate() {
                child[1 + nth] |= mask;
            }
            child[0] |= if observed == 0 { IDLE } else { 0 };
        }
    }

    /// Computes which observations a state allows, and which it rules out for good.
    fn allow(&mut self, scene: &Scene<'_>, state: State) {
        if self.allowed.contains_key(&state) {
            return;
        }
        let mut allowed = vec![0; 2 * self.layout.live].into_boxed_slice();
        for open in &scene.observers {
            let word = open.bit as usize / 64;
            if self.states.step(state, open.class).is_some() {
                allowed[word] |= 1 << (open.bit % 64);
            } else if !self.overwritten && self.states.loses(state, open.class) {
                allowed[self.layout.live + word] |= 1 << (open.bit % 64);
            }
        }
        self.allowed.insert(state, allowed);
    }
}

/// The state of a configuration.
pub(super) fn state(configuration: &[u64]) -> State {
    u32::try_from(configuration[0] & u64::from(u32::MAX)).expect("32 bits")
}

/// The state before the first operation.
const INITIAL: State = 0;
/// Set beside the state if the last operation overwrote, and nobody observed what it left.
const IDLE: u64 = 1 << 63;
