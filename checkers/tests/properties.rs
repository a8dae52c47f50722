//! The corpus of collections: histories that carry their verdict in their path. A bad one is named after its anomaly.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use tribunal_checkers::append::AppendChecker;
use tribunal_checkers::counter::CounterChecker;
use tribunal_checkers::linearizability::Limits;
use tribunal_checkers::linearizability::collections::{
    Counter, FifoQueue, Mutex, OwnedMutex, Set, Stack, UnorderedQueue,
};
use tribunal_checkers::set::SetChecker;
use tribunal_checkers::{Checker, Validity, Verdict, check_all};
use tribunal_history::jsonl::Reader;

fn judge(path: &Path, checker: Box<dyn Checker>) -> Verdict {
    let file = BufReader::new(fs::File::open(path).expect("a readable file"));
    let events = Reader::new(file).expect("a header");
    check_all(events, vec![checker]).expect("a well-formed history").remove(0)
}

fn histories(model: &str, verdict: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(model).join(verdict);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{model}/{verdict} is empty");
    paths
}

fn corpus(model: &str, checker: fn() -> Box<dyn Checker>) {
    for path in histories(model, "good") {
        let verdict = judge(&path, checker());
        assert_eq!(
            verdict.validity,
            Validity::Valid,
            "{}: {:?}",
            path.display(),
            verdict.anomalies
        );
    }
    for path in histories(model, "bad") {
        let verdict = judge(&path, checker());
        assert_eq!(verdict.validity, Validity::Invalid, "{}", path.display());
        let expected = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let names: Vec<&str> = verdict.anomalies.iter().map(|anomaly| &*anomaly.name).collect();
        assert_eq!(names, [expected], "{}", path.display());
        assert!(!verdict.anomalies[0].witness.is_empty(), "{}", path.display());
    }
}

#[test]
fn sets() {
    corpus("set", || Box::new(SetChecker::new()));
}

#[test]
fn counters() {
    corpus("counter", || Box::new(CounterChecker::new()));
}

#[test]
fn lists() {
    corpus("append", || Box::new(AppendChecker::new()));
}

#[test]
fn queues_and_stacks() {
    corpus("fifo-queue", || Box::new(FifoQueue::new(Limits::default())));
    corpus("unordered-queue", || Box::new(UnorderedQueue::new(Limits::default())));
    corpus("stack", || Box::new(Stack::new(Limits::default())));
}

#[test]
fn locks() {
    corpus("mutex", || Box::new(Mutex::new(Limits::default())));
    corpus("owned-mutex", || Box::new(OwnedMutex::new(Limits::default())));
}

#[test]
fn linearizable_sets_and_counters() {
    corpus("set-linearizable", || Box::new(Set::new(Limits::default())));
    corpus("counter-linearizable", || Box::new(Counter::new(Limits::default())));
}
