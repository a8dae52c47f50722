//! Which seeds are executed; and several of them at once, told one after the other.
//!
//! Invariant: results are told in the order of the seeds, without a gap, so that what is made of them does not depend on
//! the number of threads nor on how they are scheduled. What was begun beyond the last told seed is dropped.

use super::keep_to_this_thread;
use crate::exit::Failure;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Seeds that are executed when none are named.
pub const DEFAULT: Seeds = Seeds { from: 0, to: Some(1_000), until_failure: false };

/// A thread that is so many seeds ahead of the slowest one waits for it: what waits to be told stays bounded.
const AHEAD_MAX: u64 = 4_096;

/// A range of seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The first.
    pub from: u64,
    /// The one after the last; `None` for ever.
    pub to: Option<u64>,
    /// Whether the first that is convicted is the last.
    pub until_failure: bool,
}

impl Seeds {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.to.map(|to| to - self.from)
    }
}

impl FromStr for Seeds {
    type Err = String;

    /// Reads `A..B` or `A..`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a range of seeds such as 0..1000 or 500..");
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        let from = from.parse().map_err(|_| wrong())?;
        let to = match to {
            "" => None,
            to => Some(to.parse().map_err(|_| wrong())?),
        };
        if to.is_some_and(|to| to <= from) {
            return Err(format!("`{text}` holds no seed: the end is not part of a range"));
        }
        Ok(Self { from, to, until_failure: false })
    }
}

struct State<T, E> {
    /// The next seed to execute.
    next: u64,
    /// The next seed to tell.
    told: u64,
    waiting: BTreeMap<u64, T>,
    over: bool,
    each: E,
}

/// Does `work` for each seed on `jobs` threads, and shows the results to `each` in the order of seeds until it breaks, or
/// `stop` says so: then what is under way is still told.
pub(super) fn in_order<T: Send>(
    seeds: &Seeds,
    jobs: usize,
    stop: &(dyn Fn() -> bool + Sync),
    work: &(dyn Fn(u64) -> Result<T, Failure> + Sync),
    each: impl FnMut(u64, Result<T, Failure>) -> ControlFlow<()> + Send,
) {
    let state =
        State { next: seeds.from, told: seeds.from, waiting: BTreeMap::new(), over: false, each };
    let (state, moved) = (Mutex::new(state), Condvar::new());
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let take = || {
        let too_far = |state: &mut State<_, _>| !state.over && state.next - state.told >= AHEAD_MAX;
        let waited = moved.wait_while(lock(), too_far);
        let mut state: MutexGuard<'_, State<_, _>> = waited.unwrap_or_else(PoisonError::into_inner);
        if state.over || seeds.to == Some(state.next) || stop() {
            return None;
        }
        state.next += 1;
        Some(state.next - 1)
    };
    let give = |seed, result| {
        let state = &mut *lock();
        state.waiting.insert(seed, result);
        while !state.over
            && let Some(result) = state.waiting.remove(&state.told)
        {
            state.over = (state.each)(state.told, result).is_break();
            state.told += 1;
        }
        moved.notify_all();
    };
    let worker = || {
        let ready = keep_to_this_thread();
        let mut broken = ready.err();
        while let Some(seed) = take() {
            match broken.take() {
                None => give(seed, work(seed)),
                Some(failure) => return give(seed, Err(failure)),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(worker);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    fn seeds(text: &str) -> Seeds {
        text.parse().expect("a range")
    }

    #[test]
    fn ranges_are_half_open() {
        assert_eq!(seeds("0..1000"), DEFAULT);
        assert_eq!(seeds("7..8").count(), Some(1));
        assert_eq!(seeds("7..").count(), None);
        for wrong in ["", "7", "..", "..7", "7..7", "8..7", "a..b", "-1..3", "1..=3"] {
            assert!(wrong.parse::<Seeds>().is_err(), "{wrong:?} should be refused");
        }
    }

    #[test]
    fn results_are_told_in_order_and_none_after_a_break() {
        for jobs in [1, 2, 5] {
            let mut told = Vec::new();
            let work = |seed: u64| Ok(seed * seed);
            in_order(&seeds("3..400"), jobs, &|| false, &work, |seed, result| {
                told.push((seed, result.expect("no failure")));
                if seed == 99 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let expected: Vec<(u64, u64)> = (3..=99).map(|seed| (seed, seed * seed)).collect();
            assert_eq!(told, expected, "{jobs} jobs");
        }
    }

    #[test]
    fn what_is_under_way_at_a_stop_is_told_without_a_gap() {
        let (stopped, begun) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut told = Vec::new();
        let work = |seed| {
            begun.fetch_add(1, Ordering::SeqCst);
            stopped.fetch_or(seed == 50, Ordering::SeqCst);
            Ok(())
        };
        in_order(&seeds("0.."), 3, &|| stopped.load(Ordering::SeqCst), &work, |seed, _result| {
            told.push(seed);
            ControlFlow::Continue(())
        });
        let begun = begun.load(Ordering::SeqCst);
        assert!(begun > 50);
        assert_eq!(told, (0..begun).collect::<Vec<u64>>());
    }
}
