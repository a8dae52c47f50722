//! What servers say to each other and write to their logs. The table of who sends what, and when, is in [`super`].

use super::slots::is_revocation;
use crate::core::{self, Claim, NodeId};
use crate::replication::{Ballot, Chunk, Partial, Slot, Value};
use serde::{Deserialize, Serialize};

/// A value for a slot, under a ballot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The instance.
    pub slot: Slot,
    /// The proposal's number; its class is told by [`super::slots`].
    pub ballot: Ballot,
    /// What is proposed.
    pub value: Value,
}

/// Slots of one owner that are decided as no-ops: `first`, its next one, and so on, up to and with `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first of them.
    pub first: Slot,
    /// The last of them.
    pub last: Slot,
}

/// What a server will not do any more in the slots of one owner up to `upto`: accept anything below `ballot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The highest ballot of a revocation that was promised, or accepted in.
    pub ballot: Ballot,
    /// The last slot that the promise covers.
    pub upto: Slot,
}

impl Bound {
    /// No promise.
    pub const NONE: Self = Self { ballot: Ballot::NONE, upto: Slot(0) };
}

/// A message between servers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Phase 2 by the slot's owner in its initial ballot, or by whoever revokes the slot in a higher one.
    Accept {
        /// The value, its slot, and the ballot.
        proposal: Proposal,
        /// The sender has applied every slot up to this one.
        applied: Slot,
    },
    /// The sender has accepted, durably.
    Ack {
        /// The ballot of the proposal.
        ballot: Ballot,
        /// Its slot.
        slot: Slot,
        /// The sender's own slots below that it has skipped, as far as the proposer may not know of them.
        skips: Vec<Run>,
    },
    /// What is decided.
    Learn {
        /// In each slot, whatever was proposed under this ballot.
        decided: Vec<(Slot, Ballot)>,
        /// Slots decided as no-ops, of any owner.
        no_ops: Vec<Run>,
    },
    /// The sender does not accept, or does not promise.
    Refuse {
        /// The ballot that it was asked for.
        ballot: Ballot,
        /// Whose slots.
        owner: NodeId,
        /// What it has promised for them.
        bound: Bound,
        /// The sender has applied every slot up to this one.
        applied: Slot,
    },
    /// Phase 1, for the slots of one owner from `from` up to `upto`: a revocation.
    Prepare {
        /// Whose slots.
        owner: NodeId,
        /// The ballot to promise.
        ballot: Ballot,
        /// The first slot of which to report.
        from: Slot,
        /// The last slot that is revoked.
        upto: Slot,
    },
    /// Nothing below `ballot` will be accepted in the slots of `owner` up to the one asked for.
    Promise {
        /// Whose slots.
        owner: NodeId,
        /// The ballot promised.
        ballot: Ballot,
        /// Every slot up to this one is decided; ask for its value by `catch-up`.
        applied: Slot,
        /// The slot from which on this page answers.
        from: Slot,
        /// What was accepted from there on, above `applied`.
        accepted: Vec<Proposal>,
        /// Where the next page begins, if this one was full.
        more: Option<Slot>,
    },
    /// The sender lives.
    Heartbeat {
        /// The last slot that the sender knows to be in use: every owner may have to skip below it.
        seen: Slot,
        /// The sender has applied every slot up to this one.
        applied: Slot,
        /// The sender's own slots above `applied` that it has skipped.
        skips: Vec<Run>,
    },
    /// What was decided above `applied`?
    CatchUp {
        /// The sender has applied every slot up to this one.
        applied: Slot,
        /// A snapshot of which the sender has received a part.
        partial: Option<Partial>,
    },
    /// Decided values.
    Decided {
        /// The slot of the first value.
        first: Slot,
        /// The values of consecutive slots.
        values: Vec<Value>,
        /// How far the sender could go on.
        applied: Slot,
    },
    /// A part of a snapshot, for whom the log no longer reaches back far enough.
    Snapshot(Chunk),
}

impl core::Message for Message {
    const KINDS: &'static [&'static str] = &[
        "suggest",
        "propose",
        "ack",
        "learn",
        "refuse",
        "prepare",
        "promise",
        "heartbeat",
        "catch-up",
        "decided",
        "snapshot",
    ];

    fn kind(&self) -> &'static str {
        match self {
            Self::Accept { proposal, .. } if is_revocation(proposal.ballot) => "propose",
            Self::Accept { .. } => "suggest",
            Self::Ack { .. } => "ack",
            Self::Learn { .. } => "learn",
            Self::Refuse { .. } => "refuse",
            Self::Prepare { .. } => "prepare",
            Self::Promise { .. } => "promise",
            Self::Heartbeat { .. } => "heartbeat",
            Self::CatchUp { .. } => "catch-up",
            Self::Decided { .. } => "decided",
            Self::Snapshot(_) => "snapshot",
        }
    }

    /// A promise here is one for the slots of one owner, so it is none in the sense of [`Claim::Promised`].
    fn claim(&self) -> Claim {
        match self {
            Self::Prepare { ballot, .. } => Claim::Prepares { ballot: ballot.number() },
            Self::Accept { proposal, .. } => Claim::Proposes {
                ballot: proposal.ballot.number(),
                slot: proposal.slot.0,
                digest: proposal.value.digest(),
            },
            Self::Ack { ballot, slot, .. } => {
                Claim::Accepted { ballot: ballot.number(), slot: slot.0, digest: None }
            }
            _ => Claim::Nothing,
        }
    }
}

/// What a server must remember.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The server may have suggested something in each of its own slots up to this one, whatever its records say.
    Reserved(Slot),
    /// Its own slot, in which it has suggested nothing and never will: as if its owner had accepted a no-op there.
    Skipped(Slot, NodeId),
    /// The server has promised this for the slots of that owner.
    Promised(NodeId, Bound),
    /// The server has accepted this proposal.
    Accepted(Proposal),
    /// The server has learned a decided value that no record before this one has.
    Learned(Slot, Value),
    /// Every slot up to this one is decided, as the records before this one have it; a slot of which they say nothing
    /// as a no-op. Lazy: written with the next record, never for its own sake.
    Decided(Slot),
    /// The server has replaced its state by a peer's snapshot up to this slot. The records before say nothing about
    /// what is decided after it.
    Installed(Slot),
}

impl Record {
    /// What the record says of acceptances.
    pub(super) fn claim(&self) -> Claim {
        match self {
            Self::Accepted(proposal) => Claim::Accepted {
                ballot: proposal.ballot.number(),
                slot: proposal.slot.0,
                digest: Some(proposal.value.digest()),
            },
            Self::Skipped(slot, owner) => Claim::Accepted {
                ballot: super::slots::skip(*owner).number(),
                slot: slot.0,
                digest: Some(Value::no_op().digest()),
            },
            _ => Claim::Nothing,
        }
    }
}
