//! A ballot has one proposer, in one incarnation.
//!
//! Source: Lamport, "Paxos Made Simple" (2001), section 2.5: "no two proposals are ever issued with the same number";
//! "different proposers choose their numbers from disjoint sets of numbers", and each remembers the highest one that it
//! has used in stable storage.
//!
//! A ballot is used by who sends `Prepares` or `Proposes` under it, and by who leads in it.
//!
//! No breach: a ballot whose first user crashed before any message under it left. A variant whose candidates share
//! numbers, as the terms of Raft are shared by rivals for a vote, has to claim `Prepares` with a number that names the
//! candidate.
//!
//! Forgotten: the lowest ballots, beyond [`BALLOTS`] of them. They lie so far below all promises that using one again
//! has no effect on a correct majority.

use super::Invariant;
use super::table::Nodes;
use crate::facts::{Fact, View};
use std::collections::BTreeMap;
use tribunal_protocol::{Claim, NodeId, Observation, Role};

/// Ballots that are remembered.
const BALLOTS: usize = 1 << 14;

/// The invariant.
pub(super) struct OneProposer {
    users: BTreeMap<u64, User>,
    nodes: Nodes<Proposer>,
}

/// One incarnation of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    node: NodeId,
    incarnation: u64,
}

#[derive(Debug, Default)]
struct Proposer {
    incarnation: u64,
    /// The ballot that this incarnation used last, for a leader that proposes much under one.
    last: Option<u64>,
}

impl OneProposer {
    /// At the start of an execution.
    pub(super) fn new() -> Self {
        Self { users: BTreeMap::new(), nodes: Nodes::new() }
    }

    fn uses(&mut self, node: NodeId, ballot: u64) -> Result<(), String> {
        let proposer = self.nodes.at(node);
        if proposer.last.replace(ballot) == Some(ballot) {
            return Ok(());
        }
        let user = User { node, incarnation: proposer.incarnation };
        let first = *self.users.entry(ballot).or_insert(user);
        if self.users.len() > BALLOTS {
            self.users.pop_first();
        }
        if first == user {
            return Ok(());
        }
        Err(format!(
            "ballot {ballot} is used by {node} in incarnation {}, and was used by {} in \
             incarnation {}",
            user.incarnation, first.node, first.incarnation
        ))
    }
}

impl Invariant for OneProposer {
    fn name(&self) -> &'static str {
        "one-proposer"
    }

    fn check(&mut self, fact: &Fact<'_>, _view: &dyn View) -> Result<(), String> {
        match *fact {
            Fact::Started { node, incarnation } => {
                *self.nodes.at(node) = Proposer { incarnation, last: None };
                Ok(())
            }
            Fact::Sent {
                from: node,
                claim: Claim::Prepares { ballot } | Claim::Proposes { ballot, .. },
                ..
            }
            | Fact::Observed {
                node,
                observation: &Observation::Role { role: Role::Leader, ballot },
            } => self.uses(node, ballot),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{
        Fake, breached, holds, observed, prepares, promised, proposes, sees_promised, sent, started,
    };
    use super::*;

    fn leads(node: u32, ballot: u64) -> super::super::fake::Made {
        observed(node, Observation::Role { role: Role::Leader, ballot })
    }

    #[test]
    fn each_proposer_may_use_its_own_ballots_for_a_while() {
        let facts = [
            started(1, 1),
            started(2, 1),
            sent(1, prepares(5)),
            sent(2, promised(5)),
            leads(1, 5),
            sent(1, proposes(5, 1, 0xa)),
            sent(2, prepares(6)),
            sent(1, proposes(5, 1, 0xa)),
            sent(1, prepares(7)),
            started(2, 2),
            sent(2, prepares(8)),
            leads(2, 8),
        ];
        holds(&mut OneProposer::new(), &Fake::new(3), &facts);
    }

    #[test]
    fn a_ballot_that_never_left_may_be_used_by_the_next_incarnation() {
        let candidate = Observation::Role { role: Role::Candidate, ballot: 5 };
        let facts = [
            started(1, 1),
            sees_promised(1, 5),
            observed(1, candidate),
            started(1, 2),
            sent(1, prepares(5)),
        ];
        holds(&mut OneProposer::new(), &Fake::new(3), &facts);
    }

    #[test]
    fn two_nodes_must_not_share_a_ballot() {
        let facts = [started(1, 1), started(2, 3), sent(1, prepares(5)), sent(2, prepares(5))];
        let why = "ballot 5 is used by n2 in incarnation 3, and was used by n1 in incarnation 1";
        breached(&mut OneProposer::new(), &Fake::new(3), &facts, why);
        let facts = [sent(1, prepares(5)), sent(2, proposes(5, 1, 0xa))];
        breached(&mut OneProposer::new(), &Fake::new(3), &facts, "ballot 5 is used by n2");
        breached(&mut OneProposer::new(), &Fake::new(3), &[leads(1, 5), leads(2, 5)], "used by n2");
    }

    #[test]
    fn a_later_incarnation_must_not_use_a_ballot_again() {
        let facts = [started(1, 1), sent(1, prepares(5)), started(1, 2), sent(1, prepares(5))];
        let why = "by n1 in incarnation 2, and was used by n1 in incarnation 1";
        breached(&mut OneProposer::new(), &Fake::new(3), &facts, why);
    }
}
