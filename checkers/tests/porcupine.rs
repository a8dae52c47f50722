//! Porcupine's etcd logs and kv histories, with the verdicts that its own tests expect. They are not part of the project: where the folder of
//! other projects' histories is not there, this says so and ends.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tribunal_checkers::linearizability::{Limits, Modelled};
use tribunal_checkers::models::{Kv, PorcupineEtcd};
use tribunal_checkers::{Checker, Validity, Verdict};
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

#[test]
fn every_etcd_log_gets_its_verdict() {
    judge("porcupine-etcd", |text| {
        let mut checker = Box::new(Modelled::new("linearizable", PorcupineEtcd, Limits::default()));
        operations(text.lines().filter_map(log_line))
            .iter()
            .for_each(|operation| checker.operation(operation));
        checker.finish()
    });
}

#[test]
fn every_kv_history_gets_its_verdict() {
    judge("kv", |text| {
        let mut checker = Box::new(Modelled::new("linearizable", Kv, Limits::default()).by_key());
        operations(text.lines().filter_map(kv_line))
            .iter()
            .for_each(|operation| checker.operation(operation));
        checker.finish()
    });
}

/// Judges every file of this model.
fn judge(model: &str, verdict: impl Fn(&str) -> Verdict) {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let Ok(truth) = fs::read_to_string(corpora.join("truth.tsv")) else {
        eprintln!("skipped: there are no corpora in {}", corpora.display());
        return;
    };
    let (mut judging, mut judged) = (Duration::ZERO, 0);
    for line in truth.lines().filter(|line| line.starts_with("porcupine-")) {
        let [file, _, this, expected] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        if this != model {
            continue;
        }
        let text = fs::read_to_string(corpora.join(file)).expect("in the corpora");
        let start = Instant::now();
        let verdict = verdict(&text);
        judging += start.elapsed();
        judged += 1;
        assert_eq!(verdict.validity.to_string(), expected, "{file}: {verdict:?}");
        assert_eq!(verdict.validity == Validity::Invalid, !verdict.anomalies.is_empty());
        if let Some(anomaly) = verdict.anomalies.first() {
            let witness = anomaly.witness.len();
            eprintln!("{file}: {witness} operations. {}", anomaly.message);
        }
    }
    assert!(judged >= 4, "only {judged} files");
    eprintln!("{model}: {judged} files in {judging:?}");
}

/// Process, kind, function, value.
type Line = (u64, String, String, Value);

/// The operations of a log: those that returned, and those that did not.
fn operations(lines: impl Iterator<Item = Line>) -> Vec<Operation> {
    let mut open: Vec<Operation> = Vec::new();
    let mut ended = Vec::new();
    for (index, (process, kind, f, value)) in (0..).zip(lines) {
        let process = Process(process);
        let stamp = Stamp { index, time: index };
        let nth = open.iter().position(|operation| operation.process == process);
        match (&*kind, nth) {
            (":invoke", _) => open.push(invoked(process, &f, value, stamp)),
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

fn log_line(line: &str) -> Option<Line> {
    let (_, line) = line.split_once(" - ")?;
    let mut words = line.splitn(4, char::is_whitespace).map(str::trim);
    let process = words.next()?.parse().ok()?;
    let (kind, f) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some((process, kind, f, value(words.next().unwrap_or("nil"))))
}

/// `{:process 0, :type :ok, :f :get, :key "7", :value "x 1 2 y"}`; texts without quotes inside.
fn kv_line(line: &str) -> Option<Line> {
    let after = |name: &str| line.split_once(name).map(|(_, rest)| rest);
    let word = |name: &str| after(name)?.split([',', '}']).next().map(str::to_owned);
    let text = |name: &str| after(name)?.strip_prefix('"')?.split('"').next().map(Value::text);
    let value = Value::keyed(text(":key ")?, text(":value ").unwrap_or(Value::Nil));
    Some((word(":process ")?.parse().ok()?, word(":type ")?, word(":f ")?, value))
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
