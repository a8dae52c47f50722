//! The register of Porcupine's etcd logs: as [`super::Register`], but a cas that failed had found another value.
//!
//! A read that timed out returned a value that is not known, and asserts nothing. A cas without an answer, or with one that
//! is not known, may have changed the value or not.

use super::{DecodeError, Model, Nature, observed};
use tribunal_history::Value;

/// The register; nil until it is first written.
#[derive(Clone, Copy, Debug, Default)]
pub struct PorcupineEtcd;

/// An operation on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EtcdOp {
    /// Returned this value.
    Read(Value),
    /// Replaced whatever was there.
    Write(Value),
    /// Found the first and replaced it by the second.
    Cas(Value, Value),
    /// A cas that found something else than this.
    Mismatch(Value),
}

impl EtcdOp {
    fn found(&self) -> Option<&Value> {
        match self {
            Self::Read(value) | Self::Cas(value, _) => Some(value),
            Self::Write(_) | Self::Mismatch(_) => None,
        }
    }

    fn left(&self) -> Option<&Value> {
        match self {
            Self::Write(value) | Self::Cas(_, value) => Some(value),
            Self::Read(_) | Self::Mismatch(_) => None,
        }
    }
}

impl Model for PorcupineEtcd {
    type State = Value;
    type Op = EtcdOp;

    fn init(&self) -> Value {
        Value::Nil
    }

    fn step(&self, state: &Value, op: &EtcdOp) -> Option<Value> {
        match op {
            EtcdOp::Read(value) => (state == value).then(|| state.clone()),
            EtcdOp::Write(value) => Some(value.clone()),
            EtcdOp::Cas(from, to) => (state == from).then(|| to.clone()),
            EtcdOp::Mismatch(from) => (state != from).then(|| state.clone()),
        }
    }

    fn describe_state(&self, state: &Value) -> String {
        state.to_string()
    }

    fn nature(&self, op: &EtcdOp) -> Nature {
        match op {
            EtcdOp::Read(_) | EtcdOp::Mismatch(_) => Nature::Observes,
            EtcdOp::Write(_) => Nature::Overwrites,
            EtcdOp::Cas(..) => Nature::Other,
        }
    }

    /// As for [`super::Register`], unless there is a mismatch, which almost any value explains: then all may matter.
    fn may_matter(&self, certain: &[&EtcdOp], doubtful: &[&EtcdOp]) -> Vec<bool> {
        let mut all = certain.iter().chain(doubtful);
        if all.any(|op| matches!(op, EtcdOp::Mismatch(_))) {
            return vec![true; doubtful.len()];
        }
        let found = certain.iter().filter_map(|op| op.found()).collect();
        observed::matter(found, doubtful, |op| op.left(), |op| op.found())
    }

    fn describe(&self, op: &EtcdOp) -> String {
        match op {
            EtcdOp::Read(value) => format!("read {value}"),
            EtcdOp::Write(value) => format!("write {value}"),
            EtcdOp::Cas(from, to) => format!("cas {from} -> {to}"),
            EtcdOp::Mismatch(from) => format!("cas from {from} failed"),
        }
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<EtcdOp>, DecodeError> {
        match (f, input.as_pair()) {
            ("read", _) => Ok(output.cloned().map(EtcdOp::Read)),
            ("write", _) => Ok(Some(EtcdOp::Write(input.clone()))),
            ("cas", Some((from, to))) => Ok(Some(EtcdOp::Cas(from.clone(), to.clone()))),
            _ => Err(DecodeError::new("porcupine-etcd", f, input)),
        }
    }

    fn decode_failed(&self, f: &str, input: &Value) -> Result<Option<EtcdOp>, DecodeError> {
        match (f, input.as_pair()) {
            ("cas", Some((from, _))) => Ok(Some(EtcdOp::Mismatch(from.clone()))),
            ("read" | "write", _) => Ok(None),
            _ => Err(DecodeError::new("porcupine-etcd", f, input)),
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
    fn a_failed_cas_saw_something_else() {
        let pair = Value::List(vec![1.into(), 2.into()]);
        let op = PorcupineEtcd.decode_failed("cas", &pair).expect("a cas").expect("asserts");
        assert_eq!(PorcupineEtcd.step(&1.into(), &op), None);
        assert_eq!(PorcupineEtcd.step(&3.into(), &op), Some(3.into()));
        assert_eq!(PorcupineEtcd.decode_failed("read", &Value::Nil), Ok(None));
    }
}
