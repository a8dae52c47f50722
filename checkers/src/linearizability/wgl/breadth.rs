//! All configurations after one return, then all after the next.
//!
//! Lowe (2017), section 4.2 keeps the same sets without domination. A layer keeps no dominated configuration that was seen
//! to be so; each is compared with the most promising of its state only, so that a layer costs its size times
//! a constant.

use super::moves::{Moves, state};
use super::scene::Scene;
use super::states::State;
use super::table::Table;
use super::timeline::Timeline;
use super::{Answer, Bounds, Interval, LOOK_EVERY, STATES_MAX};
use crate::models::Model;
use std::cmp::Reverse;
use std::collections::BTreeSet;

pub(super) struct Breadth<'a, M: Model> {
    timeline: &'a Timeline,
    scene: Scene<'a>,
    moves: Moves<'a, M>,
    /// Configurations before the return at hand.
    layer: Table,
    /// Those that are tried at this return.
    work: Table,
    /// Those that went beyond it.
    next: Table,
    looked: usize,
}

impl<'a, M: Model> Breadth<'a, M> {
    pub(super) fn new(
        model: &'a M,
        operations: &'a [Interval<M::Op>],
        timeline: &'a Timeline,
    ) -> Self {
        let moves = Moves::new(model, operations, timeline);
        let table = || Table::new(moves.layout.width);
        Self {
            timeline,
            scene: Scene::new(timeline),
            layer: table(),
            work: table(),
            next: table(),
            moves,
            looked: 0,
        }
    }

    pub(super) fn run(mut self, bounds: &Bounds<'_>) -> Answer {
        let returned = self.timeline.returns.len();
        self.layer.insert(&self.moves.layout.start());
        for at in 0..returned {
            self.scene.go_to(at);
            if let Err(why) = self.pass_return(bounds) {
                return Answer::Unknown { why, linearized: at, returned };
            }
            if self.next.len() == 0 {
                return self.not_linearizable();
            }
            if let Err(why) = self.keep_best(bounds) {
                return Answer::Unknown { why, linearized: at + 1, returned };
            }
        }
        Answer::Linearizable
    }

    /// Fills `next` from `layer`.
    fn pass_return(&mut self, bounds: &Bounds<'_>) -> Result<(), &'static str> {
        self.work.clear();
        self.next.clear();
        let mut child = Vec::with_capacity(self.moves.layout.width);
        for number in 0..self.layer.len() {
            self.look(bounds)?;
            child.clear();
            child.extend_from_slice(self.layer.get(number));
            self.moves.admit(&self.scene, &mut child);
            if self.moves.goes_on(&self.scene, &child) {
                self.work.insert(&child);
            }
            if self.moves.returns(&self.scene, &child) {
                self.moves.pass(&self.scene, &mut child);
                self.next.insert(&child);
            }
        }
        let mut number = 0;
        while number < self.work.len() {
            self.look(bounds)?;
            child.clear();
            child.extend_from_slice(self.work.get(number));
            self.expand(&child);
            number += 1;
        }
        self.look(bounds)
    }

    fn expand(&mut self, parent: &[u64]) {
        self.moves.expand(&self.scene, parent);
        let mut passing = Vec::new();
        for child in self.moves.children.iter() {
            if self.moves.passes(&self.scene, parent, child) {
                passing.clear();
                passing.extend_from_slice(child);
                self.moves.pass(&self.scene, &mut passing);
                self.next.insert(&passing);
            }
            if self.moves.goes_on(&self.scene, child) {
                self.work.insert(child);
            }
        }
    }

    /// Makes `next` the layer, without what is dominated.
    fn keep_best(&mut self, bounds: &Bounds<'_>) -> Result<(), &'static str> {
        let layout = self.moves.layout;
        let next = &self.next;
        let mut order: Vec<(State, Reverse<i64>, usize)> = (0..next.len())
            .map(|number| {
                let configuration = next.get(number);
                (state(configuration), Reverse(layout.worth(configuration)), number)
            })
            .collect();
        order.sort_unstable();
        self.layer.clear();
        for alike in order.chunk_by(|one, other| one.0 == other.0) {
            let mut best: Vec<usize> = Vec::new();
            for (_, _, number) in alike {
                self.look(bounds)?;
                let next = &self.next;
                let configuration = next.get(*number);
                if !best.iter().any(|&better| layout.dominates(next.get(better), configuration)) {
                    self.layer.insert(configuration);
                    if best.len() < COMPARED_MAX {
                        best.push(*number);
                    }
                }
            }
        }
        Ok(())
    }

    fn look(&mut self, bounds: &Bounds<'_>) -> Result<(), &'static str> {
        self.looked += 1;
        if !self.looked.is_multiple_of(LOOK_EVERY) {
            return Ok(());
        }
        let tables = self.layer.bytes() + self.work.bytes() + self.next.bytes();
        bounds.reached(tables + self.moves.states.bytes()).map_or(Ok(()), Err)
    }

    fn not_linearizable(&self) -> Answer {
        let states = (0..self.layer.len()).map(|number| state(self.layer.get(number)));
        let states: BTreeSet<State> = states.collect();
        let states = states.into_iter().take(STATES_MAX);
        let states = states.map(|state| self.moves.states.describe(state)).collect();
        stuck_at(&self.scene, self.timeline, states)
    }
}

/// The answer where no order goes beyond the return of the scene.
pub(super) fn stuck_at(scene: &Scene<'_>, timeline: &Timeline, states: Vec<String>) -> Answer {
    let stuck = timeline.events[timeline.returns[scene.at] as usize].operation as usize;
    let open = scene.everything().into_iter().filter(|&operation| operation != stuck).collect();
    Answer::NotLinearizable { stuck, open, linearized: scene.at, states }
}

/// How many of a state another is compared with.
const COMPARED_MAX: usize = 128;
