//! Load by node over time, and who led.

use crate::report::chart::{Chart, Hint, SPAN, Scale, Tick, bar, line, x};
use crate::report::data::Data;
use crate::report::format;
use crate::report::load::{METRICS, Metric, Spell, Stretch, spells};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Stretches of a line beyond this are joined, so that the page of a long run stays small.
const STRETCHES_MAX: usize = 500;

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    if data.judged.environment.simulated.is_some() {
        return html! { p { "The nodes were simulated: they took no processor time and no memory of their own." } };
    }
    if data.samples.is_empty() {
        return html! { p { "There is no metrics.jsonl, so nothing is known of the nodes' load." } };
    }
    // A system that does not count something shows no chart of it.
    let series: Vec<(&Metric, Load)> = METRICS
        .iter()
        .map(|metric| (metric, metric.stretches(&data.samples, STRETCHES_MAX)))
        .filter(|(_, load)| load.values().flatten().any(|stretch| stretch.amount > Some(0.0)))
        .collect();
    html! {
        (roles(data))
        @for (metric, load) in &series { (chart(data, metric, load)) }
        (totals(data, &series))
    }
}

type Load = BTreeMap<u32, Vec<Stretch>>;

/// Colour and dashes of a node.
fn class(node: u32) -> String {
    format!("node{}", (node.saturating_sub(1)) % 9 + 1)
}

fn chart(data: &Data<'_>, metric: &Metric, load: &Load) -> Markup {
    let rates = load.values().flatten().filter_map(|stretch| stretch.rate());
    let scale = Scale::linear(rates);
    let points = |stretches: &[Stretch]| {
        line(stretches.iter().map(|stretch| {
            let middle = f64::midpoint(stretch.from_s, stretch.to_s);
            stretch.rate().map(|rate| (x(middle, data.end_s), scale.y(rate)))
        }))
    };
    let marks = html! {
        @for (node, stretches) in load {
            path class={ "mark " (class(*node)) } d=(points(stretches)) {}
        }
    };
    let samples = data.samples.len();
    Chart {
        title: metric.title,
        note: format!(
            "n = {} samples a node; a node that did not answer leaves a gap",
            format::count(samples as u64)
        ),
        end_s: data.end_s,
        windows: &data.judged.windows,
        ticks: scale.ticks(format::amount),
        legend: load.keys().map(|node| (class(*node), format!("n{node}"))).collect(),
        marks,
        hints: hints(load),
        height: 150,
    }
    .draw()
}

fn hints(load: &Load) -> Vec<Hint> {
    let first = load.values().next().map_or(&[][..], Vec::as_slice);
    let text = |place: usize| {
        let rate = |(node, stretches): (&u32, &Vec<Stretch>)| {
            let rate = stretches.get(place).copied().and_then(Stretch::rate);
            format!("n{node} {}", rate.map_or_else(|| "-".to_owned(), format::amount))
        };
        load.iter().map(rate).collect::<Vec<_>>().join(", ")
    };
    let hint = |(place, stretch): (usize, &Stretch)| Hint {
        from_s: stretch.from_s,
        to_s: stretch.to_s,
        text: format!("{:.1} to {:.1} s: {}", stretch.from_s, stretch.to_s, text(place)),
    };
    first.iter().enumerate().map(hint).collect()
}

/// The strip of roles: a lane a node.
fn roles(data: &Data<'_>) -> Markup {
    let spells = spells(&data.samples, data.end_s);
    let lanes = spells.len() as f64;
    let place = |lane: usize| SPAN * (lane as f64 + 0.15) / lanes;
    let draw = |lane: usize, spell: &Spell| {
        let (from, to) = (x(spell.from_s, data.end_s), x(spell.to_s, data.end_s));
        bar(from, place(lane), to - from, SPAN * 0.7 / lanes)
    };
    let mut states: Vec<&str> = spells.values().flatten().map(|spell| &*spell.state).collect();
    states.sort_unstable();
    states.dedup();
    let marks = html! {
        @for (lane, spells) in spells.values().enumerate() {
            @for spell in spells {
                path class={ "bar " (role(&spell.state)) } d=(draw(lane, spell)) {
                    title { (spell.state) " from " (format!("{:.1}", spell.from_s)) " to " (format!("{:.1}", spell.to_s)) " s" }
                }
            }
        }
    };
    let tick = |(lane, node): (usize, &u32)| Tick {
        place: 1.0 - (lane as f64 + 0.5) / lanes,
        label: format!("n{node}"),
    };
    Chart {
        title: "Roles, by node",
        note: format!(
            "what each node said of itself, n = {} samples a node; silent: it runs and does not answer",
            format::count(data.samples.len() as u64)
        ),
        end_s: data.end_s,
        windows: &data.judged.windows,
        ticks: spells.keys().enumerate().map(tick).collect(),
        legend: states.into_iter().map(|state| (role(state).to_owned(), state.to_owned())).collect(),
        marks,
        hints: Vec::new(),
        height: 30 + 22 * u32::try_from(spells.len()).unwrap_or(1),
    }
    .draw()
}

/// The class of a role. One that is not known here looks like a follower.
fn role(state: &str) -> &'static str {
    match state {
        "leader" => "leader",
        "candidate" => "candidate",
        "down" => "down",
        "silent" => "silent",
        _ => "follower",
    }
}

fn totals(data: &Data<'_>, series: &[(&Metric, Load)]) -> Markup {
    let nodes: Vec<u32> = spells(&data.samples, data.end_s).into_keys().collect();
    let sum = |load: &Load, node: u32| {
        let stretches = load.get(&node).map_or(&[][..], Vec::as_slice);
        stretches.iter().filter_map(|stretch| stretch.amount).sum::<f64>()
    };
    let memory = |node: u32| {
        let samples = data.samples.iter().flat_map(|sample| &sample.nodes);
        let bytes = samples.filter(|one| one.node == node).map(|one| one.memory_bytes).max();
        format::bytes(bytes.unwrap_or(0) as f64)
    };
    html! {
        div class="wide" {
            table {
                thead {
                    tr {
                        th scope="col" { "in all" }
                        @for (metric, _) in series { th scope="col" { (metric.name) } }
                        th scope="col" { "memory at most" }
                    }
                }
                @for node in nodes {
                    tr {
                        th scope="row" { "n" (node) }
                        @for (_, load) in series { td class="number" { (format::amount(sum(load, node))) } }
                        td class="number" { (memory(node)) }
                    }
                }
            }
        }
        p class="note" {
            "Sums over the samples: what a node did between its last answer and its end is not in them."
        }
    }
}
