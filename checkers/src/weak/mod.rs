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
//! before readers, and that satisfies the level's axiom (see the files `read_committed`, `read_atomic` and `causal`). Each axiom
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
//! | `unwritten-read`, `failed-operation-observed`, `intermediate-read`, `future-read`, `internal` | what no level allows, see the file `view` |
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
use crate::verdict::Verdict;
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
        let doubt = doubt(ambiguous, transactions);
        let refused = record.unreadable.reason();
        let mut verdict = findings.verdict(level.checker(), true, refused, doubt);
        verdict.engine = Some(level.engine().into());
        verdict
            .figure("operations", operations)
            .figure("operations_crashed", crashed)
            .figure("transactions_committed_count", transactions)
            .figure("commit_order_edges_count", edges)
            .figure("engine_bytes", bytes)
    }
}

/// Why the verdict cannot be valid, if so.
fn doubt(ambiguous: u64, transactions: usize) -> Option<String> {
    let ambiguous = (ambiguous > 0).then(|| {
        format!("{ambiguous} reads of values that more than one transaction may have written to the key: whose was read is not known")
    });
    let nothing = (transactions == 0).then(|| "no transaction succeeded".to_owned());
    ambiguous.or(nothing)
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
mod tests;
