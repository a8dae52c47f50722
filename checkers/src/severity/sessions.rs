//! The four session guarantees of Terry, Demers, Petersen, Spreitzer, Theimer and Welch, "Session guarantees for weakly
//! consistent replicated data" (PDIS 1994), section 3, on one key. A session is a process.
//!
//! Only what is certain counts as a violation. With "surely older" as `history` defines it, for operations of one process
//! in the order in which it called them:
//! * **read your writes**: it wrote b, and later saw a version that is surely older.
//! * **monotonic reads**: it saw b, and later saw a version that is surely older.
//! * **monotonic writes**: it wrote a and later b, and yet b is surely older than a.
//! * **writes follow reads**: it saw a and later wrote b, and yet b is surely older than a.
//!
//! An operation that sees is a read or a cas that is not unexplained; one that writes is a write or a cas that counts. Each
//! later operation is counted once a guarantee, however many earlier ones it contradicts.
//!
//! Seen from outside, the last two are rarely violated for certain: writes of one process are in real-time order anyway, so only
//! a chain of cas can tell that they were applied in another. "No violation" is then no proof that a system
//! keeps the guarantee, and the report does not say so.
//!
//! O(n log n), most of it for sorting by process. An earlier operation with the greatest (call of its version's write)
//! contradicts if any does; in a chain of cas, one with the greatest place.

use super::history::{NONE, Versions};
use rustc_hash::FxHashMap;

/// The guarantees, in the order of [`NAMES`].
pub(super) const GUARANTEES: usize = 4;

/// Their names.
pub(super) const NAMES: [&str; GUARANTEES] =
    ["read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads"];

/// Violations of one guarantee: how many operations, and the first with the one that it contradicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Violations {
    pub(super) count: u64,
    pub(super) first: Option<Pair>,
}

/// An earlier operation of a process with its version, and a later one with a version that is surely older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) earlier: u32,
    pub(super) newer: u32,
    pub(super) later: u32,
    pub(super) older: u32,
}

/// Holds every process to the guarantees.
pub(super) fn measure(versions: &Versions<'_>, sessions: &[u32]) -> [Violations; GUARANTEES] {
    let mut found = [Violations::default(); GUARANTEES];
    let (mut saw, mut wrote) = (Newest::default(), Newest::default());
    let mut process = NONE;
    for &id in sessions {
        let record = &versions.records[id as usize];
        if record.process != process {
            process = record.process;
            (saw, wrote) = (Newest::default(), Newest::default());
        }
        let seen = record.sees().filter(|_| !versions.unexplained(record));
        if let Some(seen) = seen {
            note(&mut found[0], versions, wrote.contradicts(versions, seen), id, seen);
            note(&mut found[1], versions, saw.contradicts(versions, seen), id, seen);
        }
        if record.writes() {
            let written = record.value;
            note(&mut found[2], versions, wrote.contradicts(versions, written), id, written);
            note(&mut found[3], versions, saw.contradicts(versions, written), id, written);
            wrote.take(versions, id, written);
        }
        if let Some(seen) = seen {
            saw.take(versions, id, seen);
        }
    }
    found
}

fn note(
    violations: &mut Violations,
    versions: &Versions<'_>,
    earlier: Option<(u32, u32)>,
    later: u32,
    older: u32,
) {
    let Some((earlier, newer)) = earlier else { return };
    violations.count += 1;
    let finish = |id: u32| versions.records[id as usize].finish();
    if violations.first.is_none_or(|first| finish(later) < finish(first.later)) {
        violations.first = Some(Pair { earlier, newer, later, older });
    }
}

/// Of what a process saw or wrote so far: the newest by real time, and in every chain of cas.
#[derive(Default)]
struct Newest {
    /// Operation and version.
    by_time: Option<(u32, u32)>,
    by_chain: FxHashMap<u32, (u32, u32)>,
}

impl Newest {
    fn take(&mut self, versions: &Versions<'_>, id: u32, version: u32) {
        let new = versions.get(version);
        if self.by_time.is_none_or(|(_, newest)| versions.get(newest).begin < new.begin) {
            self.by_time = Some((id, version));
        }
        // A version that no cas made or left is alone in its chain: nothing there is older or newer.
        if new.chain == NONE || (new.place == 0 && new.leaving == NONE) {
            return;
        }
        let newest = self.by_chain.entry(new.chain).or_insert((id, version));
        if versions.get(newest.1).place < new.place {
            *newest = (id, version);
        }
    }

    /// An earlier operation whose version is surely newer than this one.
    fn contradicts(&self, versions: &Versions<'_>, version: u32) -> Option<(u32, u32)> {
        let chain = versions.get(version).chain;
        let newer = |&(_, newest): &(u32, u32)| versions.surely_older(version, newest);
        self.by_time.filter(newer).or_else(|| self.by_chain.get(&chain).copied().filter(newer))
    }
}
