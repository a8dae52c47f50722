//! Weak isolation against its definition, on random small histories: read committed, read atomic and causal.
//!
//! The oracle looks for a total order of commits by trying all of them, and all ways to let the transactions of unknown fate
//! happen or not. It knows the axioms of Biswas and Enea (2019) and nothing of what the checker infers. The two must agree on
//! every history: those that a lagging store made, and those in which a read was then changed.
//!
//! `TRIBUNAL_ORACLE_HISTORIES` sets how many.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tribunal_checkers::weak::{Level, WeakIsolation};
use tribunal_checkers::{Checker, Validity};
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

const LEVELS: [Level; 3] = [Level::ReadCommitted, Level::ReadAtomic, Level::Causal];

/// A read or a write of a key; 0 is nil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    writes: bool,
    key: usize,
    value: i64,
}

#[derive(Clone, Debug)]
struct Txn {
    process: u64,
    outcome: Outcome,
    accesses: Vec<Access>,
}

/// Every write has a value of its own, and reads find what a process knows, or anything.
fn history(rng: &mut impl Rng) -> Vec<Txn> {
    let (keys, processes) = (rng.random_range(1..=3), rng.random_range(1..=3u64));
    let (noise, crashes) = (rng.random_range(0..=30), rng.random_range(0..=20));
    let mut offset = [0u64; 3];
    let mut next = 0;
    let mut store: Vec<Vec<i64>> = vec![vec![0]; keys];
    let mut txns = Vec::new();
    for _ in 0..rng.random_range(2..=6) {
        let thread = rng.random_range(0..processes);
        let process = thread + offset[thread as usize];
        let mut accesses: Vec<Access> = Vec::new();
        let outcome = match rng.random_range(0..100) {
            roll if roll < crashes => Outcome::Info,
            roll if roll < crashes + 5 => Outcome::Fail,
            _ => Outcome::Ok,
        };
        for _ in 0..rng.random_range(1..=4) {
            let key = rng.random_range(0..keys);
            if rng.random_bool(0.45) {
                next += 1;
                accesses.push(Access { writes: true, key, value: next });
                continue;
            }
            let own = accesses.iter().rev().find(|access| access.writes && access.key == key);
            let versions = &store[key];
            let newest = versions[versions.len() - 1];
            let value = match own {
                Some(own) if rng.random_range(0..100) >= noise / 4 => own.value,
                _ if rng.random_range(0..100) < noise => {
                    versions[rng.random_range(0..versions.len())]
                }
                _ if rng.random_range(0..400) < noise => rng.random_range(0..=next + 1),
                _ => newest,
            };
            accesses.push(Access { writes: false, key, value });
        }
        let visible = outcome == Outcome::Ok || rng.random_bool(0.4);
        for access in accesses.iter().filter(|access| access.writes && visible) {
            store[access.key].push(access.value);
        }
        if outcome == Outcome::Info {
            offset[thread as usize] += processes;
        }
        txns.push(Txn { process, outcome, accesses });
    }
    txns
}

fn value(value: i64) -> Value {
    if value == 0 { Value::Nil } else { Value::Int(value) }
}

fn operation(nth: usize, txn: &Txn) -> Operation {
    let list = |filled: bool| {
        let access = |access: &Access| {
            let shown = if access.writes || filled { value(access.value) } else { Value::Nil };
            let f = Value::text(if access.writes { "w" } else { "r" });
            Value::List(vec![f, Value::Int(access.key as i64), shown])
        };
        Value::List(txn.accesses.iter().map(access).collect())
    };
    let stamp = |index: usize| Stamp { index: index as u64, time: index as u64 * 1000 };
    Operation {
        process: Process(txn.process),
        f: "txn".into(),
        input: list(false),
        output: if txn.outcome == Outcome::Ok { list(true) } else { Value::Nil },
        outcome: txn.outcome,
        call: stamp(2 * nth),
        end: Some(stamp(2 * nth + 1)),
        error: None,
        node: None,
        answered_by: None,
        scheduled: None,
        attempts: 1,
        phase: None,
    }
}

/// The definition, for one choice of what committed.
struct Definition<'a> {
    txns: &'a [Txn],
    committed: Vec<usize>,
    level: Level,
}

/// The initial state, as a writer.
const INITIAL: usize = usize::MAX;

