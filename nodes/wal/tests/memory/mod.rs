//! Files in memory that remember every operation, so that a test can take the power away after any of them, with any
//! part of what was not durable then.

use std::collections::BTreeMap;
use tribunal_wal::{Files, SECTOR_BYTES};

/// What a disk holds, or shows.
#[derive(Clone, Debug, Default)]
struct State {
    small: BTreeMap<String, Vec<u8>>,
    segments: BTreeMap<u64, Vec<u8>>,
    /// Segments that were released and not used again.
    released: Vec<Vec<u8>>,
}

/// Something that changes files.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Replace(String, Vec<u8>),
    Create(u64, u64),
    Write(u64, u64, Vec<u8>),
    Sync(u64),
    /// What was written before is not durable, whatever is synced later.
    FailedSync(u64),
    Release(u64),
    /// The process died. No sync of a later one makes durable what it had written.
    Death,
}

use Operation::{Create, Death, FailedSync, Release, Replace, Sync, Write};

/// A part of an operation that a loss of power may take or leave: one sector of a write, or a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    operation: usize,
    sector: usize,
}

/// The files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// What was durable before all operations.
    base: State,
    pub(crate) operations: Vec<Operation>,
    /// What the files show: everything, as long as the power lasts.
    shown: State,
    /// The operation of this number fails. The flag says whether it has its effect all the same.
    pub(crate) fails_at: Option<(usize, bool)>,
    failed: bool,
}

/// The one error: an operation was told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed as told")]
pub(crate) struct AsTold;

impl Memory {
    /// Every state in which a loss of power after the first `count` operations may leave the files.
    pub(crate) fn without_power(&self, count: usize) -> Vec<Self> {
        let operations = &self.operations[..count];
        let doubtful = doubtful(operations);
        selections(doubtful.len())
            .into_iter()
            .map(|kept| {
                let keeps = |part: Part| {
                    doubtful.iter().position(|known| *known == part).is_none_or(|index| kept[index])
                };
                let mut base = self.base.clone();
                for (number, operation) in operations.iter().enumerate() {
                    base.apply(operation, |sector| keeps(Part { operation: number, sector }));
                }
                Self { shown: base.clone(), base, ..Self::default() }
            })
            .collect()
    }

    /// The process dies after the first `count` operations; the power stays.
    pub(crate) fn without_process(&self, count: usize) -> Self {
        let mut operations = self.operations[..count].to_vec();
        operations.push(Death);
        let mut shown = self.base.clone();
        operations.iter().for_each(|operation| shown.apply(operation, |_| true));
        Self { base: self.base.clone(), operations, shown, ..Self::default() }
    }

    /// Makes a sector read as if it had never been written.
    pub(crate) fn forget_sector(&mut self, generation: u64, index: usize) {
        let segment = self.shown.segments.get_mut(&generation).expect("created before");
        segment[index * SECTOR_BYTES..][..SECTOR_BYTES].fill(0);
    }

    fn carry_out(&mut self, operation: Operation) -> Result<(), AsTold> {
        assert!(!self.failed, "after a failure nothing is tried again, but {operation:?} was");
        let fails = self.fails_at.filter(|(number, _)| *number == self.operations.len());
        self.failed = fails.is_some();
        let happens = fails.is_none_or(|(_, happens)| happens);
        match operation {
            Sync(generation) if self.failed => self.operations.push(FailedSync(generation)),
            operation if happens => {
                self.shown.apply(&operation, |_| true);
                self.operations.push(operation);
            }
            _ => {}
        }
        if self.failed { Err(AsTold) } else { Ok(()) }
    }
}

