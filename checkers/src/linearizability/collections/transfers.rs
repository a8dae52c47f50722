//! What queues and stacks have in common: each value is put in once and taken out once, or not.
//!
//! The fold keeps of each value the operation that put it in and the one that took it out (about 140 bytes), and
//! judges what needs no order:
//!
//! | anomaly | meaning |
//! |---|---|
//! | `unexpected` | a value was taken out that nobody tried to put in |
//! | `failed-operation-observed` | a value was taken out whose put surely did not take effect |
//! | `duplicated` | a value that was put in once was taken out twice |
//! | `future-read` | a value was taken out before the call that put it in |
//!
//! Rules that hold for every collection here:
//! * A put of unknown outcome whose value was taken out happened at some time after its call: its end is infinity. One
//!   whose value nobody took is dropped: leaving a value that never moves out of a legal order leaves a legal order.
//! * A take of unknown outcome is kept apart; see the engines.
//! * A failed take asserts nothing.
//!
//! Precondition: no value is put in twice by operations that may have happened; [`Transfers::repeated`] tells.

use crate::keyed::{Findings, NEVER, Trace, contradicts, number_of};
use rustc_hash::FxHashMap;
use tribunal_history::{Operation, Outcome, Value};

/// The words of one kind of collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    /// The checker's name.
    pub(super) checker: &'static str,
    /// What puts a value in.
    pub(super) put: &'static str,
    /// What takes one out.
    pub(super) take: &'static str,
}

/// The life of one value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Element {
    pub(super) put: Option<Trace>,
    pub(super) take: Option<Trace>,
}

/// When a value was put in and taken out, as indices of events; what the engines work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) put_call: u64,
    /// `u64::MAX` if the put crashed.
    pub(super) put_end: u64,
    /// [`STAYS`] if nobody took it.
    pub(super) take_call: u64,
    /// `u64::MAX` if nobody took it.
    pub(super) take_end: u64,
    /// The element.
    pub(super) element: u32,
}

/// When a value is taken out that stays: after everything, before `u64::MAX`.
pub(super) const STAYS: u64 = u64::MAX - 1;

impl Span {
    /// Whether nobody is known to have taken it.
    pub(super) fn stays(&self) -> bool {
        self.take_end == u64::MAX
    }

    /// Whether there is a time at which the value is surely inside: from `put_end` to `take_call`.
    pub(super) fn surely_inside(&self) -> bool {
        self.put_end < self.take_call
    }
}

