//! A first-in, first-out queue: `enqueue` a value, `dequeue` the oldest one, or nil where the queue is empty.

use super::{DecodeError, Model};
use std::collections::VecDeque;
use tribunal_history::Value;

/// The queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct FifoQueue;

/// An operation on a queue, ordered or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueOp {
    /// Put this value in.
    Enqueue(Value),
    /// Took this value out.
    Dequeue(Value),
    /// Found nothing.
    DequeueNothing,
    /// Took out something, and nobody learned what. Where there was nothing, it might as well not have happened.
    DequeueUnknown,
}

impl QueueOp {
    /// Reads an operation, for any model of a queue.
    ///
    /// # Errors
    /// If it is neither `enqueue` of a value nor `dequeue`.
    pub(super) fn decode(
        model: &'static str,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Self, DecodeError> {
        match (f, output) {
            ("enqueue", _) if !input.is_nil() => Ok(Self::Enqueue(input.clone())),
            ("dequeue", None) => Ok(Self::DequeueUnknown),
            ("dequeue", Some(Value::Nil)) => Ok(Self::DequeueNothing),
            ("dequeue", Some(value)) => Ok(Self::Dequeue(value.clone())),
            _ => Err(DecodeError::new(model, f, input)),
        }
    }

    /// As a person would say it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Enqueue(value) => format!("enqueue {value}"),
            Self::Dequeue(value) => format!("dequeue {value}"),
            Self::DequeueNothing => "dequeue nothing".to_owned(),
            Self::DequeueUnknown => "dequeue something".to_owned(),
        }
    }
}

impl Model for FifoQueue {
    /// The oldest first.
    type State = VecDeque<Value>;
    type Op = QueueOp;

    fn init(&self) -> Self::State {
        VecDeque::new()
    }

    fn step(&self, state: &Self::State, op: &QueueOp) -> Option<Self::State> {
        let mut next = match op {
            QueueOp::Enqueue(_) | QueueOp::DequeueUnknown => state.clone(),
            QueueOp::Dequeue(value) => (state.front() == Some(value)).then(|| state.clone())?,
            QueueOp::DequeueNothing => return state.is_empty().then(VecDeque::new),
        };
        match op {
            QueueOp::Enqueue(value) => next.push_back(value.clone()),
            _ => drop(next.pop_front()?),
        }
        Some(next)
    }

    fn describe(&self, op: &QueueOp) -> String {
        op.describe()
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<QueueOp>, DecodeError> {
        QueueOp::decode("fifo-queue", f, input, output).map(Some)
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        state.capacity() * size_of::<Value>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leaves_first() {
        let enqueue = |value: i64| QueueOp::Enqueue(value.into());
        let one = FifoQueue.step(&FifoQueue.init(), &enqueue(1)).expect("always legal");
        let two = FifoQueue.step(&one, &enqueue(2)).expect("always legal");
        assert_eq!(FifoQueue.step(&two, &QueueOp::Dequeue(2.into())), None);
        assert_eq!(FifoQueue.step(&two, &QueueOp::DequeueNothing), None);
        let rest = FifoQueue.step(&two, &QueueOp::Dequeue(1.into()));
        assert_eq!(rest, FifoQueue.step(&two, &QueueOp::DequeueUnknown));
        assert_eq!(rest, Some(VecDeque::from([Value::Int(2)])));
    }
}
