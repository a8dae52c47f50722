//! Writes a history of registers as `history.jsonl`, from a seed: the histories of the table of figures.
//!
//! ```text
//! cargo run --release -p tribunal-checkers --example generate -- \
//!     register --operations 1000000 --clients 8 --crashed 50 --keys 1 --seed 1 --stale > stale.jsonl
//! ```
//!
//! The same arguments give the same bytes on every machine. What the history is like stands in `benches/generator`.
//! Absent: faults, errors and think times; this makes work for a checker, not a model of a system.

#[path = "../benches/generator/mod.rs"]
mod generator;

use generator::Plan;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use tribunal_history::{Actor, Event, EventKind, Operation, Outcome, jsonl};

const USAGE: &str = "usage: generate register [--operations N] [--clients N] [--crashed N] [--keys N] [--values N] [--seed N] [--stale]";

fn main() {
    let (plan, seed) = arguments(std::env::args().skip(1)).unwrap_or_else(|wrong| {
        eprintln!("{wrong}\n{USAGE}");
        std::process::exit(2)
    });
    let out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    if let Err(error) = write(plan, seed, out) {
        eprintln!("writing the history: {error}");
        std::process::exit(1);
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<(Plan, u64), String> {
    match given.next().as_deref() {
        Some("register") => {}
        Some(other) => return Err(format!("there is no history `{other}`")),
        None => return Err("which history?".to_owned()),
    }
    let (mut plan, mut seed) = (Plan::of(1_000_000), 1);
    while let Some(option) = given.next() {
        if option == "--stale" {
            plan.stale = true;
            continue;
        }
        let value: u64 = given
            .next()
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| format!("{option} needs a number"))?;
        let count = usize::try_from(value).map_err(|_| format!("{option} {value} is too large"))?;
        match &*option {
            "--operations" => plan.operations = value,
            "--clients" => plan.clients = count,
            "--crashed" => plan.crashed = value,
            "--keys" => plan.keys = count,
            "--values" => plan.values = i64::try_from(value).map_err(|_| "too many values")?,
            "--seed" => seed = value,
            _ => return Err(format!("there is no option {option}")),
        }
    }
    match plan {
        Plan { operations: 0, .. } | Plan { clients: 0, .. } | Plan { keys: 0, .. } => {
            Err("operations, clients and keys are at least 1".to_owned())
        }
        _ => Ok((plan, seed)),
    }
}

/// Writes the events in their order. Operations come when they are completed, so an event waits until all before it are
/// known: as many as happen during the longest operation.
fn write(plan: Plan, seed: u64, mut out: impl Write) -> io::Result<()> {
    jsonl::write_header(&mut out)?;
    let mut waiting: BTreeMap<u64, Event> = BTreeMap::new();
    let mut next = 0;
    for operation in plan.history(seed) {
        waiting.extend(events(operation).map(|event| (event.index, event)));
        while let Some(event) = waiting.remove(&next) {
            jsonl::write_event(&mut out, &event)?;
            next += 1;
        }
    }
    assert!(waiting.is_empty(), "every event was written");
    out.flush()
}

/// The invocation and the completion.
fn events(operation: Operation) -> impl Iterator<Item = Event> {
    let Operation { process, f, input, output, outcome, call, end, .. } = operation;
    let event = move |stamp: tribunal_history::Stamp, kind, value| Event {
        index: stamp.index,
        time: stamp.time,
        process: Actor::Process(process),
        kind,
        f: f.clone(),
        value,
        error: None,
        node: None,
        scheduled: None,
        attempts: None,
        session: None,
        phase: None,
    };
    let (kind, result) = match outcome {
        Outcome::Ok if !output.is_nil() => (EventKind::Ok, output),
        Outcome::Ok => (EventKind::Ok, input.clone()),
        Outcome::Fail => (EventKind::Fail, input.clone()),
        Outcome::Info => (EventKind::Info, input.clone()),
    };
    let end = end.expect("the generator completes every operation");
    [event(call, EventKind::Invoke, input), event(end, kind, result)].into_iter()
}
