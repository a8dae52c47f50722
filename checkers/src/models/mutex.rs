//! A lock: `acquire` needs it free, `release` needs it taken. Who holds it is not part of the model.

use super::{DecodeError, Model};
use tribunal_history::Value;

/// The lock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mutex;

/// An operation on a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MutexOp {
    /// Took it.
    Acquire,
    /// Gave it back.
    Release,
}

impl Model for Mutex {
    /// Whether it is taken.
    type State = bool;
    type Op = MutexOp;

    fn init(&self) -> bool {
        false
    }

    fn step(&self, taken: &bool, op: &MutexOp) -> Option<bool> {
        match op {
            MutexOp::Acquire => (!taken).then_some(true),
            MutexOp::Release => taken.then_some(false),
        }
    }

    fn describe(&self, op: &MutexOp) -> String {
        match op {
            MutexOp::Acquire => "acquire".to_owned(),
            MutexOp::Release => "release".to_owned(),
        }
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        _output: Option<&Value>,
    ) -> Result<Option<MutexOp>, DecodeError> {
        match f {
            "acquire" => Ok(Some(MutexOp::Acquire)),
            "release" => Ok(Some(MutexOp::Release)),
            _ => Err(DecodeError::new("mutex", f, input)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder() {
        assert_eq!(Mutex.step(&false, &MutexOp::Acquire), Some(true));
        assert_eq!(Mutex.step(&true, &MutexOp::Acquire), None);
        assert_eq!(Mutex.step(&false, &MutexOp::Release), None);
    }
}
