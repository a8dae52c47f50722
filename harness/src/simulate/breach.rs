//! `breach.json`: what a replay found that its history does not show. An invariant looks into the nodes, and an operation
//! that never ends is missing from a history that simply stops. `tribunal check` reads it, so that a folder tells the
//! same again.

use serde::{Deserialize, Serialize};
use std::fmt::Write;
use tribunal_checkers::{Anomaly, Verdict};
use tribunal_sim::{Outcome, Standing};

/// The file's name in the folder.
pub const FILE: &str = "breach.json";

/// What was breached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Property {
    /// An invariant.
    Invariant,
    /// Every operation ends.
    Ends,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breach {
    /// What was breached.
    pub property: Property,
    /// The invariant's name.
    pub name: String,
    /// What is wrong, as a sentence.
    pub why: String,
    /// The step of a core in which it happened, from 1.
    pub step: u64,
    /// When, in ns of virtual time.
    pub time_ns: u64,
    /// The last message that had arrived anywhere by then.
    pub message: Option<Arrival>,
    /// How each node stood right after it.
    pub nodes: Vec<Node>,
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    /// Who sent it.
    pub from: u32,
    /// Who had it.
    pub to: u32,
    /// When it was sent, in ns.
    pub sent_ns: u64,
    /// When it arrived, in ns.
    pub arrived_ns: u64,
    /// All of it.
    pub message: String,
}

/// How a node stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Which one.
    pub node: u32,
    /// Its role; `None` if it was down.
    pub role: Option<String>,
    /// The last ballot that it was seen in.
    pub ballot: u64,
    /// The last slot that it had applied, where there are slots.
    pub applied: Option<u64>,
}

impl Breach {
    /// What an execution found that its history does not show, if anything. Its messages have to be recorded.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let (property, name, why, step) = match &outcome.breach {
            Some((step, breach)) => {
                (Property::Invariant, breach.invariant, breach.why.clone(), *step)
            }
            None if !outcome.finished => {
                let why = "an operation never ended".to_owned();
                (Property::Ends, "never-ended", why, outcome.steps)
            }
            None => return None,
        };
        let last = outcome.trace.as_ref().and_then(|trace| trace.last_arrival());
        let message = last.map(|(line, arrived_ns)| Arrival {
            from: line.from,
            to: line.to,
            sent_ns: line.sent_ns,
            arrived_ns,
            message: line.message.clone(),
        });
        let nodes = outcome.nodes.iter().map(Node::of).collect();
        let time_ns = outcome.virtual_ns;
        Some(Self { property, name: name.to_owned(), why, step, time_ns, message, nodes })
    }

    /// The breach as the verdict of a property.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let checker = match self.property {
            Property::Invariant => "invariant",
            Property::Ends => "ends",
        };
        let anomaly = Anomaly::new(self.name.clone(), self.sentences(), None, Vec::new());
        Verdict::of(checker, false, vec![anomaly])
            .figure("step", self.step)
            .figure("time_ns", self.time_ns)
    }

    fn sentences(&self) -> String {
        let mut text = format!("{}\nstep {}, at {}", self.why, self.step, seconds(self.time_ns));
        // Writing to a String cannot fail.
        if let Some(Arrival { from, to, sent_ns, arrived_ns, message }) = &self.message {
            let (sent, arrived) = (seconds(*sent_ns), seconds(*arrived_ns));
            let _written = write!(
                text,
                "\nlast message: from n{from}, sent at {sent}, to n{to}, arrived at {arrived}: {message}"
            );
        }
        for Node { node, role, ballot, applied } in &self.nodes {
            let role = role.as_deref().unwrap_or("down");
            let _written = write!(text, "\nn{node}: {role}, ballot {ballot}");
            if let Some(applied) = applied {
                let _written = write!(text, ", applied up to {applied}");
            }
        }
        text
    }
}

impl Node {
    fn of(standing: &Standing) -> Self {
        Self {
            node: standing.node,
            role: standing.role.map(|role| role.to_string()),
            ballot: standing.ballot,
            applied: standing.applied,
        }
    }
}

fn seconds(ns: u64) -> String {
    format!("{:.6} s", ns as f64 / 1e9)
}
