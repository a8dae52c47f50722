//! Random small histories of registers, valid and not.

use crate::linearizability_support::{History, apply, key};
use rand::{Rng, RngExt};
use std::collections::BTreeMap;
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

/// What kind of histories to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Whether values may be written again, nil too.
    repeats: bool,
    /// The most operations of one history.
    operations: usize,
    /// How often something is falsified, in percent; one of these is drawn for each history.
    falsified: [u32; 3],
}

impl Shape {
    /// Every written value is new.
    pub(crate) fn unique() -> Self {
        Self { repeats: false, operations: 8, falsified: [0, 12, 100] }
    }

    /// Two or three values, written again and again.
    pub(crate) fn repeated() -> Self {
        Self { repeats: true, ..Self::unique() }
    }

    /// Too long for the oracle, with few lies.
    pub(crate) fn long(self) -> Self {
        Self { operations: 60, falsified: [0, 1, 4], ..self }
    }
}

/// A history of up to eight operations by up to four processes on one or two keys. A real register answers, and from time to
/// time something is falsified; a third of the histories is made up.
pub(crate) fn random_history(rng: &mut impl Rng, shape: Shape) -> History {
    let mut maker = Maker::new(rng, shape);
    let operations = maker.rng.random_range(1..=shape.operations);
    let mut called = 0;
    let mut history = Vec::new();
    while called < operations || !maker.open.is_empty() {
        let may_call = called < operations && maker.open.len() < maker.processes;
        if may_call && (maker.open.is_empty() || maker.chance(45)) {
            maker.call();
            called += 1;
            continue;
        }
        if maker.chance(40) {
            maker.take_effect();
        } else if let Some(operation) = maker.end() {
            history.push(operation);
        }
    }
    history.append(&mut maker.left_open);
    history
}

struct Maker<'a, R> {
    rng: &'a mut R,
    shape: Shape,
    processes: usize,
    keys: i64,
    /// Percent.
    falsified: u32,
    crashes: u32,
    next_event: u64,
    next_process: u64,
    next_value: i64,
    registers: BTreeMap<Value, Value>,
    open: Vec<Open>,
    left_open: History,
}

struct Open {
    operation: Operation,
    /// Whether it has taken effect.
    done: bool,
    /// What the register said.
    result: Result<Value, ()>,
}

impl<'a, R: Rng> Maker<'a, R> {
    fn new(rng: &'a mut R, shape: Shape) -> Self {
        let processes = rng.random_range(1..=4);
        let keys = if rng.random_range(0..4) == 0 { 2 } else { 1 };
        let falsified = shape.falsified[rng.random_range(0..3)];
        let crashes = [0, 10, 40][rng.random_range(0..3)];
        Self {
            rng,
            shape,
            processes,
            keys,
            falsified,
            crashes,
            next_event: 0,
            next_process: 0,
            next_value: 1,
            registers: BTreeMap::new(),
            open: Vec::new(),
            left_open: Vec::new(),
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn stamp(&mut self) -> Stamp {
        self.next_event += 1;
        Stamp { index: self.next_event - 1, time: (self.next_event - 1) * 1_000_000 }
    }

    /// A value that was or will be written, or nil.
    fn some_value(&mut self) -> Value {
        let most = if self.shape.repeats { 3 } else { self.next_value + 1 };
        match self.rng.random_range(0..=most) {
            0 => Value::Nil,
            value => value.into(),
        }
    }

    fn fresh_value(&mut self) -> Value {
        if self.shape.repeats {
            return self.some_value();
        }
        self.next_value += 1;
        (self.next_value - 1).into()
    }

    fn call(&mut self) {
        let key = Value::Int(self.rng.random_range(0..self.keys));
        let (f, argument) = match self.rng.random_range(0..10) {
            0..4 => ("read", Value::Nil),
            4..7 => ("write", self.fresh_value()),
            _ => {
                let now = self.registers.get(&key).cloned().unwrap_or_default();
                let from = if self.chance(60) { now } else { self.some_value() };
                let to = self.fresh_value();
                // A cas to what it expects writes that value again.
                let from = if from == to && !self.shape.repeats { Value::Nil } else { from };
                ("cas", Value::List(vec![from, to]))
            }
        };
        let call = self.stamp();
        let operation = Operation {
            process: Process(self.next_process),
            f: f.into(),
            input: Value::keyed(key, argument),
            output: Value::Nil,
            outcome: Outcome::Info,
            call,
            end: None,
            error: None,
            node: None,
            answered_by: None,
            scheduled: None,
            attempts: 1,
            phase: None,
        };
        self.next_process += 1;
        self.open.push(Open { operation, done: false, result: Err(()) });
    }

    /// Lets some open operation take effect.
    fn take_effect(&mut self) {
        let nth = self.rng.random_range(0..self.open.len());
        let open = &mut self.open[nth];
        if !open.done {
            let key = key(&open.operation).clone();
            let register = self.registers.entry(key).or_default();
            open.done = true;
            open.result = match &*open.operation.f {
                "read" => Ok(register.clone()),
                _ => apply(&open.operation, register)
                    .map(|value| *register = value.clone())
                    .map(|()| Value::Nil)
                    .ok_or(()),
            };
        }
    }

    /// Ends some open operation, if it can end yet.
    fn end(&mut self) -> Option<Operation> {
        let nth = self.rng.random_range(0..self.open.len());
        let crashes = self.crashes;
        if self.chance(crashes) {
            let mut operation = self.open.swap_remove(nth).operation;
            if self.chance(50) {
                self.left_open.push(operation);
                return None;
            }
            operation.end = Some(self.stamp());
            return Some(operation);
        }
        let falsified = self.falsified;
        let lie = self.chance(falsified);
        if !self.open[nth].done && !lie {
            return None;
        }
        let Open { mut operation, result, .. } = self.open.swap_remove(nth);
        operation.end = Some(self.stamp());
        let failed = match lie {
            false => result.is_err(),
            true => self.chance(20),
        };
        operation.outcome = if failed { Outcome::Fail } else { Outcome::Ok };
        if !failed && &*operation.f == "read" {
            let value = if lie { self.some_value() } else { result.unwrap_or_default() };
            operation.output = Value::keyed(key(&operation).clone(), value);
        } else if !failed {
            operation.output = operation.input.clone();
        }
        Some(operation)
    }
}
