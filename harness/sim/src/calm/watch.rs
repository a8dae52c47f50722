//! When to ask, and what came of it: the background traffic is left out by comparing with nodes that nobody asked.

use super::group::{Group, UNIT_NS};
use super::{CalmError, nanos};
use std::collections::BTreeMap;
use std::time::Duration;
use tribunal_protocol::Core;

/// How many heartbeats are watched: before, to see the rhythm of the background; after, at first and altogether.
const RHYTHM: u32 = 10;
const WATCHED: [u32; 2] = [8, 13];

/// A pause of the background traffic, and pauses that follow it.
pub(super) struct Pause {
    /// Shortly after it began.
    pub(super) begin_ns: u64,
    /// In the middle of later ones: a heartbeat that comes as much later as the operation took has come.
    pub(super) ends_ns: [u64; 2],
}

impl Pause {
    /// Watches the nodes for some heartbeats, and finds the longest pause between those times of a heartbeat at which
    /// anything was done.
    pub(super) fn find<C: Core>(group: &mut Group<C>) -> Result<Self, CalmError> {
        let heartbeat_ns = nanos(group.timing.heartbeat);
        let since_ns = group.now_ns;
        group.run_until(since_ns + heartbeat_ns * u64::from(RHYTHM));
        let watched = group.deeds.iter().filter(|deed| deed.at_ns >= since_ns);
        let mut phases: Vec<u64> = watched.map(|deed| deed.at_ns % heartbeat_ns).collect();
        phases.sort_unstable();
        phases.dedup();
        let first_ns = phases.first().copied().unwrap_or(0);
        phases.push(first_ns + heartbeat_ns);
        let pauses = phases.windows(2).map(|pair| (pair[1] - pair[0], pair[0]));
        let (long_ns, phase_ns) = pauses.max().unwrap_or((heartbeat_ns, 0));
        // A quarter of a heartbeat is far more than an operation takes, also if it visits all nodes in turn.
        if long_ns < heartbeat_ns / 4 {
            return Err(CalmError::NoPause(Duration::from_nanos(long_ns)));
        }
        // The next one, when what was sent last has arrived; and beside the rhythm of timers, so that an answer for
        // which a timer was waited is no number of message delays later.
        let to_phase_ns = (heartbeat_ns + phase_ns - group.now_ns % heartbeat_ns) % heartbeat_ns;
        let begin_ns = group.now_ns + to_phase_ns + 2 * UNIT_NS + UNIT_NS / 2;
        let end_ns =
            |heartbeats: u32| begin_ns + long_ns / 2 + heartbeat_ns * u64::from(heartbeats);
        Ok(Self { begin_ns, ends_ns: WATCHED.map(end_ns) })
    }
}

/// What was done since the operation, counted by kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// What followed from it.
    pub(super) caused: BTreeMap<&'static str, u64>,
    /// Of the rest, how much more there is with the operation than without it; no zeros.
    pub(super) difference: BTreeMap<&'static str, i64>,
}

impl Count {
    pub(super) fn of<C: Core>(with: &Group<C>, without: &Group<C>, since_ns: u64) -> Self {
        let mut count = Self { caused: BTreeMap::new(), difference: BTreeMap::new() };
        for deed in with.deeds.iter().filter(|deed| deed.at_ns >= since_ns) {
            if deed.caused {
                *count.caused.entry(deed.kind).or_default() += 1;
            } else {
                *count.difference.entry(deed.kind).or_default() += 1;
            }
        }
        for deed in without.deeds.iter().filter(|deed| deed.at_ns >= since_ns) {
            *count.difference.entry(deed.kind).or_default() -= 1;
        }
        count.difference.retain(|_, by| *by != 0);
        count
    }
}