/// What an operation did, for the general engine.
#[derive(Clone, Debug)]
pub(super) enum Step<'a> {
    Put(&'a Value),
    Take(&'a Value),
    Nothing,
    Unknown,
}

/// The fold.
#[derive(Debug)]
pub(super) struct Transfers {
    pub(super) words: Words,
    integers: FxHashMap<i64, u32>,
    others: FxHashMap<Value, u32>,
    pub(super) elements: Vec<Element>,
    /// Puts and takes of a value that has one already: element, operation, whether it is a put.
    again: Vec<(u32, Trace, bool)>,
    /// Whether a value was put in twice.
    pub(super) repeated: bool,
    /// Takes that found nothing.
    pub(super) nothing: Vec<Trace>,
    /// Takes of unknown outcome.
    pub(super) crashed: Vec<Trace>,
    pub(super) operations: u64,
    pub(super) operations_crashed: u64,
    /// The first operation that could not be taken in. Without it, no verdict means anything.
    pub(super) refused: Option<String>,
}

impl Transfers {
    pub(super) fn new(words: Words) -> Self {
        Self {
            words,
            integers: FxHashMap::default(),
            others: FxHashMap::default(),
            elements: Vec::new(),
            again: Vec::new(),
            repeated: false,
            nothing: Vec::new(),
            crashed: Vec::new(),
            operations: 0,
            operations_crashed: 0,
            refused: None,
        }
    }

    /// Takes in an operation.
    pub(super) fn operation(&mut self, operation: &Operation) {
        self.operations += 1;
        self.operations_crashed += u64::from(operation.outcome == Outcome::Info);
        let trace = Trace::of(operation);
        if operation.f == self.words.put {
            if operation.input.is_nil() {
                self.refuse(operation, "puts nil in, which cannot be told from finding nothing");
                return;
            }
            if contradicts(operation) {
                self.refuse(operation, "returned another value than it was to put in");
                return;
            }
            self.put(&operation.input, trace);
        } else if operation.f == self.words.take {
            match operation.outcome {
                Outcome::Fail => {}
                Outcome::Info => self.crashed.push(trace),
                Outcome::Ok if operation.output.is_nil() => self.nothing.push(trace),
                Outcome::Ok => self.take(&operation.output, trace),
            }
        } else {
            self.refuse(operation, "is no operation of this collection");
        }
    }

    fn refuse(&mut self, operation: &Operation, why: &str) {
        self.refused.get_or_insert_with(|| {
            format!("the `{}` invoked at event {} {why}", operation.f, operation.call.index)
        });
    }

    fn number(&mut self, value: &Value) -> u32 {
        let next = number_of(self.elements.len());
        let number = match value {
            Value::Int(int) => *self.integers.entry(*int).or_insert(next),
            other => match self.others.get(other) {
                Some(number) => *number,
                None => *self.others.entry(other.clone()).or_insert(next),
            },
        };
        if number == next {
            self.elements.push(Element::default());
        }
        number
    }

    fn put(&mut self, value: &Value, trace: Trace) {
        let number = self.number(value);
        let put = &mut self.elements[number as usize].put;
        match put {
            // A put that surely failed is kept only while there is no other: somebody might see its value.
            Some(first) if !first.possible() => *put = Some(trace),
            Some(_) if trace.possible() => {
                self.repeated = true;
                self.again.push((number, trace, true));
            }
            Some(_) => {}
            None => *put = Some(trace),
        }
    }

    fn take(&mut self, value: &Value, trace: Trace) {
        let number = self.number(value);
        match &mut self.elements[number as usize].take {
            Some(_) => self.again.push((number, trace, false)),
            take => *take = Some(trace),
        }
    }

    /// The anomalies that need no order.
    pub(super) fn local(&self) -> Findings {
        let mut findings = Findings::default();
        let doubly = self.again.iter().filter(|(_, _, is_put)| !is_put && !self.repeated);
        for &(number, trace, _) in doubly {
            findings.add("duplicated", || self.duplicated(number, &trace));
        }
        for (number, element) in (0..).zip(&self.elements) {
            let Some(take) = element.take else { continue };
            match element.put {
                None => findings.add("unexpected", || self.unexpected(number, &take)),
                Some(put) if !put.possible() => {
                    findings.add("failed-operation-observed", || self.failed(number));
                }
                // With several puts, this need not be the one whose value was taken.
                Some(put) if take.end().index < put.call.index && !self.repeated => {
                    findings.add("future-read", || self.future(number));
                }
                Some(_) => {}
            }
        }
        findings
    }

    /// The values that were inside, in no particular order.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::with_capacity(self.elements.len());
        for (number, element) in (0..).zip(&self.elements) {
            let Some(put) = element.put.filter(Trace::possible) else { continue };
            let put_end = put.acknowledged();
            let (take_call, take_end) = match element.take {
                Some(take) => (take.call.index, take.end().index),
                None if put_end == u64::MAX => continue,
                None => (STAYS, u64::MAX),
            };
            let put_call = put.call.index;
            spans.push(Span { put_call, put_end, take_call, take_end, element: number });
        }
        spans
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.elements.capacity() * size_of::<Element>()
            + self.integers.capacity() * (size_of::<(i64, u32)>() + 1)
            + self.others.capacity() * (size_of::<(Value, u32)>() + 33)
            + (self.nothing.capacity() + self.crashed.capacity()) * size_of::<Trace>()
            + self.again.capacity() * size_of::<(u32, Trace, bool)>()
    }

    /// The value of an element. Linear: for the few that a witness shows.
    pub(super) fn value(&self, number: u32) -> Value {
        let integer = self.integers.iter().find(|(_, nth)| **nth == number);
        let other = || self.others.iter().find(|(_, nth)| **nth == number);
        integer
            .map(|(int, _)| Value::Int(*int))
            .or_else(|| other().map(|(value, _)| value.clone()))
            .unwrap_or_default()
    }

    /// Everything that may have happened, with its number in [`Transfers::show`]'s sense, for the general engine.
    pub(super) fn steps<'a>(&'a self, values: &'a [Value]) -> Vec<(Step<'a>, Trace)> {
        let value = |number: u32| &values[number as usize];
        let mut steps = Vec::new();
        for (number, element) in (0..).zip(&self.elements) {
            let put = element.put.filter(Trace::possible);
            steps.extend(put.map(|put| (Step::Put(value(number)), put)));
            steps.extend(element.take.map(|take| (Step::Take(value(number)), take)));
        }
        steps.extend(self.again.iter().map(|&(number, trace, is_put)| {
            let value = value(number);
            (if is_put { Step::Put(value) } else { Step::Take(value) }, trace)
        }));
        steps.extend(self.nothing.iter().map(|&trace| (Step::Nothing, trace)));
        steps.extend(self.crashed.iter().map(|&trace| (Step::Unknown, trace)));
        steps
    }

    /// All values by the numbers of their elements.
    pub(super) fn values(&self) -> Vec<Value> {
        let mut values = vec![Value::Nil; self.elements.len()];
        for (int, number) in &self.integers {
            values[*number as usize] = Value::Int(*int);
        }
        for (value, number) in &self.others {
            values[*number as usize] = value.clone();
        }
        values
    }

    /// A step as a witness shows it.
    pub(super) fn show(&self, step: &Step<'_>, trace: &Trace) -> Operation {
        match step {
            Step::Put(value) => trace.operation(self.words.put, (*value).clone(), Value::Nil),
            Step::Take(value) => trace.operation(self.words.take, Value::Nil, (*value).clone()),
            Step::Nothing | Step::Unknown => {
                trace.operation(self.words.take, Value::Nil, Value::Nil)
            }
        }
    }

    /// What put an element in and what took it out, as far as anybody did.
    pub(super) fn life(&self, number: u32) -> Vec<Operation> {
        let value = self.value(number);
        let element = self.elements[number as usize];
        let put = element.put.map(|put| self.show(&Step::Put(&value), &put));
        let take = element.take.map(|take| self.show(&Step::Take(&value), &take));
        put.into_iter().chain(take).collect()
    }

    fn duplicated(&self, number: u32, second: &Trace) -> (String, Value, Vec<Operation>) {
        let value = self.value(number);
        let again = self.show(&Step::Take(&value), second);
        let mut witness = self.life(number);
        let first = witness.last().map_or(again.process, |first| first.process);
        let message = format!(
            "{value} was put in once, but both process {first} and process {} took it out, the latter at {}.",
            again.process,
            seconds(second.end().time)
        );
        witness.push(again);
        (message, Value::Nil, witness)
    }

    fn unexpected(&self, number: u32, take: &Trace) -> (String, Value, Vec<Operation>) {
        let value = self.value(number);
        let witness = self.life(number);
        let message = format!(
            "Process {} took out {value} at {}, which nobody tried to put in.",
            witness[0].process,
            seconds(take.end().time)
        );
        (message, Value::Nil, witness)
    }

    fn failed(&self, number: u32) -> (String, Value, Vec<Operation>) {
        let witness = self.life(number);
        let message = format!(
            "Process {} took out {}, although process {}'s {} of it failed and so never took effect.",
            witness[1].process,
            self.value(number),
            witness[0].process,
            self.words.put
        );
        (message, Value::Nil, witness)
    }

    fn future(&self, number: u32) -> (String, Value, Vec<Operation>) {
        let witness = self.life(number);
        let element = self.elements[number as usize];
        let message = format!(
            "Process {} took out {} by {}, before process {} called the {} of it at {}.",
            witness[1].process,
            self.value(number),
            seconds(element.take.map_or(0, |take| take.end().time)),
            witness[0].process,
            self.words.put,
            seconds(element.put.map_or(0, |put| put.call.time))
        );
        (message, Value::Nil, witness)
    }
}

/// A time as a person reads it.
pub(super) fn seconds(time_ns: u64) -> String {
    if time_ns == NEVER.time {
        return "the end".to_owned();
    }
    format!("{}.{:06} s", time_ns / 1_000_000_000, time_ns / 1000 % 1_000_000)
}
