//! Numbers for the states of a model, and its steps computed once.

use super::Interval;
use super::timeline::{Class, Timeline};
use crate::models::Model;
use rustc_hash::FxHashMap;

/// The number of a state.
pub(super) type State = u32;

/// All states that were met.
pub(super) struct States<'a, M: Model> {
    model: &'a M,
    operations: &'a [Interval<M::Op>],
    timeline: &'a Timeline,
    numbers: FxHashMap<M::State, State>,
    states: Vec<M::State>,
    /// By state, then class, if there are few classes.
    dense: Vec<u32>,
    /// The same if there are many.
    sparse: FxHashMap<(State, Class), u32>,
    /// Of the states, beyond their own size.
    heap_bytes: usize,
}

impl<'a, M: Model> States<'a, M> {
    pub(super) fn new(
        model: &'a M,
        operations: &'a [Interval<M::Op>],
        timeline: &'a Timeline,
    ) -> Self {
        let mut states = Self {
            model,
            operations,
            timeline,
            numbers: FxHashMap::default(),
            states: Vec::new(),
            dense: Vec::new(),
            sparse: FxHashMap::default(),
            heap_bytes: 0,
        };
        states.number(model.init());
        states
    }

    /// The state after an operation of this class, if it can follow.
    pub(super) fn step(&mut self, state: State, class: Class) -> Option<State> {
        let classes = self.timeline.classes.len();
        let dense = classes <= DENSE_MAX;
        let known = if dense {
            self.dense[state as usize * classes + class as usize]
        } else {
            self.sparse.get(&(state, class)).copied().unwrap_or(NOT_KNOWN)
        };
        if known != NOT_KNOWN {
            return (known != REFUSED).then_some(known);
        }
        let op = &self.operations[self.timeline.classes[class as usize].example].op;
        let next = self.model.step(&self.states[state as usize], op);
        let number = next.map_or(REFUSED, |next| self.number(next));
        if dense {
            self.dense[state as usize * classes + class as usize] = number;
        } else {
            self.sparse.insert((state, class), number);
        }
        (number != REFUSED).then_some(number)
    }

    /// Whether nothing leads from this state to one that allows this class, unless something overwrites.
    pub(super) fn loses(&self, state: State, class: Class) -> bool {
        let op = &self.operations[self.timeline.classes[class as usize].example].op;
        self.model.loses(&self.states[state as usize], op)
    }

    /// The state in words.
    pub(super) fn describe(&self, state: State) -> String {
        self.model.describe_state(&self.states[state as usize])
    }

    /// What all of it occupies.
    pub(super) fn bytes(&self) -> usize {
        self.heap_bytes
            + self.states.len() * 3 * (size_of::<M::State>() + size_of::<State>())
            + self.dense.capacity() * size_of::<u32>()
            + self.sparse.capacity() * size_of::<((State, Class), u32)>()
    }

    fn number(&mut self, state: M::State) -> State {
        if let Some(&number) = self.numbers.get(&state) {
            return number;
        }
        let number = u32::try_from(self.states.len()).expect("memory ends before 2^32 states");
        // Kept twice: once to look it up, once to go on from it.
        self.heap_bytes += 2 * self.model.heap_bytes(&state);
        self.numbers.insert(state.clone(), number);
        self.states.push(state);
        let classes = self.timeline.classes.len();
        if classes <= DENSE_MAX {
            self.dense.extend(std::iter::repeat_n(NOT_KNOWN, classes));
        }
        number
    }
}

const REFUSED: u32 = u32::MAX;
const NOT_KNOWN: u32 = u32::MAX - 1;
/// Classes up to which every state has a row for all.
const DENSE_MAX: usize = 128;
