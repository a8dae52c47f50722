//! What was found, in sentences: transactions are called T1, T2 ... in the order in which the sentences come to them.

use super::Demand;
use super::graph::Graph;
use super::record::Record;
use super::view::{Bad, View};
use crate::keyed::{NONE, plain};
use std::fmt::Write as _;
use tribunal_history::{Operation, Value};

/// Tells what was found. Message, key and witness, as [`crate::keyed::Findings::add`] asks for.
pub(super) struct Narrator<'a> {
    record: &'a Record,
    view: &'a View,
    /// The transactions that were named, by their place in the record: the first is T1.
    named: Vec<u32>,
}

type Told = (String, Value, Vec<Operation>);

impl<'a> Narrator<'a> {
    pub(super) fn new(record: &'a Record, view: &'a View) -> Self {
        Self { record, view, named: Vec::new() }
    }

    /// A read that no level allows.
    pub(super) fn bad(mut self, bad: &Bad) -> Told {
        let version = &self.record.versions[bad.version as usize];
        let read = self.value(version.key, bad.version);
        let reader = self.transaction(bad.reader);
        let message = match bad.name {
            "internal" => format!(
                "{reader} reads {read}, which is not what it wrote to the key itself before"
            ),
            "future-read" => format!("{reader} reads {read}, which it writes itself only later"),
            "intermediate-read" => {
                let writer = self.transaction(bad.writer);
                format!(
                    "{reader} reads {read}, which {writer} wrote and then overwrote itself: no other transaction may see that"
                )
            }
            "failed-operation-observed" => {
                let writer = self.transaction(bad.writer);
                format!(
                    "{reader} reads {read}, but {writer}, the only one that tried to write it, failed"
                )
            }
            _ => format!("{reader} reads {read}, but nobody tried to write it"),
        };
        self.told(message, Some(version.key))
    }

    /// A key read from two others.
    pub(super) fn repeated(mut self, reader: u32, key: u32, writers: (u32, u32)) -> Told {
        let first = self.version(writers.0, key);
        let second = self.version(writers.1, key);
        let message =
            format!("{} reads {first} and then {second}, of two others", self.node(reader));
        self.node(writers.0);
        self.node(writers.1);
        self.told(message, Some(key))
    }

    /// Nil, read by one that saw a write of the key.
    pub(super) fn early(mut self, demand: &Demand, causes: &Graph) -> Told {
        let nil = self.version(0, demand.key);
        let reader = self.node(demand.reader);
        let before = self.node(demand.before);
        let written = self.version(demand.before, demand.key);
        let seen = self.seen(demand, causes);
        let message = format!(
            "{reader} reads {nil}, the initial value, although {before}, which writes {written}, {seen}"
        );
        self.told(message, Some(demand.key))
    }

    /// Transactions each of which must commit before the next, and the last before the first.
    pub(super) fn cycle(mut self, cycle: &[u32], reasons: &[Demand], causes: &Graph) -> Told {
        let mut message = String::from("No commit order is left: ");
        let mut about = None;
        let next = cycle.iter().cycle().skip(1);
        for (nth, (before, after)) in cycle.iter().copied().zip(next.copied()).enumerate() {
            message.push_str(if nth == 0 { "" } else { "; " });
            let (first, second) = (self.node(before), self.node(after));
            let because = self.because(before, after, reasons, causes, &mut about);
            let _ = write!(message, "{first} is before {second}, {because}");
        }
        message.push('.');
        self.told(message, about)
    }

    /// Why one commits before the other.
    fn because(
        &mut self,
        before: u32,
        after: u32,
        reasons: &[Demand],
        causes: &Graph,
        about: &mut Option<u32>,
    ) -> String {
        if let Some(read) = self.view.reads(after).iter().find(|read| read.writer == before) {
            let version = self.version(before, read.key);
            return format!("which reads {version} from it");
        }
        if self.view.session[before as usize] == self.view.session[after as usize] && before < after
        {
            return "which follows it in its session".to_owned();
        }
        let reason = reasons.iter().find(|reason| (reason.before, reason.after) == (before, after));
        let Some(reason) = reason else {
            return "as the level demands".to_owned();
        };
        about.get_or_insert(reason.key);
        let reader = self.node(reason.reader);
        let read = self.version(after, reason.key);
        let written = self.version(before, reason.key);
        let seen = self.seen(reason, causes);
        let before = self.node(before);
        format!("since {reader} reads {read} and not {written}, although {before} {seen}")
    }

