//! The engines that hold a history against a sequential specification, and the checker of registers.
//!
//! * [`Linearizable`]: read, write and cas on keyed registers; each key is judged alone, which is as good as all at once
//!   (Herlihy and Wing 1990, Theorem 1).
//! * `register`: exact in O(n log n) where every written value is unique; its header is the proof.
//! * [`collections`]: queues, stacks, locks, sets and counters.
//! * `live`: answers while a history is still being made, and what may be forgotten of it; `summary`: what may not.
//! * [`wgl`]: a search for any model, with limits, for all other keys; [`Modelled`] is its checker for any model.
//! * `contradiction`: what the search found, reduced to a few operations.
//! * `witness`: what was found, in words and a few operations. Its header lists the names of the anomalies.
//!
//! Absent: transactions over several keys, and operations without a key.

pub mod collections;
mod contradiction;
mod live;
mod modelled;
mod record;
mod register;
mod summary;
pub mod wgl;
mod witness;

use crate::checker::Checker;
use crate::keyed;
use crate::models::register::{Register, RegisterOp};
use crate::timeline;
use crate::verdict::{Anomaly, Verdict};
use contradiction::Contradiction;
pub use live::NEEDS_HISTORY;
pub use modelled::Modelled;
use rayon::prelude::*;
use record::{Changed, KeyHistory, Kind, Parts, Record};
use register::Judgement;
use rustc_hash::FxHashMap;
use std::time::Instant;
use tribunal_history::{Operation, Outcome, Process, Value};
pub use wgl::Limits;
use wgl::{Answer, Interval};
use witness::key_name;

/// Judges linearizability of registers with `read` (`[key, nil]` to `[key, value]`), `write` (`[key, value]`) and `cas`
/// (`[key, [from, to]]`), one register a key, nil before its first write.
///
/// Complete: valid is a proof. Memory: 40 bytes an operation and about 25 a written integer; if it is told when
/// to settle (see [`Checker::settle`]), that of what was not settled yet, 40 bytes a crashed write, and some hundred bytes a key.
#[derive(Debug)]
pub struct Linearizable {
    limits: Limits,
    keys: FxHashMap<Value, KeyHistory>,
    processes: FxHashMap<Process, u32>,
    seen: Seen,
    /// The first operation that could not be taken in. Without it, no verdict means anything.
    refused: Option<String>,
    live: live::Live,
}

/// Counts of operations.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    operations: u64,
    crashed: u64,
    failed: u64,
}

impl Default for Linearizable {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Linearizable {
    /// A checker with these limits for the general engine; the register engine needs none.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            keys: FxHashMap::default(),
            processes: FxHashMap::default(),
            seen: Seen::default(),
            refused: None,
            live: live::Live::default(),
        }
    }

    fn take(&mut self, operation: &Operation) -> Result<(), String> {
        self.seen.operations += 1;
        self.seen.crashed += u64::from(operation.outcome == Outcome::Info);
        self.seen.failed += u64::from(operation.outcome == Outcome::Fail);
        self.live.pass(operation);
        if self.live.needs_history() {
            return Ok(());
        }
        let not_taken = |why: &str| {
            format!("the `{}` invoked at event {} {why}", operation.f, operation.call.index)
        };
        let (key, parts) = decode(operation).map_err(not_taken)?;
        // A read that did not complete says nothing. A failed write is kept: somebody might see it.
        let says_nothing = operation.outcome != Outcome::Ok && parts.kind == Kind::Read;
        if says_nothing {
            return Ok(());
        }
        let process = record::number(&mut self.processes, &operation.process)
            .map_err(|error| not_taken(&format!("is too much: {error}")))?;
        let history = match self.keys.get_mut(key) {
            Some(history) => history,
            None => self.keys.entry(key.clone()).or_insert_with(KeyHistory::new),
        };
        history.changed = Changed { since_judged: true, since_summary: true };
        let pushed = history.push(operation, parts, process);
        pushed.map_err(|error| not_taken(&format!("is too much: {error}")))
    }
}

