//! Client sessions: why a request that is sent again takes effect once.
//!
//! Source: "Consensus: Bridging Theory and Practice" (Ongaro 2014), section 6.3, and the request numbers of
//! "Viewstamped Replication Revisited" (2012), section 4. Both keep only a session's *last* request; here a
//! session may have several under way, and commuting ones may be applied in another order than they were numbered in.
//! So it keeps the answer to each request at or above its *watermark*, below which its client promised to await
//! nothing and to send nothing again.
//!
//! Invariants
//! * A request numbered at or above the watermark is executed at most once while its session lives; each of its copies
//!   gets the same answer, a failed cas included.
//! * A request below the watermark, or of a session that is not alive, is not executed.
//! * A session's identifier is never used again, also not after it expired.
//! * All of it depends on nothing but the requests applied before, in their order: "least recently used" counts
//!   applied requests, not time.
//!
//! The watermark moves with the requests. A core that executes commuting commands in different orders on different
//! replicas must nevertheless order a command that raises its session's watermark after all those of the session that
//! it leaves below, and `OpenSession`, which may expire any session, against everything. It also needs
//! [`Sessions::commuting`]: every command counts as a use, so two that touch nothing in common would still leave
//! different states in different orders. There a session's last use is numbered by how often `OpenSession` was applied
//! before it, which is the same on all replicas; of sessions last used between the same two of them, the older one expires
//! first.
//!
//! Absent on purpose: keeping a session alive without a request, and closing one. Both would be requests that do nothing
//! else; least-recently-used expiry bounds the memory without them.

use super::command::{Command, Failure, Reply, SessionId, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::collections::btree_map::{Entry, VacantEntry};
use std::collections::{BTreeMap, BTreeSet};

/// The live sessions, with indexes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sessions {
    table: Table,
    /// The live session of each nonce.
    by_nonce: BTreeMap<u64, SessionId>,
    /// The live sessions with their last uses: the least recently used one comes first.
    by_use: BTreeSet<(u64, SessionId)>,
    /// Whether only `OpenSession` advances the number of uses.
    commuting: bool,
}

/// What is encoded; the indexes follow from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Table {
    /// Sessions ever opened. The newest has this number, the first number 1.
    opened: u64,
    /// Uses of sessions so far; where commands may commute, only those by `OpenSession`.
    uses: u64,
    live: BTreeMap<SessionId, Session>,
}

/// One live session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    nonce: u64,
    /// The number of its last use; no two sessions have the same, except where commands may commute.
    used: u64,
    /// The highest watermark that a request of the session carried.
    watermark: u64,
    /// The answers to the requests applied, none below the watermark.
    replies: BTreeMap<u64, Reply>,
}

/// What is to become of a command.
#[derive(Debug)]
pub enum Admission<'a> {
    /// It is to be executed, and its result recorded.
    New(Slot<'a>),
    /// It was executed before, with this answer.
    Retry(&'a Reply),
    /// It is not to be executed.
    Refused(Failure),
}

/// What a session holds of a command, for whoever watches.
#[derive(Debug, PartialEq, Eq)]
pub enum Recorded<'a> {
    /// It was executed, with this answer.
    Answer(&'a Reply),
    /// It was not executed.
    Nothing,
    /// It lies below the session's watermark, or the session is not alive.
    Forgotten,
}

/// The place for the answer to a command that is about to be executed.
#[derive(Debug)]
pub struct Slot<'a>(VacantEntry<'a, u64, Reply>);

impl Slot<'_> {
    /// Keeps what the execution gave, for retries, and answers it.
    pub fn record(self, result: Result<Vec<Value>, Failure>) -> Reply {
        let reply = result.map_or_else(Reply::Failed, Reply::Results);
        self.0.insert(reply).clone()
    }
}

impl Sessions {
    /// The same sessions, for replicas that apply commands of different sessions in different orders. All replicas must do
    /// this from the start.
    #[must_use]
    pub fn commuting(self) -> Self {
        Self { commuting: true, ..self }
    }

    /// Whether every session has a last use of its own, as it must be where commands do not commute. O(n).
    pub(super) fn uses_differ(&self) -> bool {
        let next = self.by_use.iter().skip(1);
        self.by_use.iter().zip(next).all(|((used, _), (later, _))| used != later)
    }

