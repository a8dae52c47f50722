//! What survives a crash: the records, the snapshot that replaces their beginning, and recovery from both.
//!
//! Invariants
//! * A snapshot holds the state between two components, and every entry that was not dropped, executed ones included: the
//!   records before `keep_from` are not needed, and no other node lacks what this one has dropped.
//! * Replay is idempotent: records that a snapshot covers already change nothing.
//! * A peer's snapshot that is lost in a crash leaves no hole: every record tells of one instance, and what was not
//!   executed before is executed once everything that it depends on is known again.

use super::conflicts::Conflicts;
use super::log::{Entry, Log};
use super::message::{Deps, Instance, Payload, Record, Vote};
use super::{EPaxos, Out};
use crate::core::{Config, Damaged, Position, SaveSnapshot, Snapshot};
use crate::machine::{Machine, digest};
use crate::replication::Ballot;
use serde::{Deserialize, Serialize};

/// Decisions that may wait for another record to be written.
const UNWRITTEN: usize = 256;

/// Where the node stands in its own log of records.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The position of the next record.
    next: Position,
    /// Every record below is durable.
    pub(super) persisted: Position,
    /// Decisions that are written with the next record, never for their own sake.
    unwritten: Vec<Record>,
}

impl Journal {
    /// The position of the next record.
    pub(super) fn next(&self) -> Position {
        self.next
    }
}

/// The part of a snapshot before the state machine's bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The instances that the state covers.
    pub executed: Deps,
    /// The instances that were dropped.
    pub dropped: Deps,
    /// What is held of all others.
    pub entries: Vec<(Instance, Entry)>,
    /// Barriers executed.
    pub barriers: u64,
    /// Executed by every node that has executed so many barriers.
    pub common: Deps,
    /// Which instances touched what.
    pub conflicts: Conflicts,
    /// The first record that the snapshot does not replace.
    pub keep_from: Position,
}

impl Head {
    /// Without what is this node's own.
    #[must_use]
    pub(super) fn for_peers(mut self) -> Self {
        self.entries.retain(|(_, entry)| entry.vote.is_committed());
        self.keep_from = Position(0);
        self
    }

    /// The snapshot of this head and the state machine's encoding.
    #[must_use]
    pub fn join(&self, state: &[u8]) -> Snapshot {
        let mut data = digest::encode(self);
        data.extend(state);
        Snapshot { data }
    }

    /// The head of a snapshot, and the state machine's encoding.
    ///
    /// # Errors
    /// [`Damaged`] if the head cannot be read.
    pub fn split(snapshot: &Snapshot) -> Result<(Self, &[u8]), Damaged> {
        postcard::take_from_bytes(&snapshot.data)
            .map_err(|error| Damaged(format!("the snapshot: {error}")))
    }
}

impl EPaxos {
    /// Appends a record, and before it the decisions that are not written yet.
    pub(super) fn append(&mut self, record: Record, out: &mut Out) {
        for record in self.journal.unwritten.drain(..).chain([record]) {
            self.journal.next.0 += 1;
            out.append(record);
        }
    }

    /// Leaves a decision to be written with the next record.
    pub(super) fn note(&mut self, decision: Record) {
        self.journal.unwritten.push(decision);
    }

    /// Saves the state and forgets what it replaces.
    pub(super) fn take_snapshot(&mut self, out: &mut Out) {
        let keep = self.config.limits.keep_entries / self.log.rows() as u64;
        for (row, common) in self.common.clone().rows() {
            self.log.drop_through(row, common.saturating_sub(keep));
        }
        self.save_snapshot(out);
    }

    pub(super) fn save_snapshot(&mut self, out: &mut Out) {
        self.journal.unwritten.clear();
        let head = self.head();
        let snapshot = head.join(&self.machine.encode());
        out.snapshot = Some(SaveSnapshot { snapshot, keep_from: head.keep_from });
    }

    pub(super) fn head(&self) -> Head {
        Head {
            executed: self.log.executed(),
            dropped: self.log.dropped(),
            entries: self.log.entries().map(|(at, entry)| (at, entry.clone())).collect(),
            barriers: self.barriers,
            common: self.common.clone(),
            conflicts: self.conflicts.clone(),
            keep_from: self.journal.persisted,
        }
    }

