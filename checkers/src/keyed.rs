//! What the checkers of collections share: keyed values, names for keys and elements, and operations kept small.
//!
//! A checker that sees millions of operations cannot keep them. It keeps a [`Trace`] of those that it may have to show,
//! and [`Trace::operation`] makes an operation of it again for a witness.

use crate::verdict::{Anomaly, Verdict};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::hash::Hash;
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

/// Key and argument of an operation that changes something: `[key, argument]`, or a plain argument of the one key nil.
pub(crate) fn argument(input: &Value) -> (&Value, &Value) {
    input.as_pair().unwrap_or((&Value::Nil, input))
}

/// Key and result of a successful read: input `[key, nil]` and output `[key, result]`, or nil and a plain result.
pub(crate) fn result(operation: &Operation) -> (&Value, &Value) {
    let Some((key, _)) = operation.input.as_pair() else {
        return (&Value::Nil, &operation.output);
    };
    match operation.output.as_pair() {
        Some((same, result)) if same == key => (key, result),
        _ => (key, &operation.output),
    }
}

/// The elements of a read's result: a list, where nil is the empty one. `None` if it is neither.
pub(crate) fn elements(result: &Value) -> Option<&[Value]> {
    if result.is_nil() { Some(&[]) } else { result.as_list() }
}

/// Whether its result is neither its argument nor nothing: then it is not known what was done.
pub(crate) fn contradicts(operation: &Operation) -> bool {
    let Operation { input, output, outcome, .. } = operation;
    let said = *outcome == Outcome::Ok && !output.is_nil() && output != input;
    said && !matches!((input.as_pair(), output.as_pair()), (Some((a, _)), Some((b, Value::Nil))) if a == b)
}

/// Small numbers for large names, in the order of their first use.
#[derive(Debug)]
pub(crate) struct Names<T> {
    numbers: FxHashMap<T, u32>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { numbers: FxHashMap::default() }
    }
}

impl<T: Eq + Hash> Names<T> {
    /// The number of `name`, new if it is.
    pub(crate) fn number(&mut self, name: T) -> u32 {
        let next = number_of(self.numbers.len());
        *self.numbers.entry(name).or_insert(next)
    }

    /// The name of a number. Linear: for the few that a witness shows.
    pub(crate) fn name(&self, number: u32) -> Option<&T> {
        self.numbers.iter().find(|(_, nth)| **nth == number).map(|(name, _)| name)
    }
}

/// An index as it is kept.
///
/// # Panics
/// Beyond 2^32 - 2 entries; the checker then answers unknown, see [`crate::check_all`].
pub(crate) fn number_of(index: usize) -> u32 {
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    assert!(number != u32::MAX, "more entries than a checker can number");
    number
}

/// The number of nothing.
pub(crate) const NONE: u32 = u32::MAX;

/// An operation without its names and values: 48 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace {
    process: Process,
    /// The invocation.
    pub(crate) call: Stamp,
    /// The completion event; [`NEVER`] if there is none.
    end: Stamp,
    /// The node that was asked last; 0 if unknown.
    node: u32,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// After everything.
pub(crate) const NEVER: Stamp = Stamp { index: u64::MAX, time: u64::MAX };

impl Trace {
    /// What is kept of an operation.
    pub(crate) fn of(operation: &Operation) -> Self {
        Self {
            process: operation.process,
            call: operation.call,
            end: operation.end.unwrap_or(NEVER),
            node: operation.answered_by.unwrap_or(0),
            outcome: operation.outcome,
        }
    }

    /// When it had surely taken effect, as an index: never, unless it succeeded.
    pub(crate) fn acknowledged(&self) -> u64 {
        if self.outcome == Outcome::Ok { self.end.index } else { u64::MAX }
    }

    /// Whether it may have taken effect.
    pub(crate) fn possible(&self) -> bool {
        self.outcome != Outcome::Fail
    }

    /// When its completion was recorded.
    pub(crate) fn end(&self) -> Stamp {
        self.end
    }

    /// The operation again, as a witness shows it.
    pub(crate) fn operation(&self, f: &'static str, input: Value, output: Value) -> Operation {
        let node = (self.node != 0).then_some(self.node);
        Operation {
            process: self.process,
            f: f.into(),
            input,
            output,
            outcome: self.outcome,
            call: self.call,
            end: (self.end != NEVER).then_some(self.end),
            error: None,
            node,
            answered_by: node,
            scheduled: None,
            attempts: 1,
            phase: None,
        }
    }
}

