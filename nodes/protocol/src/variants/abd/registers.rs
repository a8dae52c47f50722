//! What a node holds: a value and its timestamp a key, in its memory and in its log of records.

use super::asker::OwnVote;
use super::{Out, Record, Timestamp};
use crate::core::{Damaged, Observation, Position, Snapshot};
use crate::machine::{Key, Value, digest};
use crate::replication::Journal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every register of a node.
#[derive(Debug)]
pub(super) struct Registers {
    held: BTreeMap<Key, (Timestamp, Value)>,
    pub(super) journal: Journal<OwnVote>,
}

/// What a snapshot holds.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// The first record that it does not replace.
    keep_from: Position,
    held: BTreeMap<Key, (Timestamp, Value)>,
}

impl Registers {
    /// What the disk holds. A record that is older than what the snapshot holds changes nothing.
    pub(super) fn recover(
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
    ) -> Result<Self, Damaged> {
        let saved = match snapshot {
            Some(snapshot) => Saved::decode(&snapshot)?,
            None => Saved { keep_from: Position(0), held: BTreeMap::new() },
        };
        let (mut held, mut next, mut since_snapshot) = (saved.held, saved.keep_from, 0);
        for (position, record) in records {
            adopt(&mut held, &record);
            next = next.max(Position(position.0 + 1));
            since_snapshot += 1;
        }
        Ok(Self { held, journal: Journal::recovered(next, since_snapshot) })
    }

    /// What `key` holds.
    pub(super) fn get(&self, key: &Key) -> (Timestamp, &Value) {
        self.held.get(key).map_or((Timestamp::NEVER, &Value::Nil), |(at, value)| (*at, value))
    }

    /// Takes a value, unless what is held is as new. Everything that says so waits for the disk.
    pub(super) fn store(&mut self, record: Record, out: &mut Out) {
        if adopt(&mut self.held, &record) {
            self.journal.append(record, out);
        }
    }

    pub(super) fn snapshot_if_due(&mut self, entries: u64, out: &mut Out) {
        if self.journal.is_snapshot_due(entries) {
            self.take_snapshot(out);
        }
    }

    pub(super) fn take_snapshot(&mut self, out: &mut Out) {
        let data = digest::encode(&(self.journal.keep_from(), &self.held));
        self.journal.save(data, out);
        out.observe(Observation::Snapshot { slot: 0, installed: false });
    }
}

/// Makes the key hold the record's value if that is newer; whether it was.
fn adopt(held: &mut BTreeMap<Key, (Timestamp, Value)>, record: &Record) -> bool {
    let new = || (record.timestamp, record.value.clone());
    match held.get_mut(&record.key) {
        Some((timestamp, _)) if *timestamp >= record.timestamp => false,
        Some(register) => {
            *register = new();
            true
        }
        None if record.timestamp == Timestamp::NEVER => false,
        None => {
            held.insert(record.key.clone(), new());
            true
        }
    }
}

impl Saved {
    fn decode(snapshot: &Snapshot) -> Result<Self, Damaged> {
        match postcard::take_from_bytes(&snapshot.data) {
            Ok((saved, [])) => Ok(saved),
            Ok((_, rest)) => Err(Damaged(format!("{} bytes follow the snapshot", rest.len()))),
            Err(error) => Err(Damaged(format!("the snapshot: {error}"))),
        }
    }
}
