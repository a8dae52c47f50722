//! The operations of one key, small enough to keep: 40 bytes each, and every value once (integers, which nearly all
//! written values are, without the 24 bytes of a [`Value`]).
//!
//! A checker sees a history once and must remember it until the end, so this form decides the memory of a run. Values
//! and processes are numbers here; [`KeyHistory::operation`] gives back an [`Operation`] for a witness, without what the
//! engines do not use (error, schedule, attempts, phase).

use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::sync::OnceLock;
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

/// A number for a value of one key.
pub(super) type ValueId = u32;
/// The value before the first write; every key's first number.
pub(super) const NIL: ValueId = 0;
/// No value, no record.
pub(super) const NONE: u32 = u32::MAX;

/// What an operation on a register did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    Cas,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    call_ns: u64,
    end_ns: u64,
    /// The index of the invocation, plus 1: 0 is before every history.
    begin: u32,
    /// The index of the completion, plus 1; `NONE` if the history leaves it open.
    end: u32,
    pub(super) process: u32,
    /// What was read or written.
    pub(super) value: ValueId,
    /// What a cas expected; `NONE` for others.
    pub(super) from: ValueId,
    pub(super) kind: Kind,
    pub(super) outcome: Outcome,
    /// 0 for none, as are nodes beyond 255.
    node: u8,
    answered_by: u8,
}

impl Record {
    /// When it was called: the index of the event, from 1, so that 0 is before every history.
    pub(super) fn begin(&self) -> u64 {
        u64::from(self.begin)
    }

    /// When it surely had taken effect; `u64::MAX` if that is not known.
    pub(super) fn finish(&self) -> u64 {
        match self.outcome {
            Outcome::Ok | Outcome::Fail if self.end != NONE => u64::from(self.end),
            _ => u64::MAX,
        }
    }

    /// A completed operation that stands for others in a summary: no witness shows it.
    pub(super) fn standing_in(kind: Kind, value: ValueId, begin: u64, end: u64) -> Self {
        // Both are extents of records.
        let extent = |index: u64| u32::try_from(index).unwrap_or(NONE);
        Self {
            call_ns: 0,
            end_ns: 0,
            begin: extent(begin),
            end: extent(end),
            process: 0,
            value,
            from: NONE,
            kind,
            outcome: Outcome::Ok,
            node: 0,
            answered_by: 0,
        }
    }

    /// Whether its outcome is not known.
    pub(super) fn crashed(&self) -> bool {
        self.outcome == Outcome::Info
    }

    pub(super) fn writes(&self) -> bool {
        self.kind != Kind::Read
    }

    /// What it saw: the value of a read, the source of a cas.
    pub(super) fn observes(&self) -> Option<ValueId> {
        match self.kind {
            Kind::Read => Some(self.value),
            Kind::Cas => Some(self.from),
            Kind::Write => None,
        }
    }

    pub(super) fn call_ns(&self) -> u64 {
        self.call_ns
    }

    pub(super) fn end_ns(&self) -> u64 {
        self.end_ns
    }
}

/// What one operation says, with borrowed values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) kind: Kind,
    pub(super) value: &'a Value,
    pub(super) from: Option<&'a Value>,
}

/// All operations of one key, in the order of their completion.
#[derive(Clone, Debug)]
pub(super) struct KeyHistory {
    records: Vec<Record>,
    /// Numbers of the values that are integers.
    integers: FxHashMap<i64, ValueId>,
    /// Numbers of all others; nil is one.
    others: FxHashMap<Value, ValueId>,
    /// The values by their numbers, made when a witness first asks for them.
    named: OnceLock<Vec<Value>>,
    /// What came since it was last judged, and since it was last summarised.
    pub(super) changed: Changed,
}

/// Whether something came that an earlier answer does not know of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changed {
    pub(super) since_judged: bool,
    pub(super) since_summary: bool,
}

/// A history that is too long for 32-bit indices.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the history has more than {} events or processes, which is more than this engine can number",
    NONE
)]
pub(super) struct TooLong;

impl KeyHistory {
    pub(super) fn new() -> Self {
        Self {
            records: Vec::new(),
            integers: FxHashMap::default(),
            others: FxHashMap::from_iter([(Value::Nil, NIL)]),
            named: OnceLock::new(),
            changed: Changed::default(),
        }
    }

