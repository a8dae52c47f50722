//! What survives a crash: the records, the snapshot that replaces their beginning, and recovery from both.
//!
//! One log holds the records of the chain and those of the Multi-Paxos; one snapshot, both snapshots.
//!
//! A snapshot holds all that was appended before it, durable or not, so the records from `keep_from` on are replayed over
//! their own effects: an update replaces what stands in its slot and above. One beyond the end of what is held was
//! replaced, as the snapshot knows, or lies behind an installed state that is missing (`Installed`); it is passed over.

use super::message::{Chain, Place, Record, Update};
use super::{ChainReplication, Out};
use crate::core::{Config, Damaged, Observation, Position, SaveSnapshot, Snapshot};
use crate::machine::{Machine, digest};
use crate::replication::{Slot, Window};
use crate::variants::multi_paxos;
use serde::{Deserialize, Serialize};

/// Where the node stands in its own log of records.
#[derive(Debug, Default)]
pub(super) struct Journal {
    next: Position,
    pub(super) persisted: Position,
    /// The last update that the newest snapshot covers.
    snapshot: Slot,
}

/// The part of a snapshot before the state.
#[derive(Serialize, Deserialize)]
struct Head {
    chain: Chain,
    /// Every configuration before this one is sealed.
    open_from: u64,
    /// What was held and not acknowledged.
    undecided: Vec<Update>,
    keep_from: Position,
    /// The snapshot of the Multi-Paxos, and its first record that this does not replace.
    master: Vec<u8>,
    master_from: u64,
}

impl ChainReplication {
    /// Appends a record; where it stands.
    pub(super) fn append(&mut self, record: Record, out: &mut Out) -> Position {
        out.append(record);
        let position = self.journal.next;
        self.journal.next.0 += 1;
        position
    }

    /// Takes a snapshot after every `snapshot_entries` acknowledged updates, and whenever the Multi-Paxos did.
    pub(super) fn snapshot_if_due(&mut self, out: &mut Out) {
        let entries = self.config.limits.snapshot_entries.max(1);
        if self.decided.slot.0 - self.journal.snapshot.0 >= entries {
            self.take_snapshot(out);
        } else if self.master_saves() {
            self.save_snapshot(out);
        }
    }

    pub(super) fn take_snapshot(&mut self, out: &mut Out) {
        self.save_snapshot(out);
        out.observe(Observation::Snapshot { slot: self.decided.slot.0, installed: false });
        self.drop_decided();
    }

    pub(super) fn save_snapshot(&mut self, out: &mut Out) {
        let (master, master_from) = self.master_snapshot(out);
        let keep_from = self.master.keep_from(master_from, self.journal.persisted);
        let keep_from = keep_from.min(self.journal.persisted);
        let undecided = self.log.from(self.decided.slot.next());
        let head = Head {
            chain: self.chain.clone(),
            open_from: self.open_from,
            undecided: undecided.map(|(_, update)| update.clone()).collect(),
            keep_from,
            master: master.data,
            master_from,
        };
        let mut data = digest::encode(&head);
        data.extend(self.encode_state());
        self.journal.snapshot = self.decided.slot;
        out.snapshot = Some(SaveSnapshot { snapshot: Snapshot { data }, keep_from });
    }

    /// The place of the last acknowledged update, and the state after it.
    pub(super) fn encode_state(&self) -> Vec<u8> {
        let mut bytes = digest::encode(&self.decided);
        bytes.extend(self.machine.encode());
        bytes
    }
}

/// What recovery finds.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) chain: Chain,
    /// Every configuration before this one is sealed.
    pub(super) open_from: u64,
    pub(super) log: Window<Update>,
    pub(super) dropped: Place,
    pub(super) decided: Place,
    pub(super) last: Place,
    pub(super) machine: Machine,
    pub(super) journal: Journal,
    pub(super) master_snapshot: Option<(Vec<u8>, u64)>,
    /// Where each record of the Multi-Paxos stands in the log, and where among its own.
    pub(super) master_records: Vec<(Position, Position, multi_paxos::Record)>,
    /// An installed state is missing.
    pub(super) hole: bool,
}

impl Kept {
    pub(super) fn recover(
        config: &Config,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
    ) -> Result<Self, Damaged> {
        let nodes = config.members.clone();
        let mut kept = Self {
            chain: Chain { epoch: 0, nodes },
            open_from: 0,
            log: Window::default(),
            dropped: Place::START,
            decided: Place::START,
            last: Place::START,
            machine: Machine::new(&config.limits),
            journal: Journal::default(),
            master_snapshot: None,
            master_records: Vec::new(),
            hole: false,
        };
        if let Some(snapshot) = snapshot {
            kept.read_snapshot(config, &snapshot)?;
        }
        for (position, record) in records {
            kept.replay(position, record);
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
        self.open_from = head.open_from;
        self.chain = head.chain;
        self.log = Window::starting_after(place.slot);
        (self.dropped, self.decided, self.last) = (place, place, place);
        head.undecided.into_iter().for_each(|update| self.hold(update));
        self.journal.next = head.keep_from;
        self.journal.snapshot = place.slot;
        self.master_snapshot = Some((head.master, head.master_from));
        Ok(())
    }

    fn hold(&mut self, update: Update) {
        self.last = Place { epoch: update.epoch, slot: self.last.slot.next() };
        self.log.put(self.last.slot, update);
    }

    fn replay(&mut self, position: Position, record: Record) {
        match record {
            Record::Master(at, record) => self.master_records.push((position, at, record)),
            Record::Entered(chain) if chain.epoch > self.chain.epoch => self.chain = chain,
            Record::Entered(_) => {}
            Record::Sealed(epoch) => self.open_from = self.open_from.max(epoch + 1),
            Record::Update { .. } if self.hole => {}
            Record::Update { slot, update, decided } => {
                // Nothing was held after this one: what was replayed of that before was replaced.
                self.cut_off_after(Slot(slot.0.saturating_sub(1)));
                if slot > self.decided.slot && slot == self.last.slot.next() {
                    self.hold(update);
                }
                self.apply(decided);
            }
            Record::Installed(slot) => {
                self.hole = slot > self.decided.slot;
                if !self.hole {
                    self.cut_off_after(slot);
                }
            }
        }
    }

    /// What is acknowledged is never cut off.
    fn cut_off_after(&mut self, slot: Slot) {
        let slot = slot.max(self.decided.slot);
        if slot < self.last.slot {
            self.log.cut_off_after(slot);
            let held = self.log.get(slot).map(|update| Place { epoch: update.epoch, slot });
            self.last = held.unwrap_or(self.decided);
        }
    }

    fn apply(&mut self, decided: Slot) {
        while self.decided.slot < decided.min(self.last.slot) {
            let slot = self.decided.slot.next();
            let update = self.log.get(slot).expect("held up to the last");
            let requests = update.value.requests();
            requests.iter().for_each(|request| drop(self.machine.apply(request)));
            self.decided = Place { epoch: update.epoch, slot };
        }
    }
}
