//! Isolation levels, and which of them an anomaly rules out.
//!
//! Source: Adya, "Weak Consistency" (1999), chapters 3 and 4 (PL-1, PL-2, PL-2.99, PL-3, PL-SI); Elle, section 3 (process and
//! real-time forms); Cerone and Gotsman, "Analysing Snapshot Isolation" (2016), for non-adjacent anti-dependencies.
//!
//! Absent: cursor stability, monotonic views and predicates. A level that is not ruled out *may* hold, no more.

use super::cycles::{Class, Cycle, Family};
use super::graph::{RW, WW};
use std::fmt;

/// An isolation level, from weak to strong. The order of the names is not the order of strength: see [`Level::implied`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// PL-1: no dirty writes.
    ReadUncommitted,
    /// PL-2: nothing aborted, intermediate or circular is read.
    ReadCommitted,
    /// Transactions are seen whole or not at all.
    ReadAtomic,
    /// Read atomic, and what happened before in a session or was read is seen.
    Causal,
    /// PL-2.99: serializable, were it not for predicates.
    RepeatableRead,
    /// Generalized snapshot isolation.
    SnapshotIsolation,
    /// Snapshot isolation in the order of each session.
    StrongSessionSnapshotIsolation,
    /// Snapshot isolation in the order of real time.
    StrongSnapshotIsolation,
    /// PL-3: as if one after the other.
    Serializable,
    /// Serializable in the order of each session.
    StrongSessionSerializable,
    /// Serializable in the order of real time.
    #[default]
    StrictSerializable,
}

use Level::{
    Causal, ReadAtomic, ReadCommitted, ReadUncommitted, RepeatableRead, Serializable,
    SnapshotIsolation, StrictSerializable, StrongSessionSerializable,
    StrongSessionSnapshotIsolation, StrongSnapshotIsolation,
};

impl Level {
    /// All of them.
    pub const ALL: [Self; 11] = [
        ReadUncommitted,
        ReadCommitted,
        ReadAtomic,
        Causal,
        RepeatableRead,
        SnapshotIsolation,
        StrongSessionSnapshotIsolation,
        StrongSnapshotIsolation,
        Serializable,
        StrongSessionSerializable,
        StrictSerializable,
    ];

    /// Its name, as in `strict-serializable`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ReadUncommitted => "read-uncommitted",
            ReadCommitted => "read-committed",
            ReadAtomic => "read-atomic",
            Causal => "causal",
            RepeatableRead => "repeatable-read",
            SnapshotIsolation => "snapshot-isolation",
            StrongSessionSnapshotIsolation => "strong-session-snapshot-isolation",
            StrongSnapshotIsolation => "strong-snapshot-isolation",
            Serializable => "serializable",
            StrongSessionSerializable => "strong-session-serializable",
            StrictSerializable => "strict-serializable",
        }
    }

    /// The level of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// The next weaker levels: what holds if this one does.
    #[must_use]
    pub fn implied(self) -> &'static [Self] {
        match self {
            ReadUncommitted => &[],
            ReadCommitted => &[ReadUncommitted],
            ReadAtomic | RepeatableRead => &[ReadCommitted],
            Causal | SnapshotIsolation => &[ReadAtomic],
            StrongSessionSnapshotIsolation => &[SnapshotIsolation, Causal],
            StrongSnapshotIsolation => &[StrongSessionSnapshotIsolation],
            Serializable => &[SnapshotIsolation, RepeatableRead],
            StrongSessionSerializable => &[Serializable, StrongSessionSnapshotIsolation],
            StrictSerializable => &[StrongSessionSerializable, StrongSnapshotIsolation],
        }
    }

    /// Whether this level holds only where `weaker` does.
    #[must_use]
    pub fn implies(self, weaker: Self) -> bool {
        self == weaker || self.implied().iter().any(|level| level.implies(weaker))
    }

    /// Whether to be without any anomaly that this level rules out is to be at this level, for lists.
    pub(super) fn decided(self) -> bool {
        matches!(self, Serializable | StrongSessionSerializable | StrictSerializable)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The weakest levels that forbid an anomaly which is no cycle.
pub(super) fn forbid(anomaly: &str) -> &'static [Level] {
    match anomaly {
        // Adya's histories have a total order of versions, and every version a writer.
        "duplicate-elements" | "unwritten-read" => &[ReadUncommitted],
        "internal" => &[ReadAtomic, RepeatableRead],
        // The order of a register's versions is inferred: see `inferred`.
        "lost-update" | "cyclic-versions" => &[SnapshotIsolation, RepeatableRead],
        _ => &[ReadCommitted],
    }
}

/// The weakest levels that forbid a cycle.
///
/// `observed`: the order of versions was read, not inferred from what only snapshots and stronger levels promise.
pub(super) fn forbid_cycle(cycle: &Cycle, observed: bool) -> &'static [Level] {
    let orders = cycle.steps.iter().any(|step| step.kind & (WW | RW) != 0);
    if orders && !observed {
        return inferred(cycle);
    }
    // What has happened before and was read, but for one anti-dependency, which misses it.
    let causal = cycle.steps.iter().all(|step| step.kind & WW == 0);
    let fractured = causal && cycle.steps.len() == 2;
    match (cycle.class, cycle.family) {
        (Class::G0, Family::Plain) => &[ReadUncommitted],
        (Class::G1c, Family::Plain) => &[ReadCommitted],
        (Class::G0 | Class::G1c, Family::Process) => &[Causal],
        (Class::Single, Family::Plain) if fractured => &[ReadAtomic, RepeatableRead],
        (Class::Single, Family::Plain) if causal => &[Causal, SnapshotIsolation, RepeatableRead],
        (Class::Single, Family::Process) if causal => &[Causal],
        _ => inferred(cycle),
    }
}

/// As [`forbid_cycle`], by what levels from snapshots on promise.
fn inferred(cycle: &Cycle) -> &'static [Level] {
    match (cycle.class, cycle.family) {
        (Class::Skew, Family::Plain) => &[RepeatableRead],
        (Class::Skew, Family::Process) => &[StrongSessionSerializable],
        (Class::Skew, Family::RealTime) => &[StrictSerializable],
        (_, Family::Plain) => &[SnapshotIsolation, RepeatableRead],
        (_, Family::Process) => &[StrongSessionSnapshotIsolation],
        (_, Family::RealTime) => &[StrongSnapshotIsolation],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_serializable_implies_all_and_snapshots_not_repeatable_reads() {
        assert!(Level::ALL.into_iter().all(|level| StrictSerializable.implies(level)));
        assert!(!SnapshotIsolation.implies(RepeatableRead));
        assert!(!Serializable.implies(Causal), "sessions may be reordered");
        for level in Level::ALL {
            assert_eq!(Level::named(level.name()), Some(level));
        }
    }
}
