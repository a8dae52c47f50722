//! Sets that only grow: exact in O(n log n + the sum of the sizes of the reads), also where elements are added twice.
//!
//! Operations: `add` (or `insert`) `[key, element]`, or a plain element, and `read` `[key, elements]`, or a plain list. Each key
//! is a set of its own.
//!
//! * Reads must be a chain: of any two, one holds all of the other. Let the *level* of an element be the size of the
//!   smallest read that holds it. A read of size `s` holds only elements of level `s` or less; so all reads are a chain exactly
//!   if at each size `s` of a read, as many elements as `s` have level `s` or less. No read needs to be kept for that.
//! * A chain leaves little to choose: adds of the first level, the reads of that size, adds of the next level, ..., at
//!   last the adds that no read saw. Within such a block all orders are legal, so the history is linearizable exactly if no
//!   operation ended before the call of one of an earlier block.
//! * Of several adds of an element, the one called first is the one that makes it appear. None may end too early for
//!   its block; where else the others stand changes nothing.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `unexpected`, `failed-operation-observed` | a read holds what nobody tried to add; what only failed adds tried to |
//! | `duplicated` | a read holds an element twice |
//! | `future-read` | a read ended before the call of the add of what it holds |
//! | `lost`, `stale-read` | a read began after the add of an element ended, and misses it; no read saw it, or a larger one |
//! | `stale-read` | also: a read began after a larger one ended |
//! | `out-of-order` | a read misses an element that was added before another one that it holds |
//! | `incompatible-reads` | two reads each hold an element that the other misses |
//!
//! Unlike [`crate::set`], complete: a pass is a proof of linearizability. That one tells more of what became of elements.
//!
//! Memory: about 230 bytes an element and 72 a read. A witness tells the size of a read, not its elements.

use super::transfers::seconds;
use crate::checker::Checker;
use crate::keyed::{
    Findings, NONE, Names, Trace, Unreadable, argument, elements, number_of, plain, result,
};
use crate::linearizability::wgl::Limits;
use crate::verdict::Verdict;
use tribunal_history::{Operation, Outcome, Value};

/// The checker. Complete.
#[derive(Debug, Default)]
pub struct Set {
    keys: Names<Value>,
    names: Names<(u32, Value)>,
    elements: Vec<Element>,
    reads: Vec<Read>,
    findings: Findings,
    unreadable: Unreadable,
    operations: u64,
    operations_crashed: u64,
}

/// What is known of an element.
#[derive(Clone, Copy, Debug)]
struct Element {
    key: u32,
    /// Of the adds that may have happened, the one called first.
    first: Option<Trace>,
    /// Of the adds that succeeded, the one that ended first.
    soonest: Option<Trace>,
    /// An add that failed.
    failed: Option<Trace>,
    /// The size of the smallest read that holds it, [`NONE`] if none does, and that read.
    level: u32,
    read: u32,
    /// The last read that held it.
    mark: u32,
}

/// A read that succeeded.
#[derive(Clone, Copy, Debug)]
struct Read {
    trace: Trace,
    key: u32,
    size: u32,
}

/// The operation of earlier blocks that was called last.
#[derive(Clone, Copy)]
enum Latest {
    Add(usize, Trace),
    Read(usize),
}

impl Set {
    /// A checker. It needs no limits, and takes them as its siblings do.
    #[must_use]
    pub fn new(_limits: Limits) -> Self {
        Self::default()
    }

    fn element(&mut self, key: u32, value: &Value) -> usize {
        let number = self.names.number((key, value.clone()));
        if number as usize == self.elements.len() {
            let (first, soonest, failed) = (None, None, None);
            let (level, read, mark) = (NONE, NONE, NONE);
            self.elements.push(Element { key, first, soonest, failed, level, read, mark });
        }
        number as usize
    }

    fn add(&mut self, operation: &Operation) {
        let (key, value) = argument(&operation.input);
        let key = self.keys.number(key.clone());
        let number = self.element(key, value);
        let trace = Trace::of(operation);
        let element = &mut self.elements[number];
        if !trace.possible() {
            element.failed = Some(trace);
            return;
        }
        element.first = Some(
            element.first.filter(|first| first.call.index < trace.call.index).unwrap_or(trace),
        );
        if operation.outcome == Outcome::Ok {
            // They come in the order of their ends.
            element.soonest.get_or_insert(trace);
        }
    }

    fn read(&mut self, operation: &Operation) {
        let (key, list) = result(operation);
        let Some(list) = elements(list) else {
            return self.unreadable.add(operation, "did not return a list");
        };
        let key = self.keys.number(key.clone());
        let read = number_of(self.reads.len());
        let mut size = 0;
        let mut held = Vec::with_capacity(list.len());
        for value in list {
            let number = self.element(key, value);
            if std::mem::replace(&mut self.elements[number].mark, read) == read {
                self.findings.add("duplicated", || {
                    let message =
                        format!("Process {}'s read holds {value} twice.", operation.process);
                    (
                        message,
                        self.keys.name(key).cloned().unwrap_or_default(),
                        vec![operation.clone()],
                    )
                });
                continue;
            }
            size += 1;
            held.push(number);
        }
        for number in held {
            let element = &mut self.elements[number];
            if size < element.level {
                (element.level, element.read) = (size, read);
            }
        }
        self.reads.push(Read { trace: Trace::of(operation), key, size });
    }

