//! The disk's thread: takes one batch at a time, makes it durable, and says so.
//!
//! Invariant: a batch is reported exactly once, after [`Disk::write`] returned. After a failed write the thread ends, for the
//! disk must not be touched again.
//!
//! Absent on purpose: a queue. At most one batch is here, the next one gathers at the core.

use crate::config::NodeError;
use crate::disk::{Disk, DiskError, DiskStats};
use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use tokio::sync::mpsc;
use tribunal_protocol::Position;
use tribunal_protocol::commit::Batch;

/// A batch is durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    /// Every record below this is.
    pub(crate) position: Position,
    /// What was written so far.
    pub(crate) stats: DiskStats,
}

/// The core's end of the disk's thread.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` once it ends.
    batches: Option<blocking::SyncSender<Batch>>,
    written: mpsc::Receiver<Result<Written, DiskError>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread that owns `disk`.
    pub(crate) fn start(disk: Disk) -> Result<Self, NodeError> {
        let (batches, to_write) = blocking::sync_channel(1);
        let (report, written) = mpsc::channel(1);
        let thread = std::thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || write_all(disk, &to_write, &report))
            .map_err(|source| NodeError::System { what: "start the disk's thread", source })?;
        Ok(Self { batches: Some(batches), written, thread: Some(thread) })
    }

    /// Hands over a batch. The one before must have been reported.
    pub(crate) fn write(&self, batch: Batch) {
        // If the thread has ended, `written` tells why.
        let handed = self.batches.as_ref().map(|batches| batches.try_send(batch));
        let full = matches!(handed, Some(Err(blocking::TrySendError::Full(_))));
        assert!(!full, "at most one batch is with the disk");
    }

    /// Waits for the batch that was handed over. Safe to cancel.
    pub(crate) async fn written(&mut self) -> Result<Written, NodeError> {
        match self.written.recv().await {
            Some(written) => written.map_err(NodeError::Write),
            None => Err(NodeError::Ended("the disk's thread")),
        }
    }

    /// The report of the batch that was handed over, if it is there already.
    pub(crate) fn try_written(&mut self) -> Option<Result<Written, NodeError>> {
        self.written.try_recv().ok().map(|written| written.map_err(NodeError::Write))
    }
}

impl Drop for Writer {
    /// Waits for a write that is under way, so that the folder is free when the node has ended.
    fn drop(&mut self) {
        self.batches = None;
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the disk's thread panicked: {panic:?}");
        }
    }
}

fn write_all(
    mut disk: Disk,
    batches: &blocking::Receiver<Batch>,
    report: &mpsc::Sender<Result<Written, DiskError>>,
) {
    while let Ok(batch) = batches.recv() {
        let written = disk.write(&batch.records, batch.snapshot.as_ref());
        let written = written.map(|position| Written { position, stats: disk.stats() });
        let failed = written.is_err();
        // The other end is only gone when the node ends.
        if report.blocking_send(written).is_err() || failed {
            return;
        }
    }
}
