//! The history of an execution: each event goes to the checkers as it happens, into the hash, and is kept if asked for.

use crate::hash::Hash;
use std::borrow::Cow;
use tribunal_checkers::{Checker, Judges, Verdict};
use tribunal_history::{Actor, Event, EventKind, Process, Value};
use tribunal_workloads::{Completion, Request};

/// Which operation, in the words of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) process: u64,
    pub(crate) request: &'a Request,
    pub(crate) node: u32,
    pub(crate) session: Option<u64>,
}

/// How many operations began, and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations begun.
    pub invoked: u64,
    /// Those that succeeded.
    pub ok: u64,
    /// Those that surely had no effect.
    pub fail: u64,
    /// Those whose fate is unknown.
    pub info: u64,
}

impl Counts {
    /// Adds those of another execution.
    pub fn add(&mut self, other: Self) {
        self.invoked += other.invoked;
        self.ok += other.ok;
        self.fail += other.fail;
        self.info += other.info;
    }
}

/// Records events.
pub(crate) struct Recorder {
    judges: Judges,
    next_index: u64,
    kept: Option<Vec<Event>>,
    pub(crate) counts: Counts,
}

impl Recorder {
    /// Nothing has happened. `keep`: whether the events are wanted in the end.
    pub(crate) fn new(checkers: Vec<Box<dyn Checker>>, keep: bool) -> Self {
        Self {
            judges: Judges::new(checkers),
            next_index: 0,
            kept: keep.then(Vec::new),
            counts: Counts::default(),
        }
    }

    /// An operation begins.
    pub(crate) fn invoke(&mut self, now_ns: u64, told: Told<'_>, hash: &mut Hash) {
        self.counts.invoked += 1;
        let event = event(now_ns, told, EventKind::Invoke, told.request.value.clone(), None);
        self.event(event, hash);
    }

    /// An operation ends.
    pub(crate) fn end(
        &mut self,
        now_ns: u64,
        told: Told<'_>,
        completion: &Completion,
        attempts: u32,
        hash: &mut Hash,
    ) {
        let asked = || told.request.value.clone();
        let (kind, value, error) = match completion {
            Completion::Ok(value) => (EventKind::Ok, value.clone(), None),
            Completion::Fail { error } => (EventKind::Fail, asked(), Some(error.clone())),
            Completion::Info { error } => (EventKind::Info, asked(), Some(error.clone())),
        };
        match kind {
            EventKind::Ok => self.counts.ok += 1,
            EventKind::Fail => self.counts.fail += 1,
            EventKind::Info | EventKind::Invoke => self.counts.info += 1,
        }
        let mut event = event(now_ns, told, kind, value, error);
        event.attempts = (attempts > 1).then_some(attempts);
        self.event(event, hash);
    }

    /// The nemesis does something, or a node ends.
    pub(crate) fn nemesis(&mut self, now_ns: u64, f: &str, value: Value, hash: &mut Hash) {
        let event = Event {
            index: 0,
            time: now_ns,
            process: Actor::Nemesis,
            kind: EventKind::Info,
            f: Cow::Owned(f.to_owned()),
            value,
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        };
        self.event(event, hash);
    }

    fn event(&mut self, mut event: Event, hash: &mut Hash) {
        event.index = self.next_index;
        self.next_index += 1;
        hash.event(&event);
        if let Some(kept) = &mut self.kept {
            kept.push(event.clone());
        }
        self.judges.event(event).expect("a process has one operation at a time");
    }

    /// Whether clients have seen a violation by now.
    pub(crate) fn violated(&mut self) -> bool {
        self.judges.violated()
    }

    /// The verdicts, and the events if they were kept.
    pub(crate) fn finish(self) -> (Vec<Verdict>, Option<Vec<Event>>) {
        (self.judges.finish(), self.kept)
    }
}

fn event(
    now_ns: u64,
    told: Told<'_>,
    kind: EventKind,
    value: Value,
    error: Option<Cow<'static, str>>,
) -> Event {
    Event {
        index: 0,
        time: now_ns,
        process: Actor::Process(Process(told.process)),
        kind,
        f: told.request.f.clone(),
        value,
        error,
        node: Some(told.node),
        scheduled: None,
        attempts: None,
        session: told.session,
        phase: told.request.phase.map(Into::into),
    }
}
