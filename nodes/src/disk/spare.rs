//! The spare: the segment that comes next, whole and filled ahead of use.
//!
//! It is filled with zeros by a thread of its own, or is a segment that a snapshot made needless: the log's format
//! tells the remains of a lower generation from what was written since, so that one is used as it is. A file that is
//! filled in advance costs a sync no metadata.
//!
//! Invariant: a file has the name `spare` only while it is whole and filled, durably.

use super::error::{DiskError, io};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// How much of a spare is filled between two syncs, so that a sync of the log waits for little.
const FILL_BYTES: usize = 1024 * 1024;

/// The next segment.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    /// Its length.
    bytes: u64,
    /// Who fills it.
    filler: Option<JoinHandle<Result<(), DiskError>>>,
    /// Tells the filler to end early.
    cancelled: Arc<AtomicBool>,
}

impl Spare {
    /// The spare of a directory, which is not looked for yet.
    pub(super) fn new(dir: &Path, bytes: u64) -> Self {
        Self { path: dir.join("spare"), bytes, filler: None, cancelled: Arc::default() }
    }

    /// Its length in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a spare of the right length lies ready.
    fn is_ready(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == self.bytes)
    }

    /// Begins to fill a spare, unless there is one.
    pub(super) fn prepare(&mut self) -> Result<(), DiskError> {
        if self.filler.is_some() || self.is_ready() {
            return Ok(());
        }
        let (path, bytes, cancelled) = (self.path.clone(), self.bytes, Arc::clone(&self.cancelled));
        let filler = thread::Builder::new()
            .name("spare-segment".into())
            .spawn(move || {
                let unfinished = path.with_extension("tmp");
                if fill(&unfinished, bytes, &cancelled)? {
                    fs::rename(&unfinished, &path).map_err(|source| io("create", &path, source))?;
                }
                Ok(())
            })
            .map_err(|source| io("start a thread for", &self.path, source))?;
        self.filler = Some(filler);
        Ok(())
    }

    /// Waits until the spare is filled.
    fn wait(&mut self) -> Result<(), DiskError> {
        match self.filler.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(filled)) => filled,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }

    /// Makes the spare the segment at `path`. The directory is still to be synced.
    pub(super) fn take(&mut self, path: &Path) -> Result<(), DiskError> {
        self.wait()?;
        fs::rename(&self.path, path).map_err(|source| io("create", path, source))
    }

    /// Makes a needless segment the spare, or removes it where there is one.
    pub(super) fn recycle(&mut self, path: &Path) -> Result<(), DiskError> {
        let fits = fs::metadata(path).is_ok_and(|metadata| metadata.len() == self.bytes);
        if fits && self.filler.is_none() && !self.is_ready() {
            return fs::rename(path, &self.path).map_err(|source| io("recycle", path, source));
        }
        fs::remove_file(path).map_err(|source| io("remove", path, source))
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        // Nothing rests on a spare that nobody takes: its error is of no use to anyone.
        if let Some(filler) = self.filler.take() {
            let _ = filler.join();
        }
    }
}

/// Makes a file of zeros, durably, or gives up where `cancelled`. Real zeros: blocks that are only reserved (fallocate)
/// would cost each first write a change of metadata.
pub(super) fn fill(path: &Path, bytes: u64, cancelled: &AtomicBool) -> Result<bool, DiskError> {
    let mut file = File::create(path).map_err(|source| io("create", path, source))?;
    let zeros = vec![0; FILL_BYTES.min(usize::try_from(bytes).unwrap_or(FILL_BYTES))];
    let mut left = bytes;
    while left > 0 {
        if cancelled.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let length = left.min(zeros.len() as u64);
        file.write_all(&zeros[..length as usize]).map_err(|source| io("write", path, source))?;
        file.sync_data().map_err(|source| io("sync", path, source))?;
        left -= length;
    }
    Ok(true)
}
