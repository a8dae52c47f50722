//! A batch: the records that become durable by one sync.
//!
//! The payload of a batch's sectors, in a row, is its header, then its body: each record as its length (u32, little
//! endian) and its bytes. Header and body are checked apart, so that the header of a batch with a rotten body still testifies.

use crate::sector::{self, PAYLOAD_BYTES, Part, Sector, u32_at, u64_at};

/// The first sector of a batch begins with this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The segment's generation.
    pub(crate) generation: u64,
    /// The segment's length: a file that was cut short betrays itself.
    pub(crate) segment_bytes: u64,
    /// The position of the first record.
    pub(crate) position: u64,
    /// Every record below this was known to be durable. At most `position`.
    pub(crate) durable: u64,
    /// How many records there are.
    pub(crate) count: u32,
    /// The length of the body.
    pub(crate) body_bytes: u32,
    /// CRC-32C of the body.
    pub(crate) body_check: u32,
}

/// The length of an encoded [`Header`].
pub(crate) const HEADER_BYTES: usize = 52;

/// What stands in front of each record.
pub(crate) const LENGTH_BYTES: usize = 4;

const MAGIC: [u8; 4] = *b"TWL1";

/// What stands at a place where a batch may begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing was written here.
    Unwritten,
    /// A sector of this generation that begins no batch.
    Stray,
    /// The header and all the records.
    Complete(Header, Vec<u8>),
    /// Some sector of it was never written, and none is damaged.
    Torn(Header),
    /// Some sector of it is damaged, or its checks fail.
    Damaged(Option<Header>),
}

impl Header {
    /// How many sectors the batch takes.
    pub(crate) fn sectors(&self) -> u64 {
        sectors_of(self.body_bytes as usize)
    }

    /// The position after the last record.
    pub(crate) fn end(&self) -> u64 {
        self.position.saturating_add(u64::from(self.count))
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.segment_bytes.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.position.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.durable.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.count.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.body_check.to_le_bytes());
        let check = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        if bytes[..4] != MAGIC || u32_at(bytes, 4) != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        Some(Self {
            generation: u64_at(bytes, 8),
            segment_bytes: u64_at(bytes, 16),
            position: u64_at(bytes, 24),
            durable: u64_at(bytes, 32),
            count: u32_at(bytes, 40),
            body_bytes: u32_at(bytes, 44),
            body_check: u32_at(bytes, 48),
        })
    }

    /// Whether the header can stand in this segment. (Sectors beyond the segment's end read as damaged.)
    fn fits(&self, segment: &[u8], generation: u64) -> bool {
        self.generation == generation
            && self.segment_bytes == segment.len() as u64
            && self.durable <= self.position
            && self.position.checked_add(u64::from(self.count)).is_some()
    }
}

/// How many sectors a batch takes whose body has `body_bytes` bytes.
pub(crate) fn sectors_of(body_bytes: usize) -> u64 {
    (HEADER_BYTES + body_bytes).div_ceil(PAYLOAD_BYTES) as u64
}

/// Reads what begins at the sector `index` of a segment.
pub(crate) fn read(segment: &[u8], generation: u64, index: u64) -> Found {
    let first = match sector::read(segment, generation, index) {
        Sector::Unwritten => return Found::Unwritten,
        Sector::Damaged => return Found::Damaged(None),
        Sector::Written(Part::Rest, _) => return Found::Stray,
        Sector::Written(Part::First, payload) => payload,
    };
    match Header::decode(first) {
        Some(header) if header.fits(segment, generation) => {
            read_body(segment, header, first, index)
        }
        // A readable header may testify, even where it cannot stand (a segment cut short).
        Some(header) if header.durable <= header.position => Found::Damaged(Some(header)),
        _ => Found::Damaged(None),
    }
}

fn read_body(segment: &[u8], header: Header, first: &[u8], index: u64) -> Found {
    let length = header.body_bytes as usize;
    let mut body = Vec::with_capacity((length + PAYLOAD_BYTES).min(segment.len()));
    body.extend_from_slice(&first[HEADER_BYTES..]);
    let mut torn = false;
    for index in index + 1..index + header.sectors() {
        match sector::read(segment, header.generation, index) {
            Sector::Written(Part::Rest, payload) => body.extend_from_slice(payload),
            Sector::Unwritten => torn = true,
            Sector::Written(Part::First, _) | Sector::Damaged => {
                return Found::Damaged(Some(header));
            }
        }
    }
    if torn {
        return Found::Torn(header);
    }
    body.truncate(length);
    let adds_up = count(&body) == Some(header.count as usize);
    if adds_up && crc32c::crc32c(&body) == header.body_check {
        Found::Complete(header, body)
    } else {
        Found::Damaged(Some(header))
    }
}

/// How many records a body has, if their lengths add up.
fn count(body: &[u8]) -> Option<usize> {
    records(body).try_fold(0, |count, record| record.map(|_| count + 1))
}

/// The records of a body; `None`, and then no more, where the lengths do not add up.
pub(crate) fn records(body: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let bytes = rest.take().filter(|bytes| !bytes.is_empty())?;
        let split = bytes
            .split_at_checked(LENGTH_BYTES)
            .and_then(|(length, bytes)| bytes.split_at_checked(u32_at(length, 0) as usize));
        rest = split.map(|(_, after)| after);
        Some(split.map(|(record, _)| record))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: [u8; 12] = [2, 0, 0, 0, b'a', b'b', 2, 0, 0, 0, b'c', b'd'];

    /// A batch of two records, with a header to lie in.
    fn read_with(lie: impl FnOnce(&mut Header)) -> Found {
        let mut header = Header {
            generation: 3,
            segment_bytes: 512,
            position: 10,
            durable: 10,
            count: 2,
            body_bytes: BODY.len() as u32,
            body_check: crc32c::crc32c(&BODY),
        };
        lie(&mut header);
        let mut segment = Vec::new();
        sector::push(&mut segment, 3, 0, Part::First, &[&header.encode()[..], &BODY].concat());
        read(&segment, 3, 0)
    }

    #[test]
    fn a_batch_reads_as_it_was_written() {
        assert!(matches!(read_with(|_| ()), Found::Complete(_, body) if body == BODY));
        let read: Vec<_> = records(&BODY).collect();
        assert_eq!(read, [Some(&b"ab"[..]), Some(&b"cd"[..])]);
    }

    /// Such headers bear valid checks, so only a faulty writer makes them: they are no reason to guess.
    #[test]
    fn a_header_that_contradicts_its_place_or_its_body_is_damage() {
        let lies: [fn(&mut Header); 8] = [
            |header| header.generation = 2,
            |header| header.segment_bytes = 1024,
            |header| header.durable = 11,
            |header| (header.position, header.durable) = (u64::MAX - 1, 0),
            |header| header.count = 1,
            |header| header.count = 3,
            |header| header.body_bytes = u32::MAX,
            |header| (header.body_bytes, header.body_check) = (11, crc32c::crc32c(&BODY[..11])),
        ];
        for (nth, lie) in lies.into_iter().enumerate() {
            let found = read_with(lie);
            assert!(matches!(found, Found::Damaged(_)), "lie {nth}: {found:?}");
        }
    }
}
