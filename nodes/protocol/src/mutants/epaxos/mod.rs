//! Bugs around Egalitarian Paxos.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant<EPaxos>`, and its line in [`MUTANTS`].
//!
//! What a bug must keep: every record of the core stays one record of the log, since the core counts its positions.

pub mod execute_before_commit;
pub mod fast_quorum_too_small;
pub mod last_ballot_kept;
pub mod preaccept_not_durable;
pub mod recovery_drops_dependency;

use super::{About, Bug, Bugged, Mutant};
use crate::core::Output;
use crate::variants::epaxos::EPaxos;

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant<EPaxos>] = &[
    last_ballot_kept::MUTANT,
    preaccept_not_durable::MUTANT,
    recovery_drops_dependency::MUTANT,
    fast_quorum_too_small::MUTANT,
    execute_before_commit::MUTANT,
];

impl Bugged for EPaxos {
    const MUTANTS: &'static [Mutant<Self>] = MUTANTS;
}

/// What a step of the core asks of its host.
type Out = Output<EPaxos>;
