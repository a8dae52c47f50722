//! Throughput by outcome over time, stacked.

use crate::report::chart::{Chart, Hint, SPAN, Scale, bar, x};
use crate::report::data::Data;
use crate::report::format;
use crate::report::timeline::Outcomes;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Columns beyond this are joined, so that the page of a long run stays small.
const COLUMNS_MAX: u64 = 600;

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    let total: u64 = data.timeline.outcomes.values().map(|outcomes| outcomes.total()).sum();
    if total == 0 {
        return html! { p { "No operation was invoked." } };
    }
    let width_s = (data.end_s.ceil() as u64).div_ceil(COLUMNS_MAX).max(1);
    let columns = columns(data, width_s);
    let rate = |count: u64| count as f64 / width_s as f64;
    let scale = Scale::linear(columns.values().map(|outcomes| rate(outcomes.total())));
    let stack = |below: fn(&Outcomes) -> u64, this: fn(&Outcomes) -> u64| {
        let draw = |(column, outcomes): (&u64, &Outcomes)| {
            let from = x((column * width_s) as f64, data.end_s);
            let to = x(((column + 1) * width_s) as f64, data.end_s);
            let top = scale.y(rate(below(outcomes) + this(outcomes)));
            let bottom = scale.y(rate(below(outcomes)));
            (this(outcomes) > 0).then(|| bar(from, top, to - from, (bottom - top).min(SPAN)))
        };
        columns.iter().filter_map(draw).collect::<String>()
    };
    let marks = html! {
        path class="bar ok" d=(stack(|_| 0, |one| one.ok)) {}
        path class="bar info" d=(stack(|one| one.ok, |one| one.info)) {}
        path class="bar fail" d=(stack(|one| one.ok + one.info, |one| one.fail)) {}
    };
    let key = |class: &str, label: &str| (class.to_owned(), label.to_owned());
    Chart {
        title: "Operations per second by outcome",
        note: format!(
            "n = {} operations, by the second of their completion{}",
            format::count(total),
            if width_s > 1 { format!(", mean of {width_s} s") } else { String::new() }
        ),
        end_s: data.end_s,
        windows: &data.judged.windows,
        ticks: scale.ticks(format::amount),
        legend: vec![
            key("ok", "ok"),
            key("info", "info (fate unknown)"),
            key("fail", "fail (surely did not happen)"),
        ],
        marks,
        hints: hints(&columns, width_s),
        height: 200,
    }
    .draw()
}

/// Outcomes by columns of so many seconds.
fn columns(data: &Data<'_>, width_s: u64) -> BTreeMap<u64, Outcomes> {
    let mut columns: BTreeMap<u64, Outcomes> = BTreeMap::new();
    for (second, outcomes) in &data.timeline.outcomes {
        columns.entry(second / width_s).or_default().add(*outcomes);
    }
    columns
}

fn hints(columns: &BTreeMap<u64, Outcomes>, width_s: u64) -> Vec<Hint> {
    let hint = |(column, outcomes): (&u64, &Outcomes)| {
        let from = column * width_s;
        let Outcomes { ok, fail, info } = *outcomes;
        Hint {
            from_s: from as f64,
            to_s: (from + width_s) as f64,
            text: format!("{from} to {} s: {ok} ok, {info} info, {fail} fail", from + width_s),
        }
    };
    columns.iter().map(hint).collect()
}
