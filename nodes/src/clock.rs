//! The node's monotonic clock: nanoseconds since its process began to host the core.
//!
//! Invariant: time never falls and is never 0, which some cores take for "never". Absent on purpose: the time of day,
//! and any relation to another node's clock.

use std::time::Duration;
use tokio::time::Instant;
use tribunal_protocol::Time;

/// A clock that starts just above 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// When it was 0.
    zero: Instant,
}

impl Clock {
    /// Begins to run.
    pub(crate) fn start() -> Self {
        Self { zero: Instant::now() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Time {
        Time(1).after(self.zero.elapsed())
    }

    /// When [`Clock::now`] will have reached `time`. The end of time is far enough away to never come.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        self.zero + time.since(Time(0)).min(YEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_never_zero_and_never_falls() {
        let clock = Clock::start();
        let times: Vec<_> = (0..1000).map(|_| clock.now()).collect();
        assert!(times[0] > Time(0) && times.is_sorted());
    }

    #[test]
    fn at_its_instant_a_time_has_come() {
        let clock = Clock::start();
        let now = clock.now();
        assert!(clock.instant(now) <= Instant::now());
        assert!(clock.instant(Time(u64::MAX)) > Instant::now());
    }
}
