//! The controller's own load: how late its timers fire, and how much processor time it takes. A controller that was
//! starved cannot convict on time, so this decides between invalid and unknown where a limit of time was missed.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the watch looks at the clock.
const PERIOD: Duration = Duration::from_millis(10);

/// A timer later than this counts as starvation: a tenth of the default limit on availability.
pub const LAG_LIMIT: Duration = Duration::from_millis(300);

/// A write of the history that took longer counts as a stall of the disk, which the nodes share.
pub const STALL_LIMIT: Duration = Duration::from_secs(1);

/// Measures, on a thread of its own, how late a timer fires: whatever delays it delays clients and faults too.
#[derive(Debug)]
pub struct LagWatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Since the last look.
    recent_ns: AtomicU64,
    total_max_ns: AtomicU64,
}

impl LagWatch {
    /// Begins to measure.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("lag".into()).spawn(move || {
            while !watched.stop.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(PERIOD);
                let lag = before.elapsed().saturating_sub(PERIOD);
                let lag_ns = u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX);
                watched.recent_ns.fetch_max(lag_ns, Ordering::Relaxed);
                watched.total_max_ns.fetch_max(lag_ns, Ordering::Relaxed);
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The worst since the last call.
    #[must_use]
    pub fn take_recent(&self) -> Duration {
        Duration::from_nanos(self.shared.recent_ns.swap(0, Ordering::Relaxed))
    }

    /// The worst of all.
    #[must_use]
    pub fn worst(&self) -> Duration {
        Duration::from_nanos(self.shared.total_max_ns.load(Ordering::Relaxed))
    }
}

impl Drop for LagWatch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic, and there is nothing to do about it here if it did.
            let _ended = thread.join();
        }
    }
}

/// The health of the harness in one run: `verdict.json` keeps it apart from the properties of the system.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Health {
    /// The latest that a timer of the controller fired, in ms.
    pub timer_lag_ms_max: u64,
    /// The longest that one write of the history took, in ms.
    pub history_write_ms_max: u64,
    /// Processor time of the controller while clients asked, in us.
    pub controller_cpu_us: u64,
    /// Resident memory of the controller at its highest, in bytes.
    pub controller_memory_bytes: u64,
    /// Whether the run was cut short, by Ctrl-C for example.
    pub cut_short: bool,
    /// When the run was stopped by a violation, in ns since its start: the last event that was judged by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by_violation_ns: Option<u64>,
    /// Arrivals of an open loop that found every client busy and no more clients allowed.
    pub arrivals_shed: u64,
    /// Operations that were not asked since no session could be opened in time.
    pub arrivals_without_session: u64,
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Requests for a session that failed and were repeated.
    pub session_requests_failed: u64,
    /// Clients started.
    pub clients_started: u64,
}

impl Health {
    /// Why this run cannot convict on time, if so.
    #[must_use]
    pub fn starved(&self) -> Option<String> {
        let over = |what: &str, ms: u64, limit: Duration| {
            let limit = limit.as_millis();
            (u128::from(ms) > limit).then(|| format!("{what} {ms} ms (limit {limit} ms)"))
        };
        let late = over("one of its timers was late by", self.timer_lag_ms_max, LAG_LIMIT);
        let stall = over("one write of the history took", self.history_write_ms_max, STALL_LIMIT);
        let why: Vec<String> = late.into_iter().chain(stall).collect();
        (!why.is_empty()).then(|| {
            let why = why.join(", and ");
            format!("the controller was starved: {why}, so limits of time cannot convict")
        })
    }
}

/// Processor time of this process so far.
#[must_use]
pub fn cpu_time() -> Duration {
    let Ok(usage) = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF) else {
        return Duration::ZERO;
    };
    let of = |time: nix::sys::time::TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
        Duration::from_micros(seconds * 1_000_000 + micros)
    };
    of(usage.user_time()) + of(usage.system_time())
}

/// Resident memory of this process at its highest, in bytes; 0 where the system does not say. Not from `getrusage`, whose
/// figure outlives `exec`: it would be that of the `cargo` which started this program.
#[must_use]
pub fn memory_max_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    high_water_mark(&status).unwrap_or(0)
}

/// The line `VmHWM:  1234 kB` of `/proc/self/status`.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Raises the limit on open files as far as it goes, for the nodes too. Hundreds of clients that each keep a connection to
/// every node do not fit into the usual 1024, and a controller out of files looks like nodes that refuse connections.
///
/// # Errors
/// If the kernel refuses.
pub fn allow_open_files() -> nix::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_timer_or_a_stalled_disk_is_starvation() {
        let starved = |timer_lag_ms_max, history_write_ms_max| {
            let health = Health { timer_lag_ms_max, history_write_ms_max, ..Health::default() };
            health.starved().is_some()
        };
        assert!(!starved(300, 1_000));
        assert!(starved(301, 0));
        assert!(starved(0, 1_001));
    }
}
