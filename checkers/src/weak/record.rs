//! Transactions as they are kept while they come: four bytes a read or write.
//!
//! A *version* is a value of a key. Written values are unique a key, so a version names its writer. Nil is the version that
//! every key has at first, and that nobody writes.
//!
//! A version that two transactions may have written is *ambiguous*: reads of it are left out, and the verdict cannot be
//! valid if there are any. What is left out only takes demands away, so a conviction still stands.

use crate::keyed::{NONE, Names, Trace, Unreadable, argument, number_of, result};
use rustc_hash::FxHashMap;
use tribunal_history::{Operation, Outcome, Process, Value};

/// What was seen, in the order of completion.
#[derive(Debug, Default)]
pub(super) struct Record {
    keys: Names<Value>,
    numbers: FxHashMap<(u32, Value), u32>,
    pub(super) versions: Vec<Version>,
    sessions: FxHashMap<Process, u32>,
    pub(super) transactions: Vec<Transaction>,
    /// By transaction.
    accesses: Vec<Access>,
    /// By key: the last that wrote it, and what.
    last: Vec<(u32, u32)>,
    pub(super) unreadable: Unreadable,
    pub(super) operations: u64,
    pub(super) crashed: u64,
}

/// A value of a key, and who wrote it. Transactions are named by their place in [`Record::transactions`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub(super) key: u32,
    /// Who wrote it and did not fail; [`NONE`] is nobody.
    pub(super) writer: u32,
    /// Who tried to write it and failed.
    pub(super) failed: u32,
    pub(super) kind: Kind,
}

/// What a version is to those who read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nil: there before anybody wrote.
    Initial,
    /// The last that its writer wrote to the key, or nobody's.
    Final,
    /// Its writer wrote the key again.
    Intermediate,
    /// Written twice.
    Ambiguous,
}

/// A transaction that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    pub(super) trace: Trace,
    pub(super) session: u32,
    /// Where its accesses begin.
    start: u32,
}

/// A read or a write of a version: the version's number, and one bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access(u32);

impl Access {
    fn new(version: u32, writes: bool) -> Self {
        assert!(version < NONE >> 1, "more versions than a checker can number");
        Self(version << 1 | u32::from(writes))
    }

    pub(super) fn version(self) -> usize {
        (self.0 >> 1) as usize
    }

    pub(super) fn writes(self) -> bool {
        self.0 & 1 == 1
    }
}

impl Record {
    /// Takes an operation: a transaction, or a read or a write that is one by itself.
    pub(super) fn operation(&mut self, operation: &Operation) {
        self.operations += 1;
        self.crashed += u64::from(operation.outcome == Outcome::Info);
        let start = self.accesses.len();
        if let Err(why) = self.accesses_of(operation) {
            self.accesses.truncate(start);
            self.unreadable.add(operation, why);
            return;
        }
        if self.accesses.len() == start && operation.outcome != Outcome::Ok {
            return;
        }
        let number = number_of(self.transactions.len());
        let sessions = number_of(self.sessions.len());
        let session = *self.sessions.entry(operation.process).or_insert(sessions);
        let trace = Trace::of(operation);
        self.transactions.push(Transaction { trace, session, start: number_of(start) });
        self.claim(number, start);
    }

