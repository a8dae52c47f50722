//! Both engines against the definition of linearizability, on random small histories.
//!
//! The oracle tries all orders: it knows nothing of groups, zones, slots or memoization. What it shares with the engines
//! is only what an operation means. 60,000 histories by default; `TRIBUNAL_ORACLE_HISTORIES` asks for another number.

mod linearizability_support;
#[path = "oracle/live.rs"]
mod live;
mod oracle_support;

use linearizability_support::{History, check, closure, linearizable};
use oracle_support::{Shape, random_history};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tribunal_checkers::Validity;
use tribunal_checkers::linearizability::wgl::{Answer, Interval, Strategy, search_by};
use tribunal_checkers::models::{Model, Register};
use tribunal_history::{Operation, Outcome, Value};

#[test]
fn the_checker_agrees_with_the_definition() {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    let (mut valid, mut invalid) = (0, 0);
    for seed in 0..histories() {
        let history = random_history(&mut rng(seed), Shape::unique());
        let expected = linearizable(&history);
        let verdict = check(&history);
        let context = || format!("seed {seed}, {verdict:?}\n{history:#?}");
        assert_eq!(verdict.validity == Validity::Valid, expected, "{}", context());
        assert_ne!(verdict.validity, Validity::Unknown, "{}", context());
        assert_eq!(verdict.engine.as_deref(), Some("register"), "{}", context());
        match expected {
            true => valid += 1,
            false => invalid += 1,
        }
        for anomaly in &verdict.anomalies {
            *told.entry(anomaly.name.to_string()).or_default() += 1;
            let alone = closure(&anomaly.witness, &history);
            assert!(!linearizable(&alone), "a witness that proves nothing: {}", context());
        }
    }
    assert!(valid * 5 > invalid && invalid * 5 > valid, "lopsided: {valid} valid, {invalid} not");
    let names: Vec<&str> = told.keys().map(String::as_str).collect();
    assert_eq!(names, ANOMALIES, "every anomaly should have come up: {told:?}");
}

#[test]
fn the_general_engine_agrees_with_the_definition() {
    for seed in 0..histories() / 2 {
        // Also without unique values, and with writes of nil.
        let shape = if seed % 2 == 0 { Shape::unique() } else { Shape::repeated() };
        let history = random_history(&mut rng(seed), shape);
        let expected = linearizable(&history);
        for strategy in [Strategy::Depth, Strategy::Breadth] {
            let answer = by_search(&history, strategy);
            let context = || format!("seed {seed}, {strategy:?}, {answer:?}\n{history:#?}");
            match answer {
                Answer::Unknown { .. } => panic!("{}", context()),
                _ => assert_eq!(answer == Answer::Linearizable, expected, "{}", context()),
            }
        }
    }
}

#[test]
fn the_checker_hands_over_what_is_not_unique() {
    let mut general = 0;
    for seed in 0..histories() / 6 {
        let history = random_history(&mut rng(seed), Shape::repeated());
        let verdict = check(&history);
        let expected = linearizable(&history);
        assert_eq!(
            verdict.validity == Validity::Valid,
            expected,
            "seed {seed}, {verdict:?}\n{history:#?}"
        );
        general += u64::from(verdict.engine.as_deref() != Some("register"));
        for anomaly in verdict.anomalies.iter().filter(|found| found.name == "not-linearizable") {
            let alone = linearizable(&closure(&anomaly.witness, &history));
            assert!(
                !alone,
                "a witness that proves nothing, seed {seed}: {anomaly:#?}\n{history:#?}"
            );
        }
    }
    assert!(general * 2 > histories() / 6, "only {general} went to the general engine");
}

/// The general engine on all keys, by the interface that other models use.
fn by_search(history: &History, strategy: Strategy) -> Answer {
    let mut keys: BTreeMap<&Value, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        let (key, _) = operation.input.as_pair().expect("keyed");
        keys.entry(key).or_default().push(operation);
    }
    let deadline = Instant::now() + Duration::from_secs(600);
    let answers = keys.into_values().map(|operations| {
        let happened =
            operations.into_iter().filter(|operation| operation.outcome != Outcome::Fail);
        let intervals: Vec<Interval<_>> = happened.filter_map(interval).collect();
        search_by(strategy, &Register::default(), &intervals, deadline, 1 << 30)
    });
    let bad = answers.into_iter().find(|answer| *answer != Answer::Linearizable);
    bad.unwrap_or(Answer::Linearizable)
}

fn interval(operation: &Operation) -> Option<Interval<<Register as Model>::Op>> {
    let (_, input) = operation.input.as_pair().expect("keyed");
    let output = operation.output.as_pair().map(|(_, value)| value);
    let op = Register::default().decode(&operation.f, input, output).expect("of a register")?;
    let end = operation.returned().map(|stamp| stamp.index);
    Some(Interval { op, call: operation.call.index, end })
}

fn histories() -> u64 {
    let asked = std::env::var("TRIBUNAL_ORACLE_HISTORIES").ok();
    asked.map_or(60_000, |number| number.parse().expect("a number of histories"))
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

const ANOMALIES: [&str; 9] = [
    "cas-cycle",
    "failed-operation-observed",
    "future-read",
    "garbage-read",
    "lost-update",
    "lost-write",
    "split-brain",
    "stale-cas",
    "stale-read",
];
