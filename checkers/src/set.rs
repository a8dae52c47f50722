//! Sets that only grow: what became of each element.
//!
//! Operations: `add` (or `insert`) `[key, element]`, each element once a key, and `read` `[key, elements]`.
//!
//! An element is *known* from the moment that its add was acknowledged, or that a read which saw it ended, whichever
//! is first. Every read that begins later must hold it (Kingsbury's `set-full` of Jepsen has the same notion).
//!
//! | anomaly | meaning |
//! |---|---|
//! | `lost` | a read misses a known element, and no read that began later saw it again |
//! | `stale-read` | a read misses a known element, but one that began later holds it |
//! | `unexpected` | a read holds an element that nobody tried to add, or not before the read ended |
//! | `failed-operation-observed` | a read holds an element whose add surely did not take effect |
//! | `duplicated` | a read holds an element twice |
//!
//! Each element has an outcome, as figures tell: *stable* (read, and no later read misses it), *lost*, or *never read*
//! (and missed by no read that had to hold it). Beside that it may have been *stale* or *duplicated*. Jepsen's `set`, with one
//! final read, is the special case in which every element acknowledged is known when the read begins.
//!
//! A pass is not complete: two concurrent reads that hold `{1}` and `{2}` of two concurrent adds contradict each other,
//! and nothing here compares reads with reads.
//!
//! Cost: the sum of the sizes of the reads. The prefix of known elements is walked only by a read that misses some of
//! it, and what it misses leaves the prefix, so each walk is paid by what the read holds and by what it misses. Memory:
//! about 130 bytes an element and 48 a read.

use crate::checker::Checker;
use crate::keyed::{
    Findings, NONE, Names, Trace, Unreadable, argument, elements, number_of, plain, result,
};
use crate::verdict::Verdict;
use rustc_hash::FxHashMap;
use tribunal_history::{Operation, Outcome, Value};

/// The checker.
#[derive(Debug, Default)]
pub struct SetChecker {
    keys: Names<Value>,
    names: Names<(u32, Value)>,
    elements: Vec<Element>,
    /// By key: the known elements that no read has missed since they were last seen, by [`Element::known`].
    required: Vec<Vec<u32>>,
    reads: Vec<Trace>,
    /// The first reads with something wrong, whole, for witnesses.
    shown: FxHashMap<u32, Operation>,
    /// Whether the history says `insert` for `add`.
    says_insert: bool,
    findings: Findings,
    unreadable: Unreadable,
}

/// How many reads are kept whole.
const READS_SHOWN: usize = 8;

/// What is known of one element. Reads are named by their numbers, [`NONE`] is none.
#[derive(Clone, Copy, Debug)]
struct Element {
    add: Option<Trace>,
    /// The index of the event since which every new read must hold it; the maximum while there is none.
    known: u64,
    /// The first read that held it.
    first: u32,
    /// Of the reads that held it, the one that began last.
    latest: u32,
    /// The last read that held it, to tell duplicates and misses.
    mark: u32,
    /// The read that missed it, unless it came back.
    missed: u32,
    /// Whether a read missed it that began before one that holds it.
    stale: bool,
    /// Whether a read held it twice.
    duplicated: bool,
}

const UNSEEN: Element = Element {
    add: None,
    known: u64::MAX,
    first: NONE,
    latest: NONE,
    mark: NONE,
    missed: NONE,
    stale: false,
    duplicated: false,
};

