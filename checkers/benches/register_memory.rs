//! Peak memory and time of judging one register: `cargo bench -p tribunal-checkers --bench register_memory [-- OPERATIONS]`.
//!
//! The history is generated as it is judged, so the process holds what the checker holds. Memory is read from Linux's
//! `/proc/self/status`; elsewhere only the time is printed.

mod generator;

use generator::Plan;
use std::time::Instant;
use tribunal_checkers::linearizability::Linearizable;
use tribunal_checkers::{Checker, Validity};

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let operations: u64 = asked.unwrap_or(1_000_000).max(50);
    let before = peak_kib();
    let started = Instant::now();
    let mut checker = Box::new(Linearizable::default());
    Plan::of(operations).history(1).for_each(|operation| checker.operation(&operation));
    let taken = started.elapsed();
    let taken_kib = peak_kib();
    let judging = Instant::now();
    let verdict = checker.finish();
    println!(
        "{operations} operations: taken in {taken:?} with their generation, judged in {:?}",
        judging.elapsed()
    );
    println!("{:?} {:?}", verdict.engine, verdict.figures);
    if let (Some(before), Some(taken), Some(peak)) = (before, taken_kib, peak_kib()) {
        let per_operation = |kib: u64| (kib - before) * 1024 / operations;
        println!(
            "peak {} MiB: {} B an operation to keep it, {} B while judging",
            peak / 1024,
            per_operation(taken),
            per_operation(peak)
        );
    }
    assert_eq!(verdict.validity, Validity::Valid);
}

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
