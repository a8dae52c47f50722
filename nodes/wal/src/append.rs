//! Encodes batches and lays them out: one buffer, reused; says when a new segment is due.
//!
//! Invariant: what [`Appender::append`] gave is written and synced before it is called again, or the log is given up.

use crate::End;
use crate::batch::{self, HEADER_BYTES, Header, LENGTH_BYTES};
use crate::sector::{self, PAYLOAD_BYTES, Part, SECTOR_BYTES};

/// Lays out the batches of one log.
#[derive(Debug)]
pub struct Appender {
    /// The length of an ordinary segment.
    segment_bytes: u64,
    end: End,
    /// Header and body without marks.
    payload: Vec<u8>,
    /// The same in sectors.
    sectors: Vec<u8>,
}

/// Bytes for the host to write and sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The segment to write to.
    pub generation: u64,
    /// If the batch begins a new segment: its length. It must exist and be filled, durably, before the batch is written.
    pub new_segment_bytes: Option<u64>,
    /// Where in the segment.
    pub offset: u64,
    /// What to write.
    pub bytes: &'a [u8],
    /// The position after the batch's last record.
    pub next: u64,
}

/// A batch whose length does not fit its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch of {bytes} bytes exceeds what one batch can hold, {} bytes", u32::MAX)]
pub struct BatchTooLarge {
    /// What the records would take.
    pub bytes: usize,
}

impl Appender {
    /// Goes on at `end`. Later segments have `segment_bytes`, rounded up to whole sectors, or more where a batch needs it.
    #[must_use]
    pub fn new(segment_bytes: u64, end: End) -> Self {
        let segment_bytes = segment_bytes.max(1).next_multiple_of(SECTOR_BYTES as u64);
        Self { segment_bytes, end, payload: Vec::new(), sectors: Vec::new() }
    }

    /// Where the next batch would go, if it fits.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    /// Encodes a batch. `durable`: every record below it is known to be on disk.
    ///
    /// # Errors
    /// [`BatchTooLarge`] beyond 4 GiB; nothing has changed then.
    ///
    /// # Panics
    /// If `durable` is above the position of the batch's first record.
    pub fn append<R: AsRef<[u8]>>(
        &mut self,
        records: &[R],
        durable: u64,
    ) -> Result<Batch<'_>, BatchTooLarge> {
        assert!(durable <= self.end.position, "what is not written yet cannot be durable");
        let bytes = records.iter().map(|record| LENGTH_BYTES + record.as_ref().len()).sum();
        let too_large = BatchTooLarge { bytes };
        let body_bytes = u32::try_from(bytes).map_err(|_| too_large)?;
        let count = u32::try_from(records.len()).map_err(|_| too_large)?;

        let length = batch::sectors_of(bytes) * SECTOR_BYTES as u64;
        let new_segment_bytes = self.roll_for(length);
        self.fill_payload(records);
        let header = Header {
            generation: self.end.generation,
            segment_bytes: self.end.segment_bytes,
            position: self.end.position,
            durable,
            count,
            body_bytes,
            body_check: crc32c::crc32c(&self.payload[HEADER_BYTES..]),
        };
        self.payload[..HEADER_BYTES].copy_from_slice(&header.encode());
        self.fill_sectors();

        let offset = self.end.offset;
        self.end.offset += length;
        self.end.position += u64::from(count);
        Ok(Batch {
            generation: self.end.generation,
            new_segment_bytes,
            offset,
            bytes: &self.sectors,
            next: self.end.position,
        })
    }

    /// Goes to the next segment if the present one has no room.
    fn roll_for(&mut self, length: u64) -> Option<u64> {
        if self.end.offset + length <= self.end.segment_bytes {
            return None;
        }
        self.end.generation += 1;
        self.end.offset = 0;
        self.end.segment_bytes = self.segment_bytes.max(length);
        Some(self.end.segment_bytes)
    }

    /// Room for the header, then the body.
    fn fill_payload<R: AsRef<[u8]>>(&mut self, records: &[R]) {
        self.payload.clear();
        self.payload.resize(HEADER_BYTES, 0);
        for record in records {
            let record = record.as_ref();
            // The sum of all lengths fits a u32, so each does.
            self.payload.extend_from_slice(&(record.len() as u32).to_le_bytes());
            self.payload.extend_from_slice(record);
        }
    }

    fn fill_sectors(&mut self) {
        self.sectors.clear();
        let first = self.end.offset / SECTOR_BYTES as u64;
        for (index, payload) in (first..).zip(self.payload.chunks(PAYLOAD_BYTES)) {
            let part = if index == first { Part::First } else { Part::Rest };
            sector::push(&mut self.sectors, self.end.generation, index, part, payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(segment_bytes: u64) -> End {
        End { generation: 1, segment_bytes, offset: 0, position: 0 }
    }

    #[test]
    fn a_batch_that_does_not_fit_begins_the_next_segment() {
        let mut log = Appender::new(1024, end(1024));
        for offset in [0, 512] {
            let batch = log.append(&[b"x"], 0).expect("small");
            assert_eq!(
                (batch.generation, batch.offset, batch.new_segment_bytes),
                (1, offset, None)
            );
        }
        let batch = log.append(&[b"x"], 2).expect("small");
        assert_eq!((batch.generation, batch.offset, batch.new_segment_bytes), (2, 0, Some(1024)));
        assert_eq!(batch.next, 3);
    }

    #[test]
    fn an_oversized_batch_gets_a_segment_of_its_own() {
        let mut log = Appender::new(1024, end(1024));
        let batch = log.append(&[vec![7; 2000]], 0).expect("fits a header");
        assert_eq!((batch.generation, batch.new_segment_bytes), (2, Some(2560)));
        let batch = log.append(&[b"x"], 1).expect("small");
        assert_eq!((batch.generation, batch.new_segment_bytes), (3, Some(1024)));
    }

    #[test]
    #[should_panic(expected = "cannot be durable")]
    fn a_durable_position_in_the_future_is_a_bug() {
        let _ = Appender::new(1024, end(1024)).append(&[b"x"], 1);
    }
}
