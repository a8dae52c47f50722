//! What every client saw: events, operations, and the file that holds them.
//!
//! * [`value`]: what an operation carries.
//! * [`event`]: one line of a history, as in Jepsen.
//! * [`jsonl`]: the history file, one event a line, read and written as a stream.
//! * [`formats`]: any history file, ours or another project's, found by its content.
//! * [`pairing`]: events to operations.
//!
//! Nothing here keeps a whole history in memory: readers stream, and each checker keeps the summary that it needs.

mod error;
pub mod event;
pub mod formats;
mod json;
pub mod jsonl;
mod lines;
pub mod pairing;
mod record;
pub mod value;

pub use error::ReadError;
pub use event::{Actor, Event, EventKind, Process};
pub use pairing::{Operation, Outcome, Pairing, PairingError, Stamp};
pub use value::Value;
