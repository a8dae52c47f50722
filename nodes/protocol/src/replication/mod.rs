//! What several variants are built of, so that a difference between them is the algorithm's.
//!
//! * [`ballot`], [`slot`], [`value`]: the numbers of proposals, the places of a log, and what one of them decides.
//! * [`journal`]: a node's own log of records, and its own votes that wait for its disk.
//! * [`window`]: entries by slot, without those that were dropped.
//! * [`requests`]: how requests reach a leader, and their answers come back.
//! * [`transfer`]: a snapshot, chunk by chunk.

pub mod ballot;
pub mod journal;
pub mod requests;
pub mod slot;
pub mod transfer;
pub mod value;
pub mod window;

pub use ballot::Ballot;
pub use journal::Journal;
pub use requests::{Courier, Leads, Origin, Requests, Ticket, Waiting};
pub use slot::Slot;
pub use transfer::{Chunk, Incoming, Partial, Source};
pub use value::Value;
pub use window::Window;
