//! What the nodes say to each other and write to their logs. The table of who sends what, and when, is in [`super`].

use crate::core;
use crate::machine::{Reply, Request};
use crate::replication::{Ballot, Chunk, Courier, Partial, Slot, Ticket, Value};
use serde::{Deserialize, Serialize};

/// A place in the sequence of updates: two nodes that hold an update at the same place hold the same ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The epoch in which a primary took the update; compared first.
    pub epoch: Ballot,
    /// How many updates there are, this one included.
    pub slot: Slot,
}

impl Place {
    /// Before all updates.
    pub const START: Self = Self { epoch: Ballot::NONE, slot: Slot(0) };
}

/// An update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The epoch in which a primary took it.
    pub epoch: Ballot,
    /// The requests.
    pub value: Value,
}

/// A message between nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// The primary lives.
    Heartbeat {
        /// Its epoch.
        epoch: Ballot,
        /// The last update that it has applied.
        last: Place,
    },
    /// Updates that the primary's disk has.
    Updates {
        /// The primary's epoch.
        epoch: Ballot,
        /// The place before the first of them: whoever is elsewhere cannot take them.
        before: Place,
        /// The updates, in order.
        updates: Vec<Update>,
        /// The last update that the primary has applied.
        last: Place,
    },
    /// What comes after `last`?
    Sync {
        /// The epoch of the primary that is asked.
        epoch: Ballot,
        /// The last update that the sender holds.
        last: Place,
        /// A snapshot of which the sender has received a part.
        partial: Option<Partial>,
    },
    /// A part of the primary's state, for whom holds what the primary does not, or lags too far.
    Snapshot {
        /// The primary's epoch.
        epoch: Ballot,
        /// The part.
        chunk: Chunk,
    },
    /// Does anybody hear a primary, and who holds the most updates?
    Poll {
        /// The sender's count of its polls.
        number: u64,
    },
    /// The answer.
    Polled {
        /// The poll that is answered.
        number: u64,
        /// The epoch of the primary that the sender hears.
        hears: Option<Ballot>,
        /// The highest epoch that the sender has met.
        epoch: Ballot,
        /// The last update that it holds.
        last: Place,
    },
    /// The receiver is to be the primary, in an epoch above this one.
    TakeOver {
        /// The highest epoch that the sender has met.
        above: Ballot,
    },
    /// A client's request, for the primary.
    Forward {
        /// The epoch that it is meant for.
        epoch: Ballot,
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
    /// A forwarded request that this copy's receiver did not take.
    Return {
        /// The request's name.
        ticket: Ticket,
        /// The request.
        request: Request,
    },
}

impl core::Message for Message {
    const KINDS: &'static [&'static str] = &[
        "heartbeat",
        "updates",
        "sync",
        "snapshot",
        "poll",
        "polled",
        "take-over",
        "forward",
        "answer",
        "return",
    ];

    fn kind(&self) -> &'static str {
        match self {
            Self::Heartbeat { .. } => "heartbeat",
            Self::Updates { .. } => "updates",
            Self::Sync { .. } => "sync",
            Self::Snapshot { .. } => "snapshot",
            Self::Poll { .. } => "poll",
            Self::Polled { .. } => "polled",
            Self::TakeOver { .. } => "take-over",
            Self::Forward { .. } => "forward",
            Self::Answer { .. } => "answer",
            Self::Return { .. } => "return",
        }
    }
}

impl Courier<Ballot> for Message {
    fn forward(epoch: Ballot, ticket: Ticket, request: Request) -> Self {
        Self::Forward { epoch, ticket, request }
    }

    fn answer(replies: Vec<(Ticket, Reply)>) -> Self {
        Self::Answer { replies }
    }

    fn give_back(ticket: Ticket, request: Request) -> Self {
        Self::Return { ticket, request }
    }
}

/// What a node writes to its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The node has met this epoch.
    Epoch(Ballot),
    /// The node holds this update.
    Update {
        /// Which state the update belongs to: each snapshot that was installed from a primary begins another lineage.
        lineage: u64,
        /// The update's number.
        slot: Slot,
        /// The update.
        update: Update,
    },
}
