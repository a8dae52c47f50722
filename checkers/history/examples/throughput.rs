//! How fast a history is read: writes one of the shape that is asked for, then reads and pairs it.
//!
//! `cargo run --release -p tribunal-history --example throughput -- register 1000000 [FILE]`, or `append`, whose reads hold
//! 50 integers each. Prints seconds and events a second for our own format, by the thread of the caller and by
//! [`formats::open`].

use std::borrow::Cow;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tribunal_history::{Actor, Event, EventKind, Pairing, Process, Value, formats, jsonl};

const CLIENTS: u64 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let shape = arguments.next().unwrap_or_else(|| "register".to_owned());
    let operations: u64 = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let path = arguments.next().map_or_else(
        || std::env::temp_dir().join(format!("tribunal-{shape}-{operations}.jsonl")),
        PathBuf::from,
    );
    if !path.exists() {
        write(&path, &shape, operations)?;
    }
    let bytes = std::fs::metadata(&path)?.len();
    println!("{}: {bytes} bytes", path.display());
    let started = start();
    let lines = BufReader::with_capacity(1 << 20, File::open(&path)?).lines().skip(1);
    let oracle = lines.map(|line| Ok::<_, Box<dyn Error>>(serde_json::from_str::<Event>(&line?)?));
    print("serde_json, as before", oracle.fold(Ok(0), count)?, started);
    let started = start();
    let reader = jsonl::Reader::new(BufReader::with_capacity(1 << 20, File::open(&path)?))?;
    print("jsonl::Reader", reader.fold(Ok(0), count)?, started);
    let started = start();
    print("formats::open", formats::open(&path, None)?.fold(Ok(0), count)?, started);
    let started = start();
    let mut pairing = Pairing::new();
    let mut events = 0_u64;
    for event in formats::open(&path, None)? {
        pairing.push(event?)?;
        events += 1;
    }
    print("formats::open and Pairing", events, started);
    Ok(())
}

fn count(
    sum: Result<u64, Box<dyn Error>>,
    event: Result<Event, impl Into<Box<dyn Error>>>,
) -> Result<u64, Box<dyn Error>> {
    event.map_err(Into::into)?;
    sum.map(|sum| sum + 1)
}

fn print(what: &str, events: u64, (started, cpu): (Instant, f64)) {
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    let rate = events as f64 / seconds / 1e6;
    println!("{what}: {seconds:.3} s, {cpu:.2} s of all processors, {rate:.2} million events/s");
}

fn start() -> (Instant, f64) {
    (Instant::now(), cpu_seconds())
}

/// What this process and its threads have used, as Linux counts it in hundredths; 0 elsewhere. Tells what a busy machine hides.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn write(path: &Path, shape: &str, operations: u64) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    jsonl::write_header(&mut out)?;
    for index in 0..operations * 2 {
        // Eight clients take turns: each round, all invoke and then all complete.
        let operation = index / (CLIENTS * 2) * CLIENTS + index % CLIENTS;
        let done = index / CLIENTS % 2 == 1;
        let event = Event {
            index,
            time: index * 1_000,
            process: Actor::Process(Process(index % CLIENTS)),
            kind: if done { EventKind::Ok } else { EventKind::Invoke },
            f: Cow::Borrowed(match (shape, operation % 2) {
                ("append", _) => "txn",
                (_, 0) => "write",
                _ => "read",
            }),
            value: value(shape, operation, done),
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        };
        jsonl::write_event(&mut out, &event)?;
    }
    Ok(out.flush()?)
}

fn value(shape: &str, operation: u64, done: bool) -> Value {
    let number = |number: u64| Value::Int(number.cast_signed());
    if shape != "append" {
        let known = operation.is_multiple_of(2) || done;
        return Value::keyed("x".into(), if known { number(operation) } else { Value::Nil });
    }
    let read = (operation..operation + 50).map(number).collect();
    let read = if done { Value::List(read) } else { Value::Nil };
    let key = number(operation % 100);
    Value::List(vec![
        Value::List(vec!["append".into(), key.clone(), number(operation)]),
        Value::List(vec!["r".into(), key, read]),
    ])
}
