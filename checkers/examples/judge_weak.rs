//! Judges a history of register transactions as it is read, and says how long that took.
//!
//! `cargo run --release -p tribunal-checkers --example judge_weak -- history.jsonl [read-committed|read-atomic|causal]`

use std::fs::File;
use std::io::BufReader;
use std::time::{Duration, Instant};
use tribunal_checkers::Checker;
use tribunal_checkers::weak::{Level, WeakIsolation};
use tribunal_history::Pairing;
use tribunal_history::jsonl::Reader;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("expected a file")?;
    let level = match std::env::args().nth(2).as_deref() {
        Some("read-committed") => Level::ReadCommitted,
        Some("read-atomic") => Level::ReadAtomic,
        Some("causal") | None => Level::Causal,
        Some(other) => return Err(format!("there is no level {other}").into()),
    };
    let start = Instant::now();
    let (mut pairing, mut checker) = (Pairing::new(), Box::new(WeakIsolation::new(level)));
    let mut folding = Duration::ZERO;
    for event in Reader::new(BufReader::new(File::open(path)?))? {
        if let Some(operation) = pairing.push(event?)? {
            let fold = Instant::now();
            checker.operation(&operation);
            folding += fold.elapsed();
        }
    }
    pairing.finish().iter().for_each(|operation| checker.operation(operation));
    let finish = Instant::now();
    let verdict = checker.finish();
    let finishing = finish.elapsed();
    println!("{} is {}: {:?}", verdict.checker, verdict.validity, verdict.figures);
    verdict.unknown.iter().for_each(|why| println!("{why}"));
    verdict.anomalies.iter().for_each(|anomaly| println!("{}: {}", anomaly.name, anomaly.message));
    println!("whole {:?}, of that fold {folding:?} and finish {finishing:?}", start.elapsed());
    Ok(())
}
