//! Between a workload's requests and our nodes' operations. Used by simulated clients and by those of real processes.

use std::borrow::Cow;
use tribunal_history::Value;
use tribunal_protocol as protocol;
use tribunal_workloads::Request;
use tribunal_workloads::client::{Certainty, Input};

/// A request of a workload as an operation of our state machine; `None` if it is none.
#[must_use]
pub fn operation(request: &Request) -> Option<protocol::Operation> {
    let (key, argument) = request.value.as_pair()?;
    let key: protocol::Key = match key {
        Value::Text(text) => text.clone(),
        Value::Int(int) => int.to_string().into(),
        _ => return None,
    };
    Some(match &*request.f {
        "read" => protocol::Operation::Read(key),
        "write" => protocol::Operation::Write(key, to_node(argument)?),
        "cas" => {
            let (from, to) = argument.as_pair()?;
            protocol::Operation::Cas(key, to_node(from)?, to_node(to)?)
        }
        "append" => protocol::Operation::Append(key, to_node(argument)?),
        "add" => protocol::Operation::Add(key, argument.as_int()?),
        "insert" => protocol::Operation::Insert(key, to_node(argument)?),
        _ => return None,
    })
}

/// What became of an attempt whose results came back: a read shows what it saw, anything else repeats what was asked.
#[must_use]
pub fn results(request: &Request, results: &[protocol::Value]) -> Input {
    match (&*request.f, results, request.value.as_pair()) {
        ("read", [value], Some((key, _))) => Input::Ok(Value::keyed(key.clone(), from_node(value))),
        (_, [_], _) => Input::Ok(request.value.clone()),
        _ => Input::Garbled,
    }
}

/// What became of an attempt that a node refused.
#[must_use]
pub fn failed(error: Cow<'static, str>, certainty: protocol::Certainty) -> Input {
    let certainty = match certainty {
        protocol::Certainty::Request => Certainty::Request,
        protocol::Certainty::Attempt => Certainty::Attempt,
        protocol::Certainty::Unknown => Certainty::Unknown,
    };
    Input::Failed { error, certainty }
}

/// What became of an attempt that a node answered.
#[must_use]
pub fn reply(request: &Request, reply: &protocol::Reply) -> Input {
    match reply {
        protocol::Reply::Results(values) => results(request, values),
        protocol::Reply::Failed(failure) => failed(failure.name().into(), failure.certainty()),
        protocol::Reply::Session(_) | protocol::Reply::Done => Input::Garbled,
    }
}

fn to_node(value: &Value) -> Option<protocol::Value> {
    Some(match value {
        Value::Nil => protocol::Value::Nil,
        Value::Int(int) => protocol::Value::Int(*int),
        Value::Text(text) => protocol::Value::Text(text.clone()),
        Value::List(list) => {
            protocol::Value::List(list.iter().map(to_node).collect::<Option<_>>()?)
        }
        Value::Bool(_) | Value::Map(_) => return None,
    })
}

fn from_node(value: &protocol::Value) -> Value {
    match value {
        protocol::Value::Nil => Value::Nil,
        protocol::Value::Int(int) => Value::Int(*int),
        protocol::Value::Text(text) => Value::Text(text.clone()),
        protocol::Value::List(list) => Value::List(list.iter().map(from_node).collect()),
        protocol::Value::Set(set) => Value::List(set.iter().map(from_node).collect()),
    }
}
