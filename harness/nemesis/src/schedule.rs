//! A schedule: which fault, when and for how long, as a JSON file that people read and edit.
//!
//! An injection names its fault with a symbolic target (`kill:target=leader`) and, once it was carried out, the nodes
//! that this came to mean (`resolved`). A replay repeats either: keep `resolved` to hit the same nodes, delete it to
//! have the target resolved again ([`Schedule::symbolic`] deletes all).

use crate::faults::Fault;
use crate::resolve::{CLIENTS, Resolved};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The format of the file.
pub const VERSION: u32 = 1;

/// The faults of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The format; [`VERSION`].
    pub version: u32,
    /// What the schedule was made from, and what resolves its targets.
    pub seed: u64,
    /// The number of nodes; they are called `1..=nodes`.
    pub nodes: u32,
    /// How long clients run, in ms.
    pub duration_ms: u64,
    /// The faults by their start.
    pub injections: Vec<Injection>,
}

/// One fault from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Injection {
    /// Its number, unique in the schedule. Symbolic targets are drawn from (seed, id).
    pub id: u32,
    /// When it starts, in ms after the clients did.
    pub at_ms: u64,
    /// When it ends. A permanent fault ends with the run.
    pub until_ms: u64,
    /// What happens, to what symbolic target.
    pub fault: Fault,
    /// What the target came to mean; if given, a run uses this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
}

/// What happens at a time of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The fault with this id ends.
    End(u32),
    /// The injection at this place starts.
    Start(usize),
}

/// Why a schedule cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The file is not JSON of this form.
    #[error("not a schedule: {0}")]
    Json(#[from] serde_json::Error),
    /// A fault was asked for that does not exist.
    #[error(transparent)]
    Spec(#[from] tribunal_spec::SpecError),
    /// The file has another format.
    #[error("the schedule has version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// No alternative of a requested fault can befall a system of this size.
    #[error("`{spec}` is not possible with {nodes} nodes")]
    TooFewNodes {
        /// What was asked for.
        spec: String,
        /// The size of the system.
        nodes: u32,
    },
    /// The run is too short for the faults that were asked for.
    #[error("{asked} kinds of faults do not fit into {duration_ms} ms; {needed_ms} ms would do")]
    TooShort {
        /// How many specs were given.
        asked: usize,
        /// What there is.
        duration_ms: u64,
        /// What would do.
        needed_ms: u64,
    },
    /// Two injections have one id.
    #[error("injection {0} occurs twice")]
    DuplicateId(u32),
    /// An injection contradicts itself or the schedule.
    #[error("injection {id}: {why}")]
    Injection {
        /// Which one.
        id: u32,
        /// What is wrong.
        why: String,
    },
    /// Of those that are members, too many could be lost.
    #[error(
        "`membership` and faults that take nodes away for good cannot be combined: the members left could be lost"
    )]
    MembersLost,
    /// Too few nodes would be left at the end.
    #[error("{lost} of {nodes} nodes would stay dead; a majority has to live")]
    MajorityLost {
        /// Nodes that are not started again.
        lost: u32,
        /// The size of the system.
        nodes: u32,
    },
}

impl Schedule {
    /// Reads and checks a schedule.
    ///
    /// # Errors
    /// [`ScheduleError`], whatever is wrong first.
    pub fn from_json(text: &str) -> Result<Self, ScheduleError> {
        let schedule: Self = serde_json::from_str(text)?;
        schedule.check()?;
        Ok(schedule)
    }

    /// The schedule as indented JSON, with a line feed at its end.
    ///
    /// # Errors
    /// Those of serde; none is known for this type.
    pub fn to_json(&self) -> Result<String, ScheduleError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The same schedule with every target to be resolved anew.
    #[must_use]
    pub fn symbolic(mut self) -> Self {
        for injection in &mut self.injections {
            injection.resolved = None;
        }
        self
    }

