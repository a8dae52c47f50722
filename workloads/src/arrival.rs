//! When operations are meant to start, and who carries them out.
//!
//! * Closed loop: a process asks again as soon as it is answered. No times are needed.
//! * Open loop: operations start at times of their own, whatever became of those before ([`Arrivals`]), which is
//!   what keeps coordinated omission out of latencies. Their number up to time t is R(t), the integral of the rate,
//!   which may change evenly from one value to another (a ramp). `constant` starts operation n when R reaches n;
//!   `poisson` when R reaches a sum of n exponential steps of mean 1 (a Poisson process by time change: Lewis and
//!   Shedler, "Simulation of Nonhomogeneous Poisson Processes by Thinning", 1979, section 1).
//! * An arrival takes a free process, or a new one up to a cap; beyond it, it is shed and counted ([`Admission`]).
//!
//! All of it in integers: R in units of 2^-32 operations, the logarithm by repeated squaring.

use crate::draw::{Draw, STREAM_ARRIVALS};
use crate::params::{MANY, take_between, take_duration};
use std::collections::BTreeSet;
use tribunal_spec::{Entry, Spec, SpecError};

/// One operation, in the unit of R.
const ONE: u64 = 1 << 32;

/// How operations arrive, for the registry.
pub const ARRIVALS: &[Entry] = &[
    Entry {
        name: "closed",
        summary: "Each process asks again as soon as it is answered.",
        params: &[],
    },
    Entry {
        name: "constant",
        summary: "Open loop: operations start at even distances.",
        params: RATE_PARAMS,
    },
    Entry {
        name: "poisson",
        summary: "Open loop: operations start independently of each other.",
        params: RATE_PARAMS,
    },
];

const RATE_PARAMS: &[(&str, &str)] = &[
    ("rate=1000", "operations a second at the start, 1 or more"),
    ("to=rate", "operations a second at the end of the ramp and from then on"),
    ("ramp=10s", "how long the rate changes evenly from the one to the other"),
];

/// How operations arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Closed loop.
    Closed,
    /// Open loop.
    Open {
        /// How fast.
        rate: Rate,
        /// Independently of each other, or at even distances.
        poisson: bool,
    },
}

/// A rate that changes evenly for a while, then stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Operations a second at the start; not 0.
    pub from_per_s: u32,
    /// Operations a second after the ramp; not 0.
    pub to_per_s: u32,
    /// How long the ramp is, in ns; not 0.
    pub ramp_ns: u64,
}

impl Rate {
    /// A rate that never changes.
    #[must_use]
    pub fn constant(per_s: u32) -> Self {
        Self { from_per_s: per_s, to_per_s: per_s, ramp_ns: 1 }
    }

    /// How many operations are meant to have started by `time`, in units of 2^-32.
    fn started_by(&self, time: u64) -> u128 {
        let ramp = u128::from(self.ramp_ns);
        let (from, to) = (u128::from(self.from_per_s), u128::from(self.to_per_s));
        let time = u128::from(time);
        let in_ramp = time.min(ramp);
        // The integral of the rate over the ramp so far, in operations a second times ns: an average of both rates,
        // the second one weighted with how far the ramp has come.
        let risen = in_ramp * in_ramp / ramp;
        let weighted = from * (2 * in_ramp - risen) + to * risen;
        (weighted * u128::from(ONE) / 2 + to * (time - in_ramp) * u128::from(ONE)) / 1_000_000_000
    }
}

/// Builds what `spec` names; `max` is closed, a number a constant rate.
///
/// # Errors
/// An unknown name or parameter, or a value that does not fit.
pub fn arrival(spec: &Spec) -> Result<Arrival, SpecError> {
    if let Some(rate) = spec.name.parse().ok().filter(|rate| (1..=MANY).contains(rate)) {
        spec.params().finish()?;
        return Ok(Arrival::Open { rate: Rate::constant(rate), poisson: false });
    }
    let name = if spec.name == "max" { "closed" } else { &spec.name };
    let entry = tribunal_spec::find("arrival", name, ARRIVALS, |entry| entry)?;
    let mut params = spec.params();
    if entry.name == "closed" {
        params.finish()?;
        return Ok(Arrival::Closed);
    }
    let from_per_s = take_between(&mut params, "rate", 1000, (1, MANY))?;
    let to_per_s = take_between(&mut params, "to", from_per_s, (1, MANY))?;
    let ramp_ns = take_duration(&mut params, "ramp", 10_000_000_000)?;
    params.finish()?;
    let rate = Rate { from_per_s, to_per_s, ramp_ns };
    Ok(Arrival::Open { rate, poisson: entry.name == "poisson" })
}

