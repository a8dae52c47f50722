//! 31 `commits-past-match`: a follower commits entries that it does not know to be the leader's.
//!
//! Mechanism: it takes the leader's commit index for its own log as it is, up to its last entry, and not only as far as the log
//! is known to match. What an earlier leader left there, and nobody else has, is applied.
//!
//! Seen in: Copycat, atomix/copycat#265; CockroachDB, cockroachdb/cockroach#36353; RabbitMQ, rabbitmq/ra PR #508.
//!
//! Exposed by: a partition that leaves a deposed leader with entries of its own, when it heals.
//!
//! A client sees: replicas that differ.

use super::Waives;
use crate::mutants::{About, Mutant};
use crate::variants::raft::{Raft, Rule};

/// The line of the catalogue.
pub const MUTANT: Mutant<Raft> = Mutant {
    about: About {
        number: 31,
        name: "commits-past-match",
        mechanism: "a follower commits past the prefix that it knows to match the leader's log",
        seen_in: "atomix/copycat#265; cockroachdb/cockroach#36353; rabbitmq/ra PR #508",
        exposed_by: "the heal of a partition that held a deposed leader",
        anomaly: "divergence",
        exempt_from_real: None,
    },
    make: |_| Box::new(Waives(Rule::ValidatedPrefix)),
};
