//! What replicas say to each other and write to their logs: messages and records.
//!
//! The table of who sends what, and when, is in [`super`].

use super::round::{Kind, Round};
use crate::core;
use crate::core::Claim;
use crate::machine::{Reply, Request};
use crate::replication::{Ballot, Chunk, Partial, Slot, Ticket, Value};
use serde::{Deserialize, Serialize};

/// A value for a slot, in a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The instance.
    pub slot: Slot,
    /// The proposal's number.
    pub round: Round,
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
        /// The reign of the leader that the sender hears.
        hears: Option<Ballot>,
        /// The highest reign that the sender has promised; a hint for the next one to try.
        promised: Ballot,
    },
    /// Phase 1 of both rounds of a reign, for every slot from `from` on.
    Prepare {
        /// The reign to promise.
        reign: Ballot,
        /// The first slot that the proposer does not know to be decided.
        from: Slot,
    },
    /// Nothing of a lower reign will be accepted; and what was accepted so far.
    Promise {
        /// The reign promised.
        reign: Ballot,
        /// Every slot up to this one is decided; ask for its value by `catch-up`.
        decided: Slot,
        /// The slot from which on this page answers.
        from: Slot,
        /// The proposals accepted from there on, above `decided`.
        accepted: Vec<Proposal>,
        /// Where the next page begins, if this one was full.
        more: Option<Slot>,
    },
    /// Phase 2 of the fast round, for all slots from `from` on: accept the first proposal that comes (the value "any").
    Any {
        /// The reign.
        reign: Ballot,
        /// The first slot that is open.
        from: Slot,
    },
    /// A proposer's value, sent to all acceptors without a detour to the leader.
    Propose {
        /// The reign whose fast round is open for the slot.
        reign: Ballot,
        /// The first slot that the proposer takes for free.
        slot: Slot,
        /// Its value.
        value: Value,
    },
    /// The sender has accepted a value in the fast round, durably (phase 2b).
    Voted {
        /// The reign.
        reign: Ballot,
        /// The slot.
        slot: Slot,
        /// Which value.
        digest: u64,
    },
    /// Phase 2 of the classic round for one slot.
    Accept {
        /// The value, its slot, and the round.
        proposal: Proposal,
        /// As in `Heartbeat`.
        decided: Slot,
    },
    /// The sender has accepted in the classic round, durably.
    Accepted {
        /// The reign of the proposal.
        reign: Ballot,
        /// Its slot.
        slot: Slot,
    },
    /// The leader lives.
    Heartbeat {
        /// The leader's reign.
        reign: Ballot,
        /// Every slot up to this one is decided. Where the receiver holds a value of the reign's classic round, that is
        /// the decided one.
        decided: Slot,
        /// From which slot on the fast round is open, if it is.
        fast: Option<Slot>,
    },
    /// When this was sent, the sender had promised nothing above `reign`.
    Heard {
        /// The leader's reign.
        reign: Ballot,
    },
    /// The sender has promised more than what it was asked.
    Rejected {
        /// What it was asked.
        reign: Ballot,
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
    /// A client's request, for the leader, outside of fast rounds.
    Forward {
        /// The reign that it is meant for. No later one takes it, so that a late copy is not proposed again.
        reign: Ballot,
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
        "any",
        "propose",
        "voted",
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
            Self::Any { .. } => "any",
            Self::Propose { .. } => "propose",
            Self::Voted { .. } => "voted",
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
            Self::Prepare { reign, .. } => Claim::Prepares { ballot: promise_of(*reign) },
            Self::Promise { reign, .. } => Claim::Promised { ballot: promise_of(*reign) },
            Self::Accept { proposal, .. } => Claim::Proposes {
                ballot: proposal.round.number(),
                slot: proposal.slot.0,
                digest: proposal.value.digest(),
            },
            Self::Accepted { reign, slot } => Claim::Accepted {
                ballot: Round::classic(*reign).number(),
                slot: slot.0,
                digest: None,
            },
            // A fast round has many proposers, and an acceptor may accept in it after it has accepted in the classic
            // round of the same reign in another slot: the words of claims have no room for either.
            _ => Claim::Nothing,
        }
    }
}

/// The number by which a promise of `reign` is claimed: that of the higher of its two rounds.
pub(super) fn promise_of(reign: Ballot) -> u64 {
    Round::classic(reign).number()
}

/// What an acceptor and learner must remember.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The node has promised this reign.
    Promised(Ballot),
    /// The node has accepted this proposal.
    Accepted(Proposal),
    /// The node has learned a decided value that it had not accepted.
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
            Self::Promised(reign) => Claim::Promised { ballot: promise_of(*reign) },
            Self::Accepted(proposal) => Claim::Accepted {
                ballot: proposal.round.number(),
                slot: proposal.slot.0,
                digest: Some(proposal.value.digest()),
            },
            Self::Learned(..) | Self::Decided(_) | Self::Installed(_) => Claim::Nothing,
        }
    }
}

impl Proposal {
    /// Whether it is of a fast round.
    #[must_use]
    pub fn is_fast(&self) -> bool {
        self.round.kind == Kind::Fast
    }
}