/// The intended start times of an open loop, in ns, without end. They never fall.
#[derive(Clone, Debug)]
pub struct Arrivals {
    rate: Rate,
    /// Where the steps come from, if they are random.
    draw: Option<Draw>,
    /// R at the last arrival.
    started: u128,
    time: u64,
}

impl Arrivals {
    /// The times of `rate`, of the random stream that `seed` names if they are `poisson`.
    #[must_use]
    pub fn new(rate: Rate, poisson: bool, seed: u64) -> Self {
        Self { rate, draw: poisson.then(|| Draw::new(seed, STREAM_ARRIVALS)), started: 0, time: 0 }
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    /// The earliest time by which R has reached the next arrival. O(log of the distance).
    fn next(&mut self) -> Option<u64> {
        self.started += u128::from(self.draw.as_mut().map_or(ONE, exponential));
        let mut distance = 1;
        while self.rate.started_by(self.time.checked_add(distance)?) < self.started {
            distance = distance.checked_mul(2)?;
        }
        let (mut low, mut high) = (self.time, self.time + distance);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.rate.started_by(middle) < self.started {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.time = low;
        Some(low)
    }
}

/// A draw of the exponential distribution of mean 1, in units of 2^-32: -ln of a uniform number.
fn exponential(draw: &mut Draw) -> u64 {
    /// ln 2, in units of 2^-32.
    const LN_2: u128 = 2_977_044_472;
    // Uniform in (0, 1] as bits / 2^64; -log2 of it is 64 - log2(bits).
    let bits = draw.bits().max(1);
    let log2 = (u128::from(64_u32) << 32) - u128::from(log2(bits));
    u64::try_from((log2 * LN_2) >> 32).expect("at most 64 ln 2 in units of 2^-32")
}

/// log2 of a number that is not 0, in units of 2^-32, rounded down. One bit a squaring: C. S. Turner, "A Fast Binary
/// Logarithm Algorithm", IEEE Signal Processing Magazine 27(5), 2010.
fn log2(number: u64) -> u64 {
    let whole = number.ilog2();
    // In [1, 2), with 63 bits after the point.
    let mut mantissa = u128::from(number << (63 - whole));
    let mut log = u64::from(whole);
    for _ in 0..32 {
        mantissa = (mantissa * mantissa) >> 63;
        let bit = mantissa >> 64;
        mantissa >>= bit;
        log = (log << 1) | u64::from(bit == 1);
    }
    log
}

/// What becomes of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// This thread, which was free, takes it.
    Free(u32),
    /// A new thread takes it.
    Started(u32),
    /// All are busy, and there may be no more of them.
    Shed,
}

/// Threads of an open loop: which are free, how many there are.
#[derive(Clone, Debug)]
pub struct Threads {
    started: u32,
    cap: u32,
    free: BTreeSet<u32>,
    shed: u64,
}

impl Threads {
    /// `started` threads, all free, which may become `cap` and always at least `started`.
    #[must_use]
    pub fn new(started: u32, cap: u32) -> Self {
        Self { started, cap: cap.max(started), free: (0..started).collect(), shed: 0 }
    }

    /// Finds a thread for an arrival: the lowest free one, so that a slow rate keeps few threads busy.
    pub fn arrive(&mut self) -> Admission {
        if let Some(thread) = self.free.pop_first() {
            return Admission::Free(thread);
        }
        if self.started < self.cap {
            self.started += 1;
            return Admission::Started(self.started - 1);
        }
        self.shed += 1;
        Admission::Shed
    }

    /// A thread has ended its operation.
    pub fn freed(&mut self, thread: u32) {
        debug_assert!(thread < self.started, "only a thread that was started can be freed");
        self.free.insert(thread);
    }

    /// Threads started so far.
    #[must_use]
    pub fn started(&self) -> u32 {
        self.started
    }

    /// Arrivals that found no thread.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.shed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Arrival, SpecError> {
        arrival(&Spec::parse(text).expect("a spec"))
    }

    #[test]
    fn a_constant_rate_keeps_even_distances() {
        let times: Vec<u64> = Arrivals::new(Rate::constant(3), false, 0).take(4).collect();
        assert_eq!(times, [333_333_334, 666_666_667, 1_000_000_000, 1_333_333_334]);
        let last = Arrivals::new(Rate::constant(12_345), false, 0).nth(123_449);
        assert_eq!(last, Some(10_000_000_000), "no error adds up");
    }