impl State {
    fn apply(&mut self, operation: &Operation, keeps: impl Fn(usize) -> bool) {
        match operation {
            Replace(name, contents) => drop(self.small.insert(name.clone(), contents.clone())),
            Create(generation, bytes) => {
                let fits = |remains: &Vec<u8>| remains.len() as u64 == *bytes;
                let remains = self.released.iter().position(fits);
                let filled = remains.map(|index| self.released.swap_remove(index));
                let filled = filled.unwrap_or_else(|| vec![0; *bytes as usize]);
                assert!(self.segments.insert(*generation, filled).is_none(), "a new generation");
            }
            Write(generation, offset, bytes) => {
                let segment = self.segments.get_mut(generation).expect("created before");
                let sectors = segment[*offset as usize..].chunks_mut(SECTOR_BYTES);
                for (index, (to, from)) in sectors.zip(bytes.chunks(SECTOR_BYTES)).enumerate() {
                    if keeps(index) {
                        to.copy_from_slice(from);
                    }
                }
            }
            Sync(_) | FailedSync(_) | Death => {}
            Release(generation) if keeps(0) => {
                self.released.push(self.segments.remove(generation).expect("created before"));
            }
            Release(_) => {}
        }
    }
}

/// The parts of the operations that are not durable at their end.
fn doubtful(operations: &[Operation]) -> Vec<Part> {
    let mut parts = Vec::new();
    for (number, operation) in operations.iter().enumerate() {
        let mut later = operations[number + 1..].iter();
        let settled = match operation {
            Write(written, ..) => later
                .find(|operation| match operation {
                    Sync(synced) | FailedSync(synced) => synced == written,
                    Death => true,
                    _ => false,
                })
                .is_some_and(|operation| matches!(operation, Sync(_))),
            Release(_) => later.any(|operation| matches!(operation, Replace(..) | Create(..))),
            _ => true,
        };
        let sectors = match operation {
            Write(_, _, bytes) => bytes.len() / SECTOR_BYTES,
            _ => 1,
        };
        if !settled {
            parts.extend((0..sectors).map(|sector| Part { operation: number, sector }));
        }
    }
    parts
}

/// What may be kept of so many parts: every selection, or where these are too many, none, all, the first ones, the last
/// ones, each alone and all but each.
fn selections(parts: usize) -> Vec<Vec<bool>> {
    let select = |kept: &dyn Fn(usize) -> bool| (0..parts).map(kept).collect::<Vec<_>>();
    if parts <= 5 {
        return (0..1_u32 << parts).map(|mask| select(&|part| mask >> part & 1 == 1)).collect();
    }
    let mut found = vec![select(&|_| true)];
    for chosen in 0..parts {
        found.push(select(&|part| part < chosen));
        found.push(select(&|part| part > chosen));
        found.push(select(&|part| part == chosen));
        found.push(select(&|part| part != chosen));
    }
    found.sort();
    found.dedup();
    found
}

impl Files for Memory {
    type Error = AsTold;

    fn load(&mut self, name: &str) -> Result<Option<Vec<u8>>, AsTold> {
        Ok(self.shown.small.get(name).cloned())
    }

    fn replace(&mut self, name: &str, contents: &[u8]) -> Result<(), AsTold> {
        self.carry_out(Replace(name.to_owned(), contents.to_vec()))
    }

    fn segments(&mut self) -> Result<Vec<u64>, AsTold> {
        Ok(self.shown.segments.keys().copied().collect())
    }

    fn read(&mut self, generation: u64) -> Result<Vec<u8>, AsTold> {
        Ok(self.shown.segments[&generation].clone())
    }

    fn create(&mut self, generation: u64, length_bytes: u64) -> Result<(), AsTold> {
        self.carry_out(Create(generation, length_bytes))
    }

    fn write(&mut self, generation: u64, offset_bytes: u64, bytes: &[u8]) -> Result<(), AsTold> {
        self.carry_out(Write(generation, offset_bytes, bytes.to_vec()))
    }

    fn sync(&mut self, generation: u64) -> Result<(), AsTold> {
        self.carry_out(Sync(generation))
    }

    fn release(&mut self, generation: u64) -> Result<(), AsTold> {
        self.carry_out(Release(generation))
    }
}
