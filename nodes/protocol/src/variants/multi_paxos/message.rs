//! What replicas say to each other and write to their logs: messages and records.
//!
//! Words of "Paxos Made Simple": a *proposal* is a ballot and a value for a slot, that is, for one instance of the
//! consensus algorithm (section 3). The table of who sends what, and when, is in [`super`].

use crate::core;
use crate::core::Claim;
use crate::machine::{Reply, Request};
use crate::replication::{Ballot, Chunk, Partial, Slot, Ticket, Value};
use serde::{Deserialize, Serialize};

/// A value for a slot, under a ballot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The instance.
    pub slot: Slot,
    /// The proposal's number.
    pub ballot: Ballot,
    /// What is proposed.
    pub value: Value,
}

/// A message between replicas. The table in [`super`] says who sends which, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Does anybody hear a leader? Asked before phase 1, so that no healthy leader is deposed.
    Canvass {
        /// The sender's count of its canvasses.
        number: u64,
    },
    /// The answer.
    Canvassed {
        /// The canvass that is answered.
        number: u64,
        /// The ballot of the leader that the sender hears.
        hears: Option<Ballot>,
        /// The highest ballot that the sender has promised; a hint for the next one to try.
        promised: Ballot,
    },
    /// Phase 1 for every slot from `from` on.
    Prepare {
        /// The ballot to promise.
        ballot: Ballot,
        /// The first slot that the proposer does not know to be decided.
        from: Slot,
    },
    /// No proposal numbered less than `ballot` will be accepted; and what was accepted so far.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// Every slot up to this one is decided; ask for its value by `catch-up`.
        decided: Slot,
        /// The slot from which on this page answers.
        from: Slot,
        /// The proposals accepted from there on, above `decided`.
        accepted: Vec<Proposal>,
        /// Where the next page begins, if this one was full.
        more: Option<Slot>,
    },
    /// Phase 2 for one slot.
    Accept {
        /// The value, its slot, and the ballot.
        proposal: Proposal,
        /// Every slot up to this one is decided, by a majority that accepted this ballot or before it began.
        decided: Slot,
    },
    /// The sender has accepted, durably.
    Accepted {
        /// The ballot of the proposal.
        ballot: Ballot,
        /// Its slot.
        slot: Slot,
    },
    /// The leader lives. Also the round by which it learns that it still leads, before it answers reads.
    Heartbeat {
        /// The leader's ballot.
        ballot: Ballot,
        /// The leader's count of its heartbeats.
        round: u64,
        /// As in `Accept`.
        decided: Slot,
    },
    /// When this was sent, the sender had promised nothing above `ballot`.
    Heard {
        /// The leader's ballot.
        ballot: Ballot,
        /// The heartbeat that is answered.
        round: u64,
    },
    /// The sender has promised more than what it was asked.
    Rejected {
        /// What it was asked.
        ballot: Ballot,
        /// What it has promised.
        promised: Ballot,
    },
    /// What was decided above `decided`?
    CatchUp {
        /// The sender knows every slot up to this one.
        decided: Slot,
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
        decided: Slot,
    },
    /// A part of a snapshot, for whom the log no longer reaches back far enough.
    Snapshot(Chunk),
    /// A client's request, for the leader.
    Forward {
        /// The reign that it is meant for. No later one takes it, so that a late copy is not proposed again.
        ballot: Ballot,
        /// The request's name in the answer.
        ticket: Ticket,
        /// The request.
        request: Request,
    },
    /// Answers to forwarded requests.
    Answer {
        /// Each with the name of its request.
        replies: Vec<(Ticket, Reply)>,
    },
    /// A forwarded request that this copy's receiver did not propose.
    Return {
        /// The request's name.
        ticket: Ticket,
        /// The request.
        request: Request,
    },
}

impl core::Message for Message {
    const KINDS: &'static [&'static str] = &[
        "canvass",
        "canvassed",
        "prepare",
        "promise",
        "accept",
        "accepted",
        "heartbeat",
        "heard",
        "rejected",
        "catch-up",
        "decided",
        "snapshot",
        "forward",
        "answer",
        "return",
    ];

    fn kind(&self) -> &'static str {
        match self {
            Self::Canvass { .. } => "canvass",
            Self::Canvassed { .. } => "canvassed",
            Self::Prepare { .. } => "prepare",
            Self::Promise { .. } => "promise",
            Self::Accept { .. } => "accept",
            Self::Accepted { .. } => "accepted",
            Self::Heartbeat { .. } => "heartbeat",
            Self::Heard { .. } => "heard",
            Self::Rejected { .. } => "rejected",
            Self::CatchUp { .. } => "catch-up",
            Self::Decided { .. } => "decided",
            Self::Snapshot(_) => "snapshot",
            Self::Forward { .. } => "forward",
            Self::Answer { .. } => "answer",
            Self::Return { .. } => "return",
        }
    }

    fn claim(&self) -> Claim {
        match self {
            Self::Prepare { ballot, .. } => Claim::Prepares { ballot: ballot.number() },
            Self::Promise { ballot, .. } => Claim::Promised { ballot: ballot.number() },
            Self::Accept { proposal, .. } => Claim::Proposes {
                ballot: proposal.ballot.number(),
                slot: proposal.slot.0,
                digest: proposal.value.digest(),
            },
            Self::Accepted { ballot, slot } => {
                Claim::Accepted { ballot: ballot.number(), slot: slot.0, digest: None }
            }
            _ => Claim::Nothing,
        }
    }
}

/// What an acceptor and learner must remember.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The node has promised this ballot.
    Promised(Ballot),
    /// The node has accepted this proposal.
    Accepted(Proposal),
    /// The node has learned a decided value from a peer.
    Learned(Slot, Value),
    /// Every slot up to this one is decided, as the records before this one have it. Lazy: written with the next
    /// record, never for its own sake.
    Decided(Slot),
    /// The node has replaced its state by a peer's snapshot up to this slot. The records before say nothing about what
    /// is decided after it.
    Installed(Slot),
}

impl Record {
    /// What the record says of promises and acceptances. What was learned from a peer was not accepted here.
    pub(super) fn claim(&self) -> Claim {
        match self {
            Self::Promised(ballot) => Claim::Promised { ballot: ballot.number() },
            Self::Accepted(proposal) => Claim::Accepted {
                ballot: proposal.ballot.number(),
                slot: proposal.slot.0,
                digest: Some(proposal.value.digest()),
            },
            Self::Learned(..) | Self::Decided(_) | Self::Installed(_) => Claim::Nothing,
        }
    }
}
