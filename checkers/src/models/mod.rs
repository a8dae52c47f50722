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
pub mod kv;
pub mod multi_register;
pub mod mutex;
mod observed;
pub mod owner_mutex;
pub mod porcupine_etcd;
pub mod register;
pub mod set;
pub mod stack;
pub mod unordered_queue;

pub use append_list::AppendList;
pub use counter::Counter;
pub use fifo_queue::FifoQueue;
pub use kv::Kv;
pub use multi_register::MultiRegister;
pub use mutex::Mutex;
pub use owner_mutex::OwnerMutex;
pub use porcupine_etcd::PorcupineEtcd;
pub use register::Register;
pub use set::GrowSet;
pub use stack::Stack;
pub use unordered_queue::UnorderedQueue;

use std::fmt;
use std::hash::Hash;
use tribunal_history::{Process, Value};

/// A sequential specification.
pub trait Model: Sync {
    /// What the object remembers. Two states that are equal must behave alike for ever: the search merges them.
    type State: Clone + Eq + Hash + fmt::Debug;
    /// One operation with its result, decoded once. Operations that are equal must behave alike: the search swaps them.
    type Op: Clone + Eq + Hash + fmt::Debug + Send + Sync;

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

    /// The state as a person would say it.
    fn describe_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// What the search may take for granted of an operation, in every state. The default is always right.
    fn nature(&self, _op: &Self::Op) -> Nature {
        Nature::Other
    }

    /// Whether the observation `op` is ruled out for good: not possible in `state`, nor after any operations that follow it
    /// and do not overwrite. The default is no.
    fn loses(&self, _state: &Self::State, _op: &Self::Op) -> bool {
        false
    }

    /// Which of the `doubtful` operations may matter to the others: a flag for each. The default is all.
    ///
    /// To be right, in every legal sequence of all the `certain` operations and some `doubtful` ones, striking out those
    /// that do not matter must leave a legal sequence. The search strikes out crashed operations by it, and the
    /// shrinking of a witness any others.
    fn may_matter(&self, _certain: &[&Self::Op], doubtful: &[&Self::Op]) -> Vec<bool> {
        vec![true; doubtful.len()]
    }

    /// As [`Model::decode`], for models where it matters who did it.
    ///
    /// # Errors
    /// As for [`Model::decode`].
    fn decode_by(
        &self,
        _process: Process,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<Self::Op>, DecodeError> {
        self.decode(f, input, output)
    }

    /// Reads an operation that failed. It did not happen; the default says that it asserts nothing either.
    ///
    /// # Errors
    /// As for [`Model::decode`].
    fn decode_failed(&self, _f: &str, _input: &Value) -> Result<Option<Self::Op>, DecodeError> {
        Ok(None)
    }

    /// The part of the object that an operation is about, if operations on different parts do not matter to each other.
    /// Each is then judged alone. The default is one part.
    fn partition(&self, _f: &str, _input: &Value) -> Value {
        Value::Nil
    }

    /// Bytes that a state occupies beyond its own size, for the search's memory limit.
    fn heap_bytes(&self, _state: &Self::State) -> usize {
        0
    }
}

/// What holds of an operation in every state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nature {
    /// It never changes the state: where it is possible, the state after it is the state before.
    Observes,
    /// It is possible in every state, and the state after it does not depend on the state before.
    Overwrites,
    /// It is possible in every state.
    Total,
    /// Nothing is known.
    #[default]
    Other,
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
