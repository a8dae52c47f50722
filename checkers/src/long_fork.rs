//! Long forks: two reads that see two writes in opposite orders. Parallel snapshot isolation allows it, snapshot
//! isolation does not.
//!
//! Operations: writes of one key, `[["w", key, value]]`, each key written once; and reads of a group of keys,
//! `[["r", key, nil] ...]`, answered with its values filled in, nil where the key was not written yet. Their `f` is `write`,
//! `read` or `txn`. The groups are those that the reads name; their size is given, or that of the first read. Source: Jepsen's
//! `long-fork` workload.
//!
//! Of each read only *which* keys it saw written matters, and two reads of a group agree on an order of the writes
//! exactly if what the one saw includes what the other saw. So the reads of a group must form a chain by inclusion. Sorted by
//! how much they saw, it is one exactly if each read is included in the next: O(r log r) for r different reads instead of all
//! pairs.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `long-fork` | two reads of a group, each of which saw a write that the other did not |
//! | `unwritten-read` | a read of a value that nobody tried to write |
//! | `failed-operation-observed` | a read of a value whose write failed |
//!
//! A pass is not complete: only reads of the same keys are compared, and with each other alone.

use crate::checker::Checker;
use crate::keyed::{Findings, Unreadable, plain};
use crate::verdict::Verdict;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use tribunal_history::{Operation, Outcome, Value};

/// The checker.
#[derive(Debug, Default)]
pub struct LongFork {
    group_size: Option<usize>,
    /// By key: what was written, by a write that did not fail.
    writes: FxHashMap<Value, Value>,
    /// By key and value: a write that failed.
    failed: FxHashMap<(Value, Value), Operation>,
    /// By group: the different reads of it.
    groups: FxHashMap<BTreeSet<Value>, Group>,
    operations: u64,
    crashed: u64,
    reads: u64,
    unreadable: Unreadable,
}

/// The first read of a group that saw these keys written, with these values.
type Group = FxHashMap<BTreeMap<Value, Value>, Operation>;

impl LongFork {
    /// Groups are as large as the first read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Groups have this many keys.
    #[must_use]
    pub fn group_size(mut self, keys: usize) -> Self {
        self.group_size = Some(keys);
        self
    }

    fn transaction(&mut self, operation: &Operation) -> Result<(), &'static str> {
        let accesses = accesses(&operation.input)?;
        if let [(true, key, value)] = accesses[..] {
            return self.write(operation, key, value);
        }
        if accesses.iter().any(|(writes, _, _)| *writes) {
            return Err("is neither a write of one key nor a read of a group");
        }
        if operation.outcome == Outcome::Ok {
            self.read(operation)?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        operation: &Operation,
        key: &Value,
        value: &Value,
    ) -> Result<(), &'static str> {
        if value.is_nil() {
            return Err("writes nil, which stands for no write");
        }
        // A failed write did not happen: the key may be written again.
        if operation.outcome == Outcome::Fail {
            self.failed.insert((key.clone(), value.clone()), operation.clone());
        } else if self.writes.insert(key.clone(), value.clone()).is_some() {
            return Err("writes a key for the second time");
        }
        Ok(())
    }

    fn read(&mut self, operation: &Operation) -> Result<(), &'static str> {
        let accesses = accesses(&operation.output)?;
        let keys: BTreeSet<Value> = accesses.iter().map(|(_, key, _)| (*key).clone()).collect();
        if accesses.len() != *self.group_size.get_or_insert(accesses.len())
            || keys.len() != accesses.len()
        {
            return Err("reads another number of keys than a group has");
        }
        self.reads += 1;
        let seen = accesses.iter().filter(|(_, _, value)| !value.is_nil());
        let seen = seen.map(|(_, key, value)| ((*key).clone(), (*value).clone())).collect();
        self.groups.entry(keys).or_default().entry(seen).or_insert_with(|| operation.clone());
        Ok(())
    }

    fn judge(&self, findings: &mut Findings) {
        for group in self.groups.values() {
            for read in group.values() {
                self.check_values(read, findings);
            }
            check_chain(group, findings);
        }
    }

    /// Whether what a read saw was written.
    fn check_values(&self, read: &Operation, findings: &mut Findings) {
        for (_, key, value) in
            accesses(&read.output).into_iter().flatten().filter(|a| !a.2.is_nil())
        {
            if self.writes.get(key) == Some(value) {
                continue;
            }
            let failed = self.failed.get(&(key.clone(), value.clone()));
            let (name, what) = match failed {
                None => ("unwritten-read", "nobody tried to write it"),
                Some(_) => ("failed-operation-observed", "its write failed"),
            };
            findings.add(name, || {
                let message = format!("{} saw {} = {value}, but {what}", reader(read), plain(key));
                let witness = failed.into_iter().chain([read]).cloned().collect();
                (message, key.clone(), witness)
            });
        }
    }
}

