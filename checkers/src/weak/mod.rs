//! Read committed, read atomic and causal consistency of registers, at the best known cost.
//!
//! Source: Møldrup and Pavlogiannis, *AWDIT: An Optimal Weak Database Isolation Tester* (2025, arXiv 2504.06975); the levels
//! are those of Biswas and Enea, *On the Complexity of Checking Transactional Consistency* (2019).
//!
//! Operations: `txn` `[["w", key, value], ["r", key, nil]]`, answered with its reads filled in, and `write` and `read`
//! `[key, value]` as transactions of one. A process is a session. Nil is the initial value of every key.
//!
//! # Why a pass is a proof
//! A history has the level if there is a total order of commits that contains the order of each session and has writers
//! before readers, and that satisfies the level's axiom (see [`read_committed`], [`read_atomic`], [`causal`]). Each axiom
//! says "if this was seen, `t2` commits before `t1`", and what was seen does not depend on the commit order. So the
//! demands can all be made first: if they, with sessions and reads, have no cycle, then any topological order
//! is the order asked for; if they have one, there is none.
//!
//! Preconditions: no two transactions write the same value to a key. If one did and it was read, the read is left out, and
//! the verdict is invalid or unknown, never valid. A failed transaction did not happen. One of unknown fate counts as committed
//! exactly if an acknowledged one read from it; what it read itself is not known and demands nothing.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `unwritten-read`, `failed-operation-observed`, `intermediate-read`, `future-read`, `internal` | what no level allows, see [`view`] |
//! | `causality-cycle` | sessions and reads alone form a cycle |
//! | `stale-initial-read` | nil, though a write that must be seen before it had been made |
//! | `non-repeatable-read` | a key read from two others in one transaction (not for read committed) |
//! | `non-monotonic-read`, `fractured-read`, `causality-violation` | no commit order satisfies read committed, read atomic, causal |
//!
//! Absent: real time. A session that reads old values for hours is causal.

mod causal;
mod graph;
mod read_atomic;
mod read_committed;
mod record;
mod view;
mod witness;

use crate::checker::Checker;
use crate::keyed::Findings;
use crate::verdict::{Validity, Verdict};
use graph::Graph;
use record::Record;
use tribunal_history::Operation;
use view::View;
use witness::Narrator;

/// A level of isolation, from the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What is read was committed, and later reads of a transaction never see less than its earlier ones.
    ReadCommitted,
    /// All of a transaction is seen, or nothing.
    ReadAtomic,
    /// What is seen has all of its causes.
    Causal,
}

impl Level {
    fn checker(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read-committed",
            Self::ReadAtomic => "read-atomic",
            Self::Causal => "causal",
        }
    }

    fn engine(self) -> &'static str {
        match self {
            Self::ReadCommitted => "commit order demanded by read committed (AWDIT)",
            Self::ReadAtomic => "commit order demanded by read atomic (AWDIT)",
            Self::Causal => "commit order demanded by causality (AWDIT)",
        }
    }

    fn anomaly(self) -> &'static str {
        match self {
            Self::ReadCommitted => "non-monotonic-read",
            Self::ReadAtomic => "fractured-read",
            Self::Causal => "causality-violation",
        }
    }
}

/// The checker. Costs O(n^1.5) for read committed and read atomic, O(n k) with k sessions for causal.
#[derive(Debug)]
pub struct WeakIsolation {
    level: Level,
    record: Record,
}

/// `before` commits before `after`, because `reader` saw `before`, which writes `key`, and reads `key` from `after`.
#[derive(Clone, Copy, Debug)]
struct Demand {
    before: u32,
    after: u32,
    reader: u32,
    key: u32,
}

/// How many cycles, and how many early reads, are told.
const SHOWN: usize = 3;

impl WeakIsolation {
    /// Judges this level.
    #[must_use]
    pub fn new(level: Level) -> Self {
        Self { level, record: Record::default() }
    }
}

