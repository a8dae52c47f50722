//! No node ends by itself.
//!
//! The harness writes an event of the nemesis with `f` = `node-exit` for every node process that ended, with a map as value:
//! `node`, `status` (a text), `expected` (whether the harness ended it), `log` (the end of its output).
//! A pass is complete as far as the harness watched.

use crate::checker::Checker;
use crate::verdict::{Anomaly, Verdict};
use tribunal_history::{Event, Operation, Value};

/// The function's name of the event.
pub const NODE_EXIT: &str = "node-exit";

/// The checker.
#[derive(Debug, Default)]
pub struct Exits {
    expected: u64,
    unexpected: Vec<Anomaly>,
    unreadable: Option<u64>,
}

impl Exits {
    /// None seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Checker for Exits {
    fn name(&self) -> &'static str {
        "exits"
    }

    fn operation(&mut self, _operation: &Operation) {}

    fn nemesis(&mut self, event: &Event) {
        if event.f != NODE_EXIT {
            return;
        }
        match Exit::of(&event.value) {
            Some(exit) if exit.expected => self.expected += 1,
            Some(exit) => self.unexpected.push(exit.anomaly(event.time)),
            None => self.unreadable = self.unreadable.or(Some(event.index)),
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        let count = self.unexpected.len();
        let verdict = match self.unreadable {
            Some(index) if count == 0 => {
                Verdict::unknown("exits", format!("event {index} is no readable exit of a node"))
            }
            _ => Verdict::of("exits", true, self.unexpected),
        };
        verdict.figure("unexpected_count", count).figure("expected_count", self.expected)
    }
}

/// What an event of this kind says.
pub(crate) struct Exit<'a> {
    pub(crate) node: u32,
    pub(crate) expected: bool,
    status: &'a str,
    log: &'a str,
}

impl<'a> Exit<'a> {
    /// Reads the event's value; `None` if node or expectation are missing.
    pub(crate) fn of(value: &'a Value) -> Option<Self> {
        let Value::Map(map) = value else { return None };
        let get = |key: &str| map.iter().find(|(k, _)| k.as_text() == Some(key)).map(|(_, v)| v);
        let Value::Bool(expected) = *get("expected")? else { return None };
        let text = |key| get(key).and_then(Value::as_text).unwrap_or_default();
        let node = u32::try_from(get("node")?.as_int()?).ok()?;
        Some(Self { node, expected, status: text("status"), log: text("log") })
    }

    fn anomaly(&self, time_ns: u64) -> Anomaly {
        let Self { node, status, log, .. } = self;
        let mut message =
            format!("node {node} ended by itself at {:.3} s: {status}", time_ns as f64 / 1e9);
        if !log.is_empty() {
            message.push_str("; the end of its log:\n");
            message.push_str(log);
        }
        Anomaly::new("node-exit", message, None, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::verdict::Validity;

    fn exit(expected: bool) -> Verdict {
        let map = vec![
            ("node", 2.into()),
            ("status", "signal 6".into()),
            ("expected", Value::Bool(expected)),
            ("log", "assertion failed".into()),
        ];
        Script::new().nemesis(NODE_EXIT, map).judge(Exits::new())
    }

    #[test]
    fn a_node_that_ends_by_itself_convicts_and_one_that_was_killed_does_not() {
        assert_eq!(Script::new().judge(Exits::new()).validity, Validity::Valid);
        assert_eq!(exit(true).validity, Validity::Valid);
        let verdict = exit(false);
        assert_eq!(verdict.validity, Validity::Invalid);
        assert!(verdict.anomalies[0].message.contains("node 2 ended by itself"));
        assert!(verdict.anomalies[0].message.contains("assertion failed"));
    }

    #[test]
    fn an_exit_that_cannot_be_read_is_no_pass() {
        let verdict =
            Script::new().nemesis(NODE_EXIT, vec![("node", 2.into())]).judge(Exits::new());
        assert_eq!(verdict.validity, Validity::Unknown);
    }
}
