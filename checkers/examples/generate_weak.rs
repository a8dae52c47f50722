//! Writes a causal history of register transactions, for the figures of `WeakIsolation`.
//!
//! `cargo run --release -p tribunal-checkers --example generate_weak -- [NAME=VALUE ...] > history.jsonl`
//!
//! Parameters, with those of the figures as defaults: `transactions=100000`, `operations=8` (of each transaction), `sessions=20`,
//! `keys=1000`, `writes_percent=50`, `lag=50` (how many transactions a replica may be behind), `crashed=0`, `seed=1`,
//! `violations=0`. A violation is a read, late in the history, of the version before the one that its session just wrote.
//!
//! Each session has a replica: it applies the transactions of all sessions in one order, at most `lag` behind, and its own
//! at once. So what it reads is causal, and seldom serializable.

mod weak_history;

use std::io::{BufWriter, Write as _};
use tribunal_history::jsonl;
use weak_history::Plan;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut plan = Plan::default();
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or("expected NAME=VALUE")?;
        *parameter(&mut plan, name)? = value.parse()?;
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    jsonl::write_header(&mut out)?;
    plan.events(&mut |event| jsonl::write_event(&mut out, &event))?;
    Ok(out.flush()?)
}

fn parameter<'a>(plan: &'a mut Plan, name: &str) -> Result<&'a mut u64, String> {
    Ok(match name {
        "transactions" => &mut plan.transactions,
        "operations" => &mut plan.operations,
        "sessions" => &mut plan.sessions,
        "keys" => &mut plan.keys,
        "writes_percent" => &mut plan.writes_percent,
        "lag" => &mut plan.lag,
        "crashed" => &mut plan.crashed,
        "violations" => &mut plan.violations,
        "seed" => &mut plan.seed,
        _ => return Err(format!("there is no parameter {name}")),
    })
}
