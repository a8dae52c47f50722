//! The disk under a node's store: files in memory that keep the contract of [`Files`] and no more.
//!
//! Between [`Disk::begin`] and [`Disk::complete`] lies one call of the store, which takes virtual time. A node that ends in
//! between has issued some first part of the call's operations. A *kill* leaves what was issued, since the system's page
//! cache outlives the process. A *loss of power* leaves what is durable; of a write that was issued and not synced, each
//! sector stays as it was or as it was written, and a segment that was let go may be there again.
//!
//! A sync that fails makes nothing durable, and what it was for reads as written all the same until the power is lost (Rebello
//! et al., "Can Applications Recover from fsync Failures?", ATC 2020).
//!
//! Operations take effect at once and keep what they replaced, to be taken back.

use crate::random::Random;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tribunal_wal::{Files, SECTOR_BYTES};

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiskError {
    /// A fault was injected.
    #[error("the sync failed")]
    Sync,
    /// The store asked for what is not there.
    #[error("there is no segment {0}")]
    NoSegment(u64),
}

/// Where in a segment something was written, and what stood there before.
#[derive(Clone, Debug)]
struct Overwritten {
    generation: u64,
    offset: usize,
    before: Vec<u8>,
}

/// An operation of the call under way, with what takes it back.
#[derive(Debug)]
enum Operation {
    Replaced { name: String, before: Option<Vec<u8>> },
    Created { generation: u64 },
    Written(Overwritten),
    Synced { generation: u64 },
    Released { generation: u64, bytes: Vec<u8> },
}

/// One node's files.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    small: BTreeMap<String, Vec<u8>>,
    segments: BTreeMap<u64, Vec<u8>>,
    /// Of the call under way, in order.
    issued: Vec<Operation>,
    /// Written, read as written, and not durable: a sync of it has failed.
    volatile: Vec<Overwritten>,
    /// Let go, and not durably so.
    released: Vec<(u64, Vec<u8>)>,
    /// Faults, each of which lets one sync fail.
    pub(crate) failing: BTreeSet<u32>,
}

/// A disk that its node's store holds while it is open, and the simulator always.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedDisk(Rc<RefCell<Disk>>);

impl SharedDisk {
    /// Does something with the disk.
    pub(crate) fn with<T>(&self, action: impl FnOnce(&mut Disk) -> T) -> T {
        action(&mut self.0.borrow_mut())
    }
}

impl Disk {
    /// A call of the store begins.
    pub(crate) fn begin(&mut self) {
        assert!(self.issued.is_empty(), "one call at a time");
    }

    /// How many times the call that was issued waits for the disk.
    pub(crate) fn waits(&self) -> u64 {
        let waits = |operation: &Operation| match operation {
            Operation::Synced { .. } | Operation::Created { .. } => 1,
            Operation::Replaced { .. } => 2,
            Operation::Written(_) | Operation::Released { .. } => 0,
        };
        self.issued.iter().map(waits).sum()
    }

    /// The call has returned.
    pub(crate) fn complete(&mut self) {
        let issued = std::mem::take(&mut self.issued);
        let mut unsynced = Vec::new();
        for operation in issued {
            match operation {
                Operation::Written(written) => unsynced.push(written),
                Operation::Synced { generation } => {
                    let (synced, other) =
                        unsynced.into_iter().partition(|one| one.generation == generation);
                    unsynced = other;
                    self.make_durable(synced);
                }
                Operation::Released { generation, bytes } => {
                    self.released.push((generation, bytes))
                }
                Operation::Replaced { .. } | Operation::Created { .. } => self.released.clear(),
            }
        }
        self.volatile.append(&mut unsynced);
    }

    /// What was synced is durable, also where an earlier write of it was not.
    fn make_durable(&mut self, synced: Vec<Overwritten>) {
        for new in synced {
            let covers = |old: &Overwritten| {
                old.generation == new.generation
                    && new.offset <= old.offset
                    && old.offset + old.before.len() <= new.offset + new.before.len()
            };
            self.volatile.retain(|old| !covers(old));
        }
    }

    /// The process ends in the middle of the call that is under way, if one is: what it had issued by then stays.
    pub(crate) fn kill(&mut self, random: &mut Random) {
        let kept = if self.issued.is_empty() { 0 } else { random.index(self.issued.len() + 1) };
        self.take_back_after(kept);
        self.complete();
    }

    /// The power fails in the middle of the call that is under way, if one is. `torn`: sectors of an unsynced write may
    /// stay, each for itself; otherwise all of it is gone.
    pub(crate) fn lose_power(&mut self, random: &mut Random, torn: bool) {
        self.kill(random);
        while let Some(written) = self.volatile.pop() {
            self.tear(&written, random, torn);
        }
        for (generation, bytes) in std::mem::take(&mut self.released) {
            if random.percent(50) {
                self.segments.insert(generation, bytes);
            }
        }
    }

