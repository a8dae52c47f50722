//! 33 `early-membership`: a leader changes the voters before it has committed anything in its term.
//!
//! Mechanism: single-server changes as the dissertation first described them (section 4.1), without the correction. Two leaders,
//! one after the other, each append a change of the same voters; the first change never reached the second leader. The majorities
//! of the two configurations may not share a server.
//!
//! Seen in: the algorithm itself: D. Ongaro, "bug in single-server membership changes", raft-dev, 2015
//! (groups.google.com/g/raft-dev/c/t4xj6dJTP6E).
//!
//! Exposed by: two changes of membership around an election.
//!
//! A client sees: two leaders that commit apart from each other: lost writes.

use super::Waives;
use crate::mutants::{About, Mutant};
use crate::variants::raft::{Raft, Rule};

/// The line of the catalogue.
pub const MUTANT: Mutant<Raft> = Mutant {
    about: About {
        number: 33,
        name: "early-membership",
        mechanism: "a leader changes the voters before it has committed an entry of its own term",
        seen_in: "Raft as first published: raft-dev, \"bug in single-server membership changes\" (2015)",
        exposed_by: "two changes of membership around an election",
        anomaly: "two leaders, lost writes",
        exempt_from_real: None,
    },
    make: |_| Box::new(Waives(Rule::SettledChanges)),
};
