//! Collections whose elements are unique, and locks: each judged by the best algorithm that is known for it.
//!
//! * [`FifoQueue`], [`UnorderedQueue`], [`Stack`]: exact in O(n log n) for unique values.
//!
//! Every checker says in its verdict which engine decided: its own, or `wgl`, the general one, for what its own algorithm
//! does not take. Values that look like `[key, value]` are values here: one object a history.
//!
//! Absent: priority queues; a queue that is read without taking (`peek`).

mod emptiness;
mod fifo_queue;
mod removal;
mod ruling;
mod stack;
mod transfers;
mod trees;
mod unordered_queue;

pub use fifo_queue::FifoQueue;
pub use stack::Stack;
pub use unordered_queue::UnorderedQueue;
