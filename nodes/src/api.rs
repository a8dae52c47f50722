//! What clients and nodes say to each other: JSON in HTTP/1.1 bodies, used by the node and by the harness's clients.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /v1/session` | [`SessionRequest`] | [`SessionReply`] |
//! | `POST /v1/execute` | [`ExecuteRequest`] | [`ExecuteReply`] |
//! | `POST /v1/admin` | [`AdminRequest`] | [`AdminReply`] |
//! | `GET /status` | | [`Status`] |
//! | `GET /metrics` | | Prometheus text |
//!
//! Anything but 200 carries an [`ErrorReply`], whose `certainty` says what the client may conclude; the HTTP status
//! only repeats it for people and proxies.
//!
//! Operations are arrays, the name first: `["read","x"]`, `["write","x",7]`, `["cas","x",1,2]`, `["delete","x"]`,
//! `["append","x",1]`, `["add","x",1]`, `["insert","x",1]`. A value is null, an integer of 64 bits, a string, or a
//! list of values.
//!
//! A set is answered as the list of its elements in ascending order: JSON has no sets, so [`Value::Set`] does not read
//! back as one. Absent on purpose: floating-point numbers, booleans and objects.

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use tribunal_protocol::{
    Admin, Certainty, Command, Failure, Key, NodeId, Operation, Role, SessionId, Value,
};

/// Bytes that the body of a request may have. With [`tribunal_protocol::Limits::batch_commands`] it bounds the size
/// of a proposal, which has to fit into one frame between peers.
pub const BODY_BYTES_MAX: usize = 32 * 1024;

/// `POST /v1/session`: registers a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// The run that the client belongs to.
    pub run: u64,
    /// Makes a retry of this request harmless.
    pub nonce: u64,
}

/// The answer to a [`SessionRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReply {
    /// The session, to be named in every [`ExecuteRequest`].
    pub session: SessionId,
}

/// `POST /v1/execute`: executes a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecuteRequest {
    /// The run that the client belongs to.
    pub run: u64,
    /// The client's session.
    pub session: SessionId,
    /// The session's number of this request; a retry carries the same one.
    pub sequence: u64,
    /// The client awaits no answer to any request numbered below this, and will not send one again.
    pub watermark: u64,
    /// At least one.
    #[serde(with = "operations")]
    pub operations: Vec<Operation>,
}

impl ExecuteRequest {
    /// The request that carries `command` to a node of `run`.
    #[must_use]
    pub fn new(run: u64, command: Command) -> Self {
        let Command { session, sequence, watermark, operations } = command;
        Self { run, session, sequence, watermark, operations }
    }

    /// The command that it carries.
    #[must_use]
    pub fn into_command(self) -> Command {
        let Self { run: _, session, sequence, watermark, operations } = self;
        Command { session, sequence, watermark, operations }
    }
}

/// The answer to an [`ExecuteRequest`] that took effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecuteReply {
    /// One an operation. Writes, appends and inserts answer nil.
    #[serde(with = "values")]
    pub results: Vec<Value>,
}

/// `POST /v1/admin`: administration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminRequest {
    /// The run that the operator means.
    pub run: u64,
    /// `"snapshot"`, `"lead"`, `{"add": NODE}` or `{"remove": NODE}`.
    pub admin: Admin,
}

/// The answer to an [`AdminRequest`] that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminReply {
    /// Always true.
    pub done: bool,
}

/// The answer to anything that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// The error's name: that of a [`Failure`], `malformed`, `too-large` or `wrong-run`.
    pub error: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// What it rules out.
    pub certainty: Certainty,
}

impl From<&Failure> for ErrorReply {
    fn from(failure: &Failure) -> Self {
        Self {
            error: Cow::Borrowed(failure.name()),
            message: failure.to_string(),
            certainty: failure.certainty(),
        }
    }
}

/// The HTTP status of a failure.
#[must_use]
pub fn http_status(failure: &Failure) -> u16 {
    match failure {
        Failure::CasMismatch { .. } | Failure::WrongType { .. } => 409,
        Failure::Unsupported => 400,
        Failure::SessionExpired | Failure::Superseded => 410,
        Failure::SessionFull => 429,
        Failure::Overloaded | Failure::NoLeader => 503,
        Failure::Unknown => 504,
    }
}

/// `GET /status`: what a node is at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node.
    pub node: NodeId,
    /// Counts its starts.
    pub incarnation: u64,
    /// The run that it belongs to.
    pub run: u64,
    /// What it is in its algorithm.
    pub role: Role,
    /// Whom it takes for the leader.
    pub leader: Option<NodeId>,
    /// The highest ballot or term that it has promised or tried; 0 if it has none.
    pub ballot: u64,
    /// The highest slot that it applied since its start, if any.
    pub applied: Option<u64>,
}

/// Serde for a list of operations.
pub mod operations {
    use super::{Deserialize, Deserializer, Operation, Serializer, Wire};

    /// Writes each operation as an array that begins with its name.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(operations: &[Operation], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(operations.iter().map(Wire))
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// An unknown name, a wrong number of arguments, a value of a type that does not fit.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Operation>, D::Error> {
        let wired = Vec::<Wire<Operation>>::deserialize(from)?;
        Ok(wired.into_iter().map(|Wire(operation)| operation).collect())
    }
}