    /// The elements that are read and were never there to be read.
    fn judge_origins(&mut self) {
        for number in 0..self.elements.len() {
            let Element { first, failed, read, .. } = self.elements[number];
            if read == NONE || first.is_some() {
                continue;
            }
            let (name, why) = match failed {
                Some(_) => ("failed-operation-observed", "although every add of it failed"),
                None => ("unexpected", "which nobody tried to add"),
            };
            let mut findings = std::mem::take(&mut self.findings);
            findings.add(name, || {
                let (key, value) = self.name(number);
                let read = self.show_read(read as usize);
                let message = format!("Process {}'s read holds {value}, {why}.", read.process);
                let add = failed.map(|failed| self.show_add(number, &failed));
                (message, key, add.into_iter().chain([read]).collect())
            });
            self.findings = findings;
        }
    }

    /// Judges chain and order of one key; both slices are sorted by level or size.
    fn judge(&self, elements: &[u32], reads: &[u32], findings: &mut Findings) {
        let level = |nth: &u32| self.elements[*nth as usize].level;
        let size = |nth: &u32| self.reads[*nth as usize].size;
        let (mut elements_left, mut reads_left) = (elements, reads);
        let mut latest: Option<(u64, Latest)> = None;
        let mut last_read = None;
        while let Some(first) = reads_left.first() {
            let block = reads_left.partition_point(|read| size(read) <= size(first));
            let (now, later) = reads_left.split_at(block);
            let added = elements_left.partition_point(|element| level(element) <= size(first));
            let (new, unseen) = elements_left.split_at(added);
            let seen = elements.len() - unseen.len();
            if seen != size(first) as usize {
                let other = self.incompatible(now, last_read);
                return findings.add("incompatible-reads", || self.no_chain(now[0], other, seen));
            }
            self.judge_adds(new, &mut latest, findings);
            self.judge_reads(now, &mut latest, findings);
            (elements_left, reads_left, last_read) = (unseen, later, now.last().copied());
        }
        self.judge_adds(elements_left, &mut latest, findings);
    }

    fn judge_adds(
        &self,
        block: &[u32],
        latest: &mut Option<(u64, Latest)>,
        findings: &mut Findings,
    ) {
        let before = *latest;
        for number in block.iter().map(|number| *number as usize) {
            let Element { first, soonest, level, .. } = self.elements[number];
            if let (Some(soonest), Some((call, other))) = (soonest, before)
                && soonest.end().index < call
            {
                let name = match other {
                    Latest::Add(..) => "out-of-order",
                    Latest::Read(_) if level == NONE => "lost",
                    Latest::Read(_) => "stale-read",
                };
                findings.add(name, || self.missed(number, &soonest, other));
            }
            // Nothing comes after adds that nobody saw.
            let Some(first) = first else { continue };
            if latest.is_none_or(|(call, _)| call < first.call.index) {
                *latest = Some((first.call.index, Latest::Add(number, first)));
            }
        }
    }

    fn judge_reads(
        &self,
        block: &[u32],
        latest: &mut Option<(u64, Latest)>,
        findings: &mut Findings,
    ) {
        let before = *latest;
        for number in block.iter().map(|number| *number as usize) {
            let trace = self.reads[number].trace;
            if let Some((call, other)) = before
                && trace.end().index < call
            {
                match other {
                    Latest::Add(add, first) => {
                        findings.add("future-read", || self.future(number, add, &first));
                    }
                    Latest::Read(smaller) => {
                        findings.add("stale-read", || self.stale(smaller, number));
                    }
                }
            }
            if latest.is_none_or(|(call, _)| call < trace.call.index) {
                *latest = Some((trace.call.index, Latest::Read(number)));
            }
        }
    }

    /// A read that is not in a chain with the first of `now`: another of its size, or else the largest smaller one.
    fn incompatible(&self, now: &[u32], smaller: Option<u32>) -> Option<u32> {
        now.get(1).copied().or(smaller)
    }

    fn name(&self, number: usize) -> (Value, Value) {
        let Some((key, element)) = self.names.name(number_of(number)) else {
            return (Value::Nil, Value::Nil);
        };
        (self.keys.name(*key).cloned().unwrap_or_default(), element.clone())
    }

    fn keyed(key: &Value, value: Value) -> Value {
        if key.is_nil() { value } else { Value::keyed(key.clone(), value) }
    }

    fn show_add(&self, number: usize, trace: &Trace) -> Operation {
        let (key, element) = self.name(number);
        trace.operation("add", Self::keyed(&key, element), Value::Nil)
    }

