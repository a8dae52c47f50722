//! Collections whose values are keyed, or not: `add ["x", 3]`, or `add 3` to the one collection of the history.
//!
//! The checkers of collections take a pair for a key with its value, operation by operation. That is right unless the elements
//! of a collection without a key are pairs themselves. [`Collections`] decides once for a history, by its first operations:
//!
//! | operation | form |
//! |---|---|
//! | an `add`, `insert` or `append` of no pair | not keyed |
//! | a `read` that asks `[key, ...]` | keyed |
//! | a `read` that asks for nothing and returns `[key, list]`, where `key` is no list | keyed, if all adds so far are pairs |
//! | any other `read` that succeeded | not keyed |
//!
//! A pair that is an element is a list, so a read of two elements is not taken for a key with its list. If the first
//! [`SAMPLE`] operations do not tell, as they are all adds of pairs, the history is taken for keyed.
//!
//! Invariant: a history of which a later operation contradicts the form gets no verdict but unknown. Operations of keyed
//! collections that name their key, as our own workloads write them, go on as they are.
//!
//! Absent: judging.

use crate::checker::Checker;
use crate::registers::{Form, SAMPLE};
use crate::verdict::Verdict;
use tribunal_history::{Operation, Outcome, Value};

/// The checker.
pub struct Collections {
    inner: Box<dyn Checker>,
    form: Form,
    /// The first operations, until the form is known.
    waiting: Vec<Operation>,
    /// Whether something other than a pair was added.
    plain_adds: bool,
    /// The first operation that contradicts the form.
    mixed: Option<String>,
}

impl Collections {
    /// Gives the operations of a history to a checker that takes every pair for a key with its value.
    #[must_use]
    pub fn around(inner: Box<dyn Checker>) -> Self {
        Self { inner, form: Form::Unknown, waiting: Vec::new(), plain_adds: false, mixed: None }
    }

    /// What an operation says of the form.
    fn form(&self, operation: &Operation) -> Form {
        let asked = operation.input.as_pair().is_some();
        match (is_read(operation), asked) {
            (Some(true), true) => Form::Keyed,
            (Some(true), false) if operation.outcome != Outcome::Ok => Form::Unknown,
            (Some(true), false) if !self.plain_adds && key_of(&operation.output).is_some() => {
                Form::Keyed
            }
            (Some(true), false) | (Some(false), false) => Form::Plain,
            (Some(false), true) | (None, _) => Form::Unknown,
        }
    }

    fn feed(&mut self, operation: &Operation) {
        let form = self.form(operation);
        if form != Form::Unknown && form != self.form {
            self.mixed.get_or_insert_with(|| {
                let (is, but) = match self.form {
                    Form::Keyed => ("have keys", "has none"),
                    _ => ("have no keys", "has one"),
                };
                let Operation { f, call, .. } = operation;
                let at = call.index;
                format!("the values {is}, but that of the `{f}` invoked at event {at} {but}")
            });
        }
        let pair = operation.input.as_pair().is_some();
        let input = match (self.form, is_read(operation)) {
            // The key nil is that of values without one.
            (Form::Plain, Some(false)) if pair => Value::keyed(Value::Nil, operation.input.clone()),
            (Form::Keyed, Some(true)) if !pair && operation.outcome == Outcome::Ok => {
                let key = key_of(&operation.output).cloned().unwrap_or_default();
                Value::keyed(key, Value::Nil)
            }
            _ => return self.inner.operation(operation),
        };
        self.inner.operation(&Operation { input, ..operation.clone() });
    }

    fn decide(&mut self, form: Form) {
        self.form = form;
        for operation in std::mem::take(&mut self.waiting) {
            self.feed(&operation);
        }
    }
}