    /// Whether any injection cuts links between nodes, so that the run needs a plane that can.
    #[must_use]
    pub fn cuts_peer_links(&self) -> bool {
        self.injections.iter().any(|injection| match (&injection.resolved, injection.fault) {
            (Some(resolved), _) => {
                resolved.cut.iter().any(|&(from, to)| from != CLIENTS && to != CLIENTS)
            }
            (None, Fault::Partition { kind, .. }) => kind != crate::Partition::ClientSide,
            (None, _) => false,
        })
    }

    /// Every start and end with its time in ms, in order; ends come before starts of the same time. A permanent fault has
    /// no end.
    #[must_use]
    pub fn moments(&self) -> Vec<(u64, Moment)> {
        let mut moments = Vec::new();
        for (nth, injection) in self.injections.iter().enumerate() {
            moments.push((injection.at_ms, Moment::Start(nth)));
            if !injection.fault.is_permanent() {
                moments.push((injection.until_ms, Moment::End(injection.id)));
            }
        }
        moments.sort_unstable();
        moments
    }

    /// How long after their ends the effects of these faults may last, in ms: what was slowed or stalled is still under way,
    /// and a clock that was ahead stands. The sum of all, since they may overlap.
    #[must_use]
    pub fn lingering_ms(&self) -> u64 {
        self.injections.iter().map(|injection| injection.fault.lingering_ms()).sum()
    }

    /// Checks what a hand may have broken.
    ///
    /// # Errors
    /// [`ScheduleError`], whatever is wrong first.
    pub fn check(&self) -> Result<(), ScheduleError> {
        if self.version != VERSION {
            return Err(ScheduleError::Version(self.version));
        }
        let mut ids = BTreeSet::new();
        for injection in &self.injections {
            if !ids.insert(injection.id) {
                return Err(ScheduleError::DuplicateId(injection.id));
            }
            if let Some(why) = self.objection(injection) {
                return Err(ScheduleError::Injection { id: injection.id, why });
            }
        }
        self.check_majority()
    }

    /// What is wrong with one injection by itself.
    fn objection(&self, injection: &Injection) -> Option<String> {
        let Injection { at_ms, until_ms, fault, resolved, .. } = injection;
        if at_ms >= until_ms || *until_ms > self.duration_ms {
            let duration_ms = self.duration_ms;
            return Some(format!("{at_ms}..{until_ms} ms is not a window of 0..{duration_ms} ms"));
        }
        if !fault.fits(self.nodes) {
            return Some(format!("`{fault}` is not possible with {} nodes", self.nodes));
        }
        let resolved = resolved.as_ref()?;
        let nodes = resolved.targets.iter().chain(&resolved.down).copied();
        if let Some(node) = nodes.into_iter().find(|node| !(1..=self.nodes).contains(node)) {
            return Some(format!("there is no node {node}"));
        }
        let is_link = |&(from, to): &(u32, u32)| from != to && from.max(to) <= self.nodes;
        let link = resolved.cut.iter().find(|link| !is_link(link))?;
        Some(format!("there is no link {link:?}"))
    }

    fn check_majority(&self) -> Result<(), ScheduleError> {
        let any = |is: fn(&Fault) -> bool| self.injections.iter().any(|one| is(&one.fault));
        if any(Fault::needs_everyone_back) && any(Fault::is_permanent) {
            return Err(ScheduleError::MembersLost);
        }
        let permanent =
            || self.injections.iter().filter(|injection| injection.fault.is_permanent());
        let known: BTreeSet<u32> = permanent()
            .filter_map(|injection| injection.resolved.as_ref())
            .flat_map(|resolved| resolved.down.iter().copied())
            .collect();
        // What is not resolved yet may hit other nodes each time.
        let unknown: u32 = permanent()
            .filter(|injection| injection.resolved.is_none())
            .map(|injection| injection.fault.lost_for_good(self.nodes))
            .fold(0, u32::saturating_add);
        let lost = unknown.saturating_add(u32::try_from(known.len()).unwrap_or(u32::MAX));
        if lost > crate::minority(self.nodes) {
            return Err(ScheduleError::MajorityLost { lost, nodes: self.nodes });
        }
        Ok(())
    }
}
