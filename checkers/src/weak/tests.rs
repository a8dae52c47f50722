//! The smallest histories that tell the levels apart, and each anomaly by its name.

use super::*;
use crate::testing::{Script, names};
use crate::verdict::Validity;
use tribunal_history::Value;

/// `w x 1` writes, `r x 1` reads, `r x` reads nil.
fn txn(script: Script, process: u64, accesses: &[&str]) -> Script {
    let (asked, told) = lists(accesses);
    script.invoke(process, "txn", asked).ok(process, "txn", told)
}

fn lists(accesses: &[&str]) -> (Value, Value) {
    let access = |words: &&str, filled: bool| {
        let mut words = words.split(' ');
        let (f, key) = (words.next().expect("f"), words.next().expect("key"));
        let value =
            words.next().map_or(Value::Nil, |value| Value::Int(value.parse().expect("int")));
        let shown = if f == "w" || filled { value } else { Value::Nil };
        Value::List(vec![f.into(), key.into(), shown])
    };
    let list = |filled| Value::List(accesses.iter().map(|words| access(words, filled)).collect());
    (list(false), list(true))
}

fn anomalies(script: Script, level: Level) -> Vec<String> {
    let verdict = script.judge(WeakIsolation::new(level));
    names(&verdict).into_iter().map(str::to_owned).collect()
}

const LEVELS: [Level; 3] = [Level::ReadCommitted, Level::ReadAtomic, Level::Causal];

type History = fn() -> Script;

/// The anomalies of each level, for a history that only the stronger ones forbid.
fn levels(history: History) -> [Vec<String>; 3] {
    LEVELS.map(|level| anomalies(history(), level))
}

#[test]
fn what_commits_in_order_has_every_level() {
    let history = || txn(txn(Script::new(), 0, &["w x 1", "w y 1"]), 1, &["r x 1", "r y 1", "r z"]);
    for level in LEVELS {
        let verdict = history().judge(WeakIsolation::new(level));
        assert_eq!((verdict.validity, verdict.complete), (Validity::Valid, true));
    }
}

#[test]
fn a_read_that_goes_back_is_not_read_committed() {
    let history = || {
        let written = txn(txn(Script::new(), 0, &["w x 1", "w y 1"]), 0, &["w x 2", "w y 2"]);
        txn(written, 1, &["r x 2", "r y 1"])
    };
    assert_eq!(
        levels(history),
        [["non-monotonic-read"], ["fractured-read"], ["causality-violation"]]
    );
}

#[test]
fn half_of_a_transaction_is_not_read_atomic() {
    let history = || {
        let written = txn(txn(Script::new(), 0, &["w x 1", "w y 1"]), 0, &["w x 2", "w y 2"]);
        txn(written, 1, &["r x 1", "r y 2"])
    };
    assert_eq!(levels(history), [vec![], vec!["fractured-read"], vec!["causality-violation"]]);
}

#[test]
fn what_its_writer_overwrote_is_intermediate_even_by_a_value_that_another_wrote() {
    let history = || {
        let written = txn(txn(Script::new(), 0, &["w x 3"]), 1, &["w x 1", "w x 3"]);
        txn(written, 2, &["r x 1"])
    };
    assert_eq!(levels(history), [["intermediate-read"]; 3]);
    let last = || {
        let written = txn(txn(Script::new(), 0, &["w x 3"]), 1, &["w x 3", "w x 1"]);
        txn(written, 2, &["r x 1"])
    };
    assert_eq!(levels(last), [[""; 0]; 3]);
}

#[test]
fn an_effect_without_its_cause_is_not_causal() {
    let history = || {
        let cause = txn(txn(Script::new(), 0, &["w x 1"]), 0, &["w x 2"]);
        let effect = txn(cause, 1, &["r x 2", "w y 1"]);
        txn(txn(effect, 2, &["r y 1"]), 2, &["r x 1"])
    };
    assert_eq!(levels(history), [vec![], vec![], vec!["causality-violation"]]);
    let verdict = history().judge(WeakIsolation::new(Level::Causal));
    assert_eq!(
        verdict.anomalies[0].message,
        "No commit order is left: T1 (process 0 at 0.000 s) is before T2 (process 0 at 0.000 s), which follows it in \
         its session; T2 is before T1, since T3 (process 2 at 0.000 s) reads x = 1 and not x = 2, although T2 comes \
         before T3 by sessions and reads, through T4 (process 1 at 0.000 s), then T5 (process 2 at 0.000 s)."
    );
    assert_eq!(verdict.anomalies[0].witness.len(), 5);
}

#[test]
fn the_initial_value_comes_before_every_write_that_is_seen() {
    let history = || txn(txn(Script::new(), 0, &["w x 1"]), 0, &["r x"]);
    assert_eq!(levels(history), [vec![], vec!["stale-initial-read"], vec!["stale-initial-read"]]);
}

