//! What `tribunal check` says of a recorded history: a line a file, a page of text for one alone, a line of JSON for machines.
//!
//! The keys of the JSON and their order are fixed: `file`, `model`, `verdict`, `complete`, `engine`, `operations`,
//! `crashed`, `seconds`, `engine_bytes`, `anomalies`. Behind them stands what there is to say beyond: `unknown`, why a
//! verdict is one; for the folder of a run, the keys of its `verdict.json`. A file that cannot be judged has the same
//! keys: `verdict` is `unknown`, `anomalies` is empty, what is not known is null, and `error` says at the end why.

use super::terminal::{align, evidence};
use super::{format, verdict_json, words};
use crate::judge::Judged;
use crate::judge_file::JudgedFile;
use serde::Serialize;
use serde_json::Value as Json;
use std::path::Path;
use std::time::Duration;
use tribunal_checkers::{Anomaly, Validity, Verdict, timeline};
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

#[derive(Serialize)]
struct Line<'a> {
    file: String,
    model: String,
    verdict: Validity,
    complete: bool,
    engine: Option<&'a str>,
    operations: u64,
    crashed: u64,
    seconds: f64,
    engine_bytes: Option<u64>,
    anomalies: Vec<AnomalyLine<'a>>,
    #[serde(flatten)]
    beyond: serde_json::Map<String, Json>,
}

#[derive(Serialize)]
struct AnomalyLine<'a> {
    name: &'a str,
    message: &'a str,
    operations: Vec<OperationLine<'a>>,
}

#[derive(Serialize)]
struct OperationLine<'a> {
    process: Process,
    f: &'a str,
    value: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Value>,
    #[serde(rename = "type")]
    outcome: &'static str,
    call: Moment,
    #[serde(rename = "return")]
    returned: Option<Moment>,
}

#[derive(Serialize)]
struct Moment {
    index: u64,
    ns: u64,
}

#[derive(Serialize)]
struct Unreadable<'a> {
    file: String,
    model: Option<&'a str>,
    verdict: Validity,
    complete: bool,
    engine: Option<&'a str>,
    operations: Option<u64>,
    crashed: Option<u64>,
    seconds: Option<f64>,
    engine_bytes: Option<u64>,
    anomalies: [AnomalyLine<'a>; 0],
    error: &'a str,
}

/// A judged file for machines: one line.
pub(crate) fn file_json(path: &Path, judged: &JudgedFile) -> String {
    let verdict = &judged.verdict;
    let why = verdict.unknown.clone().map(|why| ("unknown".to_owned(), Json::from(why)));
    line(&Line {
        file: path.display().to_string(),
        model: judged.model.to_string(),
        verdict: verdict.validity,
        complete: verdict.complete,
        engine: verdict.engine.as_deref(),
        operations: judged.operations,
        crashed: judged.crashed,
        seconds: judged.took.as_secs_f64(),
        engine_bytes: engine_bytes(verdict),
        anomalies: verdict.anomalies.iter().map(anomaly).collect(),
        beyond: why.into_iter().collect(),
    })
}

/// A judged run for machines: one line, with what its `verdict.json` holds at the end.
pub(crate) fn run_json(path: &Path, judged: &Judged, took: Duration) -> String {
    let mut beyond = match verdict_json(judged) {
        Json::Object(map) => map,
        _ => serde_json::Map::new(),
    };
    // It stands before.
    beyond.remove("verdict");
    // The checkers of the workload come first among the properties.
    let model = judged.properties.first();
    line(&Line {
        file: path.display().to_string(),
        model: judged.plan.workload.clone(),
        verdict: judged.validity,
        complete: model.is_some_and(|verdict| verdict.complete),
        engine: model.and_then(|verdict| verdict.engine.as_deref()),
        operations: counted(judged, "operations_count"),
        crashed: counted(judged, "info_count"),
        seconds: took.as_secs_f64(),
        engine_bytes: model.and_then(engine_bytes),
        anomalies: judged
            .properties
            .iter()
            .flat_map(|verdict| &verdict.anomalies)
            .map(anomaly)
            .collect(),
        beyond,
    })
}

/// What could not be judged, for machines: one line.
pub(crate) fn unreadable_json(path: &Path, error: &str) -> String {
    line(&Unreadable {
        file: path.display().to_string(),
        model: None,
        verdict: Validity::Unknown,
        complete: false,
        engine: None,
        operations: None,
        crashed: None,
        seconds: None,
        engine_bytes: None,
        anomalies: [],
        error,
    })
}

fn line(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("keys are texts and no part of it can fail to be written")
}

