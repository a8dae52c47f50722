//! What a fault says of itself in a history, at its start and at its end; [`crate::windows`] reads it back and lists
//! the keys.
//!
//! Whoever carries faults out writes these: the harness on real processes, the simulator on its own. The checkers
//! know a fault only by its name and by whom it keeps from answering; what a fault is stays absent here.

use crate::windows::FaultOutcome;
use std::collections::BTreeSet;
use tribunal_history::Value;

/// The start or the end of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The injection's number in the schedule.
    pub id: u32,
    /// Which of the two.
    pub at: At,
    /// The fault's name, `partition` for example; the function of the event.
    pub name: String,
    /// The fault as the plan names it, with parameters.
    pub spec: String,
    /// The nodes that it is aimed at.
    pub targets: Vec<u32>,
    /// Nodes that cannot answer meanwhile.
    pub down: BTreeSet<u32>,
    /// Directed links that carry nothing meanwhile; [`crate::windows::CLIENTS`] stands for the clients.
    pub cut: BTreeSet<(u32, u32)>,
    /// What became of it.
    pub report: Report,
}

/// Which end of a fault's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// It has just begun.
    Start,
    /// It has just been undone.
    End,
}

/// What became of a start or an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether it was done.
    pub outcome: Outcome,
    /// What shows that the fault bit; at a start, what was done.
    pub evidence: String,
    /// Whether it bit, as far as it is known yet.
    pub bit: Option<bool>,
}

/// What became of a fault, and why: a [`FaultOutcome`] with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was in effect.
    Installed,
    /// It was not tried, or there was nothing to do it to.
    Skipped(String),
    /// It may have been in effect, wholly or in part.
    Indeterminate(String),
}

impl Outcome {
    /// The outcome without its reason.
    #[must_use]
    pub fn kind(&self) -> FaultOutcome {
        match self {
            Self::Installed => FaultOutcome::Installed,
            Self::Skipped(_) => FaultOutcome::Skipped,
            Self::Indeterminate(_) => FaultOutcome::Indeterminate,
        }
    }

    /// Why it is not installed.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Installed => None,
            Self::Skipped(why) | Self::Indeterminate(why) => Some(why),
        }
    }
}

impl Notice {
    /// The value of the nemesis event, whose function is [`Notice::name`].
    ///
    /// `down` and `cut` tell what the fault wanted; they are left out where it was skipped, since then it
    /// kept nothing from answering.
    #[must_use]
    pub fn value(&self) -> Value {
        let Report { outcome, evidence, bit } = &self.report;
        let mut map = vec![
            pair("id", Value::Int(self.id.into())),
            pair("at", text(if self.at == At::Start { "start" } else { "end" })),
        ];
        if self.at == At::Start {
            map.push(pair("spec", text(&self.spec)));
            map.push(pair("targets", nodes(&self.targets)));
            if !matches!(outcome, Outcome::Skipped(_)) {
                map.push(pair("down", nodes(&self.down)));
                map.push(pair("cut", links(&self.cut)));
            }
        }
        map.push(pair("outcome", text(outcome.kind().name())));
        map.extend(outcome.why().map(|why| pair("why", text(why))));
        if !evidence.is_empty() {
            map.push(pair("evidence", text(evidence)));
        }
        map.extend(bit.map(|bit| pair("bit", Value::Bool(bit))));
        Value::Map(map)
    }
}

fn pair(key: &str, value: Value) -> (Value, Value) {
    (text(key), value)
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn nodes<'a>(nodes: impl IntoIterator<Item = &'a u32>) -> Value {
    Value::List(nodes.into_iter().map(|&node| Value::Int(node.into())).collect())
}

fn links(links: &BTreeSet<(u32, u32)>) -> Value {
    Value::List(links.iter().map(|(from, to)| nodes([from, to])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::{Window, Windows};
    use tribunal_history::{Actor, Event, EventKind};

    fn notice(at: At, outcome: Outcome, bit: Option<bool>) -> Notice {
        let report = Report { outcome, evidence: format!("{at:?}"), bit };
        Notice {
            id: 7,
            at,
            name: "partition".to_owned(),
            spec: "partition:kind=one,mode=silent".to_owned(),
            targets: vec![2, 3],
            down: [4].into(),
            cut: [(0, 2), (2, 1)].into(),
            report,
        }
    }

    /// What a history says of these, one second apart.
    fn read_back(notices: &[Notice]) -> Window {
        let mut windows = Windows::default();
        for (time, notice) in (1..).zip(notices) {
            windows.push(&Event {
                index: time,
                time,
                process: Actor::Nemesis,
                kind: EventKind::Info,
                f: notice.name.clone().into(),
                value: notice.value(),
                error: None,
                node: None,
                scheduled: None,
                attempts: None,
                session: None,
                phase: None,
            });
        }
        windows.finish().remove(0)
    }

    #[test]
    fn what_a_start_and_an_end_say_reads_back() {
        let start = notice(At::Start, Outcome::Installed, None);
        let window = read_back(&[start.clone(), notice(At::End, Outcome::Installed, Some(true))]);
        let expected = Window {
            id: 7,
            fault: start.name,
            spec: start.spec,
            start: 1,
            end: Some(2),
            targets: start.targets,
            down: start.down,
            cut: start.cut,
            outcome: FaultOutcome::Installed,
            why: String::new(),
            evidence: "End".to_owned(),
            bit: Some(true),
        };
        assert_eq!(window, expected);
    }

    #[test]
    fn a_fault_that_was_skipped_kept_nobody_from_answering() {
        let window =
            read_back(&[notice(At::Start, Outcome::Skipped("no plane".into()), Some(false))]);
        assert_eq!((window.outcome, window.why.as_str()), (FaultOutcome::Skipped, "no plane"));
        assert_eq!((window.targets.len(), window.down.len(), window.cut.len()), (2, 0, 0));
        assert_eq!((window.end, window.bit), (None, Some(false)));
    }

    #[test]
    fn a_fault_of_which_too_little_is_known_may_have_kept_nodes_from_answering() {
        let outcome = Outcome::Indeterminate("a signal failed".into());
        let window = read_back(&[notice(At::Start, outcome, None)]);
        assert_eq!(
            (window.outcome, window.why.as_str()),
            (FaultOutcome::Indeterminate, "a signal failed")
        );
        assert_eq!((window.down.len(), window.cut.len(), window.bit), (1, 2, None));
    }
}
