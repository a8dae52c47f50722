//! 1 `lazy-fsync`: what is acknowledged is flushed later.
//!
//! Mechanism: the log is written to the page cache, and flushed every 250 ms. Here the records stay in memory for that
//! time, which stands for the page cache: killing the process loses them, as a power cut would. Everything that should
//! wait for them leaves at once, and the core takes its records for durable.
//!
//! Seen in: NATS JetStream 2.12.1, which flushes every two minutes by default (jepsen.io/analyses/nats-2.12.1,
//! nats-io/nats-server#7564). The interval is shorter here, so that what is lost is not everything.
//!
//! Exposed by: a power cut, or kills, of a majority within the interval.
//!
//! A client sees: acknowledged writes are lost.

use super::ahead::Ahead;
use super::{About, Bug, Mutant, Out};
use crate::core::{Input, Position, Snapshot, Time};
use crate::variants::multi_paxos::{Message, MultiPaxos, Record};
use std::time::Duration;

/// The line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 1,
        name: "lazy-fsync",
        mechanism: "acknowledges what it has written to the page cache, and flushes every 250 ms",
        seen_in: "NATS JetStream 2.12.1: jepsen.io/analyses/nats-2.12.1, nats-io/nats-server#7564",
        exposed_by: "a power cut, or kills, of a majority",
        anomaly: "acknowledged writes are lost",
        exempt_from_real: None,
    },
    make: |_| Box::new(LazyFsync::default()),
};

const INTERVAL: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
struct LazyFsync {
    ahead: Ahead,
    /// Records that the host has not been given yet.
    cached: Vec<Record>,
    /// When it will be; `None` while there are none.
    flush_at: Option<Time>,
}

impl Bug<MultiPaxos> for LazyFsync {
    fn recover(&mut self, snapshot: &mut Option<Snapshot>, records: &mut Vec<(Position, Record)>) {
        self.ahead.recover(snapshot.as_ref(), records);
    }

    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        self.ahead.step(core, now, input, out);
        out.at_once.append(&mut out.when_durable);
        self.cached.append(&mut out.records);
        if !self.cached.is_empty() {
            self.flush_at.get_or_insert(now.after(INTERVAL));
        }
        // A snapshot replaces records up to what the core takes for durable, so these have to be there.
        if out.snapshot.is_some() || self.flush_at.is_some_and(|at| at <= now) {
            out.records.append(&mut self.cached);
            self.flush_at = None;
        }
        // The core asks to be woken in every step: what it asked for before need not be kept.
        out.wake_at = out.wake_at.into_iter().chain(self.flush_at).min();
    }
}
