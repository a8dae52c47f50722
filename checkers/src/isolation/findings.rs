//! From what was found to the verdict: sentences, pictures, and the levels that are ruled out.
//!
//! Absent: how anything was found.

use super::cycles::{Class, Cycle, Family, cycles};
use super::draw::{Node, draw};
use super::graph::{Graph, PROCESS, REAL_TIME, RW, WR, WW};
use super::history::{Micro, Shown, Store, Transaction, UNKNOWN};
use super::level::{Level, forbid, forbid_cycle};
use crate::keyed::plain;
use crate::verdict::{Anomaly, Verdict};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tribunal_history::{Operation, Value};

/// What a kind of history knows, beyond the graph.
pub(super) trait Model {
    /// Transactions and keys.
    fn store(&self) -> &Store;
    /// Whether the order of versions was read, not inferred.
    fn observed(&self) -> bool;
    /// A micro-operation, as the history had it.
    fn show(&self, micro: Micro) -> Shown;
    /// Why B depends on A, with the key that it is about; of the kinds ww, wr and rw.
    fn because(&self, from: u32, to: u32, kind: u8) -> Option<(u32, String)>;
}

/// Anomalies that are no cycles: the first few of each name are kept, all are counted.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    counts: BTreeMap<&'static str, u64>,
    refused: Option<String>,
    suspects: Vec<Suspect>,
}

/// An anomaly only if its element was not written twice, which is known at the end.
#[derive(Debug)]
struct Suspect {
    name: &'static str,
    transaction: u32,
    key: u32,
    element: u32,
    message: Suspicion,
}

/// The message, from a value and the name of its key.
pub(super) type Suspicion = fn(&Value, &str) -> String;

#[derive(Debug)]
struct Finding {
    name: &'static str,
    /// T1, T2 ... of the message.
    transactions: Vec<u32>,
    key: Option<u32>,
    message: String,
}

/// How many anomalies of one name are shown.
const SHOWN: u64 = 3;

impl Findings {
    /// Counts an anomaly; `message` is asked for if it is to be shown, and calls the transactions T1, T2.
    pub(super) fn add(
        &mut self,
        name: &'static str,
        transactions: &[u32],
        key: Option<u32>,
        message: impl FnOnce() -> String,
    ) {
        let count = self.counts.entry(name).or_default();
        *count += 1;
        if *count <= SHOWN {
            let transactions = transactions.to_vec();
            self.kept.push(Finding { name, transactions, key, message: message() });
        }
    }

    /// Keeps what will be an anomaly unless the element proves to be written twice: see [`Findings::settle`].
    pub(super) fn suspect(
        &mut self,
        name: &'static str,
        transaction: u32,
        (key, element): (u32, u32),
        message: Suspicion,
    ) {
        self.suspects.push(Suspect { name, transaction, key, element, message });
    }

    /// All has been seen: counts those suspects whose element has one writer or none. Of the others nobody can tell which
    /// write they met, and the store is in doubt already.
    pub(super) fn settle(&mut self, store: &Store) {
        for suspect in std::mem::take(&mut self.suspects) {
            let key = &store.keys[suspect.key as usize];
            let element = &key.elements[suspect.element as usize];
            if element.writer != UNKNOWN {
                self.add(suspect.name, &[suspect.transaction], Some(suspect.key), || {
                    (suspect.message)(&element.value, &plain(&key.name))
                });
            }
        }
    }

    /// Whether another anomaly of this name would be shown: what only a message needs may then be looked for.
    pub(super) fn shows(&self, name: &str) -> bool {
        self.counts.get(name).is_none_or(|count| *count < SHOWN)
    }

    /// An operation that cannot be taken in: without it, no verdict means anything.
    pub(super) fn refuse(&mut self, operation: &Operation, why: &str) {
        self.refused.get_or_insert_with(|| {
            let (f, index) = (&operation.f, operation.call.index);
            format!("the operation `{f}` of event {index} is not understood: {why}")
        });
    }
}

/// An anomaly and the weakest levels that forbid it.
struct Charge {
    anomaly: Anomaly,
    forbids: &'static [Level],
}

