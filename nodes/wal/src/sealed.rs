//! A file that is always replaced as a whole, such as a snapshot: a kind, a check, the contents.
//!
//! Layout: kind (8 bytes), CRC-32C over all that follows (u32, little endian), length of the contents (u64), contents.
//!
//! Invariant: what [`open`] accepts is what [`seal`] was given, to the byte. A host replaces such a file by writing another,
//! syncing it, renaming it over the old one and syncing the directory; so it is never torn, and damage is rot.

/// What kind of file it is, such as `b"snapshot"`.
pub type Kind = [u8; 8];

/// Why the contents of a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The file is of another kind.
    #[error("it is not of the kind that its name promises")]
    Kind,
    /// The check fails, or the length differs.
    #[error("its contents are damaged")]
    Damaged,
}

const HEADER_BYTES: usize = 8 + 4 + 8;

/// The file whose contents are `parts`, in a row.
#[must_use]
pub fn seal(kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut file = Vec::with_capacity(HEADER_BYTES + length);
    file.extend_from_slice(&kind);
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&(length as u64).to_le_bytes());
    for part in parts {
        file.extend_from_slice(part);
    }
    let check = crc32c::crc32c(&file[12..]);
    file[8..12].copy_from_slice(&check.to_le_bytes());
    file
}

/// The contents of a file.
///
/// # Errors
/// [`SealError`] if it is not a file of this kind, as it was written.
pub fn open(kind: Kind, file: &[u8]) -> Result<&[u8], SealError> {
    let (found, rest) = file.split_first_chunk::<8>().ok_or(SealError::Damaged)?;
    let (check, rest) = rest.split_first_chunk::<4>().ok_or(SealError::Damaged)?;
    let (length, contents) = rest.split_first_chunk::<8>().ok_or(SealError::Damaged)?;
    if *found != kind {
        return Err(SealError::Kind);
    }
    let whole = u64::from_le_bytes(*length) == contents.len() as u64
        && u32::from_le_bytes(*check) == crc32c::crc32c(rest);
    if whole { Ok(contents) } else { Err(SealError::Damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_opens_to_its_contents() {
        let file = seal(*b"snapshot", &[b"one", b"", b"two"]);
        assert_eq!(open(*b"snapshot", &file), Ok(&b"onetwo"[..]));
        assert_eq!(open(*b"counters", &file), Err(SealError::Kind));
    }

    #[test]
    fn no_prefix_extension_or_flipped_bit_opens() {
        let file = seal(*b"snapshot", &[b"contents"]);
        for length in 0..file.len() {
            assert!(open(*b"snapshot", &file[..length]).is_err(), "{length} bytes");
        }
        assert!(open(*b"snapshot", &[&file[..], b"x"].concat()).is_err());
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(*b"snapshot", &flipped).is_err(), "bit {bit}");
        }
    }
}
