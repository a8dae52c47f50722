//! The checkers of isolation against the definition of serializability, on random small histories.
//!
//! The oracle tries all serial orders, with what is of unknown fate or without. It knows nothing of dependencies. 20,000 histories
//! a test by default; `TRIBUNAL_ORACLE_HISTORIES` asks for another number.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tribunal_checkers::isolation::{Level, ListAppend, Options, RwRegister};
use tribunal_checkers::{Checker, Validity, Verdict};
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    Lists,
    Registers,
}

/// Who writes a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Values {
    /// One transaction.
    Unique,
    /// One transaction, and any number that failed.
    Retried,
    /// Anyone.
    Repeated,
}

/// What was written so far.
struct Written {
    values: Values,
    /// The last fresh value.
    element: i64,
    /// By any.
    all: Vec<(usize, i64)>,
    /// By none but failed transactions.
    failed: Vec<(usize, i64)>,
}

impl Written {
    /// Puts values that were written before in the place of some.
    fn share(&mut self, rng: &mut ChaCha8Rng, micros: &mut [(bool, usize, i64)], outcome: Outcome) {
        if self.values == Values::Unique {
            return;
        }
        let failed = outcome == Outcome::Fail;
        for (_, key, element) in micros.iter_mut().filter(|(writes, ..)| *writes) {
            let any = failed || (self.values == Values::Repeated && rng.random());
            let from = if any { &self.all } else { &self.failed };
            if !from.is_empty() && rng.random() {
                (*key, *element) = from[rng.random_range(0..from.len())];
            }
            let value = (*key, *element);
            match failed {
                true if !self.all.contains(&value) => self.failed.push(value),
                true => {}
                false => self.failed.retain(|other| *other != value),
            }
            self.all.push(value);
        }
    }
}

/// The order that a level adds to that of the data.
const LEVELS: [Level; 3] =
    [Level::Serializable, Level::StrongSessionSerializable, Level::StrictSerializable];

#[test]
fn lists_are_judged_as_the_definition_has_it() {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    let mut counts = [[0_u64; 2]; 3];
    for seed in 0..histories() {
        let history = random(&mut ChaCha8Rng::seed_from_u64(seed), Model::Lists, Values::Unique);
        for (nth, level) in LEVELS.into_iter().enumerate() {
            let expected = serializable(&history, Model::Lists, level);
            let verdict = judge(ListAppend::new(Options { level }), &history);
            let context = || format!("seed {seed}, {level}: {verdict:#?}\n{}", show(&history));
            assert_ne!(verdict.validity, Validity::Unknown, "{}", context());
            assert_eq!(verdict.validity == Validity::Valid, expected, "{}", context());
            assert!(verdict.complete, "{}", context());
            counts[nth][usize::from(expected)] += 1;
            for anomaly in verdict.anomalies {
                *told.entry(anomaly.name.to_string()).or_default() += 1;
            }
        }
    }
    for [invalid, valid] in counts {
        assert!(valid * 8 > invalid && invalid * 8 > valid, "lopsided: {counts:?}");
    }
    println!("invalid and valid by level {counts:?}");
    assert!(told.len() >= 18, "{told:#?}");
}

#[test]
fn registers_are_never_convicted_of_what_the_definition_permits() {
    let mut missed = [0_u64; 3];
    let mut convicted = [0_u64; 3];
    for seed in 0..histories() {
        let history =
            random(&mut ChaCha8Rng::seed_from_u64(seed), Model::Registers, Values::Unique);
        for (nth, level) in LEVELS.into_iter().enumerate() {
            let expected = serializable(&history, Model::Registers, level);
            let verdict = judge(RwRegister::new(Options { level }), &history);
            let context = || format!("seed {seed}, {level}: {verdict:#?}\n{}", show(&history));
            assert_ne!(verdict.validity, Validity::Unknown, "{}", context());
            assert!(!verdict.complete || !expected, "{}", context());
            if verdict.validity == Validity::Invalid {
                assert!(!expected, "{}", context());
                convicted[nth] += 1;
            } else {
                missed[nth] += u64::from(!expected);
            }
        }
    }
    println!("convicted {convicted:?}, missed {missed:?}");
    for (convicted, missed) in convicted.into_iter().zip(missed) {
        assert!(convicted > missed * 5, "convicted {convicted}, missed {missed}");
    }
}

