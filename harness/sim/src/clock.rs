//! A node's own monotonic clock, as a function of virtual time: it may run fast or slow and jump forward, never back.
//!
//! Piecewise linear in whole nanoseconds, so it is the same on every machine.

/// One node's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// At this virtual time, until which it stands ...
    since_ns: u64,
    /// ... the clock showed this.
    local_ns: u64,
    /// Nanoseconds of the clock in a hundred of virtual time; never 0.
    percent: u64,
}

impl Clock {
    /// A clock that shows `offset_ns` at virtual time 0 and runs true.
    pub(crate) fn new(offset_ns: u64) -> Self {
        Self { since_ns: 0, local_ns: offset_ns, percent: 100 }
    }

    /// What it shows at virtual time `now_ns`.
    pub(crate) fn local(&self, now_ns: u64) -> u64 {
        self.local_ns + now_ns.saturating_sub(self.since_ns) * self.percent / 100
    }

    /// The first virtual time at which it shows `local_ns` or more; the present if it does already.
    pub(crate) fn when(&self, now_ns: u64, local_ns: u64) -> u64 {
        let ahead = local_ns.saturating_sub(self.local_ns);
        if ahead == 0 {
            return now_ns;
        }
        let after = ahead.saturating_mul(100).div_ceil(self.percent);
        self.since_ns.saturating_add(after).max(now_ns)
    }

    /// The clock of a machine that has just been switched on.
    pub(crate) fn began(now_ns: u64, local_ns: u64) -> Self {
        Self { since_ns: now_ns, local_ns, percent: 100 }
    }

    /// From `now_ns` on it runs at `percent` of true time; from when it stands no longer, if it stands.
    pub(crate) fn run_at(&mut self, now_ns: u64, percent: u32) {
        if self.since_ns > now_ns {
            self.percent = u64::from(percent).max(1);
            return;
        }
        *self = Self {
            since_ns: now_ns,
            local_ns: self.local(now_ns),
            percent: u64::from(percent).max(1),
        };
    }

    /// It stands from `now_ns` on, for as long.
    pub(crate) fn stand(&mut self, now_ns: u64, for_ns: u64) {
        self.local_ns = self.local(now_ns);
        self.since_ns = self.since_ns.max(now_ns) + for_ns;
    }

    /// It jumps forward.
    pub(crate) fn jump(&mut self, by_ns: u64) {
        self.local_ns = self.local_ns.saturating_add(by_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever it is asked for, it is reached by then and not before.
    fn assert_awaited(clock: &Clock, now: u64) {
        let shown = clock.local(now);
        for local in [shown + 1, shown + 17, shown + 1_000] {
            let when = clock.when(now, local);
            assert!(clock.local(when) >= local, "{local} at {when}");
            assert!(clock.local(when - 1) < local, "not before {when}");
        }
        assert_eq!(clock.when(now, shown), now, "what it shows already is awaited no longer");
    }

    #[test]
    fn it_never_falls_and_is_awaited_exactly() {
        let mut clock = Clock::new(1_000);
        let mut last = 0;
        for (now, percent) in [(10, 33), (57, 200), (60, 100), (999, 77)] {
            assert!(clock.local(now) >= last);
            clock.run_at(now, percent);
            clock.jump(5);
            last = clock.local(now);
            assert_awaited(&clock, now);
        }
    }

    #[test]
    fn it_stands_for_a_while() {
        let mut clock = Clock::new(0);
        clock.jump(50);
        clock.stand(100, 50);
        assert_eq!([100, 149, 150, 151].map(|now| clock.local(now)), [150, 150, 150, 151]);
        assert_awaited(&clock, 100);
    }
}
