//! Group commit: which records go to disk together, and which effects wait for them.
//!
//! While one batch is being written, whatever the core appends gathers in the next one, so that the number of syncs
//! follows the disk's speed and not the number of requests (DeWitt et al., "Implementation Techniques for Main Memory
//! Database Systems", 1984, section 5.2).
//!
//! Invariants:
//! * at most one batch is with the disk; batches go there in the order in which they were gathered;
//! * an effect is held until the batch that was the newest one at its step, and so every earlier one, is durable;
//! * held effects come out in the order in which they went in;
//! * an effect goes in and out at once exactly if nothing is being gathered or written.
//!
//! Absent on purpose: waiting for more records before a batch is handed over. Under load the sync that is under way makes
//! the next batch wait anyhow; without load waiting would only cost latency.

use crate::core::{Claim, SaveSnapshot};
use std::collections::VecDeque;

/// What is made durable together: the records first, then the snapshot.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    /// Encoded records, in order.
    pub records: Vec<Vec<u8>>,
    /// What each of the records says, for whoever watches; the disk has no use for it.
    pub claims: Vec<Claim>,
    /// The newest snapshot that was asked for.
    pub snapshot: Option<SaveSnapshot>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.snapshot.is_none()
    }
}

/// Gathers batches and holds effects of type `E`.
#[derive(Debug)]
pub(crate) struct GroupCommit<E> {
    gathered: Batch,
    /// Bytes of the records in it.
    gathered_bytes: usize,
    /// How many batches were handed over. The batch being gathered has this number, the first one number 0.
    handed: u64,
    /// How many of them are durable: `handed` or one less.
    durable: u64,
    /// Effects, each with the number of batches that have to be durable before it. The numbers never fall.
    held: VecDeque<(u64, E)>,
}

impl<E> GroupCommit<E> {
    /// Nothing gathered, nothing written, nothing held.
    pub(crate) fn new() -> Self {
        Self {
            gathered: Batch::default(),
            gathered_bytes: 0,
            handed: 0,
            durable: 0,
            held: VecDeque::new(),
        }
    }

    /// Takes in a record of the current step.
    pub(crate) fn append(&mut self, record: Vec<u8>, claim: Claim) {
        self.gathered_bytes += record.len();
        self.gathered.records.push(record);
        self.gathered.claims.push(claim);
    }

    /// Takes in a snapshot of the current step. It replaces one that waits in the same batch: it covers more.
    pub(crate) fn save(&mut self, snapshot: SaveSnapshot) {
        self.gathered.snapshot = Some(snapshot);
    }

    /// Takes in an effect of the current step, after the step's records and snapshot. Gives it back if it need not wait.
    pub(crate) fn hold(&mut self, effect: E) -> Option<E> {
        let needed = self.handed + u64::from(!self.gathered.is_empty());
        if needed == self.durable {
            debug_assert!(self.held.is_empty(), "what is durable was released");
            return Some(effect);
        }
        self.held.push_back((needed, effect));
        None
    }

