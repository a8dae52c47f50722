//! The faults of a run, as the nemesis events of its history tell them; [`crate::notice`] writes them.
//!
//! A nemesis event has `f` = the fault's name and a map as value:
//!
//! | key | at | meaning |
//! |---|---|---|
//! | `id` | start, end | joins the two |
//! | `at` | start, end | `"start"` or `"end"` |
//! | `spec` | start | the fault as the plan names it |
//! | `targets` | start | the nodes that it resolved to |
//! | `down` | start | nodes that cannot answer meanwhile: killed or paused |
//! | `cut` | start | directed links `[from, to]` that carry nothing meanwhile; node 0 stands for the clients |
//! | `outcome` | start, end | `"installed"`, `"skipped"` or `"indeterminate"` |
//! | `why` | start, end | the reason where it was not installed |
//! | `evidence` | start, end | what shows that it bit; a fault without an end says it at its start |
//! | `bit` | start, end | whether it bit, as far as known; the last word counts |
//!
//! All events are `info`. A fault without an end lasts as long as the history.

use std::collections::{BTreeMap, BTreeSet};
use tribunal_history::{Event, Value};

/// The node number that stands for the clients in [`Window::cut`].
pub const CLIENTS: u32 = 0;

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultOutcome {
    /// It was in effect.
    Installed,
    /// It was not tried, and the reason is given.
    Skipped,
    /// It may have been in effect, wholly or in part.
    #[default]
    Indeterminate,
}

impl FaultOutcome {
    const ALL: [Self; 3] = [Self::Installed, Self::Skipped, Self::Indeterminate];

    /// Its name in the history.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Skipped => "skipped",
            Self::Indeterminate => "indeterminate",
        }
    }
}

/// One fault from its start to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Its number in the schedule.
    pub id: i64,
    /// Its name, `partition` for example.
    pub fault: String,
    /// As the plan names it, with parameters.
    pub spec: String,
    /// When it began, in ns.
    pub start: u64,
    /// When it ended, in ns; `None` if it never did.
    pub end: Option<u64>,
    /// The nodes that it was aimed at.
    pub targets: Vec<u32>,
    /// Nodes that cannot answer meanwhile.
    pub down: BTreeSet<u32>,
    /// Directed links that carry nothing meanwhile.
    pub cut: BTreeSet<(u32, u32)>,
    /// What became of it.
    pub outcome: FaultOutcome,
    /// Why it was not installed.
    pub why: String,
    /// What shows that it bit.
    pub evidence: String,
    /// Whether it bit.
    pub bit: Option<bool>,
}

/// Collects the windows of a history.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    by_id: BTreeMap<i64, Window>,
}

impl Windows {
    /// Takes a nemesis event. One that is not of the form above is ignored: other harnesses have other words.
    pub fn push(&mut self, event: &Event) {
        let Value::Map(map) = &event.value else { return };
        let get = |key: &str| map.iter().find(|(k, _)| k.as_text() == Some(key)).map(|(_, v)| v);
        let Some(id) = get("id").and_then(Value::as_int) else { return };
        let text = |key| get(key).and_then(Value::as_text).unwrap_or_default().to_owned();
        let window = self.by_id.entry(id).or_insert_with(|| Window { id, ..Window::default() });
        let outcome = text("outcome");
        let outcome = FaultOutcome::ALL.into_iter().find(|known| known.name() == outcome);
        let outcome = outcome.unwrap_or_default();
        if !text("why").is_empty() {
            window.why = text("why");
        }
        if !text("evidence").is_empty() {
            window.evidence = text("evidence");
        }
        if let Some(Value::Bool(bit)) = get("bit") {
            window.bit = Some(*bit);
        }
        if text("at") == "start" {
            window.fault = event.f.to_string();
            window.start = event.time;
            window.spec = text("spec");
            window.targets = get("targets").map(nodes).unwrap_or_default();
            window.down = get("down").map(nodes).unwrap_or_default().into_iter().collect();
            window.cut = get("cut").map(links).unwrap_or_default();
            window.outcome = outcome;
        } else {
            window.end = Some(event.time);
            if outcome != FaultOutcome::Installed {
                window.outcome = outcome;
            }
        }
    }

    /// The windows by their start.
    #[must_use]
    pub fn finish(self) -> Vec<Window> {
        let mut windows: Vec<Window> = self.by_id.into_values().collect();
        windows.sort_by_key(|window| (window.start, window.id));
        windows
    }
}

fn nodes(value: &Value) -> Vec<u32> {
    let list = value.as_list().unwrap_or_default().iter();
    list.filter_map(Value::as_int).filter_map(|node| u32::try_from(node).ok()).collect()
}

fn links(value: &Value) -> BTreeSet<(u32, u32)> {
    let list = value.as_list().unwrap_or_default().iter();
    list.filter_map(|link| match nodes(link)[..] {
        [from, to] => Some((from, to)),
        _ => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tribunal_history::{Actor, EventKind};

    fn event(time: u64, map: &[(&str, Value)]) -> Event {
        Event {
            index: time,
            time,
            process: Actor::Nemesis,
            kind: EventKind::Info,
            f: "kill".into(),
            value: Value::Map(map.iter().map(|(k, v)| (Value::text(k), v.clone())).collect()),
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        }
    }

    #[test]
    fn a_fault_without_an_end_tells_at_its_start_that_it_bit() {
        let mut windows = Windows::default();
        windows.push(&event(
            5,
            &[
                ("id", Value::Int(0)),
                ("at", "start".into()),
                ("outcome", "installed".into()),
                ("evidence", "gone".into()),
                ("bit", Value::Bool(true)),
            ],
        ));
        let window = windows.finish().remove(0);
        assert_eq!((window.bit, window.end, window.evidence.as_str()), (Some(true), None, "gone"));
    }

    #[test]
    fn the_end_of_a_fault_has_the_last_word() {
        let mut windows = Windows::default();
        let id = ("id", Value::Int(0));
        windows.push(&event(5, &[id.clone(), ("at", "start".into()), ("bit", Value::Bool(false))]));
        windows.push(&event(9, &[id, ("at", "end".into()), ("bit", Value::Bool(true))]));
        let window = windows.finish().remove(0);
        assert_eq!((window.start, window.end, window.bit), (5, Some(9), Some(true)));
    }
}
