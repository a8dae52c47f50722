//! The checkers of collections against the definition of linearizability, on random small histories.
//!
//! The oracle tries every order of the operations that respects real time, with and without those of unknown fate. The
//! checker of lists has to agree with it always; those of sets and counters must never convict what it acquits, and
//! must convict a good part of what it does not.
//!
//! A history is made by a correct object whose operations take effect somewhere between call and return, and which then
//! tells a lie now and then: an old state, a missing element, another order, a failure that was none.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::convert::Infallible;
use tribunal_checkers::append::AppendChecker;
use tribunal_checkers::counter::CounterChecker;
use tribunal_checkers::set::SetChecker;
use tribunal_checkers::{Checker, Validity, check_all};
use tribunal_history::{Actor, Event, EventKind, Operation, Outcome, Pairing, Process, Value};

/// A collection as its operations change and show it. Elements of a set are kept in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Set,
    Counter,
    List,
}

impl Kind {
    fn f(self) -> &'static str {
        if self == Self::List { "append" } else { "add" }
    }

    fn apply(self, state: &[i64], argument: i64) -> Vec<i64> {
        let mut state = state.to_vec();
        match self {
            Self::Counter if state.is_empty() => state.push(argument),
            Self::Counter => state[0] += argument,
            Self::Set | Self::List => state.push(argument),
        }
        if self == Self::Set {
            state.sort_unstable();
        }
        state
    }

    fn show(self, state: &[i64]) -> Value {
        match self {
            Self::Counter => Value::Int(state.first().copied().unwrap_or(0)),
            Self::Set | Self::List => Value::List(state.iter().copied().map(Value::Int).collect()),
        }
    }

    fn checker(self) -> Box<dyn Checker> {
        match self {
            Self::Set => Box::new(SetChecker::new()),
            Self::Counter => Box::new(CounterChecker::new()),
            Self::List => Box::new(AppendChecker::new()),
        }
    }

    fn argument(self, nth: i64, random: &mut impl Rng) -> i64 {
        if self == Self::Counter { random.random_range(-3..=3) } else { nth }
    }
}

/// What a process is doing.
#[derive(Clone)]
enum Doing {
    Nothing,
    Called { argument: Option<i64> },
    Applied { argument: Option<i64>, seen: Vec<i64> },
}

fn event(index: usize, process: u64, kind: EventKind, f: &'static str, value: Value) -> Event {
    Event {
        index: index as u64,
        time: index as u64,
        process: Actor::Process(Process(process)),
        kind,
        f: f.into(),
        value,
        error: None,
        node: None,
        scheduled: None,
        attempts: None,
        session: None,
        phase: None,
    }
}

/// A random history of at most `operations` operations of three clients.
fn history(kind: Kind, operations: i64, lies: f64, random: &mut impl Rng) -> Vec<Event> {
    let mut events = Vec::new();
    let mut states = vec![Vec::new()];
    let mut clients = [(0_u64, Doing::Nothing), (1, Doing::Nothing), (2, Doing::Nothing)];
    let mut invoked = 0;
    loop {
        let busy = |(_, doing): &(u64, Doing)| !matches!(doing, Doing::Nothing);
        if invoked == operations && !clients.iter().any(busy) {
            return events;
        }
        let (process, doing) = &mut clients[random.random_range(0..3)];
        let (f, next) = match doing.clone() {
            Doing::Nothing if invoked == operations => continue,
            Doing::Nothing => {
                invoked += 1;
                let argument = random.random_bool(0.5).then(|| kind.argument(invoked, random));
                let (f, value) = argument.map_or(("read", Value::Nil), |a| (kind.f(), a.into()));
                events.push(event(events.len(), *process, EventKind::Invoke, f, value));
                *doing = Doing::Called { argument };
                continue;
            }
            Doing::Called { argument } => {
                let now = states.last().cloned().unwrap_or_default();
                if let Some(argument) = argument.filter(|_| !random.random_bool(lies)) {
                    states.push(kind.apply(&now, argument));
                }
                let seen = lie(&states, lies, random);
                *doing = Doing::Applied { argument, seen };
                continue;
            }
            Doing::Applied { argument: None, seen } => ("read", Some(kind.show(&seen))),
            Doing::Applied { .. } => (kind.f(), None),
        };
        let unknown = random.random_bool(0.2);
        let (ending, value) = match next {
            _ if unknown => (EventKind::Info, Value::Nil),
            _ if random.random_bool(lies / 2.0) => (EventKind::Fail, Value::Nil),
            shown => (EventKind::Ok, shown.unwrap_or_default()),
        };
        events.push(event(events.len(), *process, ending, f, value));
        *process += if unknown { 3 } else { 0 };
        *doing = Doing::Nothing;
    }
}

