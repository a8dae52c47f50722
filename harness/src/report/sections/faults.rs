//! The faults: what was done, whether it bit, and what it did to the clients.

use crate::report::data::Data;
use crate::report::{figures, format, words};
use maud::{Markup, html};
use tribunal_checkers::Window;

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    let windows = &data.judged.windows;
    if windows.is_empty() {
        return html! { p { "No fault was injected." } };
    }
    let heads = [
        "",
        "fault",
        "targets",
        "from..to",
        "outcome",
        "bit",
        "evidence",
        "recovered after",
        "without service",
    ];
    html! {
        div class="wide" {
            table {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                @for window in windows { (row(data, window)) }
            }
        }
        p class="note" {
            "Recovered after: from the end of the fault to the first success of an operation that began after it. "
            "Without service: the longest time without any success, anywhere, around the fault. n = " (windows.len())
            " faults. schedule.json holds them all, with those that a run cut short did not reach."
        }
    }
}

fn row(data: &Data<'_>, window: &Window) -> Markup {
    let effect = figures::effect(data.judged, window.id);
    let millis = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format::micros(ms * 1e3));
    html! {
        tr {
            td class="number" { "#" (window.id) }
            td { (words::fault(window)) }
            td { (format::nodes(&window.targets)) }
            td class="whole" { (words::span(window)) }
            td { (words::outcome(window)) @if !window.why.is_empty() { ": " (window.why) } }
            td { (words::bit(window)) }
            td { (window.evidence) }
            td class="number" { (millis(effect.recovery_ms)) }
            td class="number" {
                @if effect.still_without_service { "at least " }
                (millis(effect.without_service_ms))
            }
        }
    }
}
