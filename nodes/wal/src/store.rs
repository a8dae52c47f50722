//! The durable store of a node: its log, its newest snapshot, and how often it was started, over whatever gives it
//! [`Files`].
//!
//! The small files are `incarnation` (how often the store was opened, and how far its log was durable then) and
//! `snapshot` (with the position up to which it replaces the log). The rest is segments.
//!
//! Invariants:
//! * [`Store::write`] returns after one [`Files::write`] and one [`Files::sync`] of the batch, and after its snapshot
//!   is durable. A snapshot is saved behind the records of its call, and only then is the log before it let go.
//! * After a failure nothing is tried again: what the files show then need not be durable (Rebello et al., "Can
//!   Applications Recover from fsync Failures?", ATC 2020). For the same reason opening writes the last batch again
//!   before it counts as durable.
//! * The incarnation counts once the log is settled, and before anything is written in it. So an incarnation that
//!   anybody has heard of is never taken again, and its file never claims a record to be durable that is not.
//! * The log is never cut where it may have been acknowledged.
//!
//! Absent on purpose: group commit (the caller batches what has gathered while a sync ran), snapshots in the background
//! (a write waits for the snapshot that it saves), and a lock against a second opener (of the files' making).

use crate::append::{Appender, BatchTooLarge};
use crate::files::Files;
use crate::recover::{Dropped, RecoverError, Recovered, Segment, SegmentEnd, recover};
use crate::sealed::{self, Kind};
use std::collections::VecDeque;

/// A store, opened for writing.
#[derive(Debug)]
pub struct Store<F> {
    files: F,
    appender: Appender,
    /// Segments that are full, in ascending order.
    full: VecDeque<SegmentEnd>,
    stats: Stats,
    /// After an error the state of the files is not known: every further write is refused.
    failed: bool,
}

/// What is found on opening.
#[derive(Debug)]
pub struct Opened<F> {
    /// To write on.
    pub store: Store<F>,
    /// The number of this start: 1 at the first, and higher at each.
    pub incarnation: u64,
    /// The newest snapshot.
    pub snapshot: Option<Vec<u8>>,
    /// Every record at or above the snapshot's `keep_from`, with its position, in order. All of them are durable.
    pub records: Vec<(u64, Vec<u8>)>,
    /// What was dropped of a write that was never acknowledged.
    pub dropped: Option<Dropped>,
}

/// A snapshot to make durable, and how much of the log it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Save<'a> {
    /// What to save.
    pub data: &'a [u8],
    /// Records below this position are no longer needed once the snapshot is durable.
    pub keep_from: u64,
}

/// What was written since the store was opened. What opening itself writes is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Syncs, as a directory makes them: one for a batch, one more where it begins a segment, two for a snapshot.
    pub fsyncs: u64,
    /// Bytes of batches, with their framing, and of snapshots.
    pub written_bytes: u64,
    /// Batches appended to the log.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Snapshots saved.
    pub snapshots: u64,
    /// Segments begun.
    pub segments: u64,
}

/// Why a store cannot be used, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError<E> {
    /// The files failed.
    #[error("{0}")]
    Files(E),
    /// A small file is not as it was written.
    #[error("the file `{name}` is damaged: {why}")]
    Damaged {
        /// The file.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A small file that must be there is not.
    #[error("the file `{name}` is missing, though the store was opened before")]
    Missing {
        /// The file.
        name: &'static str,
    },
    /// The log must not be used.
    #[error(transparent)]
    Log(#[from] RecoverError),
    /// More records in one batch than the log's format can hold.
    #[error(transparent)]
    TooLarge(#[from] BatchTooLarge),
    /// A write after one that failed.
    #[error(
        "an earlier write failed: what the files hold is not known before the store is opened again"
    )]
    Failed,
}

/// The file `incarnation`.
#[derive(Clone, Copy)]
struct Incarnation {
    number: u64,
    /// Every record below this was durable when the incarnation began.
    durable: u64,
}

/// The file `snapshot`.
struct Saved {
    keep_from: u64,
    /// Every record below this was durable when the snapshot was saved.
    durable: u64,
    data: Vec<u8>,
}

