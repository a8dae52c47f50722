//! A counter from 0: `add` a number, which may be negative, and `read` the sum.

use super::{DecodeError, Model, Nature};
use tribunal_history::Value;

/// The counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter;

/// An operation on a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterOp {
    /// Added this much.
    Add(i64),
    /// Returned this sum.
    Read(i64),
}

impl Model for Counter {
    /// Wide enough for every sum of fewer than 2^63 additions.
    type State = i128;
    type Op = CounterOp;

    fn init(&self) -> i128 {
        0
    }

    fn step(&self, state: &i128, op: &CounterOp) -> Option<i128> {
        match *op {
            CounterOp::Add(delta) => state.checked_add(delta.into()),
            CounterOp::Read(sum) => (*state == i128::from(sum)).then_some(*state),
        }
    }

    fn nature(&self, op: &CounterOp) -> Nature {
        match op {
            CounterOp::Add(_) => Nature::Total,
            CounterOp::Read(_) => Nature::Observes,
        }
    }

    fn describe(&self, op: &CounterOp) -> String {
        match op {
            CounterOp::Add(delta) => format!("add {delta}"),
            CounterOp::Read(sum) => format!("read {sum}"),
        }
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<CounterOp>, DecodeError> {
        let int =
            |value: &Value| value.as_int().ok_or_else(|| DecodeError::new("counter", f, value));
        match f {
            "add" => Ok(Some(CounterOp::Add(int(input)?))),
            "read" => output.map(int).transpose().map(|sum| sum.map(CounterOp::Read)),
            _ => Err(DecodeError::new("counter", f, input)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_sums() {
        assert_eq!(Counter.step(&2, &CounterOp::Add(-5)), Some(-3));
        assert_eq!(Counter.step(&2, &CounterOp::Read(2)), Some(2));
        assert_eq!(Counter.step(&2, &CounterOp::Read(3)), None);
        let beyond = Counter.step(&i64::MAX.into(), &CounterOp::Add(1)).expect("it has room");
        assert_eq!(Counter.step(&beyond, &CounterOp::Add(-1)), Some(i64::MAX.into()));
    }
}
