//! The engines of queues and stacks, and the general engine, against the definition, on random small histories.
//!
//! 20,000 histories a collection by default; `TRIBUNAL_ORACLE_HISTORIES` asks for another number.

mod collections_support;

use collections_support::{Kind, linearizable, random_history};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tribunal_checkers::linearizability::Limits;
use tribunal_checkers::linearizability::collections::{FifoQueue, Stack, UnorderedQueue};
use tribunal_checkers::linearizability::wgl::{Answer, Interval, search};
use tribunal_checkers::models::{self, Model};
use tribunal_checkers::{Checker, Validity, Verdict};
use tribunal_history::{Operation, Outcome, Value};

#[test]
fn fifo_queues_agree_with_the_definition() {
    let names = ["duplicated", "failed-operation-observed", "false-empty", "future-read", "lost"];
    agree(Kind::Fifo, &[&names[..], &["out-of-order", "unexpected"]].concat());
}

#[test]
fn unordered_queues_agree_with_the_definition() {
    let names = ["duplicated", "failed-operation-observed", "false-empty", "future-read"];
    agree(Kind::Bag, &[&names[..], &["unexpected"]].concat());
}

#[test]
fn stacks_agree_with_the_definition() {
    let names = ["duplicated", "failed-operation-observed", "false-empty", "future-read"];
    agree(Kind::Lifo, &[&names[..], &["not-lifo", "unexpected"]].concat());
}

#[test]
fn repeated_values_go_to_the_general_engine() {
    for kind in [Kind::Fifo, Kind::Bag, Kind::Lifo] {
        let mut general = 0;
        for seed in 0..histories() / 8 {
            let history = random_history(&mut rng(seed), kind, true);
            let verdict = check(kind, &history);
            assert_eq!(
                verdict.validity == Validity::Valid,
                linearizable(kind, &history),
                "{kind:?}, seed {seed}, {verdict:?}\n{history:#?}"
            );
            general += u64::from(verdict.engine.as_deref() == Some("wgl"));
        }
        assert!(general * 10 > histories() / 8, "{kind:?}: only {general} were repeated");
    }
}

fn agree(kind: Kind, anomalies: &[&str]) {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    let (mut valid, mut invalid, mut general) = (0, 0, 0);
    for seed in 0..histories() {
        let history = random_history(&mut rng(seed), kind, false);
        let expected = linearizable(kind, &history);
        let verdict = check(kind, &history);
        let context = || format!("{kind:?}, seed {seed}, {verdict:?}\n{history:#?}");
        assert_eq!(verdict.validity == Validity::Valid, expected, "{}", context());
        assert_ne!(verdict.validity, Validity::Unknown, "{}", context());
        if seed % 4 == 0 {
            let by_search = by_search(kind, &history) == Answer::Linearizable;
            assert_eq!(by_search, expected, "{}", context());
        }
        *(if expected { &mut valid } else { &mut invalid }) += 1;
        if verdict.engine.as_deref() == Some("wgl") {
            general += 1;
            continue;
        }
        for anomaly in &verdict.anomalies {
            *told.entry(anomaly.name.to_string()).or_default() += 1;
            // Only where no take crashed: who took what is else a matter of the whole history.
            let alone = !history.iter().any(|operation| {
                operation.outcome == Outcome::Info && operation.input == Value::Nil
            });
            let proves = !linearizable(kind, &anomaly.witness);
            assert!(proves || !alone, "a witness that proves nothing: {}", context());
        }
    }
    assert!(valid * 5 > invalid && invalid * 5 > valid, "lopsided: {valid} valid, {invalid} not");
    assert!(general * 10 < histories(), "the fast engine left {general} to the general one");
    let names: Vec<&str> = told.keys().map(String::as_str).collect();
    assert_eq!(names, anomalies, "every anomaly should have come up: {told:?}");
}

fn check(kind: Kind, history: &[Operation]) -> Verdict {
    let limits = Limits::default();
    let mut checker: Box<dyn Checker> = match kind {
        Kind::Fifo => Box::new(FifoQueue::new(limits)),
        Kind::Bag => Box::new(UnorderedQueue::new(limits)),
        Kind::Lifo => Box::new(Stack::new(limits)),
    };
    history.iter().for_each(|operation| checker.operation(operation));
    checker.finish()
}

fn by_search(kind: Kind, history: &[Operation]) -> Answer {
    match kind {
        Kind::Fifo => search_with(&models::FifoQueue, history),
        Kind::Bag => search_with(&models::UnorderedQueue, history),
        Kind::Lifo => search_with(&models::Stack, history),
    }
}

fn search_with<M: Model>(model: &M, history: &[Operation]) -> Answer {
    let happened = history.iter().filter(|operation| operation.outcome != Outcome::Fail);
    let intervals: Vec<Interval<M::Op>> = happened
        .filter_map(|operation| {
            let output = (operation.outcome == Outcome::Ok).then_some(&operation.output);
            let op = model.decode(&operation.f, &operation.input, output).expect("an operation")?;
            let end = operation.returned().map(|stamp| stamp.index);
            Some(Interval { op, call: operation.call.index, end })
        })
        .collect();
    search(model, &intervals, Instant::now() + Duration::from_secs(600), 1 << 30)
}

fn histories() -> u64 {
    let asked = std::env::var("TRIBUNAL_ORACLE_HISTORIES").ok();
    asked.map_or(20_000, |number| number.parse().expect("a number of histories"))
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}