impl Checker for Collections {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn operation(&mut self, operation: &Operation) {
        self.plain_adds |= is_read(operation) == Some(false) && operation.input.as_pair().is_none();
        if self.form != Form::Unknown {
            return self.feed(operation);
        }
        let form = self.form(operation);
        self.waiting.push(operation.clone());
        if form != Form::Unknown {
            self.decide(form);
        } else if self.waiting.len() == SAMPLE {
            self.decide(Form::Keyed);
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        if self.form == Form::Unknown {
            self.decide(Form::Keyed);
        }
        match self.mixed {
            Some(why) => Verdict::unknown(self.inner.name(), why),
            None => self.inner.finish(),
        }
    }
}

/// Whether an operation reads or adds; `None` if neither.
fn is_read(operation: &Operation) -> Option<bool> {
    match &*operation.f {
        "read" => Some(true),
        "add" | "insert" | "append" => Some(false),
        _ => None,
    }
}

/// The key of a result that names it: `[key, list]`.
fn key_of(output: &Value) -> Option<&Value> {
    let (key, list) = output.as_pair()?;
    (key.as_list().is_none() && (list.is_nil() || list.as_list().is_some())).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::Limits;
    use crate::registry::model;
    use crate::testing::Script;
    use crate::verdict::Validity::{self, Invalid, Unknown, Valid};
    use tribunal_spec::Spec;

    /// The verdicts of the three models on operations one after another: function, what is asked, what is answered, as JSON.
    fn judge(operations: &[(&str, &str, &str)]) -> Vec<Validity> {
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        let verdict = |name: &'static str| {
            let mut script = Script::new();
            for (f, asked, answered) in operations {
                let f = if name == "append" && *f == "add" { "append" } else { *f };
                script = script.invoke(0, f, value(asked)).ok(0, f, value(answered));
            }
            let checker = model(&Spec::named(name), Limits::default()).expect("a model");
            script.judge(Boxed(checker)).validity
        };
        ["set", "set-full", "append"].map(verdict).to_vec()
    }

    struct Boxed(Box<dyn Checker>);

    impl Checker for Boxed {
        fn name(&self) -> &'static str {
            self.0.name()
        }

        fn operation(&mut self, operation: &Operation) {
            self.0.operation(operation);
        }

        fn finish(self: Box<Self>) -> Verdict {
            self.0.finish()
        }
    }

    const ONE: (&str, &str, &str) = ("add", "[1, 2]", "[1, 2]");
    const TWO: (&str, &str, &str) = ("add", "[3, 4]", "[3, 4]");

    #[test]
    fn elements_that_are_pairs_are_elements() {
        assert_eq!(judge(&[ONE, ("read", "null", "[[1, 2]]")]), [Valid; 3]);
        assert_eq!(judge(&[ONE, TWO, ("read", "null", "[[1, 2], [3, 4]]")]), [Valid; 3]);
        assert_eq!(judge(&[ONE, TWO, ("read", "null", "[[3, 4]]")]), [Invalid; 3]);
        assert_eq!(judge(&[("add", "7", "7"), ONE, ("read", "null", "[7, [1, 2]]")]), [Valid; 3]);
    }

    #[test]
    fn a_read_may_name_its_key_only_in_what_it_returns() {
        let add = ("add", r#"["k", 1]"#, "null");
        assert_eq!(judge(&[add, ("read", "null", r#"["k", [1]]"#)]), [Valid; 3]);
        assert_eq!(judge(&[add, ("read", "null", r#"["k", []]"#)]), [Invalid; 3]);
    }

    #[test]
    fn keys_as_our_workloads_write_them_go_on_as_they_are() {
        let read = |held| ("read", "[1, null]", held);
        assert_eq!(judge(&[ONE, TWO, read("[1, [2]]")]), [Valid; 3]);
        assert_eq!(judge(&[ONE, TWO, read("[1, []]")]), [Invalid; 3]);
    }

    #[test]
    fn a_history_that_turns_out_mixed_is_unknown() {
        let read = ("read", "[1, null]", "[1, [2]]");
        assert_eq!(judge(&[ONE, read, ("add", "7", "7")]), [Unknown; 3]);
        assert_eq!(judge(&[ONE, read, ("read", "null", "[[1, 2]]")]), [Unknown; 3]);
        assert_eq!(judge(&[("add", "7", "7"), read]), [Unknown; 3]);
        let many = vec![ONE; SAMPLE];
        assert_eq!(judge(&[&many[..], &[("read", "null", "[[1, 2]]")]].concat()), [Unknown; 3]);
    }
}
