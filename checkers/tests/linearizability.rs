//! The checker of registers on the corpus: the smallest histories that tell, with the verdict in their path.
//!
//! `corpus/<model>/bad/<anomaly>[.<variation>].jsonl` must be convicted of that anomaly, in exactly the words of the `.txt` beside
//! it: people read these. `TRIBUNAL_BLESS=1 cargo test -p tribunal-checkers --test linearizability` writes them anew; read
//! the difference line by line.

mod linearizability_support;

use linearizability_support::{check, closure, linearizable};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tribunal_checkers::linearizability::{Limits, Linearizable};
use tribunal_checkers::{Checker, Validity, Verdict, check_all};
use tribunal_history::{Operation, Outcome, Pairing, Process, Stamp, Value, jsonl};

#[test]
fn good_histories_are_acquitted() {
    let files = corpus("good");
    assert!(files.len() >= 17, "the corpus is not where it was: {files:?}");
    for path in files {
        let verdict = judge(&path);
        assert_eq!(verdict.validity, Validity::Valid, "{}: {verdict:?}", path.display());
        assert!(verdict.complete && linearizable(&read(&path)), "{}", path.display());
    }
}

#[test]
fn bad_histories_are_convicted_of_what_their_name_says() {
    let files = corpus("bad");
    assert!(files.len() >= 17, "the corpus is not where it was: {files:?}");
    for path in files {
        let verdict = judge(&path);
        let anomaly = verdict.anomalies.first().unwrap_or_else(|| panic!("{}", path.display()));
        let file = path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8");
        let expected = file.split('.').next().expect("a name");
        assert_eq!(anomaly.name, expected, "{}: {verdict:?}", path.display());
        let history = read(&path);
        assert!(!linearizable(&history), "{}: the oracle does not agree", path.display());
        let alone = closure(&anomaly.witness, &history);
        assert!(!linearizable(&alone), "{}: proves nothing: {alone:?}", path.display());
        pin(&path.with_extension("txt"), &told(&verdict));
    }
}

#[test]
fn every_witness_is_small() {
    for path in corpus("bad") {
        for anomaly in judge(&path).anomalies {
            assert!((1..=6).contains(&anomaly.witness.len()), "{}: {anomaly:?}", path.display());
            assert!(anomaly.witness.is_sorted_by_key(|operation| operation.call));
        }
    }
}

#[test]
fn the_order_of_anomalies_does_not_depend_on_threads() {
    // Many keys, each with an anomaly.
    let history: Vec<Operation> =
        (0..200).map(|key| operation(key, "read", Value::keyed(key.into(), 9.into()))).collect();
    let first = told(&check(&history));
    assert!(first.contains("190 more"), "{first}");
    for _ in 0..20 {
        assert_eq!(told(&check(&history)), first);
    }
}

#[test]
fn what_is_no_register_operation_gives_no_verdict() {
    for odd in [
        operation(0, "read", Value::Nil),
        operation(0, "append", Value::keyed("x".into(), 1.into())),
        operation(0, "write", 1.into()),
        operation(0, "cas", Value::keyed("x".into(), 1.into())),
        Operation {
            output: Value::keyed("x".into(), 2.into()),
            ..operation(0, "write", Value::keyed("x".into(), 1.into()))
        },
    ] {
        let verdict = check(&vec![odd]);
        assert_eq!(verdict.validity, Validity::Unknown, "{verdict:?}");
        assert!(verdict.unknown.is_some_and(|why| why.contains("event 0")));
    }
}

