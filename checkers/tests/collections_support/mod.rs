//! Random small histories of queues and stacks, and the definition of linearizability for them as an exhaustive search.
//!
//! Herlihy and Wing (1990), definition 2: complete some of the pending operations, drop the others, and find a legal sequential
//! order that keeps the order of operations that do not overlap. Nothing here knows of spans, blocks or bounds.

use rand::{Rng, RngExt};
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

/// Which collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fifo,
    Bag,
    Lifo,
}

impl Kind {
    fn put(self) -> &'static str {
        if self == Self::Lifo { "push" } else { "enqueue" }
    }

    fn take(self) -> &'static str {
        if self == Self::Lifo { "pop" } else { "dequeue" }
    }

    /// The places of the values that may be taken.
    fn open(self, inside: &[Value]) -> std::ops::Range<usize> {
        match self {
            Self::Fifo => 0..inside.len().min(1),
            Self::Bag => 0..inside.len(),
            Self::Lifo => inside.len().saturating_sub(1)..inside.len(),
        }
    }
}

/// Whether the operations are linearizable.
pub(crate) fn linearizable(kind: Kind, history: &[Operation]) -> bool {
    let mut rest: Vec<&Operation> =
        history.iter().filter(|operation| operation.outcome != Outcome::Fail).collect();
    some_order(kind, &mut rest, &[])
}

fn some_order(kind: Kind, rest: &mut Vec<&Operation>, inside: &[Value]) -> bool {
    if rest.iter().all(|operation| operation.outcome == Outcome::Info) {
        return true;
    }
    for nth in 0..rest.len() {
        let next = rest[nth];
        let first = rest
            .iter()
            .all(|other| other.returned().is_none_or(|returned| returned.index > next.call.index));
        if !first {
            continue;
        }
        rest.remove(nth);
        let found = after(kind, next, inside).iter().any(|state| some_order(kind, rest, state));
        rest.insert(nth, next);
        if found {
            return true;
        }
    }
    false
}

/// What may be inside after the operation, if it could have had its result.
fn after(kind: Kind, operation: &Operation, inside: &[Value]) -> Vec<Vec<Value>> {
    if operation.f == kind.put() {
        return vec![[inside, std::slice::from_ref(&operation.input)].concat()];
    }
    let known = operation.outcome == Outcome::Ok;
    if known && operation.output.is_nil() {
        return if inside.is_empty() { vec![Vec::new()] } else { Vec::new() };
    }
    let fits = |place: &usize| !known || inside[*place] == operation.output;
    let without = |place| {
        let mut left = inside.to_vec();
        left.remove(place);
        left
    };
    kind.open(inside).filter(fits).map(without).collect()
}

/// Up to nine operations by up to four processes. A real object answers, and from time to time something is falsified.
pub(crate) fn random_history(rng: &mut impl Rng, kind: Kind, repeats: bool) -> Vec<Operation> {
    let mut maker = Maker {
        kind,
        repeats,
        processes: rng.random_range(1..=4),
        operations: rng.random_range(4..=9),
        made_up: rng.random_range(0..2) == 0,
        falsified: [0, 20, 60, 100][rng.random_range(0..4)],
        crashes: [0, 10, 40][rng.random_range(0..3)],
        takes: [40, 50][rng.random_range(0..2)],
        eager: [15, 40, 70][rng.random_range(0..3)],
        rng,
        called: 0,
        next_event: 0,
        next_value: 1,
        inside: Vec::new(),
        taken: Vec::new(),
        open: Vec::new(),
        history: Vec::new(),
        left_open: Vec::new(),
    };
    while maker.called < maker.operations || !maker.open.is_empty() {
        maker.step();
    }
    maker.history.append(&mut maker.left_open);
    maker.history
}

