//! Histories of queues and stacks of any length, from a seed.
//!
//! A real object answers; the next event is that of a client drawn by a seeded ChaCha. Half of the operations put a new value
//! in, the others take one out (or answer nil where it is empty, if asked for). At last the object is not drained.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// A stack, or else a first-in, first-out queue.
    pub(crate) stack: bool,
    /// Operations, crashed ones included.
    pub(crate) operations: u64,
    /// How many puts crash, evenly spread; half of them take effect.
    pub(crate) crashed_puts: u64,
    /// How many takes crash, evenly spread; half of them take effect.
    pub(crate) crashed_takes: u64,
    /// Clients at work at the same time.
    pub(crate) clients: usize,
    /// Whether one take in the middle returns what a correct object would not.
    pub(crate) violation: bool,
}

impl Plan {
    /// The operations in the order of their completion.
    pub(crate) fn history(self, seed: u64) -> Vec<Operation> {
        let mut generator = Generator {
            plan: self,
            rng: ChaCha8Rng::seed_from_u64(seed),
            clients: (0..self.clients).map(|_| None).collect(),
            processes: (0..).take(self.clients).collect(),
            next_process: self.clients as u64,
            inside: VecDeque::new(),
            called: 0,
            event: 0,
            crashed_puts: 0,
            crashed_takes: 0,
            violated: !self.violation,
        };
        let mut history = Vec::new();
        while generator.called < self.operations || generator.clients.iter().any(Option::is_some) {
            history.extend(generator.step());
        }
        history
    }
}

struct Generator {
    plan: Plan,
    rng: ChaCha8Rng,
    /// The open operation of each client, and whether it took effect.
    clients: Vec<Option<(Operation, bool)>>,
    processes: Vec<u64>,
    next_process: u64,
    inside: VecDeque<Value>,
    called: u64,
    event: u64,
    crashed_puts: u64,
    crashed_takes: u64,
    violated: bool,
}

impl Generator {
    fn stamp(&mut self) -> Stamp {
        self.event += 1;
        Stamp { index: self.event - 1, time: self.event * 10_000 }
    }

    fn step(&mut self) -> Option<Operation> {
        let client = self.rng.random_range(0..self.plan.clients);
        match self.clients[client].take() {
            Some((mut operation, false)) => {
                // Half of those that crash never take effect.
                if operation.outcome == Outcome::Ok || self.rng.random_range(0..2) == 0 {
                    self.take_effect(&mut operation);
                }
                self.clients[client] = Some((operation, true));
                None
            }
            Some((operation, true)) => Some(self.end(operation, client)),
            None if self.called < self.plan.operations => {
                self.clients[client] = Some((self.call(client), false));
                None
            }
            None => None,
        }
    }

    fn call(&mut self, client: usize) -> Operation {
        self.called += 1;
        let put = self.rng.random_range(0..2) == 0;
        let f = match (self.plan.stack, put) {
            (true, true) => "push",
            (true, false) => "pop",
            (false, true) => "enqueue",
            (false, false) => "dequeue",
        };
        let outcome = self.outcome(put);
        Operation {
            process: Process(self.processes[client]),
            f: f.into(),
            input: if put { Value::from(self.called.cast_signed()) } else { Value::Nil },
            output: Value::Nil,
            outcome,
            call: self.stamp(),
            end: None,
            error: None,
            node: Some(1),
            answered_by: Some(1),
            scheduled: None,
            attempts: 1,
            phase: None,
        }
    }

    /// Whether the next put or take will crash.
    fn outcome(&mut self, put: bool) -> Outcome {
        let Plan { operations, crashed_puts, crashed_takes, .. } = self.plan;
        let (crashed, wanted) = match put {
            true => (&mut self.crashed_puts, crashed_puts),
            false => (&mut self.crashed_takes, crashed_takes),
        };
        if *crashed == self.called * wanted / operations {
            return Outcome::Ok;
        }
        *crashed += 1;
        Outcome::Info
    }

    fn take_effect(&mut self, operation: &mut Operation) {
        if !operation.input.is_nil() {
            self.inside.push_back(operation.input.clone());
            return;
        }
        let wrong = !self.violated
            && self.called > self.plan.operations / 2
            && self.inside.len() > 4 * self.plan.clients
            && operation.outcome == Outcome::Ok;
        let from_back = self.plan.stack != wrong;
        self.violated |= wrong;
        let taken = if from_back { self.inside.pop_back() } else { self.inside.pop_front() };
        operation.output = taken.unwrap_or_default();
    }

    fn end(&mut self, mut operation: Operation, client: usize) -> Operation {
        operation.end = Some(self.stamp());
        if operation.outcome == Outcome::Info {
            operation.output = Value::Nil;
            self.processes[client] = self.next_process;
            self.next_process += 1;
        }
        operation
    }
}
