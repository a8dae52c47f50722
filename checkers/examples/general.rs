//! Histories for the general engine, from a seed, and how long it takes: whole rows of the figures in README.md.
//!
//! `cargo run --release -p tribunal-checkers --example general -- SHAPE FROM_SEED SEEDS [STRATEGY]`, where SHAPE is
//! `wide` (1,000 operations, 32 clients, valid), `crashed` (500 operations, 4 clients, 20 crashed, one stale read) or
//! `OPERATIONS,CLIENTS,CRASHED,STALE`, as in `1000,64,0,1`; STRATEGY is `both`, `depth` or `breadth`.

mod general_support;

use general_support::Shape;
use std::time::{Duration, Instant};
use tribunal_checkers::linearizability::wgl::{Answer, Strategy, search_by};
use tribunal_checkers::models::Register;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |nth: usize| words.get(nth).map_or("", String::as_str);
    let shape = Shape::named(word(0)).unwrap_or_else(|| {
        eprintln!("usage: general wide|crashed|OPERATIONS,CLIENTS,CRASHED,STALE [FROM_SEED [SEEDS [STRATEGY]]]");
        std::process::exit(2)
    });
    let from: u64 = word(1).parse().unwrap_or(1);
    let seeds: u64 = word(2).parse().unwrap_or(10);
    let strategy = match word(3) {
        "depth" => Strategy::Depth,
        "breadth" => Strategy::Breadth,
        _ => Strategy::Both,
    };
    for seed in from..from + seeds {
        let history = shape.history(seed);
        let start = Instant::now();
        let deadline = start + Duration::from_secs(60);
        let answer = search_by(strategy, &Register::default(), &history, deadline, 2 << 30);
        let told = match answer {
            Answer::Linearizable => "valid".to_owned(),
            Answer::NotLinearizable { linearized, states, .. } => {
                format!("invalid after {linearized} operations, states {}", states.join(" "))
            }
            Answer::Unknown { why, linearized, returned } => {
                format!("unknown: {why} at {linearized} of {returned}")
            }
        };
        println!("seed {seed}: {:.3} s, {told}", start.elapsed().as_secs_f64());
    }
}
