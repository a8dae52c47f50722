//! One key of a store of texts, as in Porcupine's `kv` histories: `get`, `put` and `append`; "" before all.
//!
//! An append concatenates. A get of nil says that nothing was there, which is the same as "".

use super::{DecodeError, Model, Nature};
use std::sync::Arc;
use tribunal_history::Value;

/// The text of one key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kv;

/// An operation on a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// Returned this text.
    Get(Arc<str>),
    /// Replaced whatever was there.
    Put(Arc<str>),
    /// Added this at the end.
    Append(Arc<str>),
}

impl Model for Kv {
    type State = Arc<str>;
    type Op = KvOp;

    fn init(&self) -> Arc<str> {
        "".into()
    }

    fn step(&self, state: &Arc<str>, op: &KvOp) -> Option<Arc<str>> {
        match op {
            KvOp::Get(text) => (state == text).then(|| Arc::clone(state)),
            KvOp::Put(text) => Some(Arc::clone(text)),
            KvOp::Append(text) => Some(format!("{state}{text}").into()),
        }
    }

    fn nature(&self, op: &KvOp) -> Nature {
        match op {
            KvOp::Get(_) => Nature::Observes,
            KvOp::Put(_) => Nature::Overwrites,
            KvOp::Append(_) => Nature::Total,
        }
    }

    /// What was appended stays, so a get finds every text before its own as its beginning.
    fn loses(&self, state: &Arc<str>, op: &KvOp) -> bool {
        matches!(op, KvOp::Get(text) if !text.starts_with(&**state))
    }

    fn describe(&self, op: &KvOp) -> String {
        match op {
            KvOp::Get(text) => format!("get {text:?}"),
            KvOp::Put(text) => format!("put {text:?}"),
            KvOp::Append(text) => format!("append {text:?}"),
        }
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<KvOp>, DecodeError> {
        let text = |value: &Value| match value {
            Value::Nil => Ok("".into()),
            other => other.as_text().map(Arc::from).ok_or_else(|| DecodeError::new("kv", f, other)),
        };
        match f {
            "get" | "read" => output.map(text).transpose().map(|text| text.map(KvOp::Get)),
            "put" | "write" => text(input).map(KvOp::Put).map(Some),
            "append" => text(input).map(KvOp::Append).map(Some),
            _ => Err(DecodeError::new("kv", f, input)),
        }
    }

    fn heap_bytes(&self, state: &Arc<str>) -> usize {
        state.len() + 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_concatenates() {
        let put = Kv.step(&Kv.init(), &KvOp::Put("a".into())).expect("always legal");
        let both = Kv.step(&put, &KvOp::Append("b".into())).expect("always legal");
        assert!(Kv.step(&both, &KvOp::Get("ab".into())).is_some());
        assert!(Kv.step(&both, &KvOp::Get("ba".into())).is_none());
        assert_eq!(Kv.decode("get", &Value::Nil, None), Ok(None));
    }
}
