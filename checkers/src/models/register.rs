//! A register with read, write and compare-and-set; nil until it is first written. A delete writes what it held first.
//!
//! Herlihy and Wing, "Linearizability" (1990), section 2.1 for the register; Herlihy, "Wait-Free Synchronization" (1991)
//! for compare-and-set. A failed cas asserts nothing, as in Jepsen: it may have failed for other reasons than a mismatch.

use super::{DecodeError, Model, Nature, observed};
use tribunal_history::Value;

/// The register.
#[derive(Clone, Debug, Default)]
pub struct Register {
    /// What it holds before the first write.
    pub initial: Value,
}

/// An operation on a register.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOp {
    /// Returned this value.
    Read(Value),
    /// Replaced whatever was there.
    Write(Value),
    /// Found the first and replaced it by the second.
    Cas(Value, Value),
}

impl RegisterOp {
    /// The value that it found.
    fn found(&self) -> Option<&Value> {
        match self {
            Self::Read(value) | Self::Cas(value, _) => Some(value),
            Self::Write(_) => None,
        }
    }

    /// The value that it left, if it changed any.
    fn left(&self) -> Option<&Value> {
        match self {
            Self::Write(value) | Self::Cas(_, value) => Some(value),
            Self::Read(_) => None,
        }
    }
}

impl Model for Register {
    type State = Value;
    type Op = RegisterOp;

    fn init(&self) -> Value {
        self.initial.clone()
    }

    fn step(&self, state: &Value, op: &RegisterOp) -> Option<Value> {
        match op {
            RegisterOp::Read(value) => (state == value).then(|| state.clone()),
            RegisterOp::Write(value) => Some(value.clone()),
            RegisterOp::Cas(from, to) => (state == from).then(|| to.clone()),
        }
    }

    fn describe_state(&self, state: &Value) -> String {
        state.to_string()
    }

    fn nature(&self, op: &RegisterOp) -> Nature {
        match op {
            RegisterOp::Read(_) => Nature::Observes,
            RegisterOp::Write(_) => Nature::Overwrites,
            RegisterOp::Cas(..) => Nature::Other,
        }
    }

    /// What left a value that a certain operation, or a doubtful one that matters, found.
    ///
    /// Proof: strike out the others. Up to the next operation that changes the state, the state may now be another, and
    /// was a value that nobody left over found: so no read or cas stood there, and what changes the state next is a
    /// write, after which it is as before.
    fn may_matter(&self, certain: &[&RegisterOp], doubtful: &[&RegisterOp]) -> Vec<bool> {
        let found = certain.iter().filter_map(|op| op.found()).collect();
        observed::matter(found, doubtful, |op| op.left(), |op| op.found())
    }

    fn describe(&self, op: &RegisterOp) -> String {
        match op {
            RegisterOp::Read(value) => format!("read {value}"),
            RegisterOp::Write(value) => format!("write {value}"),
            RegisterOp::Cas(from, to) => format!("cas {from} -> {to}"),
        }
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<RegisterOp>, DecodeError> {
        match (f, input.as_pair()) {
            ("read", _) => Ok(output.cloned().map(RegisterOp::Read)),
            ("write", _) => Ok(Some(RegisterOp::Write(input.clone()))),
            ("delete", _) => Ok(Some(RegisterOp::Write(self.initial.clone()))),
            ("cas", Some((from, to))) => Ok(Some(RegisterOp::Cas(from.clone(), to.clone()))),
            _ => Err(DecodeError::new("register", f, input)),
        }
    }

    fn heap_bytes(&self, state: &Value) -> usize {
        state.as_text().map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_holds_what_was_last_written() {
        let register = Register::default();
        let one = register.step(&Value::Nil, &RegisterOp::Write(1.into())).expect("always legal");
        assert_eq!(register.step(&one, &RegisterOp::Read(1.into())), Some(1.into()));
        assert_eq!(register.step(&one, &RegisterOp::Read(Value::Nil)), None);
        assert_eq!(register.step(&one, &RegisterOp::Cas(1.into(), 2.into())), Some(2.into()));
        assert_eq!(register.step(&one, &RegisterOp::Cas(2.into(), 3.into())), None);
    }

    #[test]
    fn a_read_without_a_result_is_nothing() {
        assert_eq!(Register::default().decode("read", &Value::Nil, None), Ok(None));
        assert!(Register::default().decode("add", &1.into(), None).is_err());
    }
}