impl Checker for Linearizable {
    fn name(&self) -> &'static str {
        NAME
    }

    fn operation(&mut self, operation: &Operation) {
        if let Err(why) = self.take(operation) {
            self.refused.get_or_insert(why);
        }
    }

    fn violated(&mut self, open: &[Operation]) -> bool {
        self.violated_so_far(open)
    }

    fn settle(&mut self, open: &[Operation]) {
        self.summarise(open);
    }

    fn finish(self: Box<Self>) -> Verdict {
        if let Some(why) = self.refused {
            return Verdict::unknown(NAME, why);
        }
        if self.live.needs_history() {
            return Verdict::unknown(NAME, NEEDS_HISTORY);
        }
        let context = Context {
            deadline: Instant::now() + self.limits.time,
            memory_bytes: self.limits.memory_bytes / rayon::current_num_threads(),
            processes: by_number(&self.processes),
            settled: self.live.settled,
        };
        let bytes = self.bytes().max(self.live.bytes_max);
        let mut keys: Vec<(Value, KeyHistory)> = self.keys.into_iter().collect();
        keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        // In the order of the keys, whoever is done first.
        let judged: Vec<KeyVerdict> =
            keys.into_par_iter().map(|(key, history)| context.judge(&key, &history)).collect();
        if self.live.settled && judged.iter().any(|key| key.unknown.is_some()) {
            return Verdict::unknown(NAME, NEEDS_HISTORY);
        }
        let count = |engine| judged.iter().filter(|key| key.engine == engine).count();
        let (by_register, by_wgl) = (count(Engine::Register), count(Engine::General));
        let mut verdict = compose(judged)
            .figure("operations", self.seen.operations)
            .figure("operations_crashed", self.seen.crashed)
            .figure("operations_failed", self.seen.failed)
            .figure("keys", by_register + by_wgl)
            .figure("keys_by_register_engine", by_register)
            .figure("keys_by_general_engine", by_wgl)
            .figure("engine_bytes", bytes);
        verdict.engine = Some(match (by_register, by_wgl) {
            (_, 0) => "register".into(),
            (0, _) => "wgl".into(),
            _ => "register, wgl".into(),
        });
        verdict
    }
}

