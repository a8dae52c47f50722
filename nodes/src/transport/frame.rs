//! Frames: four bytes of length, most significant first, and that many bytes of postcard.
//!
//! Invariant: no frame is longer than its stated bound, neither one that is sent nor one that is taken. A longer one that
//! is announced ends the connection before a byte of it is stored.

use serde::{Serialize, de::DeserializeOwned};
use tokio_util::codec::LengthDelimitedCodec;

/// Bytes that a message between peers may have, without its length.
pub(crate) const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

const HEAD_BYTES: usize = 4;

/// A message that is longer than [`FRAME_BYTES_MAX`], and how long it is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes does not fit into a frame of {FRAME_BYTES_MAX}")]
pub(crate) struct Oversized(pub(crate) usize);

/// Makes `frame` hold `message`, and nothing else.
pub(crate) fn encode<T: Serialize>(message: &T, frame: &mut Vec<u8>) -> Result<(), Oversized> {
    frame.clear();
    frame.extend_from_slice(&[0; HEAD_BYTES]);
    postcard::to_io(message, &mut *frame).expect("sequences of known length, written to memory");
    let length = frame.len() - HEAD_BYTES;
    let head = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX);
    frame[..HEAD_BYTES].copy_from_slice(&head.ok_or(Oversized(length))?.to_be_bytes());
    Ok(())
}

/// Reads what a frame holds, without its length. Refuses bytes that are left over.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    match postcard::take_from_bytes(bytes)? {
        (message, []) => Ok(message),
        (_, _) => Err(postcard::Error::DeserializeBadEncoding),
    }
}

/// Splits a stream into frames of at most `bytes_max`.
pub(crate) fn codec(bytes_max: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(bytes_max).new_codec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use tokio_util::codec::Decoder;

    #[test]
    fn a_frame_reads_back() {
        let mut frame = vec![9; 100];
        encode(&(7_u64, "x"), &mut frame).expect("short");
        let mut stream = BytesMut::from(&frame[..]);
        let body = codec(16).decode(&mut stream).expect("sound").expect("whole");
        assert_eq!(decode::<(u64, String)>(&body).expect("its own"), (7, "x".to_owned()));
        assert!(stream.is_empty());
    }

    #[test]
    fn every_prefix_of_a_frame_waits_for_more() {
        let mut frame = Vec::new();
        encode(&"a message", &mut frame).expect("short");
        for length in 0..frame.len() {
            let mut stream = BytesMut::from(&frame[..length]);
            assert_eq!(codec(16).decode(&mut stream).expect("sound"), None, "prefix {length}");
        }
    }

    #[test]
    fn a_frame_over_the_bound_is_refused_on_both_sides() {
        let body = "x".repeat(FRAME_BYTES_MAX);
        let error = encode(&body, &mut Vec::new()).expect_err("its length comes on top");
        assert_eq!(error, Oversized(FRAME_BYTES_MAX + 4));
        let mut head = BytesMut::from(&17_u32.to_be_bytes()[..]);
        assert!(codec(16).decode(&mut head).is_err());
    }

    #[test]
    fn bytes_left_over_are_refused() {
        assert!(decode::<u8>(&[1]).is_ok());
        assert!(decode::<u8>(&[1, 1]).is_err());
        assert!(decode::<u8>(&[]).is_err());
    }
}
