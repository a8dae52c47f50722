//! The errors that clients met, by class.

use crate::report::data::Data;
use crate::report::{figures, format};
use maud::{Markup, html};
use serde_json::Value;
use std::cmp::Reverse;

/// Rows beyond this are left out of the page, which says so.
const ROWS_MAX: usize = 200;

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    let mut rows: Vec<&Value> = figures::list(data.judged, "errors", "errors").iter().collect();
    if rows.is_empty() {
        return html! { p { "Clients met no error." } };
    }
    let count = |row: &Value| row.get("count").and_then(Value::as_u64).unwrap_or(0);
    rows.sort_by_key(|row| Reverse(count(row)));
    let text = |row: &Value, name: &str| match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => format!("n{number}"),
        _ => "-".to_owned(),
    };
    html! {
        div class="wide" {
            table {
                thead {
                    tr { @for head in ["error", "outcome", "f", "node", "n"] { th scope="col" { (head) } } }
                }
                @for row in rows.iter().take(ROWS_MAX) {
                    tr {
                        th scope="row" { (text(row, "class")) }
                        @for name in ["outcome", "f", "node"] { td { (text(row, name)) } }
                        td class="number" { (format::count(count(row))) }
                    }
                }
            }
            @if rows.len() > ROWS_MAX { p { "And " (rows.len() - ROWS_MAX) " more; see verdict.json." } }
        }
        p class="note" {
            "fail: the operation surely did not happen. info: it may have happened, or may still."
        }
    }
}
