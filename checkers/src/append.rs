//! Lists that only grow: an exact test of linearizability, when every element is appended once.
//!
//! Operations: `append` `[key, element]`, each element once a key, and `read` `[key, list]`.
//!
//! # Why a pass is a proof
//! Let the reads of a key agree: of any two, one is a prefix of the other, no element twice, and every element read has an
//! append that did not fail. The longest read then tells the only possible order of the observed appends. Give every
//! operation a *place*: the append of the element at position `p` (from 0) gets `2p + 1`, a read of `n` elements
//! gets `2n`, and an acknowledged append that no read observed gets infinity. Appends of unknown fate that no
//! read observed never took effect; so did reads without a result.
//!
//! *Claim*: the key is linearizable if and only if no operation of a later place ends before one of an earlier place begins.
//!
//! * If: order by place, then by invocation. A read of `n` elements comes right after exactly the first `n` appends, so the
//!   order is legal: unobserved appends come after all reads. It respects real time: if A ends before B begins,
//!   then A's place is not later than B's by assumption, and within a place A began first.
//! * Only if: in any legal order the list grows one append at a time, and a read of `n` elements stands between the
//!   append of position `n - 1` and that of position `n`. So the places never fall along a legal order; an unobserved
//!   append takes a position that no read reaches. An order that respects real time cannot put the earlier place first
//!   if the later one ended before it began.
//!
//! Linearizability is local (Herlihy and Wing 1990, section 3.3), so the keys are judged one by one.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `incompatible-order` | two reads, neither of which is a prefix of the other |
//! | `duplicated` | a list that holds an element twice |
//! | `unexpected` | an element that nobody tried to append, or not before the read ended |
//! | `failed-operation-observed` | an element whose append surely did not take effect |
//! | `lost` | an acknowledged append that no read holds, although one that began later should |
//! | `stale-read` | a read that misses what was acknowledged, or read, before it began |
//! | `append-order` | two appends in the reverse of their real-time order |
//!
//! O(n log n) beside one comparison of each read with the longest; about 130 bytes an element, 56 a read.

use crate::checker::Checker;
use crate::keyed::{
    Findings, NEVER, NONE, Names, Trace, Unreadable, argument, elements, number_of, plain, result,
};
use crate::verdict::Verdict;
use std::collections::BTreeSet;
use tribunal_history::{Operation, Outcome, Stamp, Value};

/// The checker.
#[derive(Debug, Default)]
pub struct AppendChecker {
    keys: Names<Value>,
    lists: Vec<List>,
    findings: Findings,
    unreadable: Unreadable,
}

/// What is known of one key.
#[derive(Debug, Default)]
struct List {
    names: Names<Value>,
    elements: Vec<Element>,
    /// The longest read, by the numbers of its elements.
    order: Vec<u32>,
    /// The read that gave `order`, whole.
    longest: Option<Operation>,
    /// The reads that agree with `order`, with their lengths.
    reads: Vec<(Trace, u32)>,
    /// Whether the reads agree and hold no element twice; if not, places mean nothing.
    orderless: bool,
    /// Whether an element may have been appended twice; places mean nothing then, either.
    repeated: bool,
    /// Elements that a read held twice, and the read.
    duplicated: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Element {
    append: Option<Trace>,
    /// Whether another append of it may have taken effect.
    repeated: bool,
    /// Its position in `order`.
    position: u32,
    /// The read, of those that ended first, that held it.
    first: u32,
}

impl AppendChecker {
    /// Nothing seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn list(&mut self, key: &Value) -> &mut List {
        let number = self.keys.number(key.clone()) as usize;
        if number == self.lists.len() {
            self.lists.push(List::default());
        }
        &mut self.lists[number]
    }

    fn append(&mut self, operation: &Operation) {
        let (key, element) = argument(&operation.input);
        let list = self.list(key);
        let number = list.element(element);
        let seen = &mut list.elements[number as usize];
        let trace = Trace::of(operation);
        match seen.append {
            // It did not happen, and tells nothing beside one that tried as well.
            Some(_) if !trace.possible() => {}
            Some(first) if first.possible() => {
                seen.repeated = true;
                list.repeated = true;
                self.unreadable.add(operation, "appends an element for the second time");
            }
            _ => seen.append = Some(trace),
        }
    }

    fn read(&mut self, operation: &Operation) {
        let (key, held) = result(operation);
        let Some(held) = elements(held) else {
            self.unreadable.add(operation, "reads something else than a list");
            return;
        };
        let mut findings = std::mem::take(&mut self.findings);
        self.list(key).read(operation, key, held, &mut findings);
        self.findings = findings;
    }
}

