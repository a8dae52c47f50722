//! One line of a history. The keys are Jepsen's; `node`, `scheduled`, `attempts` and `session` are ours.

use crate::value::Value;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A logical client: it has at most one operation under way, and none after one whose fate is unknown.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct Process(pub u64);

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who made an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A client.
    Process(Process),
    /// What injects faults.
    Nemesis,
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Process(process) => serializer.serialize_u64(process.0),
            Self::Nemesis => serializer.serialize_str("nemesis"),
        }
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ActorVisitor;
        impl Visitor<'_> for ActorVisitor {
            type Value = Actor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a process number or \"nemesis\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Actor, E> {
                Ok(Actor::Process(Process(number)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Actor, E> {
                match text {
                    "nemesis" => Ok(Actor::Nemesis),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(ActorVisitor)
    }
}

/// What an event says of its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The first byte is about to leave.
    Invoke,
    /// The operation took effect between its invocation and now.
    Ok,
    /// It surely did not, and never will.
    Fail,
    /// Nothing is known: it may have, may do so at any later time, or never.
    Info,
}

/// One event. Real-time order is the order of the file; `time` is for people and plots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The number of the event in its history, from 0, without gaps.
    pub index: u64,
    /// Nanoseconds since the start of the run, on the controller's monotonic clock.
    pub time: u64,
    /// Who made it.
    pub process: Actor,
    /// What it says.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The function's name: `read`, `write`, `cas`, `add`, a fault's name ...
    pub f: Cow<'static, str>,
    /// The arguments of an invocation; the result of an `ok`.
    #[serde(default)]
    pub value: Value,
    /// Why a `fail` or an `info` is one: a class, `cas-mismatch` or `timeout` for example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'static, str>>,
    /// The node that was asked first (invocation) or last (completion), from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// When an open-loop operation was meant to start, in ns as `time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<u64>,
    /// How often the request was sent, on completions, where more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// The session under which the request was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// Marks an operation that belongs to a phase with a meaning for checkers: `final` reads, `probe`s of recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Cow<'static, str>>,
}