/// Judges: `complete` says whether a pass at this level is a proof.
pub(super) fn verdict(
    checker: &'static str,
    level: Level,
    model: &dyn Model,
    graph: Graph,
    findings: Findings,
    complete: bool,
) -> Verdict {
    let store = model.store();
    let operations = store.transactions.len();
    let bytes = store.bytes() + 3 * graph.bytes();
    if let Some(why) = findings.refused {
        return Verdict::unknown(checker, why);
    }
    let times: Vec<(u64, u64)> = store.transactions.iter().map(Transaction::times).collect();
    let found = cycles(&graph, &times);
    drop(graph);
    let mut charges: Vec<Charge> = findings.kept.iter().map(|one| finding(model, one)).collect();
    for cycle in &found.cycles {
        charges.extend(cycle_charges(model, cycle));
    }
    let ruled_out = |one: &Level| {
        charges.iter().any(|charge| charge.forbids.iter().any(|weakest| one.implies(*weakest)))
    };
    let (out, possible): (Vec<Level>, Vec<Level>) = Level::ALL.into_iter().partition(ruled_out);
    let names: BTreeSet<String> =
        charges.iter().map(|charge| charge.anomaly.name.to_string()).collect();
    let convicts = |charge: &Charge| charge.forbids.iter().any(|weakest| level.implies(*weakest));
    let (mut guilty, permitted): (Vec<Charge>, Vec<Charge>) =
        charges.into_iter().partition(convicts);
    let permitted: BTreeSet<String> =
        permitted.iter().map(|charge| charge.anomaly.name.to_string()).collect();
    for charge in &mut guilty {
        charge.anomaly.message.push_str(&ruling(charge.forbids, &possible));
    }
    let doubt = store.doubt.clone().or_else(|| {
        found.cut_short.then(|| {
            format!(
                "{} groups of transactions in cycles were not searched to the end",
                found.components
            )
        })
    });
    let anomalies: Vec<Anomaly> = guilty.into_iter().map(|charge| charge.anomaly).collect();
    let mut verdict = match doubt {
        Some(why) if anomalies.is_empty() => Verdict::unknown(checker, why),
        _ => Verdict::of(checker, complete, anomalies),
    };
    for (name, count) in &findings.counts {
        verdict = verdict.figure(&format!("{}_count", name.replace('-', "_")), *count);
    }
    verdict.engine = Some("elle".into());
    let listed =
        |levels: &[Level]| json!(levels.iter().map(|level| level.name()).collect::<Vec<_>>());
    verdict
        .figure("operations", operations)
        .figure("operations_crashed", store.crashed)
        .figure("operations_failed", store.failed)
        .figure("engine_bytes", bytes)
        .figure("cyclic_components_count", found.components)
        .figure("level_expected", level.name())
        .figure("levels_ruled_out", listed(&out))
        .figure("levels_possible", listed(&possible))
        .figure("anomalies_found", json!(names))
        .figure("anomalies_permitted", json!(permitted))
}

/// What an anomaly means for the levels.
fn ruling(forbids: &[Level], possible: &[Level]) -> String {
    let out: Vec<&str> = forbids.iter().map(|level| level.name()).collect();
    let strongest: Vec<&str> = possible
        .iter()
        .filter(|one| !possible.iter().any(|other| other != *one && other.implies(**one)))
        .map(|level| level.name())
        .collect();
    let rest = match strongest.is_empty() {
        true => "no level remains possible".to_owned(),
        false => format!("what may still hold is {}", strongest.join(", ")),
    };
    format!(" This rules out {} and all that is stronger; {rest}.", out.join(" and "))
}