struct Maker<'a, R> {
    rng: &'a mut R,
    kind: Kind,
    repeats: bool,
    processes: usize,
    operations: u64,
    /// Whether takes answer any value that was or will be put in, each once.
    made_up: bool,
    /// Percent.
    falsified: u32,
    crashes: u32,
    takes: u32,
    eager: u32,
    called: u64,
    next_event: u64,
    next_value: i64,
    inside: Vec<Value>,
    taken: Vec<i64>,
    open: Vec<(Operation, bool)>,
    history: Vec<Operation>,
    left_open: Vec<Operation>,
}

impl<R: Rng> Maker<'_, R> {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn stamp(&mut self) -> Stamp {
        self.next_event += 1;
        Stamp { index: self.next_event - 1, time: (self.next_event - 1) * 1_000_000 }
    }

    fn step(&mut self) {
        let may_call = self.called < self.operations && self.open.len() < self.processes;
        if may_call && (self.open.is_empty() || self.chance(45)) {
            return self.call();
        }
        let nth = self.rng.random_range(0..self.open.len());
        let eager = self.eager;
        if !self.open[nth].1 && self.chance(eager) {
            self.take_effect(nth);
        } else {
            self.end(nth);
        }
    }

    fn call(&mut self) {
        let takes = self.takes;
        let take = self.chance(takes);
        let input = match take {
            true => Value::Nil,
            false if self.repeats => Value::Int(self.rng.random_range(1..4)),
            false => {
                self.next_value += 1;
                Value::Int(self.next_value - 1)
            }
        };
        let f = if take { self.kind.take() } else { self.kind.put() };
        let operation = Operation {
            process: Process(self.called),
            f: f.into(),
            input,
            output: Value::Nil,
            outcome: Outcome::Ok,
            call: self.stamp(),
            end: None,
            error: None,
            node: None,
            answered_by: None,
            scheduled: None,
            attempts: 1,
            phase: None,
        };
        self.called += 1;
        self.open.push((operation, false));
    }

    fn take_effect(&mut self, nth: usize) {
        let falsified = self.falsified;
        let lie = self.chance(falsified);
        self.open[nth].1 = true;
        if self.open[nth].0.f == self.kind.put() {
            // A lie about an enqueue is to lose it.
            if !lie || self.chance(80) {
                self.inside.push(self.open[nth].0.input.clone());
            }
            return;
        }
        if self.made_up {
            self.open[nth].0.output = self.any_value();
            return;
        }
        let places = if lie { 0..self.inside.len() } else { self.kind.open(&self.inside) };
        let output = match places.is_empty() {
            _ if lie && self.chance(20) => Value::Nil,
            _ if lie && self.chance(10) => Value::Int(self.rng.random_range(1..=self.next_value)),
            true => Value::Nil,
            false => self.inside.remove(self.rng.random_range(places)),
        };
        self.open[nth].0.output = output;
    }

    /// A value that no other take has answered, or nil.
    fn any_value(&mut self) -> Value {
        let value = self.rng.random_range(1..=self.next_value);
        if self.taken.contains(&value) || self.chance(5) {
            return Value::Nil;
        }
        self.taken.push(value);
        Value::Int(value)
    }

    fn end(&mut self, nth: usize) {
        let crashes = self.crashes;
        if self.chance(crashes) {
            let mut operation = self.open.swap_remove(nth).0;
            operation.outcome = Outcome::Info;
            operation.output = Value::Nil;
            if self.chance(50) {
                return self.left_open.push(operation);
            }
            operation.end = Some(self.stamp());
            return self.history.push(operation);
        }
        let falsified = self.falsified;
        if !self.open[nth].1 {
            // What has not taken effect may fail.
            if self.chance(10) {
                let mut operation = self.open.swap_remove(nth).0;
                operation.outcome = Outcome::Fail;
                operation.end = Some(self.stamp());
                self.history.push(operation);
            }
            return;
        }
        let mut operation = self.open.swap_remove(nth).0;
        operation.end = Some(self.stamp());
        if self.chance(falsified / 10) {
            // It took effect, and says that it did not.
            operation.outcome = Outcome::Fail;
            operation.output = Value::Nil;
        }
        self.history.push(operation);
    }
}
