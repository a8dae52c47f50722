//! The measures of severity by their definitions, in quadratic time or worse, and random histories to try them on.

use rand::{Rng, RngExt};
use std::collections::BTreeMap;
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

/// Up to eight operations on one key by up to three processes that go on after each. Results are drawn at random among the
/// values, so most histories are invalid; some calls and ends fall on the same nanosecond.
pub(crate) fn random_history(rng: &mut impl Rng) -> Vec<Operation> {
    let (processes, operations) = (rng.random_range(1..=3), rng.random_range(2..=8));
    let with_cas = rng.random_range(0..2) == 0;
    let crashes = [1, 5][rng.random_range(0..2)];
    let step = [1, 3, 50][rng.random_range(0..3)];
    let (mut time, mut index, mut called, mut values) = (0, 0, 0, 0);
    let mut open: BTreeMap<u64, Operation> = BTreeMap::new();
    let mut dead = [false; 3];
    let mut history = Vec::new();
    while called < operations || !open.is_empty() {
        let process = rng.random_range(0..processes);
        time += rng.random_range(0..=step);
        let stamp = Stamp { index, time };
        if let Some(mut operation) = open.remove(&process) {
            operation.end = Some(stamp);
            operation.outcome = match rng.random_range(0..12) {
                0 => Outcome::Fail,
                nth if nth <= crashes => Outcome::Info,
                _ => Outcome::Ok,
            };
            dead[process as usize] = operation.outcome == Outcome::Info;
            if operation.outcome == Outcome::Ok && operation.f == "read" {
                operation.output = keyed(some_value(rng, values));
            }
            history.push(operation);
        } else if called < operations && !dead[process as usize] {
            open.insert(process, call(rng, process, stamp, &mut values, with_cas));
            called += 1;
        } else if open.is_empty() && dead.iter().take(processes as usize).all(|dead| *dead) {
            break;
        }
        index += 1;
    }
    history
}

fn call(
    rng: &mut impl Rng,
    process: u64,
    stamp: Stamp,
    values: &mut i64,
    with_cas: bool,
) -> Operation {
    let (f, argument) = match rng.random_range(0..10) {
        0..5 => ("read", Value::Nil),
        5..7 if with_cas => {
            // Also values that are yet to be written, so that chains contradict the order of calls.
            let ahead = [0, 0, 2, 3][rng.random_range(0..4)];
            let drawn = some_value(rng, *values + ahead);
            *values += 1;
            // A cas to what it expects writes that value again.
            let from = if drawn == Value::Int(*values) { Value::Nil } else { drawn };
            ("cas", Value::List(vec![from, (*values).into()]))
        }
        _ => {
            *values += 1;
            ("write", (*values).into())
        }
    };
    Operation {
        process: Process(process),
        f: f.into(),
        input: keyed(argument),
        output: Value::Nil,
        outcome: Outcome::Info,
        call: stamp,
        end: None,
        error: None,
        node: None,
        answered_by: None,
        scheduled: None,
        attempts: 1,
        phase: None,
    }
}

fn keyed(value: Value) -> Value {
    Value::keyed("x".into(), value)
}

/// Nil, one that was written, or seldom one that may be written later.
fn some_value(rng: &mut impl Rng, values: i64) -> Value {
    let later = i64::from(rng.random_range(0..8) == 0);
    match rng.random_range(0..=values + later) {
        0 => Value::Nil,
        value => value.into(),
    }
}

/// What it saw.
fn sees(operation: &Operation) -> Option<&Value> {
    match &*operation.f {
        "read" => operation.output.as_pair().map(|(_, value)| value),
        "cas" => Some(operation.input.as_pair()?.1.as_pair()?.0),
        _ => None,
    }
}

/// What it wrote.
fn writes(operation: &Operation) -> Option<&Value> {
    let (_, argument) = operation.input.as_pair()?;
    match &*operation.f {
        "write" => Some(argument),
        "cas" => Some(argument.as_pair()?.1),
        _ => None,
    }
}

fn end(operation: &Operation) -> u64 {
    operation.returned().map_or(u64::MAX, |end| end.index + 1)
}

/// The operations that count.
fn counted(history: &[Operation]) -> Vec<&Operation> {
    let mut counted: Vec<&Operation> =
        history.iter().filter(|operation| operation.outcome == Outcome::Ok).collect();
    loop {
        let new = history.iter().find(|operation| {
            operation.outcome == Outcome::Info
                && !counted.iter().any(|other| other.call == operation.call)
                && writes(operation)
                    .is_some_and(|value| counted.iter().any(|other| sees(other) == Some(value)))
        });
        match new {
            Some(operation) => counted.push(operation),
            None => return counted,
        }
    }
}