/// Whether the reads of a group form a chain by what they saw.
fn check_chain(group: &Group, findings: &mut Findings) {
    let seen = |(seen, read): (&'_ BTreeMap<Value, Value>, _)| -> (BTreeSet<Value>, _) {
        (seen.keys().cloned().collect(), read)
    };
    let mut reads: Vec<(BTreeSet<Value>, &Operation)> = group.iter().map(seen).collect();
    reads.sort_unstable_by(|a, b| (a.0.len(), &a.0, a.1.call).cmp(&(b.0.len(), &b.0, b.1.call)));
    for pair in reads.windows(2) {
        let [(less, first), (more, second)] = pair else { continue };
        let (Some(only_first), Some(only_second)) =
            (less.difference(more).next(), more.difference(less).next())
        else {
            continue;
        };
        findings.add("long-fork", || {
            let message = format!(
                "{} saw the write of {} and not that of {}; {} saw the latter and not the former",
                reader(first),
                plain(only_first),
                plain(only_second),
                reader(second)
            );
            (message, Value::Nil, vec![(*first).clone(), (*second).clone()])
        });
    }
}

/// Whether it writes, the key and the value of each read and write.
fn accesses(list: &Value) -> Result<Vec<(bool, &Value, &Value)>, &'static str> {
    let list = list.as_list().ok_or("does not hold a list of reads and writes")?;
    let access = |access: &'_ Value| -> Option<bool> {
        match access.as_list()?.first()?.as_text()? {
            "w" | "write" => Some(true),
            "r" | "read" => Some(false),
            _ => None,
        }
    };
    let parts = |value| match (access(value), value.as_list()) {
        (Some(writes), Some([_, key, value])) => Ok((writes, key, value)),
        _ => Err("holds something else than reads and writes"),
    };
    list.iter().map(parts).collect()
}

fn reader(read: &Operation) -> String {
    format!("the read of process {} at {:.3} s", read.process, read.call.time as f64 / 1e9)
}