#[test]
fn who_shares_values_is_judged_as_the_definition_has_it_or_not_at_all() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..histories() / 4 {
        for (model, values) in [
            (Model::Lists, Values::Retried),
            (Model::Lists, Values::Repeated),
            (Model::Registers, Values::Retried),
            (Model::Registers, Values::Repeated),
        ] {
            let history = random(&mut ChaCha8Rng::seed_from_u64(seed), model, values);
            let level = LEVELS[seed as usize % LEVELS.len()];
            let options = Options { level };
            let verdict = match model {
                Model::Lists => judge(ListAppend::new(options), &history),
                Model::Registers => judge(RwRegister::new(options), &history),
            };
            let expected = serializable(&history, model, level);
            let context = || format!("seed {seed}, {level}: {verdict:#?}\n{}", show(&history));
            match verdict.validity {
                Validity::Valid => assert!(expected || !verdict.complete, "{}", context()),
                Validity::Invalid => assert!(!expected, "{}", context()),
                // Values that only failed transactions share leave nothing open.
                Validity::Unknown => assert!(values == Values::Repeated, "{}", context()),
            }
            let name = format!("{model:?} {values:?} {:?}", verdict.validity);
            *counts.entry(name).or_default() += 1;
        }
    }
    println!("{counts:#?}");
    assert_eq!(counts.len(), 10, "{counts:#?}");
}