    fn show_read(&self, number: usize) -> Operation {
        let Read { trace, key, size } = self.reads[number];
        let key = self.keys.name(key).cloned().unwrap_or_default();
        let what = Value::text(&format!("{size} elements"));
        trace.operation("read", Self::keyed(&key, Value::Nil), Self::keyed(&key, what))
    }

    fn no_chain(
        &self,
        read: u32,
        other: Option<u32>,
        seen: usize,
    ) -> (String, Value, Vec<Operation>) {
        let Read { key, size, .. } = self.reads[read as usize];
        let message = format!(
            "Process {}'s read holds {size} elements, but reads that hold no more than that saw {seen} different ones: two of them each miss what the other holds.",
            self.show_read(read as usize).process
        );
        let reads = [Some(read), other].into_iter().flatten();
        let witness = reads.map(|read| self.show_read(read as usize)).collect();
        (message, self.keys.name(key).cloned().unwrap_or_default(), witness)
    }

    fn missed(&self, number: usize, add: &Trace, by: Latest) -> (String, Value, Vec<Operation>) {
        let (key, value) = self.name(number);
        let mut witness = vec![self.show_add(number, add)];
        let message = match by {
            Latest::Read(read) => {
                let read = self.show_read(read);
                let (process, call) = (read.process, seconds(read.call.time));
                witness.push(read);
                format!(
                    "Process {process}'s read began at {call} and misses {value}, whose add had ended by {}.",
                    seconds(add.end().time)
                )
            }
            Latest::Add(other, first) => {
                let read = self.show_read(self.elements[other].read as usize);
                let other = self.show_add(other, &first);
                let message = format!(
                    "Process {}'s read holds {}, whose add began at {}, and misses {value}, whose add had ended by {}.",
                    read.process,
                    plain(argument(&other.input).1),
                    seconds(first.call.time),
                    seconds(add.end().time)
                );
                witness.extend([other, read]);
                message
            }
        };
        (message, key, witness)
    }

    fn future(&self, read: usize, add: usize, first: &Trace) -> (String, Value, Vec<Operation>) {
        let (key, value) = self.name(add);
        let read = self.show_read(read);
        let message = format!(
            "Process {}'s read ended by {} and must hold {value}, which the first add of it brought only from {} on.",
            read.process,
            seconds(read.end.map_or(0, |end| end.time)),
            seconds(first.call.time)
        );
        (message, key, vec![self.show_add(add, first), read])
    }

    fn stale(&self, smaller: usize, larger: usize) -> (String, Value, Vec<Operation>) {
        let key = self.keys.name(self.reads[smaller].key).cloned().unwrap_or_default();
        let sizes = [smaller, larger].map(|read| self.reads[read].size);
        let [smaller, larger] = [smaller, larger].map(|read| self.show_read(read));
        let message = format!(
            "Process {}'s read began at {} and holds {} elements, but process {}'s, which ended by {}, holds {}.",
            smaller.process,
            seconds(smaller.call.time),
            sizes[0],
            larger.process,
            seconds(larger.end.map_or(0, |end| end.time)),
            sizes[1]
        );
        (message, key, vec![smaller, larger])
    }
}

impl Checker for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    fn operation(&mut self, operation: &Operation) {
        self.operations += 1;
        self.operations_crashed += u64::from(operation.outcome == Outcome::Info);
        match &*operation.f {
            "add" | "insert" => self.add(operation),
            "read" if operation.outcome == Outcome::Ok => self.read(operation),
            "read" => {}
            _ => self.unreadable.add(operation, "is no operation of a set"),
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        self.judge_origins();
        let mut findings = std::mem::take(&mut self.findings);
        // What is wrong by itself would only show again as a broken order.
        if findings.is_empty() {
            let mut elements: Vec<u32> = (0..number_of(self.elements.len())).collect();
            // An element that no read saw counts only if it is surely there.
            elements.retain(|nth| {
                let element = &self.elements[*nth as usize];
                element.level != NONE || element.soonest.is_some()
            });
            let key = |nth: &u32| self.elements[*nth as usize].key;
            elements.sort_unstable_by_key(|nth| (key(nth), self.elements[*nth as usize].level));
            let mut reads: Vec<u32> = (0..number_of(self.reads.len())).collect();
            let read_key = |nth: &u32| self.reads[*nth as usize].key;
            reads.sort_unstable_by_key(|nth| (read_key(nth), self.reads[*nth as usize].size));
            for reads in reads.chunk_by(|a, b| read_key(a) == read_key(b)) {
                let start = elements.partition_point(|nth| key(nth) < read_key(&reads[0]));
                let end = elements.partition_point(|nth| key(nth) <= read_key(&reads[0]));
                self.judge(&elements[start..end], reads, &mut findings);
            }
        }
        let bytes = self.elements.capacity() * (size_of::<Element>() + 60)
            + self.reads.capacity() * (size_of::<Read>() + 4);
        let mut verdict = findings.verdict("set", true, self.unreadable.reason(), None);
        verdict.engine = Some("set".into());
        verdict
            .figure("operations", self.operations)
            .figure("operations_crashed", self.operations_crashed)
            .figure("engine_bytes", bytes)
    }
}
