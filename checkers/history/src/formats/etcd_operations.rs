//! What etcd's robustness tests report: `{ClientId, Input, Call, Output, Return}` one after the other, times in nanoseconds.
//!
//! Source: etcd, `tests/robustness/model/types.go` (2023 on: `Input.Type` is range, txn, leaseGrant and so on). Understood:
//! * a range of one key without limit or revision: `get`, `[key, nil]`, answered `[key, value]`;
//! * a txn of one put or delete, without conditions, lease or failure branch: `put` `[key, value]`, `delete` `[key, nil]`;
//! * any other range and txn: `range` and `etcd-txn` with the request and the response as they stand, for a model that
//!   knows revisions (a register model refuses the function, which is right: it cannot judge it);
//! * leaseRevoke, which deletes keys, as `lease-revoke` likewise. leaseGrant, defragment and compact change no key and are
//!   left out. Other types, as of before 2023, are refused.
//!
//! A value too long for etcd's report is known by its hash: `hash:N`. A response with an `Error`, or one that nobody saw
//! (`Persisted`), is `info`; a `ClientError` is the server's refusal and a `fail`. Calls and returns are ordered by time, a
//! call before a return of the same time: they overlap, as Porcupine has it. A client asks
//! for one thing after the other: two of its operations that overlap are refused, unless the first is `info`; then the client
//! goes on under another number.

use super::completion::FRESH;
use crate::error::{Fault, ReadError};
use crate::event::{Actor, Event, EventKind, Process};
use crate::json::Json;
use crate::record::intern;
use crate::value::Value;
use std::borrow::Cow;

/// One operation, before its events have their places.
struct Report {
    /// Where it stands in the file.
    start: usize,
    client: u64,
    f: &'static str,
    input: Value,
    call: i64,
    output: Value,
    end: EventKind,
    error: Option<Cow<'static, str>>,
    returned: i64,
}

/// Every event of the file, sorted by time.
pub(super) fn events(bytes: &[u8]) -> Result<Vec<Event>, ReadError> {
    let mut json = Json::lenient(bytes, 0);
    let mut reports = Vec::new();
    while json.peek().is_some() {
        let start = json.at();
        let read = json.value().and_then(|value| {
            report(&value, start).map_err(|message| Fault { offset: start, message })
        });
        reports.extend(read.map_err(|fault| fault.locate(bytes, 1))?);
    }
    one_at_a_time(&reports).map_err(|fault| fault.locate(bytes, 1))?;
    Ok(order(reports))
}

/// Refuses two operations of one client of which the second is called before the first has returned.
fn one_at_a_time(reports: &[Report]) -> Result<(), Fault> {
    let mut calls: Vec<&Report> = reports.iter().collect();
    calls.sort_by_key(|report| (report.client, report.call, report.returned));
    // The latest return of the client so far.
    let mut open: Option<&Report> = None;
    for report in calls {
        let before = open.filter(|open| open.client == report.client);
        if let Some(before) = before.filter(|open| open.returned > report.call) {
            return Err(Fault {
                offset: report.start,
                message: format!(
                    "client {} calls at {} ns while its operation that was called at {} ns is open until {} ns",
                    report.client, report.call, before.call, before.returned
                ),
            });
        }
        if report.end != EventKind::Info {
            open = Some(report);
        }
    }
    Ok(())
}

/// The field, nil if there is none.
fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    let Value::Map(entries) = value else { return &Value::Nil };
    let found = entries.iter().find(|(key, _)| key.as_text() == Some(name));
    found.map_or(&Value::Nil, |(_, value)| value)
}

fn int(value: &Value, name: &str) -> Result<i64, String> {
    field(value, name).as_int().ok_or_else(|| format!("expected `{name}` as a whole number"))
}

/// The operation; none if it can change no key and observes none.
fn report(value: &Value, start: usize) -> Result<Option<Report>, String> {
    if !matches!(value, Value::Map(_)) {
        return Err("expected an operation, which is an object".to_owned());
    }
    let client = int(value, "ClientId")?;
    let client = u64::try_from(client).map_err(|_| "`ClientId` is less than 0".to_owned())?;
    let (call, returned) = (int(value, "Call")?, int(value, "Return")?);
    if returned < call {
        return Err(format!(
            "the operation returns at {returned} ns, before its call at {call} ns"
        ));
    }
    let (input, output) = (field(value, "Input"), field(value, "Output"));
    let Some((f, input)) = request(input)? else { return Ok(None) };
    let text = |name| field(output, name).as_text().filter(|text| !text.is_empty());
    let (end, error) = if let Some(error) = text("Error") {
        (EventKind::Info, Some(intern(error)))
    } else if *field(output, "Persisted") == Value::Bool(true) {
        (EventKind::Info, Some(Cow::Borrowed("response-lost")))
    } else if *output == Value::Nil {
        (EventKind::Info, Some(Cow::Borrowed("no-response")))
    } else if let Some(error) = text("ClientError") {
        (EventKind::Fail, Some(intern(error)))
    } else {
        (EventKind::Ok, None)
    };
    let output = if end == EventKind::Ok { response(f, &input, output)? } else { Value::Nil };
    Ok(Some(Report { start, client, f, input, call, output, end, error, returned }))
}

