//! The errors that clients met, by class, with the nodes that were asked and what was asked of them.

use crate::report::data::Data;
use crate::report::{figures, format};
use maud::{Markup, html};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Rows beyond this are left out of the page, which says so.
const ROWS_MAX: usize = 200;

/// The errors of one class.
#[derive(Default)]
struct Met {
    total: u64,
    by_f: BTreeMap<String, u64>,
    /// Node 0 stands for none.
    by_node: BTreeMap<u64, u64>,
}

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    let rows = figures::list(data.judged, "errors", "errors");
    if rows.is_empty() {
        return html! { p { "Clients met no error." } };
    }
    let mut classes: Vec<((&str, &str), Met)> = classes(rows).into_iter().collect();
    classes.sort_by_key(|(_, met)| Reverse(met.total));
    let nodes: BTreeSet<u64> =
        classes.iter().flat_map(|(_, met)| met.by_node.keys().copied()).collect();
    html! {
        div class="wide" {
            table {
                thead {
                    tr {
                        @for head in ["error", "outcome", "n"] { th scope="col" { (head) } }
                        @for node in &nodes {
                            th scope="col" { @if *node == 0 { "no node" } @else { "n" (node) } }
                        }
                        th scope="col" { "by kind of operation" }
                    }
                }
                @for ((class, outcome), met) in classes.iter().take(ROWS_MAX) {
                    tr {
                        th scope="row" { (class) }
                        td { (outcome) }
                        td class="number" { (format::count(met.total)) }
                        @for node in &nodes {
                            td class="number" { (met.by_node.get(node).map_or_else(|| "-".to_owned(), |n| format::count(*n))) }
                        }
                        td { (kinds(&met.by_f)) }
                    }
                }
            }
            @if classes.len() > ROWS_MAX { p { "And " (classes.len() - ROWS_MAX) " more; see verdict.json." } }
        }
        p class="note" {
            "fail: the operation surely did not happen. info: it may have happened, or may still."
        }
    }
}

/// The rows of the checker by class and outcome.
fn classes(rows: &[Value]) -> BTreeMap<(&str, &str), Met> {
    let mut classes: BTreeMap<(&str, &str), Met> = BTreeMap::new();
    for row in rows {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or("-");
        let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
        let met = classes.entry((text("class"), text("outcome"))).or_default();
        met.total += number("count");
        *met.by_f.entry(text("f").to_owned()).or_default() += number("count");
        *met.by_node.entry(number("node")).or_default() += number("count");
    }
    classes
}

fn kinds(by_f: &BTreeMap<String, u64>) -> String {
    let kinds: Vec<String> =
        by_f.iter().map(|(f, count)| format!("{f} {}", format::count(*count))).collect();
    kinds.join(", ")
}
