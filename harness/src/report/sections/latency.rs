//! Latency over time: single operations, and the quantiles of each second, on a logarithmic scale.

use crate::report::chart::{Chart, Hint, Scale, dots, line, x};
use crate::report::data::Data;
use crate::report::figures;
use crate::report::format;
use crate::report::timeline::{POINTS_MAX, Quantiles};
use maud::{Markup, html};

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    let timeline = &data.timeline;
    if timeline.ok_count == 0 {
        return html! { p { "No operation succeeded, so no latency was measured." } };
    }
    html! {
        (chart(data))
        (table(data))
        p class="note" {
            "From the first byte: what the system is answerable for. From the intended start: with the time that an "
            "operation of an open loop waited for a free client (no coordinated omission). Operations that failed or "
            "whose fate is unknown have no latency here."
        }
    }
}

fn chart(data: &Data<'_>) -> Markup {
    let timeline = &data.timeline;
    let sampled = timeline.points.iter().map(|point| point.latency_ns as f64 / 1e3);
    let quantiles = timeline.latency.iter().flat_map(|second| [second.p50_us, second.max_us]);
    let scale = Scale::log(sampled.chain(quantiles));
    let at = |time_s: f64, us: f64| (x(time_s, data.end_s), scale.y(us));
    let middle = |second: &Quantiles| second.second as f64 + 0.5;
    let over_time = |read: fn(&Quantiles) -> f64| {
        let mut last = None;
        let points = timeline.latency.iter().flat_map(move |second| {
            // A second without success leaves a gap.
            let gap = last.is_some_and(|last| second.second > last + 1);
            last = Some(second.second);
            let point = Some(at(middle(second).min(data.end_s), read(second)));
            [gap.then_some(None), Some(point)].into_iter().flatten()
        });
        line(points)
    };
    let points = timeline.points.iter();
    let points = points.map(|point| at(point.end_ns as f64 / 1e9, point.latency_ns as f64 / 1e3));
    let marks = html! {
        path class="dot" d=(dots(points)) {}
        path class="mark most" d=(over_time(|second| second.max_us)) {}
        path class="mark s2" d=(over_time(|second| second.p99_us)) {}
        path class="mark s1" d=(over_time(|second| second.p50_us)) {}
    };
    let count = format::count(timeline.ok_count);
    let drawn = if timeline.ok_count > POINTS_MAX as u64 {
        format!(
            "points: a uniform sample of {} of n = {count} successes",
            format::count(POINTS_MAX as u64)
        )
    } else {
        format!("points: all n = {count} successes")
    };
    let key = |class: &str, label: &str| (class.to_owned(), label.to_owned());
    Chart {
        title: "Latency from the first byte (us to s, logarithmic)",
        note: format!("{drawn}, at their completion; lines: quantiles by second, of all"),
        end_s: data.end_s,
        windows: &data.judged.windows,
        ticks: scale.ticks(|us| format::micros(us).replace(".00", "").replace(".0", "")),
        legend: vec![key("s1", "p50"), key("s2", "p99"), key("most", "slowest")],
        marks,
        hints: hints(&timeline.latency),
        height: 280,
    }
    .draw()
}

fn hints(seconds: &[Quantiles]) -> Vec<Hint> {
    let hint = |second: &Quantiles| Hint {
        from_s: second.second as f64,
        to_s: second.second as f64 + 1.0,
        text: format!(
            "second {}: p50 {}, p99 {}, max {} (n = {})",
            second.second,
            format::micros(second.p50_us),
            format::micros(second.p99_us),
            format::micros(second.max_us),
            format::count(second.count)
        ),
    };
    seconds.iter().map(hint).collect()
}

fn table(data: &Data<'_>) -> Markup {
    let judged = data.judged;
    let mut rows: Vec<(String, figures::Quantiles)> = figures::latencies(judged)
        .into_iter()
        .map(|(from, quantiles)| (format!("all, {from}"), quantiles))
        .collect();
    let by_f = figures::figure(judged, "latency", "from_first_byte_by_f_us");
    for (f, value) in by_f.and_then(serde_json::Value::as_object).into_iter().flatten() {
        rows.extend(
            figures::Quantiles::of(value).map(|one| (format!("{f}, from the first byte"), one)),
        );
    }
    html! {
        div class="wide" {
            table {
                thead {
                    tr {
                        @for head in ["latency", "n", "p50", "p90", "p99", "p99.9", "max"] { th scope="col" { (head) } }
                    }
                }
                @for (name, one) in rows {
                    tr {
                        th scope="row" { (name) }
                        td class="number" { (format::count(one.count)) }
                        @for us in [one.p50, one.p90, one.p99, one.p999, one.max] {
                            td class="number" { (format::micros(us)) }
                        }
                    }
                }
            }
        }
    }
}
