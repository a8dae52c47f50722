//! Values: what a slot decides.

use crate::machine::{Request, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// What a slot decides: requests, to be applied in this order. None at all is the no-op that fills a gap.
///
/// Shared, so that log, pipeline and messages hold one copy. The digest and the size are those of the requests'
/// encoding; the proposer computes them once, and they travel along.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Value {
    requests: Requests,
    digest: u64,
    bytes: u32,
}

impl Value {
    /// The value that changes nothing ("a special no-op command that leaves the state unchanged", section 3).
    #[must_use]
    pub fn no_op() -> Self {
        Self::new(Vec::new(), &[])
    }

    /// A value of `requests`, whose encodings, one after the other, are `encoded`.
    #[must_use]
    pub fn new(requests: Vec<Request>, encoded: &[u8]) -> Self {
        let digest = digest::of_bytes(encoded);
        let bytes = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
        Self { requests: Requests(requests.into()), digest, bytes }
    }

    /// The requests, in their order.
    #[must_use]
    pub fn requests(&self) -> &[Request] {
        &self.requests.0
    }

    /// Equal for equal values.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The size of the encoded requests, near enough the size of the value in a message.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.requests.0 == other.requests.0
    }
}

/// `Arc<[Request]>`, encoded as the requests.
#[derive(Clone, Debug)]
struct Requests(Arc<[Request]>);

impl Serialize for Requests {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Requests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|requests| Self(requests.into()))
    }
}
