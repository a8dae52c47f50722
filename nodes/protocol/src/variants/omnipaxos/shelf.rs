//! The library's storage: its log in memory, and each of its writes as a record of ours.
//!
//! The library takes a write for durable when the call returns. Here the record is only handed over then; whatever the
//! library wants to send because of it is held back by the host until the record is on disk (`Output::send`).

use crate::replication::Value;
use ::omnipaxos::ballot_leader_election::Ballot;
use ::omnipaxos::storage::{Entry, Snapshot, StopSign, Storage, StorageOp, StorageResult};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// What a slot of the library's log holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The node that proposed it.
    pub node: u32,
    /// Its incarnation.
    pub incarnation: u64,
    /// Counts its proposals.
    pub number: u64,
    /// What is proposed.
    pub value: Value,
}

impl Entry for Proposal {
    type Snapshot = State;
}

/// The library's snapshot: a state machine, and what is to be applied to it. The values are what the library adds, since it
/// makes snapshots of entries; the core folds them into the state whenever it compacts the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The encoded machine; none is the machine at the beginning.
    pub machine: Option<Vec<u8>>,
    /// What was decided after it.
    pub values: Vec<Value>,
}

impl Snapshot<Proposal> for State {
    fn create(entries: &[Proposal]) -> Self {
        let values = entries.iter().map(|entry| entry.value.clone()).collect();
        Self { machine: None, values }
    }

    fn merge(&mut self, delta: Self) {
        match delta.machine {
            Some(_) => *self = delta,
            None => self.values.extend(delta.values),
        }
    }

    fn use_snapshots() -> bool {
        true
    }
}

/// One write of the library.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Record {
    /// Entries follow the last one.
    Append(Vec<Proposal>),
    /// Entries take the place of all from this index on.
    AppendOnPrefix(u64, Vec<Proposal>),
    /// The round that has been promised.
    Promise(Ballot),
    /// So many entries are decided.
    Decided(u64),
    /// The round in which entries were accepted last.
    AcceptedRound(Ballot),
    /// Entries below this index are compacted.
    Compacted(u64),
    /// Entries below this index are gone.
    Trim(u64),
    /// The end of a configuration.
    StopSign(Option<StopSign>),
    /// The state up to the compacted index.
    Snapshot(Option<State>),
    /// All of these, or none.
    Together(Vec<Record>),
}

/// What the library has stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Shelf {
    /// From index `trimmed` on.
    log: Vec<Proposal>,
    trimmed: u64,
    promise: Option<Ballot>,
    accepted_round: Option<Ballot>,
    decided: u64,
    compacted: u64,
    stop_sign: Option<StopSign>,
    snapshot: Option<State>,
}

impl Shelf {
    pub(super) fn decided(&self) -> u64 {
        self.decided
    }

    pub(super) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(super) fn snapshot(&self) -> Option<&State> {
        self.snapshot.as_ref()
    }

    pub(super) fn entry(&self, index: u64) -> Option<&Proposal> {
        self.log.get(usize::try_from(index.checked_sub(self.trimmed)?).ok()?)
    }

    /// The record with the right snapshot, if a peer's delta comes with it.
    ///
    /// Version 0.2.4 of the library notes the new decided index *before* it makes the snapshot of what was decided here, to
    /// which the delta is to be added. That snapshot then holds too much (what was only accepted here) or nothing (if the
    /// log does not reach so far). What it should hold is known here: what was decided before, and the delta at its end.
    fn mend(&self, record: Record) -> Record {
        let Record::Together(mut records) = record else { return record };
        let decided = records.iter().find_map(|record| match record {
            Record::Decided(decided) => Some(*decided),
            _ => None,
        });
        let from_peer = records.iter().any(|one| matches!(one, Record::AppendOnPrefix(..)));
        let mine = self.snapshot.clone().unwrap_or_default();
        for record in &mut records {
            let Record::Snapshot(Some(state)) = record else { continue };
            let new = decided.unwrap_or(self.decided).saturating_sub(self.decided);
            let Ok(new) = usize::try_from(new) else { continue };
            if !from_peer || state.machine != mine.machine || state.values.len() < new {
                continue; // A snapshot of its own, or a peer's complete one.
            }
            let delta = state.values.split_off(state.values.len() - new);
            let known = (self.compacted..self.decided).filter_map(|index| self.entry(index));
            state.values.clone_from(&mine.values);
            state.values.extend(known.map(|entry| entry.value.clone()));
            state.values.extend(delta);
        }
        Record::Together(records)
    }

    /// Does what a record says.
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Append(entries) => self.log.extend(entries),
            Record::AppendOnPrefix(from, entries) => {
                let keep = from.saturating_sub(self.trimmed);
                self.log.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
                self.log.extend(entries);
            }
            Record::Promise(ballot) => self.promise = Some(ballot),
            Record::Decided(decided) => self.decided = decided,
            Record::AcceptedRound(ballot) => self.accepted_round = Some(ballot),
            Record::Compacted(index) => self.compacted = index,
            Record::Trim(index) => {
                let gone = usize::try_from(index.saturating_sub(self.trimmed));
                self.log.drain(..gone.unwrap_or(usize::MAX).min(self.log.len()));
                self.trimmed = self.trimmed.max(index);
            }
            Record::StopSign(stop_sign) => self.stop_sign = stop_sign,
            Record::Snapshot(snapshot) => self.snapshot = snapshot,
            Record::Together(records) => records.into_iter().for_each(|record| self.apply(record)),
        }
    }
}

