//! What can go wrong between a node and its directory, with advice. Every one of these ends the node.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use tribunal_wal::{BatchTooLarge, RecoverError, StoreError};

/// Why a node's directory cannot be used, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A living process holds the directory.
    #[error("another process holds {}: a node's directory belongs to one process at a time", .path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}{}", .path.display(), advice(.source))]
    Io {
        /// What was tried, as an infinitive.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: Error,
    },
    /// A file is not as it was written.
    #[error("{} is damaged: {why}. Restore the node's directory from a copy that was made after it last ran, or replace \
        the node by a new member", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file that must be there is not.
    #[error("{} is missing, though the node has run before: without it the node could take an incarnation twice. Restore it, \
        or replace the node by a new member", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The log must not be used.
    #[error("{}: {source}", .path.display())]
    Log {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: RecoverError,
    },
    /// More records in one batch than the log's format can hold.
    #[error(transparent)]
    TooLarge(#[from] BatchTooLarge),
    /// A write after one that failed.
    #[error("an earlier write to {} failed: what is on disk is not known before the node is started again", .path.display())]
    Failed {
        /// The directory.
        path: PathBuf,
    },
}

/// Says of a store's error which directory it is about.
pub(super) fn of(dir: &Path, why: StoreError<DiskError>) -> DiskError {
    match why {
        StoreError::Files(error) => error,
        StoreError::Damaged { name, why } => DiskError::Damaged { path: dir.join(name), why },
        StoreError::Missing { name } => DiskError::Missing { path: dir.join(name) },
        StoreError::Log(source) => DiskError::Log { path: dir.to_owned(), source },
        StoreError::TooLarge(error) => DiskError::TooLarge(error),
        StoreError::Failed => DiskError::Failed { path: dir.to_owned() },
    }
}

/// An error of the operating system.
pub(super) fn io(action: &'static str, path: &Path, source: Error) -> DiskError {
    DiskError::Io { action, path: path.to_owned(), source }
}

fn advice(source: &Error) -> &'static str {
    match source.kind() {
        ErrorKind::StorageFull => ". The disk is full: make room, then start the node again",
        ErrorKind::QuotaExceeded => ". The quota is used up: make room, then start the node again",
        _ => "",
    }
}
