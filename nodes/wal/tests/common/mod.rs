//! A host in memory: it keeps segments as a disk would, and can lose any of the sectors of its last write.

// Each test program uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use tribunal_wal::{
    Appender, End, RecoverError, Recovered, SECTOR_BYTES, Segment, SegmentEnd, recover,
};

/// Records as recovery gives them.
pub(crate) type Records = Vec<(u64, Vec<u8>)>;

/// A log on a disk in memory.
#[derive(Debug)]
pub(crate) struct Log {
    /// What the disk holds.
    pub(crate) segments: BTreeMap<u64, Vec<u8>>,
    /// What was ever appended.
    pub(crate) records: Records,
    appender: Appender,
    segment_bytes: u64,
    /// The place of the last batch, and what stood there before.
    last: (u64, usize, Vec<u8>),
}

impl Log {
    /// An empty log.
    pub(crate) fn new(segment_bytes: u64) -> Self {
        let end = End { generation: 0, segment_bytes: 0, offset: 0, position: 0 };
        Self {
            segments: BTreeMap::new(),
            records: Vec::new(),
            appender: Appender::new(segment_bytes, end),
            segment_bytes,
            last: (0, 0, Vec::new()),
        }
    }

    /// A log of these batches.
    pub(crate) fn of(segment_bytes: u64, batches: &[&[&[u8]]]) -> Self {
        let mut log = Self::new(segment_bytes);
        for batch in batches {
            log.append(batch);
        }
        log
    }

    /// Appends a batch behind batches that are all durable.
    pub(crate) fn append<R: AsRef<[u8]>>(&mut self, records: &[R]) {
        self.append_knowing(records, self.position());
    }

    /// Appends a batch when only what is below `durable` is known to be durable.
    pub(crate) fn append_knowing<R: AsRef<[u8]>>(&mut self, records: &[R], durable: u64) {
        let positions = self.position()..;
        let batch = self.appender.append(records, durable).expect("small");
        if let Some(bytes) = batch.new_segment_bytes {
            self.segments.entry(batch.generation).or_insert_with(|| vec![0; bytes as usize]);
        }
        let segment = self.segments.get_mut(&batch.generation).expect("begun before");
        let from = batch.offset as usize;
        let range = from..from + batch.bytes.len();
        self.last = (batch.generation, from, segment[range.clone()].to_vec());
        segment[range].copy_from_slice(batch.bytes);
        self.records.extend(positions.zip(records.iter().map(|record| record.as_ref().to_vec())));
    }

    /// The next position.
    pub(crate) fn position(&self) -> u64 {
        self.records.len() as u64
    }

    /// How many sectors the last batch takes.
    pub(crate) fn last_sectors(&self) -> usize {
        self.last.2.len() / SECTOR_BYTES
    }

    /// Where the last batch stands: generation and byte.
    pub(crate) fn last_place(&self) -> (u64, usize) {
        (self.last.0, self.last.1)
    }

    /// The crash: of the last batch's sectors only those in the bit set `reached` had reached the disk.
    pub(crate) fn tear(&mut self, reached: u64) {
        let (generation, from, before) = &self.last;
        let segment = self.segments.get_mut(generation).expect("written");
        for (index, old) in before.chunks(SECTOR_BYTES).enumerate() {
            if reached & (1 << index) == 0 {
                let at = from + index * SECTOR_BYTES;
                segment[at..at + SECTOR_BYTES].copy_from_slice(old);
            }
        }
    }

    /// What recovery makes of the disk.
    pub(crate) fn recover(&self) -> Result<Recovered, RecoverError> {
        self.recover_knowing(0, 0)
    }

    /// What recovery makes of the disk, given what the host knows.
    pub(crate) fn recover_knowing(
        &self,
        keep_from: u64,
        durable: u64,
    ) -> Result<Recovered, RecoverError> {
        let segments: Vec<_> = self
            .segments
            .iter()
            .map(|(&generation, bytes)| Segment { generation, bytes })
            .collect();
        recover(&segments, keep_from, durable)
    }

    /// Restarts: recovers from `keep_from`, settles the tail as a host owes it, and goes on.
    pub(crate) fn restart(&mut self, keep_from: u64) -> Recovered {
        let log = self.recover_knowing(keep_from, 0).expect("nothing acknowledged is damaged");
        if let Some(segment) = self.segments.get_mut(&log.end.generation) {
            segment[log.end.offset as usize..log.tail_to as usize].fill(0);
        }
        self.records.truncate(log.end.position as usize);
        self.appender = Appender::new(self.segment_bytes, log.end);
        log
    }

    /// Makes the next segment out of a needless one, as it is.
    pub(crate) fn recycle(&mut self, generation: u64, into: u64) {
        let bytes = self.segments.remove(&generation).expect("is there");
        self.segments.insert(into, bytes);
    }
}

/// How far each segment goes, for short assertions.
pub(crate) fn ends(recovered: &Recovered) -> Vec<(u64, u64)> {
    recovered
        .segments
        .iter()
        .map(|&SegmentEnd { generation, position }| (generation, position))
        .collect()
}
