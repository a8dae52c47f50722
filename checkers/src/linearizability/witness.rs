//! Findings of the register engine as words and a few operations.
//!
//! A witness holds the operations that contradict each other, the writer of every value that they read, and for every
//! operation of unknown outcome somebody who saw its effect. So it stands alone: add the writers of what its cas expected,
//! transitively, and the result is not linearizable by itself. That suffices as proof, since leaving
//! out reads, and writes that nobody saw, from a linearizable history leaves a linearizable one.
//!
//! The names of the anomalies:
//!
//! | name | what was seen |
//! |---|---|
//! | `garbage-read` | a value that nobody wrote |
//! | `failed-operation-observed` | a value whose only write had failed, definitely |
//! | `future-read` | a value before its write began |
//! | `stale-read` | a value that another had replaced |
//! | `lost-write` | the same, after the last write of all, and nobody ever saw the acknowledged write that had replaced it |
//! | `lost-update` | two cas that both found the same write: one undid the other |
//! | `stale-cas` | a cas found a value that another had replaced, or replaced one meanwhile |
//! | `split-brain` | two values, each after the other: neither write can have come first |
//! | `cas-cycle` | cas that all need each other's value first |

use super::record::{KeyHistory, Kind, NIL, NONE, Record, ValueId};
use super::register::{Finding, Groups};
use crate::verdict::Anomaly;
use std::collections::BTreeSet;
use tribunal_history::{Outcome, Process, Value};

/// Words for the findings of one key.
pub(super) struct Narrator<'a> {
    key: &'a Value,
    history: &'a KeyHistory,
    groups: &'a Groups<'a>,
    names: Vec<&'a Value>,
    processes: &'a [Process],
    /// When the last write that counts began.
    last_write: u64,
}

/// A name, a sentence, and the records that it speaks of.
struct Story {
    name: &'static str,
    message: String,
    records: BTreeSet<u32>,
}

impl<'a> Narrator<'a> {
    pub(super) fn new(
        key: &'a Value,
        history: &'a KeyHistory,
        groups: &'a Groups<'a>,
        processes: &'a [Process],
    ) -> Self {
        let writes =
            groups.records.iter().filter(|record| record.writes() && groups.counts(record));
        let last_write = writes.map(Record::begin).max().unwrap_or(0);
        Self { key, history, groups, names: history.names(), processes, last_write }
    }

    /// The anomaly of a finding, with a complete witness.
    pub(super) fn anomaly(&self, finding: Finding) -> Anomaly {
        let Story { name, message, mut records } = match finding {
            Finding::NoWriter(value) => self.no_writer(value),
            Finding::Future { observer, writer } => self.future(observer, writer),
            Finding::TwoCas(one, other) => self.two_cas(one, other),
            Finding::Ring(value) => self.ring(value),
            Finding::Groups(a, b) => self.two_groups(a, b),
            Finding::Chain { early, late } => self.chain(early, late),
            Finding::Blocks(a, b) => self.two_blocks(a, b),
        };
        self.complete(&mut records);
        let mut records: Vec<u32> = records.into_iter().collect();
        records.sort_unstable_by_key(|&id| self.record(id).begin());
        let operation = |id| self.history.operation(id, self.key, &self.names, self.processes);
        let witness = records.into_iter().map(operation).collect();
        Anomaly::new(name, message, Some(key_name(self.key)), witness)
    }

    /// Adds the writers of what was read, and for crashed operations those through whom they count.
    fn complete(&self, records: &mut BTreeSet<u32>) {
        let reads = records.iter().filter(|&&id| self.record(id).kind == Kind::Read);
        let writers = reads.map(|&id| self.groups.group(self.record(id).value).writer);
        let writers: Vec<u32> = writers.filter(|&writer| writer != NONE).collect();
        records.extend(writers);
        let mut work: Vec<u32> = records.iter().copied().collect();
        while let Some(id) = work.pop() {
            let record = self.record(id);
            if record.crashed() && !self.seen_within(records, record.value) {
                let because = self.groups.group(record.value).because;
                if records.insert(because) {
                    work.push(because);
                }
            }
        }
    }

    /// Whether a completed operation among `records` saw the value.
    fn seen_within(&self, records: &BTreeSet<u32>, value: ValueId) -> bool {
        records
            .iter()
            .map(|&id| self.record(id))
            .any(|record| record.outcome == Outcome::Ok && record.observes() == Some(value))
    }

    fn no_writer(&self, value: ValueId) -> Story {
        let because = self.groups.group(value).because;
        let seen = match self.record(because).crashed() {
            false => format!("{} ended at {}", self.noun(because), end(self.record(because))),
            true => format!("{} took effect, since its value was seen later", self.noun(because)),
        };
        let wrote = |record: &Record| record.writes() && record.value == value;
        let failed = (0..).zip(self.groups.records).find(|(_, record)| wrote(record));
        let mut records = BTreeSet::from([because]);
        let (name, but) = match failed {
            None => ("garbage-read", format!("nobody wrote {}", self.name(value))),
            Some((failed, _)) => {
                records.insert(failed);
                let but = format!("{} had failed, which means never happened", self.noun(failed));
                ("failed-operation-observed", but)
            }
        };
        Story { name, message: format!("{seen}, but {but}."), records }
    }

