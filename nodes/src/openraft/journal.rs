//! Raft's log and vote on the node's durable store.
//!
//! The store only appends, so whatever changes the log is a record, and their order is the order of replay: an entry, a
//! truncation of a suffix, a purge of a prefix, a vote. What a snapshot is saved with (the vote, the purged prefix) need
//! not be replayed.
//!
//! Invariants:
//! * nothing is reported before the store has made it durable;
//! * records get their positions in the order in which the disk's thread writes them, as both happen under one lock;
//! * every entry above the purged prefix lies at or above the saved snapshot's `keep_from`: an older record of the same
//!   index lies below it, and none is replayed without what follows it;
//! * a saved snapshot is never replaced by an older one.

use super::durable::{Done, Job};
use super::{Entry, Image, LogId, Types, Vote};
use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader, SnapshotMeta, StorageError, StorageIOError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use tokio::sync::oneshot;
use tribunal_protocol::Position;
use tribunal_protocol::core::{Damaged, SaveSnapshot, Snapshot};

/// What stands in the log of the store.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Vote(Vote),
    Entry(Entry),
    /// Entries from this index on are none any more.
    Truncated(u64),
    /// Entries up to this one are in a snapshot, and needed no longer.
    Purged(LogId),
}

/// What is saved beside the records.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    vote: Option<Vote>,
    purged: Option<LogId>,
    image: Image,
}

/// The log in memory, and the way to the disk.
#[derive(Debug)]
pub(super) struct Journal {
    state: Mutex<State>,
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug, Default)]
struct State {
    /// By index, with the position of the record.
    entries: BTreeMap<u64, (u64, Entry)>,
    purged: Option<LogId>,
    vote: Option<Vote>,
    /// The last entry in the newest snapshot that was handed to the disk.
    saved: Option<LogId>,
    /// The position of the next record.
    next: u64,
}

impl State {
    fn replay(&mut self, position: u64, record: Record) {
        match record {
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Entry(entry) => {
                self.entries.insert(entry.log_id.index, (position, entry));
            }
            Record::Truncated(from) => drop(self.entries.split_off(&from)),
            Record::Purged(upto) => self.purge(upto),
        }
    }

    fn purge(&mut self, upto: LogId) {
        self.entries = self.entries.split_off(&(upto.index + 1));
        self.purged = self.purged.max(Some(upto));
    }
}

impl Journal {
    /// The log as the store holds it, and the snapshot. `next` is the position of the next record.
    ///
    /// # Errors
    /// What this node cannot have written.
    pub(super) fn recover(
        snapshot: Option<Snapshot>,
        records: &[(Position, Vec<u8>)],
        next: Position,
        jobs: mpsc::Sender<Job>,
    ) -> Result<(Self, Option<Image>), Damaged> {
        let mut state = State { next: next.0, ..State::default() };
        let mut image = None;
        if let Some(snapshot) = snapshot {
            let saved: Saved = postcard::from_bytes(&snapshot.data)
                .map_err(|error| Damaged(format!("the snapshot: {error}")))?;
            state.vote = saved.vote;
            state.purged = saved.purged;
            state.saved = saved.image.meta.last_log_id;
            image = Some(saved.image);
        }
        for (position, bytes) in records {
            let record = postcard::from_bytes(bytes)
                .map_err(|error| Damaged(format!("the record at {}: {error}", position.0)))?;
            state.replay(position.0, record);
        }
        if let Some(upto) = state.purged {
            state.purge(upto);
        }
        Ok((Self { state: Mutex::new(state), jobs }, image))
    }

    /// No code leaves the state half changed where it can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the log in memory and hands the records to the disk.
    fn write(&self, records: Vec<Record>, done: Done) {
        let mut state = self.state();
        let encode = |record| postcard::to_allocvec(record).expect("plain data, in memory");
        let bytes = records.iter().map(encode).collect();
        for record in records {
            let position = state.next;
            state.next += 1;
            state.replay(position, record);
        }
        self.hand(Job { records: bytes, snapshot: None, done });
    }

    /// Saves a snapshot, unless a newer one is saved already. It is durable when the answer comes.
    pub(super) async fn save(&self, image: &Image) -> io::Result<()> {
        let durable = {
            let mut state = self.state();
            if state.saved >= image.meta.last_log_id {
                return Ok(());
            }
            state.saved = image.meta.last_log_id;
            let saved = Saved { vote: state.vote, purged: state.purged, image: image.clone() };
            let data = postcard::to_allocvec(&saved).expect("plain data, in memory");
            let first = state.entries.values().next();
            let keep_from = Position(first.map_or(state.next, |(position, _)| *position));
            let snapshot = Some(SaveSnapshot { snapshot: Snapshot { data }, keep_from });
            let (done, durable) = oneshot::channel();
            self.hand(Job { records: Vec::new(), snapshot, done: Done::Waiter(done) });
            durable
        };
        told(durable).await
    }

    /// If the disk's thread has ended, whoever waits for the job is told by its absence.
    fn hand(&self, job: Job) {
        drop(self.jobs.send(job));
    }
}

/// Waits for the disk.
async fn told(durable: oneshot::Receiver<io::Result<()>>) -> io::Result<()> {
    durable.await.unwrap_or_else(|_| Err(io::Error::other("the disk's thread has ended")))
}

/// The log as the library sees it.
#[derive(Clone, Debug)]
pub(super) struct Log(pub(super) Arc<Journal>);

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError<u32>> {
        let state = self.0.state();
        Ok(state.entries.range(range).map(|(_, (_, entry))| entry.clone()).collect())
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError<u32>> {
        let state = self.0.state();
        let last = state.entries.values().next_back().map(|(_, entry)| entry.log_id);
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: last.or(state.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError<u32>> {
        let (done, durable) = oneshot::channel();
        self.0.write(vec![Record::Vote(*vote)], Done::Waiter(done));
        told(durable).await.map_err(|error| StorageIOError::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError<u32>> {
        Ok(self.0.state().vote)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError<u32>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records = entries.into_iter().map(Record::Entry).collect();
        self.0.write(records, Done::Log(callback));
        Ok(())
    }

    /// Not awaited: whatever is reported later is durable later than this.
    async fn truncate(&mut self, from: LogId) -> Result<(), StorageError<u32>> {
        self.0.write(vec![Record::Truncated(from.index)], Done::Nobody);
        Ok(())
    }

    /// Not awaited: without it the node only holds more than it needs.
    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError<u32>> {
        self.0.write(vec![Record::Purged(upto)], Done::Nobody);
        Ok(())
    }
}

/// A snapshot's place in the log, in the library's words.
pub(super) type Meta = SnapshotMeta<u32, openraft::EmptyNode>;
