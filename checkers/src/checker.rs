//! What a checker is, and the one pass over a history that feeds all of them: whole, or event by event as it is made.

use crate::verdict::{Validity, Verdict};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tribunal_history::{Actor, Event, Operation, Pairing, PairingError};

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

    /// Whether what was seen so far is a violation that nothing can undo; `open` are the operations under way. Asked from time
    /// to time while a history is being made. May miss what `finish` will find, never the reverse; a checker that was
    /// told to settle may be wrong where it says so.
    fn violated(&mut self, _open: &[Operation]) -> bool {
        false
    }

    /// Leaves the checker free to forget what is decided; `open` are the operations under way. Whatever is taken from now on
    /// is one of them, or begins later.
    fn settle(&mut self, _open: &[Operation]) {}

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
    let mut judges = Judges::new(checkers);
    for event in events {
        judges.event(event?)?;
    }
    Ok(judges.finish())
}

/// Checkers at work on a history that comes event by event.
///
/// A checker that panics is a defect of ours and answers unknown, never valid.
pub struct Judges {
    guarded: Vec<Guarded>,
    pairing: Pairing,
    events: u64,
    settle_every: u64,
}

impl Judges {
    /// They keep what they need to tell every anomaly.
    #[must_use]
    pub fn new(checkers: Vec<Box<dyn Checker>>) -> Self {
        let guarded = checkers.into_iter().map(Guarded::new).collect();
        Self { guarded, pairing: Pairing::new(), events: 0, settle_every: u64::MAX }
    }

    /// They settle after every `events` events, so that memory does not grow with the length of the history. One that cannot
    /// tell in the end says so: see [`crate::linearizability::NEEDS_HISTORY`].
    #[must_use]
    pub fn settling(checkers: Vec<Box<dyn Checker>>, events: u64) -> Self {
        Self { settle_every: events.max(1), ..Self::new(checkers) }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// If it cannot be the next event of a history. There is no verdict then.
    pub fn event(&mut self, event: Event) -> Result<(), PairingError> {
        if event.process == Actor::Nemesis {
            self.each(|checker| checker.nemesis(&event));
        }
        if let Some(operation) = self.pairing.push(event)? {
            self.each(|checker| checker.operation(&operation));
        }
        self.events += 1;
        if self.events.is_multiple_of(self.settle_every) {
            let open = self.pairing.open();
            self.each(|checker| checker.settle(&open));
        }
        Ok(())
    }

    /// Whether a checker has seen a violation; see [`Checker::violated`].
    pub fn violated(&mut self) -> bool {
        let open = self.pairing.open();
        let mut violated = false;
        self.each(|checker| violated |= checker.violated(&open));
        violated
    }

    /// How many events were taken.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The verdicts, in the order of the checkers. Operations that the history leaves open come last.
    #[must_use]
    pub fn finish(mut self) -> Vec<Verdict> {
        for operation in std::mem::take(&mut self.pairing).finish() {
            self.each(|checker| checker.operation(&operation));
        }
        self.guarded.into_iter().map(Guarded::finish).collect()
    }

    fn each(&mut self, mut action: impl FnMut(&mut dyn Checker)) {
        self.guarded.iter_mut().for_each(|guarded| guarded.run(&mut action));
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

    /// Convicts at the first failure, which a `settle` makes it forget.
    #[derive(Default)]
    struct Fails(bool);

    impl Checker for Fails {
        fn name(&self) -> &'static str {
            "fails"
        }

        fn operation(&mut self, operation: &Operation) {
            self.0 |= operation.outcome == tribunal_history::Outcome::Fail;
        }

        fn violated(&mut self, open: &[Operation]) -> bool {
            assert!(open.iter().all(|operation| operation.end.is_none()));
            self.0 && open.len() == 1
        }

        fn settle(&mut self, _open: &[Operation]) {
            self.0 = false;
        }

        fn finish(self: Box<Self>) -> Verdict {
            Verdict::valid("fails", false)
        }
    }

    #[test]
    fn judges_are_asked_on_the_way_and_settle_at_their_events() {
        use tribunal_history::{EventKind, Process, Value};
        let event = |index: u64, process: u64, kind| Event {
            index,
            time: index,
            process: Actor::Process(Process(process)),
            kind,
            f: "read".into(),
            value: Value::Nil,
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        };
        let mut judges = Judges::settling(vec![Box::new(Fails::default())], 4);
        let events = [(1, EventKind::Invoke), (2, EventKind::Invoke), (1, EventKind::Fail)];
        for (index, (process, kind)) in (0..).zip(events) {
            assert!(!judges.violated());
            judges.event(event(index, process, kind)).expect("a history");
        }
        assert!(judges.violated(), "the operation of process 2 is under way");
        judges.event(event(3, 2, EventKind::Ok)).expect("a history");
        assert!(!judges.violated(), "settled after four events");
        assert_eq!(judges.events(), 4);
        assert!(judges.event(event(3, 2, EventKind::Ok)).is_err(), "the index does not rise");
    }
}