fn seconds(ns: u64) -> String {
    format!("{}.{:03} s", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

/// `T1 (process 3, 1.204 s)`.
fn introduced(store: &Store, number: usize, transaction: u32) -> String {
    let row = &store.transactions[transaction as usize];
    format!("T{} (process {}, {})", number + 1, row.process, seconds(row.call.time))
}

fn operation(model: &dyn Model, transaction: u32) -> Operation {
    model.store().operation(transaction, |micro| model.show(micro))
}

fn finding(model: &dyn Model, finding: &Finding) -> Charge {
    let store = model.store();
    let who: Vec<String> = finding
        .transactions
        .iter()
        .enumerate()
        .map(|(number, transaction)| introduced(store, number, *transaction))
        .collect();
    let message = format!("{}: {}.", who.join(", "), finding.message);
    let key = finding.key.map(|key| plain(&store.keys[key as usize].name));
    let transactions: BTreeSet<u32> = finding.transactions.iter().copied().collect();
    let mut witness: Vec<Operation> =
        transactions.into_iter().map(|transaction| operation(model, transaction)).collect();
    witness.sort_by_key(|operation| operation.call);
    let anomaly = Anomaly::new(finding.name, message, key, witness);
    Charge { anomaly, forbids: forbid(finding.name) }
}

/// A cycle as an anomaly; two, where it has a second name.
fn cycle_charges(model: &dyn Model, cycle: &Cycle) -> Vec<Charge> {
    let (message, labels, keys) = tell(model, cycle);
    let transactions = cycle.steps.iter().map(|step| step.transaction);
    let shown: Vec<Operation> = transactions.map(|nth| operation(model, nth)).collect();
    let nodes: Vec<Node> = shown
        .iter()
        .enumerate()
        .map(|(number, operation)| Node {
            title: introduced(model.store(), number, cycle.steps[number].transaction),
            text: micros(operation),
        })
        .collect();
    let mut witness = shown;
    witness.sort_by_key(|operation| operation.call);
    let key = match keys.iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()[..] {
        [key] => Some(plain(&model.store().keys[*key as usize].name)),
        _ => None,
    };
    let mut anomaly = Anomaly::new(cycle.name(), message, key, witness);
    anomaly.drawing = Some(draw(&nodes, &labels));
    let forbids = forbid_cycle(cycle, model.observed());
    let skew = cycle.class == Class::Skew
        && cycle.family == Family::Plain
        && cycle.steps.len() == 2
        && keys.windows(2).all(|pair| pair[0] != pair[1]);
    let second = skew.then(|| Charge {
        anomaly: Anomaly { name: "write-skew".into(), ..anomaly.clone() },
        forbids,
    });
    [Charge { anomaly, forbids }].into_iter().chain(second).collect()
}

fn micros(operation: &Operation) -> String {
    let told = if operation.output.is_nil() { &operation.input } else { &operation.output };
    let micros = told.as_list().unwrap_or_default().iter().map(|micro| match micro.as_list() {
        Some([f, key, value]) => format!("{} {} {value}", plain(f), plain(key)),
        _ => micro.to_string(),
    });
    micros.collect::<Vec<_>>().join(", ")
}

/// The sentences of a cycle, the labels of its edges, and the keys that they are about.
fn tell(model: &dyn Model, cycle: &Cycle) -> (String, Vec<String>, Vec<u32>) {
    let store = model.store();
    let (mut sentences, mut labels, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    let mut named = BTreeSet::new();
    for (number, step) in cycle.steps.iter().enumerate() {
        let next = (number + 1) % cycle.steps.len();
        let mut name = |number: usize| match named.insert(number) {
            true => introduced(store, number, cycle.steps[number].transaction),
            false => format!("T{}", number + 1),
        };
        let (a, b) = (name(number), name(next));
        let (from, to) = (step.transaction, cycle.steps[next].transaction);
        let why = match step.kind & (WW | WR | RW) {
            0 => None,
            kind => model.because(from, to, kind),
        };
        let fact = match why {
            Some((key, why)) => {
                keys.push(key);
                let rests = step.kind & REAL_TIME != 0;
                let why =
                    if rests { format!("{why} (by the real time of their uses)") } else { why };
                labels.push(format!(
                    "{} {}",
                    kinds(step.kind),
                    plain(&store.keys[key as usize].name)
                ));
                named_in(&why, &a, &b)
            }
            None => {
                labels.push(kinds(step.kind).to_owned());
                let end = store.transactions[from as usize].end.map_or(0, |end| end.time);
                let begin = store.transactions[to as usize].call.time;
                match step.kind {
                    PROCESS => format!("the process of {a} ran {b} after it"),
                    REAL_TIME => format!(
                        "{a} had ended at {} when {b} began at {}",
                        seconds(end),
                        seconds(begin)
                    ),
                    _ => format!("{b} replaced a version that {a} wrote or read"),
                }
            }
        };
        sentences.push(format!("{fact}, so T{} < T{}", number + 1, next + 1));
    }
    (format!("{}: a contradiction.", sentences.join("; ")), labels, keys)
}

/// Puts the names for the words A and B.
fn named_in(why: &str, a: &str, b: &str) -> String {
    let words = why.split(' ').map(|word| match word {
        "A" => a,
        "B" => b,
        other => other,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn kinds(kind: u8) -> &'static str {
    match kind {
        PROCESS => "process",
        REAL_TIME => "real time",
        kind if kind & WR != 0 => "wr",
        kind if kind & RW != 0 => "rw",
        _ => "ww",
    }
}
