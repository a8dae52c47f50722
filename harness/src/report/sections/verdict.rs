//! The verdict first: large, coloured and worded. Unknown is as loud as invalid.

use crate::judge::Judged;
use crate::report::data::Data;
use crate::report::{figures, numbers, words};
use maud::{Markup, html};
use tribunal_checkers::{Anomaly, Verdict};

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    let judged = data.judged;
    html! {
        div class={ "banner " (judged.validity) } {
            p class="word" { (words::loud(judged.validity)) }
            p { (words::headline(judged)) }
            @if let Some(anomaly) = convicting(judged) { p class="text" { (anomaly.message) } }
        }
        h3 { "Properties of the system" }
        (table(&judged.properties, words::sentence))
        h3 { "Coverage: what the run has to have tried" }
        (table(&judged.coverage, words::covered))
        h3 { "The figures that matter" }
        div class="wide" {
            table {
                @for (name, sentence) in numbers::rows(judged) {
                    tr { th scope="row" { (name) } td { (sentence) } }
                }
            }
        }
    }
}

/// The first anomaly of the first property that was violated.
fn convicting(judged: &Judged) -> Option<&Anomaly> {
    figures::verdicts(judged).find_map(|verdict| verdict.anomalies.first())
}

fn table(verdicts: &[Verdict], sentence: fn(&Verdict) -> String) -> Markup {
    html! {
        div class="wide" {
            table {
                @for verdict in verdicts {
                    tr {
                        th scope="row" { (verdict.checker) }
                        td { span class={ "badge " (verdict.validity) } { (words::loud(verdict.validity)) } }
                        td class="text" {
                            (sentence(verdict))
                            @if let Some(engine) = &verdict.engine { " (engine: " (engine) ")" }
                            @if words::more(verdict) > 0 { " (and " (words::more(verdict)) " more anomalies)" }
                        }
                    }
                }
            }
            @if verdicts.is_empty() { p { "None was judged." } }
        }
    }
}
