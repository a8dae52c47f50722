//! What came of the trials of mutants and of their counterparts, and the figures over it.
//!
//! Invariant: a base in which a mutant was not caught counts as *at least* what was spent on it, and sorts behind every
//! base in which it was. A figure that rests on such a base says so.

use super::catalogue::{Defendant, Mutant};
use crate::exit::Failure;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was measured, and how.
#[derive(Debug)]
pub struct Measured {
    /// How.
    pub mode: Mode,
    /// The mutants, in the order of the catalogue.
    pub trials: Vec<Trial>,
    /// What they are compared with.
    pub controls: Vec<Control>,
    /// Whether it was cut short: then trials are missing, and bases.
    pub cut_short: bool,
    /// What failed in the harness and cut it short.
    pub failure: Option<Failure>,
}

/// How mutants are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Executions in the simulator.
    Simulated {
        /// Whether invariants were left out.
        black_box: bool,
        /// How many base seeds.
        bases: u32,
        /// The most processor time that is spent on one base.
        budget: Duration,
    },
    /// Runs of processes.
    Real {
        /// The most runs.
        runs: u32,
        /// How long clients ask in each.
        duration: Duration,
    },
}

/// A mutant on trial.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Which one.
    pub mutant: Mutant,
    /// What came of each base that was tried.
    pub attempts: Vec<Attempt>,
    /// Why it was not tried at all.
    pub exempt: Option<&'static str>,
}

/// What came of executions from one base seed, or of a series of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// How many there were, the one that convicts included.
    pub executions: u64,
    /// Of these, how many could not be decided.
    pub unknown: u64,
    /// What they took: processor time in the simulator, time of clients in runs.
    pub seconds: f64,
    /// What convicts.
    pub conviction: Option<Conviction>,
}

/// What convicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conviction {
    /// The invariant or the checker.
    pub by: String,
    /// Its reason.
    pub why: String,
    /// The command that repeats the execution, or shows the run.
    pub command: String,
}

/// A counterpart, tried as the mutants are. It must never be convicted.
#[derive(Clone, Debug)]
pub struct Control {
    /// Which one.
    pub defendant: Defendant,
    /// What came of each base.
    pub attempts: Vec<Attempt>,
}

/// A figure over bases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// Whether it rests on a base in which the mutant was not caught: then it is at least this.
    pub at_least: bool,
}

impl Mode {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulated { black_box: false, .. } => "white-box",
            Self::Simulated { black_box: true, .. } => "black-box",
            Self::Real { .. } => "real",
        }
    }

    /// How many bases there are to be.
    #[must_use]
    pub fn bases(self) -> u32 {
        match self {
            Self::Simulated { bases, .. } => bases,
            Self::Real { .. } => 1,
        }
    }

    /// The most that is spent on one base.
    #[must_use]
    pub fn budget(self) -> Duration {
        match self {
            Self::Simulated { budget, .. } => budget,
            Self::Real { runs, duration } => duration * runs,
        }
    }
}

impl Attempt {
    /// The same, held to `budget`: a conviction that came after it was used up is not one within it, so the mutant was not
    /// caught. Not for counterparts, which must not be convicted at any time.
    #[must_use]
    pub fn within(self, budget: Duration) -> Self {
        let budget = budget.as_secs_f64();
        if self.seconds <= budget {
            return self;
        }
        Self { seconds: budget, conviction: None, ..self }
    }
}

