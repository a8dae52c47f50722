//! The checkers of isolation on the corpus: the smallest histories that tell, with the verdict in their path.
//!
//! `corpus/<model>/bad/<anomaly>[.<variation>].jsonl` must be convicted of that anomaly, in exactly the words of the `.txt` beside
//! it: people read these. `TRIBUNAL_BLESS=1 cargo test -p tribunal-checkers --test isolation` writes them anew; read
//! the difference line by line. A good history of the same name is the bad one nearly.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use tribunal_checkers::isolation::{Level, ListAppend, Options, RwRegister};
use tribunal_checkers::{Checker, Validity, Verdict, check_all};
use tribunal_history::jsonl;

#[test]
fn good_histories_are_acquitted() {
    let files = corpus("good");
    assert!(files.len() >= 25, "the corpus is not where it was: {files:?}");
    for path in files {
        let verdict = judge(&path, Level::default());
        assert_eq!(verdict.validity, Validity::Valid, "{}: {verdict:#?}", path.display());
        assert_eq!(verdict.complete, verdict.checker == "list-append");
    }
}

#[test]
fn bad_histories_are_convicted_of_what_their_name_says() {
    let files = corpus("bad");
    assert!(files.len() >= 49, "the corpus is not where it was: {files:?}");
    for path in files {
        let verdict = judge(&path, Level::default());
        assert_eq!(verdict.validity, Validity::Invalid, "{}", path.display());
        let expected = named(&path);
        let found = verdict.anomalies.iter().find(|anomaly| anomaly.name == expected);
        let anomaly = found.unwrap_or_else(|| panic!("{}: {verdict:#?}", path.display()));
        assert!((1..=4).contains(&anomaly.witness.len()), "{}", path.display());
        assert!(anomaly.witness.is_sorted_by_key(|operation| operation.call));
        let cycle = expected == "write-skew"
            || (expected.starts_with('G') && !["G1a", "G1b"].contains(&expected));
        assert_eq!(anomaly.drawing.is_some(), cycle, "{}", path.display());
        pin(&path.with_extension("txt"), &told(&verdict));
    }
}

#[test]
fn what_the_level_permits_does_not_convict() {
    for (file, permits, forbids) in [
        ("write-skew", Level::StrongSnapshotIsolation, Level::RepeatableRead),
        ("lost-update", Level::Causal, Level::SnapshotIsolation),
        ("G-single-realtime", Level::StrongSessionSerializable, Level::StrongSnapshotIsolation),
        ("G-single-process", Level::Serializable, Level::Causal),
        ("G-nonadjacent", Level::ReadAtomic, Level::SnapshotIsolation),
        ("G-single", Level::ReadCommitted, Level::ReadAtomic),
        ("G1a", Level::ReadUncommitted, Level::ReadCommitted),
        (
            "G2-item-process",
            Level::StrongSessionSnapshotIsolation,
            Level::StrongSessionSerializable,
        ),
        ("G2-item-realtime", Level::StrongSessionSerializable, Level::StrictSerializable),
    ] {
        for model in ["list-append", "rw-register"] {
            let path = root().join(model).join("bad").join(format!("{file}.jsonl"));
            let tolerant = judge(&path, permits);
            assert_eq!(
                tolerant.validity,
                Validity::Valid,
                "{model} {file} at {permits}: {tolerant:#?}"
            );
            let permitted = tolerant.figures["anomalies_permitted"].to_string();
            assert!(permitted.contains(file), "{permitted}");
            let strict = judge(&path, forbids);
            // Of registers less is known: a level below snapshots is not judged by inferred orders.
            let known =
                model == "list-append" || !matches!(forbids, Level::Causal | Level::ReadAtomic);
            assert_eq!(strict.validity == Validity::Invalid, known, "{model} {file} at {forbids}");
        }
    }
}

