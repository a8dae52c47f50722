//! White-box properties of an execution, one a file, each with its source.
//!
//! An invariant reads [`Fact`]s as they happen, and may look at the nodes through a [`View`]. It is evaluated after every
//! step; the first breach ends the execution. A variant that has no such thing (no slots, no promises) gives no facts
//! of that kind, and the invariant holds emptily.
//!
//! To add one: a file beside this one with a type that implements [`Invariant`] and a function `new`, and its line in
//! [`all`].

use crate::facts::{Fact, View};

/// A property that has to hold after every step.
pub trait Invariant {
    /// Its name, for verdicts.
    fn name(&self) -> &'static str;

    /// Takes the next fact.
    ///
    /// # Errors
    /// What is wrong, as a sentence that names nodes, slots, ballots and values.
    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String>;
}

/// Every invariant, at the start of an execution.
#[must_use]
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![]
}

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The invariant.
    pub invariant: &'static str,
    /// What is wrong.
    pub why: String,
}

/// Invariants at work.
pub struct Invariants {
    all: Vec<Box<dyn Invariant>>,
}

impl Invariants {
    /// All of them, at the start of an execution.
    #[must_use]
    pub fn new() -> Self {
        Self { all: all() }
    }

    /// Shows a fact to each; the first that is breached, if one is.
    pub fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Option<Breach> {
        self.all.iter_mut().find_map(|invariant| {
            let why = invariant.check(fact, view).err()?;
            Some(Breach { invariant: invariant.name(), why })
        })
    }
}

impl Default for Invariants {
    fn default() -> Self {
        Self::new()
    }
}
