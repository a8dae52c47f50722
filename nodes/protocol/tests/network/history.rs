//! Judges what the clients saw: linearizable, each request once, definite failures without effect.
//!
//! Every appended value is unique, so the list of the last read shows the one order of the appends that took effect. A
//! history of appends and reads is linearizable iff reads are prefixes of that list and the order of the list respects
//! real time, append by append and read by read, which is what [`check`] demands of every pair.

use super::client::{Client, Entry, Kind};
use std::collections::BTreeMap;
use tribunal_protocol::{Reply, Value};

/// An operation's place in the one order: an append to index `i` stands at `2 i + 1`, a read of `k` elements at `2 k`.
struct Placed {
    invoked: u64,
    completed: u64,
    place: usize,
    what: String,
}

/// # Panics
/// If the history is not what a linearizable system with sessions would give. `last` is the list after everything.
pub fn check(clients: &[Client], last: &[i64], counter: i64) {
    let index: BTreeMap<i64, usize> = last.iter().copied().zip(0..).collect();
    assert_eq!(index.len(), last.len(), "exactly once: an append took effect twice: {last:?}");
    let entries = || clients.iter().flat_map(|client| &client.entries);
    let mut placed: Vec<_> = entries().filter_map(|entry| place(entry, &index, last)).collect();
    check_order(&mut placed);
    let counts = || entries().filter(|entry| entry.kind == Kind::Count);
    let acknowledged = counts().filter(|entry| entry.completed.is_some()).count() as i64;
    let possible =
        counts().filter(|entry| entry.completed.is_some() || entry.uncertain).count() as i64;
    assert!(
        (acknowledged..=possible).contains(&counter),
        "exactly once: the counter is {counter}, not in {acknowledged}..={possible}"
    );
}

fn place(entry: &Entry, index: &BTreeMap<i64, usize>, last: &[i64]) -> Option<Placed> {
    let invoked = entry.invoked;
    let what = format!("{entry:?}");
    match (&entry.kind, &entry.completed) {
        (Kind::Append(value), Some((completed, _))) => {
            let at = index.get(value).unwrap_or_else(|| panic!("lost: {what} is not in {last:?}"));
            Some(Placed { invoked, completed: *completed, place: 2 * at + 1, what })
        }
        (Kind::Append(value), None) => {
            let at = index.get(value)?;
            assert!(entry.uncertain, "a definite failure took effect: {what}");
            Some(Placed { invoked, completed: u64::MAX, place: 2 * at + 1, what })
        }
        (Kind::Read, Some((completed, Reply::Results(results)))) => {
            let seen = list(&results[0]);
            assert!(last.starts_with(&seen), "{what} is no prefix of {last:?}");
            Some(Placed { invoked, completed: *completed, place: 2 * seen.len(), what })
        }
        _ => None,
    }
}

/// Whoever ended before another began must not stand after it.
fn check_order(placed: &mut [Placed]) {
    placed.sort_by_key(|one| one.place);
    // From the last place to the first: the earliest end among those that stand strictly after.
    let mut earliest: Option<&Placed> = None;
    let mut same: Vec<&Placed> = Vec::new();
    for one in placed.iter().rev() {
        if same.first().is_some_and(|other| other.place != one.place) {
            let ends = same.drain(..).chain(earliest);
            earliest = ends.min_by_key(|other| other.completed);
        }
        if let Some(later) = earliest {
            assert!(
                later.completed >= one.invoked,
                "not linearizable: {} ended before {} began, and stands after it",
                later.what,
                one.what
            );
        }
        same.push(one);
    }
}

/// The elements of a list value; nil is an empty one.
pub fn list(value: &Value) -> Vec<i64> {
    let int = |value: &Value| match value {
        Value::Int(int) => *int,
        other => panic!("only integers are appended, not {other:?}"),
    };
    match value {
        Value::Nil => Vec::new(),
        Value::List(values) => values.iter().map(int).collect(),
        other => panic!("the list is {other:?}"),
    }
}
