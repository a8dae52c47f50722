//! Linearizable histories of any length, from a seed; for benchmarks.
//!
//! A real register answers eight clients; the next event is that of a client drawn by a seeded ChaCha. Half of the
//! operations are reads, a tenth are cas on the value that was last seen, the rest are writes of new values.

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
}

impl Plan {
    /// One key, eight clients, fifty crashed operations.
    pub(crate) fn of(operations: u64) -> Self {
        Self { operations, crashed: 50, clients: 8 }
    }

    /// The operations in the order of their completion.
    pub(crate) fn history(self, seed: u64) -> Generator {
        Generator {
            plan: self,
            rng: ChaCha8Rng::seed_from_u64(seed),
            clients: (0..self.clients).map(|_| None).collect(),
            register: Value::Nil,
            called: 0,
            crashed: 0,
            event: 0,
            processes: (0..).take(self.clients).collect(),
            next_process: self.clients as u64,
        }
    }
}

/// See [`Plan::history`].
#[derive(Debug)]
pub(crate) struct Generator {
    plan: Plan,
    rng: ChaCha8Rng,
    /// The open operation of each client, and whether it took effect.
    clients: Vec<Option<(Operation, bool)>>,
    register: Value,
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
                Some((mut operation, false)) => {
                    self.take_effect(&mut operation);
                    self.clients[client] = Some((operation, true));
                }
                Some((operation, true)) => return Some(self.end(operation, client)),
                None if self.called < self.plan.operations => {
                    self.clients[client] = Some((self.call(client), false));
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

    fn call(&mut self, client: usize) -> Operation {
        self.called += 1;
        let fresh = Value::from(self.called.cast_signed());
        let (f, argument) = match self.rng.random_range(0..10) {
            0..5 => ("read", Value::Nil),
            5..9 => ("write", fresh),
            _ => ("cas", Value::List(vec![self.register.clone(), fresh])),
        };
        Operation {
            process: Process(self.processes[client]),
            f: f.into(),
            input: Value::keyed("x".into(), argument),
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
        }
    }

    fn take_effect(&mut self, operation: &mut Operation) {
        let (key, argument) = operation.input.as_pair().expect("keyed");
        match &*operation.f {
            "read" => operation.output = Value::keyed(key.clone(), self.register.clone()),
            "write" => self.register = argument.clone(),
            _ => match argument.as_pair() {
                Some((from, to)) if *from == self.register => self.register = to.clone(),
                _ => operation.outcome = Outcome::Fail,
            },
        }
    }

    fn end(&mut self, mut operation: Operation, client: usize) -> Operation {
        operation.end = Some(self.stamp());
        if self.crashed < self.called * self.plan.crashed / self.plan.operations {
            self.crashed += 1;
            operation.outcome = Outcome::Info;
            operation.output = Value::Nil;
            self.processes[client] = self.next_process;
            self.next_process += 1;
        }
        operation
    }
}
