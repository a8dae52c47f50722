//! The registry of faults: one file a fault, and one line in [`registry`].

mod kill;
mod partition;
mod pause;

pub use partition::{CutMode, Partition};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tribunal_spec::{Entry, Params, Spec, SpecError, find};

/// What goes wrong during one injection, with every parameter fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Fault {
    /// Links carry nothing.
    Partition {
        /// Which links.
        kind: Partition,
        /// What the ends of such a link notice.
        mode: CutMode,
    },
    /// Processes end by SIGKILL.
    Kill {
        /// Which nodes.
        target: Target,
        /// Whether they are started again at the end of the injection.
        stay_dead: bool,
    },
    /// Processes are stopped by SIGSTOP, and go on at the end of the injection.
    Pause {
        /// Which nodes.
        target: Target,
    },
}

/// Which nodes a fault is aimed at, before it is known which these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Any one node.
    One,
    /// As many as may fail while a majority is left; at least one.
    Minority,
    /// The smallest majority.
    Majority,
    /// Every node.
    All,
    /// The leader; any one node while none is known.
    Leader,
}

impl Fault {
    /// Every fault that a spec asks for: one if it fixes all parameters, else all that it leaves open, to be rotated.
    ///
    /// # Errors
    /// [`SpecError`] for an unknown name or parameter.
    pub fn alternatives(spec: &Spec) -> Result<Vec<Self>, SpecError> {
        let line = find("fault", &spec.name, REGISTRY, |line| &line.entry)?;
        (line.read)(spec)
    }

    /// The fault's name in the registry.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => partition::ENTRY.name,
            Self::Kill { .. } => kill::ENTRY.name,
            Self::Pause { .. } => pause::ENTRY.name,
        }
    }

    /// Whether the fault lasts as long as the run.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Kill { stay_dead: true, .. })
    }

    /// Whether resolving its target needs to know who leads.
    #[must_use]
    pub fn wants_leader(&self) -> bool {
        match self {
            Self::Partition { kind, .. } => kind.wants_leader(),
            Self::Kill { target, .. } | Self::Pause { target } => *target == Target::Leader,
        }
    }

    /// Whether a system of `nodes` nodes can suffer it at all.
    #[must_use]
    pub fn fits(&self, nodes: u32) -> bool {
        match self {
            Self::Partition { kind, .. } => nodes >= kind.nodes_min(),
            Self::Kill { stay_dead: true, .. } => {
                self.lost_for_good(nodes) <= crate::minority(nodes)
            }
            Self::Kill { .. } | Self::Pause { .. } => nodes > 0,
        }
    }

    /// How many nodes the fault takes away for the rest of the run.
    #[must_use]
    pub fn lost_for_good(&self, nodes: u32) -> u32 {
        match self {
            Self::Kill { target, stay_dead: true } => target.count(nodes),
            _ => 0,
        }
    }
}

/// The registry, as `tribunal list` prints it.
pub fn registry() -> impl Iterator<Item = &'static Entry> {
    REGISTRY.iter().map(|line| &line.entry)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition { kind, mode } => {
                write!(f, "partition:kind={},mode={}", kind.name(), mode.name())
            }
            Self::Kill { target, stay_dead } => {
                let stay_dead = if *stay_dead { "yes" } else { "no" };
                write!(f, "kill:stay-dead={stay_dead},target={}", target.name())
            }
            Self::Pause { target } => write!(f, "pause:target={}", target.name()),
        }
    }
}

impl FromStr for Fault {
    type Err = SpecError;

    /// Reads a fault of a schedule, in which every parameter that has no default must be fixed.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        match Self::alternatives(&Spec::parse(text)?)?[..] {
            [fault] => Ok(fault),
            _ => Err(SpecError::Grammar {
                text: text.to_owned(),
                why: "a fault of a schedule fixes its kind or target",
            }),
        }
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

impl TryFrom<String> for Fault {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

impl Target {
    /// Every target, the order in which they are documented.
    pub const ALL: [Self; 5] = [Self::One, Self::Minority, Self::Majority, Self::All, Self::Leader];

    /// Its name in the grammar.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Minority => "minority",
            Self::Majority => "majority",
            Self::All => "all",
            Self::Leader => "leader",
        }
    }

    /// How many of `nodes` nodes it means.
    #[must_use]
    pub fn count(self, nodes: u32) -> u32 {
        match self {
            Self::One | Self::Leader => 1.min(nodes),
            Self::Minority => crate::minority(nodes).max(1).min(nodes),
            Self::Majority => (nodes / 2 + 1).min(nodes),
            Self::All => nodes,
        }
    }

    /// Takes the parameter `target`: the one that is given, or all if none is.
    fn take(params: &mut Params<'_>) -> Result<Vec<Self>, SpecError> {
        params.take_with(
            "target",
            Self::ALL.to_vec(),
            "one of one, minority, majority, all, leader",
            |name| one_or_any(name, &Self::ALL, Self::name),
        )
    }
}

struct Line {
    entry: Entry,
    read: fn(&Spec) -> Result<Vec<Fault>, SpecError>,
}

const REGISTRY: &[Line] = &[
    Line { entry: partition::ENTRY, read: partition::read },
    Line { entry: kill::ENTRY, read: kill::read },
    Line { entry: pause::ENTRY, read: pause::read },
];

/// The one of `all` whose name is `name`; `any` means all of them.
fn one_or_any<T: Copy>(name: &str, all: &[T], name_of: fn(T) -> &'static str) -> Option<Vec<T>> {
    if name == "any" {
        return Some(all.to_vec());
    }
    all.iter().find(|&&item| name_of(item) == name).map(|&item| vec![item])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_faults() -> Vec<Fault> {
        ["partition", "partition:mode=reset", "kill", "kill:stay-dead=yes,target=one", "pause"]
            .iter()
            .flat_map(|text| {
                Fault::alternatives(&Spec::parse(text).expect("grammar")).expect("known")
            })
            .collect()
    }

    #[test]
    fn every_fault_reads_back_as_it_is_written() {
        for fault in all_faults() {
            assert_eq!(fault.to_string().parse::<Fault>().expect("its own text"), fault);
        }
    }

    #[test]
    fn a_spec_without_a_kind_means_all_kinds() {
        let kinds = Fault::alternatives(&Spec::named("partition")).expect("known");
        assert_eq!(kinds.len(), Partition::ALL.len());
        let any =
            Fault::alternatives(&Spec::parse("pause:target=any").expect("grammar")).expect("known");
        assert_eq!(any.len(), Target::ALL.len());
    }

    #[test]
    fn a_schedule_may_not_leave_a_fault_open() {
        assert!("partition".parse::<Fault>().is_err());
        assert!("kill:target=one".parse::<Fault>().is_ok());
    }

    #[test]
    fn what_is_unknown_is_refused_with_a_hint() {
        let error = |text: &str| {
            Fault::alternatives(&Spec::parse(text).expect("grammar"))
                .expect_err("unknown")
                .to_string()
        };
        assert!(error("partitoin").contains("did you mean `partition`?"));
        assert!(error("kill:tagret=one").contains("did you mean `target`?"));
        assert!(error("partition:kind=thirds").contains("expected one of one, halves"));
        assert!(error("kill:stay-dead=yes,target=majority").contains("minority"));
    }
}