impl SetChecker {
    /// Nothing seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn key(&mut self, key: &Value) -> u32 {
        let key = self.keys.number(key.clone());
        if self.required.len() <= key as usize {
            self.required.push(Vec::new());
        }
        key
    }

    fn element(&mut self, key: u32, element: &Value) -> usize {
        let number = self.names.number((key, element.clone())) as usize;
        if number == self.elements.len() {
            self.elements.push(UNSEEN);
        }
        number
    }

    fn add(&mut self, operation: &Operation) {
        self.says_insert = operation.f == "insert";
        let (key, element) = argument(&operation.input);
        let key = self.key(key);
        let number = self.element(key, element);
        let seen = &mut self.elements[number];
        let trace = Trace::of(operation);
        match seen.add {
            // It did not happen, and tells nothing beside one that tried as well.
            Some(_) if !trace.possible() => return,
            Some(first) if first.possible() => {
                // Whichever was called first brought it, and may have been read.
                seen.add = Some(if trace.call < first.call { trace } else { first });
                self.unreadable.add(operation, "adds an element for the second time");
                return;
            }
            _ => {}
        }
        seen.add = Some(trace);
        if operation.outcome == Outcome::Ok && seen.known == u64::MAX {
            seen.known = trace.acknowledged();
            self.required[key as usize].push(number_of(number));
        }
    }

    fn read(&mut self, operation: &Operation) {
        let (key, held) = result(operation);
        let Some(held) = elements(held) else {
            self.unreadable.add(operation, "reads something else than a list");
            return;
        };
        let key = self.key(key);
        let read = number_of(self.reads.len());
        self.reads.push(Trace::of(operation));
        let mut new = Vec::new();
        let mut held_required = 0;
        for element in held {
            let number = self.element(key, element);
            if self.elements[number].mark == read {
                self.elements[number].duplicated = true;
                self.duplicated(operation, element);
                continue;
            }
            held_required += usize::from(self.is_required(number, operation));
            if self.hold(number, read) {
                new.push(number_of(number));
            }
        }
        self.look_for_missing(key, read, held_required, operation);
        self.required[key as usize].extend(new);
    }

    /// Whether the element is in the prefix that `read` must hold.
    fn is_required(&self, number: usize, read: &Operation) -> bool {
        let element = &self.elements[number];
        element.missed == NONE && element.known < read.call.index
    }

    /// Notes that `read` holds an element. True if the element is to be required from now on.
    fn hold(&mut self, number: usize, read: u32) -> bool {
        let trace = self.reads[read as usize];
        let before = self.elements[number];
        let element = &mut self.elements[number];
        element.mark = read;
        if before.latest == NONE || self.reads[before.latest as usize].call < trace.call {
            element.latest = read;
        }
        if before.first == NONE {
            element.first = read;
        }
        let came_back =
            before.missed != NONE && self.reads[before.missed as usize].call < trace.call;
        if came_back {
            element.missed = NONE;
            self.stale(number, before.missed, read);
        }
        let required = came_back || before.known == u64::MAX;
        if required {
            self.elements[number].known = trace.end().index;
        }
        required
    }

    /// Finds what a read misses of the prefix known when it began, if it holds less than the prefix.
    fn look_for_missing(&mut self, key: u32, read: u32, held: usize, operation: &Operation) {
        let required = &self.required[key as usize];
        let elements = &self.elements;
        let prefix = required
            .partition_point(|number| elements[*number as usize].known < operation.call.index);
        if held == prefix {
            return;
        }
        self.show(read, operation);
        let mut kept = std::mem::take(&mut self.required[key as usize]);
        let tail = kept.split_off(prefix);
        let (present, missing): (Vec<u32>, Vec<u32>) =
            kept.into_iter().partition(|number| self.elements[*number as usize].mark == read);
        self.required[key as usize] = present;
        self.required[key as usize].extend(tail);
        for number in missing {
            let latest = self.elements[number as usize].latest;
            self.elements[number as usize].missed = read;
            // A read that ended before this one may yet have begun after it: the element is there, this read is stale.
            if latest != NONE && self.reads[latest as usize].call > operation.call {
                self.elements[number as usize].missed = NONE;
                self.stale(number as usize, read, latest);
                self.reinstate(key, number, read);
            }
        }
    }

    fn reinstate(&mut self, key: u32, number: u32, read: u32) {
        self.elements[number as usize].known = self.reads[read as usize].end().index;
        self.required[key as usize].push(number);
    }

    fn show(&mut self, read: u32, operation: &Operation) {
        if self.shown.len() < READS_SHOWN {
            self.shown.insert(read, operation.clone());
        }
    }

    fn stale(&mut self, number: usize, missed: u32, held: u32) {
        self.elements[number].stale = true;
        let mut findings = std::mem::take(&mut self.findings);
        findings.add("stale-read", || {
            let (key, name) = self.name(number);
            let message = format!(
                "a read misses {name}, which was known before it began; a later read holds it"
            );
            (message, key, self.witness(number, &[missed, held]))
        });
        self.findings = findings;
    }

    fn duplicated(&mut self, operation: &Operation, element: &Value) {
        self.findings.add("duplicated", || {
            let key = result(operation).0.clone();
            (format!("a read holds {element} twice"), key, vec![operation.clone()])
        });
    }

    /// Key and name of an element.
    fn name(&self, number: usize) -> (Value, Value) {
        let Some((key, element)) = self.names.name(number_of(number)) else {
            return (Value::Nil, Value::Nil);
        };
        (self.keys.name(*key).cloned().unwrap_or_default(), element.clone())
    }

    /// The add of an element, where there is one, and these reads.
    fn witness(&self, number: usize, reads: &[u32]) -> Vec<Operation> {
        let (key, name) = self.name(number);
        let keyed = |value: Value| {
            if key.is_nil() { value } else { Value::keyed(key.clone(), value) }
        };
        let f = if self.says_insert { "insert" } else { "add" };
        let add = self.elements[number].add;
        let add = add.map(|add| add.operation(f, keyed(name.clone()), Value::Nil));
        let read = |read: &u32| {
            let whole = self.shown.get(read).cloned();
            whole.unwrap_or_else(|| {
                // Lists are not kept: the witness tells what of the list matters.
                let held = self.elements[number].mark == *read
                    || self.elements[number].first == *read
                    || self.elements[number].latest == *read;
                let what = format!("... {} {name} ...", if held { "with" } else { "without" });
                let trace = &self.reads[*read as usize];
                trace.operation("read", keyed(Value::Nil), keyed(Value::text(&what)))
            })
        };
        let mut reads: Vec<u32> = reads.iter().copied().filter(|read| *read != NONE).collect();
        reads.sort_unstable();
        reads.dedup();
        add.into_iter().chain(reads.iter().map(read)).collect()
    }

    /// What the whole history says of an element.
    fn judge(&self, number: usize, findings: &mut Findings) {
        let element = &self.elements[number];
        let mut found = |anomaly, what: &str, reads: &[u32]| {
            findings.add(anomaly, || {
                let (key, name) = self.name(number);
                (format!("{} {what}", plain(&name)), key, self.witness(number, reads))
            });
        };
        let first_end = self.reads.get(element.first as usize).map(|read| read.end().index);
        match (element.add, first_end) {
            (None, _) => {
                found("unexpected", "was read, but nobody tried to add it", &[element.first])
            }
            (Some(add), Some(_)) if !add.possible() => {
                found(
                    "failed-operation-observed",
                    "was read, but its add failed",
                    &[element.first],
                );
            }
            (Some(add), Some(end)) if end < add.call.index => {
                found("unexpected", "was read before anybody tried to add it", &[element.first]);
            }
            _ if element.missed != NONE => {
                let reads = [element.first, element.missed];
                found(
                    "lost",
                    "was known, but a later read misses it, and it never came back",
                    &reads,
                );
            }
            _ => {}
        }
    }
}

