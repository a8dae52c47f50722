//! What nodes say to each other and to their disks, and the names in it.

use crate::core::{self, Claim, NodeId};
use crate::machine::digest;
use crate::replication::{Ballot, Chunk, Partial, Value};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The bits of a ballot's round that hold the incarnation of its node; above them its attempts are counted. So a ballot is
/// used in one incarnation only, whatever its instance.
const INCARNATION_BITS: u32 = 24;

/// The name of an instance: the row of the node that proposes in it, and its number in that row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instance {
    /// The place of the owner among the members, from 0.
    pub row: u32,
    /// Counted by the owner, from 1, without a gap.
    pub number: u64,
}

impl Instance {
    /// The row, as an index.
    #[must_use]
    pub fn row(self) -> usize {
        self.row as usize
    }

    /// One number for the instance, different for each, in a cluster of `nodes`.
    #[must_use]
    pub fn slot(self, nodes: usize) -> u64 {
        (self.number.saturating_sub(1)) * nodes as u64 + u64::from(self.row) + 1
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.row + 1, self.number)
    }
}

/// The ballot in which the owner of an instance proposes first.
#[must_use]
pub fn initial_ballot(owner: NodeId, incarnation: u64) -> Ballot {
    Ballot { round: incarnation & ((1 << INCARNATION_BITS) - 1), node: owner }
}

/// A ballot of `node` above `ballot`, and not an initial one.
#[must_use]
pub fn ballot_above(ballot: Ballot, node: NodeId, incarnation: u64) -> Ballot {
    let attempt = (ballot.round >> INCARNATION_BITS) + 1;
    let low = incarnation & ((1 << INCARNATION_BITS) - 1);
    Ballot { round: (attempt << INCARNATION_BITS) | low, node }
}

/// Whether it is the owner's first ballot.
#[must_use]
pub fn is_initial(ballot: Ballot) -> bool {
    ballot.round >> INCARNATION_BITS == 0
}

/// Dependencies: of each row every instance up to a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deps(Box<[u64]>);

impl Deps {
    /// None, of so many rows.
    #[must_use]
    pub fn none(rows: usize) -> Self {
        Self(vec![0; rows].into())
    }

    /// The number up to which `row` is meant.
    #[must_use]
    pub fn of(&self, row: usize) -> u64 {
        self.0[row]
    }

    /// Every row with its number.
    pub fn rows(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.0.iter().copied().enumerate()
    }

    /// Sets the number of a row.
    pub fn set(&mut self, row: usize, number: u64) {
        self.0[row] = number;
    }

    /// Means at least the instances of `row` up to `number`.
    pub fn raise(&mut self, row: usize, number: u64) {
        self.0[row] = self.0[row].max(number);
    }

    /// Means everything that `other` means, too.
    pub fn merge(&mut self, other: &Self) {
        for (row, number) in other.rows() {
            self.raise(row, number);
        }
    }

    /// Whether `other` means everything that this does.
    #[must_use]
    pub fn within(&self, other: &Self) -> bool {
        self.rows().all(|(row, number)| number <= other.of(row))
    }
}

/// What an instance decides to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: nobody knew what its owner had proposed.
    NoOp,
    /// Requests of clients, in this order.
    Requests(Value),
    /// Nothing, but in one place among all others: see "Bounds" in [`super`].
    Barrier,
}

impl Payload {
    /// Equal for equal payloads with equal dependencies.
    #[must_use]
    pub fn digest(&self, deps: &Deps) -> u64 {
        let own = match self {
            Self::NoOp => 0,
            Self::Barrier => 1,
            Self::Requests(value) => value.digest(),
        };
        digest::of(&(own, deps))
    }

    /// Its size in a message, nearly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::NoOp | Self::Barrier => 0,
            Self::Requests(value) => value.bytes(),
        }
    }
}

/// What a node holds of an instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Vote {
    /// Nothing.
    #[default]
    Nothing,
    /// It knows the payload, and has told somebody which dependencies it knows.
    PreAccepted {
        /// What the owner proposes.
        payload: Payload,
        /// What was answered to the owner, or would have been.
        deps: Deps,
        /// Whether these are the ones that the owner had proposed, in the initial ballot.
        agreed: bool,
    },
    /// It has accepted a proposal.
    Accepted {
        /// In this ballot, whatever it has promised since.
        ballot: Ballot,
        /// What is to be done.
        payload: Payload,
        /// After which instances.
        deps: Deps,
    },
    /// It is decided.
    Committed {
        /// What is to be done.
        payload: Payload,
        /// After which instances.
        deps: Deps,
    },
}

impl Vote {
    /// The payload, if it is known.
    #[must_use]
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Self::Nothing => None,
            Self::PreAccepted { payload, .. }
            | Self::Accepted { payload, .. }
            | Self::Committed { payload, .. } => Some(payload),
        }
    }

    /// Whether it is decided.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        matches!(self, Self::Committed { .. })
    }
}

/// A decided instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Which.
    pub instance: Instance,
    /// What is to be done.
    pub payload: Payload,
    /// After which instances.
    pub deps: Deps,
}

