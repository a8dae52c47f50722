//! One number for a whole value: equal values have equal digests, on every machine and in every build.
//!
//! The digest is taken of the value's postcard encoding, which is canonical for the ordered collections that this
//! crate confines itself to. `std::hash` would serve less well: the standard library's hashers promise no stable
//! result from one version to the next, and simulated runs are compared across builds.
//!
//! Absent on purpose: resistance against an adversary. Whoever compares digests wants to notice divergence.

use serde::Serialize;

/// A digest of `value`, in O(size of its encoding).
#[must_use]
pub fn of<T: Serialize>(value: &T) -> u64 {
    of_bytes(&encode(value))
}

/// A digest of `bytes`, eight at a time: FNV-1a's step on words, with a shift that lets high bits reach low ones.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |digest: u64, word: u64| {
        let mixed = (digest ^ word).wrapping_mul(PRIME);
        mixed ^ (mixed >> 32)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let digest = words.iter().fold(OFFSET, |digest, word| mix(digest, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(mix(digest, u64::from_le_bytes(last)), bytes.len() as u64)
}

/// The canonical encoding of `value`.
///
/// # Panics
/// If `value` cannot be encoded. The types of this crate can: all their sequences know their length.
#[must_use]
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("sequences of known length, written to memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_and_the_length_count() {
        for length in 0..40_usize {
            let zeros = vec![0_u8; length];
            assert_ne!(of_bytes(&zeros), of_bytes(&vec![0; length + 1]), "length {length}");
            for bit in 0..length * 8 {
                let mut flipped = zeros.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(of_bytes(&zeros), of_bytes(&flipped), "length {length}, bit {bit}");
            }
        }
    }

    #[test]
    fn the_digest_is_the_same_in_every_build() {
        assert_eq!(of_bytes(b"the part-time parliament"), 3_808_915_052_642_975_238);
    }
}
