//! Collections whose elements are unique, and locks: each judged by the best algorithm that is known for it.
//!
//! * [`FifoQueue`], [`UnorderedQueue`], [`Stack`]: exact in O(n log n) for unique values.
//! * [`Mutex`], [`OwnedMutex`]: exact in O(n log n).
//! * [`Set`]: sets that only grow, with reads of all elements; exact.
//! * [`Counter`]: exact in O(n log n) where all adds add the same.
//!
//! Every checker says in its verdict which engine decided: its own, or `wgl`, the general one, for what its own algorithm
//! does not take. Values of queues and stacks that look like `[key, value]` are values:
//! one object a history. Sets and counters may be keyed, as our own workloads write them.
//!
//! Absent: priority queues; a queue that is read without taking (`peek`).

mod counter;
mod emptiness;
mod fifo_queue;
mod mutex;
mod removal;
mod ruling;
mod set;
mod stack;
mod transfers;
mod trees;
mod unordered_queue;

pub use counter::Counter;
pub use fifo_queue::FifoQueue;
pub use mutex::{Mutex, OwnedMutex};
pub use set::Set;
pub use stack::Stack;
pub use unordered_queue::UnorderedQueue;
