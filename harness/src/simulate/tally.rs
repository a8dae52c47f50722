//! What came of many executions, added up in the order of their seeds: the same for any number of threads, but for the
//! time that it took.

use super::seeds::Seeds;
use crate::exit::{Exit, Failure};
use crate::load;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tribunal_checkers::{Validity, Verdict};
use tribunal_sim::execution::Counts;
use tribunal_sim::{Asked, Outcome};

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
    /// The kinds of faults that were asked for by name.
    pub asked: BTreeSet<String>,
    /// Executions that were not convicted in which every property was decided.
    pub decided: u64,
    /// By checker, in how many executions that were not convicted it could not decide.
    pub undecided: BTreeMap<&'static str, u64>,
    /// By invariant, how many checks it had to leave out.
    pub skipped: BTreeMap<&'static str, u64>,
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
    /// Nothing was done of what was asked.
    #[must_use]
    pub fn start(asked: &Asked) -> Self {
        let kinds = asked.nemesis.iter().flatten().map(|spec| spec.name.clone());
        Self {
            executions: 0,
            counts: Counts::default(),
            virtual_ns: 0,
            events: 0,
            steps: 0,
            messages: 0,
            writes: 0,
            faults: BTreeMap::new(),
            asked: kinds.collect(),
            decided: 0,
            skipped: BTreeMap::new(),
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
        for (name, count) in &outcome.skipped {
            *self.skipped.entry(name).or_default() += count;
        }
        let Some(by) = outcome.convicted_by() else {
            self.add_acquitted(outcome);
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

    fn add_acquitted(&mut self, outcome: &Outcome) {
        let unknown = |verdict: &&Verdict| verdict.validity == Validity::Unknown;
        let mut decided = true;
        for verdict in outcome.verdicts.iter().filter(unknown) {
            *self.undecided.entry(verdict.checker).or_default() += 1;
            decided = false;
        }
        self.decided += u64::from(decided);
    }

    /// The harness cannot go on. The first failure is kept: others follow from it.
    pub fn failed(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
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

    /// The kinds of faults that were asked for and in effect in no execution: an acquittal says nothing of them.
    #[must_use]
    pub fn never_in_effect(&self) -> Vec<&str> {
        let asked = self.asked.iter().map(String::as_str);
        asked.filter(|kind| !self.faults.contains_key(kind)).collect()
    }

    /// How the program ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match &self.failure {
            _ if self.convicted_count() > 0 => Exit::Invalid,
            Some(failure) => failure.exit,
            None if self.cut_short || !self.never_in_effect().is_empty() => Exit::Unknown,
            None => Exit::Valid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tribunal_sim::{Options, Plan, run};

    fn outcome() -> Outcome {
        let asked = Asked { duration_ms: Some(200), nemesis: Some(Vec::new()), ..Asked::default() };
        let plan = Plan::swarm(1, &asked).expect("possible");
        run(&plan, Options::default()).expect("runs")
    }

    #[test]
    fn an_undecided_execution_is_no_evidence() {
        let mut tally = Tally::start(&Asked::default());
        let mut outcome = outcome();
        assert!(tally.add(0, &outcome).is_none());
        outcome.verdicts[0] = Verdict::unknown("linearizable", "out of time");
        assert!(tally.add(1, &outcome).is_none());
        assert_eq!((tally.executions, tally.decided), (2, 1));
        assert_eq!(tally.undecided, BTreeMap::from([("linearizable", 1)]));
        assert_eq!(tally.exit(), Exit::Valid);
        outcome.finished = false;
        assert_eq!(tally.add(2, &outcome).expect("convicted").by, "ends");
        assert_eq!((tally.convicted_count(), tally.exit()), (1, Exit::Invalid));
    }

    #[test]
    fn a_state_counts_where_it_was_reached_first() {
        let mut tally = Tally::start(&Asked::default());
        let mut outcome = outcome();
        for number in 0..20 {
            // Each execution reaches one state of its own and one that all reach.
            outcome.states = [1_000, number].into();
            tally.add(number, &outcome);
        }
        assert_eq!(tally.states_count(), 21);
        assert_eq!(tally.states_count_of_last_tenth(), 2);
    }

    #[test]
    fn a_violation_outranks_a_failure_which_outranks_an_interrupt() {
        let mut tally = Tally::start(&Asked::default());
        tally.end(true);
        assert_eq!(tally.exit(), Exit::Unknown);
        tally.failed(Failure::harness("seed 1: it failed"));
        assert_eq!(tally.exit(), Exit::Failed);
        tally.add(0, &Outcome { finished: false, ..outcome() });
        assert_eq!(tally.exit(), Exit::Invalid);
    }

    #[test]
    fn a_fault_that_was_asked_for_and_never_in_effect_leaves_it_unknown() {
        let specs =
            ["partition", "kill", "kill:stay-dead=yes"].map(|spec| spec.parse().expect("a spec"));
        let asked = Asked { nemesis: Some(specs.into()), ..Asked::default() };
        let mut tally = Tally::start(&asked);
        let mut outcome = outcome();
        outcome.faults = [("kill", 2)].into();
        tally.add(0, &outcome);
        assert_eq!((tally.never_in_effect(), tally.exit()), (vec!["partition"], Exit::Unknown));
        outcome.faults = [("partition", 1)].into();
        tally.add(1, &outcome);
        assert_eq!((tally.never_in_effect(), tally.exit()), (vec![], Exit::Valid));

        let mut tally = Tally::start(&asked);
        tally.add(0, &Outcome { finished: false, ..outcome });
        assert_eq!(tally.exit(), Exit::Invalid, "a violation outranks what is missing");
    }
}
