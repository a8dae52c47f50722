//! A node remembers what its disk held: after a restart, and after it has installed a snapshot, it holds itself to every
//! promise and every acceptance that was durable.
//!
//! Source: Lamport, "Paxos Made Simple" (2001), section 2.5: an acceptor must remember "the highest-numbered prepare request
//! to which it responded" and the proposal that it has accepted, "even if it fails and then restarts"; Ongaro and
//! Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), section 7, for snapshots, which must retain the
//! log entries that follow them.
//!
//! No breach: an acceptance at or below what the node has applied, which a snapshot or the decided value replaces; one
//! in a higher ballot, which replaces it; one that the node has dropped behind its decided prefix.
//!
//! Forgotten: acceptances [`SPAN`] slots behind a node's highest. Cores keep no window that long above what they have
//! applied.

use super::Invariant;
use super::table::{Nodes, Slots};
use crate::facts::{Fact, View};
use tribunal_protocol::{Claim, NodeId, Observation};

/// Slots of each node whose acceptances are remembered.
const SPAN: usize = 1 << 12;

/// The invariant.
pub(super) struct Remembers {
    nodes: Nodes<Disk>,
}

/// What a node's disk has ever held.
#[derive(Debug)]
struct Disk {
    /// The highest ballot promised, or accepted in.
    promised: u64,
    /// The highest ballot accepted in each slot, 0 for none.
    accepted: Slots<u64>,
}

impl Default for Disk {
    fn default() -> Self {
        Self { promised: 0, accepted: Slots::new(SPAN) }
    }
}

impl Remembers {
    /// At the start of an execution.
    pub(super) fn new() -> Self {
        Self { nodes: Nodes::new() }
    }

    /// Compares what the node holds itself to with what its disk has held.
    fn compare(&mut self, node: NodeId, after: &str, view: &dyn View) -> Result<(), String> {
        let disk = self.nodes.at(node);
        if let Some(promised) = view.promised_ballot(node)
            && promised < disk.promised
        {
            return Err(format!(
                "{node} holds itself to ballot {promised} after {after}, and its disk held a \
                 promise of ballot {}",
                disk.promised
            ));
        }
        let applied = view.applied(node).unwrap_or(0);
        for (slot, &ballot) in disk.accepted.above(applied) {
            if let Some(accepted) = view.accepted_ballot(node, slot)
                && accepted < ballot
            {
                return Err(format!(
                    "{node} has forgotten after {after} that it accepted slot {slot} in ballot \
                     {ballot}: it holds {}, and has applied slots up to {applied}",
                    if accepted == 0 { "nothing".to_owned() } else { format!("ballot {accepted}") }
                ));
            }
        }
        Ok(())
    }
}

impl Disk {
    fn write(&mut self, claims: &[Claim]) {
        for claim in claims {
            match *claim {
                Claim::Promised { ballot } => self.promised = self.promised.max(ballot),
                Claim::Accepted { ballot, slot, .. } => {
                    self.promised = self.promised.max(ballot);
                    if let Some(accepted) = self.accepted.at(slot) {
                        *accepted = ballot.max(*accepted);
                    }
                }
                Claim::Nothing | Claim::Prepares { .. } | Claim::Proposes { .. } => {}
            }
        }
    }
}

impl Invariant for Remembers {
    fn name(&self) -> &'static str {
        "remembers"
    }

    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String> {
        match *fact {
            Fact::Started { node, .. } => self.compare(node, "a restart", view),
            Fact::Observed {
                node,
                observation: &Observation::Snapshot { installed: true, .. },
            } => self.compare(node, "a snapshot", view),
            Fact::Durable { node, claims } => {
                self.nodes.at(node).write(claims);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{
        Fake, Made, accepted_value, breached, durable, holds, installed, promised, started,
    };
    use super::*;

    const NODE: NodeId = NodeId(1);

    /// A node that has applied slot 1 and holds itself to these ballots.
    fn node(promised: u64, accepted: &[(u64, u64)]) -> Fake {
        let mut view = Fake::new(3);
        view.applied.insert(NODE, 1);
        view.promised.insert(NODE, promised);
        view.accepted.extend(accepted.iter().map(|(slot, ballot)| ((NODE, *slot), *ballot)));
        view
    }

    fn disk() -> Made {
        durable(1, &[promised(5), accepted_value(5, 1, 0xa), accepted_value(5, 2, 0xb)])
    }

    #[test]
    fn what_is_held_or_replaced_is_remembered() {
        for view in [node(5, &[(1, 0), (2, 5)]), node(9, &[(2, 9)]), node(5, &[])] {
            holds(&mut Remembers::new(), &view, &[disk(), started(1, 2)]);
        }
    }

    #[test]
    fn what_never_was_durable_may_be_forgotten() {
        holds(&mut Remembers::new(), &node(0, &[(2, 0)]), &[started(1, 2)]);
    }

    #[test]
    fn a_forgotten_promise_is_noticed() {
        let view = node(4, &[(2, 5)]);
        let why = "n1 holds itself to ballot 4 after a restart";
        breached(&mut Remembers::new(), &view, &[disk(), started(1, 2)], why);
    }

    #[test]
    fn a_forgotten_acceptance_is_noticed_after_a_restart_and_after_a_snapshot() {
        let why = "n1 has forgotten after a restart that it accepted slot 2 in ballot 5";
        let view = node(5, &[(2, 0)]);
        breached(&mut Remembers::new(), &view, &[disk(), started(1, 2)], why);
        let why = "n1 has forgotten after a snapshot that it accepted slot 2 in ballot 5";
        breached(&mut Remembers::new(), &node(5, &[(2, 4)]), &[disk(), installed(1, 1)], why);
    }
}
