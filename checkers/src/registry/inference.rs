//! Which model a history's content tells: from the functions of its first operations, and the shapes of their values.
//!
//! | functions | values | model |
//! |---|---|---|
//! | `txn`, or none | micro-operations with `append`, or reads of lists | `list-append` |
//! | `txn`, or none | micro-operations with `w` | `rw-register` |
//! | `read`, `write` | micro-operations | `long-fork` |
//! | `read`, `write` | others | `register`; with `cas`: `cas-register` |
//! | `get`, `put`, `append`, `delete` | | `kv` |
//! | `append`, `read` | | `append` |
//! | `add` or `insert`, `read` | a read is a list, whatever it holds | `set` |
//! | `add`, `read` | reads are numbers | `counter` or `counter-bounds`: to be chosen |
//! | `enqueue`, `dequeue` | | a queue: to be chosen; with `drain`: `total-queue` |
//! | `push`, `pop` | | `stack` |
//! | `acquire`, `release` | | `mutex` or `owner-mutex`: to be chosen |
//! | `transfer`, or `read` alone | a read is a map | `bank` |
//! | `generate` | | `unique-ids` |
//!
//! Where several would fit, nothing is guessed: a wrong model gives a wrong verdict. `rw-register` says the most about its
//! transactions; `read-committed`, `read-atomic` and `causal` judge the same histories by one level each.

use std::collections::BTreeSet;
use tribunal_history::{Actor, Event, EventKind, Value};
use tribunal_spec::Spec;

/// So many events are enough to tell.
pub const SAMPLE_EVENTS: usize = 4096;

/// The content does not tell the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub struct NotInferred {
    /// The functions that were seen.
    pub functions: Vec<String>,
    /// The models that would fit; empty if none is known to.
    pub choices: Vec<&'static str>,
}

impl NotInferred {
    fn message(&self) -> String {
        let functions = self.functions.join(", ");
        match (self.functions.is_empty(), self.choices.is_empty()) {
            (true, _) => {
                "it holds no operation that tells the model; say it with --model".to_owned()
            }
            (false, true) => {
                format!("no model is known for the functions {functions}; say it with --model")
            }
            (false, false) => {
                let choices = self.choices.join(", ");
                format!(
                    "the functions {functions} fit several models; choose with --model: {choices}"
                )
            }
        }
    }
}

/// The model that the first events of a history tell.
///
/// # Errors
/// The models to choose from, where several would fit or none.
pub fn infer(events: &[Event]) -> Result<Spec, NotInferred> {
    let mut seen = Seen::default();
    for event in events.iter().filter(|event| event.process != Actor::Nemesis) {
        seen.add(event);
    }
    let choices = seen.models();
    match choices {
        [name] => Ok(Spec::named(name)),
        _ => Err(NotInferred {
            functions: seen.functions.iter().map(|&f| f.to_owned()).collect(),
            choices: choices.to_vec(),
        }),
    }
}

/// What the events show.
#[derive(Debug, Default)]
struct Seen<'a> {
    functions: BTreeSet<&'a str>,
    /// What micro-operations do: `r`, `w`, `append`.
    micro: BTreeSet<&'a str>,
    /// A micro-operation read a list.
    micro_list: bool,
    /// A read answered a list, a map or a number.
    list: bool,
    map: bool,
    number: bool,
    /// A read answered a list of two that end with a number: a key with its value, or two elements.
    pair: bool,
    /// Something was added under no key, so that reads have none either.
    bare_add: bool,
}

impl<'a> Seen<'a> {
    fn add(&mut self, event: &'a Event) {
        self.functions.insert(&*event.f);
        if let Some(micro) = micro_operations(&event.value) {
            for (f, value) in micro {
                self.micro.insert(f);
                self.micro_list |= f == "r" && value.as_list().is_some();
            }
        } else if event.f == "read" && event.kind == EventKind::Ok {
            let result = event.value.as_pair().map_or(&event.value, |(_, result)| result);
            // A list of two could be a key with its value, or two elements: what was added tells which.
            self.list |= event.value.as_list().is_some_and(|list| list.len() != 2);
            match result {
                Value::List(_) => self.list = true,
                Value::Map(_) => self.map = true,
                Value::Int(_) if event.value.as_pair().is_some() => self.pair = true,
                Value::Int(_) => self.number = true,
                _ => {}
            }
        } else if matches!(&*event.f, "add" | "insert") {
            self.bare_add |= event.value.as_pair().is_none();
        }
    }

    /// Whether there are no functions but these.
    fn only(&self, functions: &[&str]) -> bool {
        self.functions.iter().all(|f| functions.contains(f))
    }

    fn has(&self, f: &str) -> bool {
        self.functions.contains(f)
    }

