//! Histories for the general engine, from a seed, and how long it takes: whole rows of the figures in README.md.
//!
//! `cargo run --release -p tribunal-checkers --example general -- SHAPE FROM_SEED SEEDS [STRATEGY]`, where SHAPE is
//! `wide` (1,000 operations, 32 clients, valid), `crashed` (500 operations, 4 clients, 20 crashed, one stale read) or
//! `OPERATIONS,CLIENTS,CRASHED,STALE`, as in `1000,64,0,1`; STRATEGY is `both`, `depth` or `breadth`.
//!
//! A real register answers; the next event is that of a client drawn by a seeded ChaCha. 40 % reads, 40 % writes and
//! 20 % cas of values 0 to 4; a cas expects what the register holds when it is called, so that about half of them
//! succeed; the others fail and assert nothing. A stale read is made at nine tenths: it returns a value that the register did not
//! hold at any time while the read was open.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::{Duration, Instant};
use tribunal_checkers::linearizability::wgl::{Answer, Interval, Strategy, search_by};
use tribunal_checkers::models::{Register, register::RegisterOp};
use tribunal_history::Value;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |nth: usize| words.get(nth).map_or("", String::as_str);
    let shape = Shape::named(word(0)).unwrap_or_else(|| {
        eprintln!("usage: general wide|crashed|OPERATIONS,CLIENTS,CRASHED,STALE [FROM_SEED [SEEDS [STRATEGY]]]");
        std::process::exit(2)
    });
    let from: u64 = word(1).parse().unwrap_or(1);
    let seeds: u64 = word(2).parse().unwrap_or(10);
    let strategy = match word(3) {
        "depth" => Strategy::Depth,
        "breadth" => Strategy::Breadth,
        _ => Strategy::Both,
    };
    for seed in from..from + seeds {
        let history = shape.history(seed);
        let start = Instant::now();
        let deadline = start + Duration::from_secs(60);
        let answer = search_by(strategy, &Register::default(), &history, deadline, 2 << 30);
        let told = match answer {
            Answer::Linearizable => "valid".to_owned(),
            Answer::NotLinearizable { linearized, states, .. } => {
                format!("invalid after {linearized} operations, states {}", states.join(" "))
            }
            Answer::Unknown { why, linearized, returned } => {
                format!("unknown: {why} at {linearized} of {returned}")
            }
        };
        println!("seed {seed}: {:.3} s, {told}", start.elapsed().as_secs_f64());
    }
}

/// What to make.
#[derive(Clone, Copy, Debug)]
struct Shape {
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
    fn named(name: &str) -> Option<Self> {
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

    fn history(self, seed: u64) -> Vec<Interval<RegisterOp>> {
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
