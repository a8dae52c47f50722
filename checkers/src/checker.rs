//! What a checker is, and the one pass over a history that feeds all of them.

use crate::verdict::{Validity, Verdict};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tribunal_history::{Actor, Event, Operation, Pairing};

/// Judges one property. It sees operations in the order of their completion, and those that never completed last.
///
/// To add one: a file beside this one, and a line where a workload or the run names its checkers.
pub trait Checker: Send {
    /// The property's name, as in its verdict.
    fn name(&self) -> &'static str;

    /// Takes an operation that ended, or that the history leaves open.
    fn operation(&mut self, operation: &Operation);

    /// Takes an event of the nemesis.
    fn nemesis(&mut self, _event: &Event) {}

    /// Judges what was seen.
    fn finish(self: Box<Self>) -> Verdict;
}

/// Feeds a history to every checker and collects the verdicts, in the order of the checkers.
///
/// A checker that panics is a defect of ours and answers unknown, never valid.
///
/// # Errors
/// The first error of `events`, or of their pairing: a history that cannot be read whole gets no verdict.
pub fn check_all<E>(
    events: impl IntoIterator<Item = Result<Event, E>>,
    checkers: Vec<Box<dyn Checker>>,
) -> Result<Vec<Verdict>, Box<dyn std::error::Error + Send + Sync>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let mut guarded: Vec<Guarded> = checkers.into_iter().map(Guarded::new).collect();
    let mut pairing = Pairing::new();
    for event in events {
        let event = event?;
        if event.process == Actor::Nemesis {
            guarded.iter_mut().for_each(|guarded| guarded.run(|checker| checker.nemesis(&event)));
        }
        if let Some(operation) = pairing.push(event)? {
            feed(&mut guarded, &operation);
        }
    }
    for operation in pairing.finish() {
        feed(&mut guarded, &operation);
    }
    Ok(guarded.into_iter().map(Guarded::finish).collect())
}

fn feed(guarded: &mut [Guarded], operation: &Operation) {
    for guarded in guarded {
        guarded.run(|checker| checker.operation(operation));
    }
}

/// A checker that is not asked again once it has panicked.
struct Guarded {
    name: &'static str,
    checker: Option<Box<dyn Checker>>,
}

impl Guarded {
    fn new(checker: Box<dyn Checker>) -> Self {
        Self { name: checker.name(), checker: Some(checker) }
    }

    fn run(&mut self, action: impl FnOnce(&mut dyn Checker)) {
        let Some(checker) = self.checker.as_mut() else { return };
        if catch_unwind(AssertUnwindSafe(|| action(checker.as_mut()))).is_err() {
            self.checker = None;
        }
    }

    fn finish(self) -> Verdict {
        let verdict = self
            .checker
            .and_then(|checker| catch_unwind(AssertUnwindSafe(|| checker.finish())).ok())
            .unwrap_or_else(|| {
                Verdict::unknown(self.name, "the checker panicked: a defect of ours")
            });
        debug_assert_eq!(
            verdict.validity == Validity::Invalid,
            !verdict.anomalies.is_empty(),
            "{}: evidence exactly with a conviction",
            self.name
        );
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    struct Panics;

    impl Checker for Panics {
        fn name(&self) -> &'static str {
            "panics"
        }

        fn operation(&mut self, _operation: &Operation) {}

        fn finish(self: Box<Self>) -> Verdict {
            panic!("on purpose, to show that a panic is never a pass")
        }
    }

    #[test]
    fn a_checker_that_panics_is_unknown() {
        let events: Vec<Result<Event, Infallible>> = Vec::new();
        let verdicts = check_all(events, vec![Box::new(Panics)]).expect("an empty history");
        assert_eq!(verdicts[0].validity, Validity::Unknown);
    }
}