impl Checker for WeakIsolation {
    fn name(&self) -> &'static str {
        self.level.checker()
    }

    fn operation(&mut self, operation: &Operation) {
        self.record.operation(operation);
    }

    fn finish(self: Box<Self>) -> Verdict {
        let Self { level, record } = *self;
        let (view, bad, ambiguous) = View::new(&record);
        let mut judge =
            Judge { level, record: &record, view: &view, findings: Findings::default(), edges: 0 };
        bad.iter().for_each(|bad| judge.bad(bad));
        judge.commit_order();
        let Judge { findings, edges, .. } = judge;
        let transactions = view.nodes() - 1;
        let bytes = record.bytes() + view.bytes() + edges * 3 * size_of::<u32>();
        let (crashed, operations) = (record.crashed, record.operations);
        let doubt = doubt(record, ambiguous, transactions);
        let mut verdict = findings.verdict(level.checker(), true, doubt);
        if verdict.validity != Validity::Unknown {
            verdict.engine = Some(level.engine().into());
        }
        verdict
            .figure("operations", operations)
            .figure("operations_crashed", crashed)
            .figure("transactions_committed_count", transactions)
            .figure("commit_order_edges_count", edges)
            .figure("engine_bytes", bytes)
    }
}

/// Why the verdict cannot be valid, if so.
fn doubt(record: Record, ambiguous: u64, transactions: usize) -> Option<String> {
    let ambiguous = (ambiguous > 0).then(|| {
        format!("{ambiguous} reads of values that more than one transaction may have written to the key: whose was read is not known")
    });
    let nothing = (transactions == 0).then(|| "no transaction succeeded".to_owned());
    record.unreadable.reason().or(ambiguous).or(nothing)
}

/// What is found, level by level of severity.
struct Judge<'a> {
    level: Level,
    record: &'a Record,
    view: &'a View,
    findings: Findings,
    /// Edges of the largest graph.
    edges: usize,
}

