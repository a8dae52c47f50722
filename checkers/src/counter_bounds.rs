//! Jepsen's counter: each read lies between what must and what may have been added.
//!
//! [`CounterChecker`] makes the same test of each read, and compares reads with the reads before them as well. So this is
//! that checker under the name that Jepsen's users look for; what it convicts beyond Jepsen (`stale-read`, `unexplained-rise`)
//! no counter could answer either.

use crate::checker::Checker;
use crate::counter::{CounterChecker, NOTHING_READ};
use crate::verdict::{Validity, Verdict};
use tribunal_history::Operation;

/// The checker.
#[derive(Debug, Default)]
pub struct CounterBounds(CounterChecker);

impl CounterBounds {
    /// Nothing seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Checker for CounterBounds {
    fn name(&self) -> &'static str {
        "counter-bounds"
    }

    fn operation(&mut self, operation: &Operation) {
        self.0.operation(operation);
    }

    fn finish(self: Box<Self>) -> Verdict {
        let (checker, engine) = ("counter-bounds", Some("counter-bounds".into()));
        let verdict = Verdict { checker, engine, ..Box::new(self.0).finish() };
        match verdict.unknown.as_deref() {
            // No read is out of its bounds then, as Jepsen has it.
            Some(NOTHING_READ) => Verdict { validity: Validity::Valid, unknown: None, ..verdict },
            _ => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, names};
    use tribunal_history::Value;

    fn read(value: i64) -> Verdict {
        let added = Script::new().invoke(0, "add", 1).ok(0, "add", 1).invoke(1, "add", 2);
        added.invoke(2, "read", Value::Nil).ok(2, "read", value).judge(CounterBounds::new())
    }

    #[test]
    fn a_read_lies_between_what_was_acknowledged_and_what_was_attempted() {
        for value in [1, 3] {
            assert_eq!(
                (read(value).validity, read(value).checker),
                (Validity::Valid, "counter-bounds")
            );
        }
        assert_eq!(names(&read(0)), ["below-bound"]);
        assert_eq!(names(&read(4)), ["above-bound"]);
    }

    #[test]
    fn a_failed_addition_that_shows_is_out_of_bounds() {
        let failed = Script::new().invoke(0, "add", 5).fail(0, "add", "refused");
        let verdict =
            failed.invoke(1, "read", Value::Nil).ok(1, "read", 5).judge(CounterBounds::new());
        assert_eq!(verdict.validity, Validity::Invalid);
    }
}