/// The key of an operation, and what it did there.
fn decode(operation: &Operation) -> Result<(&Value, Parts<'_>), &'static str> {
    let keyed = operation.input.as_pair();
    match &*operation.f {
        "read" if operation.outcome == Outcome::Ok => {
            let (key, value) = operation.output.as_pair().ok_or("returned no [key, value]")?;
            match keyed {
                Some((asked, _)) if asked != key => Err("returned the value of another key"),
                _ => Ok((key, Parts { kind: Kind::Read, value, from: None })),
            }
        }
        "read" => {
            let nothing = Parts { kind: Kind::Read, value: &Value::Nil, from: None };
            Ok((keyed.map_or(&Value::Nil, |(key, _)| key), nothing))
        }
        "write" | "cas" if keyed::contradicts(operation) => {
            Err("returned another value than it was given")
        }
        "write" => {
            let (key, value) = keyed.ok_or("has no [key, value]")?;
            Ok((key, Parts { kind: Kind::Write, value, from: None }))
        }
        "cas" => {
            let (key, change) = keyed.ok_or("has no [key, [from, to]]")?;
            let (from, value) = change.as_pair().ok_or("has no [key, [from, to]]")?;
            Ok((key, Parts { kind: Kind::Cas, value, from: Some(from) }))
        }
        _ => Err("is no operation of a register"),
    }
}

/// What all keys share while they are judged.
struct Context {
    deadline: Instant,
    memory_bytes: usize,
    processes: Vec<Process>,
    /// Whether keys are summaries, which can only pass.
    settled: bool,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Register,
    General,
}

/// What became of one key.
struct KeyVerdict {
    engine: Engine,
    anomalies: Vec<Anomaly>,
    /// Anomalies that were found and not told.
    more: usize,
    unknown: Option<String>,
}

impl Context {
    fn judge(&self, key: &Value, history: &KeyHistory) -> KeyVerdict {
        let (judgement, groups) = register::judge(history);
        let mut verdict =
            KeyVerdict { engine: Engine::Register, anomalies: Vec::new(), more: 0, unknown: None };
        match judgement {
            Judgement::Linearizable => {}
            _ if self.settled => verdict.unknown = Some(NEEDS_HISTORY.to_owned()),
            Judgement::Violated(findings) => {
                let narrator = witness::Narrator::new(key, history, &groups, &self.processes);
                let told = findings.iter().take(ANOMALIES_MAX);
                verdict.anomalies = told.map(|&finding| narrator.anomaly(finding)).collect();
                verdict.more = findings.len() - verdict.anomalies.len();
            }
            Judgement::NotUnique => {
                verdict.engine = Engine::General;
                self.search(key, history, &mut verdict);
            }
        }
        verdict
    }

    /// Hands a key to the general engine.
    fn search(&self, key: &Value, history: &KeyHistory, verdict: &mut KeyVerdict) {
        let names = history.names();
        let happened = (0..).zip(history.records());
        let (ids, operations): (Vec<u32>, Vec<Interval<RegisterOp>>) = happened
            .filter(|(_, record)| record.outcome != Outcome::Fail)
            .map(|(id, record)| (id, interval(record, &names)))
            .unzip();
        let model = Register::default();
        let operation = |nth: usize| history.operation(ids[nth], key, &names, &self.processes);
        let answer = wgl::search(&model, &operations, self.deadline, self.memory_bytes);
        if let Answer::Unknown { why, linearized, returned } = answer {
            verdict.unknown = Some(format!(
                "key {}: {why} with {linearized} of {returned} completed operations in order",
                key_name(key)
            ));
            return;
        }
        let found =
            Contradiction::of(&model, &operations, answer, self.deadline, self.memory_bytes);
        verdict.anomalies.extend(found.map(|found| {
            let name = key_name(key);
            let message = found.sentence(&operation(found.stuck), &name);
            let witness = found.witness.iter().map(|&nth| operation(nth)).collect();
            Anomaly::new("not-linearizable", message, Some(name), witness)
        }));
    }
}

fn interval(record: &Record, names: &[&Value]) -> Interval<RegisterOp> {
    let name = |id: u32| names[id as usize].clone();
    let op = match record.kind {
        Kind::Read => RegisterOp::Read(name(record.value)),
        Kind::Write => RegisterOp::Write(name(record.value)),
        Kind::Cas => RegisterOp::Cas(name(record.from), name(record.value)),
    };
    let end = Some(record.finish()).filter(|&end| end != u64::MAX);
    Interval { op, call: record.begin(), end }
}

/// One verdict from those of the keys: the smallest witnesses first.
fn compose(judged: Vec<KeyVerdict>) -> Verdict {
    let more: usize = judged.iter().map(|key| key.more).sum();
    let unknown: Vec<&str> = judged.iter().filter_map(|key| key.unknown.as_deref()).collect();
    let unknown = unknown.join("; ");
    let mut anomalies: Vec<Anomaly> = judged.into_iter().flat_map(|key| key.anomalies).collect();
    // Stable, so that ties stay in the order of the keys.
    anomalies.sort_by_key(|anomaly| anomaly.witness.len());
    if anomalies.is_empty() && !unknown.is_empty() {
        return Verdict::unknown(NAME, unknown);
    }
    if anomalies.is_empty() {
        return Verdict::valid(NAME, true);
    }
    let mut verdict = Verdict::invalid(NAME, anomalies, ANOMALIES_MAX);
    verdict.anomalies.iter_mut().for_each(draw);
    verdict.anomalies_more += more;
    verdict.unknown = (!unknown.is_empty()).then_some(unknown);
    verdict
}

/// Draws the witness, with emphasis on the last call that returned a result which cannot be: it is where most stories end.
fn draw(anomaly: &mut Anomaly) {
    let completed = anomaly.witness.iter().filter(|operation| operation.outcome == Outcome::Ok);
    let last = completed.filter(|operation| operation.f != "write").map(|one| one.call.index).max();
    let highlights: Vec<u64> = last.into_iter().collect();
    anomaly.drawing = Some(timeline::draw(&anomaly.witness, &highlights));
}

fn by_number(processes: &FxHashMap<Process, u32>) -> Vec<Process> {
    let mut by_number = vec![Process::default(); processes.len()];
    for (&process, &number) in processes {
        by_number[number as usize] = process;
    }
    by_number
}

const NAME: &str = "linearizable";
/// How many anomalies are told, of a key and in all. The others are counted.
const ANOMALIES_MAX: usize = 10;
