//! Which keys a thread works on.
//!
//! Threads form groups, and no key has clients of two groups: this bounds how many processes work on a key at a time,
//! and with it what an exhaustive checker has to try. Some keys of a group last through the whole run, so that a
//! stale read of something old is seen; the others pass: each *epoch* (of a fixed length) has new ones, so that
//! first writes happen all the time and the history of one key stays short.

use crate::draw::Draw;
use std::fmt;
use tribunal_history::Value;

/// A key of the system under test. Ordered by kind, group, epoch and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// One that lasts: `g0.1`.
    Lasting {
        /// The group of threads that works on it.
        group: u32,
        /// Its number in the group.
        number: u32,
    },
    /// One of an epoch: `g0.e12.1`.
    Passing {
        /// The group of threads that works on it.
        group: u32,
        /// The epoch.
        epoch: u64,
        /// Its number in the group and epoch.
        number: u32,
    },
    /// The one of the probes: `probe`.
    Probe,
}

impl Key {
    /// As it stands in a history.
    #[must_use]
    pub fn value(&self) -> Value {
        Value::Text(self.to_string().into())
    }

    /// Whether it may be asked for in `epoch`.
    fn lives_in(&self, epoch: u64) -> bool {
        match self {
            Self::Passing { epoch: own, .. } => *own == epoch,
            Self::Lasting { .. } | Self::Probe => true,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lasting { group, number } => write!(f, "g{group}.{number}"),
            Self::Passing { group, epoch, number } => write!(f, "g{group}.e{epoch}.{number}"),
            Self::Probe => f.write_str("probe"),
        }
    }
}

/// Divides `threads` into the fewest groups of at most `processes`, of sizes that differ by at most one.
/// Neighbours share a group, so that the few clients of a slow open loop meet on the same keys.
#[must_use]
pub fn group_of(thread: u32, threads: u32, processes: u32) -> u32 {
    let groups = threads.div_ceil(processes.max(1)).max(1);
    let group = u64::from(thread) * u64::from(groups) / u64::from(threads.max(1));
    u32::try_from(group).expect("fewer groups than threads")
}

/// The keys of one group over time.
#[derive(Clone, Copy, Debug)]
pub struct KeySpace {
    /// The group.
    pub group: u32,
    /// Keys that last.
    pub lasting: u32,
    /// Keys of each epoch. At least one key in all.
    pub passing: u32,
    /// How long an epoch is, in ns; not 0.
    pub epoch_ns: u64,
}

impl KeySpace {
    /// The epoch at `now`.
    #[must_use]
    pub fn epoch(&self, now: u64) -> u64 {
        now / self.epoch_ns.max(1)
    }

    /// Any key that may be asked for at `now`, each with the same chance.
    pub fn pick(&self, now: u64, draw: &mut Draw) -> Key {
        let nth = draw.below_u32(self.lasting + self.passing);
        match nth.checked_sub(self.lasting) {
            None => Key::Lasting { group: self.group, number: nth },
            Some(number) => Key::Passing { group: self.group, epoch: self.epoch(now), number },
        }
    }

    /// Whether `key` may still be asked for at `now`.
    #[must_use]
    pub fn lives(&self, key: &Key, now: u64) -> bool {
        key.lives_in(self.epoch(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn groups_are_even_and_bounded() {
        for threads in 1..70 {
            for processes in 1..12 {
                let mut sizes = BTreeMap::new();
                for thread in 0..threads {
                    *sizes.entry(group_of(thread, threads, processes)).or_insert(0_u32) += 1;
                }
                let (min, max) = (sizes.values().min().unwrap(), sizes.values().max().unwrap());
                assert!(*max <= processes && max - min <= 1, "{threads}/{processes}: {sizes:?}");
            }
        }
    }

    #[test]
    fn every_living_key_comes_up_and_no_other() {
        let space = KeySpace { group: 1, lasting: 2, passing: 2, epoch_ns: 10 };
        let mut draw = Draw::new(1, 0);
        let seen: BTreeSet<String> =
            (0..200).map(|_| space.pick(35, &mut draw).to_string()).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["g1.0", "g1.1", "g1.e3.0", "g1.e3.1"]);
    }

    #[test]
    fn a_passing_key_lives_for_one_epoch() {
        let space = KeySpace { group: 0, lasting: 0, passing: 1, epoch_ns: 10 };
        let key = space.pick(39, &mut Draw::new(1, 0));
        assert!(space.lives(&key, 30) && !space.lives(&key, 40));
        assert!(space.lives(&Key::Lasting { group: 0, number: 0 }, 40));
    }
}
