//! How bad it is: what still holds of a history of registers that is not linearizable, and how stale its reads were.
//!
//! * [`Severity`]: takes operations one by one, as every checker; its verdict convicts nobody and carries figures only.
//!   [`measure`] does the same for a slice.
//! * `history`: what is kept of an operation, and which versions are surely older than which.
//! * `sequential`: sequential consistency of each key, decided exactly.
//! * `sessions`: the four session guarantees, violated only where that is certain.
//! * `delta`: how stale reads were in time, exact for reads and writes.
//! * `lag`: how many versions they lagged at least.
//!
//! Each key is measured alone, and only if no value is written twice to it; keys that are not measured are counted.
//! Operations as for [`crate::linearizability::Linearizable`]: `read`, `write` and `cas` of `[key, value]`.
//!
//! Memory: 40 bytes an operation, about 60 a value; up to 200 more a value, and 4 an
//! operation, of the keys that are being judged.
//! Time: O(n log n).
//!
//! Absent: a search. What these measures do not decide they do not claim.

mod delta;
mod history;
mod lag;
mod report;
mod sequential;
mod sessions;

use crate::checker::Checker;
use crate::verdict::Verdict;
use history::{KeyHistory, Kind, Parts, Versions};
use rayon::prelude::*;
pub use report::{Guarantee, SeverityReport, Witness};
use report::{KeyReport, Narrator};
use rustc_hash::FxHashMap;
use tribunal_history::{Operation, Outcome, Process, Value};

/// Measures how bad a history is.
#[derive(Debug, Default)]
pub struct Severity {
    keys: FxHashMap<Value, KeyHistory>,
    processes: FxHashMap<Process, u32>,
    operations: u64,
    /// Why nothing can be said, if so.
    refused: Option<String>,
}

/// Measures the operations, which may come in any order.
#[must_use]
pub fn measure(operations: &[Operation]) -> SeverityReport {
    let mut severity = Severity::new();
    operations.iter().for_each(|operation| severity.operation(operation));
    severity.report()
}

impl Severity {
    /// Nothing measured yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The report on all operations so far.
    #[must_use]
    pub fn report(self) -> SeverityReport {
        if let Some(why) = self.refused {
            return SeverityReport::not_measured(why);
        }
        let mut processes = vec![Process::default(); self.processes.len()];
        for (&process, &number) in &self.processes {
            processes[number as usize] = process;
        }
        let mut keys: Vec<(Value, KeyHistory)> = self.keys.into_iter().collect();
        keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let reports: Vec<KeyReport> = keys
            .into_par_iter()
            .map(|(key, history)| key_report(&key, &history, &processes))
            .collect();
        SeverityReport::of(self.operations, reports)
    }

    /// Bytes that are kept, as an estimate.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.keys.values().map(KeyHistory::bytes).sum::<usize>()
            + self.processes.capacity() * size_of::<(Process, u32)>()
    }

    fn take(&mut self, operation: &Operation) -> Result<(), &'static str> {
        self.operations += 1;
        let Some((key, parts)) = decode(operation)? else { return Ok(()) };
        let process = history::number_of(&mut self.processes, operation.process);
        match self.keys.get_mut(key) {
            Some(history) => history.push(operation, parts, process),
            None => self.keys.entry(key.clone()).or_default().push(operation, parts, process),
        }
    }
}

impl Checker for Severity {
    fn name(&self) -> &'static str {
        NAME
    }

    fn operation(&mut self, operation: &Operation) {
        if self.refused.is_some() {
            return;
        }
        if let Err(why) = self.take(operation) {
            let (f, index) = (&operation.f, operation.call.index);
            self.refused = Some(format!("the `{f}` invoked at event {index}: {why}"));
            self.keys = FxHashMap::default();
        }
    }

    /// Valid in any case: these are figures. Their lines for people are the figure `lines`.
    fn finish(self: Box<Self>) -> Verdict {
        let bytes = self.bytes();
        let report = self.report();
        let lines: Vec<String> = report.to_string().lines().map(str::to_owned).collect();
        let mut verdict = Verdict::valid(NAME, false).figure("engine_bytes", bytes);
        if let Ok(serde_json::Value::Object(figures)) = serde_json::to_value(&report) {
            verdict.figures.extend(figures);
        }
        verdict.figure("lines", lines)
    }
}

/// The key of an operation and what it did there; nothing if it can say nothing.
fn decode(operation: &Operation) -> Result<Option<(&Value, Parts<'_>)>, &'static str> {
    let keyed = || operation.input.as_pair().ok_or("it has no [key, value]");
    let ok = operation.outcome == Outcome::Ok;
    match &*operation.f {
        "read" | "write" | "cas" if operation.outcome == Outcome::Fail => Ok(None),
        "read" if !ok => Ok(None),
        "read" => {
            let (key, value) = operation.output.as_pair().ok_or("it returned no [key, value]")?;
            Ok(Some((key, (Kind::Read, value, None))))
        }
        "write" => keyed().map(|(key, value)| Some((key, (Kind::Write, value, None)))),
        "cas" => {
            let (key, change) = keyed()?;
            let (from, value) = change.as_pair().ok_or("it has no [key, [from, to]]")?;
            Ok(Some((key, (Kind::Cas, value, Some(from)))))
        }
        _ => Err("it is no operation of a register"),
    }
}

fn key_report(key: &Value, history: &KeyHistory, processes: &[Process]) -> KeyReport {
    let Some(versions) = Versions::of(history) else { return KeyReport::default() };
    let sessions = versions.sessions();
    let narrator = Narrator { key, history, processes };
    let records = &history.records;
    let reads = records.iter().filter(|record| record.kind == Kind::Read).count() as u64;
    let unexplained = records.iter().filter(|record| versions.unexplained(record)).count() as u64;
    let contradiction = sequential::contradiction(&versions, &sessions);
    let guarantees = sessions::measure(&versions, &sessions);
    KeyReport {
        measured: true,
        reads,
        unexplained,
        cas: records.iter().any(|record| record.kind == Kind::Cas && versions.counts(record)),
        sequential: contradiction.map(|found| narrator.contradiction(&found)),
        guarantees: guarantees.map(|found| narrator.guarantee(found)),
        delta_ns: delta::smallest_ns(&versions),
        lag: lag::measure(&versions),
    }
}

const NAME: &str = "severity";
