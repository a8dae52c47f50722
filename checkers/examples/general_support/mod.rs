//! Histories of one register with few values, from a seed.
//!
//! A real register answers; the next event is that of a client drawn by a seeded ChaCha. 40 % reads, 40 % writes and
//! 20 % cas of values 0 to 4; a cas expects what the register holds when it is called, so that about half of them
//! succeed; the others fail and assert nothing. Crashed operations are writes and cas, evenly spread. A stale read is made
//! from nine tenths on: it returns a value that the register did not hold at any time while the read was open. With crashed
//! operations that may still be explained.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tribunal_checkers::linearizability::wgl::Interval;
use tribunal_checkers::models::register::RegisterOp;
use tribunal_history::Value;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    operations: usize,
    clients: usize,
    crashed: usize,
    stale: usize,
}

/// An open operation.
struct Open {
    call: u64,
    input: RegisterOp,
    /// What it answers, once it has taken effect; `None` within if it fails.
    answer: Option<Option<RegisterOp>>,
    /// What the register held since the call.
    held: Vec<Value>,
}

impl Shape {
    /// `wide`, `crashed`, or `OPERATIONS,CLIENTS,CRASHED,STALE`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "wide" => return Some(Self { operations: 1000, clients: 32, crashed: 0, stale: 0 }),
            "crashed" => return Some(Self { operations: 500, clients: 4, crashed: 20, stale: 1 }),
            _ => {}
        }
        let numbers: Result<Vec<usize>, _> = name.split(',').map(str::parse).collect();
        match numbers.ok()?[..] {
            [operations, clients, crashed, stale] => {
                Some(Self { operations, clients, crashed, stale })
            }
            _ => None,
        }
    }

    /// The operations, in the order of their ends.
    pub(crate) fn history(self, seed: u64) -> Vec<Interval<RegisterOp>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut clients: Vec<Option<Open>> = (0..self.clients).map(|_| None).collect();
        let mut history = Vec::with_capacity(self.operations);
        let (mut register, mut event, mut called, mut crashed, mut stale) =
            (Value::Nil, 0, 0, 0, 0);
        while called < self.operations || clients.iter().any(Option::is_some) {
            let client = rng.random_range(0..self.clients);
            match clients[client].take() {
                None if called < self.operations => {
                    called += 1;
                    event += 1;
                    let held = vec![register.clone()];
                    let input = input(&mut rng, &register);
                    clients[client] = Some(Open { call: event, input, answer: None, held });
                }
                None => {}
                Some(mut open) if open.answer.is_none() => {
                    take_effect(&mut open, &mut register);
                    clients[client] = Some(open);
                    for open in clients.iter_mut().flatten() {
                        open.held.push(register.clone());
                    }
                }
                Some(open) => {
                    event += 1;
                    let is_read = matches!(open.input, RegisterOp::Read(_));
                    if !is_read && crashed < called * self.crashed / self.operations {
                        crashed += 1;
                        history.push(Interval { op: open.input, call: open.call, end: None });
                        continue;
                    }
                    let Some(mut op) = open.answer.flatten() else { continue };
                    if is_read && stale < self.stale && called * 10 >= self.operations * 9 {
                        let other = (0..5).map(Value::Int).find(|value| !open.held.contains(value));
                        if let Some(value) = other {
                            op = RegisterOp::Read(value);
                            stale += 1;
                        }
                    }
                    history.push(Interval { op, call: open.call, end: Some(event) });
                }
            }
        }
        history
    }
}

fn input(rng: &mut impl Rng, register: &Value) -> RegisterOp {
    let value = Value::Int(rng.random_range(0..5));
    match rng.random_range(0..10) {
        0..4 => RegisterOp::Read(Value::Nil),
        4..8 => RegisterOp::Write(value),
        _ => RegisterOp::Cas(register.clone(), value),
    }
}

fn take_effect(open: &mut Open, register: &mut Value) {
    let (answer, after) = match &open.input {
        RegisterOp::Read(_) => (Some(RegisterOp::Read(register.clone())), None),
        RegisterOp::Write(value) => (Some(open.input.clone()), Some(value.clone())),
        RegisterOp::Cas(from, to) if from == register => {
            (Some(open.input.clone()), Some(to.clone()))
        }
        RegisterOp::Cas(..) => (None, None),
    };
    if let Some(after) = after {
        *register = after;
    }
    open.answer = Some(answer);
}