fn histories() -> u64 {
    std::env::var("TRIBUNAL_ORACLE_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

fn judge(checker: impl Checker, history: &[Operation]) -> Verdict {
    let mut checker = Box::new(checker);
    let mut order: Vec<&Operation> = history.iter().collect();
    order.sort_by_key(|operation| operation.end.map_or(u64::MAX, |end| end.index));
    order.into_iter().for_each(|operation| checker.operation(operation));
    checker.finish()
}

fn show(history: &[Operation]) -> String {
    let line = |one: &Operation| {
        let end = one.end.map(|end| end.index);
        format!(
            "{} {}..{end:?} {:?} {} -> {}\n",
            one.process, one.call.index, one.outcome, one.input, one.output
        )
    };
    history.iter().map(line).collect()
}

type State = [Vec<i64>; 2];

/// Whether some serial order explains every result.
fn serializable(history: &[Operation], model: Model, level: Level) -> bool {
    let considered: Vec<&Operation> =
        history.iter().filter(|operation| operation.outcome != Outcome::Fail).collect();
    extend(&considered, 0, &State::default(), model, level)
}

fn extend(history: &[&Operation], done: u32, state: &State, model: Model, level: Level) -> bool {
    let open = |nth: usize| done & 1 << nth == 0;
    if (0..history.len()).all(|nth| !open(nth) || history[nth].outcome == Outcome::Info) {
        return true;
    }
    (0..history.len()).filter(|nth| open(*nth)).any(|nth| {
        let free = (0..history.len())
            .filter(|other| open(*other))
            .all(|other| !precedes(history[other], history[nth], level));
        let next = free.then(|| apply(history[nth], state, model)).flatten();
        next.is_some_and(|next| extend(history, done | 1 << nth, &next, model, level))
    })
}

fn precedes(a: &Operation, b: &Operation, level: Level) -> bool {
    let before = a.returned().is_some_and(|end| end.index < b.call.index);
    match level {
        Level::StrictSerializable => before,
        Level::StrongSessionSerializable => before && a.process == b.process,
        _ => false,
    }
}

fn apply(operation: &Operation, state: &State, model: Model) -> Option<State> {
    let mut state = state.clone();
    let known = operation.outcome == Outcome::Ok;
    let micros = if known { &operation.output } else { &operation.input };
    for micro in micros.as_list()? {
        let [f, key, value] = micro.as_list()? else { return None };
        let list = &mut state[key.as_int()? as usize];
        match f.as_text()? {
            "r" if known && *value != read(list, model) => return None,
            "r" => {}
            _ => list.push(value.as_int()?),
        }
    }
    Some(state)
}

fn read(list: &[i64], model: Model) -> Value {
    match model {
        Model::Lists => Value::List(list.iter().map(|element| Value::Int(*element)).collect()),
        Model::Registers => list.last().map_or(Value::Nil, |last| Value::Int(*last)),
    }
}

/// A transaction under way.
struct Open {
    operation: Operation,
    micros: Vec<(bool, usize, i64)>,
    results: Vec<Value>,
    snapshot: State,
    done: usize,
}

/// Three clients, two keys, up to six transactions, run as one piece, on snapshots, or piece by piece; some crash or fail, and
/// some of those took effect; now and then a read is cut or old.
fn random(rng: &mut ChaCha8Rng, model: Model, values: Values) -> Vec<Operation> {
    let (style, faults) = (rng.random_range(0..3), rng.random_range(0..3) == 0);
    let count = rng.random_range(2..=6);
    let (mut state, mut clients) = (State::default(), [None, None, None]);
    let (mut processes, mut next_process) = ([0, 1, 2], 3);
    let (mut called, mut index, mut history) = (0, 0, Vec::new());
    let mut written = Written { values, element: 0, all: Vec::new(), failed: Vec::new() };
    let mut late: Vec<Vec<(bool, usize, i64)>> = Vec::new();
    while called < count || clients.iter().any(Option::is_some) {
        if rng.random_range(0..4) == 0 {
            let writes = late.pop().into_iter().flatten().filter(|(writes, ..)| *writes);
            writes.for_each(|(_, key, element)| state[key].push(element));
        }
        let client = rng.random_range(0..3);
        let Some(mut open) = clients[client].take() else {
            if called < count {
                called += 1;
                clients[client] =
                    Some(begin(rng, processes[client], index, &mut written, &state, model));
                index += 1;
            }
            continue;
        };
        if open.done < open.micros.len() {
            let pieces = if style == 2 { 1 } else { open.micros.len() };
            for _ in 0..pieces {
                piece(rng, &mut open, &mut state, model, style == 1, faults);
            }
            clients[client] = Some(open);
            continue;
        }
        // What crashed before it took effect may do so later.
        if open.operation.outcome == Outcome::Info && open.results.is_empty() && rng.random() {
            late.push(open.micros.clone());
        }
        let operation = end(rng, open, index, model);
        index += 1;
        if operation.outcome == Outcome::Info {
            processes[client] = next_process;
            next_process += 1;
        }
        history.push(operation);
    }
    history.sort_by_key(|operation: &Operation| operation.call);
    history
}

fn begin(
    rng: &mut ChaCha8Rng,
    process: u64,
    index: u64,
    written: &mut Written,
    state: &State,
    model: Model,
) -> Open {
    let mut micros: Vec<(bool, usize, i64)> = (0..rng.random_range(1..=3))
        .map(|_| {
            written.element += 1;
            (rng.random(), rng.random_range(0..2), written.element)
        })
        .collect();
    let outcome = match rng.random_range(0..12) {
        0 => Outcome::Info,
        1 => Outcome::Fail,
        2..=4 if written.values != Values::Unique => Outcome::Fail,
        _ => Outcome::Ok,
    };
    written.share(rng, &mut micros, outcome);
    let input = micros.iter().map(|(writes, key, element)| {
        micro(*writes, *key, if *writes { Value::Int(*element) } else { Value::Nil }, model)
    });
    let operation = Operation {
        process: Process(process),
        f: "txn".into(),
        input: Value::List(input.collect()),
        output: Value::Nil,
        outcome,
        call: Stamp { index, time: index * 1_000_000 },
        end: None,
        error: None,
        node: None,
        answered_by: None,
        scheduled: None,
        attempts: 1,
        phase: None,
    };
    // What did not take effect has nothing to do.
    let skip = outcome != Outcome::Ok
        && rng.random_range(0..10) < if outcome == Outcome::Fail { 8 } else { 5 };
    let done = if skip { micros.len() } else { 0 };
    Open { operation, micros, results: Vec::new(), snapshot: state.clone(), done }
}

fn micro(writes: bool, key: usize, value: Value, model: Model) -> Value {
    let f = match (writes, model) {
        (false, _) => "r",
        (true, Model::Lists) => "append",
        (true, Model::Registers) => "w",
    };
    Value::List(vec![f.into(), Value::Int(key as i64), value])
}

fn piece(
    rng: &mut ChaCha8Rng,
    open: &mut Open,
    state: &mut State,
    model: Model,
    old: bool,
    faults: bool,
) {
    let (writes, key, element) = open.micros[open.done];
    open.done += 1;
    if writes {
        state[key].push(element);
        open.snapshot[key].push(element);
        open.results.push(Value::Int(element));
        return;
    }
    let list = if old { &open.snapshot[key] } else { &state[key] };
    let mut seen = list.clone();
    if faults && rng.random_range(0..4) == 0 {
        match rng.random_range(0..4) {
            0 if seen.len() > 1 => seen.swap(0, 1),
            1 if !seen.is_empty() => seen.push(seen[0]),
            2 => seen.push(100 + element),
            _ => drop(seen.pop()),
        }
    }
    open.results.push(read(&seen, model));
}

fn end(rng: &mut ChaCha8Rng, open: Open, index: u64, model: Model) -> Operation {
    let mut operation = open.operation;
    if operation.outcome != Outcome::Info || rng.random() {
        operation.end = Some(Stamp { index, time: index * 1_000_000 });
    }
    if operation.outcome == Outcome::Ok {
        let micros = open.micros.iter().zip(open.results);
        let output = micros.map(|((writes, key, _), result)| micro(*writes, *key, result, model));
        operation.output = Value::List(output.collect());
    }
    operation
}