    #[test]
    fn a_ramp_has_the_mean_of_both_rates() {
        let rate = Rate { from_per_s: 100, to_per_s: 300, ramp_ns: 10_000_000_000 };
        let times: Vec<u64> = Arrivals::new(rate, false, 0).take(2300).collect();
        let before = |seconds: u64| times.partition_point(|&time| time <= seconds * 1_000_000_000);
        // 100 t + 10 t^2 in the ramp, and 300 a second after it.
        assert_eq!([before(1), before(5), before(10), before(11)], [110, 750, 2000, 2300]);
        let down = Rate { from_per_s: 300, to_per_s: 100, ramp_ns: 10_000_000_000 };
        let times: Vec<u64> = Arrivals::new(down, false, 0).take(2100).collect();
        let before = |seconds: u64| times.partition_point(|&time| time <= seconds * 1_000_000_000);
        assert_eq!([before(1), before(5), before(10), before(11)], [290, 1250, 2000, 2100]);
    }

    #[test]
    fn poisson_counts_have_a_variance_equal_to_their_mean() {
        let mut counts = vec![0_u64; 1000];
        for time in Arrivals::new(Rate::constant(1000), true, 5) {
            match counts.get_mut(usize::try_from(time / 20_000_000).expect("small")) {
                Some(count) => *count += 1,
                None => break,
            }
        }
        let mean = counts.iter().sum::<u64>() as f64 / 1000.0;
        let squares = counts.iter().map(|&count| (count as f64 - mean) * (count as f64 - mean));
        let variance = squares.sum::<f64>() / 999.0;
        // Four standard errors: sqrt(20 / 1000) of the mean, about 20 sqrt(2 / 1000) of the variance.
        assert!((mean - 20.0).abs() < 0.6 && (variance - 20.0).abs() < 3.6, "{mean} {variance}");
    }

    #[test]
    fn exponential_steps_have_their_mean_and_tail() {
        let mut draw = Draw::new(9, 0);
        let steps: Vec<u64> = (0..100_000).map(|_| exponential(&mut draw)).collect();
        let mean = steps.iter().sum::<u64>() as f64 / 100_000.0 / ONE as f64;
        // e^-1 and e^-3.
        let beyond = |units: u64| steps.iter().filter(|&&step| step > units * ONE).count();
        assert!((mean - 1.0).abs() < 0.013, "{mean}");
        assert!(beyond(1).abs_diff(36_788) < 620 && beyond(3).abs_diff(4_979) < 280);
    }

    #[test]
    fn logarithms_are_right_to_the_last_bits() {
        assert_eq!(log2(1), 0);
        assert_eq!(log2(1 << 40), 40 << 32);
        // log2 3 is 6,807,362,105.98 in units of 2^-32.
        assert_eq!(log2(3), 6_807_362_105);
        assert_eq!(log2(u64::MAX), (64 << 32) - 1);
    }

    #[test]
    fn times_never_fall_and_a_seed_repeats() {
        let rate = Rate { from_per_s: 10, to_per_s: 100_000, ramp_ns: 1_000_000_000 };
        let times: Vec<u64> = Arrivals::new(rate, true, 3).take(20_000).collect();
        assert!(times.is_sorted());
        assert!(Arrivals::new(rate, true, 3).take(20_000).eq(times.iter().copied()));
        assert!(!Arrivals::new(rate, true, 4).take(20_000).eq(times.iter().copied()));
    }

    #[test]
    fn arrivals_are_read_from_specs() {
        let constant = |per_s| Arrival::Open { rate: Rate::constant(per_s), poisson: false };
        assert_eq!(parse("max"), Ok(Arrival::Closed));
        assert_eq!(parse("closed"), Ok(Arrival::Closed));
        assert_eq!(parse("500"), Ok(constant(500)));
        let rate = Rate { from_per_s: 10, to_per_s: 50, ramp_ns: 5_000_000_000 };
        assert_eq!(
            parse("poisson:rate=10,to=50,ramp=5s"),
            Ok(Arrival::Open { rate, poisson: true })
        );
        for bad in ["0", "poison", "max:rate=1", "500:to=600", "constant:rate=0", "poisson:ramp=5"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn threads_grow_to_the_cap_and_then_arrivals_are_shed() {
        let mut threads = Threads::new(1, 2);
        assert_eq!(threads.arrive(), Admission::Free(0));
        assert_eq!(threads.arrive(), Admission::Started(1));
        assert_eq!((threads.arrive(), threads.shed()), (Admission::Shed, 1));
        threads.freed(1);
        threads.freed(0);
        assert_eq!(threads.arrive(), Admission::Free(0));
        assert_eq!((threads.started(), threads.shed()), (2, 1));
    }
}
