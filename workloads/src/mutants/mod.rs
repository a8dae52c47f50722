//! Known bugs of clients and balancers: defendants that show whether the harness would have caught them. Those of the
//! protocol stand beside it, in `nodes/protocol/src/mutants`; all share one numbering.
//!
//! How a plan names them: a balancer as any other, by its spec (`--balancer sticky-eject`), though it is listed here
//! and not among [`BALANCERS`](crate::BALANCERS); a client's bug by its name, a [`ClientBug`], which the host of a
//! [`Client`](crate::client::Client) applies to every [`Step`] that the client answers.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant`, and its line in [`MUTANTS`].

pub mod sticky_eject;
pub mod textbook_random;
pub mod timeout_is_fail;
pub mod weights_ignored;

use crate::balancers::Registered;
use crate::client::Step;
use std::str::FromStr;

pub use timeout_is_fail::timeout_is_fail;

/// A line of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its number in the catalogue, which goes on from that of the protocol's mutants.
    pub number: u32,
    /// Its name in a plan.
    pub name: &'static str,
    /// What goes wrong inside, in one sentence.
    pub mechanism: &'static str,
    /// The real system and the reference.
    pub seen_in: &'static str,
    /// The fault that exposes it.
    pub exposed_by: &'static str,
    /// What a client sees, or whoever looks at the clients' histories.
    pub anomaly: &'static str,
    /// What it stands in the place of.
    pub part: Part,
}

/// The part that is broken.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// The client: a plan names the bug beside the client's policy.
    Client(ClientBug),
    /// The balancer: a plan names it instead of another.
    Balancer {
        /// The broken one.
        broken: Registered,
        /// The spec of one that does what the broken one claims, for comparison.
        correct: &'static str,
    },
}

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant] = &[
    timeout_is_fail::MUTANT,
    textbook_random::MUTANT,
    sticky_eject::MUTANT,
    weights_ignored::MUTANT,
];

/// The mutant of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Mutant> {
    MUTANTS.iter().find(|mutant| mutant.name == name)
}

/// The line of the broken balancer of that name.
pub(crate) fn balancer(name: &str) -> Option<&'static Registered> {
    match &find(name)?.part {
        Part::Balancer { broken, .. } => Some(broken),
        Part::Client(_) => None,
    }
}

/// A bug around a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientBug {
    /// See [`timeout_is_fail`](mod@timeout_is_fail).
    TimeoutIsFail,
}

impl ClientBug {
    /// What the host gets in the place of a step that the client answered.
    #[must_use]
    pub fn applied_to(self, step: Step) -> Step {
        match (self, step) {
            (Self::TimeoutIsFail, Step::Done(done)) => Step::Done(timeout_is_fail(done)),
            (_, step) => step,
        }
    }

    /// Its name in a plan.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TimeoutIsFail => timeout_is_fail::MUTANT.name,
        }
    }
}

/// There is no client's bug of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no bug of clients named `{0}`")]
pub struct UnknownBug(String);

impl FromStr for ClientBug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        match find(name).map(|mutant| mutant.part) {
            Some(Part::Client(bug)) => Ok(bug),
            _ => Err(UnknownBug(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BALANCERS;
    use tribunal_spec::Spec;

    #[test]
    fn every_mutant_is_found_by_its_name() {
        for mutant in MUTANTS {
            assert_eq!(find(mutant.name).map(|found| found.number), Some(mutant.number));
            match mutant.part {
                Part::Client(bug) => {
                    assert_eq!((mutant.name.parse(), bug.name()), (Ok(bug), mutant.name))
                }
                Part::Balancer { broken, correct } => {
                    assert_eq!(broken.entry.name, mutant.name);
                    let correct: Spec = correct.parse().expect("a spec");
                    assert!(find(&correct.name).is_none(), "{correct} is a mutant itself");
                    crate::balancer(&correct, 3, 1).expect("a balancer");
                }
            }
        }
        assert!(MUTANTS.is_sorted_by_key(|mutant| mutant.number));
        assert_eq!("sticky-eject".parse::<ClientBug>(), Err(UnknownBug("sticky-eject".to_owned())));
    }

    #[test]
    fn no_mutant_hides_a_balancer() {
        let hidden = |name| {
            BALANCERS
                .iter()
                .filter(|item| balancer(name).is_some() && item.entry.name == name)
                .count()
        };
        let hiding: Vec<_> =
            MUTANTS.iter().map(|mutant| mutant.name).filter(|name| hidden(name) > 0).collect();
        // The textbook's is listed with the others: it was there first, and it is the same one.
        assert_eq!(hiding, ["textbook-random"]);
    }
}
