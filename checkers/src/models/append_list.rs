//! A list that only grows at its end: `append` an element, `read` the whole list in order.

use super::{DecodeError, Model, Nature};
use tribunal_history::Value;

/// The list.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppendList;

/// An operation on a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListOp {
    /// Put this element at the end.
    Append(Value),
    /// Returned the list.
    Read(Vec<Value>),
}

impl Model for AppendList {
    type State = Vec<Value>;
    type Op = ListOp;

    fn init(&self) -> Self::State {
        Vec::new()
    }

    fn step(&self, state: &Self::State, op: &ListOp) -> Option<Self::State> {
        match op {
            ListOp::Append(element) => {
                let mut next = Vec::with_capacity(state.len() + 1);
                next.extend_from_slice(state);
                next.push(element.clone());
                Some(next)
            }
            ListOp::Read(list) => (state == list).then(|| state.clone()),
        }
    }

    fn nature(&self, op: &ListOp) -> Nature {
        match op {
            ListOp::Append(_) => Nature::Total,
            ListOp::Read(_) => Nature::Observes,
        }
    }

    /// A list only grows at its end.
    fn loses(&self, state: &Vec<Value>, op: &ListOp) -> bool {
        matches!(op, ListOp::Read(list) if !list.starts_with(state))
    }

    fn describe(&self, op: &ListOp) -> String {
        match op {
            ListOp::Append(element) => format!("append {element}"),
            ListOp::Read(list) => format!("read {}", Value::List(list.clone())),
        }
    }

    /// A list that was never appended to may read as nil.
    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<ListOp>, DecodeError> {
        match (f, output) {
            ("append", _) => Ok(Some(ListOp::Append(input.clone()))),
            ("read", None) => Ok(None),
            ("read", Some(Value::Nil)) => Ok(Some(ListOp::Read(Vec::new()))),
            ("read", Some(Value::List(list))) => Ok(Some(ListOp::Read(list.clone()))),
            (_, value) => Err(DecodeError::new("append-list", f, value.unwrap_or(input))),
        }
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        state.capacity() * size_of::<Value>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_the_order() {
        let step = |state: &Vec<Value>, element: i64| {
            AppendList.step(state, &ListOp::Append(element.into())).expect("always legal")
        };
        let list = step(&step(&AppendList.init(), 1), 2);
        assert!(AppendList.step(&list, &ListOp::Read(vec![1.into(), 2.into()])).is_some());
        assert!(AppendList.step(&list, &ListOp::Read(vec![2.into(), 1.into()])).is_none());
    }
}