/// Serde for a list of values.
pub mod values {
    use super::{Deserialize, Deserializer, Serializer, Value, Wire};

    /// Writes values as plain JSON; a set as a list in ascending order.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(values: &[Value], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(Wire))
    }

    /// Reads what [`serialize`] wrote; sets come back as lists.
    ///
    /// # Errors
    /// A value of a type that does not exist.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Value>, D::Error> {
        let wired = Vec::<Wire<Value>>::deserialize(from)?;
        Ok(wired.into_iter().map(|Wire(value)| value).collect())
    }
}

/// The protocol's own encoding of these types is postcard's, by their derived serde; this is the clients'.
struct Wire<T>(T);

impl Serialize for Wire<&Value> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Nil => to.serialize_unit(),
            Value::Int(int) => to.serialize_i64(*int),
            Value::Text(text) => to.serialize_str(text),
            Value::List(list) => to.collect_seq(list.iter().map(Wire)),
            Value::Set(set) => to.collect_seq(set.iter().map(Wire)),
        }
    }
}

impl<'de> Deserialize<'de> for Wire<Value> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ValueVisitor).map(Wire)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, an integer of 64 bits, a string, or a list of these")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_i64<E>(self, int: i64) -> Result<Value, E> {
        Ok(Value::Int(int))
    }

    fn visit_u64<E: de::Error>(self, int: u64) -> Result<Value, E> {
        let out_of_range = |_| E::invalid_value(de::Unexpected::Unsigned(int), &self);
        i64::try_from(int).map(Value::Int).map_err(out_of_range)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Wire(value)) = from.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }
}

impl Serialize for Wire<&Operation> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let name = operation_name(self.0);
        let key = self.0.key();
        match self.0 {
            Operation::Read(_) | Operation::Delete(_) => (name, key).serialize(to),
            Operation::Write(_, value)
            | Operation::Append(_, value)
            | Operation::Insert(_, value) => (name, key, Wire(value)).serialize(to),
            Operation::Add(_, amount) => (name, key, amount).serialize(to),
            Operation::Cas(_, expected, value) => {
                let mut tuple = to.serialize_tuple(4)?;
                tuple.serialize_element(name)?;
                tuple.serialize_element(key)?;
                tuple.serialize_element(&Wire(expected))?;
                tuple.serialize_element(&Wire(value))?;
                tuple.end()
            }
        }
    }
}

/// The name of an operation in requests, histories and metrics.
#[must_use]
pub fn operation_name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Read(_) => "read",
        Operation::Write(..) => "write",
        Operation::Cas(..) => "cas",
        Operation::Delete(_) => "delete",
        Operation::Append(..) => "append",
        Operation::Add(..) => "add",
        Operation::Insert(..) => "insert",
    }
}

/// An operation's name, read without a copy.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Read,
    Write,
    Cas,
    Delete,
    Append,
    Add,
    Insert,
}

impl<'de> Deserialize<'de> for Wire<Operation> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(OperationVisitor).map(Wire)
    }
}

struct OperationVisitor;

impl<'de> Visitor<'de> for OperationVisitor {
    type Value = Operation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an operation: its name, its key and its arguments, in an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Operation, A::Error> {
        let name: Name = element(&mut from, 0)?;
        let key: Key = element(&mut from, 1)?;
        let operation = match name {
            Name::Read => Operation::Read(key),
            Name::Delete => Operation::Delete(key),
            Name::Write => Operation::Write(key, value(&mut from, 2)?),
            Name::Append => Operation::Append(key, value(&mut from, 2)?),
            Name::Insert => Operation::Insert(key, value(&mut from, 2)?),
            Name::Add => Operation::Add(key, element(&mut from, 2)?),
            Name::Cas => Operation::Cas(key, value(&mut from, 2)?, value(&mut from, 3)?),
        };
        match from.next_element::<de::IgnoredAny>()? {
            None => Ok(operation),
            Some(_) => Err(de::Error::custom("an operation has too many arguments")),
        }
    }
}

fn element<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    from: &mut A,
    nth: usize,
) -> Result<T, A::Error> {
    from.next_element()?.ok_or_else(|| de::Error::invalid_length(nth, &OperationVisitor))
}

