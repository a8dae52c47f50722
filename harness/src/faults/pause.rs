//! `pause`: SIGSTOP to processes, SIGCONT at the end.
//!
//! It bit if every thread of a process was seen in state `T`.

use super::holds::Holds;
use crate::cluster::{Cluster, ProcessError};
use std::collections::BTreeSet;
use tribunal_checkers::notice::{Outcome, Report};

/// The processes that this pause stops, as (node, incarnation).
#[derive(Debug)]
pub(super) struct Installed {
    held: Vec<(u32, u32)>,
    evidence: Vec<String>,
    stopped: u32,
}

pub(super) async fn start(
    cluster: &Cluster,
    holds: &mut Holds,
    nodes: &BTreeSet<u32>,
) -> (Installed, Report) {
    let mut installed = Installed { held: Vec::new(), evidence: Vec::new(), stopped: 0 };
    let mut problems = Vec::new();
    for &node in nodes {
        // Known before the signal is sent: one that seems to have no effect has to be undone as well.
        let Some(process) = cluster.processes.identity(node) else {
            installed.evidence.push(format!("n{node} has no process"));
            continue;
        };
        match cluster.processes.pause(node).await {
            Ok(_) => {
                installed.stopped += 1;
                installed.evidence.push(format!("n{node} (pid {}) is in state T", process.pid));
            }
            Err(ProcessError::NotRunning(_)) => {
                installed.evidence.push(format!("n{node} ended in this moment"));
                continue;
            }
            Err(error) => problems.push(error.to_string()),
        }
        holds.keep_stopped(node, process.incarnation);
        installed.held.push((node, process.incarnation));
    }
    let evidence = installed.evidence.join("; ");
    let outcome = match (problems.is_empty(), installed.held.is_empty()) {
        (false, _) => Outcome::Indeterminate(problems.join("; ")),
        (true, true) => Outcome::Skipped(evidence.clone()),
        (true, false) => Outcome::Installed,
    };
    let bit = Some(installed.stopped > 0);
    (installed, Report { outcome, evidence, bit })
}

pub(super) fn end(cluster: &Cluster, holds: &mut Holds, installed: Installed) -> Report {
    let Installed { held, mut evidence, stopped } = installed;
    if held.is_empty() {
        return Report {
            outcome: Outcome::Skipped(evidence.join("; ")),
            evidence: String::new(),
            bit: Some(false),
        };
    }
    let mut problems = Vec::new();
    for (node, incarnation) in held {
        let goes_on = holds.let_go_on(node, incarnation);
        let present = cluster.processes.identity(node).map(|process| process.incarnation);
        if present != Some(incarnation) {
            evidence.push(format!("n{node} was killed meanwhile"));
        } else if !goes_on {
            evidence.push(format!("n{node} stays paused, for another pause"));
        } else {
            match resume(cluster, node) {
                Ok(()) => evidence.push(format!("n{node} was still in state T, and goes on")),
                Err(problem) => problems.push(problem),
            }
        }
    }
    let outcome = match problems.is_empty() {
        true => Outcome::Installed,
        false => Outcome::Indeterminate(problems.join("; ")),
    };
    Report { outcome, evidence: evidence.join("; "), bit: Some(stopped > 0) }
}

/// Lets the node go on. Says what is wrong if it did not stand still until now.
fn resume(cluster: &Cluster, node: u32) -> Result<(), String> {
    let stood_still = cluster.processes.is_paused(node) == Some(true);
    cluster.processes.resume(node).map_err(|error| error.to_string())?;
    if stood_still { Ok(()) } else { Err(format!("n{node} was not in state T any more")) }
}
