//! A client library that takes a request without an answer for one that failed.
//!
//! *Mechanism.* An operation that ends by a timeout after its first byte left is reported as `fail`, as if it had
//! surely not taken effect. Whatever else is not known stays `info`.
//!
//! *Seen in* scalar-labs/scalar-jepsen PR #29: the test of Cassandra reported every `WriteTimeoutException` of a
//! counter as `:fail`, though "some values had been applied eventually".
//!
//! *Exposed by* whatever delays an answer for longer than the client waits: a pause, a partition, a slow disk.
//!
//! *Anomaly.* A write that failed is read (G1a, aborted read).

use super::{ClientBug, Mutant, Part};
use crate::Completion;
use crate::client::{Done, TIMEOUT};

/// Its line of the catalogue.
pub const MUTANT: Mutant = Mutant {
    number: 24,
    name: "timeout-is-fail",
    mechanism: "the client reports an operation that timed out after its first byte left as failed",
    seen_in: "the test of Cassandra in scalar-labs/scalar-jepsen, PR #29",
    exposed_by: "a fault that delays answers for longer than the client waits",
    anomaly: "read of a write that failed (aborted read)",
    part: Part::Client(ClientBug::TimeoutIsFail),
};

/// How the operation ended, as this client library says.
#[must_use]
pub fn timeout_is_fail(done: Done) -> Done {
    let completion = match done.completion {
        Completion::Info { error } if error == TIMEOUT => Completion::Fail { error },
        other => other,
    };
    Done { completion, ..done }
}