/// What the core and the library's storage share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) shelf: Shelf,
    /// Records that are to be handed to the host.
    pub(super) written: Vec<Record>,
    /// The machine at the index up to which the core has the library compact its log now.
    pub(super) folded: Option<Vec<u8>>,
    /// Whether a snapshot that the library puts together from a peer's delta is mended.
    pub(super) mends_deltas: bool,
}

/// The storage that the library owns.
#[derive(Clone, Debug, Default)]
pub(super) struct Handle(pub(super) Arc<Mutex<Shared>>);

impl Handle {
    /// Does something with what is shared. Nothing else holds the lock: the library is called by the core's own thread.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Shared) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, record: Record) -> StorageResult<()> {
        self.with(|shared| {
            let record = shared.fold(record);
            let record = if shared.mends_deltas { shared.shelf.mend(record) } else { record };
            shared.shelf.apply(record.clone());
            shared.written.push(record);
        });
        Ok(())
    }

    fn read<T>(&self, read: impl FnOnce(&Shelf) -> T) -> StorageResult<T> {
        Ok(self.with(|shared| read(&shared.shelf)))
    }
}

impl Shared {
    /// A snapshot that the core asked for is the machine that it gave.
    fn fold(&mut self, record: Record) -> Record {
        match record {
            Record::Snapshot(Some(state)) => Record::Snapshot(Some(match self.folded.take() {
                Some(machine) => State { machine: Some(machine), values: Vec::new() },
                None => state,
            })),
            Record::Together(records) => {
                Record::Together(records.into_iter().map(|record| self.fold(record)).collect())
            }
            other => other,
        }
    }
}

fn record(operation: StorageOp<Proposal>) -> Record {
    match operation {
        StorageOp::AppendEntry(entry) => Record::Append(vec![entry]),
        StorageOp::AppendEntries(entries) => Record::Append(entries),
        StorageOp::AppendOnPrefix(from, entries) => Record::AppendOnPrefix(from as u64, entries),
        StorageOp::SetPromise(ballot) => Record::Promise(ballot),
        StorageOp::SetDecidedIndex(index) => Record::Decided(index as u64),
        StorageOp::SetAcceptedRound(ballot) => Record::AcceptedRound(ballot),
        StorageOp::SetCompactedIdx(index) => Record::Compacted(index as u64),
        StorageOp::Trim(index) => Record::Trim(index as u64),
        StorageOp::SetStopsign(stop_sign) => Record::StopSign(stop_sign),
        StorageOp::SetSnapshot(snapshot) => Record::Snapshot(snapshot),
    }
}

impl Storage<Proposal> for Handle {
    fn write_atomically(&mut self, operations: Vec<StorageOp<Proposal>>) -> StorageResult<()> {
        self.write(Record::Together(operations.into_iter().map(record).collect()))
    }

    fn append_entry(&mut self, entry: Proposal) -> StorageResult<()> {
        self.write(Record::Append(vec![entry]))
    }

    fn append_entries(&mut self, entries: Vec<Proposal>) -> StorageResult<()> {
        self.write(Record::Append(entries))
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<Proposal>) -> StorageResult<()> {
        self.write(Record::AppendOnPrefix(from as u64, entries))
    }

    fn set_promise(&mut self, ballot: Ballot) -> StorageResult<()> {
        self.write(Record::Promise(ballot))
    }

    fn set_decided_idx(&mut self, index: usize) -> StorageResult<()> {
        self.write(Record::Decided(index as u64))
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        self.read(|shelf| shelf.decided as usize)
    }

    fn set_accepted_round(&mut self, ballot: Ballot) -> StorageResult<()> {
        self.write(Record::AcceptedRound(ballot))
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        self.read(|shelf| shelf.accepted_round)
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Proposal>> {
        self.read(|shelf| {
            let known = (from as u64..to as u64).map(|index| shelf.entry(index).cloned());
            known.collect::<Option<Vec<_>>>().unwrap_or_default()
        })
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        self.read(|shelf| shelf.log.len())
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Proposal>> {
        self.read(|shelf| {
            let from = (from as u64).checked_sub(shelf.trimmed);
            let from = from.and_then(|from| usize::try_from(from).ok());
            from.and_then(|from| shelf.log.get(from..)).map(<[_]>::to_vec).unwrap_or_default()
        })
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        self.read(|shelf| shelf.promise)
    }

    fn set_stopsign(&mut self, stop_sign: Option<StopSign>) -> StorageResult<()> {
        self.write(Record::StopSign(stop_sign))
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        self.read(|shelf| shelf.stop_sign.clone())
    }

    fn trim(&mut self, index: usize) -> StorageResult<()> {
        self.write(Record::Trim(index as u64))
    }

    fn set_compacted_idx(&mut self, index: usize) -> StorageResult<()> {
        self.write(Record::Compacted(index as u64))
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        self.read(|shelf| shelf.compacted as usize)
    }

    fn set_snapshot(&mut self, snapshot: Option<State>) -> StorageResult<()> {
        self.write(Record::Snapshot(snapshot))
    }

    fn get_snapshot(&self) -> StorageResult<Option<State>> {
        self.read(|shelf| shelf.snapshot.clone())
    }
}