impl Checker for LongFork {
    fn name(&self) -> &'static str {
        "long-fork"
    }

    fn operation(&mut self, operation: &Operation) {
        self.operations += 1;
        self.crashed += u64::from(operation.outcome == Outcome::Info);
        let taken = match &*operation.f {
            "read" | "write" | "txn" => self.transaction(operation),
            _ => Err("is neither a read nor a write nor a transaction"),
        };
        if let Err(why) = taken {
            self.unreadable.add(operation, why);
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        let mut findings = Findings::default();
        self.judge(&mut findings);
        let nothing = (self.reads == 0).then(|| "no read of a group succeeded".to_owned());
        let different: usize = self.groups.values().map(FxHashMap::len).sum();
        let read = size_of::<Operation>() + self.group_size.unwrap_or(0) * 8 * size_of::<Value>();
        let bytes = different * read
            + self.writes.capacity() * size_of::<(Value, Value)>()
            + self.failed.capacity() * size_of::<((Value, Value), Operation)>();
        findings
            .verdict("long-fork", false, self.unreadable.reason(), nothing)
            .figure("operations", self.operations)
            .figure("operations_crashed", self.crashed)
            .figure("reads_count", self.reads)
            .figure("groups_count", self.groups.len())
            .figure("engine_bytes", bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, names};
    use crate::verdict::Validity;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn access(f: &str, key: i64, value: Option<i64>) -> Value {
        Value::List(vec![f.into(), key.into(), value.map_or(Value::Nil, Value::Int)])
    }

    fn write(script: Script, key: i64) -> Script {
        let value = Value::List(vec![access("w", key, Some(1))]);
        script.invoke(0, "write", value.clone()).ok(0, "write", value)
    }

    fn read(script: Script, keys: &[(i64, bool)]) -> Script {
        let list = |filled: bool| {
            let one = |(key, seen): &(i64, bool)| access("r", *key, (filled && *seen).then_some(1));
            Value::List(keys.iter().map(one).collect())
        };
        script.invoke(1, "read", list(false)).ok(1, "read", list(true))
    }

    fn written() -> Script {
        write(write(Script::new(), 0), 1)
    }

    #[test]
    fn reads_that_grow_are_valid_in_any_order_of_keys() {
        let script = read(read(written(), &[(0, true), (1, false)]), &[(1, true), (0, true)]);
        let verdict = script.judge(LongFork::new().group_size(2));
        assert_eq!((verdict.validity, verdict.complete), (Validity::Valid, false));
    }

    #[test]
    fn two_reads_that_each_miss_what_the_other_saw_are_a_fork() {
        let script = read(read(written(), &[(0, true), (1, false)]), &[(1, true), (0, false)]);
        let verdict = script.judge(LongFork::new());
        assert_eq!(names(&verdict), ["long-fork"]);
        assert_eq!(
            verdict.anomalies[0].message,
            "the read of process 1 at 0.000 s saw the write of 0 and not that of 1; \
             the read of process 1 at 0.000 s saw the latter and not the former"
        );
    }

    #[test]
    fn a_fork_hides_behind_no_larger_read() {
        let three = write(written(), 2);
        let script = read(three, &[(0, true), (1, false), (2, false)]);
        let script = read(script, &[(0, false), (1, true), (2, true)]);
        let verdict = read(script, &[(0, true), (1, true), (2, true)]).judge(LongFork::new());
        assert_eq!(names(&verdict), ["long-fork"]);
    }

    /// The history of elle-cli: three keys, read in different orders.
    #[test]
    fn the_fork_of_elle_cli_is_found() {
        let script = write(written(), 2);
        let script = read(script, &[(0, true), (1, true), (2, false)]);
        let verdict = read(script, &[(2, true), (0, true), (1, false)]).judge(LongFork::new());
        assert_eq!(names(&verdict), ["long-fork"]);
    }

    #[test]
    fn comparing_neighbours_finds_a_fork_exactly_if_some_pair_is_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut forks = 0;
        for _ in 0..2_000 {
            let reads: Vec<u8> =
                (0..rng.random_range(1..=5)).map(|_| rng.random_range(0..16)).collect();
            let pairs = |a: u8| reads.iter().any(|b| a & !b != 0 && b & !a != 0);
            let forked = reads.iter().copied().any(pairs);
            let all = (0..4).fold(Script::new(), write);
            let script = reads.iter().fold(all, |script, seen| {
                let keys: Vec<(i64, bool)> =
                    (0..4).map(|key| (key, seen >> key & 1 == 1)).collect();
                read(script, &keys)
            });
            let validity = script.judge(LongFork::new()).validity;
            assert_eq!(validity == Validity::Invalid, forked, "{reads:?}");
            forks += u32::from(forked);
        }
        assert!((500..1_900).contains(&forks), "{forks}");
    }

    #[test]
    fn what_nobody_wrote_or_what_failed_is_not_to_be_seen() {
        let nobody = read(Script::new(), &[(0, true), (1, false)]).judge(LongFork::new());
        assert_eq!(names(&nobody), ["unwritten-read"]);
        let value = Value::List(vec![access("w", 0, Some(1))]);
        let failed = Script::new().invoke(0, "write", value).fail(0, "write", "refused");
        let verdict = read(failed, &[(0, true), (1, false)]).judge(LongFork::new());
        assert_eq!(names(&verdict), ["failed-operation-observed"]);
        let value = Value::List(vec![access("w", 0, Some(1))]);
        let other = Value::List(vec![access("w", 0, Some(2))]);
        let script = Script::new().invoke(0, "write", value).fail(0, "write", "refused");
        let again = script.invoke(0, "write", other.clone()).ok(0, "write", other);
        let verdict = read(again, &[(0, true), (1, false)]).judge(LongFork::new());
        assert_eq!(names(&verdict), ["failed-operation-observed"]);
    }

    #[test]
    fn what_it_cannot_read_it_does_not_acquit() {
        let twice = read(write(written(), 1), &[(0, true), (1, true)]);
        assert_eq!(twice.judge(LongFork::new()).validity, Validity::Unknown);
        let second = access("w", 1, Some(2));
        let second = Value::List(vec![second]);
        let second = written().invoke(0, "write", second.clone()).ok(0, "write", second);
        let told = Value::List(vec![access("r", 0, Some(1)), access("r", 1, Some(2))]);
        let seen = second.invoke(1, "read", told.clone()).ok(1, "read", told);
        assert_eq!(seen.judge(LongFork::new()).validity, Validity::Unknown);
        let sizes = read(read(written(), &[(0, true), (1, true)]), &[(0, true)]);
        assert_eq!(sizes.judge(LongFork::new()).validity, Validity::Unknown);
        assert_eq!(written().judge(LongFork::new()).validity, Validity::Unknown);
    }
}
