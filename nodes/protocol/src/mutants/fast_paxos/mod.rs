//! Bugs around Fast Paxos.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant<FastPaxos>`, and its line in [`MUTANTS`].

pub mod fast_quorum_majority;
pub mod recovery_picks_any;

use super::{About, Bug, Bugged, Mutant};
use crate::core::Output;
use crate::variants::fast_paxos::FastPaxos;

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant<FastPaxos>] =
    &[fast_quorum_majority::MUTANT, recovery_picks_any::MUTANT];

impl Bugged for FastPaxos {
    const MUTANTS: &'static [Mutant<Self>] = MUTANTS;
}

/// What a step of the core asks of its host.
type Out = Output<FastPaxos>;
