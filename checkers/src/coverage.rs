//! Every kind of fault that was asked for bit at least once. If not, the run did not test what it was to test: unknown.
//!
//! A fault bit if its end says so. One that never ended (a node that stays dead) bit if it was installed and took a
//! node down; nothing shows whether an unended cut ever carried anything.

use crate::checker::Checker;
use crate::verdict::Verdict;
use crate::windows::{FaultOutcome, Window, Windows};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tribunal_history::{Event, Operation};

/// The checker.
#[derive(Debug, Default)]
pub struct Coverage {
    requested: BTreeSet<String>,
    windows: Windows,
}

/// What became of the faults of one name.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    installed: u64,
    skipped: u64,
    indeterminate: u64,
    bit: u64,
}

impl Coverage {
    /// `requested`: the names of the faults that have to bite.
    #[must_use]
    pub fn new<'a>(requested: impl IntoIterator<Item = &'a str>) -> Self {
        let requested = requested.into_iter().map(str::to_owned).collect();
        Self { requested, windows: Windows::default() }
    }
}

impl Checker for Coverage {
    fn name(&self) -> &'static str {
        "coverage"
    }

    fn operation(&mut self, _operation: &Operation) {}

    fn nemesis(&mut self, event: &Event) {
        self.windows.push(event);
    }

    fn finish(self: Box<Self>) -> Verdict {
        let windows = self.windows.finish();
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for fault in self.requested.iter() {
            tallies.insert(fault.clone(), Tally::default());
        }
        for window in &windows {
            tallies.entry(window.fault.clone()).or_default().add(window);
        }
        let missing: Vec<String> = self
            .requested
            .iter()
            .filter(|fault| tallies.get(*fault).is_none_or(|tally| tally.bit == 0))
            .map(|fault| explain(fault, &windows))
            .collect();
        let verdict = if missing.is_empty() {
            Verdict::valid("coverage", true)
        } else {
            Verdict::unknown("coverage", missing.join("; "))
        };
        let faults: serde_json::Map<String, serde_json::Value> =
            tallies.into_iter().map(|(fault, tally)| (fault, tally.json())).collect();
        verdict.figure("faults_count", faults)
    }
}

impl Tally {
    fn add(&mut self, window: &Window) {
        match window.outcome {
            FaultOutcome::Installed => self.installed += 1,
            FaultOutcome::Skipped => self.skipped += 1,
            FaultOutcome::Indeterminate => self.indeterminate += 1,
        }
        self.bit += u64::from(bit(window));
    }

    fn json(self) -> serde_json::Value {
        let Self { installed, skipped, indeterminate, bit } = self;
        json!({ "installed": installed, "skipped": skipped, "indeterminate": indeterminate, "bit": bit })
    }
}

fn bit(window: &Window) -> bool {
    let unended = window.end.is_none()
        && window.outcome == FaultOutcome::Installed
        && !window.down.is_empty();
    window.bit.unwrap_or(unended) && window.outcome != FaultOutcome::Skipped
}

fn explain(fault: &str, windows: &[Window]) -> String {
    let mut of_kind = windows.iter().filter(|window| window.fault == fault);
    match (of_kind.clone().count(), of_kind.find(|window| !window.why.is_empty())) {
        (0, _) => format!("`{fault}` was asked for, but never tried"),
        (count, Some(window)) => {
            format!("`{fault}` was tried {count} times, but never bit: {}", window.why)
        }
        (count, None) => format!("`{fault}` was tried {count} times, but never bit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::verdict::Validity;

    #[test]
    fn a_fault_that_bit_is_covered() {
        let script = Script::new().fault(1, "kill", &[1], &[]).healed(1, "kill");
        let verdict = script.judge(Coverage::new(["kill"]));
        assert_eq!(verdict.validity, Validity::Valid);
        assert_eq!(verdict.figures["faults_count"]["kill"]["bit"], 1);
    }

    #[test]
    fn a_node_that_stays_dead_is_covered_and_an_open_cut_is_not() {
        let dead = Script::new().fault(1, "kill", &[1], &[]);
        assert_eq!(dead.judge(Coverage::new(["kill"])).validity, Validity::Valid);
        let cut = Script::new().fault(1, "partition", &[], &[(1, 2)]);
        assert_eq!(cut.judge(Coverage::new(["partition"])).validity, Validity::Unknown);
    }

    #[test]
    fn a_fault_that_was_never_tried_or_skipped_is_unknown() {
        assert_eq!(Script::new().judge(Coverage::new(["kill"])).validity, Validity::Unknown);
        assert_eq!(Script::new().judge(Coverage::new([])).validity, Validity::Valid);
        let skipped = vec![
            ("id", 1.into()),
            ("at", "start".into()),
            ("outcome", "skipped".into()),
            ("why", "no leader".into()),
        ];
        let verdict = Script::new().nemesis("kill", skipped).judge(Coverage::new(["kill"]));
        assert_eq!(verdict.validity, Validity::Unknown);
        assert!(verdict.unknown.is_some_and(|why| why.contains("no leader")));
    }
}