    /// The live session that was opened with `nonce`, or a new one, for which the least recently used ones are expired
    /// until at most `limit` are alive. At least one session may live, whatever the limit. O(log n).
    pub fn open(&mut self, nonce: u64, limit: usize) -> SessionId {
        if let Some(&id) = self.by_nonce.get(&nonce) {
            self.table.uses += u64::from(self.commuting);
            self.touch(id);
            return id;
        }
        while self.table.live.len() >= limit.max(1) {
            self.expire_least_recently_used();
        }
        self.table.opened += 1;
        self.table.uses += 1;
        let id = SessionId(self.table.opened);
        let used = self.table.uses;
        let session = Session { nonce, used, watermark: 0, replies: BTreeMap::new() };
        self.table.live.insert(id, session);
        self.by_nonce.insert(nonce, id);
        self.by_use.insert((used, id));
        id
    }

    /// Decides whether `command` is to be executed, and raises its session's watermark to the command's. The session
    /// may hold `limit` answers. O(log n), amortized over the answers that the watermark drops.
    pub fn admit(&mut self, command: &Command, limit: usize) -> Admission<'_> {
        let Some(session) = self.touch(command.session) else {
            return Admission::Refused(Failure::SessionExpired);
        };
        session.raise_watermark(command.watermark);
        if command.sequence < session.watermark {
            return Admission::Refused(Failure::Superseded);
        }
        let full = session.replies.len() >= limit;
        match session.replies.entry(command.sequence) {
            Entry::Occupied(reply) => Admission::Retry(reply.into_mut()),
            Entry::Vacant(_) if full => Admission::Refused(Failure::SessionFull),
            Entry::Vacant(slot) => Admission::New(Slot(slot)),
        }
    }

    /// Forgets every answer. A copy of a request at or above its session's watermark would then be executed again: for
    /// experiments only.
    pub fn forget_replies(&mut self) {
        self.table.live.values_mut().for_each(|session| session.replies.clear());
    }

    /// What is known of the session's command of that number. Changes nothing. O(log n).
    #[must_use]
    pub fn recorded(&self, id: SessionId, sequence: u64) -> Recorded<'_> {
        match self.table.live.get(&id) {
            Some(session) if sequence >= session.watermark => {
                session.replies.get(&sequence).map_or(Recorded::Nothing, Recorded::Answer)
            }
            _ => Recorded::Forgotten,
        }
    }

    /// Makes a session the most recently used one. `None` if it is not alive.
    fn touch(&mut self, id: SessionId) -> Option<&mut Session> {
        let session = self.table.live.get_mut(&id)?;
        self.table.uses += u64::from(!self.commuting);
        self.by_use.remove(&(session.used, id));
        session.used = self.table.uses;
        self.by_use.insert((session.used, id));
        Some(session)
    }

    fn expire_least_recently_used(&mut self) {
        let oldest = self.by_use.pop_first().and_then(|(_, id)| self.table.live.remove(&id));
        let session = oldest.expect("every live session stands in the index of uses");
        self.by_nonce.remove(&session.nonce);
    }
}

impl Session {
    /// Forgets the answers that the client no longer awaits. A late copy of a request may carry an old watermark.
    fn raise_watermark(&mut self, watermark: u64) {
        self.watermark = self.watermark.max(watermark);
        while let Some(first) = self.replies.first_entry()
            && *first.key() < self.watermark
        {
            first.remove();
        }
    }
}

impl Serialize for Sessions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sessions {
    /// Refuses a table that the operations above cannot have made.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let by_nonce: BTreeMap<_, _> =
            table.live.iter().map(|(id, session)| (session.nonce, *id)).collect();
        let by_use: BTreeSet<_> =
            table.live.iter().map(|(id, session)| (session.used, *id)).collect();
        if by_nonce.len() != table.live.len() {
            return Err(D::Error::custom("two sessions share a nonce"));
        }
        for (id, session) in &table.live {
            let below =
                session.replies.first_key_value().is_some_and(|(n, _)| *n < session.watermark);
            if id.0 == 0 || id.0 > table.opened || session.used > table.uses || below {
                return Err(D::Error::custom(format!("session {id} cannot be")));
            }
        }
        Ok(Self { table, by_nonce, by_use, commuting: false })
    }
}