    /// Writes decisions if too many wait: a node that only learns appends nothing else.
    pub(super) fn write_decisions(&mut self, out: &mut Out) {
        if self.journal.unwritten.len() > UNWRITTEN
            && let Some(last) = self.journal.unwritten.pop()
        {
            self.append(last, out);
        }
    }
}

/// What recovery finds.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) log: Log,
    pub(super) conflicts: Conflicts,
    pub(super) journal: Journal,
    pub(super) machine: Machine,
    pub(super) barriers: u64,
    pub(super) common: Deps,
}

impl Kept {
    pub(super) fn recover(
        config: &Config,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
    ) -> Result<Self, Damaged> {
        let mut kept = match snapshot {
            Some(snapshot) => Self::from_snapshot(config, &snapshot)?,
            None => Self::empty(config),
        };
        for (position, record) in records {
            kept.replay(record).map_err(|why| Damaged(format!("record {}: {why}", position.0)))?;
            kept.journal.next = kept.journal.next.max(Position(position.0 + 1));
        }
        kept.journal.persisted = kept.journal.next;
        Ok(kept)
    }

    fn empty(config: &Config) -> Self {
        let rows = config.members.len();
        let none = Deps::none(rows);
        Self {
            log: Log::starting_after(&none, &none),
            conflicts: Conflicts::new(rows),
            journal: Journal::default(),
            machine: Machine::new(&config.limits).commuting(),
            barriers: 0,
            common: none,
        }
    }

    fn from_snapshot(config: &Config, snapshot: &Snapshot) -> Result<Self, Damaged> {
        let (head, state) = Head::split(snapshot)?;
        let mut kept = Self {
            log: Log::starting_after(&head.dropped, &head.executed),
            conflicts: head.conflicts,
            journal: Journal { next: head.keep_from, ..Journal::default() },
            machine: Machine::decode_commuting(state, &config.limits)?,
            barriers: head.barriers,
            common: head.common,
        };
        for (instance, entry) in head.entries {
            kept.conflicts_of(instance, &entry.vote);
            match entry.vote {
                Vote::Committed { payload, deps } => kept.log.commit(instance, payload, deps),
                _ => *kept.log.entry(instance) = entry,
            }
        }
        Ok(kept)
    }

    fn conflicts_of(&mut self, instance: Instance, vote: &Vote) {
        if let Some(payload) = vote.payload() {
            self.conflicts.add(instance, payload);
        }
    }

    fn replay(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Promised(instance, ballot) => self.raise(instance, ballot, Vote::Nothing),
            Record::PreAccepted { instance, ballot, payload, deps, agreed } => {
                self.raise(instance, ballot, Vote::PreAccepted { payload, deps, agreed });
            }
            Record::Accepted { instance, ballot, payload, deps } => {
                self.raise(instance, ballot, Vote::Accepted { ballot, payload, deps });
            }
            Record::Committed { instance, payload, deps } => {
                return self.commit(instance, payload, deps);
            }
        }
        Ok(())
    }

    /// Takes a promise, and a vote if it is the newer one.
    fn raise(&mut self, instance: Instance, ballot: Ballot, vote: Vote) {
        if self.log.is_committed(instance) {
            return;
        }
        self.conflicts_of(instance, &vote);
        let entry = self.log.entry(instance);
        entry.promised = entry.promised.max(ballot);
        let newer = match (&entry.vote, &vote) {
            (_, Vote::Nothing) => false,
            (Vote::Nothing, _) => true,
            (Vote::PreAccepted { .. }, Vote::Accepted { .. }) => true,
            (Vote::Accepted { ballot: held, .. }, Vote::Accepted { .. }) => ballot > *held,
            _ => false,
        };
        if newer {
            entry.vote = vote;
        }
    }

    fn commit(
        &mut self,
        instance: Instance,
        payload: Option<Payload>,
        deps: Deps,
    ) -> Result<(), String> {
        if self.log.is_committed(instance) {
            return Ok(());
        }
        let held = || self.log.get(instance).and_then(|entry| entry.vote.payload()).cloned();
        let payload = payload
            .or_else(held)
            .ok_or_else(|| format!("instance {instance} is decided without a payload"))?;
        self.conflicts.add(instance, &payload);
        self.log.commit(instance, payload, deps);
        Ok(())
    }
}
