//! What the nodes say to each other, and what they write down.

use super::state::State;
use crate::core;
use crate::machine::Key;
use crate::replication::Ballot;
use serde::{Deserialize, Serialize};

/// What is decided, version by version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Register {
    /// The number of sessions opened so far.
    Sessions,
    /// A key of the clients.
    Key(Key),
}

/// Names a question of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The reader's incarnation.
    pub incarnation: u64,
    /// Counts its questions in that incarnation.
    pub number: u64,
}

/// What the nodes say to each other; see the table of the module above.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Phase 1a.
    Prepare {
        /// Of which register.
        register: Register,
        /// The ballot.
        ballot: Ballot,
        /// The last ballot that the proposer's own acceptor has accepted.
        known: Ballot,
    },
    /// Phase 1b.
    Promise {
        /// Of which register.
        register: Register,
        /// The ballot promised.
        ballot: Ballot,
        /// The highest ballot that was accepted.
        accepted: Ballot,
        /// The state accepted in it, if it is above the one that the proposer has.
        state: Option<State>,
    },
    /// Phase 2a.
    Accept {
        /// Of which register.
        register: Register,
        /// The ballot.
        ballot: Ballot,
        /// The state proposed.
        state: State,
    },
    /// Phase 2b.
    Accepted {
        /// Of which register.
        register: Register,
        /// The ballot.
        ballot: Ballot,
    },
    /// A ballot comes too late.
    Rejected {
        /// Of which register.
        register: Register,
        /// That ballot.
        ballot: Ballot,
        /// The higher one that was promised.
        promised: Ballot,
    },
    /// What was accepted last?
    Query {
        /// Of which register.
        register: Register,
        /// The question.
        query: Query,
        /// The last ballot that the reader's own acceptor has accepted.
        known: Ballot,
    },
    /// That was accepted last.
    Report {
        /// Of which register.
        register: Register,
        /// The question.
        query: Query,
        /// The highest ballot that was accepted.
        accepted: Ballot,
        /// The state accepted in it, if it is not the one that the reader has.
        state: Option<State>,
    },
}

impl core::Message for Message {
    const KINDS: &'static [&'static str] =
        &["prepare", "promise", "accept", "accepted", "rejected", "query", "report"];

    fn kind(&self) -> &'static str {
        match self {
            Self::Prepare { .. } => "prepare",
            Self::Promise { .. } => "promise",
            Self::Accept { .. } => "accept",
            Self::Accepted { .. } => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::Query { .. } => "query",
            Self::Report { .. } => "report",
        }
    }
}

/// What must survive a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A promise was given.
    Promised {
        /// Of which register.
        register: Register,
        /// The ballot.
        ballot: Ballot,
    },
    /// A state was accepted.
    Accepted {
        /// Of which register.
        register: Register,
        /// The ballot.
        ballot: Ballot,
        /// The state.
        state: State,
    },
}
