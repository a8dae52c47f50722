//! Writes a history of transactions as JSONL to standard output; see `benches/generator/transactions.rs`.
//!
//! `generate_txn SHAPE TRANSACTIONS SEED [VIOLATION] [name=number ...]`: the shape is `list-append` or `rw-register`; the violation
//! `stale-read`, `aborted-read`, `write-skew` or `lost-update`; the names are `clients`, `keys`, `writes`, `longest`,
//! `crashed`. With `--judge` it judges instead of writing, and prints the time and what was kept.

#[path = "../benches/generator/transactions.rs"]
mod transactions;

use std::io::{self, BufWriter, Write as _};
use std::time::Instant;
use transactions::{Plan, Shape, Violation};
use tribunal_checkers::Checker;
use tribunal_checkers::isolation::{ListAppend, Options, RwRegister};
use tribunal_history::{Event, Pairing, jsonl};

const USAGE: &str = "generate_txn list-append|rw-register TRANSACTIONS SEED \
                     [stale-read|aborted-read|write-skew|lost-update] [clients=N] [keys=N] [writes=N] \
                     [longest=N] [crashed=N] [--judge]";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [shape, transactions, seed, rest @ ..] = &arguments[..] else { return Err(USAGE.into()) };
    let shape = match shape.as_str() {
        "list-append" => Shape::ListAppend,
        "rw-register" => Shape::RwRegister,
        _ => return Err(USAGE.into()),
    };
    let mut plan = Plan::of(shape, transactions.parse()?);
    let mut judge = false;
    for argument in rest {
        match argument.split_once('=') {
            Some(("clients", number)) => plan.clients = number.parse()?,
            Some(("keys", number)) => plan.keys = number.parse()?,
            Some(("writes", number)) => plan.writes = number.parse()?,
            Some(("longest", number)) => plan.longest = number.parse()?,
            Some(("crashed", number)) => plan.crashed = number.parse()?,
            _ if argument == "--judge" => judge = true,
            _ => plan.violation = Some(violation(argument).ok_or(USAGE)?),
        }
    }
    let events = plan.events(seed.parse()?);
    if judge { judged(events, shape) } else { written(events) }
}

fn violation(name: &str) -> Option<Violation> {
    match name {
        "stale-read" => Some(Violation::StaleRead),
        "aborted-read" => Some(Violation::AbortedRead),
        "write-skew" => Some(Violation::WriteSkew),
        "lost-update" => Some(Violation::LostUpdate),
        _ => None,
    }
}

fn written(events: impl Iterator<Item = Event>) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    jsonl::write_header(&mut out)?;
    for event in events {
        jsonl::write_event(&mut out, &event)?;
    }
    Ok(out.flush()?)
}

fn judged(
    events: impl Iterator<Item = Event>,
    shape: Shape,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut checker: Box<dyn Checker> = match shape {
        Shape::ListAppend => Box::new(ListAppend::new(Options::default())),
        Shape::RwRegister => Box::new(RwRegister::new(Options::default())),
    };
    let mut pairing = Pairing::new();
    let mut fold = std::time::Duration::ZERO;
    for event in events {
        if let Some(operation) = pairing.push(event)? {
            let start = Instant::now();
            checker.operation(&operation);
            fold += start.elapsed();
        }
    }
    pairing.finish().iter().for_each(|operation| checker.operation(operation));
    let start = Instant::now();
    let verdict = checker.finish();
    println!("{}: fold {fold:?}, finish {:?}", verdict.validity, start.elapsed());
    for anomaly in &verdict.anomalies {
        println!("{}: {}", anomaly.name, anomaly.message);
    }
    println!("{}", serde_json::to_string_pretty(&verdict.figures)?);
    Ok(())
}
