//! Registers whose values are keyed, or not: `write ["x", 3]`, or `write 3` on the one register of the history.
//!
//! [`Linearizable`] judges keyed registers. [`Registers`] finds out which of the two a history is, from its first operations,
//! and gives those without a key the key `register`. It is keyed exactly if everything that can tell is a pair:
//!
//! | operation | keyed | not keyed |
//! |---|---|---|
//! | `write` | `[key, value]` | anything else |
//! | `cas` | `[key, [from, to]]` | `[from, to]`, where `to` is no pair |
//! | `read` | asks `[key, nil]`, or returns a pair | returns anything else |
//!
//! So pairs that are written to a register without keys are told apart as soon as one operation is no pair. Invariant: a
//! history that turns out to be mixed after the first [`SAMPLE`] operations gets no verdict but unknown.
//!
//! Absent: judging; and histories in which only some operations have a key, which no client of ours or of Jepsen writes.

use crate::checker::Checker;
use crate::linearizability::{Limits, Linearizable};
use crate::verdict::Verdict;
use tribunal_history::{Operation, Outcome, Value};

/// The checker.
pub struct Registers {
    inner: Box<dyn Checker>,
    form: Form,
    /// The first operations, until the form is known.
    waiting: Vec<Operation>,
    /// The first operation that contradicts the form, and how.
    mixed: Option<String>,
}

/// What the values of a history look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// To be found out.
    Unknown,
    /// `[key, value]`.
    Keyed,
    /// Values of the one register.
    Plain,
}

impl Registers {
    /// A checker with these limits for the general engine, of histories of this form.
    #[must_use]
    pub fn new(limits: Limits, form: Form) -> Self {
        Self::around(Box::new(Linearizable::new(limits)), form)
    }

    /// Gives the operations of such histories, all with keys, to another checker of keyed registers.
    #[must_use]
    pub fn around(inner: Box<dyn Checker>, form: Form) -> Self {
        Self { inner, form, waiting: Vec::new(), mixed: None }
    }

    fn feed(&mut self, operation: &Operation) {
        match self.form {
            Form::Keyed => self.inner.operation(operation),
            Form::Plain => self.inner.operation(&with_key(operation)),
            Form::Unknown => self.waiting.push(operation.clone()),
        }
    }

    /// Decides on what is waiting: keyed, unless one operation says otherwise.
    fn decide(&mut self) {
        let plain = self.waiting.iter().any(|operation| form(operation) == Form::Plain);
        self.form = if plain { Form::Plain } else { Form::Keyed };
        for operation in std::mem::take(&mut self.waiting) {
            self.feed(&operation);
        }
    }
}

impl Checker for Registers {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn operation(&mut self, operation: &Operation) {
        if self.form == Form::Keyed && form(operation) == Form::Plain {
            self.mixed.get_or_insert_with(|| {
                let Operation { f, call, .. } = operation;
                format!("the values have keys, but not those of the `{f}` invoked at event {}; say which form \
                         it is with the parameter `keyed`", call.index)
            });
        }
        self.feed(operation);
        if self.form == Form::Unknown && self.waiting.len() == SAMPLE {
            self.decide();
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        if self.form == Form::Unknown {
            self.decide();
        }
        let plain = self.form == Form::Plain;
        let name = self.name();
        if let Some(why) = self.mixed {
            return Verdict::unknown(name, why);
        }
        let mut verdict = self.inner.finish();
        if plain {
            for anomaly in &mut verdict.anomalies {
                anomaly.key = None;
                anomaly.witness.iter_mut().for_each(without_key);
            }
        }
        verdict
    }
}

/// What one operation says of the form.
fn form(operation: &Operation) -> Form {
    let keyed = operation.input.as_pair();
    match (&*operation.f, keyed) {
        ("write", None) => Form::Plain,
        ("write", Some(_)) => Form::Keyed,
        ("cas", Some((_, change))) if change.as_pair().is_some() => Form::Keyed,
        ("cas", _) => Form::Plain,
        ("read", Some(_)) => Form::Keyed,
        ("read", None) if operation.outcome != Outcome::Ok => Form::Unknown,
        ("read", None) if operation.output.as_pair().is_some() => Form::Keyed,
        ("read", None) => Form::Plain,
        _ => Form::Unknown,
    }
}

fn with_key(operation: &Operation) -> Operation {
    let keyed = |value: &Value| Value::keyed(KEY.into(), value.clone());
    // Some clients write what was read into the invocation; a read asks for nothing.
    let input = if operation.f == "read" { &Value::Nil } else { &operation.input };
    Operation { input: keyed(input), output: keyed(&operation.output), ..operation.clone() }
}

fn without_key(operation: &mut Operation) {
    for value in [&mut operation.input, &mut operation.output] {
        match value {
            Value::List(pair) if pair.len() == 2 && pair[0].as_text() == Some(KEY) => {
                *value = pair.swap_remove(1);
            }
            _ => {}
        }
    }
}

/// What the one register is called in messages.
const KEY: &str = "register";
/// The form is decided after this many operations.
pub const SAMPLE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Validity;
    use tribunal_history::{Process, Stamp};