impl Checker for AppendChecker {
    fn name(&self) -> &'static str {
        "append"
    }

    fn operation(&mut self, operation: &Operation) {
        match (&*operation.f, operation.outcome) {
            ("append", _) => self.append(operation),
            ("read", Outcome::Ok) => self.read(operation),
            ("read", _) => {}
            _ => self.unreadable.add(operation, "is neither an append nor a read"),
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        let Self { keys, lists, mut findings, unreadable } = *self;
        for (number, list) in (0..).zip(&lists) {
            let key = || keys.name(number).cloned().unwrap_or_default();
            list.check_elements(&key, &mut findings);
            list.check_duplicates(&key, &mut findings);
            if !list.orderless && !list.repeated {
                list.check_places(&key, &mut findings);
            }
        }
        let reads: usize = lists.iter().map(|list| list.reads.len()).sum();
        let appends: usize = lists.iter().map(|list| list.elements.len()).sum();
        findings
            .verdict("append", true, unreadable.reason(), None)
            .figure("elements_count", appends)
            .figure("reads_count", reads)
            .figure("engine_bytes", lists.iter().map(List::bytes).sum::<usize>())
    }
}

impl List {
    /// An estimate of the bytes kept.
    fn bytes(&self) -> usize {
        self.elements.capacity() * (size_of::<Element>() + size_of::<(Value, u32)>() + 1)
            + self.order.capacity() * size_of::<u32>()
            + self.reads.capacity() * size_of::<(Trace, u32)>()
    }

    fn element(&mut self, name: &Value) -> u32 {
        let number = self.names.number(name.clone());
        if number as usize == self.elements.len() {
            self.elements.push(Element {
                append: None,
                repeated: false,
                position: NONE,
                first: NONE,
            });
        }
        number
    }

    /// Compares a read with the longest so far, and extends that if the read is longer.
    fn read(&mut self, read: &Operation, key: &Value, held: &[Value], findings: &mut Findings) {
        let held: Vec<u32> = held.iter().map(|name| self.element(name)).collect();
        let common = held.len().min(self.order.len());
        if held[..common] != self.order[..common] {
            self.orderless = true;
            findings.add("incompatible-order", || {
                let at = (0..common).find(|at| held[*at] != self.order[*at]).unwrap_or(common);
                let message = format!("two reads differ at position {at}: neither is a prefix");
                let witness = self.longest.iter().chain([read]).cloned().collect();
                (message, key.clone(), witness)
            });
            return;
        }
        let number = number_of(self.reads.len());
        self.reads.push((Trace::of(read), number_of(held.len())));
        for (position, element) in held.iter().enumerate().skip(common) {
            let seen = &mut self.elements[*element as usize];
            if seen.position == NONE {
                *seen = Element { position: number_of(position), first: number, ..*seen };
                continue;
            }
            self.orderless = true;
            self.duplicated.push((*element, number));
        }
        if held.len() > self.order.len() {
            self.order = held;
            self.longest = Some(read.clone());
        }
    }

    fn name(&self, element: u32) -> Value {
        self.names.name(element).cloned().unwrap_or_default()
    }

    /// Every element that was read has an append that may have taken effect.
    fn check_elements(&self, key: &dyn Fn() -> Value, findings: &mut Findings) {
        for (number, element) in (0..).zip(&self.elements) {
            if element.first == NONE {
                continue;
            }
            let (anomaly, what) = match element.append {
                None => ("unexpected", "nobody tried to append it"),
                Some(append) if !append.possible() => {
                    ("failed-operation-observed", "its append failed")
                }
                Some(_) => continue,
            };
            findings.add(anomaly, || {
                let key = key();
                let message = format!("{} was read, but {what}", plain(&self.name(number)));
                let append = element.append.map(|_| self.append_operation(number, &key));
                let read = self.read_operation(element.first, &key);
                (message, key, append.into_iter().chain([read]).collect())
            });
        }
    }

    /// No read holds an element twice, unless it was appended twice.
    fn check_duplicates(&self, key: &dyn Fn() -> Value, findings: &mut Findings) {
        for (element, read) in &self.duplicated {
            if self.elements[*element as usize].repeated {
                continue;
            }
            findings.add("duplicated", || {
                let (key, name) = (key(), self.name(*element));
                let read = self.read_operation(*read, &key);
                (format!("a read holds {name} twice"), key, vec![read])
            });
        }
    }

