//! What each fault window did to the clients: outcomes during it, and the time without service around it.
//!
//! Folded as the history goes: a window is looked at from its start until an operation that began after its end succeeds.
//! Time without service is the longest stretch between two successes that overlaps the window.

use crate::statistics::Counts;
use serde::Serialize;
use serde_json::json;
use tribunal_history::{Event, Operation, Outcome, Value};

/// The windows of a run.
#[derive(Debug, Default)]
pub(crate) struct WindowFigures {
    /// Those that are still looked at.
    open: Vec<Effect>,
    closed: Vec<Effect>,
    last_ok_ns: u64,
}

/// What one window did.
#[derive(Clone, Debug, Default)]
struct Effect {
    id: i64,
    fault: String,
    start_index: u64,
    start_ns: u64,
    /// Index and time.
    end: Option<(u64, u64)>,
    counts: Counts,
    /// The end of the first operation that began after the start and succeeded.
    ok_after_start_ns: Option<u64>,
    /// The same after the end.
    ok_after_end_ns: Option<u64>,
    /// When service was last seen, from the last success before the window.
    last_ok_ns: u64,
    gap_ns: u64,
}

/// How it is printed.
#[derive(Serialize)]
struct Row<'a> {
    id: i64,
    fault: &'a str,
    start_ms: f64,
    end_ms: Option<f64>,
    ok: u64,
    fail: u64,
    info: u64,
    ok_after_start_ms: Option<f64>,
    ok_after_end_ms: Option<f64>,
    without_service_ms: f64,
    /// Whether the history ended without service: then the time without it is a lower bound.
    still_without_service: bool,
}

impl WindowFigures {
    /// Takes an event of the nemesis.
    pub(crate) fn nemesis(&mut self, event: &Event) {
        let Value::Map(map) = &event.value else { return };
        let get = |key: &str| map.iter().find(|(k, _)| k.as_text() == Some(key)).map(|(_, v)| v);
        let text = |key| get(key).and_then(Value::as_text);
        let Some(id) = get("id").and_then(Value::as_int) else { return };
        if text("outcome") == Some("skipped") {
            return;
        }
        if text("at") == Some("start") {
            self.open.push(Effect {
                id,
                fault: event.f.to_string(),
                start_index: event.index,
                start_ns: event.time,
                last_ok_ns: self.last_ok_ns,
                ..Effect::default()
            });
        } else if let Some(effect) = self.open.iter_mut().find(|effect| effect.id == id) {
            effect.end = Some((event.index, event.time));
        }
    }

    /// Takes an operation that completed.
    pub(crate) fn operation(&mut self, operation: &Operation) {
        let Some(end) = operation.end else { return };
        for effect in &mut self.open {
            effect.take(operation, end.time);
        }
        if operation.outcome == Outcome::Ok {
            self.last_ok_ns = end.time;
            let over = |effect: &mut Effect| effect.ok_after_end_ns.is_some();
            self.closed.extend(self.open.extract_if(.., over));
        }
    }

    /// One row a window, by their starts. `last_ns` is the time of the last event.
    pub(crate) fn finish(self, last_ns: u64) -> serde_json::Value {
        let open = self.open.into_iter().map(|mut effect| {
            effect.gap_ns = effect.gap_ns.max(last_ns.saturating_sub(effect.last_ok_ns));
            effect
        });
        let mut effects: Vec<Effect> = self.closed.into_iter().chain(open).collect();
        effects.sort_by_key(|effect| (effect.start_ns, effect.id));
        let rows: Vec<Row> = effects.iter().map(|effect| effect.row(last_ns)).collect();
        json!(rows)
    }
}

impl Effect {
    fn take(&mut self, operation: &Operation, end_ns: u64) {
        if self.end.is_none() {
            self.counts.add(operation.outcome);
        }
        if operation.outcome != Outcome::Ok {
            return;
        }
        self.gap_ns = self.gap_ns.max(end_ns.saturating_sub(self.last_ok_ns));
        self.last_ok_ns = end_ns;
        if operation.call.index > self.start_index {
            self.ok_after_start_ns.get_or_insert(end_ns);
        }
        if self.end.is_some_and(|(index, _)| operation.call.index > index) {
            self.ok_after_end_ns.get_or_insert(end_ns);
        }
    }

    fn row(&self, last_ns: u64) -> Row<'_> {
        let ms = |ns: u64| ns as f64 / 1e6;
        let since = |from: u64| move |to: u64| ms(to.saturating_sub(from));
        let end_ns = self.end.map(|(_, time)| time);
        Row {
            id: self.id,
            fault: &self.fault,
            start_ms: ms(self.start_ns),
            end_ms: end_ns.map(ms),
            ok: self.counts.ok,
            fail: self.counts.fail,
            info: self.counts.info,
            ok_after_start_ms: self.ok_after_start_ns.map(since(self.start_ns)),
            ok_after_end_ms: self.ok_after_end_ns.zip(end_ns).map(|(ok, end)| since(end)(ok)),
            without_service_ms: ms(self.gap_ns),
            still_without_service: self.ok_after_start_ns.is_none() && self.last_ok_ns < last_ns,
        }
    }
}
