//! What every client saw: events, operations, and the file that holds them.
//!
//! * [`value`]: what an operation carries.
//! * [`event`]: one line of a history, as in Jepsen.
//! * [`jsonl`]: the history file, one event a line, read and written as a stream.
//! * [`pairing`]: events to operations.
//!
//! Nothing here keeps a whole history in memory: readers stream, and each checker keeps the summary that it needs.

pub mod event;
pub mod jsonl;
pub mod pairing;
pub mod value;

pub use event::{Actor, Event, EventKind, Process};
pub use pairing::{Operation, Outcome, Pairing, PairingError, Stamp};
pub use value::Value;
