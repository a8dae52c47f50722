//! Bugs around chain replication.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant<ChainReplication>`, and its line in [`MUTANTS`].

pub mod resend_forgotten;
pub mod tail_serves_alone;

use super::{About, Bug, Bugged, Mutant};
use crate::core::Output;
use crate::variants::chain::ChainReplication;

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant<ChainReplication>] =
    &[tail_serves_alone::MUTANT, resend_forgotten::MUTANT];

impl Bugged for ChainReplication {
    const MUTANTS: &'static [Mutant<Self>] = MUTANTS;
}

/// What a step of the core asks of its host.
type Out = Output<ChainReplication>;