    fn future(&self, observer: u32, writer: u32) -> Story {
        let message = format!("{}, and yet saw its value.", self.order(observer, writer));
        Story { name: "future-read", message, records: BTreeSet::from([observer, writer]) }
    }

    fn two_cas(&self, one: u32, other: u32) -> Story {
        let from = self.record(one).from;
        let once = match from {
            NIL => "the key was nil only once, at the start".to_owned(),
            _ => format!("{} was written only once", self.name(from)),
        };
        let message = format!(
            "{} and {} both took effect, but {once}: the second to do so cannot have found it.",
            self.noun(one),
            self.noun(other),
        );
        let writer = self.groups.group(from).writer;
        let mut records = BTreeSet::from([one, other]);
        records.extend((writer != NONE).then_some(writer));
        Story { name: "lost-update", message, records }
    }

    fn ring(&self, value: ValueId) -> Story {
        let ring: Vec<ValueId> = self.groups.ring(value).collect();
        let message = format!(
            "{} values were each written only by a cas that expected another of them ({}): none can have come first.",
            ring.len(),
            self.list(ring.iter().copied()),
        );
        let records = ring.iter().map(|&value| self.groups.group(value).writer).collect();
        Story { name: "cas-cycle", message, records }
    }

    fn two_groups(&self, a: ValueId, b: ValueId) -> Story {
        let (old, new) = self.old_and_new(a, b);
        let stale = self.groups.group(old).last_start;
        let acknowledged = self.groups.group(new).writer;
        let established = match self.before(acknowledged, stale) {
            true => acknowledged,
            false => self.groups.group(new).first_end,
        };
        let mut records = BTreeSet::from([stale, established]);
        records.extend((acknowledged != NONE).then_some(acknowledged));
        let replaced = self.order(established, stale);
        if old == NIL {
            let (name, nobody) = self.lost_or_stale(new, stale);
            let message = format!("{replaced}, and {NIL_ONCE}.{nobody}");
            return Story { name, message, records };
        }
        let (first, second) = self.forced(old, new);
        records.extend([self.groups.group(old).writer, first, second]);
        let (one, other) = (self.name(old), self.name(new));
        let because = format!("{}; {replaced}", self.order(first, second));
        if self.record(second).kind == Kind::Read {
            let message = format!("{because}: {one} and {other} each came after the other.");
            return Story { name: "split-brain", message, records };
        }
        let (name, nobody) = self.lost_or_stale(new, stale);
        let message = format!("{because}, though {other} had replaced {one}.{nobody}");
        Story { name, message, records }
    }

    /// The name of a read of a value that `new` had replaced, and why it deserves it.
    fn lost_or_stale(&self, new: ValueId, stale: u32) -> (&'static str, String) {
        let final_read = self.last_write < self.record(stale).begin();
        match final_read && self.groups.group(new).because == NONE {
            true => ("lost-write", format!(" Nobody ever saw {}.", self.name(new))),
            false => ("stale-read", String::new()),
        }
    }

    /// Of two groups that must precede each other: the one whose value was seen though it was replaced, and the other.
    fn old_and_new(&self, a: ValueId, b: ValueId) -> (ValueId, ValueId) {
        let writer_begins = |value: ValueId| match self.groups.group(value).writer {
            NONE => 0,
            writer => self.record(writer).begin(),
        };
        let replaces = |new, old| writer_begins(new) > self.groups.first_end(old);
        let latest = |value| self.groups.last_start(value);
        match (replaces(b, a), replaces(a, b)) {
            (true, false) => (a, b),
            (false, true) => (b, a),
            _ if latest(a) >= latest(b) => (a, b),
            _ => (b, a),
        }
    }

    /// An operation of `old` that ended before one of `new` began: of their writers if possible.
    fn forced(&self, old: ValueId, new: ValueId) -> (u32, u32) {
        let (old, new) = (self.groups.group(old), self.groups.group(new));
        let candidates = [
            (old.writer, new.writer),
            (old.first_end, new.writer),
            (old.writer, new.last_start),
            (old.first_end, new.last_start),
        ];
        let forced = candidates.into_iter().find(|&(first, second)| self.before(first, second));
        forced.unwrap_or((old.first_end, new.last_start))
    }

    fn chain(&self, early: u32, late: u32) -> Story {
        let (from, to) = (self.record(early).value, self.record(late).value);
        let message = format!(
            "{}; but {} came after {}, by {}.",
            self.order(late, early),
            self.name(to),
            self.name(from),
            self.hops(from, to),
        );
        let name = match self.record(early).kind {
            Kind::Read => "stale-read",
            Kind::Write | Kind::Cas => "future-read",
        };
        let mut records = BTreeSet::from([early, late]);
        records.extend(self.path(from, to));
        Story { name, message, records }
    }