    /// How the reader of a demand saw what should commit before.
    fn seen(&mut self, demand: &Demand, causes: &Graph) -> String {
        let Demand { before, reader, .. } = *demand;
        if let Some(read) = self.view.reads(reader).iter().find(|read| read.writer == before) {
            let version = self.version(before, read.key);
            return format!("was seen by {}, which reads {version}", self.node(reader));
        }
        if self.view.session[before as usize] == self.view.session[reader as usize] {
            return format!("comes before {} in its session", self.node(reader));
        }
        let path = causes.path(before, reader).unwrap_or_default();
        let between = path.iter().skip(1).take(path.len().saturating_sub(2));
        let between: Vec<u32> = between.copied().take(STEPS_SHOWN).collect();
        let reader = self.node(reader);
        let between: Vec<String> = between.into_iter().map(|step| self.node(step)).collect();
        format!("comes before {reader} by sessions and reads, through {}", between.join(", then "))
    }

    /// Names a node by its process and time, and puts it into the witness.
    fn node(&mut self, node: u32) -> String {
        match self.view.transaction[node as usize] {
            NONE => "the initial state".to_owned(),
            transaction => self.transaction(transaction),
        }
    }

    fn transaction(&mut self, transaction: u32) -> String {
        if let Some(place) = self.named.iter().position(|named| *named == transaction) {
            return format!("T{}", place + 1);
        }
        self.named.push(transaction);
        let trace = &self.record.transactions[transaction as usize].trace;
        let process = trace.operation("txn", Value::Nil, Value::Nil).process;
        let seconds = trace.call.time as f64 / 1e9;
        format!("T{} (process {process} at {seconds:.3} s)", self.named.len())
    }

    /// `key = value` as a node wrote it last.
    fn version(&self, writer: u32, key: u32) -> String {
        let transaction = self.view.transaction[writer as usize];
        if transaction == NONE {
            return format!("{} = nil", plain(&self.record.key(key)));
        }
        let mut written =
            self.record.accesses(transaction as usize).iter().rev().filter(|a| a.writes());
        let last = written.find(|access| self.record.versions[access.version()].key == key);
        last.map_or_else(String::new, |access| {
            self.value(key, u32::try_from(access.version()).unwrap_or(NONE))
        })
    }

    fn value(&self, key: u32, version: u32) -> String {
        let value = self.record.value(version as usize);
        format!("{} = {}", plain(&self.record.key(key)), plain(&value))
    }

    fn told(self, message: String, key: Option<u32>) -> Told {
        let key = key.map_or(Value::Nil, |key| self.record.key(key));
        let witness = self.named.iter().map(|transaction| self.operation(*transaction)).collect();
        (message, key, witness)
    }

    /// The transaction as an operation again.
    fn operation(&self, transaction: u32) -> Operation {
        let accesses = self.record.accesses(transaction as usize).iter();
        let told = |filled: bool| {
            let access = |access: &super::record::Access| {
                let version = &self.record.versions[access.version()];
                let hidden = !access.writes() && !filled;
                let value = if hidden { Value::Nil } else { self.record.value(access.version()) };
                let f = Value::text(if access.writes() { "w" } else { "r" });
                Value::List(vec![f, self.record.key(version.key), value])
            };
            Value::List(accesses.clone().map(access).collect())
        };
        let trace = &self.record.transactions[transaction as usize].trace;
        let ok = trace.outcome == tribunal_history::Outcome::Ok;
        trace.operation("txn", told(false), if ok { told(true) } else { Value::Nil })
    }
}

/// How many steps of a chain of causes are told.
const STEPS_SHOWN: usize = 6;
