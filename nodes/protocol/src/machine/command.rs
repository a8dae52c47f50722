//! What clients ask of a system, and what it answers.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The name of a value in the state machine.
pub type Key = Box<str>;

/// What a key holds. A key that was never written, or was deleted, holds [`Value::Nil`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Value {
    /// Nothing.
    #[default]
    Nil,
    /// An integer, or a counter.
    Int(i64),
    /// A text.
    Text(Box<str>),
    /// A list, grown by `append`.
    List(Vec<Value>),
    /// A set, grown by `insert`.
    Set(BTreeSet<Value>),
}

/// One operation on one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Answers the value.
    Read(Key),
    /// Replaces the value.
    Write(Key, Value),
    /// Replaces the value if it equals the first one; otherwise the whole command fails without effect.
    Cas(Key, Value, Value),
    /// Removes the value; answers what it was.
    Delete(Key),
    /// Appends to a list; nil is an empty list.
    Append(Key, Value),
    /// Adds to a counter; nil is 0. Answers the new value.
    Add(Key, i64),
    /// Adds an element to a set; nil is an empty set.
    Insert(Key, Value),
}

impl Operation {
    /// The key that the operation touches: two commands conflict if they share a key and one of them writes it.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Read(key)
            | Self::Write(key, _)
            | Self::Cas(key, _, _)
            | Self::Delete(key)
            | Self::Append(key, _)
            | Self::Add(key, _)
            | Self::Insert(key, _) => key,
        }
    }

    /// Whether the operation leaves every state as it was.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Read(_))
    }
}

/// A client session, named by the system that registered it. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// A small transaction: its operations take effect together, in order, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Whose request it is.
    pub session: SessionId,
    /// The session's number of this request; a retry carries the same one.
    pub sequence: u64,
    /// The client awaits no answer to any request numbered below this, and will not send one again.
    pub watermark: u64,
    /// At least one, and few.
    pub operations: Vec<Operation>,
}

impl Command {
    /// Whether the command leaves every state as it was.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.operations.iter().all(Operation::is_read)
    }
}

/// What a client may ask of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Register a session, through the log. `nonce` is the client's own and makes a retry of this request harmless.
    OpenSession {
        /// Drawn by the client, different for each session that it wants.
        nonce: u64,
    },
    /// Execute a command.
    Execute(Command),
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The session is registered.
    Session(SessionId),
    /// The command took effect; one result an operation. Writes, appends and inserts answer nil.
    Results(Vec<Value>),
    /// An admin command was carried out.
    Done,
    /// It failed; [`Failure::certainty`] says what that means.
    Failed(Failure),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// A cas found another value.
    #[error("the value of {key} is not the expected one")]
    CasMismatch {
        /// Where.
        key: Key,
    },
    /// The operation does not fit what the key holds, such as an append to an integer.
    #[error("{key} holds another type of value")]
    WrongType {
        /// Where.
        key: Key,
    },
    /// The session has expired, or was never registered.
    #[error("no such session")]
    SessionExpired,
    /// The client had said that it would not send this number again.
    #[error("the request's number lies below the session's watermark")]
    Superseded,
    /// The session holds as many results as it may; the client must raise its watermark.
    #[error("the session holds too many unacknowledged results")]
    SessionFull,
    /// The algorithm has no such operation.
    #[error("not supported by this variant")]
    Unsupported,
    /// A queue is full. The request was not taken.
    #[error("overloaded: the request was not taken")]
    Overloaded,
    /// No leader was known in time. The request never left this node.
    #[error("no leader in time: the request was not proposed")]
    NoLeader,
    /// The request was proposed or forwarded, and its fate is not known here.
    #[error("the outcome is unknown")]
    Unknown,
}

/// How much a failure says about a request that may have been sent several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The request did not take effect and never will, whatever became of its other attempts: its session decided so.
    Request,
    /// This attempt did not take effect and never will. Another attempt of the same request may.
    Attempt,
    /// Nothing is known.
    Unknown,
}

impl Failure {
    /// What the failure rules out.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::CasMismatch { .. } | Self::WrongType { .. } | Self::Unsupported => {
                Certainty::Request
            }
            Self::SessionExpired
            | Self::Superseded
            | Self::SessionFull
            | Self::Overloaded
            | Self::NoLeader => Certainty::Attempt,
            Self::Unknown => Certainty::Unknown,
        }
    }

    /// The error's name in replies and histories.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CasMismatch { .. } => "cas-mismatch",
            Self::WrongType { .. } => "wrong-type",
            Self::SessionExpired => "session-expired",
            Self::Superseded => "superseded",
            Self::SessionFull => "session-full",
            Self::Unsupported => "unsupported",
            Self::Overloaded => "overloaded",
            Self::NoLeader => "no-leader",
            Self::Unknown => "unknown",
        }
    }
}

/// What clients may ask of a variant, and what it claims to keep.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Compare-and-set.
    pub cas: bool,
    /// Lists, counters, sets and deletes.
    pub collections: bool,
    /// Commands of several operations.
    pub transactions: bool,
    /// Sessions that make a request which its client sends again take effect once. Without them a client must not send
    /// again what may have taken effect.
    pub sessions: bool,
    /// Changes of membership, by [`crate::Admin::Add`] and [`crate::Admin::Remove`].
    pub membership: bool,
    /// Whether it claims linearizability; a variant that does not is a defendant.
    pub linearizable: bool,
    /// Whether it has a leader that a balancer or a fault can aim at.
    pub leader: bool,
    /// How many nodes of `n` may be down or cut off while the rest goes on: `(n - 1) / 2` for a majority.
    pub survives: fn(nodes: usize) -> usize,
}
