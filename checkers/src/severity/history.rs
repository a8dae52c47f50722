//! The operations of one key, 40 bytes each, and what is known of the versions that they wrote and saw.
//!
//! Real-time order is the order of event indices, from 1, so that 0 lies before every history.
//!
//! * A *version* is a written value, or nil, which was there before everything. Values are written once and nil never,
//!   else nothing here applies ([`Versions::of`] says so).
//! * An operation *counts* if it succeeded, or if it is a crashed write or cas whose value somebody saw who counts. Others may as
//!   well not have happened. Failed operations did not.
//! * A version is *established* from the first completion of an operation that wrote it, read it, or found it in a cas;
//!   not before the call of its write.
//! * u is *surely older* than v if u was established before the write of v was called, or if cas lead from u to v.
//! * A read is *unexplained* if nobody who counts wrote what it saw, or if it ended before the write of it was called. It
//!   establishes nothing.
//!
//! Absent: inference from several reads together. What is said here holds for each pair by itself.

use rustc_hash::FxHashMap;
use tribunal_history::{Operation, Outcome, Process, Value};

/// No value, no record.
pub(super) const NONE: u32 = u32::MAX;
/// The version before the first write.
pub(super) const NIL: u32 = 0;

/// What an operation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    Cas,
}

/// What an operation did: the value that it read or wrote, and what a cas expected.
pub(super) type Parts<'a> = (Kind, &'a Value, Option<&'a Value>);

/// An operation without names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) call_ns: u64,
    pub(super) end_ns: u64,
    call: u32,
    /// `NONE` if it crashed.
    end: u32,
    pub(super) process: u32,
    /// What was read or written.
    pub(super) value: u32,
    /// What a cas found; `NONE` for others.
    from: u32,
    pub(super) kind: Kind,
}

const _: () = assert!(size_of::<Record>() == 40, "the memory of a run is measured in these");

impl Record {
    /// The place of the call, from 1.
    pub(super) fn begin(&self) -> u64 {
        u64::from(self.call) + 1
    }

    /// The place of the completion; `u64::MAX` if it crashed.
    pub(super) fn finish(&self) -> u64 {
        if self.crashed() { u64::MAX } else { u64::from(self.end) + 1 }
    }

    /// The index of the invocation.
    pub(super) fn index(&self) -> u64 {
        u64::from(self.call)
    }

    pub(super) fn crashed(&self) -> bool {
        self.end == NONE
    }

    pub(super) fn writes(&self) -> bool {
        self.kind != Kind::Read
    }

    /// The version that it saw.
    pub(super) fn sees(&self) -> Option<u32> {
        match self.kind {
            Kind::Read => Some(self.value),
            Kind::Cas => Some(self.from),
            Kind::Write => None,
        }
    }
}

/// The operations of a key, in the order of their completion.
#[derive(Debug)]
pub(super) struct KeyHistory {
    pub(super) records: Vec<Record>,
    values: FxHashMap<Value, u32>,
}

impl Default for KeyHistory {
    fn default() -> Self {
        Self { records: Vec::new(), values: FxHashMap::from_iter([(Value::Nil, NIL)]) }
    }
}

impl KeyHistory {
    /// Takes an operation on this key. The error says why that cannot be.
    pub(super) fn push(
        &mut self,
        operation: &Operation,
        (kind, value, from): Parts<'_>,
        process: u32,
    ) -> Result<(), &'static str> {
        let crashed = operation.outcome == Outcome::Info;
        let end = operation.end.filter(|_| !crashed);
        let record = Record {
            call_ns: operation.call.time,
            end_ns: end.map_or(u64::MAX, |end| end.time),
            call: narrow(operation.call.index)?,
            end: end.map_or(Ok(NONE), |end| narrow(end.index))?,
            process,
            value: self.number(value)?,
            from: from.map_or(Ok(NONE), |from| self.number(from))?,
            kind,
        };
        self.records.push(record);
        Ok(())
    }

    fn number(&mut self, value: &Value) -> Result<u32, &'static str> {
        if let Some(&number) = self.values.get(value) {
            return Ok(number);
        }
        let number = narrow(self.values.len() as u64)?;
        self.values.insert(value.clone(), number);
        Ok(number)
    }

    /// The name of a version. Linear: for the few that a sentence names.
    pub(super) fn name(&self, number: u32) -> String {
        let found = self.values.iter().find(|(_, nth)| **nth == number);
        found.map_or_else(String::new, |(value, _)| value.to_string())
    }

    /// Bytes that are allocated for it, as an estimate.
    pub(super) fn bytes(&self) -> usize {
        self.records.capacity() * size_of::<Record>()
            + self.values.capacity() * 8 / 7 * (size_of::<(Value, u32)>() + 1)
    }
}

/// A process by its number, as it comes.
pub(super) fn number_of(processes: &mut FxHashMap<Process, u32>, process: Process) -> u32 {
    // There are fewer processes than events, and those are held below 2^32 - 1.
    let next = u32::try_from(processes.len()).unwrap_or(NONE);
    *processes.entry(process).or_insert(next)
}

fn narrow(index: u64) -> Result<u32, &'static str> {
    let narrow = u32::try_from(index).ok().filter(|&index| index != NONE);
    narrow.ok_or("the history has more than 2^32 - 2 events")
}

