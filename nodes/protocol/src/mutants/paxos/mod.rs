//! Bugs around single-decree Paxos.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant<Paxos>`, and its line in [`MUTANTS`].

mod accept_any_ballot;

use super::{Bugged, Mutant};
use crate::variants::paxos::Paxos;

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant<Paxos>] = &[accept_any_ballot::MUTANT];

impl Bugged for Paxos {
    const MUTANTS: &'static [Mutant<Self>] = MUTANTS;
}
