//! How many versions a read lagged at least.
//!
//! A read of u is *stale* if some version v is surely newer than u (the write of v was called after u was established), and v
//! was established before the read was called. The number of such v is a lower bound of how many versions had replaced u:
//! versions whose order is open are not counted. The notion is that of k-atomicity (Aiyer, Alvisi and Bazzi, "On the
//! availability of non-strict quorum systems", DISC 2005), of which this bounds k - 1 from below, one read at a time.
//!
//! Counting pairs of (called after, established before) is counting points below and right of a corner: reads by
//! their calls, versions entered into a Fenwick tree as they are established (Fenwick 1994). O(n log n).
//!
//! Absent: chains of cas, which would make some more versions surely newer.

use super::history::{Kind, Versions};

/// The reads that were stale, and by how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lag {
    /// Reads of versions that had surely been replaced.
    pub(super) stale: u64,
    /// The most versions that one of them lagged, at least.
    pub(super) max: u64,
    /// The versions that they lagged together.
    pub(super) sum: u64,
    /// The read that lagged most.
    pub(super) worst: Option<u32>,
}

pub(super) fn measure(versions: &Versions<'_>) -> Lag {
    let mut begins: Vec<u64> = versions.all.iter().map(|version| version.begin).collect();
    begins.sort_unstable();
    let mut established: Vec<(u64, u64)> =
        versions.all.iter().map(|version| (version.established, version.begin)).collect();
    established.sort_unstable();
    let mut established = established.into_iter().peekable();
    let mut reads: Vec<u32> = (0..)
        .zip(versions.records)
        .filter(|(_, record)| record.kind == Kind::Read && !versions.unexplained(record))
        .map(|(id, _)| id)
        .collect();
    reads.sort_unstable_by_key(|&id| versions.records[id as usize].begin());
    let mut tree = Fenwick(vec![0; begins.len() + 1]);
    let mut entered = 0;
    let mut lag = Lag::default();
    for id in reads {
        let record = &versions.records[id as usize];
        while let Some((_, begin)) = established.next_if(|&(at, _)| at < record.begin()) {
            tree.add(begins.partition_point(|&other| other < begin));
            entered += 1;
        }
        let known = versions.get(record.value).established;
        let behind = entered - tree.sum(begins.partition_point(|&begin| begin <= known));
        lag.stale += u64::from(behind > 0);
        lag.sum += behind;
        if behind > lag.max {
            (lag.max, lag.worst) = (behind, Some(id));
        }
    }
    lag
}

/// Counts by rank, with sums of prefixes, both in O(log n).
struct Fenwick(Vec<u64>);

impl Fenwick {
    /// Counts one at this rank, from 0.
    fn add(&mut self, rank: usize) {
        let mut at = rank + 1;
        while at < self.0.len() {
            self.0[at] += 1;
            at += at & at.wrapping_neg();
        }
    }

    /// How many were counted at ranks below this.
    fn sum(&self, rank: usize) -> u64 {
        let (mut at, mut sum) = (rank, 0);
        while at > 0 {
            sum += self.0[at];
            at &= at - 1;
        }
        sum
    }
}
