//! Finds a smaller plan whose execution is still convicted by the same property.
//!
//! *Delta debugging* (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE Transactions on
//! Software Engineering, 2002) over injections, and steps downward over everything else that a plan is made of: operations,
//! clients, nodes, the time and the targets of faults, and the settings that can be made plain (`passes`). The passes are
//! repeated until none of them finds anything more, or the budget of executions is used up.
//!
//! A change of the plan shifts the random streams, so each candidate is tried with a few seeds; the first execution that
//! is convicted by the same property is taken. What the targets of faults came to mean is pinned beforehand, so
//! that leaving one fault out aims no other anew.
//!
//! Deterministic: a function of the plan, the options and the program. No clock, no threads. Every candidate was executed: the
//! plan that comes out fails. It is not the smallest one: another seed, or two changes at once, might give less. Nothing
//! says that it fails by the same *mistake*, only by the same property.

mod ddmin;
mod passes;
mod size;

pub use ddmin::ddmin;
pub use size::{Change, Size};

use crate::execution::{self, Outcome, PlanError, run};
use crate::plan::Plan;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// How to shrink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Leave the invariants out: only what clients see convicts.
    pub black_box: bool,
    /// With how many seeds a candidate is tried before it is given up.
    pub seeds_each: u32,
    /// How many executions may be used.
    pub executions_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { black_box: false, seeds_each: 8, executions_max: 2_000 }
    }
}

/// How far it has come; told after each candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Executions used.
    pub executions: u64,
    /// Executions that may be used.
    pub executions_max: u64,
    /// What is being made smaller.
    pub pass: &'static str,
    /// The size of the smallest plan so far.
    pub size: Size,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smaller plan.
    pub plan: Plan,
    /// Its execution, recorded.
    pub outcome: Outcome,
    /// The property that convicts both executions.
    pub property: &'static str,
    /// The size of the plan that was given.
    pub before: Size,
    /// The size of the smaller one.
    pub after: Size,
    /// What differs between the two plans.
    pub changes: Vec<Change>,
    /// Executions used.
    pub executions: u64,
    /// Whether no pass finds anything more; otherwise the budget was used up before, or `progress` ended it.
    pub complete: bool,
}

/// Why there is nothing to shrink.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// The plan cannot be run.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Its execution is not convicted.
    #[error("the execution of seed {seed} is not convicted: there is nothing to shrink")]
    NotConvicted {
        /// The seed of the plan.
        seed: u64,
    },
}

/// Shrinks a plan whose execution is convicted. `progress` is told of each candidate; if it breaks, the search ends with
/// the smallest plan so far.
///
/// # Errors
/// [`ShrinkError`] if the plan cannot be run, or if its execution is not convicted.
pub fn shrink(
    plan: &Plan,
    options: &Options,
    progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Shrunk, ShrinkError> {
    let black_box = options.black_box;
    let outcome = run(plan, execution::Options { black_box, record: false })?;
    let property = outcome.convicted_by().ok_or(ShrinkError::NotConvicted { seed: plan.seed })?;
    let before = Size::of(plan, &outcome);
    let mut current = plan.clone();
    current.schedule = outcome.schedule.clone();
    let mut search = Search {
        options: *options,
        progress,
        property,
        operations_max: outcome.counts.invoked,
        current,
        outcome,
        executions: 1,
        used_up: false,
        rejected: BTreeSet::new(),
        pass: "",
    };
    while search.round() {}
    let Search { current, executions, used_up, .. } = search;
    let outcome = run(&current, execution::Options { black_box, record: true })?;
    assert_eq!(outcome.convicted_by(), Some(property), "an execution is a function of its plan");
    Ok(Shrunk {
        property,
        before,
        after: Size::of(&current, &outcome),
        changes: size::changes(plan, before, &current, Size::of(&current, &outcome)),
        plan: current,
        outcome,
        executions: executions + 1,
        complete: !used_up,
    })
}

/// The smallest plan so far, and what was tried.
struct Search<'a> {
    options: Options,
    progress: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>,
    property: &'static str,
    /// No execution may have more operations than the one that was given.
    operations_max: u64,
    /// Its execution is convicted by `property`.
    current: Plan,
    /// The execution of `current`.
    outcome: Outcome,
    executions: u64,
    /// Whether nothing more may be executed.
    used_up: bool,
    /// Candidates that did not fail, as JSON: a round after the last change tries no candidate again.
    rejected: BTreeSet<String>,
    pass: &'static str,
}

impl Search<'_> {
    /// Tries every pass once. Whether anything became smaller, and the budget is not used up.
    fn round(&mut self) -> bool {
        let before = self.current.clone();
        for (name, pass) in passes::PASSES {
            self.pass = name;
            pass(self);
        }
        self.current != before && !self.used_up
    }

    /// Takes a candidate for the current plan if its execution is convicted by the same property, with any of a few seeds.
    fn accepts(&mut self, mut candidate: Plan) -> bool {
        if candidate == self.current || candidate.schedule.check().is_err() {
            return false;
        }
        // A plan that cannot be written as JSON is tried each time, no more.
        let name = serde_json::to_string(&candidate).unwrap_or_default();
        if self.rejected.contains(&name) {
            return false;
        }
        let seed = self.current.seed;
        for nth in 0..u64::from(self.options.seeds_each.max(1)) {
            candidate.seed = seed.wrapping_add(nth);
            let Some(convicted) = self.execute(&candidate) else { break };
            if convicted {
                candidate.schedule = self.outcome.schedule.clone();
                self.current = candidate;
                self.tell();
                return true;
            }
        }
        if !self.used_up {
            self.rejected.insert(name);
        }
        self.tell();
        false
    }

    /// Whether the execution of a candidate is convicted by the same property; its outcome is kept then. `None` if it cannot
    /// be executed, or the budget is used up.
    fn execute(&mut self, candidate: &Plan) -> Option<bool> {
        // The last execution of the budget records the plan that was found.
        if self.used_up || self.executions + 1 >= self.options.executions_max {
            self.used_up = true;
            return None;
        }
        self.executions += 1;
        let black_box = self.options.black_box;
        let outcome = run(candidate, execution::Options { black_box, record: false }).ok()?;
        let convicted = outcome.convicted_by() == Some(self.property)
            && outcome.counts.invoked <= self.operations_max;
        if convicted {
            self.outcome = outcome;
        }
        Some(convicted)
    }

    fn tell(&mut self) {
        let progress = Progress {
            executions: self.executions,
            executions_max: self.options.executions_max,
            pass: self.pass,
            size: Size::of(&self.current, &self.outcome),
        };
        self.used_up |= (self.progress)(&progress).is_break();
    }
}
