//! A lock that knows its holder: `acquire` needs it free, `release` needs it held by the same owner.
//!
//! The owner is the value of the operation, or the process where that is nil. A process that crashed goes on under another
//! number, so a history whose crashed owners go on to release names its owners in values.

use super::{DecodeError, Model};
use tribunal_history::{Process, Value};

/// The lock.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnerMutex;

/// An operation on the lock, and who did it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnerMutexOp {
    /// Took it.
    Acquire(Value),
    /// Gave it back.
    Release(Value),
}

impl Model for OwnerMutex {
    /// Who holds it.
    type State = Option<Value>;
    type Op = OwnerMutexOp;

    fn init(&self) -> Option<Value> {
        None
    }

    fn step(&self, holder: &Option<Value>, op: &OwnerMutexOp) -> Option<Option<Value>> {
        match op {
            OwnerMutexOp::Acquire(owner) => holder.is_none().then(|| Some(owner.clone())),
            OwnerMutexOp::Release(owner) => (holder.as_ref() == Some(owner)).then_some(None),
        }
    }

    fn describe_state(&self, holder: &Option<Value>) -> String {
        holder.as_ref().map_or_else(|| "free".to_owned(), |owner| format!("held by {owner}"))
    }

    fn describe(&self, op: &OwnerMutexOp) -> String {
        match op {
            OwnerMutexOp::Acquire(owner) => format!("acquire by {owner}"),
            OwnerMutexOp::Release(owner) => format!("release by {owner}"),
        }
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        _output: Option<&Value>,
    ) -> Result<Option<OwnerMutexOp>, DecodeError> {
        match f {
            _ if input.is_nil() => Err(DecodeError::new("owner-aware-mutex", f, input)),
            "acquire" => Ok(Some(OwnerMutexOp::Acquire(input.clone()))),
            "release" => Ok(Some(OwnerMutexOp::Release(input.clone()))),
            _ => Err(DecodeError::new("owner-aware-mutex", f, input)),
        }
    }

    fn decode_by(
        &self,
        process: Process,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<OwnerMutexOp>, DecodeError> {
        if !input.is_nil() {
            return self.decode(f, input, output);
        }
        let owner = Value::text(&format!("process {process}"));
        self.decode(f, &owner, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_holder_gives_it_back() {
        let decode = |process, f| {
            let op = OwnerMutex.decode_by(Process(process), f, &Value::Nil, None);
            op.expect("of the model").expect("an operation")
        };
        let held = OwnerMutex.step(&None, &decode(1, "acquire")).expect("free");
        assert_eq!(OwnerMutex.step(&held, &decode(2, "release")), None);
        assert_eq!(OwnerMutex.step(&held, &decode(2, "acquire")), None);
        assert_eq!(OwnerMutex.step(&held, &decode(1, "release")), Some(None));
    }
}
