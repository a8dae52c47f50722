//! 13 `torn-state`: a saved state lags the index that is saved with it.
//!
//! Mechanism: the applied index goes to disk with the state as it was before the last step that applied something. After
//! a restart from it, the slots between are taken for applied, and never are.
//!
//! Seen in: etcd 3.5, which could commit its consistent index ahead of the entry's own effects (etcd-io/etcd#13766; by
//! another way in #14685). There the next commit put it right; here a snapshot is the only commit there is, so it stays
//! torn until the next one.
//!
//! Exposed by: a crash and restart under load.
//!
//! A client sees: once that replica leads, writes are missing, and reads contradict earlier ones.

use super::{About, Bug, Mutant, Out};
use crate::core::{Config, Core, Input, Limits, Observation, Position, Snapshot, Time};
use crate::variants::multi_paxos::{Head, Message, MultiPaxos, Record};

/// The line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 13,
        name: "torn-state",
        mechanism: "saves the applied index with the state before the last step that applied something",
        seen_in: "etcd 3.5: etcd-io/etcd#13766, #14685",
        exposed_by: "a crash and restart under load",
        anomaly: "writes are missing once the replica leads",
        exempt_from_real: None,
    },
    make: |config| Box::new(TornState::new(config)),
};

#[derive(Debug)]
struct TornState {
    limits: Limits,
    /// The last slot applied, as far as it is known.
    applied: u64,
    /// The last slot that the newest snapshot covers.
    saved: u64,
}

impl TornState {
    fn new(config: &Config) -> Self {
        Self { limits: config.limits, applied: 0, saved: 0 }
    }

    /// Whether the next step may take a snapshot: the state before it is only encoded then. A step that applies more than
    /// a pipeline of slots, as in catching up, leaves a snapshot that is whole.
    fn is_near(&self) -> bool {
        let step = self.limits.pipeline as u64;
        self.applied.saturating_sub(self.saved) + step >= self.limits.snapshot_entries
    }
}

impl Bug<MultiPaxos> for TornState {
    fn recover(&mut self, snapshot: &mut Option<Snapshot>, _records: &mut Vec<(Position, Record)>) {
        if let Some(Ok((head, _))) = snapshot.as_ref().map(Head::split) {
            (self.applied, self.saved) = (head.slot.0, head.slot.0);
        }
    }

    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        let before = self.is_near().then(|| core.machine().encode());
        core.step(now, input, out);
        let mut installed = false;
        for observation in &out.observations {
            match *observation {
                Observation::Applied { slot, .. } => self.applied = slot,
                Observation::Snapshot { slot, installed: from_peer } => {
                    (self.applied, self.saved) = (slot, slot);
                    installed |= from_peer;
                }
                _ => {}
            }
        }
        // A peer's snapshot is saved as it came.
        if !installed
            && let Some(before) = before
            && let Some(saved) = &mut out.snapshot
            && let Ok((head, _)) = Head::split(&saved.snapshot)
        {
            saved.snapshot = head.join(&before);
        }
    }
}
