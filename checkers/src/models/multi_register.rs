//! Registers that transactions read and write together, as Jepsen's `multi-register`: `txn` of `[["r", k, v] ...]`.
//!
//! A transaction takes effect at one point; its steps see each other in their order. A register is nil before its first
//! write. What a crashed transaction read is not known. All registers are one state: there is no partition.

use super::{DecodeError, Model, Nature};
use std::collections::BTreeMap;
use tribunal_history::Value;

/// The registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct MultiRegister;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read this register: the value, if it is known.
    Read(Value, Option<Value>),
    /// Wrote this register.
    Write(Value, Value),
}

impl Model for MultiRegister {
    /// Registers that are not nil.
    type State = BTreeMap<Value, Value>;
    type Op = Vec<Access>;

    fn init(&self) -> Self::State {
        BTreeMap::new()
    }

    fn step(&self, state: &Self::State, op: &Vec<Access>) -> Option<Self::State> {
        let mut next = state.clone();
        for access in op {
            match access {
                Access::Read(_, None) => {}
                Access::Read(key, Some(value)) if next.get(key).unwrap_or(&Value::Nil) == value => {
                }
                Access::Read(..) => return None,
                Access::Write(key, Value::Nil) => drop(next.remove(key)),
                Access::Write(key, value) => drop(next.insert(key.clone(), value.clone())),
            }
        }
        Some(next)
    }

    fn nature(&self, op: &Vec<Access>) -> Nature {
        let writes = op.iter().any(|access| matches!(access, Access::Write(..)));
        let reads = op.iter().any(|access| matches!(access, Access::Read(_, Some(_))));
        match (reads, writes) {
            (_, false) => Nature::Observes,
            (false, true) => Nature::Total,
            (true, true) => Nature::Other,
        }
    }

    fn describe_state(&self, state: &Self::State) -> String {
        Value::Map(state.clone().into_iter().collect()).to_string()
    }

    fn describe(&self, op: &Vec<Access>) -> String {
        let words: Vec<String> = op
            .iter()
            .map(|access| match access {
                Access::Read(key, None) => format!("read {key}"),
                Access::Read(key, Some(value)) => format!("read {key} = {value}"),
                Access::Write(key, value) => format!("write {key} = {value}"),
            })
            .collect();
        words.join(", ")
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<Vec<Access>>, DecodeError> {
        let value = output.unwrap_or(input);
        let refused = || DecodeError::new("multi-register", f, value);
        let steps = value.as_list().filter(|_| f == "txn").ok_or_else(refused)?;
        if !input.as_list().is_some_and(|asked| answers(asked, steps)) {
            return Err(refused());
        }
        let access = |step: &Value| {
            let Some([kind, key, value]) = step.as_list() else { return Err(refused()) };
            match kind.as_text() {
                Some("r" | "read") => {
                    Ok(Access::Read(key.clone(), output.is_some().then(|| value.clone())))
                }
                Some("w" | "write") => Ok(Access::Write(key.clone(), value.clone())),
                _ => Err(refused()),
            }
        };
        steps.iter().map(access).collect::<Result<_, _>>().map(Some)
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        state.len() * 3 * size_of::<Value>()
    }
}

/// Whether these are the results of the steps that were asked: the same, but for what was read. Judging others would leave
/// out what was done, or judge what was not.
fn answers(asked: &[Value], done: &[Value]) -> bool {
    let answers = |(asked, done): (&Value, &Value)| match (asked.as_list(), done.as_list()) {
        (Some([f, key, value]), Some([same_f, same_key, result])) => {
            let reads = matches!(f.as_text(), Some("r" | "read"));
            f == same_f && key == same_key && (reads || value == result)
        }
        _ => false,
    };
    asked.len() == done.len() && asked.iter().zip(done).all(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_one_step() {
        let step = |kind: &str, key: i64, value: i64| {
            Value::List(vec![Value::text(kind), key.into(), value.into()])
        };
        let decode = |steps: Vec<Value>| {
            let value = Value::List(steps);
            let op = MultiRegister.decode("txn", &value, Some(&value));
            op.expect("of the model").expect("an operation")
        };
        let both = decode(vec![step("w", 1, 5), step("w", 2, 6), step("r", 1, 5)]);
        let state = MultiRegister.step(&MultiRegister.init(), &both).expect("legal");
        assert!(MultiRegister.step(&state, &decode(vec![step("r", 2, 6)])).is_some());
        assert!(MultiRegister.step(&state, &decode(vec![step("r", 2, 7)])).is_none());
        assert!(MultiRegister.decode("txn", &1.into(), None).is_err());
    }

    #[test]
    fn results_of_other_steps_are_refused() {
        let step = |kind: &str, key: i64, value: Value| {
            Value::List(vec![Value::text(kind), key.into(), value])
        };
        let write = |value: i64| Value::List(vec![step("w", 1, value.into())]);
        let read = |key: i64, value: Value| Value::List(vec![step("r", key, value)]);
        let decode = |asked: Value, done: Value| MultiRegister.decode("txn", &asked, Some(&done));
        assert!(decode(write(1), write(1)).is_ok());
        assert!(decode(read(1, Value::Nil), read(1, 5.into())).is_ok());
        assert!(decode(write(1), Value::List(Vec::new())).is_err());
        assert!(decode(write(1), write(2)).is_err());
        assert!(decode(write(1), read(1, 1.into())).is_err());
        assert!(decode(read(1, Value::Nil), read(2, Value::Nil)).is_err());
    }
}