impl Judge<'_> {
    fn bad(&mut self, bad: &view::Bad) {
        self.findings.add(bad.name, || Narrator::new(self.record, self.view).bad(bad));
    }

    fn commit_order(&mut self) {
        let mut edges = self.view.causes();
        self.edges = edges.len();
        let causes = Graph::new(self.view.nodes(), &edges);
        let Some(order) = causes.order() else {
            for cycle in causes.cycles(SHOWN) {
                self.findings.add("causality-cycle", || {
                    Narrator::new(self.record, self.view).cycle(&cycle, &[], &causes)
                });
            }
            return;
        };
        let mut early = Vec::new();
        if self.level != Level::ReadCommitted {
            self.repeatable();
        }
        self.infer(&causes, &order, &mut |demand| match demand.after {
            0 => early.push(demand),
            after
                if self.view.session[after as usize]
                    == self.view.session[demand.before as usize]
                    && demand.before < after => {}
            after => edges.push((demand.before, after)),
        });
        self.early(early, &causes);
        self.edges = edges.len();
        let graph = Graph::new(self.view.nodes(), &edges);
        drop(edges);
        if graph.order().is_none() {
            self.cycles(&graph, &causes, &order);
        }
    }

    fn infer(&self, causes: &Graph, order: &[u32], demand: &mut impl FnMut(Demand)) {
        match self.level {
            Level::ReadCommitted => read_committed::infer(self.view, demand),
            Level::ReadAtomic => read_atomic::infer(self.view, demand),
            Level::Causal => causal::infer(self.view, causes, order, demand),
        }
    }

    /// Each key of a transaction is read from one other.
    fn repeatable(&mut self) {
        let mut source = vec![(0, 0); self.view.keys];
        for reader in self.view.committed() {
            for read in self.view.reads(reader) {
                let (of, writer) =
                    std::mem::replace(&mut source[read.key as usize], (reader, read.writer));
                if of == reader && writer != read.writer {
                    let pair = (writer, read.writer);
                    self.findings.add("non-repeatable-read", || {
                        Narrator::new(self.record, self.view).repeated(reader, read.key, pair)
                    });
                }
            }
        }
    }

    /// Nothing commits before the initial state.
    fn early(&mut self, mut demands: Vec<Demand>, causes: &Graph) {
        // A reader and a key are told once, however many writes it should have seen.
        demands.sort_unstable_by_key(|demand| (demand.reader, demand.key));
        demands.dedup_by_key(|demand| (demand.reader, demand.key));
        for demand in demands {
            self.findings.add("stale-initial-read", || {
                Narrator::new(self.record, self.view).early(&demand, causes)
            });
        }
    }

    /// Asks once more what is demanded, to learn why of the few edges that are told.
    fn cycles(&mut self, graph: &Graph, causes: &Graph, order: &[u32]) {
        let cycles = graph.cycles(SHOWN);
        let edges = |cycle: &Vec<u32>| -> Vec<(u32, u32)> {
            let next = cycle.iter().cycle().skip(1);
            cycle.iter().copied().zip(next.copied()).collect()
        };
        let mut wanted: Vec<(u32, u32)> = cycles.iter().flat_map(edges).collect();
        wanted.sort_unstable();
        let mut reasons: Vec<Option<Demand>> = vec![None; wanted.len()];
        self.infer(causes, order, &mut |demand| {
            if let Ok(at) = wanted.binary_search(&(demand.before, demand.after)) {
                reasons[at].get_or_insert(demand);
            }
        });
        let reasons: Vec<Demand> = reasons.into_iter().flatten().collect();
        for cycle in cycles {
            self.findings.add(self.level.anomaly(), || {
                Narrator::new(self.record, self.view).cycle(&cycle, &reasons, causes)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, names};
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
        let list =
            |filled| Value::List(accesses.iter().map(|words| access(words, filled)).collect());
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
        let history =
            || txn(txn(Script::new(), 0, &["w x 1", "w y 1"]), 1, &["r x 1", "r y 1", "r z"]);
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
        assert_eq!(
            levels(history),
            [vec![], vec!["stale-initial-read"], vec!["stale-initial-read"]]
        );
    }

    #[test]
    fn what_no_level_allows_is_named() {
        let cases: [(&str, History); 6] = [
            ("unwritten-read", || txn(Script::new(), 0, &["r x 1"])),
            ("intermediate-read", || {
                txn(txn(Script::new(), 0, &["w x 1", "w x 2"]), 1, &["r x 1"])
            }),
            ("future-read", || txn(Script::new(), 0, &["r x 1", "w x 1"])),
            ("internal", || txn(Script::new(), 0, &["w x 1", "r x"])),
            ("failed-operation-observed", || {
                let failed =
                    Script::new().invoke(0, "txn", lists(&["w x 1"]).0).fail(0, "txn", "no");
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
            let script = Script::new()
                .invoke(0, "txn", lists(&["w x 1", "w y 1"]).0)
                .info(0, "txn", "timeout");
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
    fn what_it_does_not_know_it_does_not_acquit() {
        let odd = txn(Script::new(), 0, &["w x 1"]).invoke(0, "cas", 1).ok(0, "cas", 1);
        assert_eq!(odd.judge(WeakIsolation::new(Level::Causal)).validity, Validity::Unknown);
        let (asked, _) = lists(&["r x 1"]);
        let silent =
            txn(Script::new(), 0, &["w x 1"]).invoke(0, "txn", asked).ok(0, "txn", Value::Nil);
        assert_eq!(silent.judge(WeakIsolation::new(Level::Causal)).validity, Validity::Unknown);
        let empty = Script::new().judge(WeakIsolation::new(Level::Causal));
        assert_eq!(empty.validity, Validity::Unknown);
    }
}
