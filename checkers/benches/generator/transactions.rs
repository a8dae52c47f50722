//! Strictly serializable histories of transactions of any length, from a seed; on demand with one violation.
//!
//! A real store answers the clients one transaction at a time, at a moment between call and end; the next event is that of a client
//! drawn by a seeded ChaCha. Some keys are alive at a time; one that was written often enough is replaced by a new one.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tribunal_history::{Actor, Event, EventKind, Process, Value};

/// Lists or registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `append` and `r`.
    ListAppend,
    /// `w` and `r`.
    RwRegister,
}

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) transactions: u64,
    pub(crate) clients: usize,
    /// Keys alive at a time.
    pub(crate) keys: usize,
    /// Writes to a key until it is replaced.
    pub(crate) writes: usize,
    /// Micro-operations of a transaction, at most.
    pub(crate) longest: usize,
    /// How many transactions crash, evenly spread.
    pub(crate) crashed: u64,
    /// What happens when nine tenths have been called.
    pub(crate) violation: Option<Violation>,
}

/// One violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A read misses half of the writes of a key, long acknowledged.
    StaleRead,
    /// A failed write is read.
    AbortedRead,
    /// Two transactions of two new keys each read the one and write the other.
    WriteSkew,
    /// Two transactions read a new key and then write it.
    LostUpdate,
}

impl Plan {
    /// The shape of the figures: 10 clients, 100 keys alive with 100 writes each, 1 to 6 micro-operations.
    pub(crate) fn of(shape: Shape, transactions: u64) -> Self {
        let (clients, keys, writes, longest) = (10, 100, 100, 6);
        Self { shape, transactions, clients, keys, writes, longest, crashed: 0, violation: None }
    }

    /// Its events, in order.
    pub(crate) fn events(self, seed: u64) -> Generator {
        Generator {
            plan: self,
            rng: ChaCha8Rng::seed_from_u64(seed),
            alive: (0..).take(self.keys).collect(),
            next_key: self.keys as i64,
            written: BTreeMap::new(),
            clients: (0..self.clients).map(|_| None).collect(),
            processes: (0..).take(self.clients).collect(),
            next_process: self.clients as u64,
            called: 0,
            crashed: 0,
            value: 0,
            event: 0,
            injected: false,
            queue: Vec::new(),
        }
    }
}

/// See [`Plan::events`].
#[derive(Debug)]
pub(crate) struct Generator {
    plan: Plan,
    rng: ChaCha8Rng,
    alive: Vec<i64>,
    next_key: i64,
    /// What was written to each key that is alive or still in use.
    written: BTreeMap<i64, Vec<Value>>,
    clients: Vec<Option<Open>>,
    processes: Vec<u64>,
    next_process: u64,
    called: u64,
    crashed: u64,
    value: i64,
    event: u64,
    injected: bool,
    /// The events of the violation, the next one last.
    queue: Vec<(u64, EventKind, Value)>,
}

#[derive(Debug)]
struct Open {
    input: Value,
    /// Once it took effect.
    output: Option<Value>,
}

impl Iterator for Generator {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((process, kind, value)) = self.queue.pop() {
                return Some(self.event(process, kind, value));
            }
            if self.due() {
                self.inject();
                continue;
            }
            if self.called == self.plan.transactions && self.clients.iter().all(Option::is_none) {
                return None;
            }
            let client = self.rng.random_range(0..self.plan.clients);
            match self.clients[client].take() {
                Some(Open { input, output: None }) => {
                    let output = Some(self.execute(&input));
                    self.clients[client] = Some(Open { input, output });
                }
                Some(Open { output: Some(output), .. }) => return Some(self.end(client, output)),
                None if self.called < self.plan.transactions => {
                    let input = self.call();
                    self.clients[client] = Some(Open { input: input.clone(), output: None });
                    return Some(self.event(self.processes[client], EventKind::Invoke, input));
                }
                None => {}
            }
        }
    }
}

impl Generator {
    fn event(&mut self, process: u64, kind: EventKind, value: Value) -> Event {
        self.event += 1;
        Event {
            index: self.event - 1,
            time: self.event * 10_000,
            process: Actor::Process(Process(process)),
            kind,
            f: "txn".into(),
            value,
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        }
    }

    fn call(&mut self) -> Value {
        self.called += 1;
        let length = self.rng.random_range(1..=self.plan.longest);
        let micros = (0..length).map(|_| {
            let key = self.alive[self.rng.random_range(0..self.alive.len())];
            if self.rng.random() { self.write(key) } else { self.read(key, Value::Nil) }
        });
        Value::List(micros.collect())
    }

