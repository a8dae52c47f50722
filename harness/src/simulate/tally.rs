//! What came of many executions, added up in the order of their seeds: the same for any number of threads, but for the
//! time that it took.

use super::seeds::Seeds;
use crate::exit::{Exit, Failure};
use crate::load;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tribunal_checkers::Validity;
use tribunal_sim::Outcome;
use tribunal_sim::execution::Counts;

/// So many convicted seeds of one property are kept with their reasons.
pub const KEPT_MAX: usize = 20;

/// An execution that was convicted.
#[derive(Clone, Debug)]
pub struct Convicted {
    /// Its seed.
    pub seed: u64,
    /// The property: an invariant, or a checker.
    pub by: &'static str,
    /// Why, in one sentence.
    pub why: String,
}

/// The convictions by one property.
#[derive(Clone, Debug, Default)]
pub struct Convictions {
    /// How many there are.
    pub count: u64,
    /// The first ones, at most [`KEPT_MAX`].
    pub first: Vec<Convicted>,
}

/// The sums.
#[derive(Debug)]
pub struct Tally {
    /// Executions.
    pub executions: u64,
    /// Operations.
    pub counts: Counts,
    /// Virtual time, in ns.
    pub virtual_ns: u128,
    /// Events of the simulator.
    pub events: u64,
    /// Steps of cores.
    pub steps: u64,
    /// Messages between nodes.
    pub messages: u64,
    /// Batches written to disks.
    pub writes: u64,
    /// By name, how many faults were in effect.
    pub faults: BTreeMap<&'static str, u64>,
    /// By checker, in how many executions that were not convicted it could not decide.
    pub undecided: BTreeMap<&'static str, u64>,
    /// By property.
    pub convicted: BTreeMap<&'static str, Convictions>,
    /// Whether a person cut it short.
    pub cut_short: bool,
    /// Why the harness could not go on.
    pub failure: Option<Failure>,
    /// How long it took.
    pub wall: Duration,
    /// How much processor time.
    pub processor: Duration,
    /// Each state that was reached, with the number of the execution that reached it first.
    states: BTreeMap<u64, u64>,
    began: Instant,
}

impl Tally {
    /// Nothing was done.
    #[must_use]
    pub fn start() -> Self {
        Self {
            executions: 0,
            counts: Counts::default(),
            virtual_ns: 0,
            events: 0,
            steps: 0,
            messages: 0,
            writes: 0,
            faults: BTreeMap::new(),
            undecided: BTreeMap::new(),
            convicted: BTreeMap::new(),
            cut_short: false,
            failure: None,
            wall: Duration::ZERO,
            processor: load::cpu_time(),
            states: BTreeMap::new(),
            began: Instant::now(),
        }
    }

    /// Adds the next execution; its conviction, if there is one.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) -> Option<Convicted> {
        for state in &outcome.states {
            self.states.entry(*state).or_insert(self.executions);
        }
        self.executions += 1;
        self.counts.add(outcome.counts);
        self.virtual_ns += u128::from(outcome.virtual_ns);
        self.events += outcome.events;
        self.steps += outcome.steps;
        self.messages += outcome.messages;
        self.writes += outcome.writes;
        for (name, count) in &outcome.faults {
            *self.faults.entry(name).or_default() += count;
        }
        let Some(by) = outcome.convicted_by() else {
            self.add_undecided(outcome);
            return None;
        };
        let new = Convicted { seed, by, why: outcome.why() };
        let convictions = self.convicted.entry(by).or_default();
        convictions.count += 1;
        if convictions.first.len() < KEPT_MAX {
            convictions.first.push(new.clone());
        }
        Some(new)
    }

    fn add_undecided(&mut self, outcome: &Outcome) {
        for verdict in &outcome.verdicts {
            if verdict.validity == Validity::Unknown {
                *self.undecided.entry(verdict.checker).or_default() += 1;
            }
        }
    }

    /// The harness cannot go on.
    pub(super) fn failed(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// Nothing more is added.
    pub(super) fn end(&mut self, cut_short: bool) {
        self.cut_short = cut_short;
        self.wall = self.began.elapsed();
        self.processor = load::cpu_time().saturating_sub(self.processor);
    }

    /// Whether every seed was executed, or the conviction found that was looked for.
    pub(super) fn reached_the_end_of(&self, seeds: &Seeds) -> bool {
        let found = seeds.until_failure && self.convicted_count() > 0;
        found || seeds.count() == Some(self.executions)
    }

    /// How many executions were convicted.
    #[must_use]
    pub fn convicted_count(&self) -> u64 {
        self.convicted.values().map(|convictions| convictions.count).sum()
    }

    /// Distinct states that were reached.
    #[must_use]
    pub fn states_count(&self) -> usize {
        self.states.len()
    }

    /// Those of them that none but the last tenth of the executions reached: few, if more seeds would bring little new.
    #[must_use]
    pub fn states_count_of_last_tenth(&self) -> usize {
        let late = self.executions - self.executions / 10;
        self.states.values().filter(|first| **first >= late).count()
    }

    /// How the program ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match &self.failure {
            _ if self.convicted_count() > 0 => Exit::Invalid,
            Some(failure) => failure.exit,
            None if self.cut_short => Exit::Unknown,
            None => Exit::Valid,
        }
    }
}
