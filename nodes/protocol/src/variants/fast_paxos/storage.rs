//! What survives a crash: the records, the snapshot that replaces their beginning, and recovery from both.
//!
//! Invariants
//! * Every record follows a `Decided` record for all that was known to be decided when it was appended.
//! * A snapshot holds the promise, the state, and every accepted proposal above it: the records before `keep_from` are
//!   not needed. `keep_from` never lies beyond what is durable, so a log whose end was lost never ends below it.
//! * Replay is idempotent: records that a snapshot covers already change nothing.
//!
//! A peer's snapshot leaves a hole in the records, and they may become durable before the snapshot does. `Installed`
//! marks the hole: if the snapshot is missing, nothing after the mark says what is decided (what was accepted still counts),
//! and nothing that rests on it can have left the node.

use super::log::Log;
use super::message::{Proposal, Record};
use super::{FastPaxos, Out};
use crate::core::{Damaged, Limits, Observation, Position, SaveSnapshot, Snapshot};
use crate::machine::{Machine, digest};
use crate::replication::{Ballot, Slot};
use serde::{Deserialize, Serialize};

/// Where the node stands in its own log of records.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The position of the next record.
    next: Position,
    /// Every record below is durable.
    pub(super) persisted: Position,
    /// The records say that every slot up to this one is decided.
    pub(super) decided: Slot,
    /// The last slot that this node's own newest snapshot covers.
    snapshot: Slot,
}

impl Journal {
    /// The position of the record that was appended last.
    pub(super) fn last(&self) -> Position {
        Position(self.next.0.saturating_sub(1))
    }
}

/// The part of a snapshot before the state machine's bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The highest reign promised.
    pub promised: Ballot,
    /// The last slot that the state covers.
    pub slot: Slot,
    /// The first record that the snapshot does not replace.
    pub keep_from: Position,
    /// What was accepted above `slot`.
    pub accepted: Vec<Proposal>,
}

impl Head {
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

impl FastPaxos {
    /// Appends a record, and before it what is decided, if the records do not say so yet.
    pub(super) fn append(&mut self, record: Record, out: &mut Out) {
        let decided = self.log.decided();
        if decided > self.journal.decided {
            self.journal.decided = decided;
            out.append(Record::Decided(decided));
            self.journal.next.0 += 1;
        }
        out.append(record);
        self.journal.next.0 += 1;
    }

    /// Takes a snapshot after every `snapshot_entries` decided slots.
    pub(super) fn snapshot_if_due(&mut self, out: &mut Out) {
        let limits = self.config.limits;
        if self.log.decided().0 - self.journal.snapshot.0 >= limits.snapshot_entries.max(1) {
            self.take_snapshot(out);
        }
    }

    /// Saves the state and forgets what it replaces.
    pub(super) fn take_snapshot(&mut self, out: &mut Out) {
        self.save_snapshot(out);
        let slot = self.log.decided().0;
        out.observe(Observation::Snapshot { slot, installed: false });
        self.log.drop_decided(self.config.limits.keep_entries);
    }

    pub(super) fn save_snapshot(&mut self, out: &mut Out) {
        let head = Head {
            promised: self.promised,
            slot: self.log.decided(),
            keep_from: self.journal.persisted,
            accepted: self.log.undecided_from(Slot(0)).cloned().collect(),
        };
        self.journal.snapshot = head.slot;
        let snapshot = head.join(&self.machine.encode());
        out.snapshot = Some(SaveSnapshot { snapshot, keep_from: head.keep_from });
    }
}

/// What recovery finds.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) promised: Ballot,
    pub(super) log: Log,
    pub(super) journal: Journal,
    pub(super) machine: Machine,
    /// A peer's snapshot is missing: later records do not tell what is decided.
    pub(super) hole: bool,
    /// The highest promise among the records, which must not fall.
    recorded: Ballot,
}

impl Kept {
    pub(super) fn recover(
        limits: &Limits,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
    ) -> Result<Self, Damaged> {
        let mut kept = match snapshot {
            Some(snapshot) => Self::from_snapshot(limits, &snapshot)?,
            None => Self::empty(limits),
        };
        for (position, record) in records {
            kept.replay(record).map_err(|why| Damaged(format!("record {}: {why}", position.0)))?;
            kept.journal.next = kept.journal.next.max(Position(position.0 + 1));
        }
        kept.journal.persisted = kept.journal.next;
        kept.journal.decided = kept.log.decided();
        Ok(kept)
    }

    fn empty(limits: &Limits) -> Self {
        Self {
            promised: Ballot::NONE,
            log: Log::default(),
            journal: Journal::default(),
            machine: Machine::new(limits),
            hole: false,
            recorded: Ballot::NONE,
        }
    }

    fn from_snapshot(limits: &Limits, snapshot: &Snapshot) -> Result<Self, Damaged> {
        let (head, state) = Head::split(snapshot)?;
        let mut log = Log::starting_after(head.slot);
        for proposal in head.accepted {
            log.accept(proposal);
        }
        let journal = Journal { next: head.keep_from, snapshot: head.slot, ..Journal::default() };
        let machine = Machine::decode(state, limits)?;
        Ok(Self { promised: head.promised, log, journal, machine, ..Self::empty(limits) })
    }

    fn replay(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Promised(ballot) if ballot < self.recorded => {
                return Err(format!("the promise falls from {} to {ballot}", self.recorded));
            }
            Record::Promised(ballot) => {
                self.recorded = ballot;
                self.promised = self.promised.max(ballot);
            }
            Record::Accepted(proposal) => self.replay_accepted(proposal)?,
            Record::Learned(slot, value) if slot > self.log.decided() && !self.hole => {
                if slot != self.log.decided().next() {
                    return Err(format!("slot {slot} is learned after {}", self.log.decided()));
                }
                self.log.learn(slot, value.clone());
                value.requests().iter().for_each(|request| drop(self.machine.apply(request)));
            }
            Record::Decided(upto) if !self.hole => self.replay_decided(upto)?,
            Record::Installed(slot) => self.hole = slot > self.log.decided(),
            Record::Learned(..) | Record::Decided(_) => {}
        }
        Ok(())
    }

    fn replay_accepted(&mut self, proposal: Proposal) -> Result<(), String> {
        if proposal.round.reign < self.recorded {
            return Err(format!("{} is accepted below a promise", proposal.round));
        }
        self.recorded = proposal.round.reign;
        self.promised = self.promised.max(proposal.round.reign);
        let newer = |held: &Proposal| held.round >= proposal.round;
        if proposal.slot > self.log.decided() && !self.log.get(proposal.slot).is_some_and(newer) {
            self.log.accept(proposal);
        }
        Ok(())
    }

    fn replay_decided(&mut self, upto: Slot) -> Result<(), String> {
        for slot in self.log.decided().up_to(upto) {
            if self.log.get(slot).is_none() {
                return Err(format!("slot {slot} is decided without a value"));
            }
            let value = self.log.decide_next().clone();
            value.requests().iter().for_each(|request| drop(self.machine.apply(request)));
        }
        Ok(())
    }
}