/// A message between replicas. The table in [`super`] says who sends which, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Which instances interfere with this one?
    PreAccept {
        /// The instance.
        instance: Instance,
        /// The owner's initial ballot, or that of a recovery.
        ballot: Ballot,
        /// What is proposed.
        payload: Payload,
        /// Those that the sender knows.
        deps: Deps,
    },
    /// Those that the sender and the receiver know.
    PreAcceptOk {
        /// The instance.
        instance: Instance,
        /// The ballot in which was asked.
        ballot: Ballot,
        /// The dependencies.
        deps: Deps,
    },
    /// Paxos: accept this.
    Accept {
        /// The instance.
        instance: Instance,
        /// The ballot.
        ballot: Ballot,
        /// What is to be done.
        payload: Payload,
        /// After which instances.
        deps: Deps,
    },
    /// The sender has accepted, durably.
    AcceptOk {
        /// The instance.
        instance: Instance,
        /// The ballot.
        ballot: Ballot,
    },
    /// An instance is decided; what it does, its owner has told before.
    Commit {
        /// The instance.
        instance: Instance,
        /// After which instances.
        deps: Deps,
        /// It does nothing, whatever its owner proposed.
        no_op: bool,
    },
    /// Recovery: promise this ballot, and tell what you hold.
    Prepare {
        /// The instance.
        instance: Instance,
        /// The ballot.
        ballot: Ballot,
    },
    /// The sender has promised, durably.
    PrepareOk {
        /// The instance.
        instance: Instance,
        /// The ballot.
        ballot: Ballot,
        /// What the sender holds.
        vote: Vote,
    },
    /// The sender has promised more than what it was asked.
    Rejected {
        /// The instance.
        instance: Instance,
        /// What it was asked.
        ballot: Ballot,
        /// What it has promised.
        promised: Ballot,
    },
    /// The sender lives.
    Status {
        /// It knows the decisions of each row up to here.
        committed: Deps,
        /// It has executed so many barriers.
        barriers: u64,
    },
    /// What was decided after this?
    CatchUp {
        /// As in `Status`.
        committed: Deps,
        /// As in `Status`.
        barriers: u64,
        /// A snapshot of which the sender has received a part.
        partial: Option<Partial>,
    },
    /// Decisions.
    Decided {
        /// Some.
        decisions: Vec<Decision>,
        /// How far the sender could go on, as in `Status`.
        committed: Deps,
    },
    /// A part of a snapshot, for whom the log no longer reaches back far enough.
    Snapshot(Chunk),
}

impl core::Message for Message {
    const KINDS: &'static [&'static str] = &[
        "pre-accept",
        "pre-accept-ok",
        "accept",
        "accept-ok",
        "commit",
        "prepare",
        "prepare-ok",
        "rejected",
        "status",
        "catch-up",
        "decided",
        "snapshot",
    ];

    fn kind(&self) -> &'static str {
        match self {
            Self::PreAccept { .. } => "pre-accept",
            Self::PreAcceptOk { .. } => "pre-accept-ok",
            Self::Accept { .. } => "accept",
            Self::AcceptOk { .. } => "accept-ok",
            Self::Commit { .. } => "commit",
            Self::Prepare { .. } => "prepare",
            Self::PrepareOk { .. } => "prepare-ok",
            Self::Rejected { .. } => "rejected",
            Self::Status { .. } => "status",
            Self::CatchUp { .. } => "catch-up",
            Self::Decided { .. } => "decided",
            Self::Snapshot(_) => "snapshot",
        }
    }

    fn claim(&self) -> Claim {
        match self {
            Self::Prepare { ballot, .. } => Claim::Prepares { ballot: ballot.number() },
            Self::Accept { instance, ballot, payload, deps } => Claim::Proposes {
                ballot: ballot.number(),
                slot: instance.slot(deps.rows().count()),
                digest: payload.digest(deps),
            },
            // A promise binds in one instance only, which no claim can say.
            _ => Claim::Nothing,
        }
    }
}

/// What must survive a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The node has promised this ballot.
    Promised(Instance, Ballot),
    /// The node knows the payload, in this ballot.
    PreAccepted {
        /// The instance.
        instance: Instance,
        /// The ballot in which it was asked.
        ballot: Ballot,
        /// What is proposed.
        payload: Payload,
        /// As in [`Vote::PreAccepted`].
        deps: Deps,
        /// As in [`Vote::PreAccepted`].
        agreed: bool,
    },
    /// The node has accepted this.
    Accepted {
        /// The instance.
        instance: Instance,
        /// In this ballot.
        ballot: Ballot,
        /// What is to be done.
        payload: Payload,
        /// After which instances.
        deps: Deps,
    },
    /// The instance is decided. Lazy, but for the owner that decides by the fast path.
    Committed {
        /// The instance.
        instance: Instance,
        /// What is to be done; `None` if it is what the records before this one have.
        payload: Option<Payload>,
        /// After which instances.
        deps: Deps,
    },
}

impl Record {
    /// What the record says of acceptances.
    pub(super) fn claim(&self) -> Claim {
        match self {
            Self::Accepted { instance, ballot, payload, deps } => Claim::Accepted {
                ballot: ballot.number(),
                slot: instance.slot(deps.rows().count()),
                digest: Some(payload.digest(deps)),
            },
            _ => Claim::Nothing,
        }
    }
}
