//! White-box properties of an execution, one a file, each with its source.
//!
//! An invariant reads [`Fact`]s as they happen, and may look at the nodes through a [`View`]. It is evaluated after
//! every step; the first breach ends the execution. A variant that has no such thing (no slots, no promises) gives no
//! facts of that kind, and the invariant holds emptily.
//!
//! Together they must not take more time than the execution itself. So they allocate nothing for most facts, keep what
//! they remember by slot ([`table`]), and forget what lies far behind; each file says how far, and what that could
//! miss.
//!
//! To add one: a file beside this one with a type that implements [`Invariant`] and a function `new`, and its line in
//! [`all`].

mod agreement;
mod asked;
mod chosen;
mod durable_before_said;
mod one_proposer;
mod prefix;
mod promises;
mod quorum;
mod reference;
mod remembers;
mod replicas_agree;
mod replies;
mod same_state;
mod table;
mod votes;

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

    /// How many checks it left out so far, because what it would have compared with was no longer known, or not yet.
    fn skipped(&self) -> u64 {
        0
    }
}

/// Every invariant, at the start of an execution. A step that breaches several is blamed on the first of them here, so
/// causes stand before what follows from them.
#[must_use]
pub fn all() -> Vec<Box<dyn Invariant>> {
    let reference = reference::Shared::default();
    vec![
        Box::new(durable_before_said::DurableBeforeSaid::new()),
        Box::new(remembers::Remembers::new()),
        Box::new(promises::Promises::new()),
        Box::new(one_proposer::OneProposer::new()),
        Box::new(quorum::Quorum::new()),
        Box::new(chosen::Chosen::new()),
        Box::new(agreement::Agreement::new()),
        Box::new(prefix::Prefix::new()),
        Box::new(asked::Asked::new()),
        Box::new(same_state::SameState::new(reference.clone())),
        Box::new(replies::Replies::new(reference)),
        Box::new(replicas_agree::ReplicasAgree::new()),
    ]
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

    /// How many checks each has left out, where there are any.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = self.all.iter().map(|invariant| (invariant.name(), invariant.skipped()));
        all.filter(|(_, skipped)| *skipped > 0)
    }
}

impl Default for Invariants {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod fake;