#[test]
fn what_no_level_allows_is_named() {
    let cases: [(&str, History); 6] = [
        ("unwritten-read", || txn(Script::new(), 0, &["r x 1"])),
        ("intermediate-read", || txn(txn(Script::new(), 0, &["w x 1", "w x 2"]), 1, &["r x 1"])),
        ("future-read", || txn(Script::new(), 0, &["r x 1", "w x 1"])),
        ("internal", || txn(Script::new(), 0, &["w x 1", "r x"])),
        ("failed-operation-observed", || {
            let failed = Script::new().invoke(0, "txn", lists(&["w x 1"]).0).fail(0, "txn", "no");
            txn(failed, 1, &["r x 1"])
        }),
        ("causality-cycle", || {
            let first = txn(Script::new(), 0, &["r y 1", "w x 1"]);
            txn(first, 1, &["r x 1", "w y 1"])
        }),
    ];
    for (name, history) in cases {
        assert_eq!(levels(history), [[name], [name], [name]]);
    }
}

#[test]
fn a_key_read_from_two_others_is_not_repeatable() {
    let history = || {
        let written = txn(txn(Script::new(), 0, &["w x 1"]), 0, &["w x 2"]);
        txn(written, 1, &["r x 1", "r x 2"])
    };
    assert_eq!(levels(history)[0], [""; 0]);
    assert!(levels(history)[1].contains(&"non-repeatable-read".to_owned()));
}

#[test]
fn a_crashed_transaction_counts_once_somebody_read_from_it() {
    let crashed = |read: &'static str| {
        let script =
            Script::new().invoke(0, "txn", lists(&["w x 1", "w y 1"]).0).info(0, "txn", "timeout");
        txn(script, 1, &["r x 1", read])
    };
    assert!(anomalies(crashed("r y 1"), Level::Causal).is_empty());
    assert_eq!(anomalies(crashed("r y"), Level::Causal), ["stale-initial-read"]);
}

/// The second transaction of elle-cli's `rw-register` reads what nobody wrote.
#[test]
fn a_session_reads_what_it_wrote_or_later() {
    let history = || txn(txn(Script::new(), 0, &["w x 2"]), 0, &["r x 3"]);
    assert_eq!(levels(history), [["unwritten-read"], ["unwritten-read"], ["unwritten-read"]]);
}

#[test]
fn a_value_written_twice_is_never_acquitted_if_it_was_read() {
    let twice = || txn(txn(Script::new(), 0, &["w x 1"]), 1, &["w x 1"]);
    let unread = twice().judge(WeakIsolation::new(Level::Causal));
    assert_eq!(unread.validity, Validity::Valid);
    let read = txn(twice(), 2, &["r x 1"]).judge(WeakIsolation::new(Level::Causal));
    assert_eq!(read.validity, Validity::Unknown);
}

#[test]
fn reads_and_writes_are_transactions_of_one() {
    let keyed = |value: i64| Value::keyed("x".into(), value.into());
    let script = Script::new()
        .invoke(0, "write", keyed(1))
        .ok(0, "write", keyed(1))
        .invoke(0, "write", keyed(2))
        .ok(0, "write", keyed(2))
        .invoke(0, "read", Value::keyed("x".into(), Value::Nil))
        .ok(0, "read", keyed(1));
    assert_eq!(anomalies(script, Level::Causal), ["causality-violation"]);
}

#[test]
fn what_it_did_not_take_in_may_have_written_what_was_read() {
    let odd = Value::List(vec![Value::List(vec!["append".into(), "x".into(), 1.into()])]);
    let history = || {
        let script = Script::new().invoke(0, "txn", odd.clone()).ok(0, "txn", odd.clone());
        txn(script, 1, &["r x 1"])
    };
    for level in LEVELS {
        let verdict = history().judge(WeakIsolation::new(level));
        assert_eq!((verdict.validity, verdict.anomalies.len()), (Validity::Unknown, 0));
    }
}

#[test]
fn what_it_does_not_know_it_does_not_acquit() {
    let odd = txn(Script::new(), 0, &["w x 1"]).invoke(0, "cas", 1).ok(0, "cas", 1);
    assert_eq!(odd.judge(WeakIsolation::new(Level::Causal)).validity, Validity::Unknown);
    let (asked, _) = lists(&["r x 1"]);
    let silent = txn(Script::new(), 0, &["w x 1"]).invoke(0, "txn", asked).ok(0, "txn", Value::Nil);
    assert_eq!(silent.judge(WeakIsolation::new(Level::Causal)).validity, Validity::Unknown);
    let empty = Script::new().judge(WeakIsolation::new(Level::Causal));
    assert_eq!(empty.validity, Validity::Unknown);
}
