//! What survives a crash: the records, the snapshot that replaces their beginning, and recovery from both.
//!
//! Invariants
//! * Every record follows a `Decided` record for all that was applied when it was appended.
//! * A snapshot holds the promises, the reservation, the state, and every accepted proposal above it: the records before
//!   `keep_from` are not needed. `keep_from` never lies beyond what is durable, so a log whose end was lost never ends
//!   below it.
//! * Replay is idempotent: records that a snapshot covers already change nothing.
//!
//! A peer's snapshot leaves a hole in the records, and they may become durable before the snapshot does. `Installed`
//! marks the hole: if the snapshot is missing, nothing after the mark says what is decided (what was accepted still counts),
//! and nothing that rests on it can have left the server.

use super::log::Log;
use super::message::{Bound, Proposal, Record};
use super::slots::{is_revocation, is_skip, skip};
use super::{Mencius, Out};
use crate::core::{Config, Damaged, Limits, NodeId, Observation, Position, SaveSnapshot, Snapshot};
use crate::machine::{Machine, digest};
use crate::replication::{Slot, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the server stands in its own log of records.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The position of the next record.
    next: Position,
    /// Every record below is durable.
    pub(super) persisted: Position,
    /// The records say that every slot up to this one is decided.
    decided: Slot,
    /// The last slot that this server's own newest snapshot covers.
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
    /// What was promised for the slots of each owner.
    pub bounds: BTreeMap<NodeId, Bound>,
    /// As in [`Record::Reserved`].
    pub reserved: Slot,
    /// The last slot that the state covers.
    pub slot: Slot,
    /// The first record that the snapshot does not replace.
    pub keep_from: Position,
    /// What was accepted above `slot`.
    pub accepted: Vec<Proposal>,
}

impl Head {
    fn join(&self, state: &[u8]) -> Snapshot {
        let mut data = digest::encode(self);
        data.extend(state);
        Snapshot { data }
    }

    fn split(snapshot: &Snapshot) -> Result<(Self, &[u8]), Damaged> {
        postcard::take_from_bytes(&snapshot.data)
            .map_err(|error| Damaged(format!("the snapshot: {error}")))
    }
}

impl Mencius {
    /// Appends a record, and before it what is applied, if the records do not say so yet.
    pub(super) fn append(&mut self, record: Record, out: &mut Out) {
        let applied = self.log.applied();
        if applied > self.journal.decided {
            self.journal.decided = applied;
            out.append(Record::Decided(applied));
            self.journal.next.0 += 1;
        }
        out.append(record);
        self.journal.next.0 += 1;
    }

    /// Takes a snapshot after every `snapshot_entries` applied slots.
    pub(super) fn snapshot_if_due(&mut self, out: &mut Out) {
        let limits = self.config.limits;
        if self.log.applied().0 - self.journal.snapshot.0 >= limits.snapshot_entries.max(1) {
            self.take_snapshot(out);
        }
    }

    /// Saves the state and forgets what it replaces.
    pub(super) fn take_snapshot(&mut self, out: &mut Out) {
        self.save_snapshot(out);
        let slot = self.log.applied().0;
        out.observe(Observation::Snapshot { slot, installed: false });
        self.log.drop_applied(self.config.limits.keep_entries);
    }

    pub(super) fn save_snapshot(&mut self, out: &mut Out) {
        let head = Head {
            bounds: self.bounds.clone(),
            reserved: self.reservation.asked,
            slot: self.log.applied(),
            keep_from: self.journal.persisted,
            accepted: self.log.accepted(Slot(0)).collect(),
        };
        self.journal.snapshot = head.slot;
        let snapshot = head.join(&self.machine.encode());
        out.snapshot = Some(SaveSnapshot { snapshot, keep_from: head.keep_from });
    }

    /// The state is a peer's from now on.
    pub(super) fn note_installed(&mut self, slot: Slot, out: &mut Out) {
        self.journal.decided = slot;
        self.append(Record::Installed(slot), out);
        out.observe(Observation::Snapshot { slot: slot.0, installed: true });
        self.save_snapshot(out);
    }
}