    /// The batch to write now, if there is one and none is being written.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        if self.handed > self.durable || self.gathered.is_empty() {
            return None;
        }
        self.handed += 1;
        self.gathered_bytes = 0;
        Some(std::mem::take(&mut self.gathered))
    }

    /// Bytes of the records that wait to be handed over. They grow while a disk stalls and the core is still stepped: its
    /// host bounds them by giving it no more inputs.
    pub(crate) fn gathered_bytes(&self) -> usize {
        self.gathered_bytes
    }

    /// The batch that was handed over is durable: [`GroupCommit::release`] gives what waited for it.
    pub(crate) fn written(&mut self) {
        assert!(self.durable < self.handed, "a batch became durable that was never handed over");
        self.durable += 1;
    }

    /// The next effect that need not wait any longer.
    pub(crate) fn release(&mut self) -> Option<E> {
        let (needed, _) = self.held.front()?;
        if *needed > self.durable {
            return None;
        }
        self.held.pop_front().map(|(_, effect)| effect)
    }

    /// Effects that wait.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Position, Snapshot};

    const NONE: [u32; 0] = [];

    fn released(commit: &mut GroupCommit<u32>) -> Vec<u32> {
        std::iter::from_fn(|| commit.release()).collect()
    }

    #[test]
    fn what_waits_to_be_handed_over_is_counted() {
        let mut commit = GroupCommit::<u32>::new();
        commit.append(vec![1; 10], Claim::Nothing);
        commit.append(vec![1; 5], Claim::Nothing);
        assert_eq!(commit.gathered_bytes(), 15);
        commit.next_batch().expect("gathered");
        assert_eq!(commit.gathered_bytes(), 0);
        commit.append(vec![1; 3], Claim::Nothing);
        assert_eq!(commit.gathered_bytes(), 3, "beside the batch with the disk");
    }

    #[test]
    fn an_effect_with_nothing_before_it_goes_at_once() {
        let mut commit = GroupCommit::new();
        assert_eq!(commit.hold(1), Some(1));
        assert_eq!(commit.next_batch(), None);
    }

    #[test]
    fn an_effect_waits_for_the_records_of_its_own_step() {
        let mut commit = GroupCommit::new();
        commit.append(vec![1], Claim::Nothing);
        assert_eq!(commit.hold(1), None);
        assert_eq!(released(&mut commit), NONE);
        assert_eq!(commit.next_batch().expect("gathered").records, [[1]]);
        assert_eq!(released(&mut commit), NONE);
        commit.written();
        assert_eq!(released(&mut commit), [1]);
        assert_eq!(commit.held(), 0);
    }

    #[test]
    fn an_effect_waits_for_records_of_earlier_steps_also_while_they_are_written() {
        let mut commit = GroupCommit::new();
        commit.append(vec![1], Claim::Nothing);
        commit.next_batch().expect("gathered");
        assert_eq!(commit.hold(1), None, "batch 0 is with the disk");
        commit.append(vec![2], Claim::Nothing);
        assert_eq!(commit.hold(2), None, "batch 1 is being gathered");
        commit.written();
        assert_eq!(released(&mut commit), [1]);
        assert_eq!(commit.hold(3), None, "nothing overtakes what is held");
        assert_eq!(commit.next_batch().expect("gathered").records, [[2]]);
        commit.written();
        assert_eq!(released(&mut commit), [2, 3]);
        assert_eq!(commit.hold(4), Some(4));
    }

    #[test]
    fn what_gathers_during_a_write_becomes_one_batch() {
        let mut commit = GroupCommit::new();
        commit.append(vec![0], Claim::Nothing);
        commit.next_batch().expect("gathered");
        for record in 1..=100 {
            commit.append(vec![record], Claim::Promised { ballot: u64::from(record) });
            assert_eq!(commit.hold(u32::from(record)), None);
            assert_eq!(commit.next_batch(), None, "one batch at a time");
        }
        commit.written();
        let batch = commit.next_batch().expect("gathered");
        assert_eq!(batch.records, (1..=100).map(|record| vec![record]).collect::<Vec<_>>());
        let claims: Vec<_> = (1..=100).map(|ballot| Claim::Promised { ballot }).collect();
        assert_eq!(batch.claims, claims, "one a record, in the same order");
        assert_eq!(released(&mut commit), NONE);
        commit.written();
        assert_eq!(released(&mut commit), (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn a_snapshot_alone_holds_effects_and_the_newest_one_counts() {
        let save = |position| SaveSnapshot {
            snapshot: Snapshot { data: vec![] },
            keep_from: Position(position),
        };
        let mut commit = GroupCommit::new();
        commit.save(save(1));
        assert_eq!(commit.hold(1), None);
        commit.save(save(2));
        assert_eq!(commit.next_batch().expect("gathered").snapshot, Some(save(2)));
        commit.written();
        assert_eq!(released(&mut commit), [1]);
    }

    #[test]
    #[should_panic(expected = "never handed over")]
    fn durability_out_of_nothing_is_a_bug() {
        GroupCommit::<u32>::new().written();
    }
}
