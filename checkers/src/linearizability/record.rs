//! The operations of one key, small enough to keep: 40 bytes each, and every value once.
//!
//! A checker sees a history once and must remember it until the end, so this form decides the memory of a run. Values
//! and processes are numbers here; [`KeyHistory::operation`] gives back an [`Operation`] for a witness, without what the
//! engines do not use (error, schedule, attempts, phase).

use rustc_hash::FxHashMap;
use std::hash::Hash;
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
    call: u32,
    /// The index of the completion; `NONE` if the history leaves it open.
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
        u64::from(self.call) + 1
    }

    /// When it surely had taken effect; `u64::MAX` if that is not known.
    pub(super) fn finish(&self) -> u64 {
        match self.outcome {
            Outcome::Ok | Outcome::Fail if self.end != NONE => u64::from(self.end) + 1,
            _ => u64::MAX,
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
    values: FxHashMap<Value, ValueId>,
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
        let values = FxHashMap::from_iter([(Value::Nil, NIL)]);
        Self { records: Vec::new(), values }
    }

    pub(super) fn push(
        &mut self,
        operation: &Operation,
        parts: Parts<'_>,
        process: u32,
    ) -> Result<(), TooLong> {
        let from = parts.from.map_or(Ok(NONE), |from| number(&mut self.values, from))?;
        let end = operation.end.map_or(Ok(NONE), |end| narrow(end.index))?;
        self.records.push(Record {
            call_ns: operation.call.time,
            end_ns: operation.end.map_or(0, |end| end.time),
            call: narrow(operation.call.index)?,
            end,
            process,
            value: number(&mut self.values, parts.value)?,
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
        self.values.len()
    }

    /// The values by their numbers, for a witness.
    pub(super) fn names(&self) -> Vec<&Value> {
        let mut names = vec![&Value::Nil; self.values.len()];
        for (value, &id) in &self.values {
            names[id as usize] = value;
        }
        names
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
        let end = Stamp { index: u64::from(record.end), time: record.end_ns };
        Operation {
            process: processes[record.process as usize],
            f: f.into(),
            input,
            output,
            outcome: record.outcome,
            call: Stamp { index: u64::from(record.call), time: record.call_ns },
            end: (record.end != NONE).then_some(end),
            error: None,
            node: (record.node != 0).then_some(u32::from(record.node)),
            scheduled: None,
            answered_by: (record.answered_by != 0).then_some(u32::from(record.answered_by)),
            attempts: 1,
            phase: None,
        }
    }

    /// Bytes that are allocated for it. An estimate of the table: places times the size of an entry and its tag.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.values.keys().filter_map(Value::as_text).map(str::len).sum::<usize>();
        self.records.capacity() * size_of::<Record>()
            + self.values.capacity() * 8 / 7 * (size_of::<(Value, ValueId)>() + 1)
            + texts
    }
}

/// The number of `item`, a new one if it has none yet.
pub(super) fn number<T: Clone + Eq + Hash>(
    numbers: &mut FxHashMap<T, u32>,
    item: &T,
) -> Result<u32, TooLong> {
    if let Some(&number) = numbers.get(item) {
        return Ok(number);
    }
    let next = narrow(numbers.len() as u64)?;
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
