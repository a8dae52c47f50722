//! The figures of a judgement by name. A figure that a checker did not give is absent, never zero.

use crate::judge::Judged;
use serde_json::Value;
use tribunal_checkers::Verdict;

/// Every verdict: properties, coverage, figures.
pub(super) fn verdicts(judged: &Judged) -> impl Iterator<Item = &Verdict> {
    judged.properties.iter().chain(&judged.coverage).chain(&judged.figures)
}

/// A figure of a checker.
pub(super) fn figure<'a>(judged: &'a Judged, checker: &str, name: &str) -> Option<&'a Value> {
    verdicts(judged).find(|verdict| verdict.checker == checker)?.figures.get(name)
}

/// A figure that is a number.
pub(super) fn number(judged: &Judged, checker: &str, name: &str) -> Option<f64> {
    figure(judged, checker, name)?.as_f64()
}

/// A figure that is a list; empty if it is absent.
pub(super) fn list<'a>(judged: &'a Judged, checker: &str, name: &str) -> &'a [Value] {
    figure(judged, checker, name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A figure that is a list of numbers.
pub(super) fn numbers(judged: &Judged, checker: &str, name: &str) -> Vec<f64> {
    list(judged, checker, name).iter().filter_map(Value::as_f64).collect()
}

/// Latencies of the operations that succeeded, in us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Quantiles {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl Quantiles {
    /// Reads them; `None` where nothing was measured.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let quantile = |name: &str| value.get(name).and_then(Value::as_f64);
        let count = value.get("count")?.as_u64()?;
        (count > 0).then_some(())?;
        Some(Self {
            count,
            p50: quantile("p50")?,
            p90: quantile("p90")?,
            p99: quantile("p99")?,
            p999: quantile("p999")?,
            max: quantile("max")?,
        })
    }
}

/// The latencies of a run: what they are counted from, and how long.
pub(super) fn latencies(judged: &Judged) -> Vec<(&'static str, Quantiles)> {
    let kinds = [
        ("from_first_byte_us", "from the first byte"),
        ("from_intended_start_us", "from the intended start"),
    ];
    let read = |(name, words): (&str, &'static str)| {
        Some((words, Quantiles::of(figure(judged, "latency", name)?)?))
    };
    kinds.into_iter().filter_map(read).collect()
}

/// What a fault did to the clients, as the checker of availability tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effect {
    /// From the end of the fault to the first success of an operation that began after it, in ms.
    pub(super) recovery_ms: Option<f64>,
    /// The longest time without any success around it, in ms.
    pub(super) without_service_ms: Option<f64>,
    /// Whether the history ended in it, so that the time is a lower bound.
    pub(super) still_without_service: bool,
}

/// The effect of the fault with this number.
pub(super) fn effect(judged: &Judged, id: i64) -> Effect {
    let rows = list(judged, "available", "windows");
    let row = rows.iter().find(|row| row.get("id").and_then(Value::as_i64) == Some(id));
    let get = |name: &str| row.and_then(|row| row.get(name));
    Effect {
        recovery_ms: get("ok_after_end_ms").and_then(Value::as_f64),
        without_service_ms: get("without_service_ms").and_then(Value::as_f64),
        still_without_service: get("still_without_service")
            .and_then(Value::as_bool)
            .unwrap_or(false),
    }
}