    /// The claim of the header. Sweeps from the last place to the first and keeps the operation of the later places that
    /// ended first.
    fn check_places(&self, key: &dyn Fn() -> Value, findings: &mut Findings) {
        let mut placed = self.placed();
        placed.sort_unstable_by_key(|placed| (std::cmp::Reverse(placed.place), placed.call));
        let mut first_end: Option<Placed> = None;
        for same_place in placed.chunk_by(|a, b| a.place == b.place) {
            if let Some(later) = first_end {
                for earlier in same_place.iter().filter(|earlier| later.end < earlier.call) {
                    self.found(*earlier, later, key, findings);
                }
            }
            let of_place = same_place.iter().min_by_key(|placed| placed.end).copied();
            first_end = first_end.into_iter().chain(of_place).min_by_key(|placed| placed.end);
        }
    }

    fn placed(&self) -> Vec<Placed> {
        let appends = (0..).zip(&self.elements).filter_map(|(number, element)| {
            let append = element.append.filter(Trace::possible)?;
            let acknowledged = append.outcome == Outcome::Ok;
            let place = match element.position {
                NONE if acknowledged => u64::MAX,
                NONE => return None,
                position => 2 * u64::from(position) + 1,
            };
            let end = if acknowledged { append.end() } else { NEVER };
            Some(Placed { place, call: append.call, end, what: What::Append(number) })
        });
        let reads = (0..).zip(&self.reads).map(|(number, (trace, length))| Placed {
            place: 2 * u64::from(*length),
            call: trace.call,
            end: trace.end(),
            what: What::Read(number),
        });
        appends.chain(reads).collect()
    }

    /// `later` comes after `earlier` in the list's order, but ended before `earlier` began.
    fn found(
        &self,
        earlier: Placed,
        later: Placed,
        key: &dyn Fn() -> Value,
        findings: &mut Findings,
    ) {
        let unobserved = later.place == u64::MAX;
        let anomaly = match (earlier.what, later.what) {
            (What::Append(_), What::Read(_)) => "unexpected",
            (What::Read(_), What::Append(_)) | (What::Append(_), What::Append(_)) if unobserved => {
                "lost"
            }
            (What::Read(_), _) => "stale-read",
            (What::Append(_), What::Append(_)) => "append-order",
        };
        findings.add(anomaly, || {
            let key = key();
            let mut shown = BTreeSet::from([earlier.what, later.what]);
            // What the order rests on: a read that holds the append.
            for what in [earlier.what, later.what] {
                if let What::Append(number) = what {
                    let first = self.elements[number as usize].first;
                    shown.extend((first != NONE).then_some(What::Read(first)));
                }
            }
            let operation = |what| match what {
                What::Append(number) => self.append_operation(number, &key),
                What::Read(number) => self.read_operation(number, &key),
            };
            let witness = shown.into_iter().map(operation).collect();
            (self.message(earlier.what, later.what, unobserved), key, witness)
        });
    }

    fn message(&self, earlier: What, later: What, unobserved: bool) -> String {
        let name = |number: u32| plain(&self.name(number));
        match (earlier, later) {
            (What::Append(append), What::Read(_)) => {
                format!("a read holds {} before its append began", name(append))
            }
            (What::Read(_), What::Append(append)) => {
                let never = if unobserved { "; no read holds it" } else { "" };
                format!("a read misses {}, appended before it began{never}", name(append))
            }
            (What::Read(_), What::Read(_)) => "a read misses what a read before it held".to_owned(),
            (What::Append(second), What::Append(first)) => {
                let but = if unobserved { "only the latter was read" } else { "stands after it" };
                format!(
                    "{} was appended before the append of {} began, but {but}",
                    name(first),
                    name(second)
                )
            }
        }
    }

    fn append_operation(&self, number: u32, key: &Value) -> Operation {
        let append = self.elements[number as usize].append.unwrap_or_else(|| {
            unreachable!("an operation is shown only if it was seen: element {number}")
        });
        append.operation("append", keyed(key, self.name(number)), Value::Nil)
    }

    fn read_operation(&self, number: u32, key: &Value) -> Operation {
        let (trace, length) = &self.reads[number as usize];
        let held = self.order[..*length as usize].iter().map(|element| self.name(*element));
        let held = Value::List(held.collect());
        trace.operation("read", keyed(key, Value::Nil), keyed(key, held))
    }
}

fn keyed(key: &Value, value: Value) -> Value {
    if key.is_nil() { value } else { Value::keyed(key.clone(), value) }
}

/// An operation and its place in the order of the list.
#[derive(Clone, Copy, Debug)]
struct Placed {
    place: u64,
    call: Stamp,
    /// When it had surely taken effect.
    end: Stamp,
    what: What,
}

