//! Histories in a few lines, for the tests of checkers.

use crate::checker::{Checker, check_all};
use crate::verdict::Verdict;
use std::convert::Infallible;
use tribunal_history::{Actor, Event, EventKind, Process, Value};

/// Builds a history event by event; indices count up, times are set by [`Script::at`].
#[derive(Default)]
pub(crate) struct Script {
    events: Vec<Event>,
    time: u64,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What follows happens at this time, in ms.
    pub(crate) fn at(mut self, time_ms: u64) -> Self {
        self.time = time_ms * 1_000_000;
        self
    }

    fn push(&mut self, process: Actor, kind: EventKind, f: &str, value: Value) -> &mut Event {
        let index = self.events.len() as u64;
        self.events.push(Event {
            index,
            time: self.time,
            process,
            kind,
            f: f.to_owned().into(),
            value,
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        });
        self.events.last_mut().expect("just pushed")
    }

    pub(crate) fn event(mut self, process: u64, kind: EventKind, f: &str, value: Value) -> Self {
        self.push(Actor::Process(Process(process)), kind, f, value);
        self
    }

    pub(crate) fn invoke(self, process: u64, f: &str, value: impl Into<Value>) -> Self {
        self.event(process, EventKind::Invoke, f, value.into())
    }

    pub(crate) fn ok(self, process: u64, f: &str, value: impl Into<Value>) -> Self {
        self.event(process, EventKind::Ok, f, value.into())
    }

    pub(crate) fn fail(self, process: u64, f: &str, error: &'static str) -> Self {
        self.event(process, EventKind::Fail, f, Value::Nil).change(|e| e.error = Some(error.into()))
    }

    pub(crate) fn info(self, process: u64, f: &str, error: &'static str) -> Self {
        self.event(process, EventKind::Info, f, Value::Nil).change(|e| e.error = Some(error.into()))
    }

    /// Changes the event just added.
    pub(crate) fn change(mut self, change: impl FnOnce(&mut Event)) -> Self {
        change(self.events.last_mut().expect("an event to change"));
        self
    }

    /// The event just added names this node.
    pub(crate) fn node(self, node: u32) -> Self {
        self.change(|event| event.node = Some(node))
    }

    /// The event just added belongs to this phase.
    pub(crate) fn phase(self, phase: &'static str) -> Self {
        self.change(|event| event.phase = Some(phase.into()))
    }

    /// An event of the nemesis with this map as its value.
    pub(crate) fn nemesis(mut self, f: &str, map: Vec<(&str, Value)>) -> Self {
        let map = map.into_iter().map(|(key, value)| (key.into(), value)).collect();
        self.push(Actor::Nemesis, EventKind::Info, f, Value::Map(map));
        self
    }

    /// A fault begins that takes these nodes down and cuts these links.
    pub(crate) fn fault(self, id: i64, f: &str, down: &[u32], cut: &[(u32, u32)]) -> Self {
        let node = |node: &u32| Value::Int(i64::from(*node));
        let down = Value::List(down.iter().map(node).collect());
        let link = |(from, to): &(u32, u32)| Value::List(vec![node(from), node(to)]);
        let cut = Value::List(cut.iter().map(link).collect());
        self.nemesis(
            f,
            vec![
                ("id", id.into()),
                ("at", "start".into()),
                ("outcome", "installed".into()),
                ("down", down),
                ("cut", cut),
            ],
        )
    }

    /// That fault ends.
    pub(crate) fn healed(self, id: i64, f: &str) -> Self {
        let end = vec![
            ("id", id.into()),
            ("at", "end".into()),
            ("outcome", "installed".into()),
            ("bit", Value::Bool(true)),
        ];
        self.nemesis(f, end)
    }

    /// A whole operation that takes 1 ms, by a fresh process number, asked of `node`.
    pub(crate) fn one(mut self, process: u64, f: &str, node: u32, kind: EventKind) -> Self {
        self = self.invoke(process, f, Value::Nil).node(node);
        self.time += 1_000_000;
        self.event(process, kind, f, Value::Nil).node(node)
    }

    /// The verdict of `checker`.
    pub(crate) fn judge(self, checker: impl Checker + 'static) -> Verdict {
        let events = self.events.into_iter().map(Ok::<_, Infallible>);
        check_all(events, vec![Box::new(checker)]).expect("a well-formed history").remove(0)
    }
}

/// A list of integers.
pub(crate) fn list(elements: &[i64]) -> Value {
    Value::List(elements.iter().copied().map(Value::Int).collect())
}

/// The names of the anomalies.
pub(crate) fn names(verdict: &Verdict) -> Vec<&str> {
    verdict.anomalies.iter().map(|anomaly| &*anomaly.name).collect()
}