/// Anomalies by name: the first few of each are kept, all are counted.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    kept: Vec<Anomaly>,
    counts: BTreeMap<&'static str, u64>,
}

/// How many anomalies of one name are shown.
const SHOWN: u64 = 3;

impl Findings {
    /// Counts an anomaly; `describe` is asked for message, key and witness if it is to be shown.
    pub(crate) fn add(
        &mut self,
        name: &'static str,
        describe: impl FnOnce() -> (String, Value, Vec<Operation>),
    ) {
        let count = self.counts.entry(name).or_default();
        *count += 1;
        if *count <= SHOWN {
            let (message, key, mut witness) = describe();
            witness.sort_by_key(|operation| operation.call);
            let key = (!key.is_nil()).then(|| plain(&key));
            self.kept.push(Anomaly::new(name, message, key, witness));
        }
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Unknown if `refused` says why: what was not taken in may explain all that was found. Else invalid if anything was
    /// found, else unknown if `doubt` says why, else valid. With a figure for each name. The engine is the checker itself.
    pub(crate) fn verdict(
        self,
        checker: &'static str,
        complete: bool,
        refused: Option<String>,
        doubt: Option<String>,
    ) -> Verdict {
        let doubt = doubt.filter(|_| self.is_empty());
        let engine = Some(checker.into());
        if let Some(why) = refused.or(doubt) {
            return Verdict { engine, ..Verdict::unknown(checker, why) };
        }
        let total: u64 = self.counts.values().sum();
        let mut verdict = Verdict { engine, ..Verdict::of(checker, complete, self.kept) };
        let more = total - verdict.anomalies.len() as u64;
        verdict.anomalies_more = usize::try_from(more).unwrap_or(usize::MAX);
        for (name, count) in self.counts {
            verdict = verdict.figure(&format!("{}_count", name.replace('-', "_")), count);
        }
        verdict
    }
}

/// A value without the quotes around a text.
pub(crate) fn plain(value: &Value) -> String {
    value.as_text().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a checker could not make sense of. Nothing of it is dropped silently: the verdict is unknown then, as what was not
/// understood may be the very thing that explains what else was seen.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    count: u64,
    first: Option<String>,
}

impl Unreadable {
    /// Counts an operation.
    pub(crate) fn add(&mut self, operation: &Operation, why: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| {
            let Operation { f, input, call, .. } = operation;
            format!("the operation of event {} (`{f}` {input}) {why}", call.index)
        });
    }

    /// Why there can be no verdict, if so.
    pub(crate) fn reason(self) -> Option<String> {
        self.first
            .map(|first| format!("{} operations not understood; the first: {first}", self.count))
    }
}

#[cfg(test)]
mod tests {
    use crate::checker::Checker;
    use crate::testing::Script;
    use crate::verdict::{Validity, Verdict};
    use tribunal_history::Value;

    fn judge(checker: impl Checker + 'static, value: i64) -> Verdict {
        let added = Script::new().invoke(0, "add", 1).ok(0, "add", 1);
        added.invoke(0, "read", Value::Nil).ok(0, "read", value).judge(checker)
    }

    #[test]
    fn a_verdict_names_its_engine_and_is_as_complete_as_its_checker_whatever_it_says() {
        for value in [1, 0] {
            let counter = judge(crate::counter::CounterChecker::new(), value);
            let bounds = judge(crate::counter_bounds::CounterBounds::new(), value);
            assert_eq!(counter.validity == Validity::Valid, value == 1);
            assert_eq!((counter.complete, bounds.complete), (false, false));
            assert_eq!(counter.engine.as_deref(), Some("counter"));
            assert_eq!(bounds.engine.as_deref(), Some("counter-bounds"));
            assert!(bounds.figures.contains_key("engine_bytes"));
        }
        let ids = || Script::new().invoke(0, "generate", Value::Nil).ok(0, "generate", 1);
        let twice = ids().invoke(0, "generate", Value::Nil).ok(0, "generate", 1);
        let verdict = twice.judge(crate::unique_ids::UniqueIds::new());
        assert_eq!((verdict.validity, verdict.complete), (Validity::Invalid, true));
        assert_eq!(verdict.engine.as_deref(), Some("unique-ids"));
    }
}
