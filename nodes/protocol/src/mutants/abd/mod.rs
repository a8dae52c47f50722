//! Bugs around the atomic register.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant<Abd>`, and its line in [`MUTANTS`].

mod read_without_write_back;

use super::{Bugged, Mutant};
use crate::variants::abd::Abd;

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant<Abd>] = &[read_without_write_back::MUTANT];

impl Bugged for Abd {
    const MUTANTS: &'static [Mutant<Self>] = MUTANTS;
}
