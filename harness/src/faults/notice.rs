//! What a fault says of itself in the history; `checkers::windows` reads it back and lists the keys.

use std::collections::BTreeSet;
use tribunal_history::Value;
use tribunal_nemesis::{Fault, Resolved};

/// The start or the end of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The injection's number in the schedule.
    pub id: u32,
    /// Which of the two.
    pub at: At,
    /// The fault.
    pub fault: Fault,
    /// What its target came to mean.
    pub resolved: Resolved,
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

/// What became of a fault.
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
    /// Its name in the history.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Skipped(_) => "skipped",
            Self::Indeterminate(_) => "indeterminate",
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
    /// The value of the nemesis event, whose function is the fault's name.
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
            let Resolved { targets, down, cut, .. } = &self.resolved;
            map.push(pair("spec", text(&self.fault.to_string())));
            map.push(pair("targets", nodes(targets)));
            if !matches!(outcome, Outcome::Skipped(_)) {
                map.push(pair("down", nodes(down)));
                map.push(pair("cut", links(cut)));
            }
        }
        map.push(pair("outcome", text(outcome.name())));
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
