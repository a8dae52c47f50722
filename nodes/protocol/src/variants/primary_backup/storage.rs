//! What survives a crash: the records, the snapshot that replaces their beginning, and recovery from both.
//!
//! A state that comes from a primary begins a *lineage*: the updates recorded before it are of another history. Recovery
//! takes the updates of the snapshot's lineage only. If a primary's state was lost in a crash, the updates that came after
//! it are passed over, and the node is where it was before.

use super::message::{Place, Record, Update};
use super::{Out, PrimaryBackup};
use crate::core::{Config, Damaged, Observation, Position, SaveSnapshot, Snapshot};
use crate::machine::{Machine, digest};
use crate::replication::{Ballot, Slot, Window};
use serde::{Deserialize, Serialize};

/// Where the node stands in its own log of records.
#[derive(Debug, Default)]
pub(super) struct Journal {
    next: Position,
    pub(super) persisted: Position,
    /// The lineage of the state.
    pub(super) lineage: u64,
    lineages: u32,
    /// The last update that the newest snapshot covers.
    snapshot: Slot,
}

impl Journal {
    /// Begins a lineage that was never used before.
    pub(super) fn begin_lineage(&mut self, incarnation: u64) {
        self.lineages += 1;
        self.lineage = incarnation << 32 | u64::from(self.lineages);
    }
}

/// The part of a snapshot before the state.
#[derive(Serialize, Deserialize)]
struct Head {
    epoch: Ballot,
    lineage: u64,
    keep_from: Position,
}

impl PrimaryBackup {
    /// Appends a record; where it stands.
    pub(super) fn append(&mut self, record: Record, out: &mut Out) -> Position {
        out.append(record);
        let position = self.journal.next;
        self.journal.next.0 += 1;
        position
    }

    pub(super) fn set_epoch(&mut self, epoch: Ballot, out: &mut Out) {
        self.epoch = epoch;
        self.append(Record::Epoch(epoch), out);
    }

    /// Takes a snapshot after every `snapshot_entries` updates.
    pub(super) fn snapshot_if_due(&mut self, out: &mut Out) {
        let entries = self.config.limits.snapshot_entries.max(1);
        if self.applied.slot.0.saturating_sub(self.journal.snapshot.0) >= entries {
            self.take_snapshot(out);
        }
    }

    pub(super) fn take_snapshot(&mut self, out: &mut Out) {
        self.save_snapshot(out);
        out.observe(Observation::Snapshot { slot: self.applied.slot.0, installed: false });
        self.drop_applied();
    }

    /// Whatever is not applied is not durable either, or about to be: its records stay.
    pub(super) fn save_snapshot(&mut self, out: &mut Out) {
        let keep_from = self.unapplied.front().map_or(self.journal.persisted, |first| first.record);
        let keep_from = keep_from.min(self.journal.persisted);
        let head = Head { epoch: self.epoch, lineage: self.journal.lineage, keep_from };
        let mut data = digest::encode(&head);
        data.extend(self.encode_state());
        self.journal.snapshot = self.applied.slot;
        out.snapshot = Some(SaveSnapshot { snapshot: Snapshot { data }, keep_from });
    }

    /// The place of the last applied update, and the state after it.
    pub(super) fn encode_state(&self) -> Vec<u8> {
        let mut bytes = digest::encode(&self.applied);
        bytes.extend(self.machine.encode());
        bytes
    }
}

/// What recovery finds.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) epoch: Ballot,
    pub(super) log: Window<Update>,
    pub(super) dropped: Place,
    pub(super) last: Place,
    pub(super) machine: Machine,
    pub(super) journal: Journal,
}

impl Kept {
    pub(super) fn recover(
        config: &Config,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
    ) -> Result<Self, Damaged> {
        let mut kept = Self {
            epoch: Ballot::NONE,
            log: Window::default(),
            dropped: Place::START,
            last: Place::START,
            machine: Machine::new(&config.limits),
            journal: Journal::default(),
        };
        if let Some(snapshot) = snapshot {
            kept.read_snapshot(config, &snapshot)?;
        }
        for (position, record) in records {
            kept.replay(record).map_err(|why| Damaged(format!("record {}: {why}", position.0)))?;
            kept.journal.next = kept.journal.next.max(Position(position.0 + 1));
        }
        kept.journal.persisted = kept.journal.next;
        Ok(kept)
    }

    fn read_snapshot(&mut self, config: &Config, snapshot: &Snapshot) -> Result<(), Damaged> {
        let damaged = |error| Damaged(format!("the snapshot: {error}"));
        let (head, rest) = postcard::take_from_bytes::<Head>(&snapshot.data).map_err(damaged)?;
        let (place, state) = postcard::take_from_bytes::<Place>(rest).map_err(damaged)?;
        self.machine = Machine::decode(state, &config.limits)?;
        self.epoch = head.epoch;
        self.log = Window::starting_after(place.slot);
        (self.dropped, self.last) = (place, place);
        self.journal.next = head.keep_from;
        self.journal.lineage = head.lineage;
        self.journal.snapshot = place.slot;
        Ok(())
    }

    fn replay(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Epoch(epoch) => self.epoch = self.epoch.max(epoch),
            Record::Update { lineage, slot, update }
                if lineage == self.journal.lineage && slot > self.last.slot =>
            {
                if slot != self.last.slot.next() {
                    return Err(format!("update {slot} follows {}", self.last.slot));
                }
                update
                    .value
                    .requests()
                    .iter()
                    .for_each(|request| drop(self.machine.apply(request)));
                self.last = Place { epoch: update.epoch, slot };
                self.log.put(slot, update);
            }
            Record::Update { .. } => {}
        }
        Ok(())
    }
}
