//! Jepsen's lines for people: process, type, function, value and perhaps an error, between tabs; as `history.txt`, or in a
//! log behind `INFO  jepsen.util - ` as Porcupine keeps etcd's.
//!
//! Sources: Jepsen, `jepsen.util/print-history`; Porcupine, `porcupine_test.go`. Lines of other loggers are passed over.
//! `:timed-out` in the place of a value is the error of an operation whose result nobody knows: its value is nil. In a log, a
//! failed cas gets the error `cas-mismatch`: it was answered, and what it found differed from what it expected. The model
//! `porcupine-etcd` relies on both; for others a failed operation asserts nothing.

use super::edn::{error, process};
use super::edn_form::Edn;
use super::{Document, Format};
use crate::error::Fault;
use crate::event::EventKind;
use crate::record::{Record, intern, kind};
use crate::value::Value;
use std::borrow::Cow;

/// What a line of a log starts with.
const LEVEL: &[u8] = b"INFO";
/// Whose lines are operations.
const LOGGER: &[u8] = b"jepsen.util";

/// The format of which this is a line.
pub(super) fn recognize(line: &[u8]) -> Option<Format> {
    if is_logged(line) {
        let start = operation_start(line)?;
        return is_operation(line, start).then_some(Format::PorcupineEtcd);
    }
    let tabs = line.iter().filter(|byte| **byte == b'\t').count();
    (tabs >= 3 && is_operation(line, 0)).then_some(Format::JepsenText)
}

/// Whether an operation starts there. What is wrong with its value is for the reader to say.
fn is_operation(line: &[u8], start: usize) -> bool {
    let mut edn = Edn::new(line, start);
    matches!(process(&mut edn), Ok(Some(_)))
        && edn.name("the type").is_ok_and(|name| kind(&name).is_some())
}

/// The next event.
pub(super) fn next(document: &mut Document) -> Result<Option<Record>, Fault> {
    while document.at < document.bytes.len() {
        let start = document.at;
        let rest = &document.bytes[start..];
        let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let end = start + line;
        document.at = (end + 1).min(document.bytes.len());
        let line = &document.bytes[start..end];
        let logged = is_logged(line);
        let first = if logged { operation_start(line) } else { Some(0) };
        let Some(first) = first.filter(|_| !line.trim_ascii().is_empty()) else { continue };
        // With all that precedes it, so that a fault knows its place.
        let mut record = operation(&document.bytes[..end], start + first)?;
        let failed_cas = record.kind == Some(EventKind::Fail) && record.f.as_deref() == Some("cas");
        if logged && failed_cas && record.error.is_none() {
            record.error = Some(Cow::Borrowed("cas-mismatch"));
        }
        return Ok(Some(record));
    }
    Ok(None)
}

fn is_logged(line: &[u8]) -> bool {
    line.starts_with(LEVEL)
}

/// Where the operation starts in a line of a log; none if another logger wrote it.
fn operation_start(line: &[u8]) -> Option<usize> {
    let rest = line.strip_prefix(LEVEL)?.trim_ascii_start().strip_prefix(LOGGER)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"-")?.trim_ascii_start();
    // The same logger says other things too; an operation starts with its process.
    matches!(rest.first(), Some(b'0'..=b'9' | b':')).then_some(line.len() - rest.len())
}

/// The operation from `start` to the end of `text`.
fn operation(text: &[u8], start: usize) -> Result<Record, Fault> {
    let mut edn = Edn::new(text, start);
    let mut record = Record { process: process(&mut edn)?, ..Record::default() };
    if record.process.is_none() {
        return edn.fault_at(start, "expected a process number or :nemesis, found nil");
    }
    edn.peek()?;
    let at = edn.at();
    let name = edn.name("the type")?;
    record.kind = kind(&name);
    if record.kind.is_none() {
        return edn.fault_at(at, format!("expected :invoke, :ok, :fail or :info, found `{name}`"));
    }
    record.f = Some(intern(&edn.name("the function")?));
    edn.peek()?;
    let at = edn.at();
    record.value = edn.value()?;
    if edn.since(at) == b":timed-out" {
        record.value = Value::Nil;
        record.error = Some(Cow::Borrowed("timed-out"));
    } else if edn.peek()?.is_some() {
        record.error = error(&mut edn)?;
    }
    if edn.peek()?.is_some() { edn.expected("the end of the line") } else { Ok(record) }
}