impl Checker for SetChecker {
    fn name(&self) -> &'static str {
        "set"
    }

    fn operation(&mut self, operation: &Operation) {
        match (&*operation.f, operation.outcome) {
            ("add" | "insert", _) => self.add(operation),
            ("read", Outcome::Ok) => self.read(operation),
            ("read", _) => {}
            _ => self.unreadable.add(operation, "is neither an add nor a read"),
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        let mut findings = std::mem::take(&mut self.findings);
        for number in 0..self.elements.len() {
            self.judge(number, &mut findings);
        }
        let nothing = self.reads.is_empty().then(|| "no read succeeded".to_owned());
        let count = |is: fn(&Element) -> bool| self.elements.iter().filter(|of| is(of)).count();
        let unread = count(|of| of.first == NONE && of.known != u64::MAX);
        let outcomes = [
            ("elements_stable_count", count(|of| of.first != NONE && of.missed == NONE)),
            ("elements_lost_count", count(|of| of.missed != NONE)),
            ("elements_never_read_count", count(|of| of.first == NONE && of.missed == NONE)),
            ("elements_stale_count", count(|of| of.stale)),
            ("elements_duplicated_count", count(|of| of.duplicated)),
        ];
        let unreadable = std::mem::take(&mut self.unreadable);
        let bytes = self.elements.capacity() * (size_of::<Element>() + 48)
            + self.reads.capacity() * size_of::<Trace>();
        let mut verdict = findings.verdict("set", false, unreadable.reason(), nothing);
        for (name, value) in outcomes {
            verdict = verdict.figure(name, value);
        }
        verdict
            .figure("elements_count", self.elements.len())
            .figure("reads_count", self.reads.len())
            .figure("acknowledged_never_read_count", unread)
            .figure("engine_bytes", bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, list, names};
    use crate::verdict::Validity;

    fn added() -> Script {
        Script::new().invoke(0, "add", 1).ok(0, "add", 1)
    }

    fn read(script: Script, elements: &[i64]) -> Script {
        script.invoke(1, "read", Value::Nil).ok(1, "read", list(elements))
    }

    fn anomalies(script: Script) -> Vec<String> {
        let verdict = script.judge(SetChecker::new());
        names(&verdict).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn what_was_added_and_read_is_valid() {
        let script = read(read(added(), &[1]), &[1]);
        let verdict = script.judge(SetChecker::new());
        assert_eq!(verdict.validity, Validity::Valid);
        assert!(!verdict.complete);
    }

    #[test]
    fn an_acknowledged_element_that_no_read_holds_is_lost() {
        let verdict = read(added(), &[]).judge(SetChecker::new());
        assert_eq!(names(&verdict), ["lost"]);
        assert_eq!(verdict.anomalies[0].witness.len(), 2);
        assert_eq!(verdict.anomalies[0].witness[0].f, "add");
    }

    #[test]
    fn an_element_seen_once_must_stay_even_if_its_add_is_unknown() {
        let script = Script::new().invoke(0, "add", 1).info(0, "add", "timeout");
        assert_eq!(anomalies(read(read(script, &[1]), &[])), ["lost"]);
        let unseen = Script::new().invoke(0, "add", 1).info(0, "add", "timeout");
        assert!(anomalies(read(unseen, &[])).is_empty());
    }

    #[test]
    fn an_element_that_comes_back_was_a_stale_read() {
        assert_eq!(anomalies(read(read(added(), &[]), &[1])), ["stale-read"]);
        let lost_again = read(read(read(added(), &[]), &[1]), &[]);
        assert_eq!(anomalies(lost_again), ["stale-read", "lost"]);
    }

    #[test]
    fn a_later_read_that_ended_first_shows_that_the_element_was_not_lost() {
        let script = added()
            .invoke(1, "read", Value::Nil)
            .invoke(2, "read", Value::Nil)
            .ok(2, "read", list(&[1]))
            .ok(1, "read", list(&[]));
        assert_eq!(anomalies(script), ["stale-read"]);
    }

    #[test]
    fn a_read_beside_the_add_may_see_it_or_not() {
        for seen in [&[][..], &[1]] {
            let script = Script::new()
                .invoke(1, "read", Value::Nil)
                .invoke(0, "add", 1)
                .ok(0, "add", 1)
                .ok(1, "read", list(seen));
            assert!(anomalies(script).is_empty());
        }
    }

    #[test]
    fn elements_from_nowhere_are_unexpected() {
        assert_eq!(anomalies(read(added(), &[1, 2])), ["unexpected"]);
        let early = read(Script::new(), &[1]).invoke(0, "add", 1).ok(0, "add", 1);
        assert_eq!(anomalies(early), ["unexpected"]);
    }

    #[test]
    fn an_element_whose_add_failed_must_not_be_seen() {
        let script = Script::new().invoke(0, "add", 1).fail(0, "add", "refused");
        assert_eq!(anomalies(read(script, &[1])), ["failed-operation-observed"]);
    }

    #[test]
    fn a_failed_add_beside_one_that_succeeded_tells_nothing() {
        let failed = || Script::new().invoke(0, "add", 1).fail(0, "add", "refused");
        let retried = failed().invoke(0, "add", 1).ok(0, "add", 1);
        let twice = added().invoke(0, "add", 1).fail(0, "add", "exists");
        let beside = Script::new().invoke(0, "add", 1).invoke(2, "add", 1);
        let beside = beside.fail(0, "add", "refused").ok(2, "add", 1);
        for script in [retried, twice, beside] {
            let verdict = read(script, &[1]).judge(SetChecker::new());
            assert_eq!(verdict.validity, Validity::Valid);
        }
        let retried = failed().invoke(0, "add", 1).ok(0, "add", 1);
        assert_eq!(anomalies(read(retried, &[])), ["lost"]);
        let again = failed().invoke(0, "add", 1).fail(0, "add", "refused");
        assert_eq!(anomalies(read(again, &[1])), ["failed-operation-observed"]);
    }

    #[test]
    fn an_element_twice_is_duplicated() {
        assert_eq!(anomalies(read(added(), &[1, 1])), ["duplicated"]);
    }

    #[test]
    fn each_element_has_an_outcome() {
        let crashed = Script::new().invoke(9, "add", 4).info(9, "add", "timeout");
        let add = |script: Script, element: i64| {
            script.invoke(0, "add", element).ok(0, "add", Value::Nil)
        };
        let script = read(add(add(add(crashed, 1), 2), 3), &[1, 1]);
        let verdict = read(script, &[1, 2]).judge(SetChecker::new());
        let outcomes = ["stable", "lost", "never_read", "stale", "duplicated"];
        let counts =
            outcomes.map(|name| verdict.figures[&format!("elements_{name}_count")].clone());
        assert_eq!(counts, [2, 1, 1, 1, 1]);
    }

    #[test]
    fn keys_are_apart() {
        let script = Script::new()
            .invoke(0, "insert", Value::keyed("x".into(), 1.into()))
            .ok(0, "insert", Value::Nil)
            .invoke(0, "read", Value::keyed("y".into(), Value::Nil))
            .ok(0, "read", Value::keyed("y".into(), list(&[])))
            .invoke(0, "read", Value::keyed("x".into(), Value::Nil))
            .ok(0, "read", Value::keyed("x".into(), list(&[1])));
        assert!(anomalies(script).is_empty());
    }

    #[test]
    fn the_witness_speaks_the_words_of_the_history() {
        let script = Script::new().invoke(0, "insert", 1).ok(0, "insert", Value::Nil);
        let verdict = read(script, &[]).judge(SetChecker::new());
        assert_eq!(verdict.anomalies[0].witness[0].f, "insert");
    }

    #[test]
    fn without_a_read_or_with_what_it_does_not_know_it_does_not_acquit() {
        assert_eq!(added().judge(SetChecker::new()).validity, Validity::Unknown);
        let odd = read(added(), &[1]).invoke(0, "pop", 1).ok(0, "pop", 1);
        assert_eq!(odd.judge(SetChecker::new()).validity, Validity::Unknown);
    }
}
