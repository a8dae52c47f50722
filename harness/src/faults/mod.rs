//! How each fault is carried out on real processes: one file a fault, and one line in [`Faults::start`] and
//! [`Faults::end`].
//!
//! Faults overlap. [`holds`] counts who holds what, so that the end of one fault does not heal another:
//! * a link stays cut as long as any partition holds it, by a reset rather than silently if any asks for one;
//! * a killed node starts again when the last kill that holds it ends, unless one of them wants it dead for good;
//! * a pause belongs to a process, not to a node: one that is killed meanwhile starts again running;
//! * a pause finds no process at a killed node, and says so.
//!
//! Each start and each end gives a [`Notice`] for the history: the outcome (*installed*, *skipped*, *indeterminate*), and
//! at the end the evidence that the fault bit. A node that had ended by itself is never started again: that would
//! hide a violation.
//!
//! Some faults are available in the simulator only. [`refuse_simulated`] refuses them before a run; one that is started
//! nevertheless is skipped, and says so.
//!
//! [`conduct`](conductor::conduct) carries a whole schedule out.

pub mod conductor;
mod holds;
mod kill;
mod membership;
mod partition;
mod pause;

pub use conductor::conduct;
pub use membership::Operator;
pub use tribunal_checkers::notice::{At, Notice, Outcome, Report};

use crate::cluster::Cluster;
use holds::Holds;
use std::collections::BTreeMap;
use std::sync::Arc;
use tribunal_nemesis::{Available, Fault, Injection, Resolved};

/// The faults in effect on one cluster.
#[derive(Debug)]
pub struct Faults {
    cluster: Arc<Cluster>,
    operator: Operator,
    holds: Holds,
    active: BTreeMap<u32, Active>,
}

/// A fault that has started and not ended.
#[derive(Debug)]
struct Active {
    fault: Fault,
    resolved: Resolved,
    installed: Installed,
}

/// What a fault has to know at its end.
#[derive(Debug)]
enum Installed {
    Partition(partition::Installed),
    Kill(kill::Installed),
    Pause(pause::Installed),
    Membership(membership::Installed),
    /// Nothing: it is available in the simulator only.
    Nothing,
}

