//! 12 `snapshot-drops-newer`: installing a peer's snapshot drops what was accepted above it.
//!
//! Mechanism: the snapshot is taken for the whole truth. Acceptances above its last slot, which the leader may have
//! counted, go with those below: from memory, from the snapshot that is saved, and, after a restart, from the log.
//!
//! Seen in: Zeebe, whose follower truncated its log when it received a snapshot that was behind it
//! (camunda/camunda#6092).
//!
//! Exposed by: a follower that lags enough to be sent a snapshot, accepts new slots meanwhile, and then has to speak for
//! them because the leader fails.
//!
//! A client sees: an acknowledged write is lost.

use super::{About, Bug, Mutant, Out, nothing};
use crate::core::{Core, Input, Observation, Position, Role, Snapshot, Time};
use crate::variants::multi_paxos::{Head, Message, MultiPaxos, Record};

/// The line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 12,
        name: "snapshot-drops-newer",
        mechanism: "drops what it has accepted above a snapshot that it installs",
        seen_in: "Zeebe: camunda/camunda#6092",
        exposed_by: "a partition long enough for a snapshot to be sent, and a crash of the leader right after it",
        anomaly: "an acknowledged write is lost",
        exempt_from_real: None,
    },
    make: |_| Box::new(SnapshotDropsNewer),
};

#[derive(Debug)]
struct SnapshotDropsNewer;

impl Bug<MultiPaxos> for SnapshotDropsNewer {
    fn recover(&mut self, _snapshot: &mut Option<Snapshot>, records: &mut Vec<(Position, Record)>) {
        let mut installed = None;
        for (_, record) in records.iter_mut().rev() {
            match record {
                Record::Installed(slot) => installed = installed.max(Some(*slot)),
                Record::Accepted(proposal) if installed.is_some_and(|at| proposal.slot > at) => {
                    *record = nothing();
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.step(now, input, out);
        let installs =
            |seen: &Observation| matches!(seen, Observation::Snapshot { installed: true, .. });
        // A candidate that waited for the snapshot may lead now, and holds its own proposals.
        if !out.observations.iter().any(installs) || core.role() == Role::Leader {
            return;
        }
        core.forget_accepted();
        if let Some(saved) = &mut out.snapshot
            && let Ok((head, state)) = Head::split(&saved.snapshot)
        {
            saved.snapshot = Head { accepted: Vec::new(), ..head }.join(state);
        }
    }
}
