//! The durable store of a node on a real file system. It blocks: it lives on a thread of its own.
//!
//! The log's format and its recovery rule are `tribunal-wal`'s; this module gives it files. In a node's directory:
//! `lock` (held by the living process), `incarnation` (how often the node was started, and how far its log was durable then),
//! `snapshot`, `<generation>.log` (segments) and `spare` (the next segment, filled ahead of use).
//!
//! Invariants:
//! * [`Disk::write`] returns after one `pwrite` and one `fdatasync` of the batch, and after its snapshot is durable. A
//!   snapshot is saved behind the records of its call, and only then is the log before it let go.
//! * After a failed write or sync nothing is tried again: what the page cache shows then need not be on disk (Rebello et
//!   al., "Can Applications Recover from fsync Failures?", ATC 2020). For the same reason recovery writes the last batch again
//!   before it counts as durable.
//! * `incarnation` and `snapshot` are replaced as a whole, by rename. The log is never cut where it may have been acknowledged.
//!
//! Absent on purpose: group commit (the caller batches what has gathered while a sync ran), and snapshots in the background (a
//! write waits for the snapshot that it saves).

mod error;
mod files;
mod segments;
#[cfg(test)]
mod tests;

pub use error::DiskError;

use error::io;
use segments::Segments;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use tribunal_protocol::core::{Position, SaveSnapshot, Snapshot};
use tribunal_wal::{Appender, Recovered, Segment};

/// The length of an ordinary segment.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// A node's directory, opened for writing.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    appender: Appender,
    segments: Segments,
    stats: DiskStats,
    /// After an error the state on disk is not known: every further write is refused.
    failed: bool,
    /// Last, so that the directory is let go when everything else has ended.
    _lock: File,
}

/// What a node finds in its directory.
#[derive(Debug)]
pub struct Opened {
    /// To write on.
    pub disk: Disk,
    /// The number of this start: 1 at the first, and higher at each.
    pub incarnation: u64,
    /// The newest snapshot.
    pub snapshot: Option<Snapshot>,
    /// Every record at or above the snapshot's `keep_from`, in order. All of them are durable.
    pub records: Vec<(Position, Vec<u8>)>,
    /// For people: what was dropped of a write that was never acknowledged.
    pub dropped: Option<String>,
}

/// What was written since the directory was opened. Preparing segments is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Syncs of files and of the directory.
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

impl Disk {
    /// Opens a node's directory, which is made if it does not exist, and begins a new incarnation, durably.
    ///
    /// # Errors
    /// [`DiskError`]: another process holds the directory, the file system fails, or what it holds cannot be trusted.
    pub fn open(dir: &Path) -> Result<Opened, DiskError> {
        Self::open_with(dir, SEGMENT_BYTES)
    }

    /// As [`Disk::open`], with segments of `segment_bytes`, rounded up to whole sectors.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub fn open_with(dir: &Path, segment_bytes: u64) -> Result<Opened, DiskError> {
        files::make_dir(dir)?;
        let lock = lock(dir)?;
        files::remove_unfinished(dir)?;
        let incarnation = Incarnation::load(dir)?;
        let saved = Saved::load(dir)?;
        let generations = segments::list(dir)?;
        if incarnation.is_none() && (saved.is_some() || !generations.is_empty()) {
            return Err(DiskError::Missing { path: dir.join(Incarnation::NAME) });
        }

        let before = incarnation.unwrap_or(Incarnation { number: 0, durable: 0 });
        let keep_from = saved.as_ref().map_or(0, |saved| saved.keep_from);
        let known = saved.as_ref().map_or(0, |saved| saved.durable).max(before.durable);
        let log = recover(dir, &generations, keep_from, known)?;

