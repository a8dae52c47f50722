//! Fills in what other projects leave out, so that one pairing serves all.
//!
//! * No index: one more than the last, from 0. No time: that of the event before; where there never was one, the index.
//! * A time that falls is raised to the one before. Jepsen takes the time before it takes a place in the history, so
//!   neighbours may be swapped by a little; order of the file is real-time order everywhere, and times are for people.
//! * No function: `txn`, as in elle-cli's transactions.
//! * No process: all such events are of one process.
//! * A process that invokes again after an `info` goes on under a number that nobody has: Jepsen's threads do so
//!   themselves, other recorders do not, and the open operation must not be taken for the new one.

use crate::event::{Actor, Event, EventKind, Process};
use crate::record::Record;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// Where the numbers start that no file gives.
pub(super) const FRESH: u64 = 1 << 40;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Completion {
    last: Option<(u64, u64)>,
    timed: bool,
    /// Each process that ended an operation with `info`, and its number now; `None` until it invokes again.
    retired: FxHashMap<Process, Option<Process>>,
    /// The process of events that name none.
    nameless: Option<Process>,
    fresh: u64,
}

impl Completion {
    /// The event; an error if it has no type or its index is beyond all numbers.
    pub(super) fn complete(&mut self, record: Record) -> Result<Event, String> {
        let kind = record.kind.ok_or("the event has no `type`")?;
        let index = match (record.index, self.last) {
            (Some(index), _) => index,
            (None, None) => 0,
            (None, Some((last, _))) => last.checked_add(1).ok_or("no index is left")?,
        };
        let process = match record.process {
            Some(Actor::Nemesis) => Actor::Nemesis,
            Some(Actor::Process(process)) => Actor::Process(self.process(process, kind)),
            None => {
                let process = self.nameless();
                Actor::Process(self.process(process, kind))
            }
        };
        self.timed |= record.time.is_some();
        let before = self.last.map_or(0, |(_, time)| time);
        let time = record.time.unwrap_or(if self.timed { before } else { index }).max(before);
        self.last = Some((index, time));
        Ok(Event {
            index,
            time,
            process,
            kind,
            f: record.f.unwrap_or(Cow::Borrowed("txn")),
            value: record.value,
            error: record.error,
            node: record.node,
            scheduled: record.scheduled,
            attempts: record.attempts,
            session: record.session,
            phase: record.phase,
        })
    }

    fn nameless(&mut self) -> Process {
        if self.nameless.is_none() {
            // A file whose first event names no process names none at all.
            self.nameless = Some(if self.last.is_none() { Process(0) } else { self.fresh() });
        }
        self.nameless.unwrap_or_default()
    }

    fn process(&mut self, process: Process, kind: EventKind) -> Process {
        let now = match self.retired.get(&process) {
            None => process,
            Some(Some(now)) => *now,
            Some(None) if kind == EventKind::Invoke => {
                let now = self.fresh();
                self.retired.insert(process, Some(now));
                now
            }
            Some(None) => process,
        };
        if kind == EventKind::Info {
            self.retired.insert(process, None);
        }
        now
    }

    fn fresh(&mut self) -> Process {
        self.fresh += 1;
        Process(FRESH + self.fresh)
    }
}
