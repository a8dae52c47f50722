//! How large a plan is, in each dimension in which it can be made smaller.

use super::passes::{KNOBS, Knob};
use crate::execution::Outcome;
use crate::plan::Plan;
use serde::Serialize;

/// How large a plan and its execution are. Shrinking makes no dimension larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Faults of the schedule.
    pub injections: usize,
    /// The sum of their windows, in ms.
    pub fault_ms: u64,
    /// The sum of the nodes that they are aimed at.
    pub targets: usize,
    /// Operations that clients began, those that probe and read at the end included.
    pub operations: u64,
    /// Nodes.
    pub nodes: u32,
    /// Clients.
    pub clients: u32,
    /// How long clients ask, in ms.
    pub asking_ms: u64,
    /// Settings that are not plain.
    pub settings: usize,
}

impl Size {
    /// The size of a plan and of its execution.
    #[must_use]
    pub fn of(plan: &Plan, outcome: &Outcome) -> Self {
        // Of the outcome's schedule, since that one says what targets came to mean.
        let injections = &outcome.schedule.injections;
        let targets = |injection: &tribunal_nemesis::Injection| {
            injection.resolved.as_ref().map_or(0, |resolved| resolved.targets.len())
        };
        Self {
            injections: injections.len(),
            fault_ms: injections.iter().map(|one| one.until_ms - one.at_ms).sum(),
            targets: injections.iter().map(targets).sum(),
            operations: outcome.counts.invoked,
            nodes: plan.nodes,
            clients: plan.clients,
            asking_ms: plan.schedule.duration_ms + plan.calm_ms,
            settings: KNOBS.iter().filter(|knob| !knob.is_plain(plan)).count(),
        }
    }

    /// The dimensions with their names, the unit last.
    #[must_use]
    pub fn dimensions(&self) -> [(&'static str, u64); 8] {
        [
            ("injections", self.injections as u64),
            ("time under faults, ms", self.fault_ms),
            ("targets", self.targets as u64),
            ("operations", self.operations),
            ("nodes", u64::from(self.nodes)),
            ("clients", u64::from(self.clients)),
            ("time of asking, ms", self.asking_ms),
            ("settings that are not plain", self.settings as u64),
        ]
    }
}

/// One difference between the plan that was given and the one that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What.
    pub what: &'static str,
    /// What it was.
    pub from: String,
    /// What it is now.
    pub to: String,
}

/// What differs between two plans, in the order of [`Size::dimensions`] and then of the settings.
pub(super) fn changes(before: &Plan, larger: Size, after: &Plan, smaller: Size) -> Vec<Change> {
    let change = |what, from: String, to: String| Change { what, from, to };
    let dimensions = larger.dimensions().into_iter().zip(smaller.dimensions());
    let mut changes: Vec<Change> = dimensions
        .map(|((what, from), (_, to))| change(what, from.to_string(), to.to_string()))
        .collect();
    let shown = |knob: &Knob| change(knob.name, (knob.show)(before), (knob.show)(after));
    changes.extend(KNOBS.iter().map(shown));
    changes.push(change("seed", before.seed.to_string(), after.seed.to_string()));
    changes.retain(|change| change.from != change.to);
    changes
}
