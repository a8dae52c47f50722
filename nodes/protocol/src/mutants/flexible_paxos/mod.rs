//! Bugs around Flexible Paxos.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant<FlexiblePaxos>`, and its line in [`MUTANTS`].

pub mod quorums_apart;

use super::{About, Bug, Bugged, Mutant};
use crate::core::Output;
use crate::variants::flexible_paxos::FlexiblePaxos;

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant<FlexiblePaxos>] = &[quorums_apart::MUTANT];

impl Bugged for FlexiblePaxos {
    const MUTANTS: &'static [Mutant<Self>] = MUTANTS;
}

/// What a step of the core asks of its host.
type Out = Output<FlexiblePaxos>;