    pub(super) fn push(
        &mut self,
        operation: &Operation,
        parts: Parts<'_>,
        process: u32,
    ) -> Result<(), TooLong> {
        self.named.take();
        let from = parts.from.map_or(Ok(NONE), |from| self.number(from))?;
        let end = operation.end.map_or(Ok(NONE), |end| narrow(end.index + 1))?;
        let value = self.number(parts.value)?;
        self.records.push(Record {
            call_ns: operation.call.time,
            end_ns: operation.end.map_or(0, |end| end.time),
            begin: narrow(operation.call.index.saturating_add(1))?,
            end,
            process,
            value,
            from,
            kind: parts.kind,
            outcome: operation.outcome,
            node: node(operation.node),
            answered_by: node(operation.answered_by),
        });
        Ok(())
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn value_count(&self) -> usize {
        self.integers.len() + self.others.len()
    }

    /// The number of `value`, a new one if it has none yet.
    fn number(&mut self, value: &Value) -> Result<ValueId, TooLong> {
        let next = narrow(self.value_count() as u64)?;
        match value {
            Value::Int(integer) => Ok(*self.integers.entry(*integer).or_insert(next)),
            other => number_as(&mut self.others, other, next),
        }
    }

    /// The values by their numbers, for a witness.
    pub(super) fn names(&self) -> Vec<&Value> {
        let named = self.named.get_or_init(|| {
            let mut names = vec![Value::Nil; self.value_count()];
            for (&integer, &id) in &self.integers {
                names[id as usize] = Value::Int(integer);
            }
            for (other, &id) in &self.others {
                names[id as usize] = other.clone();
            }
            names
        });
        named.iter().collect()
    }

    /// The operation as the history told it, as far as it was kept.
    pub(super) fn operation(
        &self,
        record: u32,
        key: &Value,
        names: &[&Value],
        processes: &[Process],
    ) -> Operation {
        let record = &self.records[record as usize];
        let name = |id: ValueId| names[id as usize].clone();
        let keyed = |value| Value::keyed(key.clone(), value);
        let (f, input) = match record.kind {
            Kind::Read => ("read", keyed(Value::Nil)),
            Kind::Write => ("write", keyed(name(record.value))),
            Kind::Cas => ("cas", keyed(Value::List(vec![name(record.from), name(record.value)]))),
        };
        let output = match (record.outcome, record.kind) {
            (Outcome::Ok, Kind::Read) => keyed(name(record.value)),
            (Outcome::Ok, _) => input.clone(),
            _ => Value::Nil,
        };
        let index = |event: u32| u64::from(event).saturating_sub(1);
        let end = Stamp { index: index(record.end), time: record.end_ns };
        Operation {
            process: processes[record.process as usize],
            f: f.into(),
            input,
            output,
            outcome: record.outcome,
            call: Stamp { index: index(record.begin), time: record.call_ns },
            end: (record.end != NONE).then_some(end),
            error: None,
            node: (record.node != 0).then_some(u32::from(record.node)),
            scheduled: None,
            answered_by: (record.answered_by != 0).then_some(u32::from(record.answered_by)),
            attempts: 1,
            phase: None,
        }
    }

    /// Takes back the last operations, which were pushed when there were so many records and values: as if they had never come,
    /// so that whoever only asks does not change the numbers of values, and with them the order of findings.
    pub(super) fn take_back(&mut self, records: usize, values: usize, last: &[Parts<'_>]) {
        self.records.truncate(records);
        let new = |id: &ValueId| *id as usize >= values;
        for value in last.iter().flat_map(|parts| [Some(parts.value), parts.from]).flatten() {
            match value {
                Value::Int(integer) if self.integers.get(integer).is_some_and(new) => {
                    self.integers.remove(integer);
                }
                other if self.others.get(other).is_some_and(new) => {
                    self.others.remove(other);
                }
                _ => {}
            }
        }
    }

    /// Goes on with these records instead; values that are not in them are forgotten.
    pub(super) fn replace(&mut self, mut records: Vec<Record>) {
        let mut renumbered = vec![NONE; self.value_count()];
        renumbered[NIL as usize] = NIL;
        let mut next = NIL + 1;
        let ids = records.iter_mut().flat_map(|record| [&mut record.value, &mut record.from]);
        for id in ids.filter(|id| **id != NONE) {
            let new = &mut renumbered[*id as usize];
            if *new == NONE {
                *new = next;
                next += 1;
            }
            *id = *new;
        }
        let renumber = |id: ValueId| Some(renumbered[id as usize]).filter(|&id| id != NONE);
        let integers = self.integers.iter().filter_map(|(&key, &id)| Some((key, renumber(id)?)));
        self.integers = integers.collect();
        let others = std::mem::take(&mut self.others).into_iter();
        self.others = others.filter_map(|(key, id)| Some((key, renumber(id)?))).collect();
        records.shrink_to_fit();
        self.records = records;
    }

    /// Bytes of what is kept: records, and numbers of integers that were written. Tables and vectors grow by doubling, so
    /// up to twice this is allocated.
    pub(super) fn bytes(&self) -> usize {
        let values = self.records.iter().filter(|record| record.writes()).count();
        let entry = (size_of::<(i64, ValueId)>() + 1) * 8 / 7;
        size_of::<Self>() + self.records.len() * size_of::<Record>() + values * entry
    }
}

/// The number of `item`, a new one if it has none yet.
pub(super) fn number<T: Clone + Eq + Hash>(
    numbers: &mut FxHashMap<T, u32>,
    item: &T,
) -> Result<u32, TooLong> {
    let next = narrow(numbers.len() as u64)?;
    number_as(numbers, item, next)
}

fn number_as<T: Clone + Eq + Hash>(
    numbers: &mut FxHashMap<T, u32>,
    item: &T,
    next: u32,
) -> Result<u32, TooLong> {
    if let Some(&number) = numbers.get(item) {
        return Ok(number);
    }
    numbers.insert(item.clone(), next);
    Ok(next)
}

fn narrow(index: u64) -> Result<u32, TooLong> {
    u32::try_from(index).ok().filter(|&index| index != NONE).ok_or(TooLong)
}

fn node(node: Option<u32>) -> u8 {
    node.and_then(|node| u8::try_from(node).ok()).unwrap_or(0)
}

const _: () = assert!(size_of::<Record>() == 40, "the memory of a run is measured in these");
