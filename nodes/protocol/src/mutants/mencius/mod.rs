//! Bugs around Mencius.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant<Mencius>`, and its line in [`MUTANTS`].
//!
//! What a bug must keep: every record of the core stays one record of the log, since the core counts its positions. One
//! that is not to be written is replaced by [`nothing`], which says nothing.

pub mod revoked_any_value;
pub mod skip_not_durable;

use super::{About, Bug, Bugged, Mutant};
use crate::core::Output;
use crate::replication::Slot;
use crate::variants::mencius::{Mencius, Record};

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant<Mencius>] = &[skip_not_durable::MUTANT, revoked_any_value::MUTANT];

impl Bugged for Mencius {
    const MUTANTS: &'static [Mutant<Self>] = MUTANTS;
}

/// What a step of the core asks of its host.
type Out = Output<Mencius>;

/// A record that says nothing: it takes the place of one that is not to be written.
#[must_use]
pub fn nothing() -> Record {
    Record::Decided(Slot(0))
}