    fn two_blocks(&self, a: ValueId, b: ValueId) -> Story {
        let mut records = BTreeSet::new();
        let mut reasons = Vec::new();
        let (a, b) = (self.extent(a), self.extent(b));
        for (one, other) in [(&a, &b), (&b, &a)] {
            match one.first_end {
                NONE => reasons.push(NIL_ONCE.to_owned()),
                first => {
                    reasons.push(self.order(first, other.last_start));
                    records.extend([first, other.last_start]);
                }
            }
        }
        let mut chains = Vec::new();
        for block in [&a, &b] {
            let path: Vec<u32> = self.path(block.first_value, block.last_value).collect();
            let values = path.iter().map(|&id| self.record(id).value);
            let values = std::iter::once(block.first_value).chain(values);
            chains.extend((!path.is_empty()).then(|| self.list(values)));
            records.extend(path);
        }
        let message = format!(
            "By cas, {} follow each other directly; but {}.",
            chains.join(", and so do "),
            reasons.join(", and "),
        );
        Story { name: "stale-cas", message, records }
    }

    /// The two operations that decide where the block can stand.
    fn extent(&self, head: ValueId) -> Extent {
        let mut extent =
            Extent { first_end: NONE, last_start: NONE, first_value: head, last_value: head };
        let (mut ends, mut starts) = (u64::MAX, 0);
        let mut places = (0, 0);
        for (place, value) in self.groups.chain(head).enumerate() {
            let group = self.groups.group(value);
            if self.groups.first_end(value) < ends {
                ends = self.groups.first_end(value);
                (extent.first_end, extent.first_value, places.0) = (group.first_end, value, place);
            }
            if self.groups.last_start(value) > starts {
                starts = self.groups.last_start(value);
                (extent.last_start, extent.last_value, places.1) = (group.last_start, value, place);
            }
        }
        if places.0 > places.1 {
            (extent.first_value, extent.last_value) = (extent.last_value, extent.first_value);
        }
        extent
    }

    /// The cas that lead from one value to a later one of its block.
    fn path(&self, from: ValueId, to: ValueId) -> impl Iterator<Item = u32> {
        self.groups
            .chain(from)
            .take_while(move |&value| value != to)
            .map(|value| self.groups.group(value).leaving)
    }

    fn hops(&self, from: ValueId, to: ValueId) -> String {
        match self.path(from, to).collect::<Vec<u32>>()[..] {
            [cas] => self.noun(cas),
            ref many => format!("{} cas, one after the other", many.len()),
        }
    }

    /// What real time says of two operations.
    fn order(&self, first: u32, second: u32) -> String {
        format!(
            "{} ended at {}, before {} began at {}",
            self.noun(first),
            end(self.record(first)),
            self.noun(second),
            begin(self.record(second)),
        )
    }

    fn record(&self, id: u32) -> &Record {
        self.groups.record(id)
    }

    /// Whether the first had ended when the second began. Nil's virtual writer had.
    fn before(&self, first: u32, second: u32) -> bool {
        let ended = if first == NONE { 0 } else { self.record(first).finish() };
        second != NONE && ended < self.record(second).begin()
    }

    fn name(&self, value: ValueId) -> String {
        self.names[value as usize].to_string()
    }

    fn list(&self, values: impl Iterator<Item = ValueId>) -> String {
        values.map(|value| self.name(value)).collect::<Vec<String>>().join(", ")
    }

    fn noun(&self, id: u32) -> String {
        let record = self.record(id);
        let value = self.name(record.value);
        let process = self.processes[record.process as usize];
        let key = key_name(self.key);
        match record.kind {
            Kind::Read => format!("process {process}'s read of {value} from {key}"),
            Kind::Write => format!("process {process}'s write of {value} to {key}"),
            Kind::Cas => {
                let from = self.name(record.from);
                format!("process {process}'s cas of {key} from {from} to {value}")
            }
        }
    }
}

/// Of a block: who ended first, who began last, and the values of the two in the order of the chain.
struct Extent {
    first_end: u32,
    last_start: u32,
    first_value: ValueId,
    last_value: ValueId,
}

fn begin(record: &Record) -> String {
    seconds(record.call_ns())
}

fn end(record: &Record) -> String {
    seconds(record.end_ns())
}

/// A key as people write it: a text without quotes.
pub(super) fn key_name(key: &Value) -> String {
    key.as_text().map_or_else(|| key.to_string(), str::to_owned)
}

/// Nanoseconds as seconds with six places, as in `1.204000 s`.
fn seconds(ns: u64) -> String {
    format!("{}.{:06} s", ns / 1_000_000_000, ns / 1_000 % 1_000_000)
}

const NIL_ONCE: &str = "the key was nil only before its first write";