    /// Sequential operations, given as function, input and output.
    fn judge(operations: &[(&'static str, Value, Value)]) -> Verdict {
        let mut checker = Box::new(Registers::new(Limits::default(), Form::Unknown));
        for (nth, (f, input, output)) in (0..).zip(operations) {
            let stamp = |index| Stamp { index, time: index * 1_000 };
            checker.operation(&Operation {
                process: Process(0),
                f: (*f).into(),
                input: input.clone(),
                output: output.clone(),
                outcome: Outcome::Ok,
                call: stamp(2 * nth),
                end: Some(stamp(2 * nth + 1)),
                error: None,
                node: None,
                answered_by: None,
                scheduled: None,
                attempts: 1,
                phase: None,
            });
        }
        checker.finish()
    }

    fn pair(first: i64, second: impl Into<Value>) -> Value {
        Value::keyed(first.into(), second.into())
    }

    #[test]
    fn a_register_without_a_key_is_judged_and_shown_as_it_was_written() {
        let write = |value: i64| ("write", Value::from(value), Value::from(value));
        let read = |value: i64| ("read", Value::Nil, Value::from(value));
        let cas = |from, to: i64| ("cas", pair(from, to), pair(from, to));
        assert_eq!(judge(&[write(1), read(1), cas(1, 2), read(2)]).validity, Validity::Valid);
        let stale = judge(&[write(1), read(1), cas(1, 2), read(1)]);
        assert_eq!(stale.validity, Validity::Invalid);
        let anomaly = &stale.anomalies[0];
        assert_eq!(anomaly.key, None);
        assert!(anomaly.message.contains("read of 1 from register"), "{}", anomaly.message);
        assert!(anomaly.witness.iter().any(|operation| operation.output == 1.into()));
        assert!(anomaly.witness.iter().any(|operation| operation.input == pair(1, 2)));
    }

    #[test]
    fn pairs_are_keys_unless_one_operation_is_no_pair() {
        let write = |value: Value| ("write", value.clone(), value);
        let read = |value: Value| ("read", Value::Nil, value);
        // Two keys: each read sees the last write of its own.
        let keyed = [write(pair(1, 5)), write(pair(2, 6)), read(pair(1, 5))];
        assert_eq!(judge(&keyed).validity, Validity::Valid);
        // The same, but the first read says that a register holds no pair: then it is one register, and stale.
        let mut plain = vec![read(Value::Nil)];
        plain.extend(keyed);
        assert_eq!(judge(&plain).validity, Validity::Invalid);
    }

    #[test]
    fn a_history_that_turns_out_mixed_is_unknown() {
        let write = |nth: i64| ("write", pair(1, nth), pair(1, nth));
        let mut operations: Vec<_> = (0..).take(SAMPLE).map(write).collect();
        operations.push(("write", 7.into(), 7.into()));
        let verdict = judge(&operations);
        assert_eq!(verdict.validity, Validity::Unknown);
        assert!(verdict.unknown.expect("why").contains("event 2048"));
    }
}
