//! 19 `sessions-not-in-snapshot`: a snapshot does not hold what the sessions have been answered.
//!
//! Mechanism: the answers that make a retry harmless are in memory only. Whoever installs a peer's snapshot, or restarts
//! from its own, still knows the sessions but not which of their requests it has applied, and applies a copy again. Other
//! replicas, which remember, do not.
//!
//! Seen in: no public report known to us. Ongaro's dissertation (2014), section 6.3, makes the sessions a part of the
//! replicated state for this reason.
//!
//! Exposed by: a client that retries after a restart, or at a follower that lagged and then leads.
//!
//! A client sees: a request takes effect twice.

use super::{About, Bug, Mutant, Out};
use crate::core::{Config, Core, Input, Limits, Observation, Time};
use crate::machine::Machine;
use crate::variants::multi_paxos::{Head, Message, MultiPaxos};

/// The line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 19,
        name: "sessions-not-in-snapshot",
        mechanism: "leaves the answers of sessions out of snapshots",
        seen_in: "no public report known to us; compare Ongaro's dissertation, section 6.3",
        exposed_by: "restarts, or a follower that lags, with clients that retry",
        anomaly: "a retried request takes effect twice",
        exempt_from_real: None,
    },
    make: |config| Box::new(SessionsNotInSnapshot::new(config)),
};

#[derive(Debug)]
struct SessionsNotInSnapshot {
    limits: Limits,
}

impl SessionsNotInSnapshot {
    fn new(config: &Config) -> Self {
        Self { limits: config.limits }
    }
}

impl Bug<MultiPaxos> for SessionsNotInSnapshot {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.step(now, input, out);
        let installs =
            |seen: &Observation| matches!(seen, Observation::Snapshot { installed: true, .. });
        if out.observations.iter().any(installs) {
            core.machine_mut().forget_replies();
        }
        if let Some(saved) = &mut out.snapshot
            && let Ok((head, state)) = Head::split(&saved.snapshot)
            && let Ok(mut machine) = Machine::decode(state, &self.limits)
        {
            machine.forget_replies();
            saved.snapshot = head.join(&machine.encode());
        }
    }
}