    /// Takes back all operations of the call but the first `kept`.
    fn take_back_after(&mut self, kept: usize) {
        for operation in self.issued.split_off(kept).into_iter().rev() {
            match operation {
                Operation::Replaced { name, before: Some(before) } => {
                    self.small.insert(name, before);
                }
                Operation::Replaced { name, before: None } => {
                    self.small.remove(&name);
                }
                Operation::Created { generation } => {
                    self.segments.remove(&generation);
                }
                Operation::Written(Overwritten { generation, offset, before }) => {
                    if let Some(segment) = self.segments.get_mut(&generation) {
                        segment[offset..offset + before.len()].copy_from_slice(&before);
                    }
                }
                Operation::Released { generation, bytes } => {
                    self.segments.insert(generation, bytes);
                }
                Operation::Synced { .. } => {}
            }
        }
    }

    /// Takes a write back, sector by sector.
    fn tear(&mut self, written: &Overwritten, random: &mut Random, torn: bool) {
        let Some(segment) = self.segments.get_mut(&written.generation) else { return };
        for (nth, before) in written.before.chunks(SECTOR_BYTES).enumerate() {
            if torn && random.percent(50) {
                continue;
            }
            let at = written.offset + nth * SECTOR_BYTES;
            segment[at..at + before.len()].copy_from_slice(before);
        }
    }

    /// Flips one bit of a sector that was written. Answers where, for the report; `None` if nothing was ever written.
    pub(crate) fn rot(&mut self, random: &mut Random) -> Option<String> {
        let written = |sector: &&[u8]| sector.iter().any(|byte| *byte != 0);
        let count = |segment: &[u8]| segment.chunks(SECTOR_BYTES).filter(written).count();
        let total: usize = self.segments.values().map(|segment| count(segment)).sum();
        if total == 0 {
            return None;
        }
        let mut nth = random.index(total);
        for (generation, segment) in &mut self.segments {
            for (sector, bytes) in segment.chunks_mut(SECTOR_BYTES).enumerate() {
                if bytes.iter().all(|byte| *byte == 0) {
                    continue;
                }
                if nth == 0 {
                    let bit = random.index(bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    return Some(format!("segment {generation}, sector {sector}, bit {bit}"));
                }
                nth -= 1;
            }
        }
        None
    }

    fn segment(&mut self, generation: u64) -> Result<&mut Vec<u8>, DiskError> {
        self.segments.get_mut(&generation).ok_or(DiskError::NoSegment(generation))
    }
}

impl Files for SharedDisk {
    type Error = DiskError;

    fn load(&mut self, name: &str) -> Result<Option<Vec<u8>>, DiskError> {
        self.with(|disk| Ok(disk.small.get(name).cloned()))
    }

    fn replace(&mut self, name: &str, contents: &[u8]) -> Result<(), DiskError> {
        self.with(|disk| {
            if disk.failing.pop_first().is_some() {
                return Err(DiskError::Sync);
            }
            let before = disk.small.insert(name.to_owned(), contents.to_vec());
            disk.issued.push(Operation::Replaced { name: name.to_owned(), before });
            Ok(())
        })
    }

    fn segments(&mut self) -> Result<Vec<u64>, DiskError> {
        self.with(|disk| Ok(disk.segments.keys().copied().collect()))
    }

    fn read(&mut self, generation: u64) -> Result<Vec<u8>, DiskError> {
        self.with(|disk| disk.segment(generation).cloned())
    }

    fn create(&mut self, generation: u64, length_bytes: u64) -> Result<(), DiskError> {
        self.with(|disk| {
            let length = usize::try_from(length_bytes).expect("a simulated segment is small");
            // The remains of a segment that was let go, as a real directory recycles them.
            let recycled = disk.released.iter().rev().find(|(_, bytes)| bytes.len() == length);
            let bytes = recycled.map_or_else(|| vec![0; length], |(_, bytes)| bytes.clone());
            disk.segments.insert(generation, bytes);
            disk.issued.push(Operation::Created { generation });
            Ok(())
        })
    }

    fn write(&mut self, generation: u64, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.with(|disk| {
            let offset = usize::try_from(offset).expect("a simulated segment is small");
            let place = &mut disk.segment(generation)?[offset..offset + bytes.len()];
            let before = place.to_vec();
            place.copy_from_slice(bytes);
            disk.issued.push(Operation::Written(Overwritten { generation, offset, before }));
            Ok(())
        })
    }