impl Faults {
    /// No fault is in effect on `cluster` yet.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, operator: Operator) -> Self {
        Self { cluster, operator, holds: Holds::default(), active: BTreeMap::new() }
    }

    /// Starts a fault on the nodes and links that its target resolved to.
    ///
    /// To be awaited to its end: a start that is dropped half-way leaves its traces.
    pub async fn start(&mut self, injection: &Injection, mut resolved: Resolved) -> Notice {
        let Self { cluster, operator, holds, .. } = self;
        let (installed, report) = match injection.fault {
            Fault::Partition { mode, .. } => {
                let (installed, report) = partition::start(cluster, holds, &resolved.cut, mode);
                (Installed::Partition(installed), report)
            }
            Fault::Kill { stay_dead, .. } => {
                let (installed, report) =
                    kill::start(cluster, holds, &resolved.down, stay_dead).await;
                (Installed::Kill(installed), report)
            }
            Fault::Pause { .. } => {
                let (installed, report) = pause::start(cluster, holds, &resolved.down).await;
                (Installed::Pause(installed), report)
            }
            Fault::Membership { .. } => {
                let (installed, report) = membership::start(operator, &resolved.targets);
                // Nobody owes an answer: those that are left may be the ones that other faults stop.
                resolved.down.extend(cluster.processes.nodes());
                (Installed::Membership(installed), report)
            }
            Fault::SlowLink { .. }
            | Fault::LossyLink { .. }
            | Fault::FlakyLink { .. }
            | Fault::PowerLoss { .. }
            | Fault::BitRot { .. }
            | Fault::DiskStall { .. }
            | Fault::DiskFail { .. }
            | Fault::Clock { .. }
            | Fault::Contest { .. }
            | Fault::Aimed { .. } => (Installed::Nothing, skipped()),
        };
        let Injection { id, fault, .. } = *injection;
        self.active.insert(id, Active { fault, resolved: resolved.clone(), installed });
        notice(id, At::Start, fault, resolved, report)
    }

    /// Ends a fault. `None` if no fault of this id has started, or it was ended already.
    ///
    /// A fault that lasts as long as the run is not undone, and stays in effect. One whose end takes its time is
    /// [`Faults::finished`] later.
    pub async fn end(&mut self, id: u32) -> Option<Notice> {
        let active = self.active.get_mut(&id)?;
        if let Installed::Membership(installed) = &mut active.installed {
            membership::bring_back(&self.operator, installed);
            return None;
        }
        if active.fault.is_permanent() {
            return None;
        }
        self.close(id).await
    }

    /// The faults whose end has come since it was asked for.
    pub async fn finished(&mut self) -> Vec<Notice> {
        let over = |(id, active): (&u32, &Active)| match &active.installed {
            Installed::Membership(installed) if membership::finished(installed) => Some(*id),
            _ => None,
        };
        let mut notices = Vec::new();
        for id in self.active.iter().filter_map(over).collect::<Vec<_>>() {
            notices.extend(self.close(id).await);
        }
        notices
    }

    async fn close(&mut self, id: u32) -> Option<Notice> {
        let Active { fault, resolved, installed } = self.active.remove(&id)?;
        let Self { cluster, holds, .. } = self;
        let report = match installed {
            Installed::Membership(installed) => membership::finish(installed).await,
            Installed::Partition(installed) => partition::end(cluster, holds, installed),
            Installed::Kill(installed) => kill::end(cluster, holds, installed).await,
            Installed::Pause(installed) => pause::end(cluster, holds, installed),
            Installed::Nothing => skipped(),
        };
        Some(notice(id, At::End, fault, resolved, report))
    }

    /// Ends every fault but those that last as long as the run.
    pub async fn heal_all(&mut self) -> Vec<Notice> {
        let mut notices = Vec::new();
        for id in self.active.keys().copied().collect::<Vec<_>>() {
            notices.extend(self.end(id).await);
        }
        // What waits for the end of others comes last.
        let waits = |(id, active): (&u32, &Active)| {
            matches!(active.installed, Installed::Membership(_)).then_some(*id)
        };
        for id in self.active.iter().filter_map(waits).collect::<Vec<_>>() {
            notices.extend(self.close(id).await);
        }
        notices
    }

    /// The faults in effect, for a progress line.
    pub fn active(&self) -> impl Iterator<Item = &Fault> {
        self.active.values().map(|active| &active.fault)
    }

    /// The nodes that were killed for good.
    pub fn dead(&self) -> impl Iterator<Item = u32> + '_ {
        self.holds.dead()
    }
}

fn notice(id: u32, at: At, fault: Fault, resolved: Resolved, report: Report) -> Notice {
    let Resolved { targets, down, cut, leader: _ } = resolved;
    Notice {
        id,
        at,
        name: fault.name().to_owned(),
        spec: fault.to_string(),
        targets,
        down,
        cut,
        report,
    }
}

/// What becomes of a fault that real processes cannot suffer.
fn skipped() -> Report {
    let outcome = Outcome::Skipped("it is available in the simulator only".to_owned());
    Report { outcome, evidence: String::new(), bit: Some(false) }
}

/// Refuses the first of the named faults that real processes cannot suffer. What no registry knows passes: others
/// refuse it.
///
/// # Errors
/// What a person is to be told.
pub fn refuse_simulated<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    let of = |wanted| {
        let lines = tribunal_nemesis::registry().filter(move |(_, available)| *available == wanted);
        lines.map(|(entry, _)| entry.name).collect::<Vec<_>>()
    };
    let simulated = of(Available::SimulatorOnly);
    match names.into_iter().find(|name| simulated.contains(name)) {
        None => Ok(()),
        Some(name) => Err(format!(
            "`{name}` is available in the simulator only (tribunal sim); with real processes: {}",
            of(Available::Everywhere).join(", ")
        )),
    }
}