fn value<'de, A: SeqAccess<'de>>(from: &mut A, nth: usize) -> Result<Value, A::Error> {
    element(from, nth).map(|Wire(value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use tribunal_protocol::Value::{Int, List, Nil, Set, Text};

    fn key() -> Key {
        "x".into()
    }

    fn every_operation() -> Vec<(Operation, &'static str)> {
        let nested = List(vec![Int(1), Nil, List(vec![Text("a\"b\n".into())])]);
        vec![
            (Operation::Read(key()), r#"["read","x"]"#),
            (Operation::Write(key(), Int(7)), r#"["write","x",7]"#),
            (Operation::Write(key(), nested), r#"["write","x",[1,null,["a\"b\n"]]]"#),
            (Operation::Cas(key(), Nil, Text("é".into())), r#"["cas","x",null,"é"]"#),
            (Operation::Delete(key()), r#"["delete","x"]"#),
            (Operation::Append(key(), Int(i64::MIN)), r#"["append","x",-9223372036854775808]"#),
            (Operation::Add(key(), -1), r#"["add","x",-1]"#),
            (Operation::Insert(key(), Int(i64::MAX)), r#"["insert","x",9223372036854775807]"#),
        ]
    }

    fn request(operations: Vec<Operation>) -> ExecuteRequest {
        ExecuteRequest { run: 1, session: SessionId(2), sequence: 3, watermark: 4, operations }
    }

    fn body(operations: &str) -> String {
        let head = r#""run":1,"session":2,"sequence":3,"watermark":4"#;
        format!(r#"{{{head},"operations":[{operations}]}}"#)
    }

    #[test]
    fn every_operation_is_written_as_documented_and_reads_back() {
        for (operation, json) in every_operation() {
            let request = request(vec![operation]);
            let text = serde_json::to_string(&request).expect("plain data");
            assert_eq!(text, body(json));
            assert_eq!(serde_json::from_str::<ExecuteRequest>(&text).expect("its own"), request);
        }
    }

    #[test]
    fn a_name_may_be_written_with_escapes() {
        let text = body(r#"["\u0072ead","\u0078"]"#);
        let read: ExecuteRequest = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read, request(vec![Operation::Read(key())]));
    }

    #[test]
    fn what_is_no_operation_is_refused() {
        for operation in [
            "[]",
            r#"["read"]"#,
            r#"["read","x",1]"#,
            r#"["write","x"]"#,
            r#"["write","x",1,2]"#,
            r#"["cas","x",1]"#,
            r#"["add","x","1"]"#,
            r#"["add","x",9223372036854775808]"#,
            r#"["write","x",9223372036854775808]"#,
            r#"["write","x",1.5]"#,
            r#"["write","x",true]"#,
            r#"["write","x",{}]"#,
            r#"["write",1,1]"#,
            r#"["rename","x",1]"#,
            r#"{"read":"x"}"#,
            r#""read""#,
        ] {
            assert!(
                serde_json::from_str::<ExecuteRequest>(&body(operation)).is_err(),
                "{operation} should be refused"
            );
        }
    }

    #[test]
    fn nesting_without_end_is_refused_and_does_not_overflow() {
        let deep = format!(r#"["write","x",{}{}]"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(serde_json::from_str::<ExecuteRequest>(&body(&deep)).is_err());
    }

    #[test]
    fn unknown_fields_are_refused() {
        let text = body(r#"["read","x"]"#).replacen('{', r#"{"node":1,"#, 1);
        assert!(serde_json::from_str::<ExecuteRequest>(&text).is_err());
        assert!(serde_json::from_str::<SessionRequest>(r#"{"run":1,"nonce":2,"x":3}"#).is_err());
    }

    #[test]
    fn results_read_back_and_a_set_becomes_an_ascending_list() {
        let set: BTreeSet<_> = [Int(10), Int(9), Nil, Text("a".into())].into();
        let reply = ExecuteReply { results: vec![Nil, List(vec![]), Set(set)] };
        let text = serde_json::to_string(&reply).expect("plain data");
        assert_eq!(text, r#"{"results":[null,[],[null,9,10,"a"]]}"#);
        let list = List(vec![Nil, Int(9), Int(10), Text("a".into())]);
        let read: ExecuteReply = serde_json::from_str(&text).expect("its own");
        assert_eq!(read.results, [Nil, List(vec![]), list]);
    }

    #[test]
    fn the_other_bodies_are_as_documented() {
        let json = |value: serde_json::Result<String>| value.expect("plain data");
        let session = SessionRequest { run: 1, nonce: 2 };
        assert_eq!(json(serde_json::to_string(&session)), r#"{"run":1,"nonce":2}"#);
        let reply = SessionReply { session: SessionId(5) };
        assert_eq!(json(serde_json::to_string(&reply)), r#"{"session":5}"#);
        let admin = AdminRequest { run: 1, admin: Admin::Lead };
        assert_eq!(json(serde_json::to_string(&admin)), r#"{"run":1,"admin":"lead"}"#);
        let error = ErrorReply::from(&Failure::CasMismatch { key: key() });
        let text = r#"{"error":"cas-mismatch","message":"the value of x is not the expected one","certainty":"request"}"#;
        assert_eq!(json(serde_json::to_string(&error)), text);
        assert_eq!(serde_json::from_str::<ErrorReply>(text).expect("its own"), error);
    }

    #[test]
    fn only_an_unknown_outcome_has_the_status_of_a_timeout() {
        for failure in [
            Failure::CasMismatch { key: key() },
            Failure::WrongType { key: key() },
            Failure::SessionExpired,
            Failure::Superseded,
            Failure::SessionFull,
            Failure::Unsupported,
            Failure::Overloaded,
            Failure::NoLeader,
            Failure::Unknown,
        ] {
            let unknown = failure.certainty() == Certainty::Unknown;
            assert_eq!(http_status(&failure) == 504, unknown, "{failure:?}");
        }
    }
}