/// What recovery finds.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) bounds: BTreeMap<NodeId, Bound>,
    pub(super) reserved: Slot,
    pub(super) log: Log,
    pub(super) journal: Journal,
    pub(super) machine: Machine,
    /// A peer's snapshot is missing: later records do not tell what is decided.
    pub(super) hole: bool,
}

impl Kept {
    pub(super) fn recover(
        config: &Config,
        owner_of: impl Fn(Slot) -> NodeId,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
    ) -> Result<Self, Damaged> {
        let mut kept = match snapshot {
            Some(snapshot) => Self::from_snapshot(&config.limits, &snapshot)?,
            None => Self::empty(&config.limits),
        };
        for (position, record) in records {
            kept.replay(record, &owner_of)
                .map_err(|why| Damaged(format!("record {}: {why}", position.0)))?;
            kept.journal.next = kept.journal.next.max(Position(position.0 + 1));
        }
        kept.decide_skips();
        kept.journal.persisted = kept.journal.next;
        kept.journal.decided = kept.log.applied();
        Ok(kept)
    }

    fn empty(limits: &Limits) -> Self {
        Self {
            bounds: BTreeMap::new(),
            reserved: Slot(0),
            log: Log::default(),
            journal: Journal::default(),
            machine: Machine::new(limits),
            hole: false,
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
        let Head { bounds, reserved, .. } = head;
        Ok(Self { bounds, reserved, log, journal, machine, hole: false })
    }

    fn replay(&mut self, record: Record, owner_of: impl Fn(Slot) -> NodeId) -> Result<(), String> {
        match record {
            Record::Reserved(upto) => self.reserved = self.reserved.max(upto),
            Record::Skipped(slot, owner) => {
                let proposal = Proposal { slot, ballot: skip(owner), value: Value::no_op() };
                self.replay_accepted(proposal);
            }
            Record::Promised(owner, bound) => raise(&mut self.bounds, owner, bound),
            Record::Accepted(proposal) => {
                let Proposal { slot, ballot, .. } = proposal;
                if is_revocation(ballot) {
                    raise(&mut self.bounds, owner_of(slot), Bound { ballot, upto: slot });
                }
                self.replay_accepted(proposal);
            }
            Record::Learned(slot, value) if slot > self.log.applied() && !self.hole => {
                if slot != self.log.applied().next() {
                    return Err(format!("slot {slot} is learned after {}", self.log.applied()));
                }
                self.log.decide_as(slot, value);
                self.replay_decided(slot);
            }
            Record::Decided(upto) if !self.hole => self.replay_decided(upto),
            Record::Installed(slot) => self.hole = slot > self.log.applied(),
            Record::Learned(..) | Record::Decided(_) => {}
        }
        Ok(())
    }

    fn replay_accepted(&mut self, proposal: Proposal) {
        let slot = proposal.slot;
        let newer = self.log.get(slot).is_some_and(|held| held.ballot() >= proposal.ballot);
        if slot > self.log.applied() && !newer {
            self.log.accept(proposal);
        }
    }

    fn replay_decided(&mut self, upto: Slot) {
        for slot in self.log.applied().up_to(upto) {
            let held = self.log.get(slot).and_then(|entry| entry.value().cloned());
            let value = held.unwrap_or_else(Value::no_op);
            self.log.decide_as(slot, value.clone());
            self.log.applied_next();
            value.requests().iter().for_each(|request| drop(self.machine.apply(request)));
        }
    }

    /// A skip is decided, since its owner has accepted it.
    fn decide_skips(&mut self) {
        let skipped = self.log.above_applied(Slot(0)).filter(|(_, held)| is_skip(held.ballot()));
        let slots: Vec<_> = skipped.map(|(slot, _)| slot).collect();
        slots.into_iter().for_each(|slot| self.log.decide(slot));
    }
}

/// A promise covers at least what it did, in a ballot not below the one that it had.
pub(super) fn raise(bounds: &mut BTreeMap<NodeId, Bound>, owner: NodeId, bound: Bound) {
    let held = bounds.entry(owner).or_insert(Bound::NONE);
    held.ballot = held.ballot.max(bound.ballot);
    held.upto = held.upto.max(bound.upto);
}
