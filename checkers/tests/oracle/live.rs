//! Answers on the way, and forgetting what is settled, against the judge of whole histories.
//!
//! That judge is held against the definition of linearizability by the tests beside this file. Here each history is cut at random events: what
//! is asked there must be the verdict on that prefix, its operations under way crashed, and what is forgotten there must change
//! nothing. 12,000 histories by default, half of them of up to 60 operations; `TRIBUNAL_ORACLE_HISTORIES` asks for another
//! number.

use crate::linearizability_support::{History, check, linearizable};
use crate::oracle_support::{Shape, random_history};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tribunal_checkers::linearizability::{Linearizable, NEEDS_HISTORY};
use tribunal_checkers::{Checker, Judges, Validity, Verdict};
use tribunal_history::{Actor, Event, EventKind, Operation, Outcome, Process, Stamp, Value};

#[test]
fn an_answer_on_the_way_is_the_verdict_on_the_prefix() {
    let (mut asked, mut violated) = (0, 0);
    for (seed, history) in histories(Shape::unique()) {
        let mut rng = rng(!seed);
        let mut checker = Box::new(Linearizable::default());
        for (taken, operation) in history.iter().enumerate() {
            checker.operation(operation);
            if rng.random_range(0..4) > 0 {
                continue;
            }
            let open = under_way(&history, taken, &mut rng);
            let prefix = [&history[..=taken], &open].concat();
            let expected = check(&prefix).validity == Validity::Invalid;
            let answer = checker.violated(&open);
            assert_eq!(answer, expected, "seed {seed}, after {taken}: {history:#?}");
            asked += 1;
            violated += u64::from(answer);
        }
        // Being asked changes nothing.
        assert_eq!(told(&checker.finish()), told(&check(&history)), "seed {seed}");
    }
    assert!(violated * 20 > asked && violated * 2 < asked, "{violated} of {asked}");
}

#[test]
fn what_is_forgotten_changes_no_verdict() {
    let (mut settled, mut invalid) = (0, 0);
    for (seed, history) in histories(Shape::unique()) {
        let (verdict, settles, early) = settling(&history, seed);
        let whole = check(&history);
        let context = || format!("seed {seed}, {verdict:?}, whole: {whole:?}\n{history:#?}");
        match (settles, whole.validity) {
            (0, _) => assert_eq!(told(&verdict), told(&whole), "{}", context()),
            (_, Validity::Valid) => assert_eq!(told(&verdict), told(&whole), "{}", context()),
            (_, _) => assert_eq!(verdict.unknown.as_deref(), Some(NEEDS_HISTORY), "{}", context()),
        }
        assert!(!early || whole.validity == Validity::Invalid, "a false alarm: {}", context());
        settled += settles;
        invalid += u64::from(whole.validity == Validity::Invalid);
    }
    assert!(settled > number() && invalid * 5 > number(), "{settled} times, {invalid} invalid");
}

#[test]
fn a_pass_is_a_proof_even_if_values_come_back() {
    let (mut passed, mut handed_back) = (0, 0);
    for (seed, history) in histories(Shape::repeated()).filter(|(_, history)| history.len() < 10) {
        let (verdict, settles, _) = settling(&history, seed);
        match verdict.validity {
            Validity::Valid => {
                assert!(linearizable(&history), "seed {seed}: {history:#?}");
                passed += u64::from(settles > 0);
            }
            _ if settles == 0 => {}
            _ => {
                assert_eq!(verdict.unknown.as_deref(), Some(NEEDS_HISTORY), "seed {seed}");
                handed_back += 1;
            }
        }
    }
    assert!(passed > 0 && handed_back > 0, "{passed} passed, {handed_back} handed back");
}

/// Long operations keep everything unsettled, so the latest start of a group can be that of a read which is neither its
/// writer nor the first that saw it; random histories hardly ever need it.
#[test]
fn the_latest_start_of_an_unsettled_group_is_kept() {
    let of = |process: u64, f: &'static str, value: i64, call: u64, end: u64| Operation {
        process: Process(process),
        f: f.into(),
        input: Value::keyed("x".into(), if f == "read" { Value::Nil } else { value.into() }),
        output: Value::keyed("x".into(), value.into()),
        outcome: Outcome::Ok,
        call: Stamp { index: call, time: call },
        end: Some(Stamp { index: end, time: end }),
        error: None,
        node: None,
        answered_by: None,
        scheduled: None,
        attempts: 1,
        phase: None,
    };
    let long = of(0, "write", 9, 0, 50);
    let under_way =
        Operation { outcome: Outcome::Info, output: Value::Nil, end: None, ..long.clone() };
    let past = [
        of(1, "write", 1, 1, 11),
        of(2, "write", 2, 2, 12),
        of(3, "read", 1, 3, 15),
        of(4, "read", 1, 13, 16),
    ];
    // 1 was written last, or its read of 13 would not have seen it; and 2 was, by this read.
    let stale = of(5, "read", 2, 20, 21);
    let mut checker = Box::new(Linearizable::default());
    past.iter().for_each(|operation| checker.operation(operation));
    checker.settle(std::slice::from_ref(&under_way));
    assert!(!checker.violated(std::slice::from_ref(&under_way)));
    checker.operation(&stale);
    assert!(checker.violated(std::slice::from_ref(&under_way)));
    checker.operation(&long);
    assert_eq!(checker.finish().unknown.as_deref(), Some(NEEDS_HISTORY));
    assert!(!linearizable(&[&past[..], &[stale, long]].concat()));
}

