//! Registers whose values are keyed, or not: `write ["x", 3]`, or `write 3` on the one register of the history.
//!
//! [`Linearizable`] judges keyed registers. [`Registers`] finds out which of the two a history is, from its first operations,
//! and gives those without a key the key `register`. Every operation may say something:
//!
//! | operation | keyed | not keyed | either |
//! |---|---|---|---|
//! | `write` | | no pair | `[key, value]` |
//! | `cas` | | `[from, to]`, where `to` is no pair | `[key, [from, to]]`, where `key` is a list or nil |
//! | `read` | asks `[key, nil]` | else, and returns no pair | else, and returns a pair |
//!
//! Pairs may be keys with their values, or the values of one register. So where nothing else was said, reads, and cas of
//! what may be a value, leave two histories to choose from, and the verdict is unknown. Writes alone are linearizable in
//! both; with other cas, the pairs are taken for keyed. Invariant: a
//! history that is mixed gets no verdict but unknown, however late that turns out.
//!
//! While a history is being made, what was not decided yet is no violation.
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
    /// Whether the form is to be found out, and not given.
    auto: bool,
    said: Said,
}

/// The first operations that say something of the form: their invocations.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    keyed: Option<u64>,
    plain: Option<u64>,
    either: Option<u64>,
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
        let auto = form == Form::Unknown;
        Self { inner, form, waiting: Vec::new(), auto, said: Said::default() }
    }

    fn feed(&mut self, operation: &Operation) {
        match self.form {
            Form::Keyed => self.inner.operation(operation),
            Form::Plain => self.inner.operation(&with_key(operation)),
            Form::Unknown => self.waiting.push(operation.clone()),
        }
    }

    /// Notes what an operation says of the form.
    fn hear(&mut self, operation: &Operation) {
        let event = operation.call.index;
        match says(operation) {
            Says::Keyed => {
                self.said.keyed.get_or_insert(event);
            }
            Says::Plain => {
                self.said.plain.get_or_insert(event);
            }
            Says::Either => {
                self.said.either.get_or_insert(event);
            }
            Says::Nothing => {}
        }
    }

    /// Why the form cannot be told, if so.
    fn doubt(&self) -> Option<String> {
        let ask = "say which form it is with the parameter `keyed`";
        let late = self.form == Form::Keyed;
        match self.said {
            Said { keyed: Some(keyed), plain: Some(plain), .. } if self.auto => Some(format!(
                "the operation invoked at event {keyed} has a key, but not that at event {plain}; {ask}"
            )),
            Said { plain: Some(plain), .. } if late => Some(format!(
                "the values have keys, but not that of the operation invoked at event {plain}; {ask}"
            )),
            Said { keyed: None, plain: None, either: Some(either) } if self.auto => Some(format!(
                "all values are pairs, and nothing tells whether they are keys with values: see the operation invoked at \
                 event {either}; {ask} (`keyed=yes` or `keyed=no`)"
            )),
            _ => None,
        }
    }

    /// Decides on what is waiting: keyed, unless one operation says otherwise.
    fn decide(&mut self) {
        self.form = if self.said.plain.is_some() { Form::Plain } else { Form::Keyed };
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
        self.hear(operation);
        self.feed(operation);
        if self.form == Form::Unknown && self.waiting.len() == SAMPLE {
            self.decide();
        }
    }

    fn violated(&mut self, open: &[Operation]) -> bool {
        if self.doubt().is_some() {
            return false;
        }
        match self.form {
            Form::Unknown => false,
            Form::Keyed => self.inner.violated(open),
            Form::Plain => self.inner.violated(&with_keys(open)),
        }
    }

    fn settle(&mut self, open: &[Operation]) {
        match self.form {
            // The inner checker has seen nothing yet.
            Form::Unknown => {}
            Form::Keyed => self.inner.settle(open),
            Form::Plain => self.inner.settle(&with_keys(open)),
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        if self.form == Form::Unknown {
            self.decide();
        }
        let plain = self.form == Form::Plain;
        if let Some(why) = self.doubt() {
            return Verdict::unknown(self.name(), why);
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Keyed,
    Plain,
    /// It may be of both, and they would be judged differently.
    Either,
    Nothing,
}

fn says(operation: &Operation) -> Says {
    let returned = operation.outcome == Outcome::Ok;
    match (&*operation.f, operation.input.as_pair()) {
        ("write", None) => Says::Plain,
        // The key could as well be a value that the register held.
        ("cas", Some((Value::List(_) | Value::Nil, Value::List(to)))) if to.len() == 2 => {
            Says::Either
        }
        ("cas", Some((_, change))) if change.as_pair().is_some() => Says::Nothing,
        ("cas", _) => Says::Plain,
        ("read", Some((_, Value::Nil))) => Says::Keyed,
        ("read", _) if !returned => Says::Nothing,
        ("read", _) if operation.output.as_pair().is_some() => Says::Either,
        ("read", _) => Says::Plain,
        _ => Says::Nothing,
    }
}

fn with_keys(operations: &[Operation]) -> Vec<Operation> {
    operations.iter().map(with_key).collect()
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
        sequential(operations).iter().for_each(|operation| checker.operation(operation));
        checker.finish()
    }

    fn sequential(operations: &[(&'static str, Value, Value)]) -> Vec<Operation> {
        let operations = (0..).zip(operations).map(|(nth, (f, input, output))| {
            let stamp = |index| Stamp { index, time: index * 1_000 };
            Operation {
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
            }
        });
        operations.collect()
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
        let asked = ("read", pair(2, Value::Nil), pair(2, 6));
        let keyed = [write(pair(1, 5)), write(pair(2, 6)), read(pair(1, 5))];
        let mut with_asked = keyed.to_vec();
        with_asked.push(asked);
        assert_eq!(judge(&with_asked).validity, Validity::Valid);
        // The same, but the first read says that a register holds no pair: then it is one register, and stale.
        let mut plain = vec![read(Value::Nil)];
        plain.extend(keyed);
        assert_eq!(judge(&plain).validity, Validity::Invalid);
    }

    #[test]
    fn pairs_that_may_be_keys_or_values_are_not_guessed() {
        let write = |value: Value| ("write", value.clone(), value);
        let read = |value: Value| ("read", Value::Nil, value);
        let cas = |from: Value, to: Value| {
            let change = Value::List(vec![from, to]);
            ("cas", change.clone(), change)
        };
        let unclear = [
            vec![write(pair(1, 2)), write(pair(2, 3)), read(pair(1, 2))],
            vec![write(pair(1, 2)), read(pair(3, Value::Nil))],
            vec![write(pair(2, 1)), cas(pair(2, 1), pair(1, 2))],
        ];
        for operations in unclear {
            let verdict = judge(&operations);
            assert_eq!(verdict.validity, Validity::Unknown, "{operations:?}");
            assert!(verdict.unknown.expect("why").contains("keyed=no"));
        }
        assert_eq!(judge(&[write(pair(1, 2)), write(pair(2, 3))]).validity, Validity::Valid);
        // One read asks for a key, and one for none.
        let some = [write(pair(1, 2)), ("read", pair(1, Value::Nil), pair(1, 2)), read(Value::Nil)];
        assert_eq!(judge(&some).validity, Validity::Unknown);
    }

    #[test]
    fn a_violation_is_seen_while_the_history_is_made() {
        let mut checker = Registers::new(Limits::default(), Form::Plain);
        for operation in sequential(&[("read", Value::Nil, 7.into())]) {
            checker.operation(&operation);
        }
        assert!(checker.violated(&[]));
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