/// What a read shows: the last state, or something near.
fn lie(states: &[Vec<i64>], lies: f64, random: &mut impl Rng) -> Vec<i64> {
    let mut seen = states.last().cloned().unwrap_or_default();
    if !random.random_bool(lies) {
        return seen;
    }
    match random.random_range(0..3) {
        0 => states[random.random_range(0..states.len())].clone(),
        1 => {
            seen.pop();
            seen
        }
        _ => {
            seen.reverse();
            seen
        }
    }
}

/// Whether some order of the operations is legal and respects real time.
fn linearizable(kind: Kind, operations: &[Operation]) -> bool {
    let may =
        |o: &&Operation| o.outcome != Outcome::Fail && (o.f != "read" || o.outcome == Outcome::Ok);
    let operations: Vec<&Operation> = operations.iter().filter(may).collect();
    search(kind, &operations, 0, &[])
}

fn search(kind: Kind, operations: &[&Operation], done: u32, state: &[i64]) -> bool {
    let left = || (0..operations.len()).filter(|nth| done >> nth & 1 == 0);
    if left().all(|nth| operations[nth].outcome == Outcome::Info) {
        return true;
    }
    left().any(|nth| {
        let operation = operations[nth];
        let too_early = left().any(|other| {
            operations[other].returned().is_some_and(|returned| returned < operation.call)
        });
        if too_early {
            return false;
        }
        let done = done | 1 << nth;
        match operation.input.as_int() {
            Some(argument) => search(kind, operations, done, &kind.apply(state, argument)),
            None => {
                let shown = match &operation.output {
                    Value::List(list) if kind == Kind::Set => {
                        let mut list = list.clone();
                        list.sort();
                        Value::List(list)
                    }
                    other => other.clone(),
                };
                shown == kind.show(state) && search(kind, operations, done, state)
            }
        }
    })
}

fn operations(events: &[Event]) -> Vec<Operation> {
    let mut pairing = Pairing::new();
    let mut operations = Vec::new();
    for event in events {
        operations.extend(pairing.push(event.clone()).expect("a well-formed history"));
    }
    operations.extend(pairing.finish());
    operations
}

/// How the checker and the oracle compare.
#[derive(Debug, Default)]
struct Tally {
    linearizable: u32,
    convicted: u32,
    missed: u32,
}

fn compare(kind: Kind, seed: u64) -> Tally {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut tally = Tally::default();
    for _ in 0..HISTORIES {
        let lies = [0.0, 0.1, 0.3][random.random_range(0..3)];
        let length = random.random_range(2..=7);
        let events = history(kind, length, lies, &mut random);
        let truth = linearizable(kind, &operations(&events));
        let fed = events.iter().cloned().map(Ok::<_, Infallible>);
        let verdict = check_all(fed, vec![kind.checker()]).expect("well-formed").remove(0);
        let convicted = verdict.validity == Validity::Invalid;
        assert!(!(truth && convicted), "innocent: {events:#?}\n{:#?}", verdict.anomalies);
        assert!(!verdict.anomalies.iter().any(|anomaly| anomaly.witness.is_empty()));
        // A history without a read acquits nobody, and has nothing to convict of.
        if truth {
            tally.linearizable += 1;
        } else if convicted {
            tally.convicted += 1;
        } else {
            tally.missed += 1;
        }
    }
    assert!(tally.linearizable > HISTORIES / 20 && tally.convicted > HISTORIES / 20, "{tally:?}");
    tally
}

const HISTORIES: u32 = 20_000;

#[test]
fn lists_are_judged_as_the_definition_does() {
    let tally = compare(Kind::List, 1);
    assert_eq!(tally.missed, 0, "{tally:?}");
}

#[test]
fn sets_are_never_convicted_without_cause_and_little_is_missed() {
    let tally = compare(Kind::Set, 2);
    assert!(tally.missed * 20 < tally.convicted, "{tally:?}");
}

#[test]
fn counters_are_never_convicted_without_cause_and_most_is_found() {
    let tally = compare(Kind::Counter, 3);
    assert!(tally.missed < tally.convicted, "{tally:?}");
}