    /// The models that fit.
    fn models(&self) -> &'static [&'static str] {
        let any = |functions: &[&str]| functions.iter().any(|f| self.has(f));
        match () {
            () if self.functions.is_empty() => &[],
            () if !self.micro.is_empty() => self.transactional(),
            () if self.has("transfer") && self.only(&["transfer", "read"]) => &["bank"],
            () if self.only(&["read"]) && self.map => &["bank"],
            () if any(&["get", "put"]) && self.only(&["get", "put", "append", "delete"]) => &["kv"],
            () if self.has("append") && self.only(&["append", "read"]) => &["append"],
            () if any(&["add", "insert"]) && self.only(&["add", "insert", "read"]) => self.added(),
            () if any(&["write", "cas"]) && self.only(&["read", "write"]) => &["register"],
            () if any(&["write", "cas"]) && self.only(&["read", "write", "cas"]) => {
                &["cas-register"]
            }
            () if any(QUEUE) && self.only(QUEUE) && self.has("drain") => &["total-queue"],
            () if any(QUEUE) && self.only(QUEUE) => {
                &["fifo-queue", "unordered-queue", "total-queue"]
            }
            () if any(&["push", "pop"]) && self.only(&["push", "pop"]) => &["stack"],
            () if any(LOCK) && self.only(LOCK) => &["mutex", "owner-mutex"],
            () if self.only(&["generate"]) => &["unique-ids"],
            () if self.only(&["read"]) => {
                &["register", "set", "counter", "counter-bounds", "append", "bank"]
            }
            () => &[],
        }
    }

    fn transactional(&self) -> &'static [&'static str] {
        match () {
            () if self.micro.contains("append") || self.micro_list => &["list-append"],
            () if self.has("write") || self.only(&["read"]) => &["long-fork"],
            () => &["rw-register"],
        }
    }

    /// Something was added; the reads tell to what.
    fn added(&self) -> &'static [&'static str] {
        let list = self.list || (self.pair && self.bare_add);
        let number = self.number || (self.pair && !self.bare_add);
        match (list, number) {
            _ if self.has("insert") => &["set"],
            // An element twice, or one that nobody added, is what a set is judged for: it does not make a counter of it.
            (true, false) => &["set"],
            (true, true) => &["set", "set-full"],
            (false, true) => &["counter", "counter-bounds"],
            (false, false) => &["set", "set-full", "counter", "counter-bounds"],
        }
    }
}

/// The micro-operations of a transaction, each with the value that it wrote or read, if that is what `value` is.
fn micro_operations(value: &Value) -> Option<Vec<(&str, &Value)>> {
    let list = value.as_list().filter(|list| !list.is_empty())?;
    list.iter()
        .map(|micro| match micro.as_list()? {
            [Value::Text(f), _, value] if MICRO.contains(&&**f) => Some((&**f, value)),
            _ => None,
        })
        .collect()
}

const MICRO: &[&str] = &["r", "w", "append"];
const QUEUE: &[&str] = &["enqueue", "dequeue", "drain"];
const LOCK: &[&str] = &["acquire", "release"];

#[cfg(test)]
mod tests {
    use super::*;
    use tribunal_history::Process;

    /// The functions and values of completed operations, as JSON.
    fn inferred(operations: &[(&'static str, &str)]) -> Result<String, Vec<&'static str>> {
        let events: Vec<Event> = (0..)
            .zip(operations)
            .map(|(index, (f, value))| Event {
                index,
                time: 0,
                process: Actor::Process(Process(0)),
                kind: EventKind::Ok,
                f: (*f).into(),
                value: serde_json::from_str(value).expect("JSON"),
                error: None,
                node: None,
                scheduled: None,
                attempts: None,
                session: None,
                phase: None,
            })
            .collect();
        infer(&events).map(|spec| spec.to_string()).map_err(|error| error.choices)
    }

    #[test]
    fn the_content_tells_the_model() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("read", "3"), ("write", "4")], "register"),
            (&[("read", "[1, 3]"), ("cas", "[1, 3]")], "cas-register"),
            (&[("txn", r#"[["append", 1, 2], ["r", 1, null]]"#)], "list-append"),
            (&[("txn", r#"[["r", 1, [2]]]"#)], "list-append"),
            (&[("txn", r#"[["w", "x", 2]]"#), ("txn", r#"[["r", "x", 2]]"#)], "rw-register"),
            (&[("read", r#"[["r", 0, 1], ["r", 1, null]]"#)], "long-fork"),
            (&[("get", "null"), ("append", "1")], "kv"),
            (&[("append", "[1, 2]"), ("read", "[1, [2]]")], "append"),
            (&[("add", "1"), ("read", "[0, 1, 2]")], "set"),
            (&[("add", "[0, 1]"), ("read", "[0, [1]]")], "set"),
            (&[("push", "1"), ("pop", "1")], "stack"),
            (&[("add", "1"), ("read", "[1, 1]")], "set"),
            (&[("add", "1"), ("read", "[1, 7]")], "set"),
            (&[("transfer", "{}"), ("read", "{}")], "bank"),
            (&[("read", r#"{"0": 10}"#)], "bank"),
            (&[("generate", "5")], "unique-ids"),
            (&[("enqueue", "5"), ("drain", "[5]")], "total-queue"),
        ];
        for (operations, model) in cases {
            assert_eq!(inferred(operations).as_deref(), Ok(*model), "{operations:?}");
        }
    }

    #[test]
    fn what_fits_several_models_lists_them() {
        let queue = inferred(&[("enqueue", "1"), ("dequeue", "1")]);
        assert_eq!(queue, Err(vec!["fifo-queue", "unordered-queue", "total-queue"]));
        let counter = inferred(&[("add", "1"), ("read", "1")]);
        assert_eq!(counter, Err(vec!["counter", "counter-bounds"]));
        let keyed = inferred(&[("add", "[0, 1]"), ("read", "[0, 1]")]);
        assert_eq!(keyed, Err(vec!["counter", "counter-bounds"]));
        let lock = inferred(&[("acquire", "null"), ("release", "null")]);
        assert_eq!(lock, Err(vec!["mutex", "owner-mutex"]));
        assert_eq!(inferred(&[("frobnicate", "1")]), Err(Vec::new()));
        assert_eq!(inferred(&[]), Err(Vec::new()));
    }

    #[test]
    fn the_nemesis_tells_nothing() {
        let mut event: Event = serde_json::from_str(
            r#"{"index":0,"time":0,"process":"nemesis","type":"info","f":"kill","value":null}"#,
        )
        .expect("an event");
        assert!(infer(std::slice::from_ref(&event)).is_err());
        event.process = Actor::Process(Process(0));
        event.f = "generate".into();
        assert!(infer(&[event]).is_ok());
    }
}
