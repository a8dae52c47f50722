//! Ballots: the numbers of proposals.
//!
//! Source: L. Lamport, "Paxos Made Simple" (2001), section 2.2.

use crate::core::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of a proposal: totally ordered, and no two proposers ever share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// Grows with each attempt to lead. Round 0 is before all ballots.
    pub round: u64,
    /// Whose ballot it is.
    pub node: NodeId,
}

impl Ballot {
    /// Below every ballot that a proposer uses.
    pub const NONE: Self = Self { round: 0, node: NodeId(0) };

    /// One number in the order of ballots, for [`crate::Observation`].
    #[must_use]
    pub fn number(self) -> u64 {
        (self.round << 16) | u64::from(self.node.0)
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.round, self.node)
    }
}