/// The versions as the definition has them.
struct Versions<'a> {
    counted: Vec<&'a Operation>,
    /// The calls of the writes of all values, whether or not they count.
    begins: BTreeMap<&'a Value, u64>,
}

impl<'a> Versions<'a> {
    fn of(history: &'a [Operation]) -> Self {
        let not_failed = history.iter().filter(|operation| operation.outcome != Outcome::Fail);
        let mut begins: BTreeMap<&Value, u64> = not_failed
            .filter_map(|operation| Some((writes(operation)?, operation.call.index + 1)))
            .collect();
        begins.insert(&Value::Nil, 0);
        Self { counted: counted(history), begins }
    }

    /// What it saw, if that can be explained.
    fn explained(&self, operation: &'a Operation) -> Option<&'a Value> {
        sees(operation).filter(|seen| self.begins.get(seen).is_some_and(|&at| at < end(operation)))
    }

    fn established(&self, value: &Value) -> u64 {
        let touches = |operation: &&&Operation| {
            self.explained(operation) == Some(value) || writes(operation) == Some(value)
        };
        let ends = self.counted.iter().filter(touches).map(|operation| end(operation));
        if value.is_nil() { 0 } else { ends.min().unwrap_or(u64::MAX) }
    }

    fn surely_older(&self, older: &Value, newer: &Value) -> bool {
        self.established(older) < self.begins[newer] || self.leads(older, newer)
    }

    /// Whether cas lead from one to the other.
    fn leads(&self, from: &Value, to: &Value) -> bool {
        let leaving = self
            .counted
            .iter()
            .find(|operation| operation.f == "cas" && sees(operation) == Some(from));
        let next = leaving.and_then(|cas| writes(cas));
        next.is_some_and(|next| next == to || self.leads(next, to))
    }
}

/// Whether two cas left one value, or cas lead in a ring.
pub(crate) fn chain_broken(history: &[Operation]) -> bool {
    let counted = counted(history);
    let cas: Vec<(&Value, &Value)> = counted
        .iter()
        .filter(|operation| operation.f == "cas")
        .filter_map(|operation| Some((sees(operation)?, writes(operation)?)))
        .collect();
    let leaving = |value: &Value| cas.iter().filter(move |(from, _)| *from == value).count();
    let ring = |start: &Value| {
        let mut at = start;
        (0..cas.len()).any(|_| match cas.iter().find(|(from, _)| *from == at) {
            Some((_, to)) => {
                at = to;
                at == start
            }
            None => false,
        })
    };
    cas.iter().any(|(from, _)| leaving(from) > 1 || ring(from))
}

/// The version that an operation saw or wrote.
type Version<'a> = fn(&Versions<'a>, &'a Operation) -> Option<&'a Value>;

/// The later operations that violate each guarantee, pair by pair.
pub(crate) fn guarantees(history: &[Operation]) -> [(&'static str, u64); 4] {
    let versions = Versions::of(history);
    [
        ("read-your-writes", violating(&versions, |_, one| writes(one), Versions::explained)),
        ("monotonic-reads", violating(&versions, Versions::explained, Versions::explained)),
        ("monotonic-writes", violating(&versions, |_, one| writes(one), |_, one| writes(one))),
        ("writes-follow-reads", violating(&versions, Versions::explained, |_, one| writes(one))),
    ]
}

fn violating<'a>(versions: &Versions<'a>, earlier: Version<'a>, later: Version<'a>) -> u64 {
    let mut count = 0;
    for &second in &versions.counted {
        let Some(older) = later(versions, second) else { continue };
        let contradicts = |&first: &&'a Operation| {
            let newer = earlier(versions, first);
            first.process == second.process
                && first.call < second.call
                && newer.is_some_and(|newer| versions.surely_older(older, newer))
        };
        count += u64::from(versions.counted.iter().any(contradicts));
    }
    count
}

/// Stale reads, and the most and the mean that they lagged.
pub(crate) fn lag(history: &[Operation]) -> (u64, u64, f64) {
    let versions = Versions::of(history);
    let reads = versions.counted.iter().filter(|operation| operation.f == "read");
    let lags: Vec<u64> = reads
        .filter_map(|read| {
            let known = versions.established(versions.explained(read)?);
            let newer = versions.begins.iter().filter(|(value, begin)| {
                **begin > known && versions.established(value) < read.call.index + 1
            });
            Some(newer.count() as u64).filter(|&count| count > 0)
        })
        .collect();
    let stale = lags.len() as u64;
    let mean = if stale == 0 { 0.0 } else { lags.iter().sum::<u64>() as f64 / stale as f64 };
    (stale, lags.iter().max().copied().unwrap_or(0), mean)
}

