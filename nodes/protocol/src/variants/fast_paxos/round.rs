//! Rounds, quorums, and the rule by which a coordinator picks a value.
//!
//! Source: L. Lamport, "Fast Paxos" (2006), sections 2.2 (the rule), 2.3 and 3.3 (quorums).
//!
//! A *reign* is the time in which one node leads, named by a ballot. It has two rounds: a fast one, and a classic one
//! right above it, so that no other round lies between them. The fast round is that of even number.

use crate::replication::{Ballot, Value};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a round gets its values. In this order: the classic round of a reign follows its fast round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// Any proposer sends its value to the acceptors, and each accepts the first that it gets for a slot.
    Fast,
    /// The coordinator alone proposes.
    Classic,
}

/// The number of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Round {
    /// The reign: whose round it is.
    pub reign: Ballot,
    /// Which of its two.
    pub kind: Kind,
}

impl Round {
    /// Below every round that is used.
    pub const NONE: Self = Self::fast(Ballot::NONE);

    /// The fast round of a reign.
    #[must_use]
    pub const fn fast(reign: Ballot) -> Self {
        Self { reign, kind: Kind::Fast }
    }

    /// The classic round of a reign.
    #[must_use]
    pub const fn classic(reign: Ballot) -> Self {
        Self { reign, kind: Kind::Classic }
    }

    /// One number in the order of rounds, even for fast ones.
    #[must_use]
    pub fn number(self) -> u64 {
        (self.reign.number() << 1) | u64::from(self.kind == Kind::Classic)
    }

    /// Which kind of round has this number.
    #[must_use]
    pub fn kind_of(number: u64) -> Kind {
        if number.is_multiple_of(2) { Kind::Fast } else { Kind::Classic }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == Kind::Fast { "fast" } else { "classic" };
        write!(f, "{kind} {}", self.reign)
    }
}

/// How many of the `nodes` are a quorum, in each kind of round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorums {
    /// All acceptors.
    pub nodes: usize,
    /// Of a classic round, and of phase 1.
    pub classic: usize,
    /// Of a fast round.
    pub fast: usize,
}

impl Quorums {
    /// Classic quorums are majorities. Fast ones are the smallest for which any classic quorum and any two fast quorums
    /// have a node in common (section 2.3): `classic + 2 fast > 2 nodes`.
    #[must_use]
    pub fn of(nodes: usize) -> Self {
        let classic = nodes / 2 + 1;
        Self { nodes, classic, fast: (2 * nodes + 1 - classic).div_ceil(2) }
    }

    /// The size for this kind of round.
    #[must_use]
    pub fn size(&self, kind: Kind) -> usize {
        match kind {
            Kind::Fast => self.fast,
            Kind::Classic => self.classic,
        }
    }

    /// Whether a value for which `votes` of the `heard` acceptors have voted in a fast round may have been chosen in it:
    /// O4(v), there is a fast quorum of which all members that were heard have voted so.
    #[must_use]
    pub fn may_be_chosen(&self, votes: usize, heard: usize) -> bool {
        let others = heard - votes;
        self.nodes - others >= self.fast
    }
}

/// What an acceptor has said of a slot: the value of the highest round in which it has voted.
#[derive(Clone, Debug)]
pub struct Vote {
    /// The round.
    pub round: Round,
    /// The value.
    pub value: Value,
}

/// The rule by which a value is picked.
pub type Pick = fn(quorums: &Quorums, heard: usize, votes: &[Vote]) -> Option<Value>;

/// Picks the value that the coordinator of a higher round must propose, of what `heard` acceptors have said, a classic
/// quorum at least. `None` if it is free to propose anything (figure 2, and the observation O4).
///
/// Of the highest round in which any of them has voted: a classic round has one value. In a fast round it is the value
/// that may have been chosen, and since any two fast quorums and the one that was heard have an acceptor in common, there
/// is one at most. If there is none, that with the most votes spares most proposers another attempt.
#[must_use]
pub fn pick(quorums: &Quorums, heard: usize, votes: &[Vote]) -> Option<Value> {
    let highest = votes.iter().map(|vote| vote.round).max()?;
    let mut counts: Vec<(usize, &Value)> = Vec::new();
    for vote in votes.iter().filter(|vote| vote.round == highest) {
        match counts.iter_mut().find(|(_, value)| **value == vote.value) {
            Some((count, _)) => *count += 1,
            None => counts.push((1, &vote.value)),
        }
    }
    let bound = counts.iter().find(|(count, _)| quorums.may_be_chosen(*count, heard));
    let chosen = bound.or_else(|| counts.iter().rev().max_by_key(|(count, _)| *count));
    chosen.map(|(_, value)| (*value).clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::NodeId;

    const REIGN: Ballot = Ballot { round: 3, node: NodeId(2) };

    #[test]
    fn a_fast_round_lies_right_below_the_classic_one_of_its_reign() {
        let next = Ballot { round: 3, node: NodeId(3) };
        let rounds = [Round::NONE, Round::fast(REIGN), Round::classic(REIGN), Round::fast(next)];
        assert!(rounds.is_sorted() && rounds.map(Round::number).is_sorted());
        assert_eq!(rounds[2].number(), rounds[1].number() + 1);
        assert!(rounds.iter().all(|round| Round::kind_of(round.number()) == round.kind));
    }

    #[test]
    fn any_classic_and_any_two_fast_quorums_intersect_and_no_smaller_fast_ones_do() {
        let sizes = [1, 2, 3, 4, 5, 7].map(|nodes| Quorums::of(nodes).fast);
        assert_eq!(sizes, [1, 2, 3, 3, 4, 6]);
        for nodes in 1..=9 {
            let Quorums { classic, fast, .. } = Quorums::of(nodes);
            // Sets that avoid each other as far as they can leave out all nodes, taken together, at least once.
            let missed = |fast: usize| (nodes - classic) + 2 * (nodes - fast);
            assert!(missed(fast) < nodes, "{nodes} nodes");
            assert!(fast == classic || missed(fast - 1) >= nodes, "{nodes} nodes");
        }
    }
}
