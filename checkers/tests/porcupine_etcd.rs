//! Porcupine's etcd logs, with the verdicts that its own tests expect. They are not part of the project: where the folder of
//! other projects' histories is not there, this says so and ends.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tribunal_checkers::linearizability::{Limits, Modelled};
use tribunal_checkers::models::PorcupineEtcd;
use tribunal_checkers::{Checker, Validity};
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

#[test]
fn every_log_of_porcupine_gets_its_verdict() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let Ok(truth) = fs::read_to_string(corpora.join("truth.tsv")) else {
        eprintln!("skipped: there are no corpora in {}", corpora.display());
        return;
    };
    let mut judging = Duration::ZERO;
    let mut judged = 0;
    for line in truth.lines() {
        let [file, "porcupine-log", "porcupine-etcd", expected] =
            line.split('\t').collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let log = fs::read_to_string(corpora.join(file)).expect("in the corpora");
        let operations = operations(&log);
        let start = Instant::now();
        let mut checker = Box::new(Modelled::new("linearizable", PorcupineEtcd, Limits::default()));
        operations.iter().for_each(|operation| checker.operation(operation));
        let verdict = checker.finish();
        judging += start.elapsed();
        judged += 1;
        assert_eq!(verdict.validity.to_string(), expected, "{file}: {verdict:?}");
        assert_eq!(verdict.validity == Validity::Invalid, !verdict.anomalies.is_empty());
    }
    assert!(judged > 50, "only {judged} logs");
    eprintln!("{judged} logs in {judging:?}");
}

/// The operations of a log: those that returned, and those that did not.
fn operations(log: &str) -> Vec<Operation> {
    let mut open: Vec<Operation> = Vec::new();
    let mut ended = Vec::new();
    for (index, line) in (0..).zip(log.lines()) {
        let Some((_, line)) = line.split_once(" - ") else { continue };
        let mut words = line.splitn(4, |c: char| c.is_whitespace()).map(str::trim);
        let (Some(process), Some(kind), Some(f)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let process = Process(process.parse().expect("a process"));
        let value = value(words.next().unwrap_or("nil"));
        let stamp = Stamp { index, time: index };
        let nth = open.iter().position(|operation| operation.process == process);
        match (kind, nth) {
            (":invoke", _) => open.push(invoked(process, f, value, stamp)),
            (":ok" | ":fail", Some(nth)) => {
                let mut operation = open.swap_remove(nth);
                operation.end = Some(stamp);
                operation.outcome = if kind == ":ok" { Outcome::Ok } else { Outcome::Fail };
                operation.output = value;
                ended.push(operation);
            }
            _ => {}
        }
    }
    ended.extend(open);
    ended
}

fn invoked(process: Process, f: &str, input: Value, call: Stamp) -> Operation {
    Operation {
        process,
        f: f.trim_start_matches(':').to_owned().into(),
        input,
        output: Value::Nil,
        outcome: Outcome::Info,
        call,
        end: None,
        error: None,
        node: None,
        answered_by: None,
        scheduled: None,
        attempts: 1,
        phase: None,
    }
}

/// `nil`, `3`, `[1 2]` or `:timed-out`.
fn value(text: &str) -> Value {
    let numbers = text.trim_matches(['[', ']']).split(' ').map(str::parse::<i64>);
    let numbers: Vec<Value> = numbers.filter_map(Result::ok).map(Value::Int).collect();
    match &numbers[..] {
        [one] => one.clone(),
        [_, _] => Value::List(numbers),
        _ => Value::Nil,
    }
}
