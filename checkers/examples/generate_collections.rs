//! Writes a history of a queue or a stack as JSONL to the standard output, the one that the benchmark judges.
//!
//! `cargo run --release -p tribunal-checkers --example generate_collections -- KIND OPERATIONS CLIENTS CRASHED_PUTS
//! CRASHED_TAKES VIOLATION SEED`, where KIND is `fifo-queue` or `stack` and VIOLATION is `valid` or `invalid`:
//! `... -- stack 1000000 8 50 0 valid 1 > stack.jsonl`.

#[path = "../benches/generator/collections.rs"]
mod generator;

use generator::Plan;
use std::error::Error;
use std::io::{BufWriter, Write, stdout};
use tribunal_history::{Actor, Event, EventKind, Operation, Outcome, Stamp, Value, jsonl};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, operations, clients, crashed_puts, crashed_takes, violation, seed] = &arguments[..]
    else {
        return Err("KIND OPERATIONS CLIENTS CRASHED_PUTS CRASHED_TAKES VIOLATION SEED".into());
    };
    let plan = Plan {
        stack: kind == "stack",
        operations: operations.parse()?,
        crashed_puts: crashed_puts.parse()?,
        crashed_takes: crashed_takes.parse()?,
        clients: clients.parse()?,
        violation: violation == "invalid",
    };
    let history = plan.history(seed.parse()?);
    let mut events: Vec<Event> = history.iter().flat_map(events).collect();
    events.sort_unstable_by_key(|event| event.index);
    let mut out = BufWriter::new(stdout().lock());
    jsonl::write_header(&mut out)?;
    events.iter().try_for_each(|event| jsonl::write_event(&mut out, event))?;
    out.flush()?;
    Ok(())
}

/// The call of an operation and its end, if it has one.
fn events(operation: &Operation) -> impl Iterator<Item = Event> {
    let event = |stamp: Stamp, kind: EventKind, value: &Value| Event {
        index: stamp.index,
        time: stamp.time,
        process: Actor::Process(operation.process),
        kind,
        f: operation.f.clone(),
        value: value.clone(),
        error: None,
        node: operation.node,
        scheduled: None,
        attempts: None,
        session: None,
        phase: None,
    };
    let (kind, value) = match operation.outcome {
        Outcome::Ok if operation.input.is_nil() => (EventKind::Ok, &operation.output),
        Outcome::Ok => (EventKind::Ok, &operation.input),
        Outcome::Fail => (EventKind::Fail, &operation.input),
        Outcome::Info => (EventKind::Info, &operation.input),
    };
    let call = event(operation.call, EventKind::Invoke, &operation.input);
    [call].into_iter().chain(operation.end.map(|end| event(end, kind, value)))
}
