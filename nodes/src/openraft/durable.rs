//! The disk's thread: makes whatever waits durable as one batch, and tells those who wait.
//!
//! Invariant: a job is reported once, after [`Disk::write`] returned. After a failed write the thread ends.

use super::Types;
use crate::config::NodeError;
use crate::disk::Disk;
use crate::metrics::Metrics;
use openraft::storage::LogFlushed;
use std::io;
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;
use tribunal_protocol::core::SaveSnapshot;

/// Bytes of records that are gathered for one batch; a single job may have more.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// What is to be made durable.
pub(super) struct Job {
    pub(super) records: Vec<Vec<u8>>,
    /// Comes after the records. Ends a batch.
    pub(super) snapshot: Option<SaveSnapshot>,
    pub(super) done: Done,
}

/// Who waits for it.
pub(super) enum Done {
    Nobody,
    Log(LogFlushed<Types>),
    Waiter(oneshot::Sender<io::Result<()>>),
}

impl Done {
    fn tell(self, result: io::Result<()>) {
        match self {
            Self::Nobody => {}
            Self::Log(flushed) => flushed.log_io_completed(result),
            // Whoever has gone does not miss it.
            Self::Waiter(waiter) => drop(waiter.send(result)),
        }
    }
}

/// Starts the thread, which ends with the last sender of jobs. `failed` is told why if it ends earlier.
pub(super) fn start(
    mut disk: Disk,
    jobs: mpsc::Receiver<Job>,
    metrics: Arc<Metrics>,
    failed: oneshot::Sender<NodeError>,
) -> Result<(), NodeError> {
    let write_all = move || {
        while let Ok(first) = jobs.recv() {
            let Batch { records, snapshot, waiting } = Batch::gather(first, &jobs);
            let written = disk.write(&records, snapshot.as_ref());
            metrics.disk(&disk.stats());
            let error = written.err();
            for done in waiting {
                let result =
                    error.as_ref().map_or(Ok(()), |why| Err(io::Error::other(why.to_string())));
                done.tell(result);
            }
            if let Some(error) = error {
                // The other end is only gone when the node ends.
                drop(failed.send(NodeError::Write(error)));
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("disk".to_owned()).spawn(write_all);
    thread.map(drop).map_err(|source| NodeError::System { what: "start the disk's thread", source })
}

struct Batch {
    records: Vec<Vec<u8>>,
    snapshot: Option<SaveSnapshot>,
    waiting: Vec<Done>,
}

impl Batch {
    /// The first job, and what waits behind it.
    fn gather(first: Job, jobs: &mpsc::Receiver<Job>) -> Self {
        let mut batch = Self { records: Vec::new(), snapshot: None, waiting: Vec::new() };
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(Job { records, snapshot, done }) = next {
            bytes += records.iter().map(Vec::len).sum::<usize>();
            batch.records.extend(records);
            batch.snapshot = snapshot;
            batch.waiting.push(done);
            let full = batch.snapshot.is_some() || bytes >= BATCH_BYTES_MAX;
            next = if full { None } else { jobs.try_recv().ok() };
        }
        batch
    }
}
