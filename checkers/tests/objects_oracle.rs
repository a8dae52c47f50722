//! Locks, sets and counters against the definition of linearizability, on random small histories.
//!
//! The definition is an exhaustive search over orders; the models say what an object answers. 20,000 histories an object by
//! default; `TRIBUNAL_ORACLE_HISTORIES` asks for another number.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use tribunal_checkers::linearizability::Limits;
use tribunal_checkers::linearizability::collections::{Counter, Mutex, OwnedMutex, Set};
use tribunal_checkers::models::counter::CounterOp;
use tribunal_checkers::models::mutex::MutexOp;
use tribunal_checkers::models::set::SetOp;
use tribunal_checkers::models::{self, Model};
use tribunal_checkers::{Checker, Validity, Verdict};
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Mutex,
    OwnedMutex,
    Set,
    /// All adds the same.
    Counter(i64),
    /// Adds from -1 to 2.
    AnyCounter,
}

#[test]
fn locks_agree_with_the_definition() {
    agree(Object::Mutex, "lock", &["acquired-while-held", "released-while-free"]);
    let names = ["acquired-twice", "held-twice", "released-without-holding"];
    agree(Object::OwnedMutex, "lock", &names);
}

#[test]
fn sets_agree_with_the_definition() {
    let names = ["duplicated", "failed-operation-observed", "future-read", "incompatible-reads"];
    let more = ["lost", "out-of-order", "stale-read", "unexpected"];
    agree(Object::Set, "set", &[names, more].concat());
}

#[test]
fn counters_agree_with_the_definition() {
    for step in [1, 3, -2] {
        agree(Object::Counter(step), "counter", &["too-high", "too-low"]);
    }
    agree(Object::AnyCounter, "wgl", &["not-linearizable", "too-high", "too-low"]);
}

fn agree(object: Object, engine: &str, anomalies: &[&str]) {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    let (mut valid, mut invalid, mut engines) = (0, 0, 0);
    for seed in 0..histories() {
        let history = Maker::new(seed, object).history();
        let expected = linearizable(object, &history);
        let verdict = check(object, &history);
        let context = || format!("{object:?}, seed {seed}, {verdict:?}\n{history:#?}");
        assert_eq!(verdict.validity == Validity::Valid, expected, "{}", context());
        assert_ne!(verdict.validity, Validity::Unknown, "{}", context());
        *(if expected { &mut valid } else { &mut invalid }) += 1;
        engines += u64::from(verdict.engine.as_deref() == Some(engine));
        for anomaly in &verdict.anomalies {
            *told.entry(anomaly.name.to_string()).or_default() += 1;
            if object == Object::OwnedMutex {
                let proves = !linearizable(object, &anomaly.witness);
                assert!(proves, "a witness that proves nothing: {}", context());
            }
        }
    }
    assert!(valid * 8 > invalid && invalid * 8 > valid, "{object:?}: {valid} valid, {invalid} not");
    assert!(engines * 2 > histories(), "{object:?}: {engine} decided only {engines}");
    let names: Vec<&str> = told.keys().map(String::as_str).collect();
    assert_eq!(names, anomalies, "every anomaly of {object:?} should have come up: {told:?}");
}

fn check(object: Object, history: &[Operation]) -> Verdict {
    let limits = Limits::default();
    let mut checker: Box<dyn Checker> = match object {
        Object::Mutex => Box::new(Mutex::new(limits)),
        Object::OwnedMutex => Box::new(OwnedMutex::new(limits)),
        Object::Set => Box::new(Set::new(limits)),
        Object::Counter(_) | Object::AnyCounter => Box::new(Counter::new(limits)),
    };
    history.iter().for_each(|operation| checker.operation(operation));
    checker.finish()
}

/// A lock with its holder.
struct Owned;

impl Model for Owned {
    type State = Option<u64>;
    type Op = (u64, MutexOp);

    fn init(&self) -> Self::State {
        None
    }

    fn step(&self, holder: &Self::State, (process, op): &Self::Op) -> Option<Self::State> {
        match op {
            MutexOp::Acquire => holder.is_none().then_some(Some(*process)),
            MutexOp::Release => (*holder == Some(*process)).then_some(None),
        }
    }

    fn describe(&self, op: &Self::Op) -> String {
        format!("{op:?}")
    }

