//! Histories of registers of any length, from a seed; for benchmarks and `examples/generate.rs`.
//!
//! Real registers answer the clients; the next event is that of a client drawn by a seeded ChaCha. Half of the
//! operations are reads, a tenth are cas on the value that the register has, the rest are writes of new values.
//!
//! The history is linearizable, unless one stale read is asked for: a read that begins after nine tenths of the operations
//! returns what a write that completed after eight tenths wrote, though later writes replaced it.
//!
//! With few values instead of new ones, 40 % are reads, 40 % writes and 20 % cas, and the stale read returns a value that the
//! register did not hold while the read was open; a crashed write may still explain it.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Operations, crashed ones included.
    pub(crate) operations: u64,
    /// How many of them crash, evenly spread.
    pub(crate) crashed: u64,
    /// Clients at work at the same time.
    pub(crate) clients: usize,
    /// Registers, each operation's drawn evenly.
    pub(crate) keys: usize,
    /// Values to write, from 0; 0 for a new value each time.
    pub(crate) values: i64,
    /// Whether one read is stale.
    pub(crate) stale: bool,
}

impl Plan {
    /// One key, eight clients, fifty crashed operations.
    pub(crate) fn of(operations: u64) -> Self {
        Self { operations, crashed: 50, clients: 8, keys: 1, values: 0, stale: false }
    }

    /// The operations in the order of their completion.
    pub(crate) fn history(self, seed: u64) -> Generator {
        Generator {
            plan: self,
            rng: ChaCha8Rng::seed_from_u64(seed),
            clients: (0..self.clients).map(|_| None).collect(),
            registers: vec![Value::Nil; self.keys],
            stale: self.stale.then_some(Stale::Awaited),
            called: 0,
            crashed: 0,
            event: 0,
            processes: (0..).take(self.clients).collect(),
            next_process: self.clients as u64,
        }
    }
}

/// The operation that a client has under way.
#[derive(Debug)]
struct Open {
    operation: Operation,
    key: usize,
    took_effect: bool,
    /// Where values repeat: what the register held since the call.
    held: Vec<Value>,
}

/// What is known of the stale read to come.
#[derive(Debug)]
enum Stale {
    /// The write is awaited.
    Awaited,
    /// A write of this value to this key completed.
    Written { key: usize, value: Value },
}

/// See [`Plan::history`].
#[derive(Debug)]
pub(crate) struct Generator {
    plan: Plan,
    rng: ChaCha8Rng,
    clients: Vec<Option<Open>>,
    registers: Vec<Value>,
    stale: Option<Stale>,
    called: u64,
    crashed: u64,
    event: u64,
    processes: Vec<u64>,
    next_process: u64,
}

impl Iterator for Generator {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        loop {
            if self.called == self.plan.operations && self.clients.iter().all(Option::is_none) {
                return None;
            }
            let client = self.rng.random_range(0..self.plan.clients);
            match self.clients[client].take() {
                Some(mut open) if !open.took_effect => {
                    self.take_effect(&mut open);
                    let key = open.key;
                    self.clients[client] = Some(open);
                    self.note_held(key);
                }
                Some(open) => return Some(self.end(open, client)),
                None if self.called < self.plan.operations => {
                    self.clients[client] = Some(self.call(client));
                }
                None => {}
            }
        }
    }
}

impl Generator {
    fn stamp(&mut self) -> Stamp {
        self.event += 1;
        Stamp { index: self.event - 1, time: self.event * 10_000 }
    }

    fn call(&mut self, client: usize) -> Open {
        self.called += 1;
        // One register draws nothing, so that its histories stay what they were before there were several.
        let key = if self.plan.keys == 1 { 0 } else { self.rng.random_range(0..self.plan.keys) };
        let value = match self.plan.values {
            0 => self.called.cast_signed(),
            values => self.rng.random_range(0..values),
        };
        let fresh = Value::from(value);
        let (reads, writes) = if self.plan.values == 0 { (5, 4) } else { (4, 4) };
        let drawn = self.rng.random_range(0..10);
        let (f, argument) = match drawn {
            _ if drawn < reads => ("read", Value::Nil),
            _ if drawn < reads + writes => ("write", fresh),
            _ => ("cas", Value::List(vec![self.registers[key].clone(), fresh])),
        };
        let name = if self.plan.keys == 1 { "x".into() } else { Value::from(key as i64) };
        let operation = Operation {
            process: Process(self.processes[client]),
            f: f.into(),
            input: Value::keyed(name, argument),
            output: Value::Nil,
            outcome: Outcome::Ok,
            call: self.stamp(),
            end: None,
            error: None,
            node: Some(1),
            answered_by: Some(1),
            scheduled: None,
            attempts: 1,
            phase: None,
        };
        let repeat = self.plan.values > 0;
        let held = repeat.then(|| self.registers[key].clone()).into_iter().collect();
        Open { operation, key, took_effect: false, held }
    }

    fn take_effect(&mut self, open: &mut Open) {
        open.took_effect = true;
        let Open { operation, key, .. } = open;
        let register = &mut self.registers[*key];
        let (name, argument) = operation.input.as_pair().expect("keyed");
        match &*operation.f {
            "read" => operation.output = Value::keyed(name.clone(), register.clone()),
            "write" => *register = argument.clone(),
            _ => match argument.as_pair() {
                Some((from, to)) if from == register => *register = to.clone(),
                _ => operation.outcome = Outcome::Fail,
            },
        }
    }

    /// Every operation that is open on the key saw its value.
    fn note_held(&mut self, key: usize) {
        if self.plan.values == 0 {
            return;
        }
        let value = &self.registers[key];
        let open = self.clients.iter_mut().flatten().filter(|open| open.key == key);
        open.for_each(|open| open.held.push(value.clone()));
    }

    fn end(&mut self, open: Open, client: usize) -> Operation {
        let Open { mut operation, key, held, .. } = open;
        operation.end = Some(self.stamp());
        if self.crashed < self.called * self.plan.crashed / self.plan.operations {
            self.crashed += 1;
            operation.outcome = Outcome::Info;
            operation.output = Value::Nil;
            self.processes[client] = self.next_process;
            self.next_process += 1;
        } else if self.stale.is_some() {
            self.make_stale(&mut operation, key, &held);
        }
        operation
    }

    /// Takes note of the write, or gives its value to the read, of an operation that did not crash.
    fn make_stale(&mut self, operation: &mut Operation, key: usize, held: &[Value]) {
        let (name, argument) = operation.input.as_pair().expect("keyed");
        let f = &*operation.f;
        // Each operation has two events, so that the index of a call is about twice the number of calls.
        let after = |tenths: u64| operation.call.index > self.plan.operations * tenths / 5;
        match &self.stale {
            Some(Stale::Awaited) if self.plan.values > 0 => {
                let mut values = (0..self.plan.values).map(Value::from);
                let never = values.find(|value| !held.contains(value));
                if let Some(value) = never.filter(|_| f == "read" && after(9)) {
                    operation.output = Value::keyed(name.clone(), value);
                    self.stale = None;
                }
            }
            Some(Stale::Awaited) if f == "write" && after(8) => {
                self.stale = Some(Stale::Written { key, value: argument.clone() });
            }
            Some(Stale::Written { key: written, value })
                if f == "read" && key == *written && after(9) =>
            {
                operation.output = Value::keyed(name.clone(), value.clone());
                self.stale = None;
            }
            _ => {}
        }
    }
}
