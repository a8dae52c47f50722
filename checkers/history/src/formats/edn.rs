//! Jepsen's EDN: maps of Jepsen's keys, one after the other or in one vector or list; perhaps tagged, with comments between.
//!
//! Source: the EDN specification (edn-format/edn), as Clojure prints it. Keywords, symbols and characters become texts
//! without their `:` or `\`, sets and lists become lists, and a tag is passed over for what it tags. A float, ratio or
//! integer beyond 64 bits is an error where an operation's value holds it, and nothing elsewhere. Keys that nobody needs are
//! passed over; an error is kept as it stands.

use super::Document;
use super::edn_form::Edn;
use crate::error::Fault;
use crate::event::{Actor, Process};
use crate::record::{Record, intern, kind};
use crate::value::Value;
use std::borrow::Cow;

/// What is open around the events.
const NOTHING: usize = 0;
const VECTOR: usize = 1;
const LIST: usize = 2;

/// The next event.
pub(super) fn next(document: &mut Document) -> Result<Option<Record>, Fault> {
    Ok(next_map(document)?.map(|map| map.record))
}

/// The next event, with its `:key` and value as a pair.
pub(super) fn next_keyed(document: &mut Document) -> Result<Option<Record>, Fault> {
    let Some(Map { mut record, key }) = next_map(document)? else { return Ok(None) };
    if let Some(key) = key {
        record.value = Value::keyed(key, record.value);
    }
    Ok(Some(record))
}

/// Whether the first event has a `:key` and is one of a key-value store.
pub(super) fn first_is_keyed(head: &[u8]) -> bool {
    let mut document = Document { bytes: head.to_vec(), at: 0, start: 0, state: NOTHING };
    let Ok(Some(Map { record, key: Some(_) })) = next_map(&mut document) else { return false };
    matches!(record.f.as_deref(), Some("get" | "put" | "append"))
}

/// An event and the key that Porcupine's have beside the value.
struct Map {
    record: Record,
    key: Option<Value>,
}

fn next_map(document: &mut Document) -> Result<Option<Map>, Fault> {
    let mut edn = Edn::new(&document.bytes, document.at);
    let map = loop {
        match (edn.peek()?, document.state) {
            (None, NOTHING) => break None,
            (None, VECTOR) => return edn.fault("expected an event or `]`, but the file ends"),
            (None, _) => return edn.fault("expected an event or `)`, but the file ends"),
            (Some(b'['), NOTHING) => document.state = VECTOR,
            (Some(b'('), NOTHING) => document.state = LIST,
            (Some(b']'), VECTOR) | (Some(b')'), LIST) => document.state = NOTHING,
            (Some(b'#'), _) => {
                edn.tag()?;
                continue;
            }
            (Some(b'{'), _) => {
                edn.advance();
                break Some(map(&mut edn)?);
            }
            (Some(_), _) => return edn.expected("an event, which starts with `{`"),
        }
        edn.advance();
    };
    document.at = edn.at();
    Ok(map)
}

/// The entries of an event whose `{` was taken.
fn map(edn: &mut Edn<'_>) -> Result<Map, Fault> {
    let mut map = Map { record: Record::default(), key: None };
    let mut seen = 0_u8;
    while edn.peek()? != Some(b'}') {
        let start = edn.at();
        let bit = match &*edn.key()? {
            "index" => {
                map.record.index = index(edn)?;
                1
            }
            "time" => {
                map.record.time = edn.time()?;
                2
            }
            "process" => {
                map.record.process = process(edn)?;
                4
            }
            "type" => {
                let at = edn.at();
                let name = edn.name("`:type`")?;
                map.record.kind = kind(&name);
                if map.record.kind.is_none() {
                    return edn.fault_at(
                        at,
                        format!("expected :invoke, :ok, :fail or :info, found `{name}`"),
                    );
                }
                8
            }
            "f" => {
                map.record.f = if edn.nil()? { None } else { Some(intern(&edn.name("`:f`")?)) };
                16
            }
            "value" => {
                map.record.value = edn.value()?;
                32
            }
            "error" => {
                map.record.error = error(edn)?;
                64
            }
            "key" => {
                map.key = Some(edn.any()?);
                128
            }
            _ => {
                edn.any()?;
                0
            }
        };
        if seen & bit != 0 {
            return edn.fault_at(start, "a key stands twice in one event");
        }
        seen |= bit;
    }
    edn.advance();
    Ok(map)
}

fn index(edn: &mut Edn<'_>) -> Result<Option<u64>, Fault> {
    if edn.nil()? {
        return Ok(None);
    }
    let start = edn.at();
    match edn.any()? {
        // -1 is what Jepsen gives an operation that has no place yet.
        Value::Int(-1) => Ok(None),
        Value::Int(index) if index >= 0 => Ok(Some(index.unsigned_abs())),
        _ => edn.fault_at(start, "expected `:index` as a whole number of 64 bits"),
    }
}

/// A process: its number, `:nemesis`, or none.
pub(super) fn process(edn: &mut Edn<'_>) -> Result<Option<Actor>, Fault> {
    edn.peek()?;
    let start = edn.at();
    match edn.any()? {
        Value::Nil => Ok(None),
        Value::Int(number) if number >= 0 => {
            Ok(Some(Actor::Process(Process(number.unsigned_abs()))))
        }
        Value::Int(_) => edn.fault_at(start, "the process must not be negative"),
        Value::Text(name) if &*name == "nemesis" => Ok(Some(Actor::Nemesis)),
        other => {
            edn.fault_at(start, format!("expected a process number or :nemesis, found {other}"))
        }
    }
}

/// An error, as it stands if it is more than a text.
pub(super) fn error(edn: &mut Edn<'_>) -> Result<Option<Cow<'static, str>>, Fault> {
    edn.peek()?;
    let start = edn.at();
    Ok(match edn.any()? {
        Value::Nil => None,
        Value::Text(text) => Some(intern(&text)),
        _ => Some(intern(&String::from_utf8_lossy(edn.since(start)))),
    })
}