    /// A write of a value that no other write has.
    fn write(&mut self, key: i64) -> Value {
        self.value += 1;
        let f = if self.plan.shape == Shape::ListAppend { "append" } else { "w" };
        Value::List(vec![f.into(), key.into(), self.value.into()])
    }

    fn read(&self, key: i64, value: Value) -> Value {
        Value::List(vec!["r".into(), key.into(), value])
    }

    fn execute(&mut self, input: &Value) -> Value {
        let micros = input.as_list().expect("made above").iter().map(|micro| {
            let Some([f, key, value]) = micro.as_list() else { unreachable!("made above") };
            let key = key.as_int().expect("keys are numbers");
            let written = self.written.entry(key).or_default();
            if f.as_text() == Some("r") {
                let seen = seen(self.plan.shape, written);
                return self.read(key, seen);
            }
            written.push(value.clone());
            if written.len() == self.plan.writes {
                let place = self.alive.iter().position(|alive| *alive == key);
                self.alive[place.expect("it is written this often once")] = self.next_key;
                self.next_key += 1;
            }
            micro.clone()
        });
        Value::List(micros.collect())
    }

    fn end(&mut self, client: usize, output: Value) -> Event {
        let process = self.processes[client];
        if self.crashed >= self.called * self.plan.crashed / self.plan.transactions {
            return self.event(process, EventKind::Ok, output);
        }
        self.crashed += 1;
        self.processes[client] = self.fresh_process();
        self.event(process, EventKind::Info, Value::Nil)
    }

    fn fresh_process(&mut self) -> u64 {
        self.next_process += 1;
        self.next_process - 1
    }

    fn fresh_key(&mut self) -> i64 {
        self.next_key += 1;
        self.next_key - 1
    }

    /// Whether it is time for the violation.
    fn due(&self) -> bool {
        let late = self.called >= self.plan.transactions * 9 / 10;
        self.plan.violation.is_some() && late && !self.injected
    }

    fn inject(&mut self) {
        let Some(violation) = self.plan.violation else { return };
        self.injected = true;
        let (x, y) = (self.fresh_key(), self.fresh_key());
        let (a, b) = (self.fresh_process(), self.fresh_process());
        let nothing =
            if self.plan.shape == Shape::ListAppend { Value::List(vec![]) } else { Value::Nil };
        let empty = |generator: &Self, key: i64| generator.read(key, nothing.clone());
        let mut events = match violation {
            Violation::StaleRead => {
                let fullest =
                    self.alive.iter().max_by_key(|key| self.written.get(key).map_or(0, Vec::len));
                let key = *fullest.expect("keys are alive");
                let written = self.written.get(&key).cloned().unwrap_or_default();
                let read = self.read(key, seen(self.plan.shape, &written[..written.len() / 2]));
                vec![
                    (a, EventKind::Invoke, vec![self.read(key, Value::Nil)]),
                    (a, EventKind::Ok, vec![read]),
                ]
            }
            Violation::AbortedRead => {
                let write = self.write(x);
                let value = write.as_list().expect("made above")[2].clone();
                let read = self.read(x, seen(self.plan.shape, &[value]));
                vec![
                    (a, EventKind::Invoke, vec![write.clone()]),
                    (a, EventKind::Fail, vec![write]),
                    (b, EventKind::Invoke, vec![self.read(x, Value::Nil)]),
                    (b, EventKind::Ok, vec![read]),
                ]
            }
            Violation::WriteSkew | Violation::LostUpdate => {
                let skew = violation == Violation::WriteSkew;
                let (one, other) = (self.write(x), self.write(if skew { y } else { x }));
                let of = |generator: &Self, key, write: &Value| {
                    vec![empty(generator, key), write.clone()]
                };
                let (first, second) =
                    (of(self, if skew { y } else { x }, &one), of(self, x, &other));
                let asked = |key, write: &Value| vec![self.read(key, Value::Nil), write.clone()];
                vec![
                    (a, EventKind::Invoke, asked(if skew { y } else { x }, &one)),
                    (b, EventKind::Invoke, asked(x, &other)),
                    (a, EventKind::Ok, first),
                    (b, EventKind::Ok, second),
                ]
            }
        };
        events.reverse();
        self.queue = events
            .into_iter()
            .map(|(process, kind, micros)| (process, kind, Value::List(micros)))
            .collect();
    }
}

fn seen(shape: Shape, written: &[Value]) -> Value {
    match shape {
        Shape::ListAppend => Value::List(written.to_vec()),
        Shape::RwRegister => written.last().cloned().unwrap_or_default(),
    }
}