/// The function and its arguments.
fn request(input: &Value) -> Result<Option<(&'static str, Value)>, String> {
    match field(input, "Type").as_text() {
        Some("range") => {
            let range = field(input, "Range");
            let plain = is_zero(range, "Limit") && is_zero(range, "Revision");
            let key = field(range, "Start");
            let one = plain && is_empty(range, "End") && key.as_text().is_some();
            Ok(Some(if one {
                ("get", Value::keyed(key.clone(), Value::Nil))
            } else {
                ("range", range.clone())
            }))
        }
        Some("txn") => {
            let txn = field(input, "Txn");
            let single = match field(txn, "OperationsOnSuccess").as_list() {
                Some([only]) if is_empty(txn, "Conditions") && is_empty(txn, "OperationsOnFailure") => {
                    single(only)
                }
                _ => None,
            };
            Ok(Some(single.unwrap_or_else(|| ("etcd-txn", txn.clone()))))
        }
        Some("leaseRevoke") => Ok(Some(("lease-revoke", field(input, "LeaseRevoke").clone()))),
        Some("leaseGrant" | "defragment" | "compact") => Ok(None),
        Some(other) => Err(format!("the request is of a type that is not known: `{other}`")),
        None => Err("expected `Input` with a `Type`: range, txn, leaseGrant, leaseRevoke, defragment or compact".to_owned()),
    }
}

/// The one operation of an unconditional transaction, if a register model knows it.
fn single(operation: &Value) -> Option<(&'static str, Value)> {
    match field(operation, "Type").as_text()? {
        "put-operation" => {
            let put = field(operation, "Put");
            let value = content(field(put, "Value"))?;
            let key = field(put, "Key");
            (is_zero(put, "LeaseID") && key.as_text().is_some())
                .then(|| ("put", Value::keyed(key.clone(), value)))
        }
        "delete-operation" => {
            let key = field(field(operation, "Delete"), "Key");
            key.as_text().map(|_| ("delete", Value::keyed(key.clone(), Value::Nil)))
        }
        _ => None,
    }
}

fn is_zero(value: &Value, name: &str) -> bool {
    matches!(field(value, name), Value::Nil | Value::Int(0))
}

fn is_empty(value: &Value, name: &str) -> bool {
    match field(value, name) {
        Value::Nil => true,
        Value::Text(text) => text.is_empty(),
        Value::List(list) => list.is_empty(),
        _ => false,
    }
}

/// A `ValueOrHash`: an object, or the text by itself.
fn content(value: &Value) -> Option<Value> {
    match (value, field(value, "Value"), field(value, "Hash")) {
        (Value::Text(_), _, _) => Some(value.clone()),
        (Value::Map(_), _, Value::Int(hash)) if *hash != 0 => {
            Some(Value::text(&format!("hash:{hash}")))
        }
        (Value::Map(_), text @ Value::Text(_), _) => Some(text.clone()),
        // Both parts are left out of the file where they are empty.
        (Value::Map(_), Value::Nil, _) => Some(Value::text("")),
        _ => None,
    }
}

fn response(f: &str, input: &Value, output: &Value) -> Result<Value, String> {
    match f {
        "get" => {
            let key = input.as_pair().map_or(Value::Nil, |(key, _)| key.clone());
            let Value::Map(_) = field(output, "Range") else {
                return Err("expected `Output` with a `Range`".to_owned());
            };
            let value = match field(field(output, "Range"), "KVs").as_list() {
                None | Some([]) => Value::Nil,
                Some([only]) if *field(only, "Key") == key => content(field(only, "Value"))
                    .ok_or("expected a `Value` with a text or a `Hash`")?,
                Some(_) => return Err("the range of one key was answered with others".to_owned()),
            };
            Ok(Value::keyed(key, value))
        }
        "put" | "delete" => Ok(input.clone()),
        _ => Ok(output.clone()),
    }
}

/// The calls and returns, in their order.
fn order(reports: Vec<Report>) -> Vec<Event> {
    let start = reports.iter().map(|report| report.call).min().unwrap_or(0);
    // What was never answered may be said to return at the end of all time.
    let seen = |report: &Report| match report.end {
        EventKind::Info => report.call,
        _ => report.returned,
    };
    let end = reports.iter().map(seen).max().unwrap_or(start);
    let mut moments: Vec<(i64, bool, usize)> = Vec::with_capacity(reports.len() * 2);
    for (nth, report) in reports.iter().enumerate() {
        moments.push((report.call, false, nth));
        moments.push((report.returned.min(end), true, nth));
    }
    moments.sort_unstable();
    let mut reports: Vec<Option<Report>> = reports.into_iter().map(Some).collect();
    let mut processes = Processes::default();
    let mut numbers = vec![Process(0); reports.len()];
    let mut events = Vec::with_capacity(moments.len());
    for (index, (time, is_return, nth)) in (0_u64..).zip(moments) {
        let Some(report) = reports[nth].as_mut() else { continue };
        let mut event = Event {
            index,
            time: time.abs_diff(start),
            process: Actor::Nemesis,
            kind: EventKind::Invoke,
            f: Cow::Borrowed(report.f),
            value: Value::Nil,
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        };
        if is_return {
            event.kind = report.end;
            event.value = std::mem::take(&mut report.output);
            event.error = report.error.take();
            if report.end != EventKind::Info {
                processes.free(report.client, numbers[nth]);
            }
            reports[nth] = None;
        } else {
            event.value = std::mem::take(&mut report.input);
            numbers[nth] = processes.take(report.client);
        }
        event.process = Actor::Process(numbers[nth]);
        events.push(event);
    }
    events
}

/// Which numbers of each client are free; each has one operation open at a time.
#[derive(Default)]
struct Processes {
    free: rustc_hash::FxHashMap<u64, Vec<Process>>,
    fresh: u64,
}

impl Processes {
    fn take(&mut self, client: u64) -> Process {
        let free = self.free.entry(client).or_insert_with(|| vec![Process(client)]);
        free.pop().unwrap_or_else(|| {
            self.fresh += 1;
            Process(FRESH + self.fresh)
        })
    }

    fn free(&mut self, client: u64, process: Process) {
        self.free.entry(client).or_default().push(process);
    }
}