/// What is known of a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    /// Who wrote it; `NONE` for nil, and where nobody did.
    pub(super) writer: u32,
    /// When its write was called; 0 for nil.
    pub(super) begin: u64,
    /// When it was established; 0 for nil, `u64::MAX` if it never was.
    pub(super) established: u64,
    /// Whether somebody who counts saw it.
    seen: bool,
    /// The cas that leaves it and counts; the first, if there are several.
    pub(super) leaving: u32,
    /// The first version of its chain of cas, and how many cas lead from there.
    pub(super) chain: u32,
    pub(super) place: u32,
}

/// The versions of a key, by number.
#[derive(Debug)]
pub(super) struct Versions<'a> {
    pub(super) records: &'a [Record],
    pub(super) all: Vec<Version>,
    /// Two cas left one version, or a chain of cas closed to a ring: an operation of it.
    pub(super) broken_chain: Option<u32>,
}

impl<'a> Versions<'a> {
    /// O(n). `None` if a value was written twice, or nil was.
    pub(super) fn of(history: &'a KeyHistory) -> Option<Self> {
        let nothing = Version {
            writer: NONE,
            begin: 0,
            established: u64::MAX,
            seen: false,
            leaving: NONE,
            chain: NONE,
            place: 0,
        };
        let all = vec![nothing; history.values.len()];
        let mut versions = Self { records: &history.records, all, broken_chain: None };
        versions.all[NIL as usize].established = 0;
        for (id, record) in (0..).zip(versions.records) {
            if record.writes() {
                let version = &mut versions.all[record.value as usize];
                if record.value == NIL || record.value == record.from || version.writer != NONE {
                    return None;
                }
                (version.writer, version.begin) = (id, record.begin());
            }
        }
        versions.see();
        versions.establish();
        versions.link();
        Some(versions)
    }

    pub(super) fn get(&self, version: u32) -> &Version {
        &self.all[version as usize]
    }

    /// Whether the operation counts.
    pub(super) fn counts(&self, record: &Record) -> bool {
        !record.crashed() || (record.writes() && self.get(record.value).seen)
    }

    /// Whether `older` is surely older than `newer`.
    pub(super) fn surely_older(&self, older: u32, newer: u32) -> bool {
        let (older, newer) = (self.get(older), self.get(newer));
        older.established < newer.begin
            || (older.chain == newer.chain && older.chain != NONE && older.place < newer.place)
    }

    /// Whether nobody can have written what the operation saw.
    pub(super) fn without_writer(&self, record: &Record) -> bool {
        record.sees().is_some_and(|seen| seen != NIL && self.get(seen).writer == NONE)
    }

    /// Whether the operation saw what was not written yet, or never was.
    pub(super) fn unexplained(&self, record: &Record) -> bool {
        let future = |seen| record.finish() < self.get(seen).begin;
        self.without_writer(record) || record.sees().is_some_and(future)
    }

    /// Finds the versions that somebody saw who counts.
    fn see(&mut self) {
        let completed = self.records.iter().filter(|record| !record.crashed());
        let mut work: Vec<u32> = completed.filter_map(Record::sees).collect();
        while let Some(seen) = work.pop() {
            let version = &mut self.all[seen as usize];
            if !std::mem::replace(&mut version.seen, true) && version.writer != NONE {
                work.extend(self.records[version.writer as usize].sees());
            }
        }
    }

    fn establish(&mut self) {
        for record in self.records.iter().filter(|record| !record.crashed()) {
            let seen = record.sees().filter(|_| !self.unexplained(record));
            let wrote = record.writes().then_some(record.value);
            for version in seen.into_iter().chain(wrote) {
                let version = &mut self.all[version as usize];
                version.established = version.established.min(record.finish());
            }
        }
    }

    /// Links the chains of cas.
    fn link(&mut self) {
        for (id, record) in (0..).zip(self.records) {
            if record.kind == Kind::Cas && self.counts(record) {
                let source = &mut self.all[record.from as usize];
                if source.leaving == NONE {
                    source.leaving = id;
                } else {
                    self.broken_chain.get_or_insert(id);
                }
            }
        }
        let by_cas = |version: &Version| {
            version.writer != NONE && self.records[version.writer as usize].kind == Kind::Cas
        };
        let heads: Vec<u32> = (0..)
            .zip(&self.all)
            .filter(|(_, version)| !by_cas(version))
            .map(|(id, _)| id)
            .collect();
        for head in heads {
            let (mut version, mut place) = (head, 0);
            loop {
                let at = &mut self.all[version as usize];
                (at.chain, at.place) = (head, place);
                if at.leaving == NONE {
                    break;
                }
                version = self.records[at.leaving as usize].value;
                place += 1;
            }
        }
        // What no head leads to stands in a ring, or behind the second cas that left a version.
        let stray = (0..).zip(self.records).find(|(_, record)| {
            record.writes() && self.counts(record) && self.get(record.value).chain == NONE
        });
        self.broken_chain = self.broken_chain.or(stray.map(|(id, _)| id));
    }

    /// The operations that count, process by process, in the order in which each process called them.
    pub(super) fn sessions(&self) -> Vec<u32> {
        let counts = |(_, record): &(u32, &Record)| self.counts(record);
        let mut order: Vec<u32> =
            (0..).zip(self.records).filter(counts).map(|(id, _)| id).collect();
        order.sort_unstable_by_key(|&id| {
            let record = &self.records[id as usize];
            (record.process, record.begin())
        });
        order
    }
}