    fn decode(
        &self,
        _f: &str,
        _input: &Value,
        _output: Option<&Value>,
    ) -> Result<Option<Self::Op>, models::DecodeError> {
        Ok(None)
    }
}

fn linearizable(object: Object, history: &[Operation]) -> bool {
    let happened: Vec<&Operation> =
        history.iter().filter(|operation| operation.outcome != Outcome::Fail).collect();
    match object {
        Object::Mutex => ordered(&models::Mutex, &happened, |operation| Some(lock_op(operation))),
        Object::OwnedMutex => {
            ordered(&Owned, &happened, |operation| Some((operation.process.0, lock_op(operation))))
        }
        Object::Set => {
            let twice = |operation: &&Operation| {
                let list = operation.output.as_list().unwrap_or(&[]);
                list.iter().collect::<BTreeSet<_>>().len() < list.len()
            };
            !happened.iter().any(twice) && ordered(&models::GrowSet, &happened, set_op)
        }
        Object::Counter(_) | Object::AnyCounter => ordered(&models::Counter, &happened, counter_op),
    }
}

fn lock_op(operation: &Operation) -> MutexOp {
    if operation.f == "acquire" { MutexOp::Acquire } else { MutexOp::Release }
}

fn set_op(operation: &Operation) -> Option<SetOp> {
    match (&*operation.f, operation.outcome) {
        ("add", _) => Some(SetOp::Add(operation.input.clone())),
        (_, Outcome::Ok) => {
            Some(SetOp::Read(operation.output.as_list().expect("a list").iter().cloned().collect()))
        }
        _ => None,
    }
}

fn counter_op(operation: &Operation) -> Option<CounterOp> {
    match (&*operation.f, operation.outcome) {
        ("add", _) => Some(CounterOp::Add(operation.input.as_int().expect("an integer"))),
        (_, Outcome::Ok) => Some(CounterOp::Read(operation.output.as_int().expect("an integer"))),
        _ => None,
    }
}

/// Herlihy and Wing (1990), definition 2, tried out.
fn ordered<M: Model>(
    model: &M,
    history: &[&Operation],
    op: impl Fn(&Operation) -> Option<M::Op>,
) -> bool {
    let mut rest: Vec<(u64, Option<u64>, M::Op)> = history
        .iter()
        .filter_map(|operation| {
            let end = operation.returned().map(|stamp| stamp.index);
            Some((operation.call.index, end, op(operation)?))
        })
        .collect();
    some_order(model, &mut rest, &model.init())
}

fn some_order<M: Model>(
    model: &M,
    rest: &mut Vec<(u64, Option<u64>, M::Op)>,
    state: &M::State,
) -> bool {
    if rest.iter().all(|(_, end, _)| end.is_none()) {
        return true;
    }
    for nth in 0..rest.len() {
        let call = rest[nth].0;
        if rest.iter().any(|(_, end, _)| end.is_some_and(|end| end < call)) {
            continue;
        }
        let Some(next) = model.step(state, &rest[nth].2) else { continue };
        let placed = rest.swap_remove(nth);
        let found = some_order(model, rest, &next);
        rest.push(placed);
        let last = rest.len() - 1;
        rest.swap(nth, last);
        if found {
            return true;
        }
    }
    false
}

/// An open operation, and whether it took effect.
type Open = (Operation, bool);

struct Maker {
    rng: ChaCha8Rng,
    object: Object,
    /// Percent.
    falsified: u32,
    crashes: u32,
    event: u64,
    next_process: u64,
    next_value: i64,
    /// By client: its process, whether that holds the lock, and what is open.
    clients: Vec<(u64, bool, Option<Open>)>,
    holder: Option<u64>,
    sum: i64,
    set: BTreeSet<i64>,
}

