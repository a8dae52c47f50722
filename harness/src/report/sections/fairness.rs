//! How load was shared: first picks and successes by node against the intended shares, and how a balancer left nodes that
//! were down and returned to them.

use crate::report::chart::decimal;
use crate::report::data::Data;
use crate::report::{figures, format};
use maud::{Markup, html};
use serde_json::Value;

/// Outages beyond this are left out of the page, which says so.
const OUTAGES_MAX: usize = 100;

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    let list = |name| figures::numbers(data.judged, "fairness", name);
    let picks = list("first_picks_by_node_count");
    if picks.iter().sum::<f64>() == 0.0 {
        return html! { p { "No node was picked, so there is nothing to share." } };
    }
    let columns = Columns {
        intended: list("intended_shares"),
        undisturbed: list("undisturbed_picks_by_node_count"),
        successes: list("successes_by_node_count"),
        picks,
    };
    html! {
        (columns.draw())
        (measures(data))
        (outages(figures::list(data.judged, "fairness", "outages")))
    }
}

/// Lists by node.
struct Columns {
    intended: Vec<f64>,
    picks: Vec<f64>,
    undisturbed: Vec<f64>,
    successes: Vec<f64>,
}

impl Columns {
    fn draw(&self) -> Markup {
        let total: f64 = self.picks.iter().sum();
        let largest =
            self.picks.iter().map(|count| count / total).chain(self.intended.iter().copied());
        let largest = largest.fold(0.0, f64::max);
        let cell =
            |list: &[f64], place: usize| list.get(place).map(|number| format::amount(*number));
        html! {
            div class="wide" {
                table {
                    thead {
                        tr {
                            th scope="col" { "node" }
                            th scope="col" { "share of first picks (mark: intended)" }
                            @for head in ["first picks", "undisturbed", "successes", "intended"] {
                                th scope="col" { (head) }
                            }
                        }
                    }
                    @for (place, count) in self.picks.iter().enumerate() {
                        @let intended = self.intended.get(place);
                        tr {
                            th scope="row" { "n" (place + 1) }
                            td { (share(count / total, intended.copied(), largest)) }
                            td class="number" { (format::amount(*count)) }
                            td class="number" { (cell(&self.undisturbed, place).unwrap_or_default()) }
                            td class="number" { (cell(&self.successes, place).unwrap_or_default()) }
                            td class="number" { @if let Some(share) = intended { (decimal(100.0 * share)) " %" } @else { "-" } }
                        }
                    }
                }
            }
            p class="note" {
                "n = " (format::amount(total)) " first picks. Undisturbed: while no fault was in effect, nor shortly after "
                "one, since a balancer that leaves a failing node is right to deviate. Final reads and probes ask nodes on "
                "purpose and do not count."
            }
        }
    }
}

fn share(share: f64, intended: Option<f64>, largest: f64) -> Markup {
    let percent = |share: f64| decimal(100.0 * share / largest);
    html! {
        div class="share" {
            div class="track" {
                div class="fill" style={ "width:" (percent(share)) "%" } {}
                @if let Some(intended) = intended {
                    div class="goal" style={ "left:" (percent(intended)) "%" } {}
                }
            }
            span { (decimal(100.0 * share)) " %" }
        }
    }
}

fn measures(data: &Data<'_>) -> Markup {
    let names = [
        ("first_picks_jain", "Jain's index of first picks (1 is even)"),
        ("first_picks_max_over_mean", "first picks: max / mean (1 is even)"),
        ("successes_jain", "Jain's index of successes"),
        ("successes_max_over_mean", "successes: max / mean"),
        ("deviation_max_share", "largest deviation of an undisturbed share from the intended one"),
        ("chi_square_p", "chi-square p value of undisturbed picks (independent draws only)"),
        (
            "picks_of_unserving_nodes_share",
            "share of first picks that went to nodes down or cut off",
        ),
        ("clients_jain", "Jain's index of successes by client"),
        ("clients_max_over_mean", "successes by client: max / mean"),
    ];
    let row = |(name, words)| Some((words, figures::number(data.judged, "fairness", name)?));
    html! {
        div class="wide" {
            table {
                @for (words, value) in names.into_iter().filter_map(row) {
                    tr { th scope="row" { (words) } td class="number" { (format!("{value:.4}")) } }
                }
            }
        }
    }
}

fn outages(rows: &[Value]) -> Markup {
    let millis = |row: &Value, name: &str| {
        let ms = row.get(name).and_then(Value::as_f64);
        ms.map_or_else(|| "-".to_owned(), |ms| format::micros(ms * 1e3))
    };
    let number = |row: &Value, name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
    let heads = [
        "node",
        "down or cut off from",
        "to",
        "picks meanwhile",
        "last picked after",
        "picked again after",
    ];
    html! {
        @if !rows.is_empty() {
            h3 { "How the balancer left nodes and returned" }
            div class="wide" {
                table {
                    thead { tr { @for head in heads { th scope="col" { (head) } } } }
                    @for row in rows.iter().take(OUTAGES_MAX) {
                        tr {
                            th scope="row" { "n" (number(row, "node")) }
                            td class="number" { (millis(row, "start_ms")) }
                            td class="number" { (millis(row, "end_ms")) }
                            td class="number" { (format::count(number(row, "picks_count"))) }
                            td class="number" { (millis(row, "left_after_ms")) }
                            td class="number" { (millis(row, "returned_after_ms")) }
                        }
                    }
                }
                @if rows.len() > OUTAGES_MAX { p { "And " (rows.len() - OUTAGES_MAX) " more; see verdict.json." } }
            }
        }
    }
}
