//! A set that only grows: `add` an element, `read` all of them (as a list, in any order).

use super::{DecodeError, Model, Nature};
use std::collections::BTreeSet;
use tribunal_history::Value;

/// The set.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrowSet;

/// An operation on a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SetOp {
    /// Put this element in.
    Add(Value),
    /// Returned these elements.
    Read(BTreeSet<Value>),
}

impl Model for GrowSet {
    type State = BTreeSet<Value>;
    type Op = SetOp;

    fn init(&self) -> Self::State {
        BTreeSet::new()
    }

    fn step(&self, state: &Self::State, op: &SetOp) -> Option<Self::State> {
        match op {
            SetOp::Add(element) => {
                let mut next = state.clone();
                next.insert(element.clone());
                Some(next)
            }
            SetOp::Read(elements) => (state == elements).then(|| state.clone()),
        }
    }

    fn nature(&self, op: &SetOp) -> Nature {
        match op {
            SetOp::Add(_) => Nature::Total,
            SetOp::Read(_) => Nature::Observes,
        }
    }

    /// A set only grows.
    fn loses(&self, state: &Self::State, op: &SetOp) -> bool {
        matches!(op, SetOp::Read(elements) if !state.is_subset(elements))
    }

    fn describe(&self, op: &SetOp) -> String {
        match op {
            SetOp::Add(element) => format!("add {element}"),
            SetOp::Read(elements) => {
                format!("read {}", Value::List(elements.iter().cloned().collect()))
            }
        }
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<SetOp>, DecodeError> {
        match (f, output) {
            ("add", _) => Ok(Some(SetOp::Add(input.clone()))),
            ("read", None) => Ok(None),
            ("read", Some(Value::List(list))) => {
                Ok(Some(SetOp::Read(list.iter().cloned().collect())))
            }
            (_, value) => Err(DecodeError::new("set", f, value.unwrap_or(input))),
        }
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        state.len() * 2 * size_of::<Value>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_shows_exactly_what_was_added() {
        let one = GrowSet.step(&GrowSet.init(), &SetOp::Add(1.into())).expect("always legal");
        assert!(GrowSet.step(&one, &SetOp::Read([1.into()].into())).is_some());
        assert!(GrowSet.step(&one, &SetOp::Read(BTreeSet::new())).is_none());
        assert!(GrowSet.decode("read", &Value::Nil, Some(&1.into())).is_err());
    }
}