#[test]
fn limits_end_in_unknown() {
    // All cas between six values, side by side, and a read that fits nowhere: their orders are trails through a graph, and
    // nearly every subset of them can come first.
    let pairs = (0..36).map(|nth| (nth / 6, nth % 6)).filter(|(from, to)| from != to);
    let cas = pairs.map(|(from, to)| ("cas", Value::List(vec![from.into(), to.into()])));
    let all = [("write", Value::Int(0))].into_iter().chain(cas);
    let mut history: Vec<Operation> = (0_i64..)
        .zip(all)
        .map(|(nth, (f, value))| Operation {
            end: Some(Stamp { index: 100 + nth.cast_unsigned(), time: 100 }),
            ..operation(nth, f, Value::keyed("x".into(), value))
        })
        .collect();
    history.push(Operation {
        call: Stamp { index: 200, time: 200 },
        end: Some(Stamp { index: 201, time: 200 }),
        ..operation(99, "read", Value::keyed("x".into(), 77.into()))
    });
    let limited = [
        (Limits { memory_bytes: 1 << 20, ..Limits::default() }, "memory"),
        (Limits { time: Duration::ZERO, ..Limits::default() }, "time"),
    ];
    for (limits, expected) in limited {
        let mut checker = Box::new(Linearizable::new(limits));
        history.iter().for_each(|operation| checker.operation(operation));
        let verdict = checker.finish();
        assert_eq!((verdict.validity, verdict.complete), (Validity::Unknown, false));
        let why = verdict.unknown.expect("a reason");
        assert!(why.contains(expected) && why.contains("of 32 completed"), "{why}");
    }
}

/// A completed operation whose result is also its argument.
fn operation(process: i64, f: &'static str, value: Value) -> Operation {
    let index = u64::try_from(process).expect("from 0");
    Operation {
        process: Process(index),
        f: f.into(),
        input: value.clone(),
        output: value,
        outcome: Outcome::Ok,
        call: Stamp { index, time: index },
        end: Some(Stamp { index: 1000 + index, time: 1000 + index }),
        error: None,
        node: None,
        answered_by: None,
        scheduled: None,
        attempts: 1,
        phase: None,
    }
}

/// The histories below `corpus/register/<verdict>`.
fn corpus(verdict: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/register").join(verdict);
    let entries = fs::read_dir(&folder).unwrap_or_else(|_| panic!("{}", folder.display()));
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl")).collect();
    paths.sort();
    paths
}

fn events(path: &Path) -> jsonl::Reader<BufReader<File>> {
    let file = File::open(path).expect("in the corpus");
    jsonl::Reader::new(BufReader::new(file)).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn judge(path: &Path) -> Verdict {
    let checkers: Vec<Box<dyn Checker>> = vec![Box::new(Linearizable::default())];
    check_all(events(path), checkers).expect("a history").remove(0)
}

fn read(path: &Path) -> Vec<Operation> {
    let mut pairing = Pairing::new();
    let events = events(path).map(|event| event.expect("an event"));
    let ended = events.filter_map(|event| pairing.push(event).expect("a history"));
    let mut operations: Vec<Operation> = ended.collect();
    operations.extend(pairing.finish());
    operations
}

/// What a person reads.
fn told(verdict: &Verdict) -> String {
    let mut text = String::new();
    for anomaly in &verdict.anomalies {
        writeln!(text, "{}: {}", anomaly.name, anomaly.message).expect("in memory");
        for operation in &anomaly.witness {
            let end = operation.end.map_or("-".to_owned(), |end| end.index.to_string());
            let (process, f, outcome) = (operation.process, &operation.f, operation.outcome);
            let value =
                if operation.output.is_nil() { &operation.input } else { &operation.output };
            let call = operation.call.index;
            writeln!(text, "  [{call} {end}] process {process}: {f} {value}, {outcome:?}")
                .expect("in memory");
        }
    }
    if verdict.anomalies_more > 0 {
        writeln!(text, "{} more", verdict.anomalies_more).expect("in memory");
    }
    text
}

fn pin(path: &Path, text: &str) {
    if std::env::var_os("TRIBUNAL_BLESS").is_some() {
        fs::write(path, text).expect("writable");
    }
    let pinned = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, pinned, "{}: see the header of this test", path.display());
}
