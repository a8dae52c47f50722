//! The clients of a run: threads of the workload, each one process at a time, on a few threads of the machine that have
//! a runtime and an HTTP client of their own (measured faster than one that is shared).
//!
//! * [`asker`]: one client, from a request to its recorded end.
//! * [`worker`]: the clients of one of the machine's threads, in a closed or an open loop.
//! * [`aftermath`]: probes and final reads, after everything was healed.
//!
//! A client is a state machine of `tribunal-workloads`; here is only what surrounds it: time, the wire, the recorder.

pub mod aftermath;
pub mod asker;
pub mod worker;

pub use asker::{Asker, Choice};
pub use worker::Worker;

use crate::clock::Clock;
use crate::cluster::ClientGate;
use crate::plan::Plan;
use crate::recorder::Recorder;
use crate::systems::System;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinError;
use tribunal_workloads::arrival::Arrival;
use tribunal_workloads::{Balancer, Workload};

/// Between two tries of something that failed at once, such as opening a session while there is no leader.
const PAUSE: Duration = Duration::from_millis(20);

/// What all clients of a run share.
pub struct Shared {
    /// The plan.
    pub plan: Plan,
    /// The run's clock.
    pub clock: Clock,
    /// Where events go.
    pub recorder: Recorder,
    /// The system under test.
    pub system: Arc<dyn System>,
    /// What is asked.
    pub workload: Box<dyn Workload>,
    /// How operations arrive.
    pub arrival: Arrival,
    /// Which node gets an operation.
    pub balancer: Mutex<Balancer>,
    /// The links between clients and nodes.
    pub gate: Arc<ClientGate>,
    /// Each node's address for clients; node 1 first.
    pub addresses: Vec<SocketAddr>,
    /// What is counted beside the history.
    pub counters: Counters,
    /// Ends the asking.
    pub stop: Stop,
}

/// What is counted beside the history: nothing is dropped silently.
#[derive(Debug, Default)]
pub struct Counters {
    /// Arrivals that found every client busy and no more clients allowed.
    pub shed: AtomicU64,
    /// Arrivals that could not be asked since no session could be opened in time.
    pub without_session: AtomicU64,
    /// Sessions opened.
    pub sessions: AtomicU64,
    /// Requests for a session that failed and were repeated.
    pub sessions_failed: AtomicU64,
    /// Clients that were started.
    pub clients: AtomicU64,
}

/// A flag that can be awaited.
#[derive(Debug, Default)]
pub struct Stop {
    flag: AtomicBool,
    notify: Notify,
}

impl Stop {
    /// Raises it.
    pub fn raise(&self) {
        self.flag.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    /// Whether it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// Waits until it is raised.
    pub async fn raised(&self) {
        loop {
            let notified = self.notify.notified();
            if self.is_raised() {
                return;
            }
            notified.await;
        }
    }
}

impl Shared {
    /// Nothing has been asked yet.
    #[expect(clippy::too_many_arguments, reason = "each is a part of a run that is made elsewhere")]
    #[must_use]
    pub fn new(
        plan: Plan,
        clock: Clock,
        recorder: Recorder,
        system: Arc<dyn System>,
        workload: Box<dyn Workload>,
        arrival: Arrival,
        balancer: Balancer,
        gate: Arc<ClientGate>,
        addresses: Vec<SocketAddr>,
    ) -> Self {
        Self {
            plan,
            clock,
            recorder,
            system,
            workload,
            arrival,
            balancer: Mutex::new(balancer),
            gate,
            addresses,
            counters: Counters::default(),
            stop: Stop::default(),
        }
    }

    /// The balancer, for a moment.
    pub fn balancer(&self) -> MutexGuard<'_, Balancer> {
        self.balancer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self, node: u32) -> SocketAddr {
        self.addresses[node as usize - 1]
    }
}

/// Clients that read everything at the end.
const READERS: u32 = 8;

/// How far the next process of a client lies from the one before: one lane for each client, for the probe of each node,
/// and for each reader at the end.
#[must_use]
pub fn stride(plan: &Plan) -> u64 {
    u64::from(plan.clients_max) + u64::from(plan.nodes) + u64::from(READERS)
}

/// An HTTP client that repeats nothing by itself: a silently repeated write falsifies a history.
///
/// # Errors
/// If it cannot be made.
pub fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(usize::MAX)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
}

/// What a task of ours answered. A panic in it goes on here, so that no client is missing silently.
fn own<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(answer) => answer,
        // Nothing aborts these tasks while somebody waits for them.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