    fn sync(&mut self, generation: u64) -> Result<(), DiskError> {
        self.with(|disk| {
            if disk.failing.pop_first().is_some() {
                return Err(DiskError::Sync);
            }
            disk.issued.push(Operation::Synced { generation });
            Ok(())
        })
    }

    fn release(&mut self, generation: u64) -> Result<(), DiskError> {
        self.with(|disk| {
            if let Some(bytes) = disk.segments.remove(&generation) {
                disk.issued.push(Operation::Released { generation, bytes });
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u64 = 4 * SECTOR_BYTES as u64;

    fn disk() -> (SharedDisk, Random) {
        let mut disk = SharedDisk::default();
        disk.create(1, LENGTH).expect("no fault");
        disk.with(Disk::complete);
        (disk, Random::new(1, 0))
    }

    fn first_bytes(disk: &mut SharedDisk) -> Vec<u8> {
        disk.read(1).expect("it is there").chunks(SECTOR_BYTES).map(|sector| sector[0]).collect()
    }

    #[test]
    fn what_was_synced_survives_a_loss_of_power_and_nothing_else_does() {
        let (mut disk, mut random) = disk();
        disk.write(1, 0, &[1; SECTOR_BYTES]).expect("no fault");
        disk.sync(1).expect("no fault");
        disk.with(Disk::complete);
        disk.write(1, 512, &[2; SECTOR_BYTES]).expect("no fault");
        disk.with(Disk::complete);
        assert_eq!(first_bytes(&mut disk), [1, 2, 0, 0]);
        disk.with(|disk| disk.lose_power(&mut random, false));
        assert_eq!(first_bytes(&mut disk), [1, 0, 0, 0]);
    }

    #[test]
    fn a_torn_write_leaves_every_combination_of_sectors() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let (mut disk, _) = disk();
            disk.write(1, 0, &[7; 2 * SECTOR_BYTES]).expect("no fault");
            disk.with(|disk| disk.lose_power(&mut Random::new(seed, 0), true));
            seen.insert(first_bytes(&mut disk));
        }
        let seen: Vec<_> = seen.into_iter().map(|bytes| (bytes[0], bytes[1])).collect();
        assert_eq!(seen, [(0, 0), (0, 7), (7, 0), (7, 7)]);
    }

    #[test]
    fn a_kill_leaves_some_first_operations_of_the_call() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let (mut disk, _) = disk();
            disk.write(1, 0, &[1; SECTOR_BYTES]).expect("no fault");
            disk.sync(1).expect("no fault");
            disk.replace("small", b"new").expect("no fault");
            disk.with(|disk| disk.kill(&mut Random::new(seed, 0)));
            let small = disk.load("small").expect("no fault").is_some();
            seen.insert((first_bytes(&mut disk)[0], small));
        }
        let seen: Vec<_> = seen.into_iter().collect();
        assert_eq!(seen, [(0, false), (1, false), (1, true)]);
    }

    #[test]
    fn a_failed_sync_reads_as_written_until_the_power_is_lost() {
        let (mut disk, mut random) = disk();
        disk.with(|disk| disk.failing.insert(1));
        disk.write(1, 0, &[1; SECTOR_BYTES]).expect("no fault");
        assert_eq!(disk.sync(1), Err(DiskError::Sync));
        disk.with(Disk::complete);
        assert_eq!(first_bytes(&mut disk)[0], 1);
        let mut rewritten = SharedDisk(Rc::new(RefCell::new(Disk {
            segments: disk.with(|disk| disk.segments.clone()),
            volatile: disk.with(|disk| disk.volatile.clone()),
            ..Disk::default()
        })));
        disk.with(|disk| disk.lose_power(&mut random, false));
        assert_eq!(first_bytes(&mut disk)[0], 0);
        rewritten.write(1, 0, &[1; SECTOR_BYTES]).expect("no fault");
        rewritten.sync(1).expect("no fault");
        rewritten.with(Disk::complete);
        rewritten.with(|disk| disk.lose_power(&mut random, false));
        assert_eq!(first_bytes(&mut rewritten)[0], 1, "written again, it counts");
    }

    #[test]
    fn rot_flips_one_bit_of_what_was_written() {
        let (mut disk, mut random) = disk();
        assert_eq!(disk.with(|disk| disk.rot(&mut random)), None);
        disk.write(1, 512, &[255; SECTOR_BYTES]).expect("no fault");
        disk.with(Disk::complete);
        assert!(disk.with(|disk| disk.rot(&mut random)).is_some());
        let ones: u32 = disk.read(1).expect("there").iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(ones as usize, SECTOR_BYTES * 8 - 1);
    }
}