    /// Keeps the reads and writes of an operation. Only what succeeded has reads.
    fn accesses_of(&mut self, operation: &Operation) -> Result<(), &'static str> {
        let read = operation.outcome == Outcome::Ok;
        match &*operation.f {
            "write" => {
                let (key, value) = argument(&operation.input);
                self.access(key, value, true)
            }
            "read" if read => {
                let (key, value) = result(operation);
                self.access(key, value, false)
            }
            "read" => Ok(()),
            "txn" => self.transaction(operation, read),
            _ => Err("is neither a transaction nor a read nor a write"),
        }
    }

    fn transaction(&mut self, operation: &Operation, read: bool) -> Result<(), &'static str> {
        let asked = operation.input.as_list().ok_or("does not hold a list of reads and writes")?;
        let told = operation.output.as_list().unwrap_or(asked);
        if read && operation.output.as_list().is_none() && asked.iter().any(reads) {
            return Err("was acknowledged without what it read");
        }
        if told.len() != asked.len() {
            return Err("was answered with another number of reads and writes");
        }
        for (asked, told) in asked.iter().zip(told) {
            let (writes, key, value) = parts(asked)?;
            let (writes_too, same, answer) = parts(told)?;
            if (writes, key) != (writes_too, same) || (writes && value != answer) {
                return Err("was answered with other reads and writes than it asked for");
            }
            if writes || read {
                self.access(key, answer, writes)?;
            }
        }
        Ok(())
    }

    fn access(&mut self, key: &Value, value: &Value, writes: bool) -> Result<(), &'static str> {
        if writes && value.is_nil() {
            return Err("writes nil, which stands for the initial value");
        }
        let key = self.keys.number(key.clone());
        if self.last.len() <= key as usize {
            self.last.push((NONE, NONE));
        }
        let next = number_of(self.versions.len());
        let version = *self.numbers.entry((key, value.clone())).or_insert(next);
        if version == next {
            let kind = if value.is_nil() { Kind::Initial } else { Kind::Final };
            self.versions.push(Version { key, writer: NONE, failed: NONE, kind });
        }
        self.accesses.push(Access::new(version, writes));
        Ok(())
    }

    /// Names a transaction, the last one, as the writer of what it wrote.
    fn claim(&mut self, number: u32, start: usize) {
        let possible = self.transactions[number as usize].trace.possible();
        for at in start..self.accesses.len() {
            let access = self.accesses[at];
            if !access.writes() {
                continue;
            }
            let version = &mut self.versions[access.version()];
            if !possible {
                version.failed = number;
            } else if version.writer == NONE {
                version.writer = number;
                self.overwrite(number, access.version());
            } else {
                version.kind = Kind::Ambiguous;
                self.overwrite(number, access.version());
            }
        }
    }

    /// What the same transaction wrote to the key before is intermediate.
    fn overwrite(&mut self, number: u32, version: usize) {
        let last = &mut self.last[self.versions[version].key as usize];
        let (writer, earlier) = std::mem::replace(last, (number, number_of(version)));
        if writer != number || earlier as usize == version {
            return;
        }
        let earlier = &mut self.versions[earlier as usize].kind;
        if *earlier == Kind::Final {
            *earlier = Kind::Intermediate;
        }
    }

    /// The reads and writes of a transaction, in its order.
    pub(super) fn accesses(&self, transaction: usize) -> &[Access] {
        let start = self.transactions[transaction].start as usize;
        let next = self.transactions.get(transaction + 1);
        let end = next.map_or(self.accesses.len(), |next| next.start as usize);
        &self.accesses[start..end]
    }

    /// How many keys there are.
    pub(super) fn keys(&self) -> usize {
        self.last.len()
    }

    /// The name of a key.
    pub(super) fn key(&self, key: u32) -> Value {
        self.keys.name(key).cloned().unwrap_or_default()
    }

    /// The value of a version. Linear: for witnesses.
    pub(super) fn value(&self, version: usize) -> Value {
        let number = self.numbers.iter().find(|(_, number)| **number as usize == version);
        number.map(|((_, value), _)| value.clone()).unwrap_or_default()
    }

    /// How many sessions there are.
    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// An estimate of the bytes kept.
    pub(super) fn bytes(&self) -> usize {
        self.accesses.capacity() * size_of::<Access>()
            + self.transactions.capacity() * size_of::<Transaction>()
            + self.versions.capacity() * size_of::<Version>()
            + self.numbers.capacity() * (size_of::<((u32, Value), u32)>() + 1)
    }
}

fn reads(access: &Value) -> bool {
    !parts(access).is_ok_and(|(writes, _, _)| writes)
}

/// Whether it writes, the key and the value of `["w", key, value]` or `["r", key, value]`.
fn parts(access: &Value) -> Result<(bool, &Value, &Value), &'static str> {
    let Some([f, key, value]) = access.as_list() else {
        return Err("holds something else than [\"r\", key, value] and [\"w\", key, value]");
    };
    match f.as_text() {
        Some("w" | "write") => Ok((true, key, value)),
        Some("r" | "read") => Ok((false, key, value)),
        _ => Err("holds something else than reads and writes"),
    }
}
