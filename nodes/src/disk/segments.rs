//! The log's segment files: the one that is written, those that are full, and the spare that comes next.
//!
//! A spare is filled with zeros by a thread of its own, or is a segment that a snapshot made needless: the log's format
//! tells the remains of a lower generation from what was written since, so that one is used as it is. A file that is
//! filled in advance costs a sync no metadata.
//!
//! Invariant: a file has its name `<generation>.log` only while it is whole and filled, durably.

use super::error::{DiskError, io};
use super::files;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use tribunal_wal::{Recovered, SECTOR_BYTES, SegmentEnd};

/// How much of a spare is filled between two syncs, so that a sync of the log waits for little.
const FILL_BYTES: usize = 1024 * 1024;

/// The segments of one log.
#[derive(Debug)]
pub(super) struct Segments {
    dir: PathBuf,
    /// The file that is written, and its path; none before the first batch.
    current: Option<(File, PathBuf)>,
    /// The generation that is written; 0 before the first batch.
    generation: u64,
    /// Those that are full, in ascending order.
    full: VecDeque<SegmentEnd>,
    spare: Spare,
}

impl Segments {
    /// Goes on in the last of the segments that recovery found.
    pub(super) fn open(
        dir: &Path,
        segment_bytes: u64,
        found: &[SegmentEnd],
    ) -> Result<Self, DiskError> {
        let mut full: VecDeque<_> = found.iter().copied().collect();
        let last = full.pop_back();
        let current = last.map(|last| open(&path(dir, last.generation))).transpose()?;
        let bytes = segment_bytes.max(1).next_multiple_of(SECTOR_BYTES as u64);
        let mut spare = Spare::new(dir, bytes);
        spare.prepare()?;
        let generation = last.map_or(0, |last| last.generation);
        Ok(Self { dir: dir.to_owned(), current, generation, full, spare })
    }

    /// Writes a batch and syncs it.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        let Some((file, path)) = &self.current else {
            unreachable!("the first batch begins a segment");
        };
        file.write_all_at(bytes, offset).map_err(|source| io("write", path, source))?;
        file.sync_data().map_err(|source| io("sync", path, source))
    }

    /// Begins a segment of `bytes`. The one before it ends at `position`.
    pub(super) fn roll(
        &mut self,
        generation: u64,
        bytes: u64,
        position: u64,
    ) -> Result<(), DiskError> {
        let path = path(&self.dir, generation);
        if bytes == self.spare.bytes {
            self.spare.take(&path)?;
        } else {
            let unfinished = self.dir.join("oversized.tmp");
            fill(&unfinished, bytes, &AtomicBool::new(false))?;
            fs::rename(&unfinished, &path).map_err(|source| io("create", &path, source))?;
        }
        files::sync_dir(&self.dir)?;
        if self.current.is_some() {
            self.full.push_back(SegmentEnd { generation: self.generation, position });
        }
        self.current = Some(open(&path)?);
        self.generation = generation;
        self.spare.prepare()
    }

    /// Lets go of the segments whose records all stand below `keep_from`.
    pub(super) fn release(&mut self, keep_from: u64) -> Result<(), DiskError> {
        while self.full.front().is_some_and(|segment| segment.position <= keep_from) {
            if let Some(segment) = self.full.pop_front() {
                self.spare.recycle(&path(&self.dir, segment.generation))?;
            }
        }
        Ok(())
    }
}

/// The next segment.
#[derive(Debug)]
struct Spare {
    path: PathBuf,
    /// Its length.
    bytes: u64,
    /// Who fills it.
    filler: Option<JoinHandle<Result<(), DiskError>>>,
    /// Tells the filler to end early.
    cancelled: Arc<AtomicBool>,
}

impl Spare {
    fn new(dir: &Path, bytes: u64) -> Self {
        Self { path: dir.join("spare"), bytes, filler: None, cancelled: Arc::default() }
    }

    /// Whether a spare of the right length lies ready.
    fn is_ready(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == self.bytes)
    }

    /// Begins to fill a spare, unless there is one.
    fn prepare(&mut self) -> Result<(), DiskError> {
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
    fn take(&mut self, path: &Path) -> Result<(), DiskError> {
        self.wait()?;
        fs::rename(&self.path, path).map_err(|source| io("create", path, source))
    }

    /// Makes a needless segment the spare, or removes it where there is one.
    fn recycle(&mut self, path: &Path) -> Result<(), DiskError> {
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
fn fill(path: &Path, bytes: u64, cancelled: &AtomicBool) -> Result<bool, DiskError> {
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

/// The generations of the segments in `dir`, in ascending order.
pub(super) fn list(dir: &Path) -> Result<Vec<u64>, DiskError> {
    let mut generations = Vec::new();
    for entry in fs::read_dir(dir).map_err(|source| io("list", dir, source))? {
        let name = entry.map_err(|source| io("list", dir, source))?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log"));
        generations.extend(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
    }
    generations.sort_unstable();
    Ok(generations)
}

/// All bytes of a segment.
pub(super) fn read(dir: &Path, generation: u64) -> Result<Vec<u8>, DiskError> {
    let path = path(dir, generation);
    fs::read(&path).map_err(|source| io("read", &path, source))
}

/// What recovery asks before the log goes on: the last batch written again, zeros over what was dropped, both synced.
pub(super) fn settle_tail(dir: &Path, log: &Recovered, last: &[u8]) -> Result<(), DiskError> {
    let (file, path) = open(&path(dir, log.end.generation))?;
    let mut tail = last[log.tail_from as usize..log.end.offset as usize].to_vec();
    tail.resize((log.tail_to - log.tail_from) as usize, 0);
    file.write_all_at(&tail, log.tail_from).map_err(|source| io("write", &path, source))?;
    file.sync_data().map_err(|source| io("sync", &path, source))
}

fn open(path: &Path) -> Result<(File, PathBuf), DiskError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| io("open", path, source))?;
    Ok((file, path.to_owned()))
}

fn path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{generation:016x}.log"))
}
