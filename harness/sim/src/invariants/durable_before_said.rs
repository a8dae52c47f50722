//! What a node says of its disk, its disk holds: a promise and an acceptance are durable before any message tells of
//! them.
//!
//! Source: Lamport, "Paxos Made Simple" (2001), section 2.5: "an acceptor records its intended response in stable
//! storage before actually sending the response".
//!
//! `Promised` in a message needs a durable record of that ballot or a higher one; `Accepted` needs a durable acceptance
//! of that slot in that ballot or a higher one (the records of one node become durable in order, so the lower one is
//! durable, too).
//!
//! No breach: an `Accepted` for a slot at or below what the node knows to be decided. It may have learned the value
//! from a peer, or have it in a snapshot, and answers a late proposal so. What it knows to be decided is what it has
//! observed as such in this incarnation, a snapshot's slot, and what it had applied when it started. Nor is a repeated
//! message one, also after a restart: durable records stay durable.
//!
//! Forgotten: acceptances [`SPAN`] slots behind a node's highest; they count as durable. Only a slot that its node does
//! not know to be decided so far behind could be missed, and cores keep no window that long above their decided prefix.

use super::Invariant;
use super::table::{Nodes, Slots};
use crate::facts::{Fact, View};
use tribunal_protocol::{Claim, NodeId, Observation};

/// Slots of each node whose acceptances are remembered.
const SPAN: usize = 1 << 15;

/// The invariant.
pub(super) struct DurableBeforeSaid {
    nodes: Nodes<Disk>,
}

/// What a node's disk holds.
#[derive(Debug)]
struct Disk {
    /// The highest ballot in any of its records.
    promised: u64,
    /// The highest ballot accepted in each slot, 0 for none.
    accepted: Slots<u64>,
    /// Not the disk's: the node knows every slot up to this one to be decided.
    decided: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { promised: 0, accepted: Slots::new(SPAN), decided: 0 }
    }
}