impl Trial {
    /// In how many bases it was caught.
    #[must_use]
    pub fn bases_caught(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.conviction.is_some()).count()
    }

    /// Whether it was caught at all.
    #[must_use]
    pub fn caught(&self) -> bool {
        self.bases_caught() > 0
    }

    /// In how many bases each checker or invariant convicted.
    #[must_use]
    pub fn by(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for conviction in self.attempts.iter().filter_map(|attempt| attempt.conviction.as_ref()) {
            *counts.entry(conviction.by.as_str()).or_default() += 1;
        }
        counts
    }

    /// The most frequent of them; of two as frequent ones the first by name.
    #[must_use]
    pub fn mostly_by(&self) -> Option<&str> {
        let most = |(_, one): &(&str, u64), (_, other): &(&str, u64)| one.cmp(other);
        self.by().into_iter().rev().max_by(most).map(|(name, _)| name)
    }

    /// Executions until it was caught, at the given percentile over bases.
    #[must_use]
    pub fn executions(&self, percentile: u32) -> Option<Figure> {
        self.figure(percentile, |attempt| attempt.executions as f64)
    }

    /// Seconds until it was caught, at the given percentile over bases.
    #[must_use]
    pub fn seconds(&self, percentile: u32) -> Option<Figure> {
        self.figure(percentile, |attempt| attempt.seconds)
    }

    fn figure(&self, percentile: u32, value: impl Fn(&Attempt) -> f64) -> Option<Figure> {
        let figure = |attempt: &Attempt| Figure {
            value: value(attempt),
            at_least: attempt.conviction.is_none(),
        };
        percentile_of(self.attempts.iter().map(figure).collect(), percentile)
    }

    /// All that was spent on it.
    #[must_use]
    pub fn seconds_sum(&self) -> f64 {
        seconds_sum(&self.attempts)
    }
}

impl Control {
    /// How many executions or runs there were.
    #[must_use]
    pub fn executions(&self) -> u64 {
        self.attempts.iter().map(|attempt| attempt.executions).sum()
    }

    /// Of these, how many could not be decided.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.attempts.iter().map(|attempt| attempt.unknown).sum()
    }

    /// What they took.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        seconds_sum(&self.attempts)
    }

    /// The convictions, each a false one.
    pub fn convictions(&self) -> impl Iterator<Item = &Conviction> {
        self.attempts.iter().filter_map(|attempt| attempt.conviction.as_ref())
    }

    /// The rate of false convictions, by execution, that is refuted with 95 % confidence if there was none: the rule of
    /// three (Hanley and Lippman-Hand, "If Nothing Goes Wrong, Is Everything All Right?", JAMA 1983). Undecided ones do not
    /// count.
    #[must_use]
    pub fn false_rate_max(&self) -> Option<f64> {
        let decided = self.executions() - self.unknown();
        // Of three or fewer, the rule says nothing.
        let tells = self.convictions().next().is_none() && decided > 3;
        tells.then(|| 3.0 / decided as f64)
    }
}

impl Measured {
    /// The mutants that were tried in every base, or caught in one.
    pub fn tried(&self) -> impl Iterator<Item = &Trial> {
        let bases = self.mode.bases() as usize;
        self.trials.iter().filter(move |trial| {
            trial.exempt.is_none() && (trial.caught() || trial.attempts.len() == bases)
        })
    }

    /// The mutants that got away.
    pub fn missed(&self) -> impl Iterator<Item = &Trial> {
        self.tried().filter(|trial| !trial.caught())
    }

    /// Whether a counterpart was convicted.
    #[must_use]
    pub fn falsely_convicted(&self) -> bool {
        self.controls.iter().any(|control| control.convictions().next().is_some())
    }

    /// The median over mutants of their median in seconds.
    #[must_use]
    pub fn median_of_medians(&self) -> Option<Figure> {
        percentile_of(self.tried().filter_map(|trial| trial.seconds(50)).collect(), 50)
    }
}

/// From +0, since the sum of no floats is -0, which people would read.
fn seconds_sum(attempts: &[Attempt]) -> f64 {
    attempts.iter().fold(0.0, |sum, attempt| sum + attempt.seconds)
}

/// The median as the mean of the two in the middle; any other percentile by nearest rank.
fn percentile_of(mut figures: Vec<Figure>, percentile: u32) -> Option<Figure> {
    figures.sort_by(compare);
    let count = figures.len();
    if percentile == 50 && count > 0 && count.is_multiple_of(2) {
        let (low, high) = (figures[count / 2 - 1], figures[count / 2]);
        let value = f64::midpoint(low.value, high.value);
        return Some(Figure { value, at_least: high.at_least });
    }
    let rank = (count * percentile as usize).div_ceil(100).max(1);
    figures.get(rank - 1).copied()
}

