//! `membership`: the targets are taken out of the membership by the system's own operation, and made members again at the
//! end.
//!
//! A request is put to every node, again and again until one of them says that it is done: answers get lost, and only the
//! leader may carry it out. Both directions go on in the background; the fault lasts until every target is a member again.

use crate::systems::System;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tribunal_checkers::notice::{Outcome, Report};

/// How long a node may take to answer before it is asked again.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// How long to wait between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the end of a run waits for everybody to be a member again.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Whoever changes the membership of a system.
#[derive(Clone)]
pub struct Operator {
    system: Arc<dyn System>,
    http: reqwest::Client,
    /// Where clients reach each node.
    nodes: Rc<[SocketAddr]>,
    /// Nodes that may be out of the membership.
    out: Rc<RefCell<BTreeSet<u32>>>,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("out", &self.out).finish_non_exhaustive()
    }
}

/// What this fault has under way.
#[derive(Debug)]
pub(super) struct Installed {
    targets: Vec<u32>,
    /// Those that a node has said to be out.
    removed: Rc<RefCell<BTreeSet<u32>>>,
    task: JoinHandle<()>,
    /// Whether it ends.
    ending: bool,
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Operator {
    /// An operator of a system whose nodes are reached at these addresses, in the order of their numbers.
    #[must_use]
    pub fn new(system: Arc<dyn System>, http: reqwest::Client, nodes: Vec<SocketAddr>) -> Self {
        Self { system, http, nodes: nodes.into(), out: Rc::default() }
    }

    /// Asks every node until one says that it is done.
    async fn change(&self, node: u32, member: bool) {
        loop {
            let mut asked = JoinSet::new();
            for &address in &*self.nodes {
                let (system, http) = (Arc::clone(&self.system), self.http.clone());
                asked.spawn_local(async move {
                    let asked = system.change_membership(&http, address, node, member);
                    tokio::time::timeout(ANSWER_WITHIN, asked).await.unwrap_or(false)
                });
            }
            while let Some(answer) = asked.join_next().await {
                if answer.unwrap_or(false) {
                    return;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

pub(super) fn start(operator: &Operator, targets: &[u32]) -> (Installed, Report) {
    let limit = tribunal_nemesis::minority(operator.nodes.len() as u32) as usize;
    let mut out = operator.out.borrow_mut();
    let fits = |node: &u32| out.len() < limit && out.insert(*node);
    let targets: Vec<u32> = targets.iter().copied().filter(fits).collect();
    drop(out);
    let removed = Rc::new(RefCell::new(BTreeSet::new()));
    let task = tokio::task::spawn_local({
        let (operator, targets, removed) = (operator.clone(), targets.clone(), Rc::clone(&removed));
        async move {
            for node in targets {
                operator.change(node, false).await;
                removed.borrow_mut().insert(node);
            }
        }
    });
    let installed = Installed { targets, removed, task, ending: false };
    let outcome = if installed.targets.is_empty() {
        Outcome::Skipped("as many as may be are out of the membership".to_owned())
    } else {
        Outcome::Installed
    };
    let evidence = format!("asks to take out {}", names(&installed.targets));
    (installed, Report { outcome, evidence, bit: None })
}

/// Begins to make the targets members again.
pub(super) fn bring_back(operator: &Operator, installed: &mut Installed) {
    if installed.ending {
        return;
    }
    installed.ending = true;
    installed.task.abort();
    let (operator, targets) = (operator.clone(), installed.targets.clone());
    installed.task = tokio::task::spawn_local(async move {
        for node in targets {
            operator.change(node, true).await;
            operator.out.borrow_mut().remove(&node);
        }
    });
}

/// Whether it was to end and everybody is a member again.
pub(super) fn finished(installed: &Installed) -> bool {
    installed.ending && installed.task.is_finished()
}

/// Waits until everybody is a member again, for a bounded time.
pub(super) async fn finish(mut installed: Installed) -> Report {
    let outcome = match tokio::time::timeout(BACK_WITHIN, &mut installed.task).await {
        Ok(Ok(())) => Outcome::Installed,
        Ok(Err(error)) => Outcome::Indeterminate(error.to_string()),
        Err(_) => Outcome::Indeterminate(format!(
            "no node said within {} s that {} are members again",
            BACK_WITHIN.as_secs(),
            names(&installed.targets)
        )),
    };
    report(&installed, outcome)
}

fn report(installed: &Installed, outcome: Outcome) -> Report {
    let removed: Vec<u32> = installed.removed.borrow().iter().copied().collect();
    let evidence = if removed.is_empty() {
        "no node said that one was out".to_owned()
    } else {
        format!("{} out, and members again", names(&removed))
    };
    let bit = (!removed.is_empty() || installed.targets.is_empty()).then_some(!removed.is_empty());
    Report { outcome, evidence, bit }
}

fn names(nodes: &[u32]) -> String {
    let names: Vec<_> = nodes.iter().map(|node| format!("n{node}")).collect();
    names.join(", ")
}
