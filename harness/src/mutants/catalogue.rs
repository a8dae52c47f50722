//! Every mutant, whatever part it breaks, in one list with one numbering; and what it is compared with.

use tribunal_protocol::mutants as protocol;
use tribunal_protocol::variants;
use tribunal_spec::{Entry, Spec, SpecError};
use tribunal_workloads::mutants as workloads;
use tribunal_workloads::mutants::{ClientBug, Part};

/// A line of the catalogue.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Its number; the list is in this order.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// What goes wrong inside, in one sentence.
    pub mechanism: &'static str,
    /// The real system and the reference.
    pub seen_in: &'static str,
    /// Why processes that are only killed, paused and partitioned cannot show it; `None` if they can.
    pub exempt_from_real: Option<&'static str>,
    /// What is broken.
    pub broken: Broken,
}

/// What is broken, as a plan names it.
#[derive(Clone, Copy, Debug)]
pub enum Broken {
    /// The protocol: `SYSTEM:mutant=NAME`.
    Protocol {
        /// The variant around which the bug is built.
        system: &'static str,
    },
    /// The client.
    Client(ClientBug),
    /// The balancer, which is named instead of another.
    Balancer {
        /// One that does what the broken one claims.
        correct: &'static str,
    },
}

/// The system, the balancer and the clients that stand trial: a mutant, or what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defendant {
    /// The system.
    pub system: Spec,
    /// The balancer, if it is part of the charge: its shares are then asserted.
    pub balancer: Option<Spec>,
    /// The client's bug.
    pub client_bug: Option<ClientBug>,
}

/// The variant behind which broken clients and balancers stand.
const SYSTEM: &str = "multi-paxos";

/// Every mutant, by its number.
#[must_use]
pub fn all() -> Vec<Mutant> {
    let of_protocol = variants::mutants().into_iter().map(|(system, one)| Mutant {
        number: one.number,
        name: one.name,
        mechanism: one.mechanism,
        seen_in: one.seen_in,
        exempt_from_real: one.exempt_from_real,
        broken: Broken::Protocol { system },
    });
    let of_workloads = workloads::MUTANTS.iter().map(|one| Mutant {
        number: one.number,
        name: one.name,
        mechanism: one.mechanism,
        seen_in: one.seen_in,
        exempt_from_real: None,
        broken: match one.part {
            Part::Client(bug) => Broken::Client(bug),
            Part::Balancer { correct, .. } => Broken::Balancer { correct },
        },
    });
    let mut all: Vec<Mutant> = of_protocol.chain(of_workloads).collect();
    all.sort_by_key(|mutant| mutant.number);
    all
}

/// The mutants of these names, by their number; all if there are no names.
///
/// # Errors
/// [`SpecError::UnknownName`] with the nearest names.
pub fn select(names: &[String]) -> Result<Vec<Mutant>, SpecError> {
    let all = all();
    if names.is_empty() {
        return Ok(all);
    }
    let lines: Vec<Entry> = all.iter().map(Mutant::entry).collect();
    for name in names {
        tribunal_spec::find("mutant", name, &lines, |entry| entry)?;
    }
    Ok(all.into_iter().filter(|mutant| names.iter().any(|name| name == mutant.name)).collect())
}

impl Mutant {
    /// Its line in `tribunal list`.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry { name: self.name, summary: self.mechanism, params: &[] }
    }

    /// The options of `tribunal run` and `tribunal sim` that put it in.
    #[must_use]
    pub fn usage(&self) -> String {
        let name = self.name;
        match self.broken {
            Broken::Protocol { system } => format!("--system {system}:{}={name}", protocol::OPTION),
            Broken::Client(bug) => format!("--client-bug {}", bug.name()),
            Broken::Balancer { .. } => format!("--balancer {name} --assert-shares"),
        }
    }

    /// The mutant on trial.
    #[must_use]
    pub fn defendant(&self) -> Defendant {
        let correct = self.counterpart();
        match self.broken {
            Broken::Protocol { .. } => {
                let mut system = correct.system.clone();
                system.params.insert(protocol::OPTION.to_owned(), self.name.to_owned());
                Defendant { system, ..correct }
            }
            Broken::Client(bug) => Defendant { client_bug: Some(bug), ..correct },
            Broken::Balancer { .. } => {
                Defendant { balancer: Some(Spec::named(self.name)), ..correct }
            }
        }
    }

    /// What it is compared with: the same without the bug.
    #[must_use]
    pub fn counterpart(&self) -> Defendant {
        let (system, balancer) = match self.broken {
            Broken::Balancer { correct } => (SYSTEM, Some(spec(correct))),
            Broken::Protocol { system } => (system, None),
            Broken::Client(_) => (SYSTEM, None),
        };
        Defendant { system: Spec::named(system), balancer, client_bug: None }
    }
}

impl Defendant {
    /// What tells it from the others.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.balancer {
            Some(balancer) => format!("{} behind {balancer}", self.system),
            None => self.system.to_string(),
        }
    }
}

/// A spec that stands in a catalogue.
fn spec(text: &str) -> Spec {
    Spec::parse(text).expect("a test of the catalogue parses every spec in it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogues_have_one_numbering() {
        let numbers: Vec<u32> = all().iter().map(|mutant| mutant.number).collect();
        assert_eq!(numbers, (1..=48).collect::<Vec<_>>());
    }

    #[test]
    fn no_mutant_is_its_own_counterpart() {
        for mutant in all() {
            assert_ne!(mutant.defendant(), mutant.counterpart(), "{}", mutant.name);
        }
    }

    #[test]
    fn names_select_and_an_unknown_one_is_refused_with_a_hint() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let two = select(&names(&["write-all", "lazy-fsync"])).expect("known");
        assert_eq!(two.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 22]);
        let refused = select(&names(&["lazy-fsnyc"])).expect_err("unknown").to_string();
        assert!(refused.contains("lazy-fsync"), "{refused}");
    }
}