        let now = Incarnation { number: before.number + 1, durable: log.end.position };
        now.save(dir)?;
        let appender = Appender::new(segment_bytes, log.end);
        let mut segments = Segments::open(dir, segment_bytes, &log.segments)?;
        segments.release(keep_from)?;
        let stats = DiskStats::default();
        Ok(Opened {
            disk: Self {
                dir: dir.to_owned(),
                appender,
                segments,
                stats,
                failed: false,
                _lock: lock,
            },
            incarnation: now.number,
            snapshot: saved.map(|saved| Snapshot { data: saved.data }),
            records: log.records.into_iter().map(|(at, record)| (Position(at), record)).collect(),
            dropped: log.dropped.map(|dropped| dropped.to_string()),
        })
    }

    /// Makes `records` durable, in one batch, and then `snapshot`. Answers the next position: everything below it is
    /// durable. Does nothing where both are absent.
    ///
    /// # Errors
    /// [`DiskError`]. It is final: the node must end, and every further write is refused.
    ///
    /// # Panics
    /// If the snapshot replaces records that were never written.
    pub fn write<R: AsRef<[u8]>>(
        &mut self,
        records: &[R],
        snapshot: Option<&SaveSnapshot>,
    ) -> Result<Position, DiskError> {
        if self.failed {
            return Err(DiskError::Failed { path: self.dir.clone() });
        }
        let written = self.append(records).and_then(|()| match snapshot {
            Some(snapshot) => self.save(snapshot),
            None => Ok(()),
        });
        self.failed = written.is_err();
        written.map(|()| Position(self.appender.end().position))
    }

    /// What was written so far.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        self.stats
    }

    fn append<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<(), DiskError> {
        if records.is_empty() {
            return Ok(());
        }
        // Each batch is synced before the next one is encoded.
        let durable = self.appender.end().position;
        let batch = self.appender.append(records, durable)?;
        if let Some(bytes) = batch.new_segment_bytes {
            self.segments.roll(batch.generation, bytes, durable)?;
            self.stats.segments += 1;
            self.stats.fsyncs += 1;
        }
        self.segments.write(batch.bytes, batch.offset)?;
        self.stats.fsyncs += 1;
        self.stats.batches += 1;
        self.stats.records += records.len() as u64;
        self.stats.written_bytes += batch.bytes.len() as u64;
        Ok(())
    }

    fn save(&mut self, save: &SaveSnapshot) -> Result<(), DiskError> {
        let durable = self.appender.end().position;
        let keep_from = save.keep_from.0;
        assert!(keep_from <= durable, "a snapshot replaces only records that were written");
        let numbers = [keep_from, durable].map(u64::to_le_bytes);
        let bytes = files::replace(
            &self.dir,
            Saved::NAME,
            Saved::KIND,
            &[&numbers.concat(), &save.snapshot.data],
        )?;
        self.segments.release(keep_from)?;
        self.stats.fsyncs += 2;
        self.stats.snapshots += 1;
        self.stats.written_bytes += bytes;
        Ok(())
    }
}

impl Incarnation {
    const NAME: &str = "incarnation";
    const KIND: [u8; 8] = *b"TWLincar";

    fn load(dir: &Path) -> Result<Option<Self>, DiskError> {
        let Some(contents) = files::load(dir, Self::NAME, Self::KIND)? else {
            return Ok(None);
        };
        match files::numbers(&contents) {
            Some(([number, durable], [])) => Ok(Some(Self { number, durable })),
            _ => Err(files::damaged(dir, Self::NAME)),
        }
    }

    fn save(self, dir: &Path) -> Result<(), DiskError> {
        let numbers = [self.number, self.durable].map(u64::to_le_bytes);
        files::replace(dir, Self::NAME, Self::KIND, &[&numbers.concat()]).map(|_| ())
    }
}

impl Saved {
    const NAME: &str = "snapshot";
    const KIND: [u8; 8] = *b"TWLsnaps";

    fn load(dir: &Path) -> Result<Option<Self>, DiskError> {
        let Some(contents) = files::load(dir, Self::NAME, Self::KIND)? else {
            return Ok(None);
        };
        match files::numbers(&contents) {
            Some(([keep_from, durable], data)) => {
                Ok(Some(Self { keep_from, durable, data: data.to_vec() }))
            }
            None => Err(files::damaged(dir, Self::NAME)),
        }
    }
}

/// Takes the directory for this process; the operating system lets it go when the process ends, however it ends.
fn lock(dir: &Path) -> Result<File, DiskError> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(|source| io("create", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DiskError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(io("lock", &path, source)),
    }
}

/// Recovers the log and makes durable what it found.
fn recover(
    dir: &Path,
    generations: &[u64],
    keep_from: u64,
    known_durable: u64,
) -> Result<Recovered, DiskError> {
    let files = generations
        .iter()
        .map(|&generation| segments::read(dir, generation))
        .collect::<Result<Vec<_>, _>>()?;
    let found: Vec<_> = generations
        .iter()
        .zip(&files)
        .map(|(&generation, bytes)| Segment { generation, bytes })
        .collect();
    let log = tribunal_wal::recover(&found, keep_from, known_durable)
        .map_err(|source| DiskError::Log { path: dir.to_owned(), source })?;
    if let Some(last) = files.last() {
        segments::settle_tail(dir, &log, last)?;
    }
    Ok(log)
}