impl DurableBeforeSaid {
    /// At the start of an execution.
    pub(super) fn new() -> Self {
        Self { nodes: Nodes::new() }
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

    fn say(&mut self, node: NodeId, kind: &str, claim: Claim) -> Result<(), String> {
        match claim {
            Claim::Promised { ballot } if self.promised < ballot => Err(format!(
                "{node} says in `{kind}` that it has promised ballot {ballot}; on its disk is {}",
                ballot_or_none(self.promised)
            )),
            Claim::Accepted { ballot, slot, .. } if slot > self.decided => {
                match self.accepted.at(slot) {
                    Some(accepted) if *accepted < ballot => Err(format!(
                        "{node} says in `{kind}` that it has accepted slot {slot} in ballot \
                         {ballot}; on its disk, this slot is accepted in {}, and it knows slots up \
                         to {} to be decided",
                        ballot_or_none(*accepted),
                        self.decided
                    )),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

fn ballot_or_none(ballot: u64) -> String {
    if ballot == 0 { "none".to_owned() } else { format!("ballot {ballot}") }
}

impl Invariant for DurableBeforeSaid {
    fn name(&self) -> &'static str {
        "durable-before-said"
    }

    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String> {
        match *fact {
            Fact::Started { node, .. } => {
                self.nodes.at(node).decided = view.applied(node).unwrap_or(0);
            }
            Fact::Durable { node, claims } => self.nodes.at(node).write(claims),
            Fact::Observed {
                node,
                observation:
                    &(Observation::Decided { slot, .. } | Observation::Snapshot { slot, .. }),
            } => {
                let disk = self.nodes.at(node);
                disk.decided = disk.decided.max(slot);
            }
            Fact::Sent { from, kind, claim, .. } => {
                return self.nodes.at(from).say(from, kind, claim);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{
        Fake, accepted, accepted_value, breached, decided, durable, holds, installed, prepares,
        promised, proposes, sees_accepted, sees_promised, sent, started,
    };
    use super::*;
    use tribunal_protocol::NodeId;

    #[track_caller]
    fn breaches(facts: &[super::super::fake::Made], words: &str) {
        breached(&mut DurableBeforeSaid::new(), &Fake::new(3), facts, words);
    }

    #[test]
    fn what_is_durable_may_be_said_again_and_again() {
        let facts = [
            sent(1, prepares(5)),
            sent(1, proposes(5, 1, 0xa)), // Neither says anything of the disk.
            sees_promised(2, 5),
            durable(2, &[promised(5)]),
            sent(2, promised(5)),
            sees_accepted(2, 5, 1, 0xa),
            sees_accepted(2, 5, 2, 0xb),
            durable(2, &[accepted_value(5, 1, 0xa), accepted_value(5, 2, 0xb)]),
            sent(2, accepted(5, 2)),
            sent(2, accepted(5, 1)),
            durable(2, &[promised(7), accepted_value(7, 1, 0xc)]),
            sent(2, accepted(5, 1)), // A lower one, whose record is durable as well.
            started(2, 2),
            sent(2, promised(7)),
            sent(2, accepted(7, 1)),
        ];
        holds(&mut DurableBeforeSaid::new(), &Fake::new(3), &facts);
    }

    #[test]
    fn an_acceptance_covers_its_promise() {
        let facts = [durable(1, &[accepted_value(5, 1, 0xa)]), sent(1, promised(5))];
        holds(&mut DurableBeforeSaid::new(), &Fake::new(3), &facts);
    }

    #[test]
    fn what_recovery_found_is_durable() {
        let facts = [
            sees_accepted(1, 5, 1, 0xa), // On its way to the disk when the node was killed.
            started(1, 2),
            durable(1, &[promised(5), accepted_value(5, 1, 0xa)]),
            sent(1, accepted(5, 1)),
        ];
        holds(&mut DurableBeforeSaid::new(), &Fake::new(3), &facts);
    }

    #[test]
    fn what_is_known_to_be_decided_needs_no_acceptance() {
        let facts = [decided(1, 1, 0xa), sent(1, accepted(5, 1))];
        holds(&mut DurableBeforeSaid::new(), &Fake::new(3), &facts);
        let facts = [installed(1, 8), sent(1, accepted(5, 8)), sent(1, accepted(5, 3))];
        holds(&mut DurableBeforeSaid::new(), &Fake::new(3), &facts);
        let mut view = Fake::new(3);
        view.applied.insert(NodeId(1), 4);
        holds(&mut DurableBeforeSaid::new(), &view, &[started(1, 2), sent(1, accepted(5, 4))]);
        let facts = [started(1, 2), sent(1, accepted(5, 5))];
        breached(&mut DurableBeforeSaid::new(), &view, &facts, "slots up to 4 to be decided");
    }

    #[test]
    fn a_promise_must_not_leave_before_its_record() {
        breaches(&[sees_promised(1, 5), sent(1, promised(5))], "on its disk is none");
        let facts = [durable(1, &[promised(5)]), sees_promised(1, 7), sent(1, promised(7))];
        breaches(&facts, "promised ballot 7; on its disk is ballot 5");
        breaches(&[durable(2, &[promised(5)]), sent(1, promised(5))], "n1 says");
    }

    #[test]
    fn an_acceptance_must_not_leave_before_its_record() {
        let facts =
            [durable(1, &[promised(5)]), sees_accepted(1, 5, 1, 0xa), sent(1, accepted(5, 1))];
        breaches(&facts, "accepted slot 1 in ballot 5; on its disk, this slot is accepted in none");
        let facts = [durable(1, &[accepted_value(5, 1, 0xa)]), sent(1, accepted(7, 1))];
        breaches(&facts, "this slot is accepted in ballot 5");
        let facts = [durable(1, &[accepted_value(5, 1, 0xa)]), sent(1, accepted(5, 2))];
        breaches(&facts, "accepted slot 2");
    }

    #[test]
    fn a_restart_forgets_what_was_decided_but_not_durable() {
        let facts = [decided(1, 3, 0xa), started(1, 2), sent(1, accepted(5, 3))];
        breaches(&facts, "slots up to 0 to be decided");
    }
}
