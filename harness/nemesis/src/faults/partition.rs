//! `partition`: links that carry nothing. The kinds follow Jepsen's `jepsen.nemesis` (grudges) and its documentation;
//! which links each means is in [`crate::resolve()`].

use super::{Available, Fault, Line, one_or_any};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "partition",
        summary: "Cuts links between nodes, or between clients and nodes",
        params: &[
            (
                "kind=any",
                "one, halves, majorities-ring, bridge, leader, one-way or client-side; any rotates through them",
            ),
            (
                "mode=silent",
                "silent: nothing arrives and nobody is told; reset: connections are reset",
            ),
        ],
    },
    available: Available::Everywhere,
    read,
};

/// Which links a partition cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// One node from all others, in both directions.
    One,
    /// Two groups, of `nodes / 2` and the rest.
    Halves,
    /// Every node is linked with a majority, and no two with the same one. Needs four nodes: of three nodes no
    /// symmetric graph gives each a different majority.
    MajoritiesRing,
    /// Two groups that share only one node, which is linked with both.
    Bridge,
    /// The leader from all others, in both directions.
    Leader,
    /// One node from all others in one direction: it can only hear, or only speak.
    OneWay,
    /// Clients from some nodes: requests, answers or both are lost.
    ClientSide,
}

/// What the ends of a cut link notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutMode {
    /// Nothing: bytes do not arrive, connections hang.
    Silent,
    /// Connections are reset, and so are new ones.
    Reset,
}

impl Partition {
    /// Whether the nodes that it cuts off depend on who leads.
    #[must_use]
    pub(crate) fn wants_leader(self) -> bool {
        matches!(self, Self::Leader | Self::Bridge)
    }

    /// Every kind, in the order in which they are documented.
    pub const ALL: [Self; 7] = [
        Self::One,
        Self::Halves,
        Self::MajoritiesRing,
        Self::Bridge,
        Self::Leader,
        Self::OneWay,
        Self::ClientSide,
    ];

    /// Its name in the grammar.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Halves => "halves",
            Self::MajoritiesRing => "majorities-ring",
            Self::Bridge => "bridge",
            Self::Leader => "leader",
            Self::OneWay => "one-way",
            Self::ClientSide => "client-side",
        }
    }

    /// The smallest system that it can cut.
    #[must_use]
    pub fn nodes_min(self) -> u32 {
        match self {
            Self::ClientSide => 1,
            Self::One | Self::Halves | Self::Leader | Self::OneWay => 2,
            Self::Bridge => 3,
            Self::MajoritiesRing => 4,
        }
    }
}

impl CutMode {
    /// Its name in the grammar.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Reset => "reset",
        }
    }
}

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let kinds = params.take_with(
        "kind",
        Partition::ALL.to_vec(),
        "one of one, halves, majorities-ring, bridge, leader, one-way, client-side, any",
        |name| one_or_any(name, &Partition::ALL, Partition::name),
    )?;
    let mode = params.take_with("mode", CutMode::Silent, "silent or reset", |mode| match mode {
        "silent" => Some(CutMode::Silent),
        "reset" => Some(CutMode::Reset),
        _ => None,
    })?;
    params.finish()?;
    Ok(kinds.into_iter().map(|kind| Fault::Partition { kind, mode }).collect())
}
