//! Slots: the places of a replicated log.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One instance of the consensus algorithm. The first is 1; 0 is before all slots.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Slot(pub u64);

impl Slot {
    /// The slot after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Every slot above this one, up to and with `last`.
    pub fn up_to(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0 + 1..=last.0).map(Self)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
