//! What the nodes say to each other and write to their logs. The table of who sends what, and when, is in [`super`].

use crate::core;
use crate::core::{NodeId, Position};
use crate::machine::{Reply, Request};
use crate::replication::{Chunk, Courier, Partial, Slot, Ticket, Value};
use crate::variants::multi_paxos;
use serde::{Deserialize, Serialize};

/// A configuration: the sequence of nodes that an update passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Counts the configurations.
    pub epoch: u64,
    /// The nodes, the head first and the tail last; never fewer than a majority of all.
    pub nodes: Vec<NodeId>,
}

/// A place in the history of updates. Two nodes that hold an update at the same place hold the same ones before it.
///
/// The later of two is that of the later epoch, however many updates stand before the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The epoch in which a head took the update.
    pub epoch: u64,
    /// The update's number.
    pub slot: Slot,
}

impl Place {
    /// Before all updates.
    pub const START: Self = Self { epoch: 0, slot: Slot(0) };
}

/// An update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The epoch in which a head took it.
    pub epoch: u64,
    /// The requests.
    pub value: Value,
    /// Who forwarded each request to the head, if somebody did: the tail answers there.
    pub asked_by: Vec<Option<(NodeId, Ticket)>>,
}

/// What a node tells the master of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The configuration that the sender has entered.
    pub epoch: u64,
    /// Whether it has sealed that: it takes no more updates in it.
    pub sealed: bool,
    /// Its successor, if it has not heard it for long.
    pub silent: Option<NodeId>,
    /// The member from which the sender, which is none, has lately fetched all but a little.
    pub caught_up_with: Option<NodeId>,
}

/// A message between nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// A message of the Multi-Paxos that keeps the configuration.
    Master(multi_paxos::Message),
    /// How the sender is.
    Status(Status),
    /// Take no more updates in any configuration up to this one, and say what you hold.
    Seal {
        /// The last configuration that is decided.
        epoch: u64,
    },
    /// The sender has sealed it.
    Sealed {
        /// The configuration.
        epoch: u64,
        /// The last update that the sender's disk has.
        last: Place,
    },
    /// Updates that the sender's disk has; none at all say that it lives.
    Pass {
        /// The configuration.
        epoch: u64,
        /// The place before the first update.
        before: Place,
        /// The updates, in order.
        updates: Vec<Update>,
        /// The last update that the sender could pass.
        last: Place,
        /// Whether the sender's history begins as the head's does. Otherwise only that it lives is said.
        in_line: bool,
        /// Every update up to this one is acknowledged.
        decided: Slot,
        /// The `sync` that is answered; 0 if none is.
        answers: u64,
    },
    /// Every update up to this one has passed the tail.
    Ack {
        /// The configuration.
        epoch: u64,
        /// The update.
        decided: Slot,
    },
    /// What comes after `agreed`?
    Sync {
        /// The configuration.
        epoch: u64,
        /// The sender's count of its questions.
        number: u64,
        /// The last update that it holds and knows to be in the chain's history.
        agreed: Place,
        /// A snapshot of which it has received a part.
        partial: Option<Partial>,
    },
    /// A part of the state, for whom the log in memory no longer reaches back far enough.
    Snapshot {
        /// The configuration.
        epoch: u64,
        /// The part.
        chunk: Chunk,
    },
    /// Has the receiver entered a configuration after `epoch`? Asked by a tail before it answers queries.
    Confirm {
        /// The sender's configuration.
        epoch: u64,
        /// The sender's count of its rounds.
        round: u64,
    },
    /// The answer.
    Confirmed {
        /// The answering node's configuration.
        epoch: u64,
        /// The round that is answered.
        round: u64,
    },
    /// A client's request, for the head or the tail of `epoch`.
    Forward {
        /// The configuration that it is meant for.
        epoch: u64,
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
        "master",
        "status",
        "seal",
        "sealed",
        "pass",
        "ack",
        "sync",
        "snapshot",
        "confirm",
        "confirmed",
        "forward",
        "answer",
        "return",
    ];

    fn kind(&self) -> &'static str {
        match self {
            Self::Master(_) => "master",
            Self::Status(_) => "status",
            Self::Seal { .. } => "seal",
            Self::Sealed { .. } => "sealed",
            Self::Pass { .. } => "pass",
            Self::Ack { .. } => "ack",
            Self::Sync { .. } => "sync",
            Self::Snapshot { .. } => "snapshot",
            Self::Confirm { .. } => "confirm",
            Self::Confirmed { .. } => "confirmed",
            Self::Forward { .. } => "forward",
            Self::Answer { .. } => "answer",
            Self::Return { .. } => "return",
        }
    }
}

impl Courier<u64> for Message {
    fn forward(epoch: u64, ticket: Ticket, request: Request) -> Self {
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
    /// A record of the Multi-Paxos that keeps the configuration, and where it stands among those.
    Master(Position, multi_paxos::Record),
    /// The node has entered this configuration.
    Entered(Chain),
    /// The node takes no more updates in any configuration up to this one.
    Sealed(u64),
    /// The node holds this update, and none after it; every one up to `decided` is acknowledged.
    Update {
        /// The update's number.
        slot: Slot,
        /// The update.
        update: Update,
        /// How far updates were known to be acknowledged.
        decided: Slot,
    },
    /// The node has replaced its state by another node's, up to this update.
    Installed(Slot),
}