impl<F: Files> Store<F> {
    /// Opens a store, which may be empty, and begins a new incarnation, durably. Segments to come have `segment_bytes`,
    /// rounded up to whole sectors, or more where a batch needs it.
    ///
    /// # Errors
    /// [`StoreError`]: the files fail, or what they hold cannot be trusted.
    pub fn open(mut files: F, segment_bytes: u64) -> Result<Opened<F>, StoreError<F::Error>> {
        let incarnation = Incarnation::load(&mut files)?;
        let saved = Saved::load(&mut files)?;
        let generations = files.segments().map_err(StoreError::Files)?;
        if incarnation.is_none() && (saved.is_some() || !generations.is_empty()) {
            return Err(StoreError::Missing { name: Incarnation::NAME });
        }

        let before = incarnation.unwrap_or(Incarnation { number: 0, durable: 0 });
        let keep_from = saved.as_ref().map_or(0, |saved| saved.keep_from);
        let known = saved.as_ref().map_or(0, |saved| saved.durable).max(before.durable);
        let log = recover_log(&mut files, &generations, keep_from, known)?;

        let now = Incarnation { number: before.number + 1, durable: log.end.position };
        now.save(&mut files)?;
        let mut full = VecDeque::from(log.segments);
        full.pop_back(); // The one that is written on.
        let mut store = Self {
            files,
            appender: Appender::new(segment_bytes, log.end),
            full,
            stats: Stats::default(),
            failed: false,
        };
        store.release(keep_from)?;
        Ok(Opened {
            store,
            incarnation: now.number,
            snapshot: saved.map(|saved| saved.data),
            records: log.records,
            dropped: log.dropped,
        })
    }

    /// Makes `records` durable, in one batch, and then `snapshot`. Answers the next position: everything below it is
    /// durable. Does nothing where both are absent.
    ///
    /// # Errors
    /// [`StoreError`]. It is final: the node must end, and every further write is refused.
    ///
    /// # Panics
    /// If the snapshot replaces records that were never written.
    pub fn write<R: AsRef<[u8]>>(
        &mut self,
        records: &[R],
        snapshot: Option<Save<'_>>,
    ) -> Result<u64, StoreError<F::Error>> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        let written = self.append(records).and_then(|()| match snapshot {
            Some(snapshot) => self.save(snapshot),
            None => Ok(()),
        });
        self.failed = written.is_err();
        written.map(|()| self.appender.end().position)
    }

    /// What was written so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The files, for whoever makes faults in them. Nothing else may write to them.
    pub fn files_mut(&mut self) -> &mut F {
        &mut self.files
    }

    /// Gives the files back.
    #[must_use]
    pub fn into_files(self) -> F {
        self.files
    }

    fn append<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<(), StoreError<F::Error>> {
        if records.is_empty() {
            return Ok(());
        }
        // Each batch is synced before the next one is encoded.
        let before = self.appender.end();
        let batch = self.appender.append(records, before.position)?;
        if let Some(bytes) = batch.new_segment_bytes {
            self.files.create(batch.generation, bytes).map_err(StoreError::Files)?;
            if before.generation > 0 {
                let (generation, position) = (before.generation, before.position);
                self.full.push_back(SegmentEnd { generation, position });
            }
            self.stats.segments += 1;
            self.stats.fsyncs += 1;
        }
        self.files.write(batch.generation, batch.offset, batch.bytes).map_err(StoreError::Files)?;
        self.files.sync(batch.generation).map_err(StoreError::Files)?;
        self.stats.fsyncs += 1;
        self.stats.batches += 1;
        self.stats.records += records.len() as u64;
        self.stats.written_bytes += batch.bytes.len() as u64;
        Ok(())
    }

    fn save(&mut self, save: Save<'_>) -> Result<(), StoreError<F::Error>> {
        let durable = self.appender.end().position;
        let keep_from = save.keep_from;
        assert!(keep_from <= durable, "a snapshot replaces only records that were written");
        let numbers = [keep_from, durable].map(u64::to_le_bytes);
        let file = sealed::seal(Saved::KIND, &[&numbers.concat(), save.data]);
        self.files.replace(Saved::NAME, &file).map_err(StoreError::Files)?;
        self.release(keep_from)?;
        self.stats.fsyncs += 2;
        self.stats.snapshots += 1;
        self.stats.written_bytes += file.len() as u64;
        Ok(())
    }

    /// Lets go of the segments whose records all stand below `keep_from`, which a durable snapshot replaces.
    fn release(&mut self, keep_from: u64) -> Result<(), StoreError<F::Error>> {
        while let Some(segment) = self.full.pop_front_if(|segment| segment.position <= keep_from) {
            self.files.release(segment.generation).map_err(StoreError::Files)?;
        }
        Ok(())
    }
}

