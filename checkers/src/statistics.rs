//! How many operations there were, of what kind, with what outcome.
//!
//! A kind of operation that never succeeded was not tested, so the verdict is unknown; the same holds for a history
//! without operations. A pass says no more than that each kind succeeded at least once.

use crate::checker::Checker;
use crate::verdict::Verdict;
use rustc_hash::FxHashMap;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tribunal_history::{Operation, Outcome, Process};

/// The checker.
#[derive(Debug, Default)]
pub struct Statistics {
    by_f: BTreeMap<String, Counts>,
    waived: BTreeSet<String>,
    /// Operations of each process: 16 bytes for every process that was ever retired.
    by_process: FxHashMap<Process, u64>,
    first_call_ns: Option<u64>,
    last_end_ns: u64,
    /// Times that an operation was sent beyond the first.
    resent: u64,
}

/// Operations by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) ok: u64,
    pub(crate) fail: u64,
    pub(crate) info: u64,
}

impl Counts {
    /// Counts one.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Fail => self.fail += 1,
            Outcome::Info => self.info += 1,
        }
    }

    /// All of them.
    pub(crate) fn total(self) -> u64 {
        self.ok + self.fail + self.info
    }

    /// As a figure.
    pub(crate) fn json(self) -> serde_json::Value {
        json!({ "ok": self.ok, "fail": self.fail, "info": self.info })
    }
}

impl Statistics {
    /// `expected` names the kinds of operations that have to succeed at least once, beside all that occur.
    #[must_use]
    pub fn new<'a>(expected: impl IntoIterator<Item = &'a str>) -> Self {
        let by_f = expected.into_iter().map(|f| (f.to_owned(), Counts::default())).collect();
        Self { by_f, ..Self::default() }
    }

    /// Accepts that these kinds of operations never succeed.
    #[must_use]
    pub fn waiving<'a>(mut self, kinds: impl IntoIterator<Item = &'a String>) -> Self {
        self.waived.extend(kinds.into_iter().cloned());
        self
    }

    fn verdict(&self) -> Verdict {
        let total: u64 = self.by_f.values().map(|counts| counts.total()).sum();
        if total == 0 {
            return Verdict::unknown("statistics", "no operation was invoked");
        }
        let never =
            self.by_f.iter().filter(|(f, counts)| counts.ok == 0 && !self.waived.contains(*f));
        let never: Vec<String> = never
            .map(|(f, counts)| format!("`{f}` never succeeded ({} tried)", counts.total()))
            .collect();
        if never.is_empty() {
            Verdict::valid("statistics", true)
        } else {
            Verdict::unknown("statistics", never.join(", "))
        }
    }
}

impl Checker for Statistics {
    fn name(&self) -> &'static str {
        "statistics"
    }

    fn operation(&mut self, operation: &Operation) {
        if let Some(counts) = self.by_f.get_mut(&*operation.f) {
            counts.add(operation.outcome);
        } else {
            self.by_f.entry(operation.f.to_string()).or_default().add(operation.outcome);
        }
        *self.by_process.entry(operation.process).or_default() += 1;
        let call = operation.call.time;
        self.first_call_ns = Some(self.first_call_ns.map_or(call, |first| first.min(call)));
        self.last_end_ns = self.last_end_ns.max(operation.end.unwrap_or(operation.call).time);
        self.resent += u64::from(operation.attempts.saturating_sub(1));
    }

    fn finish(self: Box<Self>) -> Verdict {
        let mut total = Counts::default();
        for counts in self.by_f.values() {
            total.ok += counts.ok;
            total.fail += counts.fail;
            total.info += counts.info;
        }
        let duration_s =
            self.last_end_ns.saturating_sub(self.first_call_ns.unwrap_or(0)) as f64 / 1e9;
        let rate = |count: u64| if duration_s > 0.0 { count as f64 / duration_s } else { 0.0 };
        let by_f: serde_json::Map<String, serde_json::Value> =
            self.by_f.iter().map(|(f, counts)| (f.clone(), counts.json())).collect();
        let processes = self.by_process.len();
        self.verdict()
            .figure("operations_count", total.total())
            .figure("ok_count", total.ok)
            .figure("fail_count", total.fail)
            .figure("info_count", total.info)
            .figure("by_f_count", by_f)
            .figure("duration_s", duration_s)
            .figure("ok_rate_per_s", rate(total.ok))
            .figure("operations_rate_per_s", rate(total.total()))
            .figure("resent_count", self.resent)
            .figure("processes_count", processes)
            .figure("operations_per_process_mean", total.total() as f64 / processes.max(1) as f64)
            .figure("operations_per_process_max", self.by_process.values().max().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::verdict::Validity;
    use tribunal_history::EventKind;

    #[test]
    fn a_kind_that_never_succeeded_was_not_tested() {
        let both =
            || Script::new().one(0, "read", 1, EventKind::Ok).one(0, "write", 1, EventKind::Fail);
        let verdict = both().judge(Statistics::new([]));
        assert_eq!(verdict.validity, Validity::Unknown);
        assert!(verdict.unknown.as_ref().is_some_and(|why| why.contains("`write`")));
        assert_eq!(verdict.figures["operations_count"], 2);
        assert_eq!(verdict.figures["by_f_count"]["write"]["fail"], 1);
        assert_eq!(verdict.figures["ok_rate_per_s"], 500.0);
        let fixed = both().one(0, "write", 1, EventKind::Ok).judge(Statistics::new([]));
        assert_eq!(fixed.validity, Validity::Valid);
    }

    #[test]
    fn a_kind_that_was_expected_but_never_asked_was_not_tested() {
        let script = || Script::new().one(0, "read", 1, EventKind::Ok);
        assert_eq!(script().judge(Statistics::new(["cas"])).validity, Validity::Unknown);
        assert_eq!(script().judge(Statistics::new(["read"])).validity, Validity::Valid);
        assert_eq!(Script::new().judge(Statistics::new([])).validity, Validity::Unknown);
    }
}
