//! Judges a history of register transactions at all three weak levels, and says how long each took.
//!
//! `cargo run --release -p tribunal-checkers --example judge_weak -- history.jsonl`

use std::fs::File;
use std::io::BufReader;
use std::time::Instant;
use tribunal_checkers::weak::{Level, WeakIsolation};
use tribunal_checkers::{Checker, Verdict};
use tribunal_history::jsonl::Reader;
use tribunal_history::{Operation, Pairing};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("expected a file")?;
    let mut pairing = Pairing::new();
    let mut operations: Vec<Operation> = Vec::new();
    for event in Reader::new(BufReader::new(File::open(path)?))? {
        operations.extend(pairing.push(event?)?);
    }
    operations.extend(pairing.finish());
    for level in [Level::ReadCommitted, Level::ReadAtomic, Level::Causal] {
        let start = Instant::now();
        let mut checker = Box::new(WeakIsolation::new(level));
        operations.iter().for_each(|operation| checker.operation(operation));
        let folded = start.elapsed();
        let verdict = checker.finish();
        println!("{level:?}: {}; fold {folded:?}, all {:?}", tell(&verdict), start.elapsed());
    }
    Ok(())
}

fn tell(verdict: &Verdict) -> String {
    let anomalies = verdict.anomalies.iter().map(|a| format!("\n  {}: {}", a.name, a.message));
    let unknown = verdict.unknown.clone().unwrap_or_default();
    format!("{} {unknown} {:?}{}", verdict.validity, verdict.figures, anomalies.collect::<String>())
}