impl Definition<'_> {
    /// The reads of other transactions, as place, key and writer; `None` if a read is of nothing committed.
    fn reads(&self, txn: usize) -> Option<Vec<(usize, usize, usize)>> {
        let mut reads = Vec::new();
        if self.txns[txn].outcome != Outcome::Ok {
            return Some(reads);
        }
        for (place, access) in self.txns[txn].accesses.iter().enumerate() {
            if access.writes {
                continue;
            }
            let before = self.txns[txn].accesses[..place].iter().rev();
            if let Some(own) = before.clone().find(|own| own.writes && own.key == access.key) {
                if own.value != access.value {
                    return None;
                }
                continue;
            }
            if access.value == 0 {
                reads.push((place, access.key, INITIAL));
                continue;
            }
            let writer = self.committed.iter().copied().find(|writer| {
                *writer != txn && self.last_write(*writer, access.key) == Some(access.value)
            })?;
            reads.push((place, access.key, writer));
        }
        Some(reads)
    }

    fn last_write(&self, txn: usize, key: usize) -> Option<i64> {
        let mut writes = self.txns[txn].accesses.iter().rev();
        writes.find(|access| access.writes && access.key == key).map(|access| access.value)
    }

    /// Whether some total order of the committed satisfies everything.
    fn holds(&self) -> bool {
        let mut reads = vec![Vec::new(); self.txns.len()];
        for txn in &self.committed {
            match self.reads(*txn) {
                Some(of) => reads[*txn] = of,
                None => return false,
            }
        }
        let mut causes = vec![vec![false; self.txns.len()]; self.txns.len()];
        for (nth, first) in self.committed.iter().enumerate() {
            for second in &self.committed[nth + 1..] {
                causes[*first][*second] |= self.txns[*first].process == self.txns[*second].process;
            }
        }
        for txn in &self.committed {
            for (_, _, writer) in reads[*txn].iter().filter(|read| read.2 != INITIAL) {
                causes[*writer][*txn] = true;
            }
        }
        let mut order = Vec::new();
        self.search(&mut order, &reads, &causes)
    }

    fn search(
        &self,
        order: &mut Vec<usize>,
        reads: &[Vec<(usize, usize, usize)>],
        causes: &[Vec<bool>],
    ) -> bool {
        if order.len() == self.committed.len() {
            return self.axiom(order, reads, causes);
        }
        for next in &self.committed {
            let free = !order.contains(next)
                && self
                    .committed
                    .iter()
                    .all(|cause| !causes[*cause][*next] || order.contains(cause));
            if free {
                order.push(*next);
                if self.search(order, reads, causes) {
                    return true;
                }
                order.pop();
            }
        }
        false
    }

    fn axiom(
        &self,
        order: &[usize],
        reads: &[Vec<(usize, usize, usize)>],
        causes: &[Vec<bool>],
    ) -> bool {
        let at = |txn: usize| order.iter().position(|other| *other == txn);
        self.committed.iter().all(|reader| {
            reads[*reader].iter().all(|(place, key, source)| {
                self.committed.iter().all(|other| {
                    let concerns = *other != *source
                        && *other != *reader
                        && self.last_write(*other, *key).is_some()
                        && self.sees(*reader, *place, *other, reads, causes);
                    !concerns || (*source != INITIAL && at(*other) < at(*source))
                })
            })
        })
    }

    /// Whether the read at `place` has to respect what `other` wrote.
    fn sees(
        &self,
        reader: usize,
        place: usize,
        other: usize,
        reads: &[Vec<(usize, usize, usize)>],
        causes: &[Vec<bool>],
    ) -> bool {
        match self.level {
            Level::ReadCommitted => {
                reads[reader].iter().any(|read| read.2 == other && read.0 < place)
            }
            Level::ReadAtomic => causes[other][reader],
            Level::Causal => {
                causes[other][reader]
                    || self.committed.iter().any(|step| {
                        causes[other][*step]
                            && *step != reader
                            && self.sees(reader, place, *step, reads, causes)
                    })
            }
        }
    }
}

fn oracle(txns: &[Txn], level: Level) -> bool {
    let of = |outcome: Outcome| -> Vec<usize> {
        (0..txns.len()).filter(|txn| txns[*txn].outcome == outcome).collect()
    };
    let (sure, unknown) = (of(Outcome::Ok), of(Outcome::Info));
    (0..1u32 << unknown.len()).any(|chosen| {
        let chosen =
            (0..unknown.len()).filter(|nth| chosen >> nth & 1 == 1).map(|nth| unknown[nth]);
        let mut committed: Vec<usize> = sure.iter().copied().chain(chosen).collect();
        committed.sort_unstable();
        Definition { txns, committed, level }.holds()
    })
}

#[test]
fn the_checker_agrees_with_the_definition() {
    let many = std::env::var("TRIBUNAL_ORACLE_HISTORIES").ok().and_then(|n| n.parse().ok());
    let many: u64 = many.unwrap_or(15_000);
    let mut convicted = [0u64; 3];
    let mut told = std::collections::BTreeMap::<String, u64>::new();
    for seed in 0..many {
        let txns = history(&mut ChaCha8Rng::seed_from_u64(seed));
        if txns.iter().all(|txn| txn.outcome != Outcome::Ok) {
            continue;
        }
        for (nth, level) in LEVELS.into_iter().enumerate() {
            let mut checker = Box::new(WeakIsolation::new(level));
            for (nth, txn) in txns.iter().enumerate() {
                checker.operation(&operation(nth, txn));
            }
            let verdict = checker.finish();
            let expected = if oracle(&txns, level) { Validity::Valid } else { Validity::Invalid };
            assert_eq!(
                verdict.validity, expected,
                "seed {seed}, {level:?}: {txns:#?}\n{:#?}",
                verdict.anomalies
            );
            convicted[nth] += u64::from(verdict.validity == Validity::Invalid);
            for anomaly in verdict.anomalies {
                *told.entry(format!("{level:?} {}", anomaly.name)).or_default() += 1;
            }
        }
    }
    // A test of valid histories alone, or of invalid ones alone, would show nothing.
    for convicted in convicted {
        assert!((many / 10..many * 9 / 10).contains(&convicted), "{convicted} of {many}: {told:?}");
    }
    for name in [
        "ReadCommitted non-monotonic-read",
        "ReadAtomic fractured-read",
        "Causal causality-violation",
    ] {
        assert!(told.contains_key(name), "{name} never occurs: {told:?}");
    }
    println!("{convicted:?} of {many}: {told:#?}");
}
