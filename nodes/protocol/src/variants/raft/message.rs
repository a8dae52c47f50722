//! What replicas say to each other and write to their logs: terms, entries, messages and records.
//!
//! Words of the paper, but that an entry's index is called its *slot*, as everywhere here. The table of who sends what,
//! and when, is in [`super`].

use crate::core::{self, Claim, NodeId};
use crate::machine::{Reply, Request, digest};
use crate::replication::{Chunk, Partial, Slot, Ticket, Value};
use serde::{Deserialize, Serialize};
use std::fmt;

/// "Terms act as a logical clock in Raft" (section 5.1). The first is 1; 0 is before all terms.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Term(pub u64);

impl Term {
    /// The term after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which entry: "if two entries in different logs have the same index and term", the logs are identical up to there
/// (section 5.3). The order is that of section 5.4.1: whose last entry is the greater has the more up-to-date log.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EntryId {
    /// The term in which a leader created it.
    pub term: Term,
    /// Its place in the log.
    pub slot: Slot,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of term {}", self.slot, self.term)
    }
}

/// A place in the log, filled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The term of the leader that created it.
    pub term: Term,
    /// What it holds.
    pub payload: Payload,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// Requests of clients; none at all in the entry with which a leader begins its term.
    Requests(Value),
    /// The servers that vote from here on, in ascending order.
    Voters(Vec<NodeId>),
}

impl Entry {
    /// The requests, in their order.
    #[must_use]
    pub fn requests(&self) -> &[Request] {
        match &self.payload {
            Payload::Requests(value) => value.requests(),
            Payload::Voters(_) => &[],
        }
    }

    /// Equal for equal entries, and, since an entry keeps its term, for the same entry only.
    #[must_use]
    pub fn digest(&self) -> u64 {
        match &self.payload {
            Payload::Requests(value) => digest::of(&(self.term, value.digest())),
            Payload::Voters(voters) => digest::of(&(self.term, voters)),
        }
    }

    /// Near enough its size in a message.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.payload {
            Payload::Requests(value) => value.bytes(),
            Payload::Voters(voters) => voters.len(),
        }
    }
}

