//! How stale the reads were: delta-atomicity.
//!
//! Golab, Li and Shah, "Analyzing consistency properties for fun and profit" (PODC 2011), section 3: the smallest delta such
//! that the history is atomic once every read's call is moved back by delta. Zones are those of Gibbons and Korach, "Testing
//! Shared Memories" (1997): a version's write and reads stand together in every order, so with `e` the earliest end and
//! `s` the latest call among them, the history is atomic exactly if no two versions have `e(A) < s(B)` and
//! `e(B) < s(A)` and no read ends before its write is called (the latter is left out here: no delta would help).
//!
//! Moving reads back lowers `s` only, down to the call of the write at most, so the property is monotone in delta, and a
//! binary search over whole nanoseconds finds the smallest: O(n log n) for sorting by `e`, which delta does not change, and
//! one pass for each of at most 64 steps. Some delta always helps: if two versions were in conflict by the calls of
//! their writes alone, each write would have been called before the other, since no `e` lies before its own write's call.
//!
//! Times that are equal are told apart by the order of the events, so that delta is 0 exactly for atomic histories.
//!
//! Exact for reads and writes. A cas is taken as a read (that may be moved) and a write (that may not), without holding
//! them together: each order of the whole gives one of the parts, so the result is then a lower bound.

use super::history::{NIL, Versions};

/// A moment: the clock, then the order of events. May lie before the start, once moved back.
type Moment = (i128, u64);

const START: Moment = (i128::MIN, 0);

/// A version's zone, with what moves and what does not.
#[derive(Clone, Copy, Debug)]
struct Zone {
    first_end: Moment,
    write_call: Moment,
    last_read_call: Moment,
}

impl Zone {
    fn last_call(&self, delta_ns: i128) -> Moment {
        let (time, index) = self.last_read_call;
        self.write_call.max((time.saturating_sub(delta_ns), index))
    }
}

/// The smallest delta, in nanoseconds; 0 if the reads that can be explained are atomic (as reads and writes).
pub(super) fn smallest_ns(versions: &Versions<'_>) -> u64 {
    let mut zones = zones(versions);
    zones.sort_unstable_by_key(|zone| zone.first_end);
    if atomic(&zones, 0) {
        return 0;
    }
    let (mut too_small, mut enough) = (0_u64, u64::MAX);
    while enough - too_small > 1 {
        let middle = too_small + (enough - too_small) / 2;
        if atomic(&zones, i128::from(middle)) { enough = middle } else { too_small = middle }
    }
    enough
}

fn zones(versions: &Versions<'_>) -> Vec<Zone> {
    let empty = Zone { first_end: (i128::MAX, 0), write_call: START, last_read_call: START };
    let mut zones = vec![empty; versions.all.len()];
    zones[NIL as usize].first_end = START;
    for record in versions.records.iter().filter(|record| versions.counts(record)) {
        let call = (i128::from(record.call_ns), record.begin());
        let end = match record.crashed() {
            true => (i128::MAX, u64::MAX),
            false => (i128::from(record.end_ns), record.finish()),
        };
        if let Some(seen) = record.sees().filter(|_| !versions.unexplained(record)) {
            let zone = &mut zones[seen as usize];
            zone.last_read_call = zone.last_read_call.max(call);
            zone.first_end = zone.first_end.min(end);
        }
        if record.writes() {
            let zone = &mut zones[record.value as usize];
            zone.write_call = call;
            zone.first_end = zone.first_end.min(end);
        }
    }
    zones
}

/// Whether no two zones are in conflict; they are sorted by their first end. O(n log n).
///
/// Of the zones with `e < s`, neighbours suffice: what ends between two that overlap overlaps the first. A zone with
/// `s <= e` can only lie in the last such zone that ends before its `s`. The engine for registers tells why at length.
fn atomic(zones: &[Zone], delta_ns: i128) -> bool {
    let mut forward: Vec<(Moment, Moment)> = Vec::new();
    for zone in zones {
        let last_call = zone.last_call(delta_ns);
        if zone.first_end < last_call {
            if forward.last().is_some_and(|&(_, before)| zone.first_end < before) {
                return false;
            }
            forward.push((zone.first_end, last_call));
        }
    }
    zones.iter().all(|zone| {
        let last_call = zone.last_call(delta_ns);
        let earlier = forward.partition_point(|&(first_end, _)| first_end < last_call);
        let around = earlier.checked_sub(1).map(|last| forward[last]);
        zone.first_end < last_call
            || around.is_none_or(|(_, around_last)| zone.first_end >= around_last)
    })
}
