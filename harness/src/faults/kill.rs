//! `kill`: SIGKILL to processes, and a new process at the end, unless the node is to stay dead.
//!
//! It bit if a process was gone. What becomes of the new process, the run's probes tell.

use super::holds::Holds;
use crate::cluster::{Cluster, ProcessError};
use std::collections::BTreeSet;
use tribunal_checkers::notice::{Outcome, Report};

/// The nodes that this kill keeps down, and whether a process of theirs died of it.
#[derive(Debug)]
pub(super) struct Installed {
    held: Vec<u32>,
    evidence: Vec<String>,
    killed: u32,
}

pub(super) async fn start(
    cluster: &Cluster,
    holds: &mut Holds,
    nodes: &BTreeSet<u32>,
    stay_dead: bool,
) -> (Installed, Report) {
    let mut installed = Installed { held: Vec::new(), evidence: Vec::new(), killed: 0 };
    let mut problems = Vec::new();
    for &node in nodes {
        if holds.is_dead(node) {
            installed.evidence.push(format!("n{node} was dead for good already"));
            continue;
        }
        if !holds.keep_down(node) {
            installed.evidence.push(format!("n{node} was down already, by another kill"));
            installed.held.push(node);
        } else {
            match cluster.processes.kill(node).await {
                Ok(process) => {
                    installed.killed += 1;
                    installed.held.push(node);
                    installed.evidence.push(format!("n{node} (pid {}) is gone", process.pid));
                }
                Err(error @ ProcessError::NotRunning(_)) => {
                    holds.let_up(node);
                    installed.evidence.push(format!("{error}: it had ended by itself"));
                }
                Err(error) => {
                    // It may die yet, and is then to be started again.
                    installed.held.push(node);
                    problems.push(error.to_string());
                }
            }
        }
        if stay_dead && installed.held.contains(&node) {
            holds.bury(node);
        }
    }
    let evidence = installed.evidence.join("; ");
    let outcome = match (problems.is_empty(), installed.held.is_empty()) {
        (false, _) => Outcome::Indeterminate(problems.join("; ")),
        (true, true) => Outcome::Skipped(evidence.clone()),
        (true, false) => Outcome::Installed,
    };
    let bit = Some(installed.killed > 0);
    (installed, Report { outcome, evidence, bit })
}

pub(super) async fn end(cluster: &Cluster, holds: &mut Holds, installed: Installed) -> Report {
    let Installed { held, mut evidence, killed } = installed;
    if held.is_empty() {
        return Report {
            outcome: Outcome::Skipped(evidence.join("; ")),
            evidence: String::new(),
            bit: Some(false),
        };
    }
    let mut problems = Vec::new();
    for node in held {
        if !holds.let_up(node) {
            evidence.push(format!("n{node} stays down, for another kill"));
            continue;
        }
        match cluster.processes.start(node).await {
            Ok(process) => evidence.push(format!(
                "n{node} started again (pid {}, incarnation {})",
                process.pid, process.incarnation
            )),
            Err(error) => problems.push(error.to_string()),
        }
    }
    let outcome = match problems.is_empty() {
        true => Outcome::Installed,
        false => Outcome::Indeterminate(problems.join("; ")),
    };
    Report { outcome, evidence: evidence.join("; "), bit: Some(killed > 0) }
}