/// The number of an element or of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Append(u32),
    Read(u32),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, list, names};
    use crate::verdict::Validity;

    fn append(script: Script, element: i64) -> Script {
        script.invoke(0, "append", element).ok(0, "append", Value::Nil)
    }

    fn read(script: Script, elements: &[i64]) -> Script {
        script.invoke(1, "read", Value::Nil).ok(1, "read", list(elements))
    }

    fn anomalies(script: Script) -> Vec<String> {
        let verdict = script.judge(AppendChecker::new());
        names(&verdict).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn appends_read_in_their_order_are_linearizable() {
        let script = read(append(read(append(Script::new(), 1), &[1]), 2), &[1, 2]);
        let verdict = script.judge(AppendChecker::new());
        assert_eq!(verdict.validity, Validity::Valid);
        assert!(verdict.complete);
    }

    #[test]
    fn reads_that_are_no_prefixes_of_each_other_are_incompatible() {
        let pending = Script::new().invoke(2, "append", 1).invoke(3, "append", 2);
        assert_eq!(anomalies(read(read(pending, &[1, 2]), &[2])), ["incompatible-order"]);
    }

    #[test]
    fn what_was_acknowledged_must_be_read() {
        assert_eq!(anomalies(read(append(Script::new(), 1), &[])), ["lost"]);
        let later = read(read(append(Script::new(), 1), &[]), &[1]);
        assert_eq!(anomalies(later), ["stale-read"]);
    }

    #[test]
    fn a_list_never_gets_shorter() {
        let pending = Script::new().invoke(0, "append", 1).info(0, "append", "timeout");
        assert_eq!(anomalies(read(read(pending, &[1]), &[])), ["stale-read"]);
    }

    #[test]
    fn appends_keep_their_real_time_order() {
        let script = append(append(Script::new(), 1), 2);
        assert_eq!(anomalies(read(script, &[2, 1])), ["append-order"]);
        // The read began before either append, yet what it saw rules out that 1 came first.
        let hidden = append(append(Script::new().invoke(1, "read", Value::Nil), 1), 2);
        assert_eq!(anomalies(hidden.ok(1, "read", list(&[2]))), ["lost"]);
    }

    #[test]
    fn elements_from_nowhere_from_the_future_or_of_failed_appends_are_found() {
        assert_eq!(anomalies(read(Script::new(), &[7])), ["unexpected"]);
        assert_eq!(anomalies(append(read(Script::new(), &[1]), 1)), ["unexpected"]);
        let failed = Script::new().invoke(0, "append", 1).fail(0, "append", "refused");
        assert_eq!(anomalies(read(failed, &[1])), ["failed-operation-observed"]);
    }

    #[test]
    fn a_failed_append_beside_one_that_succeeded_tells_nothing() {
        let failed = |script: Script| script.invoke(0, "append", 1).fail(0, "append", "refused");
        let beside = Script::new().invoke(0, "append", 1).invoke(2, "append", 1);
        let beside = beside.fail(0, "append", "refused").ok(2, "append", 1);
        let retried = || append(failed(Script::new()), 1);
        for script in [retried(), failed(append(Script::new(), 1)), beside] {
            let verdict = read(script, &[1]).judge(AppendChecker::new());
            assert_eq!(verdict.validity, Validity::Valid);
        }
        assert_eq!(anomalies(read(retried(), &[])), ["lost"]);
    }

    #[test]
    fn an_element_appended_twice_convicts_nobody() {
        let once = || append(Script::new(), 1);
        let late = || once().invoke(2, "append", 1);
        for script in [
            read(append(once(), 1), &[1, 1]),
            read(append(once(), 1), &[1]),
            read(late(), &[1, 1]).ok(2, "append", 1),
            // What was not taken in might explain anything.
            read(append(append(once(), 1), 2), &[1, 2, 2]),
        ] {
            assert_eq!(script.judge(AppendChecker::new()).validity, Validity::Unknown);
        }
    }

    #[test]
    fn appends_that_nobody_read_are_linearizable() {
        let verdict = append(Script::new(), 1).judge(AppendChecker::new());
        assert_eq!((verdict.validity, verdict.complete), (Validity::Valid, true));
    }

    #[test]
    fn an_element_twice_is_duplicated() {
        assert_eq!(anomalies(read(append(Script::new(), 1), &[1, 1])), ["duplicated"]);
    }

    #[test]
    fn an_append_of_unknown_fate_may_be_seen_or_not() {
        for seen in [&[][..], &[1]] {
            let script = Script::new().invoke(0, "append", 1).info(0, "append", "timeout");
            assert!(anomalies(read(script, seen)).is_empty());
        }
    }
}
