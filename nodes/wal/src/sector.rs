//! A sector: the unit that a disk writes wholly or not at all, and the mark that tells who wrote it.
//!
//! Layout: 500 bytes of payload, the generation (u64, little endian), a CRC-32C over generation, the sector's place in its
//! segment and whether it is the first of a batch. The mark does not cover the payload: batches check that.
//!
//! Invariant: a written sector is never all zeros, and one flipped bit of a mark leaves no valid mark.

/// What a disk writes wholly or not at all, in bytes.
pub const SECTOR_BYTES: usize = 512;

/// What of a sector is left for a batch, in bytes.
pub(crate) const PAYLOAD_BYTES: usize = SECTOR_BYTES - MARK_BYTES;

const MARK_BYTES: usize = 8 + 4;

/// Which sector of its batch a sector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The one with the header.
    First,
    /// Any other.
    Rest,
}

/// How a sector reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sector<'a> {
    /// As it was before its segment came into use: zeros, or marked by a lower generation.
    Unwritten,
    /// Marked by this generation. The payload is unchecked.
    Written(Part, &'a [u8]),
    /// Anything else.
    Damaged,
}

/// Appends to `out` one sector with `payload`, which is padded with zeros.
pub(crate) fn push(out: &mut Vec<u8>, generation: u64, index: u64, part: Part, payload: &[u8]) {
    debug_assert!(payload.len() <= PAYLOAD_BYTES, "a sector holds {PAYLOAD_BYTES} bytes");
    out.extend_from_slice(payload);
    out.resize(out.len() + PAYLOAD_BYTES - payload.len(), 0);
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&check(generation, index, part).to_le_bytes());
}

/// Reads the sector `index` of a segment. One that the segment's end cuts is damaged.
pub(crate) fn read(segment: &[u8], generation: u64, index: u64) -> Sector<'_> {
    let Some(bytes) = bytes_of(segment, index) else {
        return Sector::Damaged;
    };
    if bytes == [0; SECTOR_BYTES] {
        return Sector::Unwritten;
    }
    let (payload, mark) = bytes.split_at(PAYLOAD_BYTES);
    let (marked_by, found) = (u64_at(mark, 0), u32_at(mark, 8));
    let part = [Part::First, Part::Rest]
        .into_iter()
        .find(|&part| marked_by != 0 && check(marked_by, index, part) == found);
    match part {
        Some(part) if marked_by == generation => Sector::Written(part, payload),
        Some(_) if marked_by < generation => Sector::Unwritten,
        _ => Sector::Damaged,
    }
}

/// How many whole sectors `bytes` bytes are.
pub(crate) fn whole(bytes: usize) -> u64 {
    (bytes / SECTOR_BYTES) as u64
}

fn bytes_of(segment: &[u8], index: u64) -> Option<&[u8]> {
    let from = usize::try_from(index).ok()?.checked_mul(SECTOR_BYTES)?;
    segment.get(from..from.checked_add(SECTOR_BYTES)?)
}

fn check(generation: u64, index: u64, part: Part) -> u32 {
    let mut bytes = [0; 17];
    bytes[..8].copy_from_slice(&generation.to_le_bytes());
    bytes[8..16].copy_from_slice(&index.to_le_bytes());
    bytes[16] = u8::from(part == Part::First);
    crc32c::crc32c(&bytes)
}

/// Reads a little-endian number; the caller has seen that the bytes are there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

/// Reads a little-endian number; the caller has seen that the bytes are there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector(generation: u64, index: u64) -> Vec<u8> {
        let mut out = vec![0; index as usize * SECTOR_BYTES];
        push(&mut out, generation, index, Part::Rest, b"payload");
        out
    }

    #[test]
    fn a_sector_reads_by_who_marked_it() {
        let segment = sector(7, 2);
        assert!(
            matches!(read(&segment, 7, 2), Sector::Written(Part::Rest, p) if p.starts_with(b"payload"))
        );
        assert_eq!(read(&segment, 8, 2), Sector::Unwritten, "of a lower generation");
        assert_eq!(read(&segment, 6, 2), Sector::Damaged, "of a higher generation");
        assert_eq!(read(&segment, 7, 0), Sector::Unwritten, "zeros");
        assert_eq!(read(&segment, 7, 3), Sector::Damaged, "beyond the end");
        assert_eq!(read(&segment[SECTOR_BYTES..], 7, 1), Sector::Damaged, "at another place");
    }

    #[test]
    fn no_flipped_bit_of_a_mark_leaves_it_valid() {
        let segment = sector(7, 0);
        for bit in PAYLOAD_BYTES * 8..SECTOR_BYTES * 8 {
            let mut flipped = segment.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            for generation in [7, 8, u64::MAX] {
                assert_eq!(read(&flipped, generation, 0), Sector::Damaged, "bit {bit}");
            }
        }
    }
}
