//! The files of a store in a real directory: small ones that are replaced as a whole, and segments.
//!
//! A small file is written beside, synced, renamed, and the directory synced. A segment comes from the [`Spare`], and
//! goes there when it is let go.
//!
//! Invariants: a file has its name `<generation>.log` only while it is whole and filled, durably. What ends in `.tmp`
//! means nothing to anyone but its writer.

use super::error::{DiskError, io};
use super::spare::{Spare, fill};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tribunal_wal::{Files, SECTOR_BYTES};

/// What a file is called until it is complete.
const UNFINISHED: &str = "tmp";

/// A directory that belongs to this process.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// The segment that was written last.
    current: Option<Current>,
    spare: Spare,
    /// Last, so that the directory is let go when everything else has ended.
    _lock: File,
}

/// A segment that is open.
#[derive(Debug)]
struct Current {
    generation: u64,
    path: PathBuf,
    file: File,
}

impl Directory {
    /// Takes a directory, which is made if it does not exist, and removes what a process left that died while it wrote.
    pub(super) fn open(path: &Path, segment_bytes: u64) -> Result<Self, DiskError> {
        make_dir(path)?;
        let lock = lock(path)?;
        remove_unfinished(path)?;
        let bytes = segment_bytes.max(1).next_multiple_of(SECTOR_BYTES as u64);
        Ok(Self {
            path: path.to_owned(),
            current: None,
            spare: Spare::new(path, bytes),
            _lock: lock,
        })
    }

    /// Begins to fill a spare, unless there is one.
    pub(super) fn prepare_spare(&mut self) -> Result<(), DiskError> {
        self.spare.prepare()
    }

    fn segment_path(&self, generation: u64) -> PathBuf {
        self.path.join(format!("{generation:016x}.log"))
    }

    /// The segment, open for writing. It stays open until another one is written.
    fn current(&mut self, generation: u64) -> Result<&Current, DiskError> {
        let kept = self.current.take().filter(|current| current.generation == generation);
        let current = match kept {
            Some(current) => current,
            None => {
                let path = self.segment_path(generation);
                let file = OpenOptions::new().read(true).write(true).open(&path);
                let file = file.map_err(|source| io("open", &path, source))?;
                Current { generation, path, file }
            }
        };
        Ok(self.current.insert(current))
    }
}

impl Files for Directory {
    type Error = DiskError;

    fn load(&mut self, name: &str) -> Result<Option<Vec<u8>>, DiskError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(contents) => Ok(Some(contents)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io("read", &path, source)),
        }
    }

    /// Two syncs: of the file, and of the directory.
    fn replace(&mut self, name: &str, contents: &[u8]) -> Result<(), DiskError> {
        let path = self.path.join(name);
        let unfinished = path.with_extension(UNFINISHED);
        let mut file =
            File::create(&unfinished).map_err(|source| io("create", &unfinished, source))?;
        file.write_all(contents).map_err(|source| io("write", &unfinished, source))?;
        file.sync_data().map_err(|source| io("sync", &unfinished, source))?;
        fs::rename(&unfinished, &path).map_err(|source| io("replace", &path, source))?;
        sync_dir(&self.path)
    }

    fn segments(&mut self) -> Result<Vec<u64>, DiskError> {
        let listed = |source| io("list", &self.path, source);
        let mut generations = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(listed)? {
            let name = entry.map_err(listed)?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(".log"));
            generations.extend(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
        }
        generations.sort_unstable();
        Ok(generations)
    }

    fn read(&mut self, generation: u64) -> Result<Vec<u8>, DiskError> {
        let path = self.segment_path(generation);
        fs::read(&path).map_err(|source| io("read", &path, source))
    }

    /// The spare, if it has the right length; it was synced when it was filled. One sync, of the directory.
    fn create(&mut self, generation: u64, length_bytes: u64) -> Result<(), DiskError> {
        let path = self.segment_path(generation);
        if length_bytes == self.spare.bytes() {
            self.spare.take(&path)?;
        } else {
            let unfinished = self.path.join("oversized").with_extension(UNFINISHED);
            fill(&unfinished, length_bytes, &AtomicBool::new(false))?;
            fs::rename(&unfinished, &path).map_err(|source| io("create", &path, source))?;
        }
        sync_dir(&self.path)?;
        self.spare.prepare()
    }

    fn write(&mut self, generation: u64, offset_bytes: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let Current { file, path, .. } = self.current(generation)?;
        file.write_all_at(bytes, offset_bytes).map_err(|source| io("write", path, source))
    }

    fn sync(&mut self, generation: u64) -> Result<(), DiskError> {
        let Current { file, path, .. } = self.current(generation)?;
        file.sync_data().map_err(|source| io("sync", path, source))
    }

    fn release(&mut self, generation: u64) -> Result<(), DiskError> {
        self.spare.recycle(&self.segment_path(generation))
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

/// Makes a directory that survives a loss of power.
fn make_dir(dir: &Path) -> Result<(), DiskError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(|source| io("create", dir, source))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// Removes what a process left that died while it wrote.
fn remove_unfinished(dir: &Path) -> Result<(), DiskError> {
    for entry in fs::read_dir(dir).map_err(|source| io("list", dir, source))? {
        let path = entry.map_err(|source| io("list", dir, source))?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            fs::remove_file(&path).map_err(|source| io("remove", &path, source))?;
        }
    }
    Ok(())
}

/// Makes the names in a directory durable.
fn sync_dir(dir: &Path) -> Result<(), DiskError> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(|source| io("sync", dir, source))
}
