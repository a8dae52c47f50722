//! The errors that clients met: by class, kind of operation and node. Figures only.

use crate::checker::Checker;
use crate::verdict::Verdict;
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tribunal_history::{Operation, Outcome};

/// The checker. Memory: the distinct errors.
#[derive(Debug, Default)]
pub struct Errors {
    counts: BTreeMap<Met, u64>,
}

/// One sort of error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Met {
    class: Cow<'static, str>,
    outcome: Outcome,
    f: Cow<'static, str>,
    node: Option<u32>,
}

/// The class of an operation that ended without one.
const UNNAMED: &str = "unnamed";
/// The class of an operation that the history leaves open.
const OPEN: &str = "open";

impl Errors {
    /// None met.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn sums(&self, name: impl Fn(&Met) -> String) -> serde_json::Map<String, serde_json::Value> {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (met, count) in &self.counts {
            *sums.entry(name(met)).or_default() += count;
        }
        sums.into_iter().map(|(name, count)| (name, count.into())).collect()
    }
}

impl Checker for Errors {
    fn name(&self) -> &'static str {
        "errors"
    }

    fn operation(&mut self, operation: &Operation) {
        if operation.outcome == Outcome::Ok {
            return;
        }
        let unnamed = if operation.end.is_none() { OPEN } else { UNNAMED };
        let met = Met {
            class: operation.error.clone().unwrap_or(unnamed.into()),
            outcome: operation.outcome,
            f: operation.f.clone(),
            node: operation.answered_by,
        };
        *self.counts.entry(met).or_default() += 1;
    }

    fn finish(self: Box<Self>) -> Verdict {
        let outcome = |met: &Met| if met.outcome == Outcome::Fail { "fail" } else { "info" };
        let node = |met: &Met| met.node.map_or("none".to_owned(), |node| node.to_string());
        let rows: Vec<serde_json::Value> = self
            .counts
            .iter()
            .map(|(met, count)| {
                json!({
                    "class": met.class, "outcome": outcome(met), "f": met.f, "node": met.node, "count": count,
                })
            })
            .collect();
        Verdict::valid("errors", true)
            .figure("errors_count", self.counts.values().sum::<u64>())
            .figure("by_class_count", self.sums(|met| met.class.to_string()))
            .figure("by_f_count", self.sums(|met| met.f.to_string()))
            .figure("by_node_count", self.sums(node))
            .figure("errors", rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;

    #[test]
    fn errors_are_counted_by_class_kind_and_node() {
        let verdict = Script::new()
            .invoke(0, "read", 0)
            .fail(0, "read", "connection-refused")
            .node(2)
            .invoke(0, "write", 0)
            .info(0, "write", "timeout")
            .node(2)
            .invoke(1, "read", 0)
            .ok(1, "read", 0)
            .invoke(2, "read", 0)
            .judge(Errors::new());
        assert_eq!(verdict.figures["errors_count"], 3);
        assert_eq!(verdict.figures["by_class_count"]["timeout"], 1);
        assert_eq!(verdict.figures["by_class_count"][OPEN], 1);
        assert_eq!(verdict.figures["by_f_count"]["read"], 2);
        assert_eq!(verdict.figures["by_node_count"]["2"], 2);
        assert_eq!(verdict.figures["errors"].as_array().expect("rows").len(), 3);
    }
}
