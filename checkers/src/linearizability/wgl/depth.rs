//! One configuration after the other, always going on with the one that got farthest.
//!
//! Lowe (2017), section 3: what was tried is not tried again.

use super::breadth::stuck_at;
use super::moves::{Moves, state};
use super::scene::Scene;
use super::states::State;
use super::table::Table;
use super::timeline::Timeline;
use super::{Answer, Bounds, Interval, LOOK_EVERY, STATES_MAX};
use crate::models::Model;
use std::collections::BTreeSet;

pub(super) struct Depth<'a, M: Model> {
    timeline: &'a Timeline,
    scene: Scene<'a>,
    moves: Moves<'a, M>,
    /// Configurations with their places: the number of the next return, doubled, and 1 if its calls are not open yet.
    stack: Vec<u64>,
    tried: Table,
    farthest: usize,
    /// The states in which the farthest return was reached.
    states: BTreeSet<State>,
    steps: usize,
}

impl<'a, M: Model> Depth<'a, M> {
    pub(super) fn new(
        model: &'a M,
        operations: &'a [Interval<M::Op>],
        timeline: &'a Timeline,
    ) -> Self {
        let moves = Moves::new(model, operations, timeline);
        let mut stack = moves.layout.start();
        stack.push(1);
        Self {
            timeline,
            scene: Scene::new(timeline),
            tried: Table::new(moves.layout.width + 1),
            stack,
            moves,
            farthest: 0,
            states: BTreeSet::new(),
            steps: 0,
        }
    }

    /// Tries this many configurations. `None` if that did not suffice; it may be called again.
    pub(super) fn run(&mut self, bounds: &Bounds<'_>, most: usize) -> Option<Answer> {
        let entry = self.moves.layout.width + 1;
        let mut configuration = Vec::with_capacity(entry);
        for _ in 0..most {
            let Some(rest) = self.stack.len().checked_sub(entry) else {
                return Some(self.not_linearizable());
            };
            configuration.clear();
            configuration.extend(self.stack.drain(rest..));
            let place = *configuration.last().expect("a place at least");
            let at = usize::try_from(place / 2).expect("a number of a return");
            if at == self.timeline.returns.len() {
                return Some(Answer::Linearizable);
            }
            if let Some(why) = self.look(bounds) {
                return Some(self.unknown(why));
            }
            self.scene.go_to(at);
            if place % 2 == 1 {
                self.reach(at, state(&configuration));
                self.moves.admit(&self.scene, &mut configuration[..entry - 1]);
                configuration[entry - 1] -= 1;
            }
            let new = self.tried.insert(&configuration);
            configuration.pop();
            if new {
                self.expand(&configuration, at as u64);
            }
            if place % 2 == 1 && self.moves.returns(&self.scene, &configuration) {
                push_beyond(&mut self.stack, &self.moves, &self.scene, &configuration);
            }
        }
        None
    }

    /// The answer where a limit came first.
    pub(super) fn unknown(&self, why: &'static str) -> Answer {
        Answer::Unknown { why, linearized: self.farthest, returned: self.timeline.returns.len() }
    }

    /// Pushes what comes of a configuration; what goes beyond the return comes last, so it is tried first.
    fn expand(&mut self, configuration: &[u64], at: u64) {
        let (moves, scene) = (&mut self.moves, &self.scene);
        if !moves.goes_on(scene, configuration) {
            return;
        }
        moves.expand(scene, configuration);
        for child in moves.children.iter().rev().filter(|child| moves.goes_on(scene, child)) {
            self.stack.extend_from_slice(child);
            self.stack.push(2 * at);
        }
        for child in moves.children.iter().rev() {
            if moves.passes(scene, configuration, child) {
                push_beyond(&mut self.stack, moves, scene, child);
            }
        }
    }

    fn reach(&mut self, at: usize, state: State) {
        if at > self.farthest {
            self.farthest = at;
            self.states.clear();
        }
        if at == self.farthest {
            self.states.insert(state);
        }
    }

    fn look(&mut self, bounds: &Bounds<'_>) -> Option<&'static str> {
        self.steps += 1;
        if !self.steps.is_multiple_of(LOOK_EVERY) {
            return None;
        }
        bounds.reached(self.tried.bytes() + self.stack.capacity() * 8 + self.moves.states.bytes())
    }

    fn not_linearizable(&mut self) -> Answer {
        self.scene.go_to(self.farthest);
        let states = self.states.iter().take(STATES_MAX);
        let states = states.map(|&state| self.moves.states.describe(state)).collect();
        stuck_at(&self.scene, self.timeline, states)
    }
}

/// Pushes a configuration of which the next return is taken out.
fn push_beyond<M: Model>(
    stack: &mut Vec<u64>,
    moves: &Moves<'_, M>,
    scene: &Scene<'_>,
    configuration: &[u64],
) {
    let base = stack.len();
    stack.extend_from_slice(configuration);
    moves.pass(scene, &mut stack[base..]);
    stack.push(2 * (scene.at as u64 + 1) + 1);
}
