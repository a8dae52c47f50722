//! Generators of identifiers: all that were acknowledged are distinct.
//!
//! Operations: `generate`, answered with an identifier. Source: Jepsen's `unique-ids`.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `duplicated` | two operations were answered with the same identifier |
//!
//! A pass is a proof: of what was acknowledged; what was answered to nobody cannot be told. O(1) and about 90 bytes an
//! identifier.

use crate::checker::Checker;
use crate::keyed::{Findings, Trace, Unreadable};
use crate::verdict::Verdict;
use rustc_hash::FxHashMap;
use tribunal_history::{Operation, Outcome, Value};

/// The checker.
#[derive(Debug, Default)]
pub struct UniqueIds {
    acknowledged: FxHashMap<Value, Trace>,
    operations: u64,
    crashed: u64,
    findings: Findings,
    unreadable: Unreadable,
}

impl UniqueIds {
    /// Nothing seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn acknowledged(&mut self, operation: &Operation) {
        let id = &operation.output;
        if id.is_nil() {
            self.unreadable.add(operation, "was acknowledged without an identifier");
            return;
        }
        let Some(earlier) = self.acknowledged.get(id).copied() else {
            self.acknowledged.insert(id.clone(), Trace::of(operation));
            return;
        };
        self.findings.add("duplicated", || {
            let earlier = earlier.operation("generate", Value::Nil, id.clone());
            let seconds = |operation: &Operation| operation.call.time as f64 / 1e9;
            let message = format!(
                "process {} at {:.3} s was answered {id}, which process {} had been answered at {:.3} s",
                operation.process,
                seconds(operation),
                earlier.process,
                seconds(&earlier)
            );
            (message, Value::Nil, vec![earlier, operation.clone()])
        });
    }
}

impl Checker for UniqueIds {
    fn name(&self) -> &'static str {
        "unique-ids"
    }

    fn operation(&mut self, operation: &Operation) {
        self.operations += 1;
        self.crashed += u64::from(operation.outcome == Outcome::Info);
        match (&*operation.f, operation.outcome) {
            ("generate", Outcome::Ok) => self.acknowledged(operation),
            ("generate", _) => {}
            _ => self.unreadable.add(operation, "does not generate an identifier"),
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        let nothing =
            self.acknowledged.is_empty().then(|| "no identifier was acknowledged".to_owned());
        let bytes = self.acknowledged.capacity() * (size_of::<(Value, Trace)>() + 1);
        self.findings
            .verdict("unique-ids", true, self.unreadable.reason(), nothing)
            .figure("operations", self.operations)
            .figure("operations_crashed", self.crashed)
            .figure("acknowledged_count", self.acknowledged.len())
            .figure("engine_bytes", bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, names};
    use crate::verdict::Validity;

    fn generate(script: Script, id: i64) -> Script {
        script.invoke(0, "generate", Value::Nil).ok(0, "generate", id)
    }

    #[test]
    fn distinct_identifiers_are_valid() {
        let verdict = generate(generate(Script::new(), 1), 2).judge(UniqueIds::new());
        assert_eq!((verdict.validity, verdict.complete), (Validity::Valid, true));
    }

    #[test]
    fn the_same_identifier_twice_is_found() {
        let script = generate(generate(generate(Script::new(), 1), 2), 1);
        let verdict = script.judge(UniqueIds::new());
        assert_eq!(names(&verdict), ["duplicated"]);
        let calls: Vec<u64> = verdict.anomalies[0].witness.iter().map(|o| o.call.index).collect();
        assert_eq!(calls, [0, 4]);
    }

    #[test]
    fn what_was_not_acknowledged_asserts_nothing() {
        let script = Script::new().invoke(1, "generate", Value::Nil).fail(1, "generate", "refused");
        assert_eq!(script.judge(UniqueIds::new()).validity, Validity::Unknown);
        let crashed =
            generate(Script::new(), 1).invoke(1, "generate", 1).info(1, "generate", "timeout");
        assert_eq!(crashed.judge(UniqueIds::new()).validity, Validity::Valid);
        let odd = generate(Script::new(), 1).invoke(1, "read", Value::Nil).ok(1, "read", 1);
        assert_eq!(generate(odd, 1).judge(UniqueIds::new()).validity, Validity::Unknown);
    }
}
