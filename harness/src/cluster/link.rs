//! The switch of one directed link, and the counters that show what a cut did to it.
//!
//! A link has one state at a time; whoever overlaps cuts decides which (see `faults::holds`).

use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use tribunal_nemesis::CutMode;

/// One directed link: between two nodes, or between the clients and a node.
#[derive(Debug)]
pub struct Link {
    state: watch::Sender<Option<CutMode>>,
    pub(super) counts: Counts,
}

/// What a link carried and what it did not, since the run began. On a link of clients, the unit of `bytes_*` and
/// `connections` is the request or answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Bytes passed on.
    pub bytes_forwarded: u64,
    /// Bytes that a cut held back, for a while or for ever.
    pub bytes_held: u64,
    /// Of those, bytes that were never passed on, since an end of the connection was gone or was reset.
    pub bytes_dropped: u64,
    /// Connections made.
    pub connections: u64,
    /// Connections that a silent cut left hanging at their start.
    pub connections_stalled: u64,
    /// Connections that a cut reset.
    pub connections_reset: u64,
    /// Connections refused since the destination refused them.
    pub connections_refused: u64,
    /// How many connections are held back right now, with or without bytes.
    pub holding_now: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) bytes_forwarded: AtomicU64,
    pub(super) bytes_held: AtomicU64,
    pub(super) bytes_dropped: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) connections_stalled: AtomicU64,
    pub(super) connections_reset: AtomicU64,
    pub(super) connections_refused: AtomicU64,
    holding_now: AtomicU64,
}

impl Link {
    pub(super) fn new() -> Self {
        Self { state: watch::Sender::new(None), counts: Counts::default() }
    }

    /// Cuts the link, changes how it is cut, or heals it (`None`).
    pub fn set(&self, state: Option<CutMode>) {
        self.state.send_if_modified(|current| std::mem::replace(current, state) != state);
    }

    /// How the link is cut, if it is.
    #[must_use]
    pub fn state(&self) -> Option<CutMode> {
        *self.state.borrow()
    }

    /// What it has carried so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        Counters {
            bytes_forwarded: read(&counts.bytes_forwarded),
            bytes_held: read(&counts.bytes_held),
            bytes_dropped: read(&counts.bytes_dropped),
            connections: read(&counts.connections),
            connections_stalled: read(&counts.connections_stalled),
            connections_reset: read(&counts.connections_reset),
            connections_refused: read(&counts.connections_refused),
            holding_now: read(&counts.holding_now),
        }
    }

    /// Waits until the link's state is one of which `wanted` holds, and answers it.
    pub(super) async fn until(&self, wanted: impl Fn(Option<CutMode>) -> bool) -> Option<CutMode> {
        let mut state = self.state.subscribe();
        match state.wait_for(|state| wanted(*state)).await {
            Ok(state) => *state,
            // `self` owns the sender, so that it cannot be closed while this waits.
            Err(_) => unreachable!("the link outlives those who wait for it"),
        }
    }

    /// Counts one connection as held back until the answer is dropped.
    pub(super) fn holding(&self) -> Holding<'_> {
        self.counts.holding_now.fetch_add(1, Ordering::Relaxed);
        Holding(self)
    }
}

/// Something is held back.
pub(super) struct Holding<'a>(&'a Link);

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.counts.holding_now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}
