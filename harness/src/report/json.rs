//! `verdict.json`: the verdict for machines.
//!
//! Version 1: `version`, `verdict`, `properties`, `coverage`, `figures` (lists of verdicts), `health`, `windows`,
//! `history_cut`, `command`, `simulated` (not of real processes). Times are ns since the start of the run, figures have their unit last in the name.

use super::words;
use crate::judge::Judged;
use serde_json::{Value, json};
use tribunal_checkers::{Anomaly, Verdict, Window};
use tribunal_history::{Operation, Outcome};

/// The version of the format.
const VERSION: u32 = 1;

/// The machine-readable verdict: `verdict.json`, and what `--json` prints.
#[must_use]
pub fn verdict_json(judged: &Judged) -> Value {
    let list = |verdicts: &[Verdict]| verdicts.iter().map(verdict).collect::<Vec<_>>();
    let mut json = json!({
        "version": VERSION,
        "verdict": judged.validity,
        "properties": list(&judged.properties),
        "coverage": list(&judged.coverage),
        "figures": list(&judged.figures),
        "health": judged.health,
        "windows": judged.windows.iter().map(window).collect::<Vec<_>>(),
        "history_cut": judged.history_cut,
        "command": words::bare_command(judged),
    });
    if let Some(simulated) = &judged.environment.simulated {
        json["simulated"] = json!(simulated);
    }
    json
}

fn verdict(verdict: &Verdict) -> Value {
    json!({
        "checker": verdict.checker,
        "verdict": verdict.validity,
        "complete": verdict.complete,
        "engine": verdict.engine,
        "anomalies": verdict.anomalies.iter().map(anomaly).collect::<Vec<_>>(),
        "anomalies_more": verdict.anomalies_more,
        "unknown": verdict.unknown,
        "figures": verdict.figures,
    })
}

fn anomaly(anomaly: &Anomaly) -> Value {
    json!({
        "name": anomaly.name,
        "message": anomaly.message,
        "key": anomaly.key,
        "operations": anomaly.witness.iter().map(operation).collect::<Vec<_>>(),
    })
}

fn operation(operation: &Operation) -> Value {
    json!({
        "process": operation.process,
        "f": operation.f,
        "value": operation.input,
        "result": operation.output,
        "type": match operation.outcome {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        },
        "error": operation.error,
        "node": operation.answered_by,
        "attempts": operation.attempts,
        "phase": operation.phase,
        "invoke_index": operation.call.index,
        "invoke_time": operation.call.time,
        "complete_index": operation.end.map(|end| end.index),
        "complete_time": operation.end.map(|end| end.time),
    })
}

fn window(window: &Window) -> Value {
    json!({
        "id": window.id,
        "fault": window.fault,
        "spec": window.spec,
        "start": window.start,
        "end": window.end,
        "targets": window.targets,
        "down": window.down,
        "cut": window.cut,
        "outcome": window.outcome,
        "why": window.why,
        "evidence": window.evidence,
        "bit": window.bit,
    })
}
