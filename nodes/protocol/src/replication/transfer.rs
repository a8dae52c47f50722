//! The transfer of a snapshot between nodes, chunk by chunk.
//!
//! The one who lags drives: it asks for one part at a time and says how far it has come, so the peer keeps nothing about
//! it. A snapshot is named by its last slot and the digest of its bytes; another peer with the same bytes may go on with it,
//! and any other snapshot starts anew.
//!
//! Bounds: one snapshot under way in each direction, one chunk a message.

use super::Slot;
use crate::core::Time;
use crate::machine::digest;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far the receiver of a snapshot has come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// Which snapshot: the last slot that it covers ...
    pub slot: Slot,
    /// ... and a digest of its bytes.
    pub digest: u64,
    /// Bytes received; the next chunk begins here.
    pub offset: u64,
}

/// A part of a snapshot, for whom the log no longer reaches back far enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Which snapshot, and where this part begins.
    pub at: Partial,
    /// How many bytes the snapshot has.
    pub total: u64,
    /// The part.
    pub bytes: Vec<u8>,
}

/// A snapshot that peers are fetching from this node.
#[derive(Debug)]
pub struct Source {
    slot: Slot,
    digest: u64,
    bytes: Vec<u8>,
    used_at: Time,
}

impl Source {
    /// The snapshot of the state after `slot`.
    #[must_use]
    pub fn new(slot: Slot, bytes: Vec<u8>, now: Time) -> Self {
        Self { slot, digest: digest::of_bytes(&bytes), bytes, used_at: now }
    }

    /// The last slot that it covers.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Whether `partial` is a part of it.
    #[must_use]
    pub fn goes_on(&self, partial: &Partial) -> bool {
        (self.slot, self.digest) == (partial.slot, partial.digest)
    }

    /// The part from `offset` on, at most `chunk_bytes` long. `None` if there are not so many bytes.
    pub fn chunk(&mut self, offset: u64, chunk_bytes: usize, now: Time) -> Option<Chunk> {
        self.used_at = now;
        let rest = usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..))?;
        let bytes = rest[..rest.len().min(chunk_bytes.max(1))].to_vec();
        let at = Partial { slot: self.slot, digest: self.digest, offset };
        Some(Chunk { at, total: self.bytes.len() as u64, bytes })
    }

    /// Whether nobody has fetched a part of it for longer than `patience`.
    #[must_use]
    pub fn is_idle(&self, now: Time, patience: Duration) -> bool {
        now.since(self.used_at) > patience
    }
}

/// A snapshot that comes in.
#[derive(Debug)]
pub struct Incoming {
    slot: Slot,
    digest: u64,
    total: u64,
    bytes: Vec<u8>,
}

impl Incoming {
    /// How far it has come.
    #[must_use]
    pub fn partial(&self) -> Partial {
        Partial { slot: self.slot, digest: self.digest, offset: self.bytes.len() as u64 }
    }

    /// The last slot that it covers.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Takes a chunk if it is the next one of `incoming`, or the first of another snapshot. False if it was not taken,
    /// since it is a copy, or a part of a snapshot that was given up.
    pub fn take(incoming: &mut Option<Self>, chunk: &Chunk) -> bool {
        let Chunk { at: Partial { slot, digest, offset }, total, ref bytes } = *chunk;
        let expected = incoming.as_ref().map(Self::partial);
        if offset == 0 && expected.is_none_or(|held| (held.slot, held.digest) != (slot, digest)) {
            *incoming = Some(Self { slot, digest, total, bytes: Vec::new() });
        } else if expected != Some(chunk.at) {
            return false;
        }
        if let Some(incoming) = incoming {
            incoming.bytes.extend_from_slice(bytes);
        }
        true
    }

    /// The slot and the bytes of `incoming`, once they are complete; it is taken out.
    ///
    /// # Panics
    /// If the bytes are not those that the sender named.
    pub fn complete(incoming: &mut Option<Self>) -> Option<(Slot, Vec<u8>)> {
        let whole = incoming.take_if(|incoming| incoming.bytes.len() as u64 >= incoming.total)?;
        assert_eq!(digest::of_bytes(&whole.bytes), whole.digest, "messages are not altered");
        Some((whole.slot, whole.bytes))
    }
}
