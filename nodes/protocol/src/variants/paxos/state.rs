//! What is decided of one register: a value, and what its last sessions were answered.
//!
//! Sessions are those of [`crate::machine::sessions`] in what they promise, but nobody opens one here: it is known from
//! its first command on this key. So expiry cannot take the least recently used one, since whether an unknown session
//! is new or expired has to show: it takes the one with the lowest name, and the *floor* remembers that name.

use crate::core::Limits;
use crate::machine::store::Store;
use crate::machine::{Command, Failure, Key, Operation, Reply, SessionId, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most sessions whose answers a register holds; `Limits::sessions` if that is less.
pub const SESSIONS: usize = 64;

/// A register's state in one of its versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Proposals since the beginning.
    version: u64,
    /// The one key, with its value.
    store: Store,
    sessions: BTreeMap<SessionId, Session>,
    /// The highest session that was expired; all that are held lie above.
    floor: Option<SessionId>,
}

/// What one session was answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Session {
    /// The highest watermark that a command of the session carried.
    watermark: u64,
    /// The answers to the commands applied, none below the watermark.
    replies: BTreeMap<u64, Reply>,
}

/// What a client wants of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Count another session.
    OpenSession,
    /// Execute a command, all of whose operations are on the register's key.
    Execute(Command),
}

/// What became of a change.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What to answer.
    pub reply: Reply,
    /// Whether the state differs in anything that matters.
    pub changed: bool,
}

impl Change {
    /// Whether it leaves every state as it was.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Execute(command) if command.is_read())
    }
}

impl State {
    /// Proposals since the beginning.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What `key` holds, if this is its register.
    #[must_use]
    pub fn value(&self, key: &Key) -> &Value {
        self.store.get(key)
    }

    /// Makes this the next version, to be proposed.
    pub fn next_version(&mut self) {
        self.version += 1;
    }

    /// Applies a change.
    pub fn apply(&mut self, change: &Change, limits: &Limits) -> Outcome {
        match change {
            Change::OpenSession => self.count_session(),
            Change::Execute(command) if command.is_read() => {
                Outcome { reply: self.transact(command), changed: false }
            }
            Change::Execute(command) => match self.admit(command, limits) {
                Ok(Some(reply)) => Outcome { reply, changed: false },
                Ok(None) => {
                    let reply = self.transact(command);
                    let session = self.sessions.entry(command.session).or_default();
                    session.replies.insert(command.sequence, reply.clone());
                    Outcome { reply, changed: true }
                }
                Err(failure) => Outcome { reply: Reply::Failed(failure), changed: false },
            },
        }
    }

    fn transact(&mut self, command: &Command) -> Reply {
        self.store.transact(&command.operations).map_or_else(Reply::Failed, Reply::Results)
    }

    fn count_session(&mut self) -> Outcome {
        let opened = self.store.transact(&[Operation::Add("".into(), 1)]);
        let reply = match opened.as_deref() {
            Ok([Value::Int(number)]) => Reply::Session(SessionId(number.cast_unsigned())),
            other => unreachable!("the register of sessions holds a counter, and gave {other:?}"),
        };
        Outcome { reply, changed: true }
    }

    /// What the command was answered when it was applied before; `None` if it is to be applied now.
    fn admit(&mut self, command: &Command, limits: &Limits) -> Result<Option<Reply>, Failure> {
        if !self.sessions.contains_key(&command.session) {
            self.make_place(command.session, SESSIONS.min(limits.sessions))?;
        }
        let session = self.sessions.entry(command.session).or_default();
        session.raise_watermark(command.watermark);
        if command.sequence < session.watermark {
            return Err(Failure::Superseded);
        }
        match session.replies.get(&command.sequence) {
            Some(reply) => Ok(Some(reply.clone())),
            None if session.replies.len() >= limits.session_results => Err(Failure::SessionFull),
            None => Ok(None),
        }
    }

    /// Expires the lowest session, if the table is full, for one that is not held. What lies below all that are held
    /// when it is full is as good as expired.
    fn make_place(&mut self, new: SessionId, bound: usize) -> Result<(), Failure> {
        if Some(new) <= self.floor {
            return Err(Failure::SessionExpired);
        }
        while self.sessions.len() >= bound.max(1)
            && let Some(lowest) = self.sessions.first_entry()
        {
            if new < *lowest.key() {
                return Err(Failure::SessionExpired);
            }
            self.floor = Some(*lowest.key());
            lowest.remove();
        }
        Ok(())
    }
}

impl Session {
    /// Forgets the answers that the client no longer awaits.
    fn raise_watermark(&mut self, watermark: u64) {
        if watermark > self.watermark {
            self.watermark = watermark;
            self.replies = self.replies.split_off(&watermark);
        }
    }
}
