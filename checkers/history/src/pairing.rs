//! Events to operations: each completion finds the invocation of its process.
//!
//! Invariants: a process has at most one open operation, and none after an `info`; indices rise; times do not fall.
//! A history that breaks one is refused with the event at which it does.

use crate::event::{Actor, Event, EventKind, Process};
use crate::value::Value;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// When something happened: its place in the file, which is the real-time order, and the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The index of the event.
    pub index: u64,
    /// Nanoseconds since the start of the run.
    pub time: u64,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It took effect between call and return.
    Ok,
    /// It did not and never will.
    Fail,
    /// It may take effect at any time after its call, or never. Also what was open when the history ended.
    Info,
}

/// An invocation with its completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub process: Process,
    /// What: the function's name.
    pub f: Cow<'static, str>,
    /// The arguments.
    pub input: Value,
    /// The result; nil unless the outcome is [`Outcome::Ok`].
    pub output: Value,
    /// How it ended.
    pub outcome: Outcome,
    /// The invocation.
    pub call: Stamp,
    /// The completion event; `None` for an operation that the history leaves open. An `info` never returns as far as
    /// real-time order goes: use [`Operation::returned`] for that.
    pub end: Option<Stamp>,
    /// The error's class, of a `fail` or an `info`.
    pub error: Option<Cow<'static, str>>,
    /// The node first asked.
    pub node: Option<u32>,
    /// The node that answered, or was asked last.
    pub answered_by: Option<u32>,
    /// When it was meant to start, in ns.
    pub scheduled: Option<u64>,
    /// How often it was sent.
    pub attempts: u32,
    /// Its phase; see [`Event::phase`].
    pub phase: Option<Cow<'static, str>>,
}

impl Operation {
    /// The latest point at which the operation took effect: its completion if it is known to have ended.
    #[must_use]
    pub fn returned(&self) -> Option<Stamp> {
        match self.outcome {
            Outcome::Info => None,
            Outcome::Ok | Outcome::Fail => self.end,
        }
    }
}

/// Why events do not form operations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// A completion without an open invocation of its process.
    #[error("event {index}: process {process} completes an operation that it did not invoke")]
    NotInvoked {
        /// The event.
        index: u64,
        /// Its process.
        process: Process,
    },
    /// An invocation while the process has another one open, or after an `info`.
    #[error("event {index}: process {process} invokes while its operation of event {open} is open")]
    TwoOpen {
        /// The event.
        index: u64,
        /// Its process.
        process: Process,
        /// The invocation that is open.
        open: u64,
    },
    /// A completion of another function than was invoked.
    #[error("event {index}: process {process} completes `{completed}`, but invoked `{invoked}`")]
    OtherFunction {
        /// The event.
        index: u64,
        /// Its process.
        process: Process,
        /// The function of the completion.
        completed: String,
        /// The function of the invocation.
        invoked: String,
    },
    /// An index that does not rise.
    #[error("event {index} follows event {previous}: indices must rise")]
    Index {
        /// The event.
        index: u64,
        /// The one before it.
        previous: u64,
    },
    /// A time before that of the event before it.
    #[error("event {index}: the time falls from {previous_ns} ns to {time_ns} ns")]
    Time {
        /// The event.
        index: u64,
        /// Its time.
        time_ns: u64,
        /// The time before it.
        previous_ns: u64,
    },
}

/// Joins completions to invocations, one event at a time. Memory: the open operations, and a number for each process that an
/// `info` has retired.
#[derive(Debug, Default)]
pub struct Pairing {
    /// Invocations.
    open: FxHashMap<Process, Event>,
    /// The `info` that retired a process.
    retired: FxHashMap<Process, u64>,
    last: Option<Stamp>,
}

impl Pairing {
    /// Nothing is open.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next event; answers the operation that it completes. Nemesis events complete none.
    ///
    /// An `info` is answered at its event, and its process stays closed to new invocations.
    ///
    /// # Errors
    /// See [`PairingError`]. The pairing must not be used after one.
    pub fn push(&mut self, event: Event) -> Result<Option<Operation>, PairingError> {
        self.check_order(&event)?;
        let Actor::Process(process) = event.process else {
            return Ok(None);
        };
        if event.kind == EventKind::Invoke {
            let index = event.index;
            let open = match self.retired.get(&process) {
                Some(&info) => Some(info),
                None => self.open.insert(process, event).map(|open| open.index),
            };
            return match open {
                None => Ok(None),
                Some(open) => Err(PairingError::TwoOpen { index, process, open }),
            };
        }
        let not_invoked = PairingError::NotInvoked { index: event.index, process };
        let invoke = self.open.remove(&process).ok_or(not_invoked)?;
        if invoke.f != event.f {
            return Err(PairingError::OtherFunction {
                index: event.index,
                process,
                completed: event.f.into_owned(),
                invoked: invoke.f.into_owned(),
            });
        }
        if event.kind == EventKind::Info {
            // A process is retired by an operation of unknown fate.
            self.retired.insert(process, event.index);
        }
        Ok(Some(join(process, invoke, Some(event))))
    }

