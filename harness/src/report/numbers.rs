//! The figures that matter, one sentence each: the same on the terminal, in the summary and on the page.

use super::figures::{self, Quantiles};
use super::{format, words};
use crate::judge::Judged;
use serde_json::Value;
use std::fmt::Write;

/// Name and sentence of each; what was not measured is left out.
pub(super) fn rows(judged: &Judged) -> Vec<(&'static str, String)> {
    let mut rows = vec![("operations", operations(judged))];
    for (from, quantiles) in figures::latencies(judged) {
        rows.push(("latency", latency(from, quantiles)));
    }
    rows.extend(fairness(judged).map(|text| ("fairness", text)));
    rows.extend(recovery(judged).map(|text| ("recovery", text)));
    let severity = figures::list(judged, "severity", "lines").iter().filter_map(Value::as_str);
    rows.extend(severity.map(|line| ("how bad", line.to_owned())));
    rows.push(match words::simulated(judged) {
        Some(text) => ("simulated", text),
        None => ("harness", health(judged)),
    });
    rows
}

/// Operations by outcome, and their rate.
fn operations(judged: &Judged) -> String {
    let statistic = |name| figures::number(judged, "statistics", name);
    let count = |name| statistic(name).map_or_else(|| "?".to_owned(), format::amount);
    let mut text = format!(
        "{}: {} ok, {} fail, {} info",
        count("operations_count"),
        count("ok_count"),
        count("fail_count"),
        count("info_count")
    );
    if let (Some(rate), Some(duration)) = (statistic("ok_rate_per_s"), statistic("duration_s")) {
        let _written = write!(text, "; {} ok/s over {duration:.1} s", format::amount(rate));
    }
    text
}

fn latency(from: &str, quantiles: Quantiles) -> String {
    let Quantiles { count, p50, p90, p99, p999: _, max } = quantiles;
    format!(
        "p50 {}, p90 {}, p99 {}, max {} {from} (n = {})",
        format::micros(p50),
        format::micros(p90),
        format::micros(p99),
        format::micros(max),
        format::count(count)
    )
}

/// Shares of first picks and how even they are; `None` if nothing was picked.
fn fairness(judged: &Judged) -> Option<String> {
    let picks = figures::numbers(judged, "fairness", "first_picks_by_node_count");
    let total: f64 = picks.iter().sum();
    if total == 0.0 {
        return None;
    }
    let share =
        |(place, count): (usize, &f64)| format!("n{} {:.1} %", place + 1, 100.0 * count / total);
    let shares: Vec<String> = picks.iter().enumerate().map(share).collect();
    let mut text = format!("first picks {} (n = {})", shares.join(", "), format::amount(total));
    let number = |name| figures::number(judged, "fairness", name);
    let rest = [("Jain's index", "first_picks_jain"), ("max/mean", "first_picks_max_over_mean")];
    for (words, name) in rest {
        if let Some(value) = number(name) {
            text.push_str(&format!(", {words} {value:.3}"));
        }
    }
    if let Some(share) = number("picks_of_unserving_nodes_share") {
        text.push_str(&format!(", {:.1} % asked of nodes down or cut off", 100.0 * share));
    }
    Some(text)
}

/// The slowest node to answer again after the last healing.
fn recovery(judged: &Judged) -> Option<String> {
    let by_node = figures::figure(judged, "recovers", "first_ok_by_node_ms")?.as_object()?;
    let slowest = by_node.values().map(Value::as_f64).collect::<Option<Vec<f64>>>()?;
    let slowest = slowest.into_iter().reduce(f64::max)?;
    let healed = judged.windows.iter().any(|window| window.end.is_some());
    healed.then(|| {
        format!(
            "every node answered again within {} of the last healing (n = {} nodes)",
            format::micros(slowest * 1e3),
            by_node.len()
        )
    })
}

/// The health of the harness.
fn health(judged: &Judged) -> String {
    let health = &judged.health;
    let mut text = format!(
        "timers at most {} ms late, slowest write of the history {} ms, memory {}",
        health.timer_lag_ms_max,
        health.history_write_ms_max,
        format::bytes(health.controller_memory_bytes as f64)
    );
    let count = figures::number(judged, "statistics", "operations_count");
    if let Some(count) = count.filter(|count| *count > 0.0) {
        let each = health.controller_cpu_us as f64 / count;
        text.push_str(&format!(", processor time {each:.0} us an operation"));
    }
    let not_asked = health.arrivals_shed + health.arrivals_without_session;
    if not_asked > 0 {
        text.push_str(&format!("; {} operations were NOT ASKED: ", format::count(not_asked)));
        text.push_str(&format!(
            "{} found every client busy, ",
            format::count(health.arrivals_shed)
        ));
        text.push_str(&format!("{} no session", format::count(health.arrivals_without_session)));
    }
    if health.starved().is_some() {
        text.push_str("; STARVED, so that limits of time cannot convict");
    }
    text
}