/// Makes the small files say that nothing was ever durable.
pub(crate) fn forget_what_was_durable<F: Files>(files: &mut F) -> Result<(), StoreError<F::Error>> {
    if let Some(incarnation) = Incarnation::load(files)? {
        Incarnation { durable: 0, ..incarnation }.save(files)?;
    }
    if let Some(saved) = Saved::load(files)? {
        let numbers = [saved.keep_from, 0].map(u64::to_le_bytes);
        let file = sealed::seal(Saved::KIND, &[&numbers.concat(), &saved.data]);
        files.replace(Saved::NAME, &file).map_err(StoreError::Files)?;
    }
    Ok(())
}

impl Incarnation {
    const NAME: &str = "incarnation";
    const KIND: Kind = *b"TWLincar";

    fn load<F: Files>(files: &mut F) -> Result<Option<Self>, StoreError<F::Error>> {
        let Some(contents) = load(files, Self::NAME, Self::KIND)? else {
            return Ok(None);
        };
        match numbers(&contents) {
            Some(([number, durable], [])) => Ok(Some(Self { number, durable })),
            _ => Err(misfit(Self::NAME)),
        }
    }

    fn save<F: Files>(self, files: &mut F) -> Result<(), StoreError<F::Error>> {
        let numbers = [self.number, self.durable].map(u64::to_le_bytes);
        let file = sealed::seal(Self::KIND, &[&numbers.concat()]);
        files.replace(Self::NAME, &file).map_err(StoreError::Files)
    }
}

impl Saved {
    const NAME: &str = "snapshot";
    const KIND: Kind = *b"TWLsnaps";

    fn load<F: Files>(files: &mut F) -> Result<Option<Self>, StoreError<F::Error>> {
        let Some(contents) = load(files, Self::NAME, Self::KIND)? else {
            return Ok(None);
        };
        match numbers(&contents) {
            Some(([keep_from, durable], data)) => {
                Ok(Some(Self { keep_from, durable, data: data.to_vec() }))
            }
            None => Err(misfit(Self::NAME)),
        }
    }
}

/// The contents of a sealed file, if there is one.
fn load<F: Files>(
    files: &mut F,
    name: &'static str,
    kind: Kind,
) -> Result<Option<Vec<u8>>, StoreError<F::Error>> {
    let Some(file) = files.load(name).map_err(StoreError::Files)? else {
        return Ok(None);
    };
    match sealed::open(kind, &file) {
        Ok(contents) => Ok(Some(contents.to_vec())),
        Err(why) => Err(StoreError::Damaged { name, why: why.to_string() }),
    }
}

/// The two numbers with which the contents of each of our files begin, and the rest.
fn numbers(contents: &[u8]) -> Option<([u64; 2], &[u8])> {
    let (first, rest) = contents.split_first_chunk::<8>()?;
    let (second, rest) = rest.split_first_chunk::<8>()?;
    Some(([u64::from_le_bytes(*first), u64::from_le_bytes(*second)], rest))
}

/// A sealed file whose contents are not what its writer writes.
fn misfit<E>(name: &'static str) -> StoreError<E> {
    StoreError::Damaged { name, why: "its contents are too short or too long".into() }
}

/// Recovers the log and makes durable what it found.
fn recover_log<F: Files>(
    files: &mut F,
    generations: &[u64],
    keep_from: u64,
    known_durable: u64,
) -> Result<Recovered, StoreError<F::Error>> {
    let contents = generations
        .iter()
        .map(|&generation| files.read(generation))
        .collect::<Result<Vec<_>, _>>()
        .map_err(StoreError::Files)?;
    let found: Vec<_> = generations
        .iter()
        .zip(&contents)
        .map(|(&generation, bytes)| Segment { generation, bytes })
        .collect();
    let log = recover(&found, keep_from, known_durable)?;
    if let Some(last) = contents.last() {
        settle_tail(files, &log, last).map_err(StoreError::Files)?;
    }
    Ok(log)
}

/// What recovery asks before the log goes on: the last batch written again, zeros over what was dropped, both synced.
fn settle_tail<F: Files>(files: &mut F, log: &Recovered, last: &[u8]) -> Result<(), F::Error> {
    let generation = log.end.generation;
    let mut tail = last[log.tail_from as usize..log.end.offset as usize].to_vec();
    tail.resize((log.tail_to - log.tail_from) as usize, 0);
    files.write(generation, log.tail_from, &tail)?;
    files.sync(generation)
}