impl Maker {
    fn new(seed: u64, object: Object) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let clients = rng.random_range(1..=4_u64);
        Self {
            object,
            falsified: [0, 10, 40][rng.random_range(0..3)],
            crashes: [0, 10, 30][rng.random_range(0..3)],
            rng,
            event: 0,
            next_process: clients,
            next_value: 1,
            clients: (0..clients).map(|process| (process, false, None)).collect(),
            holder: None,
            sum: 0,
            set: BTreeSet::new(),
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn stamp(&mut self) -> Stamp {
        self.event += 1;
        Stamp { index: self.event - 1, time: (self.event - 1) * 1_000_000 }
    }

    fn history(mut self) -> Vec<Operation> {
        let operations = self.rng.random_range(3..=9);
        let (mut called, mut history, mut left_open) = (0, Vec::new(), Vec::new());
        while called < operations || self.clients.iter().any(|client| client.2.is_some()) {
            let nth = self.rng.random_range(0..self.clients.len());
            match self.clients[nth].2.take() {
                None if called < operations => {
                    called += 1;
                    let operation = self.call(nth);
                    self.clients[nth].2 = Some((operation, false));
                }
                None => {}
                Some((mut operation, false)) => {
                    self.take_effect(&mut operation);
                    self.clients[nth].2 = Some((operation, true));
                }
                Some((mut operation, true)) => {
                    self.end(&mut operation, nth);
                    let closed = operation.end.is_some();
                    if closed { history.push(operation) } else { left_open.push(operation) }
                }
            }
        }
        history.append(&mut left_open);
        history
    }

    fn call(&mut self, nth: usize) -> Operation {
        let (process, holds, _) = self.clients[nth];
        let usual = self.chance(90);
        let coin = self.chance(50);
        let (f, input) = match self.object {
            Object::Mutex => (if coin { "acquire" } else { "release" }, Value::Nil),
            Object::OwnedMutex => (if holds == usual { "release" } else { "acquire" }, Value::Nil),
            _ if coin => ("read", Value::Nil),
            Object::Set => {
                let repeat = self.chance(15) && self.next_value > 1;
                self.next_value += i64::from(!repeat);
                ("add", Value::Int(self.next_value - 1))
            }
            Object::Counter(step) => ("add", Value::Int(step)),
            Object::AnyCounter => ("add", Value::Int(self.rng.random_range(-1..=2))),
        };
        Operation {
            process: Process(process),
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
        }
    }

    fn take_effect(&mut self, operation: &mut Operation) {
        let falsified = self.falsified;
        let lie = self.chance(falsified);
        let owned = self.object == Object::OwnedMutex;
        match &*operation.f {
            "acquire" if self.holder.is_none() => self.holder = Some(operation.process.0),
            "release" if !owned && self.holder.is_some() => self.holder = None,
            "release" if self.holder == Some(operation.process.0) => self.holder = None,
            "acquire" | "release" if lie => {}
            "acquire" | "release" => operation.outcome = Outcome::Fail,
            "add" => {
                let value = operation.input.as_int().expect("an integer");
                if lie && self.chance(30) {
                    operation.outcome = Outcome::Fail;
                }
                if !lie || self.chance(50) {
                    self.sum += value;
                    self.set.insert(value);
                }
            }
            _ if self.object == Object::Set => operation.output = self.read_set(lie),
            _ => {
                let off = if lie { self.rng.random_range(-2..=2) } else { 0 };
                operation.output = Value::Int(self.sum + off);
            }
        }
    }

    fn read_set(&mut self, lie: bool) -> Value {
        let mut list: Vec<i64> = self.set.iter().copied().collect();
        if lie && !list.is_empty() && self.chance(70) {
            let nth = self.rng.random_range(0..list.len());
            let copies = self.rng.random_range(0..3);
            let element = list.swap_remove(nth);
            list.extend((1..copies).map(|_| element).chain((1..copies).map(|_| element)));
        } else if lie {
            let element = self.rng.random_range(1..=self.next_value);
            list.extend((!list.contains(&element)).then_some(element));
        }
        Value::List(list.into_iter().map(Value::Int).collect())
    }

    fn end(&mut self, operation: &mut Operation, nth: usize) {
        let crashes = self.crashes;
        if self.chance(crashes) {
            operation.outcome = Outcome::Info;
            operation.output = Value::Nil;
            self.clients[nth] = (self.next_process, false, None);
            self.next_process += 1;
            if self.chance(50) {
                return;
            }
        } else if operation.outcome == Outcome::Ok {
            self.clients[nth].1 = operation.f == "acquire";
        }
        operation.end = Some(self.stamp());
    }
}

fn histories() -> u64 {
    let asked = std::env::var("TRIBUNAL_ORACLE_HISTORIES").ok();
    asked.map_or(20_000, |number| number.parse().expect("a number of histories"))
}
