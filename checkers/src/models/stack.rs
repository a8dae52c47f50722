//! A stack: `push` a value, `pop` the newest one, or nil where the stack is empty.

use super::{DecodeError, Model};
use tribunal_history::Value;

/// The stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stack;

/// An operation on a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StackOp {
    /// Put this value on top.
    Push(Value),
    /// Took this value from the top.
    Pop(Value),
    /// Found nothing.
    PopNothing,
    /// Took something, and nobody learned what. Where there was nothing, it might as well not have happened.
    PopUnknown,
}

impl Model for Stack {
    /// The newest last.
    type State = Vec<Value>;
    type Op = StackOp;

    fn init(&self) -> Self::State {
        Vec::new()
    }

    fn step(&self, state: &Self::State, op: &StackOp) -> Option<Self::State> {
        match op {
            StackOp::Push(value) => {
                let mut next = Vec::with_capacity(state.len() + 1);
                next.extend_from_slice(state);
                next.push(value.clone());
                Some(next)
            }
            StackOp::PopNothing => state.is_empty().then(Vec::new),
            StackOp::Pop(_) | StackOp::PopUnknown => {
                let (top, rest) = state.split_last()?;
                let fits = !matches!(op, StackOp::Pop(value) if value != top);
                fits.then(|| rest.to_vec())
            }
        }
    }

    fn describe(&self, op: &StackOp) -> String {
        match op {
            StackOp::Push(value) => format!("push {value}"),
            StackOp::Pop(value) => format!("pop {value}"),
            StackOp::PopNothing => "pop nothing".to_owned(),
            StackOp::PopUnknown => "pop something".to_owned(),
        }
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<StackOp>, DecodeError> {
        match (f, output) {
            ("push", _) if !input.is_nil() => Ok(Some(StackOp::Push(input.clone()))),
            ("pop", None) => Ok(Some(StackOp::PopUnknown)),
            ("pop", Some(Value::Nil)) => Ok(Some(StackOp::PopNothing)),
            ("pop", Some(value)) => Ok(Some(StackOp::Pop(value.clone()))),
            _ => Err(DecodeError::new("stack", f, input)),
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
    fn the_newest_leaves_first() {
        let push = |value: i64| StackOp::Push(value.into());
        let one = Stack.step(&Stack.init(), &push(1)).expect("always legal");
        let two = Stack.step(&one, &push(2)).expect("always legal");
        assert_eq!(Stack.step(&two, &StackOp::Pop(1.into())), None);
        assert_eq!(Stack.step(&two, &StackOp::PopNothing), None);
        assert_eq!(Stack.step(&two, &StackOp::Pop(2.into())), Some(one.clone()));
        assert_eq!(Stack.step(&two, &StackOp::PopUnknown), Some(one));
    }
}
