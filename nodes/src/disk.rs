//! The durable store of a node on a real file system. It blocks: it lives on a thread of its own.
//!
//! What is written, in which order, and how it is recovered is `tribunal-wal`'s [`Store`]; this module gives it files.
//! In a node's directory: `lock` (held by the living process), `incarnation`, `snapshot`, `<generation>.log` (segments)
//! and `spare` (the next segment, filled ahead of use).
//!
//! Invariant: a directory belongs to one process at a time.
//!
//! Absent on purpose: what the files mean.

mod directory;
mod error;
mod spare;
#[cfg(test)]
mod tests;

pub use error::DiskError;
pub use tribunal_wal::Stats as DiskStats;

use directory::Directory;
use std::path::{Path, PathBuf};
use tribunal_protocol::core::{Position, SaveSnapshot, Snapshot};
use tribunal_wal::{Save, Store};

/// The length of an ordinary segment.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// A node's directory, opened for writing.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    store: Store<Directory>,
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
        let files = Directory::open(dir, segment_bytes)?;
        let opened = Store::open(files, segment_bytes).map_err(|why| error::of(dir, why))?;
        let tribunal_wal::Opened { mut store, incarnation, snapshot, records, dropped } = opened;
        store.files_mut().prepare_spare()?;
        Ok(Opened {
            disk: Self { dir: dir.to_owned(), store },
            incarnation,
            snapshot: snapshot.map(|data| Snapshot { data }),
            records: records.into_iter().map(|(at, record)| (Position(at), record)).collect(),
            dropped: dropped.map(|dropped| dropped.to_string()),
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
        let save =
            snapshot.map(|save| Save { data: &save.snapshot.data, keep_from: save.keep_from.0 });
        self.store.write(records, save).map(Position).map_err(|why| error::of(&self.dir, why))
    }

    /// What was written so far.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        self.store.stats()
    }
}
