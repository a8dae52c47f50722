//! When fast rounds pay: the leader leaves them while collisions are frequent.
//!
//! A collision costs the loser another attempt and everybody a recovery, so that under load from several nodes a classic
//! round, in which the leader puts everything in one order, is faster. The leader counts the slots of its fast rounds and
//! those that it had to recover. If more than a quarter needed recovery it goes back to classic rounds for
//! [`Pace::slow_down`]'s time, which doubles each time, and shrinks again with calm slots.

use crate::core::Time;
use std::time::Duration;

/// Counts of collisions, and for how long fast rounds pause because of them.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Slots of fast rounds that were decided lately.
    slots: u32,
    /// How many of these the leader had to recover.
    collisions: u32,
    /// How often fast rounds were crowded, less how often they were calm for long.
    penalty: u32,
    /// No fast round is opened before.
    classic_until: Time,
}

/// Slots after which the counts are halved, so that they tell of the recent ones.
const RECENT: u32 = 64;

/// Collisions below which nothing is concluded.
const FEW: u32 = 4;

/// Pauses double up to this power of two.
const MAX_PENALTY: u32 = 6;

impl Pace {
    /// A slot of a fast round is decided.
    pub(super) fn decided(&mut self) {
        self.slots += 1;
        if self.slots >= RECENT {
            if !self.is_crowded() {
                self.penalty = self.penalty.saturating_sub(1);
            }
            self.slots /= 2;
            self.collisions /= 2;
        }
    }

    /// A slot of a fast round had to be recovered.
    pub(super) fn collided(&mut self) {
        self.collisions += 1;
    }

    /// Whether collisions are so frequent that classic rounds are better.
    pub(super) fn is_crowded(&self) -> bool {
        self.collisions >= FEW && self.collisions * 4 > self.slots
    }

    /// Fast rounds were crowded: the next one waits longer than the last.
    pub(super) fn slow_down(&mut self, now: Time, unit: Duration) {
        self.penalty = (self.penalty + 1).min(MAX_PENALTY);
        self.classic_until = now.after(unit * (1 << self.penalty));
        (self.slots, self.collisions) = (0, 0);
    }

    /// A fast round had to be left for another reason.
    pub(super) fn pause(&mut self, now: Time, unit: Duration) {
        self.classic_until = self.classic_until.max(now.after(unit));
        (self.slots, self.collisions) = (0, 0);
    }

    /// Whether a fast round may be opened.
    pub(super) fn allows_fast(&self, now: Time) -> bool {
        now >= self.classic_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Duration = Duration::from_millis(100);

    #[test]
    fn pauses_double_while_fast_rounds_are_crowded_and_shrink_when_they_are_calm() {
        let mut pace = Pace::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            (0..FEW).for_each(|_| pace.collided());
            assert!(pace.is_crowded());
            pace.slow_down(Time(0), UNIT);
            assert!(!pace.is_crowded());
            let open = |units: &u32| pace.allows_fast(Time(0).after(UNIT * *units));
            pauses.push((0..=64).find(open).expect("bounded"));
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 64, 64]);
        (0..RECENT).for_each(|_| pace.decided());
        assert_eq!(pace.penalty, MAX_PENALTY - 1);
    }

    #[test]
    fn few_collisions_among_many_slots_are_no_crowd() {
        let mut pace = Pace::default();
        for slot in 0..1_000 {
            pace.decided();
            if slot % 8 == 0 {
                pace.collided();
            }
            assert!(slot < 40 || !pace.is_crowded(), "slot {slot}");
        }
    }
}