    /// The operations under way, as `info` without an end, in the order of their calls.
    #[must_use]
    pub fn open(&self) -> Vec<Operation> {
        let open = self.open.iter();
        sorted(open.map(|(&process, invoke)| join(process, invoke.clone(), None)).collect())
    }

    /// The operations that the history leaves open, as `info` without an end, in the order of their calls.
    #[must_use]
    pub fn finish(self) -> Vec<Operation> {
        let open = self.open.into_iter();
        sorted(open.map(|(process, invoke)| join(process, invoke, None)).collect())
    }

    fn check_order(&mut self, event: &Event) -> Result<(), PairingError> {
        let stamp = Stamp { index: event.index, time: event.time };
        if let Some(last) = self.last.replace(stamp) {
            if stamp.index <= last.index {
                return Err(PairingError::Index { index: stamp.index, previous: last.index });
            }
            if stamp.time < last.time {
                return Err(PairingError::Time {
                    index: stamp.index,
                    time_ns: stamp.time,
                    previous_ns: last.time,
                });
            }
        }
        Ok(())
    }
}

fn sorted(mut operations: Vec<Operation>) -> Vec<Operation> {
    operations.sort_by_key(|operation| operation.call);
    operations
}

fn join(process: Process, invoke: Event, end: Option<Event>) -> Operation {
    let call = Stamp { index: invoke.index, time: invoke.time };
    let mut operation = Operation {
        process,
        f: invoke.f,
        input: invoke.value,
        output: Value::Nil,
        outcome: Outcome::Info,
        call,
        end: None,
        error: None,
        node: invoke.node,
        answered_by: invoke.node,
        scheduled: invoke.scheduled,
        attempts: 1,
        phase: invoke.phase,
    };
    if let Some(end) = end {
        operation.outcome = match end.kind {
            EventKind::Ok => Outcome::Ok,
            EventKind::Fail => Outcome::Fail,
            EventKind::Info | EventKind::Invoke => Outcome::Info,
        };
        if operation.outcome == Outcome::Ok {
            operation.output = end.value;
        }
        operation.end = Some(Stamp { index: end.index, time: end.time });
        operation.error = end.error;
        operation.answered_by = end.node.or(operation.node);
        operation.attempts = end.attempts.unwrap_or(1);
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(index: u64, process: u64, kind: EventKind) -> Event {
        Event {
            index,
            time: index * 10,
            process: Actor::Process(Process(process)),
            kind,
            f: "read".into(),
            value: Value::Nil,
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        }
    }

    #[test]
    fn a_completion_finds_the_invocation_of_its_process() {
        let mut pairing = Pairing::new();
        assert_eq!(pairing.push(event(0, 1, EventKind::Invoke)), Ok(None));
        assert_eq!(pairing.push(event(1, 2, EventKind::Invoke)), Ok(None));
        let first = pairing.push(event(2, 1, EventKind::Ok)).expect("paired").expect("complete");
        assert_eq!((first.call.index, first.returned().map(|stamp| stamp.index)), (0, Some(2)));
        let open = pairing.finish();
        assert_eq!(open.len(), 1);
        assert_eq!(
            (open[0].process, open[0].outcome, open[0].end),
            (Process(2), Outcome::Info, None)
        );
    }

    #[test]
    fn an_info_retires_its_process() {
        let mut pairing = Pairing::new();
        pairing.push(event(0, 1, EventKind::Invoke)).expect("fine");
        let info = pairing.push(event(1, 1, EventKind::Info)).expect("fine").expect("complete");
        assert_eq!(info.returned(), None);
        let again = pairing.push(event(2, 1, EventKind::Invoke));
        assert!(matches!(again, Err(PairingError::TwoOpen { index: 2, .. })), "{again:?}");
    }

    #[test]
    fn what_cannot_be_a_history_is_refused() {
        let orphan = Pairing::new().push(event(0, 1, EventKind::Ok));
        assert!(matches!(orphan, Err(PairingError::NotInvoked { .. })));
        let mut twice = Pairing::new();
        twice.push(event(0, 1, EventKind::Invoke)).expect("fine");
        assert!(matches!(
            twice.push(event(1, 1, EventKind::Invoke)),
            Err(PairingError::TwoOpen { .. })
        ));
        let mut index = Pairing::new();
        index.push(event(3, 1, EventKind::Invoke)).expect("fine");
        assert!(matches!(
            index.push(event(3, 2, EventKind::Invoke)),
            Err(PairingError::Index { .. })
        ));
        let mut time = Pairing::new();
        time.push(event(3, 1, EventKind::Invoke)).expect("fine");
        let earlier = Event { time: 0, ..event(4, 2, EventKind::Invoke) };
        assert!(matches!(time.push(earlier), Err(PairingError::Time { .. })));
    }
}
