//! Files that are replaced as a whole: written beside, synced, renamed, and the directory synced.

use super::error::{DiskError, io};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use tribunal_wal::sealed::{self, Kind};

/// What a file is called until it is complete.
const UNFINISHED: &str = "tmp";

/// Makes a directory that survives a loss of power.
pub(super) fn make_dir(dir: &Path) -> Result<(), DiskError> {
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
pub(super) fn remove_unfinished(dir: &Path) -> Result<(), DiskError> {
    for entry in fs::read_dir(dir).map_err(|source| io("list", dir, source))? {
        let path = entry.map_err(|source| io("list", dir, source))?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            fs::remove_file(&path).map_err(|source| io("remove", &path, source))?;
        }
    }
    Ok(())
}

/// The contents of a sealed file, if there is one.
pub(super) fn load(dir: &Path, name: &str, kind: Kind) -> Result<Option<Vec<u8>>, DiskError> {
    let path = dir.join(name);
    let file = match fs::read(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io("read", &path, source)),
    };
    match sealed::open(kind, &file) {
        Ok(contents) => Ok(Some(contents.to_vec())),
        Err(why) => Err(DiskError::Damaged { path, why: why.to_string() }),
    }
}

/// The two numbers with which the contents of each of our files begin, and the rest.
pub(super) fn numbers(contents: &[u8]) -> Option<([u64; 2], &[u8])> {
    let (first, rest) = contents.split_first_chunk::<8>()?;
    let (second, rest) = rest.split_first_chunk::<8>()?;
    Some(([u64::from_le_bytes(*first), u64::from_le_bytes(*second)], rest))
}

/// A sealed file whose contents are not what its writer writes.
pub(super) fn damaged(dir: &Path, name: &str) -> DiskError {
    DiskError::Damaged {
        path: dir.join(name),
        why: "its contents are too short or too long".into(),
    }
}

/// Replaces a sealed file, durably, by two syncs. Answers its length in bytes.
pub(super) fn replace(
    dir: &Path,
    name: &str,
    kind: Kind,
    parts: &[&[u8]],
) -> Result<u64, DiskError> {
    let contents = sealed::seal(kind, parts);
    let (path, unfinished) = (dir.join(name), dir.join(name).with_extension(UNFINISHED));
    let mut file = File::create(&unfinished).map_err(|source| io("create", &unfinished, source))?;
    file.write_all(&contents).map_err(|source| io("write", &unfinished, source))?;
    file.sync_data().map_err(|source| io("sync", &unfinished, source))?;
    fs::rename(&unfinished, &path).map_err(|source| io("replace", &path, source))?;
    sync_dir(dir)?;
    Ok(contents.len() as u64)
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), DiskError> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(|source| io("sync", dir, source))
}