#[test]
fn memory_does_not_grow_with_the_length() {
    let bytes = |rounds: u64| {
        let checkers: Vec<Box<dyn Checker>> = vec![Box::new(Linearizable::default())];
        let mut judges = Judges::settling(checkers, 1_000);
        for event in overlapping(rounds) {
            judges.event(event).expect("a history");
        }
        let verdict = judges.finish().remove(0);
        assert_eq!(verdict.validity, Validity::Valid, "{verdict:?}");
        verdict.figures["engine_bytes"].as_u64().expect("a number")
    };
    let (short, long) = (bytes(1_000), bytes(20_000));
    assert!(long < short + short / 10, "{short} bytes for 4,000 operations, {long} for 80,000");
}

/// The verdict of a checker that settles now and then; how often it did; whether it was alarmed before the end.
fn settling(history: &History, seed: u64) -> (Verdict, u64, bool) {
    let mut rng = rng(!seed);
    let mut checker = Box::new(Linearizable::default());
    let (mut settles, mut alarmed) = (0, false);
    let every = rng.random_range(1..=4);
    for (taken, operation) in history.iter().enumerate() {
        checker.operation(operation);
        let open = under_way(history, taken, &mut rng);
        if rng.random_range(0..4) == 0 {
            alarmed |= checker.violated(&open);
        }
        if rng.random_range(0..every) == 0 {
            checker.settle(&open);
            settles += 1;
        }
    }
    (checker.finish(), settles, alarmed)
}

/// Operations under way at some moment after `taken` completed and before the next one does.
fn under_way(history: &History, taken: usize, rng: &mut ChaCha8Rng) -> History {
    let end = |nth: usize| history.get(nth)?.end.map(|end| end.index);
    // What the history leaves open is taken last, when nothing else is to come.
    let Some(now) = end(taken) else { return history[taken + 1..].to_vec() };
    let next = end(taken + 1).unwrap_or(u64::MAX - 1).max(now + 1);
    let moment = if rng.random_range(0..2) == 0 { now + 1 } else { next };
    let called = history[taken + 1..].iter().filter(|operation| operation.call.index < moment);
    let crashed = |operation: &Operation| Operation {
        outcome: Outcome::Info,
        output: Value::Nil,
        end: None,
        ..operation.clone()
    };
    called.map(crashed).collect()
}

/// Rounds of four operations that overlap each other and the next round: two writes, a cas and a read of the last value.
fn overlapping(rounds: u64) -> impl Iterator<Item = Event> {
    let event = |process: u64, kind, f: &'static str, argument: Value| Event {
        index: 0,
        time: 0,
        process: Actor::Process(Process(process)),
        kind,
        f: f.into(),
        value: Value::keyed("x".into(), argument),
        error: None,
        node: None,
        scheduled: None,
        attempts: None,
        session: None,
        phase: None,
    };
    let events = (0..rounds).flat_map(move |round| {
        let (one, two, three) = (3 * round + 1, 3 * round + 2, 3 * round + 3);
        let int = |value: u64| Value::Int(value.cast_signed());
        let change = Value::List(vec![int(two), int(three)]);
        let (even, odd) = (10 * (round % 2), 10 * ((round + 1) % 2));
        let mut events = vec![event(even, EventKind::Invoke, "write", int(one))];
        if round > 0 {
            // The read of the round before ends within this one.
            events.push(event(odd + 3, EventKind::Ok, "read", int(one - 1)));
        }
        events.extend([
            event(even + 1, EventKind::Invoke, "write", int(two)),
            event(even, EventKind::Ok, "write", int(one)),
            event(even + 1, EventKind::Ok, "write", int(two)),
            event(even + 2, EventKind::Invoke, "cas", change.clone()),
            event(even + 2, EventKind::Ok, "cas", change),
            event(even + 3, EventKind::Invoke, "read", Value::Nil),
        ]);
        events
    });
    (0..).zip(events).map(|(index, event)| Event { index, time: index, ..event })
}

/// What a person reads, and what machines do, beside the memory.
fn told(verdict: &Verdict) -> String {
    let mut verdict = verdict.clone();
    verdict.figures.remove("engine_bytes");
    format!("{verdict:?}")
}

fn histories(shape: Shape) -> impl Iterator<Item = (u64, History)> {
    (0..number()).map(move |seed| {
        let shape = if seed % 2 == 0 { shape } else { shape.long() };
        (seed, random_history(&mut rng(seed), shape))
    })
}

fn number() -> u64 {
    let asked = std::env::var("TRIBUNAL_ORACLE_HISTORIES").ok();
    asked.map_or(12_000, |number| number.parse().expect("a number of histories"))
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}
