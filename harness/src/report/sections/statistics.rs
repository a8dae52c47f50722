//! Operations by kind and outcome, and every other figure that a checker gave.

use crate::report::data::Data;
use crate::report::{figures, format};
use maud::{Markup, html};
use serde_json::Value;
use tribunal_checkers::Verdict;

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    let by_f = figures::figure(data.judged, "statistics", "by_f_count").and_then(Value::as_object);
    let count = |counts: &Value, name: &str| counts.get(name).and_then(Value::as_u64).unwrap_or(0);
    html! {
        div class="wide" {
            table {
                thead { tr { @for head in ["f", "ok", "fail", "info", "n"] { th scope="col" { (head) } } } }
                @for (f, counts) in by_f.into_iter().flatten() {
                    @let cells = ["ok", "fail", "info"].map(|name| count(counts, name));
                    tr {
                        th scope="row" { (f) }
                        @for cell in cells { td class="number" { (format::count(cell)) } }
                        td class="number" { (format::count(cells.iter().sum())) }
                    }
                }
            }
        }
        h3 { "All single figures" }
        @for verdict in figures::verdicts(data.judged) { (scalars(verdict)) }
    }
}

/// The figures of a checker that are single values; lists and tables stand in verdict.json.
fn scalars(verdict: &Verdict) -> Markup {
    let text = |value: &Value| match value {
        Value::Number(number) => {
            Some(number.as_f64().map_or_else(|| number.to_string(), format::amount))
        }
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let rows: Vec<(&String, String)> =
        verdict.figures.iter().filter_map(|(name, value)| Some((name, text(value)?))).collect();
    html! {
        @if !rows.is_empty() {
            details {
                summary { (verdict.checker) " (" (rows.len()) ")" }
                div class="wide" {
                    table {
                        @for (name, value) in rows {
                            tr { th scope="row" { (name) } td class="number" { (value) } }
                        }
                    }
                }
            }
        }
    }
}
