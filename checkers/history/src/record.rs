//! An event as a file gives it, before anything that the file leaves out is filled in.

use crate::event::{Actor, Event, EventKind};
use crate::value::Value;
use std::borrow::Cow;

/// The keys of one event, as far as they were given.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) index: Option<u64>,
    pub(crate) time: Option<u64>,
    pub(crate) process: Option<Actor>,
    pub(crate) kind: Option<EventKind>,
    pub(crate) f: Option<Cow<'static, str>>,
    pub(crate) value: Value,
    pub(crate) error: Option<Cow<'static, str>>,
    pub(crate) node: Option<u32>,
    pub(crate) scheduled: Option<u64>,
    pub(crate) attempts: Option<u32>,
    pub(crate) session: Option<u64>,
    pub(crate) phase: Option<Cow<'static, str>>,
}

impl Record {
    /// The event, where nothing may be left out; otherwise the key that is missing.
    pub(crate) fn complete(self) -> Result<Event, &'static str> {
        Ok(Event {
            index: self.index.ok_or("index")?,
            time: self.time.ok_or("time")?,
            process: self.process.ok_or("process")?,
            kind: self.kind.ok_or("type")?,
            f: self.f.ok_or("f")?,
            value: self.value,
            error: self.error,
            node: self.node,
            scheduled: self.scheduled,
            attempts: self.attempts,
            session: self.session,
            phase: self.phase,
        })
    }
}

/// The kind of that name.
pub(crate) fn kind(name: &str) -> Option<EventKind> {
    Some(match name {
        "invoke" => EventKind::Invoke,
        "ok" => EventKind::Ok,
        "fail" => EventKind::Fail,
        "info" => EventKind::Info,
        _ => return None,
    })
}

/// The text, without an allocation where it is one that histories are full of.
pub(crate) fn intern(text: &str) -> Cow<'static, str> {
    Cow::Borrowed(match text {
        "read" => "read",
        "write" => "write",
        "cas" => "cas",
        "txn" => "txn",
        "add" => "add",
        "append" => "append",
        "get" => "get",
        "put" => "put",
        "delete" => "delete",
        "enqueue" => "enqueue",
        "dequeue" => "dequeue",
        "drain" => "drain",
        "push" => "push",
        "pop" => "pop",
        "acquire" => "acquire",
        "release" => "release",
        "insert" => "insert",
        "remove" => "remove",
        "transfer" => "transfer",
        "generate" => "generate",
        "timeout" => "timeout",
        "timed-out" => "timed-out",
        "cas-mismatch" => "cas-mismatch",
        "final" => "final",
        "probe" => "probe",
        "range" => "range",
        _ => return Cow::Owned(text.to_owned()),
    })
}