/// A judged file among many: its verdict, and what decided it.
pub(crate) fn file_line(path: &Path, judged: &JudgedFile) -> String {
    let JudgedFile { model, verdict, operations, took, .. } = judged;
    let engine = verdict.engine.as_deref().unwrap_or(verdict.checker);
    tabbed(path, verdict.validity, &model.to_string(), engine, *operations, *took)
}

/// A judged run among many.
pub(crate) fn run_line(path: &Path, judged: &Judged, took: Duration) -> String {
    let engine = judged.properties.first().and_then(|verdict| verdict.engine.as_deref());
    let operations = counted(judged, "operations_count");
    tabbed(path, judged.validity, &judged.plan.workload, engine.unwrap_or("-"), operations, took)
}

fn tabbed(
    path: &Path,
    validity: Validity,
    model: &str,
    engine: &str,
    operations: u64,
    took: Duration,
) -> String {
    let seconds = took.as_secs_f64();
    format::plain(&path.display().to_string())
        + &format!(
            "\t{validity}\t{model}, engine {engine}, {operations} operations, {seconds:.3} s"
        )
}

/// A judged file alone: the verdict first, then the evidence, then what it rests on.
pub(crate) fn file_terminal(path: &Path, judged: &JudgedFile, how_bad: &[String]) -> String {
    let verdict = &judged.verdict;
    let headline = match verdict.validity {
        Validity::Invalid => {
            verdict.anomalies.first().map_or_else(String::new, |one| one.name.to_string())
        }
        Validity::Valid | Validity::Unknown => words::sentence(verdict),
    };
    let mut blocks = vec![format!("{}: {headline}", words::loud(verdict.validity))];
    blocks.extend(evidence(verdict));
    let first = verdict.anomalies.first().filter(|anomaly| anomaly.witness.len() > 1);
    blocks.extend(first.map(|anomaly| timeline::text(&anomaly.witness)));
    blocks.push(rests_on(path, judged, how_bad));
    format::plain(&blocks.join("\n\n"))
}

fn rests_on(path: &Path, judged: &JudgedFile, how_bad: &[String]) -> String {
    let verdict = &judged.verdict;
    let told = if judged.inferred { "told by the content" } else { "as given" };
    let engine = verdict.engine.as_deref().unwrap_or(verdict.checker);
    let proof = match verdict.complete {
        true => "complete: a pass is a proof",
        false => "not complete: a pass only says that no anomaly was found",
    };
    let (operations, crashed) = (format::count(judged.operations), format::count(judged.crashed));
    let mut rows = vec![
        ["file".to_owned(), path.display().to_string()],
        ["format".to_owned(), judged.format.to_string()],
        ["model".to_owned(), format!("{} ({told})", judged.model)],
        ["engine".to_owned(), format!("{engine} ({proof})")],
        ["operations".to_owned(), format!("{operations}, of which {crashed} of unknown outcome")],
        ["time".to_owned(), format!("{:.3} s", judged.took.as_secs_f64())],
    ];
    rows.extend(how_bad.iter().map(|line| ["how bad".to_owned(), line.clone()]));
    if let (Validity::Invalid, Some(why)) = (verdict.validity, &verdict.unknown) {
        rows.push(["undecided".to_owned(), why.clone()]);
    }
    align(&rows.into_iter().map(Vec::from).collect::<Vec<_>>(), "  ")
}

fn anomaly(anomaly: &Anomaly) -> AnomalyLine<'_> {
    AnomalyLine {
        name: &anomaly.name,
        message: &anomaly.message,
        operations: anomaly.witness.iter().map(operation).collect(),
    }
}

fn operation(operation: &Operation) -> OperationLine<'_> {
    let moment = |stamp: Stamp| Moment { index: stamp.index, ns: stamp.time };
    OperationLine {
        process: operation.process,
        f: &operation.f,
        value: &operation.input,
        output: (operation.outcome == Outcome::Ok).then_some(&operation.output),
        outcome: match operation.outcome {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        },
        call: moment(operation.call),
        returned: operation.end.map(moment),
    }
}

/// What the engine kept at its peak, as it estimates it.
fn engine_bytes(verdict: &Verdict) -> Option<u64> {
    let figure = |name| verdict.figures.get(name).and_then(Json::as_u64);
    figure("engine_bytes").or_else(|| figure("kept_bytes"))
}

fn counted(judged: &Judged, name: &str) -> u64 {
    let statistics = judged.coverage.iter().find(|verdict| verdict.checker == "statistics");
    statistics.and_then(|verdict| verdict.figures.get(name)).and_then(Json::as_u64).unwrap_or(0)
}