/// The smallest shift of the reads' calls that makes the history linearizable, by trying all that can matter.
pub(crate) fn delta(history: &[Operation]) -> Option<u64> {
    let calls = history.iter().filter(|operation| operation.f == "read").map(|read| read.call.time);
    let ends = || history.iter().filter_map(|operation| operation.end.map(|end| end.time));
    let mut candidates: Vec<u64> = calls
        .flat_map(|call| ends().filter_map(move |end| call.checked_sub(end)))
        .flat_map(|difference| [difference, difference + 1])
        .chain([0])
        // Before everything, for reads of nil.
        .chain(history.iter().map(|operation| operation.call.time + 1))
        .collect();
    candidates.sort_unstable();
    candidates.into_iter().find(|&delta| linearizable(&shifted(history, delta)))
}

/// The history with its reads' calls moved back, and its events numbered anew.
fn shifted(history: &[Operation], delta: u64) -> Vec<Operation> {
    let moved = |operation: &Operation| {
        let back = if operation.f == "read" { i128::from(delta) } else { 0 };
        (i128::from(operation.call.time) - back, operation.call.index)
    };
    let ended = |end: Stamp| (i128::from(end.time), end.index);
    let calls = history.iter().map(moved);
    let mut moments: Vec<(i128, u64)> =
        calls.chain(history.iter().filter_map(|operation| operation.end.map(ended))).collect();
    moments.sort_unstable();
    let place = |moment: (i128, u64)| moments.partition_point(|&other| other < moment) as u64;
    let mut shifted = history.to_vec();
    for (operation, original) in shifted.iter_mut().zip(history) {
        operation.call.index = place(moved(original));
        if let Some(end) = operation.end.as_mut() {
            end.index = place(ended(*end));
        }
    }
    shifted
}

/// Whether some legal order keeps the order of each process: all orders are tried.
pub(crate) fn sequential(history: &[Operation]) -> bool {
    let mut queues: BTreeMap<Process, Vec<&Operation>> = BTreeMap::new();
    for operation in history.iter().filter(|operation| operation.outcome != Outcome::Fail) {
        queues.entry(operation.process).or_default().push(operation);
    }
    let mut queues: Vec<Vec<&Operation>> = queues.into_values().collect();
    for queue in &mut queues {
        queue.sort_unstable_by_key(|operation| operation.call);
    }
    some_order(&queues.iter().map(Vec::as_slice).collect::<Vec<_>>(), &Value::Nil)
}

fn some_order(queues: &[&[&Operation]], state: &Value) -> bool {
    let pending =
        |queue: &&[&Operation]| queue.iter().any(|operation| operation.outcome == Outcome::Ok);
    if !queues.iter().any(pending) {
        return true;
    }
    (0..queues.len()).any(|nth| {
        let Some((next, rest)) = queues[nth].split_first() else { return false };
        let mut queues = queues.to_vec();
        queues[nth] = rest;
        apply(next, state).is_some_and(|after| some_order(&queues, &after))
    })
}

/// Herlihy and Wing (1990), definition 2: some legal order of what did not fail, without some of what crashed, keeps
/// the order of operations that do not overlap. All orders are tried.
pub(crate) fn linearizable(history: &[Operation]) -> bool {
    let happened = history.iter().filter(|operation| operation.outcome != Outcome::Fail);
    some_order_in_time(&mut happened.collect(), &Value::Nil)
}

fn some_order_in_time(rest: &mut Vec<&Operation>, state: &Value) -> bool {
    if rest.iter().all(|operation| operation.outcome == Outcome::Info) {
        return true;
    }
    (0..rest.len()).any(|nth| {
        let next = rest[nth];
        let first = rest.iter().all(|other| end(other) > next.call.index + 1);
        let Some(after) = first.then(|| apply(next, state)).flatten() else { return false };
        rest.remove(nth);
        let found = some_order_in_time(rest, &after);
        rest.insert(nth, next);
        found
    })
}

/// The register after the operation; `None` if it could not have had its result.
fn apply(operation: &Operation, state: &Value) -> Option<Value> {
    let legal = match operation.outcome {
        // A crashed read saw something, whatever it was.
        Outcome::Info if operation.f == "read" => true,
        _ => sees(operation).is_none_or(|seen| seen == state),
    };
    legal.then(|| writes(operation).unwrap_or(state).clone())
}
