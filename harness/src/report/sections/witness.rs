//! The witness of each anomaly: the sentence, the operations as a timeline, and the same as a table.
//!
//! The drawing is the checker's; where it made none, it is a timeline of the witness.

use crate::report::data::Data;
use crate::report::{figures, format};
use maud::{Markup, PreEscaped, html};
use tribunal_checkers::{Anomaly, Verdict, timeline};
use tribunal_history::Operation;

/// Rows of the table beyond this are left out, and the page says so.
const ROWS_MAX: usize = 200;
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
            (drawing(anomaly))
            (table(operations))
        }
    }
}

/// The picture. Checkers escape what they draw.
fn drawing(anomaly: &Anomaly) -> Markup {
    let drawn = || timeline::draw(&anomaly.witness, &[]);
    html! {
        figure class="witness wide" {
            (PreEscaped(anomaly.drawing.clone().unwrap_or_else(drawn)))
            figcaption class="note" {
                "Each operation takes effect at one moment between its call (left end) and its return (right end). One of "
                "unknown fate (info, open to the right) never returned: it may take effect at any later time, or never. "
                "Arrows lead from a return to a later call; pauses are not to scale. n = "
                (anomaly.witness.len()) " operations."
            }
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
