//! Sequential specifications, one a file: what an object answers when operations come one by one.
//!
//! A [`Model`] is a state, a step and words for people. Partition by key is done outside, before a model sees anything:
//! linearizability is local (Herlihy and Wing, "Linearizability", 1990, section 3.3), so every key is judged alone.
//!
//! To add one: a file here, and a line below. Absent: crashed and failed operations, real time, and the search for an
//! order. A model only says whether one operation may follow a state, and what comes of it.

pub mod append_list;
pub mod counter;
pub mod fifo_queue;
pub mod mutex;
pub mod register;
pub mod set;
pub mod stack;
pub mod unordered_queue;

pub use append_list::AppendList;
pub use counter::Counter;
pub use fifo_queue::FifoQueue;
pub use mutex::Mutex;
pub use register::Register;
pub use set::GrowSet;
pub use stack::Stack;
pub use unordered_queue::UnorderedQueue;

use std::hash::Hash;
use tribunal_history::Value;

/// A sequential specification.
pub trait Model: Sync {
    /// What the object remembers. Two states that are equal must behave alike for ever: the search merges them.
    type State: Clone + Eq + Hash;
    /// One operation with its result, decoded once.
    type Op: Sync;

    /// The state before the first operation.
    fn init(&self) -> Self::State;

    /// The state after `op`, or `None` if `op` could not have had its result in `state`.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;

    /// The operation as a person would say it: `read 3`, `cas 1 -> 2`.
    fn describe(&self, op: &Self::Op) -> String;

    /// Reads an operation that was not failed, without its key. `output` is `None` where the result is not known.
    ///
    /// Answers `None` for one that can neither change the state nor contradict it, such as a read without a result.
    ///
    /// # Errors
    /// If the model has no such operation, or not with such values.
    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<Self::Op>, DecodeError>;

    /// Bytes that a state occupies beyond its own size, for the search's memory limit.
    fn heap_bytes(&self, _state: &Self::State) -> usize {
        0
    }
}

/// An operation that the model does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{f}` with {value} is not an operation of the model `{model}`")]
pub struct DecodeError {
    /// The model.
    pub model: &'static str,
    /// The function's name.
    pub f: String,
    /// The argument or result that does not fit.
    pub value: Value,
}

impl DecodeError {
    fn new(model: &'static str, f: &str, value: &Value) -> Self {
        Self { model, f: f.to_owned(), value: value.clone() }
    }
}