fn compare(one: &Figure, other: &Figure) -> Ordering {
    one.at_least.cmp(&other.at_least).then(one.value.total_cmp(&other.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::catalogue;

    fn attempt(executions: u64, by: Option<&str>) -> Attempt {
        let conviction = by.map(|by| Conviction {
            by: by.to_owned(),
            why: String::new(),
            command: String::new(),
        });
        Attempt { executions, unknown: 0, seconds: executions as f64 / 10.0, conviction }
    }

    fn trial(attempts: Vec<Attempt>) -> Trial {
        let mutant = catalogue::all().remove(0);
        Trial { mutant, attempts, exempt: None }
    }

    fn figure(value: f64, at_least: bool) -> Option<Figure> {
        Some(Figure { value, at_least })
    }

    #[test]
    fn a_base_without_a_conviction_sorts_behind_all_others() {
        let trial = trial(vec![
            attempt(50, None),
            attempt(90, Some("agreement")),
            attempt(10, Some("linearizable")),
        ]);
        assert_eq!(trial.executions(50), figure(90.0, false));
        assert_eq!(trial.executions(90), figure(50.0, true));
        assert_eq!(trial.seconds(50), figure(9.0, false));
        assert_eq!(trial.bases_caught(), 2);
    }

    #[test]
    fn a_conviction_after_the_budget_is_none() {
        let late = attempt(30, Some("agreement"));
        assert_eq!(late.clone().within(Duration::from_secs(3)), late);
        let held = late.within(Duration::from_millis(2_999));
        assert_eq!((held.executions, held.seconds), (30, 2.999));
        assert_eq!(trial(vec![held]).bases_caught(), 0);
    }

    #[test]
    fn nothing_tried_took_no_time_and_not_minus_none() {
        let defendant = catalogue::all().remove(0).counterpart();
        let control = Control { defendant, attempts: Vec::new() };
        assert_eq!(format!("{:.1}", control.seconds()), "0.0");
        assert_eq!(format!("{:.1}", trial(Vec::new()).seconds_sum()), "0.0");
    }

    #[test]
    fn an_even_number_of_bases_has_its_median_between_two() {
        let caught = |executions| attempt(executions, Some("agreement"));
        assert_eq!(trial(vec![caught(4), caught(2)]).executions(50), figure(3.0, false));
        let half = trial(vec![caught(4), attempt(8, None)]);
        assert_eq!(half.executions(50), figure(6.0, true));
        assert_eq!(trial(Vec::new()).executions(50), None);
        let ten = trial((1..=10).map(caught).collect());
        assert_eq!(ten.executions(90), figure(9.0, false));
    }

    #[test]
    fn the_most_frequent_reason_is_told_and_of_two_the_first_by_name() {
        let by = |names: &[&str]| {
            let trial = trial(names.iter().map(|name| attempt(1, Some(name))).collect());
            trial.mostly_by().map(str::to_owned)
        };
        assert_eq!(by(&["b", "a", "b"]).as_deref(), Some("b"));
        assert_eq!(by(&["b", "a"]).as_deref(), Some("a"));
        assert_eq!(by(&[]), None);
    }

    #[test]
    fn a_control_refutes_a_rate_only_by_what_was_decided() {
        let control = |unknown, by| Control {
            defendant: catalogue::all().remove(0).counterpart(),
            attempts: vec![Attempt { unknown, ..attempt(300, by) }],
        };
        assert_eq!(control(0, None).false_rate_max(), Some(0.01));
        assert_eq!(control(150, None).false_rate_max(), Some(0.02));
        assert_eq!(control(300, None).false_rate_max(), None);
        assert_eq!(control(0, Some("agreement")).false_rate_max(), None);
    }
}