/// A message between replicas. The table in [`super`] says who sends which, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Would you vote for me? Asked before a term is begun (dissertation, section 9.6).
    PreVote {
        /// The sender's count of its questions.
        number: u64,
        /// The last entry of its log.
        last: EntryId,
    },
    /// The answer.
    PreVoted {
        /// The question that is answered.
        number: u64,
        /// The sender's term.
        term: Term,
        /// Whether it hears no leader, and the asker's log is not behind its own.
        granted: bool,
    },
    /// Vote for me (section 5.2).
    RequestVote {
        /// The candidate's term.
        term: Term,
        /// Who asks.
        candidate: NodeId,
        /// The last entry of its log.
        last: EntryId,
        /// An operator wants it: also who hears a leader is to vote (dissertation, section 4.2.3).
        wanted: bool,
    },
    /// The answer.
    Vote {
        /// The sender's term.
        term: Term,
        /// Whether it has voted for the candidate, durably.
        granted: bool,
    },
    /// Entries to append, in one piece with what comes before them (section 5.3).
    Append {
        /// The leader's term.
        term: Term,
        /// The entry before the first of `entries`.
        previous: EntryId,
        /// What follows it.
        entries: Vec<Entry>,
        /// Every slot up to this one is committed.
        commit: Slot,
    },
    /// The sender's log is the leader's up to an entry, durably.
    Appended {
        /// The leader's term.
        term: Term,
        /// The last entry that is known to be the same.
        matched: EntryId,
    },
    /// The sender's log does not hold the entry before those that it was to append.
    Refused {
        /// The leader's term.
        term: Term,
        /// The entry that it lacks.
        previous: EntryId,
        /// The first slot to try instead: after the log's end, or where the entries of the conflicting term begin.
        first: Slot,
        /// The term of the entry that the log holds in place of `previous`, if any.
        conflict: Option<Term>,
    },
    /// The leader lives. Also the round by which it learns that it still leads, before it answers reads.
    Heartbeat {
        /// The leader's term.
        term: Term,
        /// The leader's count of its heartbeats.
        round: u64,
        /// The last entry that is committed.
        commit: EntryId,
    },
    /// When this was sent, the sender knew of no term above `term`.
    Heard {
        /// The leader's term.
        term: Term,
        /// The heartbeat that is answered.
        round: u64,
    },
    /// The sender knows of a higher term than the one of a leader that it heard.
    Stale {
        /// The higher term.
        term: Term,
    },
    /// A part of a snapshot, for a server whose next entry the leader has dropped (section 7).
    Snapshot {
        /// The leader's term.
        term: Term,
        /// The part.
        chunk: Chunk,
    },
    /// How far the snapshot has come: what to send next.
    Fetch {
        /// The leader's term.
        term: Term,
        /// The part that was received; `None` to begin anew.
        partial: Option<Partial>,
    },
    /// A client's request, for the leader.
    Forward {
        /// The term that it is meant for. No later leader takes it, so that a late copy is not proposed again.
        term: Term,
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
        "pre-vote",
        "pre-voted",
        "request-vote",
        "vote",
        "append",
        "appended",
        "refused",
        "heartbeat",
        "heard",
        "stale",
        "snapshot",
        "fetch",
        "forward",
        "answer",
        "return",
    ];

    fn kind(&self) -> &'static str {
        match self {
            Self::PreVote { .. } => "pre-vote",
            Self::PreVoted { .. } => "pre-voted",
            Self::RequestVote { .. } => "request-vote",
            Self::Vote { .. } => "vote",
            Self::Append { .. } => "append",
            Self::Appended { .. } => "appended",
            Self::Refused { .. } => "refused",
            Self::Heartbeat { .. } => "heartbeat",
            Self::Heard { .. } => "heard",
            Self::Stale { .. } => "stale",
            Self::Snapshot { .. } => "snapshot",
            Self::Fetch { .. } => "fetch",
            Self::Forward { .. } => "forward",
            Self::Answer { .. } => "answer",
            Self::Return { .. } => "return",
        }
    }

    fn claim(&self) -> Claim {
        match self {
            // Rivals for a vote share a term, so the number names the candidate, too. It is none of a leader's.
            Self::RequestVote { term, candidate, .. } => {
                Claim::Prepares { ballot: (term.0 << 16) | u64::from(candidate.0) }
            }
            Self::Vote { term, granted: true } => Claim::Promised { ballot: term.0 },
            Self::Append { term, previous, entries, .. } => match entries.last() {
                Some(last) => Claim::Proposes {
                    ballot: term.0,
                    slot: previous.slot.0 + entries.len() as u64,
                    digest: last.digest(),
                },
                None => Claim::Nothing,
            },
            // An entry of an earlier term is held, which proves nothing for this term (section 5.4.2).
            Self::Appended { term, matched } if matched.term == *term => {
                Claim::Accepted { ballot: term.0, slot: matched.slot.0, digest: None }
            }
            _ => Claim::Nothing,
        }
    }
}

/// What a server must remember.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// The node is in this term, and has voted for this candidate in it, if for any.
    Vote(Term, Option<NodeId>),
    /// The node holds this entry in this slot, and nothing after it: whatever stood there conflicts, and is gone.
    Entry {
        /// The term in which the node has appended it; not below that of the entry.
        accepted_in: Term,
        /// Where.
        slot: Slot,
        /// What.
        entry: Entry,
    },
    /// By appending an entry of this term the node has accepted the entry that it held in this slot below it in that term,
    /// too: from now on no log without it is as up-to-date as this one.
    Covered {
        /// The term.
        accepted_in: Term,
        /// The slot of the older entry.
        slot: Slot,
        /// Its digest.
        digest: u64,
    },
    /// Every slot up to this one is committed, as the records before this one have it. Lazy: written with the next
    /// record, never for its own sake.
    Committed(Slot),
    /// The node has replaced its state by a leader's snapshot up to this entry. If that snapshot is missing, the records
    /// that follow say nothing about what is committed.
    Installed(EntryId),
}

impl Record {
    /// What the record says of promises and acceptances; [`super`] says why.
    pub(super) fn claim(&self) -> Claim {
        match self {
            Self::Vote(term, _) => Claim::Promised { ballot: term.0 },
            Self::Entry { accepted_in, slot, entry } if entry.term == *accepted_in => {
                let digest = Some(entry.digest());
                Claim::Accepted { ballot: accepted_in.0, slot: slot.0, digest }
            }
            Self::Covered { accepted_in, slot, digest } => {
                Claim::Accepted { ballot: accepted_in.0, slot: slot.0, digest: Some(*digest) }
            }
            Self::Entry { .. } | Self::Committed(_) | Self::Installed(_) => Claim::Nothing,
        }
    }
}
