//! A convicted execution made small, for people: what was left out, whether it is the bug that was found, and the folder of
//! the smaller execution.
//!
//! The simulator shrinks and keeps to the property that convicts. That alone does not say that the smaller plan fails by
//! the same mistake, so where the plan names a known bug, the smaller plan is executed without it: if it is convicted
//! still, it shows something else.
//!
//! Absent: any judgement; the smaller plan is executed, judged and reported as any other replay.

use super::progress;
use super::replay::{self, Replay};
use crate::exit::Failure;
use crate::folder::Folder;
use crate::interrupt::Interrupt;
use crate::judge::Judged;
use crate::report::{align, count};
use serde_json::{Value as Json, json};
use std::ops::ControlFlow;
use std::path::Path;
use tribunal_checkers::Validity;
use tribunal_sim::diagram::Diagram;
use tribunal_sim::shrink::{Options, ShrinkError, Shrunk, shrink};
use tribunal_sim::{Outcome, Plan};

/// A plan that is to be made small.
#[derive(Clone, Debug)]
pub struct Shrinking {
    /// The plan.
    pub plan: Plan,
    /// How far to go.
    pub options: Options,
}

/// What came of it.
#[derive(Debug)]
pub enum Found {
    /// The plan is not convicted. Whether its execution was decided, too.
    Nothing(Validity),
    /// A smaller plan.
    Smaller(Box<Smaller>),
}

/// A smaller plan with what is known of it.
#[derive(Debug)]
pub struct Smaller {
    /// What was found.
    pub shrunk: Shrunk,
    /// What convicts the smaller plan without the bug that it names; `None` if it names none.
    pub without_bug: Option<WithoutBug>,
    /// The seed of the plan that was given.
    pub seed: u64,
    black_box: bool,
}

/// The smaller plan's execution without the bug that the plan names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithoutBug {
    /// The bug.
    pub bug: String,
    /// What convicts, and why; `None` if it is acquitted.
    pub convicted: Option<(&'static str, String)>,
}

impl Shrinking {
    /// Searches, with its progress on stderr. An interrupt ends the search with what was found by then.
    ///
    /// # Errors
    /// If the plan cannot be run, or the simulator fails.
    pub fn perform(&self, interrupt: &Interrupt) -> Result<Found, Failure> {
        super::check(&self.plan)?;
        replay::apart(|| self.search(interrupt))
    }

    fn search(&self, interrupt: &Interrupt) -> Result<Found, Failure> {
        let Self { plan, options: Options { black_box, .. } } = self;
        let execute = |plan: &Plan| {
            let options = tribunal_sim::Options { black_box: *black_box, record: false };
            super::execute(plan, options)
        };
        let mut progress = progress::Shrinking::start();
        let mut tell = |now: &_| {
            progress.tick(now);
            if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let result = super::caught(plan.seed, || shrink(plan, &self.options, &mut tell));
        progress.finish();
        let shrunk = match result? {
            Ok(shrunk) => shrunk,
            Err(ShrinkError::NotConvicted { .. }) => {
                return execute(plan).map(|outcome| Found::Nothing(validity(&outcome)));
            }
            Err(ShrinkError::Plan(error)) => return Err(Failure::usage(error)),
        };
        let without_bug = match without_bug(&shrunk.plan) {
            None => None,
            Some((bug, plan)) => {
                let outcome = execute(&plan)?;
                let convicted = outcome.convicted_by().map(|by| (by, outcome.why()));
                Some(WithoutBug { bug, convicted })
            }
        };
        let smaller = Smaller { shrunk, without_bug, seed: plan.seed, black_box: *black_box };
        Ok(Found::Smaller(Box::new(smaller)))
    }
}

/// The plan without the bug that it names, if it names one.
fn without_bug(plan: &Plan) -> Option<(String, Plan)> {
    let mut sound = plan.clone();
    let mutant = sound.system.params.remove("mutant");
    let bug = mutant.or_else(|| sound.client_bug.take())?;
    Some((bug, sound))
}

/// What the checkers say of an execution that is not convicted.
fn validity(outcome: &Outcome) -> Validity {
    let undecided = outcome.verdicts.iter().any(|one| one.validity == Validity::Unknown);
    if undecided { Validity::Unknown } else { Validity::Valid }
}

impl Smaller {
    /// Writes the folder of the smaller execution, below `out`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, out: &Path) -> Result<(Folder, Judged), Failure> {
        let plan = self.shrunk.plan.clone();
        Replay { plan, black_box: self.black_box, command: None }.perform(out)
    }

    /// What was found, for people; the diagram last.
    #[must_use]
    pub fn text(&self) -> String {
        let mut blocks = vec![self.headline(), format!("  {}", self.check()), self.table()];
        blocks.extend(Diagram::of(&self.shrunk.outcome).map(|diagram| diagram.text()));
        blocks.join("\n\n")
    }

    fn headline(&self) -> String {
        let Shrunk { property, executions, complete, .. } = &self.shrunk;
        let executions = count(*executions);
        let end = if *complete {
            "Nothing more was found that can be left out.".to_owned()
        } else {
            "It was not completed: more may be left out with a larger --shrink-executions."
                .to_owned()
        };
        format!(
            "Shrunk seed {}, convicted by {property}, in {executions} executions. {end}",
            self.seed
        )
    }

    /// Whether the bug is what was found.
    fn check(&self) -> String {
        match &self.without_bug {
            None => "The plan names no known bug, so it was not executed without one.".to_owned(),
            Some(WithoutBug { bug, convicted: None }) => {
                format!("The same plan without {bug} is acquitted: the bug is what it shows.")
            }
            Some(WithoutBug { bug, convicted: Some((by, why)) }) => format!(
                "The same plan without {bug} is convicted too, by {by}: it shows something else. {why}"
            ),
        }
    }

    fn table(&self) -> String {
        let head = ["", "before", "after"].map(str::to_owned).to_vec();
        let changes = self.shrunk.changes.iter();
        let rows = changes.map(|one| vec![one.what.to_owned(), one.from.clone(), one.to.clone()]);
        align(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), "  ")
    }

    /// The same for machines: one line.
    #[must_use]
    pub fn json(&self, folder: &Folder) -> Json {
        let Shrunk { property, before, after, changes, executions, complete, outcome, .. } =
            &self.shrunk;
        let without_bug = self.without_bug.as_ref().map(|without| {
            json!({
                "bug": without.bug,
                "acquitted": without.convicted.is_none(),
                "by": without.convicted.as_ref().map(|(by, _)| by),
            })
        });
        json!({
            "seed": self.seed,
            "by": property,
            "why": outcome.why(),
            "executions": executions,
            "complete": complete,
            "before": before,
            "after": after,
            "changes": changes,
            "without_bug": without_bug,
            "folder": folder.path(),
            "command": replay::command(folder, self.black_box),
        })
    }
}
