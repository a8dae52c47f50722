//! An execution as a message sequence diagram: lifelines of clients and nodes, calls, messages and faults in the order of
//! time, up to what convicts.
//!
//! One model, two renderings: [`Diagram::text`] for a terminal, and [`Diagram::svg`] for a page. Both show the same rows.
//!
//! Shown is what matters: the processes of the witness (and a few others, up to four) and every node; all from the beginning, if
//! it fits, else from just before the first operation of the witness. Heartbeats and the like are left out unless nothing
//! else remains. If it is still too long, the messages farthest from any call and fault are left out first, and then the
//! earliest rows. What is left out is counted and said.
//!
//! Absent: steps of a disk, and attempts of a client beyond the first, which no record tells. A restart has no record
//! either: a node counts as down until the fault ends, or until it sends.

mod label;
mod model;
mod svg;
mod text;

pub use model::Diagram;