#[test]
fn what_cannot_be_told_gives_no_verdict() {
    for (why, events) in [
        ("twice", &[r#"[["append","x",1]]"#, r#"[["append","x",1]]"#][..]),
        ("not understood", &[r#"["append","x",1]"#]),
        ("not understood", &[r#"[["cas","x",1]]"#]),
        ("no list", &[r#"[["r","x",7]]"#]),
    ] {
        let verdict = lines(events).judge();
        assert_eq!(verdict.validity, Validity::Unknown, "{events:?}");
        let told = verdict.unknown.expect("a reason");
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn a_value_written_twice_convicts_nobody() {
    let lists = || -> Box<dyn Checker> { Box::new(ListAppend::new(Options::default())) };
    let registers = || -> Box<dyn Checker> { Box::new(RwRegister::new(Options::default())) };
    let append = r#"[["append","x",5]]"#;
    for first in ["ok", "info"] {
        let read = [("ok", r#"[["r","x",[5]],["append","x",5]]"#)];
        let twice = [("ok", append), ("ok", r#"[["r","x",[5,5]]]"#)];
        let write = [("ok", r#"[["r","x",5],["w","x",5]]"#)];
        for (checker, before, rest) in [
            (lists(), append, &read[..]),
            (lists(), append, &twice),
            (registers(), r#"[["w","x",5]]"#, &write),
        ] {
            let events = [&[(first, before)], rest].concat();
            let verdict = ended(&events).judge_by(checker);
            assert_eq!(verdict.validity, Validity::Unknown, "{events:?}: {verdict:#?}");
            assert!(verdict.unknown.is_some_and(|why| why.contains("twice")));
        }
    }
}

#[test]
fn what_a_write_left_open_its_answer_tells() {
    let read = |value: &str| format!(r#"[["r","x",{value}]]"#);
    for (call, outcome, answer, seen, expected) in [
        ("null", "ok", "5", "[5]", Validity::Valid),
        ("5", "ok", "null", "[5]", Validity::Valid),
        ("null", "ok", "5", "[6]", Validity::Invalid),
        ("4", "ok", "5", "[4]", Validity::Unknown),
        ("4", "ok", "5", "[5]", Validity::Unknown),
        ("null", "info", "null", "[5]", Validity::Unknown),
    ] {
        let append = |value: &str| format!(r#"[["append","x",{value}]]"#);
        let mut history = ended(&[(outcome, &append(answer)), ("ok", &read(seen))]);
        // The first event is the call.
        history.0 = history.0.replacen(&append(answer), &append(call), 1);
        let verdict = history.judge();
        assert_eq!(verdict.validity, expected, "{call} {outcome} {answer}: {verdict:#?}");
    }
}

#[test]
fn a_store_that_always_answers_from_the_past_is_convicted_by_two_transactions() {
    let stale = [r#"[["r","x",[]]]"#; 2_000];
    let first = [r#"[["append","x",1]]"#];
    let verdict = lines(&[&first[..], &stale[..]].concat()).judge();
    assert_eq!(verdict.anomalies[0].name, "G-single-process", "{verdict:#?}");
    assert_eq!(verdict.anomalies[0].witness.len(), 2);
}

struct Lines(String);

/// One transaction after the other.
fn lines(values: &[&str]) -> Lines {
    ended(&values.iter().map(|value| ("ok", *value)).collect::<Vec<_>>())
}

/// As [`lines`], each with its outcome.
fn ended(transactions: &[(&str, &str)]) -> Lines {
    let mut text = "{\"format\":\"tribunal-history\",\"version\":1}\n".to_owned();
    let mut process = 0;
    for (nth, (outcome, value)) in transactions.iter().enumerate() {
        for (kind, index) in [("invoke", 2 * nth), (*outcome, 2 * nth + 1)] {
            text += &format!(
                "{{\"index\":{index},\"time\":{index},\"process\":{process},\"type\":\"{kind}\",\"f\":\"txn\",\"value\":{value}}}\n"
            );
        }
        // A process that crashed runs nothing more.
        process += usize::from(*outcome == "info");
    }
    Lines(text)
}

impl Lines {
    fn judge(&self) -> Verdict {
        self.judge_by(Box::new(ListAppend::new(Options::default())))
    }

    fn judge_by(&self, checker: Box<dyn Checker>) -> Verdict {
        let reader = jsonl::Reader::new(self.0.as_bytes()).expect("a header");
        check_all(reader, vec![checker]).expect("a history").remove(0)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn corpus(kind: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for model in ["list-append", "rw-register"] {
        let folder = root().join(model).join(kind);
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            files.push(entry.expect("an entry").path());
        }
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

fn named(path: &Path) -> &str {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8");
    stem.split('.').next().expect("a name")
}

fn judge(path: &Path, level: Level) -> Verdict {
    let options = Options { level };
    let registers = path.components().any(|part| part.as_os_str() == "rw-register");
    let checker: Box<dyn Checker> = match registers {
        true => Box::new(RwRegister::new(options)),
        false => Box::new(ListAppend::new(options)),
    };
    let file = BufReader::new(File::open(path).expect("in the corpus"));
    let reader = jsonl::Reader::new(file).expect("a header");
    check_all(reader, vec![checker]).expect("a history").remove(0)
}

fn told(verdict: &Verdict) -> String {
    let mut text = String::new();
    for anomaly in &verdict.anomalies {
        text += &format!("{}: {}\n", anomaly.name, anomaly.message);
    }
    text + &format!("possible: {}\n", verdict.figures["levels_possible"])
}

fn pin(path: &Path, text: &str) {
    if std::env::var_os("TRIBUNAL_BLESS").is_some() {
        fs::write(path, text).expect("the corpus can be written");
    }
    let pinned = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, pinned, "{}; bless it if it is better", path.display());
}
