//! The witness of each anomaly: the sentence, the operations as a timeline, and the same as a table.
//!
//! The timeline shows order, not duration: each call and each return takes one step to the right, since operations of a
//! millisecond that lie seconds apart would not be seen otherwise. That order is what convicts; times are in the table.

use crate::report::chart::decimal;
use crate::report::data::Data;
use crate::report::{figures, format};
use maud::{Markup, html};
use std::collections::BTreeMap;
use tribunal_checkers::{Anomaly, Verdict};
use tribunal_history::{Operation, Outcome, Process};

/// Operations beyond this are left out of the drawing, and the page says so.
const DRAWN_MAX: usize = 30;
/// Rows of the table beyond this are left out, and the page says so.
const ROWS_MAX: usize = 200;
const STEP: f64 = 76.0;
const LANE: f64 = 58.0;
const LEFT: f64 = 96.0;
const TOP: f64 = 30.0;

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    let convicted: Vec<&Verdict> =
        figures::verdicts(data.judged).filter(|verdict| !verdict.anomalies.is_empty()).collect();
    html! {
        @if convicted.is_empty() { p { "There is no anomaly to show." } }
        @for verdict in convicted {
            h3 { (verdict.checker) }
            @for (nth, one) in verdict.anomalies.iter().enumerate() {
                @if nth == 0 {
                    (anomaly(one))
                } @else {
                    details { summary { "Anomaly " (nth + 1) ": " (one.name) (about(one)) } (anomaly(one)) }
                }
            }
            @if verdict.anomalies_more > 0 {
                p { "And " (verdict.anomalies_more) " more anomalies, which the checker counted and did not keep." }
            }
        }
    }
}

fn about(anomaly: &Anomaly) -> String {
    anomaly.key.as_ref().map_or_else(String::new, |key| format!(", key {key}"))
}

fn anomaly(anomaly: &Anomaly) -> Markup {
    let operations = &anomaly.witness;
    html! {
        p class="text" { strong { (anomaly.name) (about(anomaly)) ": " } (anomaly.message) }
        @if !operations.is_empty() {
            (timeline(&operations[..operations.len().min(DRAWN_MAX)], anomaly.key.as_deref()))
            @if operations.len() > DRAWN_MAX {
                p { "Drawn: the first " (DRAWN_MAX) " of " (operations.len()) " operations." }
            }
            (table(operations))
        }
    }
}

fn table(operations: &[Operation]) -> Markup {
    html! {
        div class="wide" {
            table {
                thead {
                    tr {
                        @for head in ["process", "f", "value", "call..return in s", "outcome", "node", "attempts"] {
                            th scope="col" { (head) }
                        }
                    }
                }
                @for operation in operations.iter().take(ROWS_MAX) {
                    tr {
                        td { (operation.process) }
                        td { (operation.f) }
                        td { code { (format::value(operation)) } }
                        td { (format::interval(operation)) }
                        td { (format::outcome(operation)) }
                        td { @if let Some(node) = operation.answered_by { "n" (node) } }
                        td { (operation.attempts) }
                    }
                }
            }
            @if operations.len() > ROWS_MAX {
                p { "And " (operations.len() - ROWS_MAX) " more; see verdict.json." }
            }
        }
    }
}

/// The place of every call and return in their common order, from 0.
struct Order(BTreeMap<u64, usize>);

impl Order {
    fn of(operations: &[Operation]) -> Self {
        let ends = operations.iter().filter_map(|operation| operation.returned());
        let stamps = operations.iter().map(|operation| operation.call).chain(ends);
        let indices: std::collections::BTreeSet<u64> = stamps.map(|stamp| stamp.index).collect();
        Self(indices.into_iter().enumerate().map(|(place, index)| (index, place)).collect())
    }

    fn x(&self, index: u64) -> f64 {
        LEFT + STEP * self.0.get(&index).map_or(0.0, |place| *place as f64)
    }

    /// Where what never returns ends: beyond the last event.
    fn end(&self) -> f64 {
        LEFT + STEP * self.0.len() as f64
    }
}

fn timeline(operations: &[Operation], key: Option<&str>) -> Markup {
    let order = Order::of(operations);
    let processes: std::collections::BTreeSet<Process> =
        operations.iter().map(|operation| operation.process).collect();
    let lanes: BTreeMap<Process, f64> = processes
        .into_iter()
        .enumerate()
        .map(|(lane, process)| (process, TOP + LANE * lane as f64))
        .collect();
    // Room for the label of an operation that begins last.
    let (width, height) = (order.end() + 170.0, TOP + LANE * lanes.len() as f64);
    html! {
        figure class="witness wide" {
            svg viewBox={ "0 0 " (decimal(width)) " " (decimal(height)) } role="img"
                style={ "width:" (decimal(width)) "px;height:" (decimal(height)) "px" }
                aria-label="The operations of the witness in their real-time order" {
                text x="0" y="14" class="note" { "order of calls and returns (not to scale) →" }
                @for (process, y) in &lanes {
                    path class="grid" d={ "M0 " (decimal(y + LANE - 6.0)) "H" (decimal(width)) } {}
                    text x="0" y=(decimal(y + 30.0)) { "process " (process) }
                }
                @for operation in operations {
                    @let y = lanes.get(&operation.process).copied().unwrap_or(TOP);
                    (drawn(operation, key, &order, y))
                }
            }
            figcaption class="note" {
                "Each operation takes effect at one moment between its call (left end) and its return (right end). One of "
                "unknown fate (info) never returned: it may take effect at any later time, or never. n = "
                (operations.len()) " operations."
            }
        }
    }
}

fn drawn(operation: &Operation, key: Option<&str>, order: &Order, y: f64) -> Markup {
    let from = order.x(operation.call.index);
    let returned = operation.returned();
    let to = returned.map_or_else(|| order.end(), |end| order.x(end.index));
    let (value, outcome) = (format::value(operation), format::outcome(operation));
    let label = format!("{} {}", operation.f, abridge(&format::value_without(operation, key)));
    let class = match operation.outcome {
        Outcome::Ok => "ok",
        Outcome::Fail => "fail",
        Outcome::Info => "info",
    };
    html! {
        g class={ "operation " (class) } {
            title {
                "process " (operation.process) ": " (operation.f) " " (value) ", " (format::interval(operation)) " s, "
                (outcome)
                @if let Some(node) = operation.answered_by { ", node n" (node) }
            }
            @if returned.is_some() {
                rect x=(decimal(from)) y=(decimal(y + 20.0)) width=(decimal((to - from).max(4.0))) height="14" rx="3" {}
            } @else {
                path class="open" d={
                    "M" (decimal(to)) " " (decimal(y + 20.0)) "H" (decimal(from)) "v14H" (decimal(to))
                } {}
                text class="note" x=(decimal(to + 4.0)) y=(decimal(y + 32.0)) { "… never returned" }
            }
            text x=(decimal(from)) y=(decimal(y + 14.0)) {
                (label)
                @if operation.outcome != Outcome::Ok { ": " (words_of(operation.outcome)) }
            }
        }
    }
}

fn words_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Fail => "failed",
        Outcome::Info => "fate unknown",
    }
}

/// A value that fits above a bar; the whole stands in the table.
fn abridge(value: &str) -> String {
    const SHOWN: usize = 16;
    if value.chars().count() <= SHOWN {
        return value.to_owned();
    }
    value.chars().take(SHOWN).chain("…".chars()).collect()
}
