//! The committed transactions of a record, numbered so that a session is a range, and what each read from which other.
//!
//! Node 0 is the initial state, which comes before everything. The others are the transactions that committed: those
//! acknowledged, and those of unknown fate of which a committed one read something. The rest of unknown fate is left out,
//! and may be: an order without them is legal if one with them is, since nothing read from them.
//!
//! Making the view finds what no level allows (AWDIT, section 2, "read consistency"; Adya's G1a and G1b):
//!
//! | anomaly | meaning |
//! |---|---|
//! | `unwritten-read` | a read of a value that nobody tried to write |
//! | `failed-operation-observed` | a read of a value whose transaction failed |
//! | `intermediate-read` | a read of a value that its transaction overwrote |
//! | `future-read` | a read of what the same transaction writes later |
//! | `internal` | a read after an own write of the key, of something else |

use super::record::{Kind, Record};
use crate::keyed::{NONE, number_of};
use tribunal_history::Outcome;

/// The view.
#[derive(Debug)]
pub(super) struct View {
    /// By node: its transaction in the record; [`NONE`] for the initial state.
    pub(super) transaction: Vec<u32>,
    /// By node: its session.
    pub(super) session: Vec<u32>,
    /// By session: its first node, and one past the last of all.
    pub(super) session_start: Vec<u32>,
    read_start: Vec<u32>,
    reads: Vec<Read>,
    write_start: Vec<u32>,
    /// By node: the keys that it writes, each once.
    writes: Vec<u32>,
    pub(super) keys: usize,
}

/// A read of what another transaction wrote, or of the initial state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) key: u32,
    /// The node that wrote what was read.
    pub(super) writer: u32,
    /// Whether it is the reader's first of that writer.
    pub(super) first: bool,
}

/// A read that no level allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bad {
    pub(super) name: &'static str,
    /// The transaction that read.
    pub(super) reader: u32,
    pub(super) version: u32,
    /// The transaction that wrote or tried to, unless it is the reader or nobody.
    pub(super) writer: u32,
}

impl View {
    /// Makes the view. Answers with it the bad reads, and how many reads were left out as ambiguous. Linear.
    pub(super) fn new(record: &Record) -> (Self, Vec<Bad>, u64) {
        let reads = record_reads(record);
        let mut committed: Vec<bool> =
            record.transactions.iter().map(|t| t.trace.outcome == Outcome::Ok).collect();
        for (_, version) in &reads.good {
            if let Some(writer) = writer(record, *version) {
                committed[writer as usize] = true;
            }
        }
        let mut view = Self::sessions(record, &committed);
        let mut node_of = vec![NONE; record.transactions.len()];
        for (node, transaction) in (0u32..).zip(&view.transaction).skip(1) {
            node_of[*transaction as usize] = node;
        }
        view.fill(record, &reads, &node_of);
        (view, reads.bad, reads.ambiguous)
    }

    /// Numbers the committed by session, and within it in the order of the record.
    fn sessions(record: &Record, committed: &[bool]) -> Self {
        let mut session_start = vec![0u32; record.sessions() + 1];
        let of = || record.transactions.iter().zip(committed).filter(|(_, committed)| **committed);
        of().for_each(|(transaction, _)| session_start[transaction.session as usize + 1] += 1);
        session_start[0] = 1;
        for session in 0..record.sessions() {
            session_start[session + 1] += session_start[session];
        }
        let nodes = session_start[record.sessions()] as usize;
        let (mut transaction, mut session) = (vec![NONE; nodes], vec![NONE; nodes]);
        let mut next = session_start.clone();
        for (number, kept) in (0u32..).zip(&record.transactions) {
            if committed[number as usize] {
                let node = &mut next[kept.session as usize];
                transaction[*node as usize] = number;
                session[*node as usize] = kept.session;
                *node += 1;
            }
        }
        let (read_start, write_start) = (Vec::new(), Vec::new());
        let (reads, writes, keys) = (Vec::new(), Vec::new(), record.keys());
        Self { transaction, session, session_start, read_start, reads, write_start, writes, keys }
    }

    fn fill(&mut self, record: &Record, reads: &Reads, node_of: &[u32]) {
        let mut first = vec![NONE; self.nodes()];
        let mut written = vec![NONE; self.keys];
        for node in 0..self.nodes() {
            self.read_start.push(number_of(self.reads.len()));
            self.write_start.push(number_of(self.writes.len()));
            let transaction = self.transaction[node];
            if transaction == NONE {
                continue;
            }
            for (_, version) in reads.of(transaction) {
                let key = record.versions[*version as usize].key;
                let writer = writer(record, *version).map_or(0, |writer| node_of[writer as usize]);
                let of = std::mem::replace(&mut first[writer as usize], transaction);
                self.reads.push(Read { key, writer, first: of != transaction });
            }
            for access in record.accesses(transaction as usize).iter().filter(|a| a.writes()) {
                let key = record.versions[access.version()].key;
                if std::mem::replace(&mut written[key as usize], transaction) != transaction {
                    self.writes.push(key);
                }
            }
        }
        self.read_start.push(number_of(self.reads.len()));
        self.write_start.push(number_of(self.writes.len()));
    }

    /// How many nodes there are, with the initial state.
    pub(super) fn nodes(&self) -> usize {
        self.transaction.len()
    }

    /// What a node read from others, in its order.
    pub(super) fn reads(&self, node: u32) -> &[Read] {
        let node = node as usize;
        &self.reads[self.read_start[node] as usize..self.read_start[node + 1] as usize]
    }

    /// The keys that a node writes.
    pub(super) fn writes(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.writes[self.write_start[node] as usize..self.write_start[node + 1] as usize]
    }

    /// All nodes but the initial state, session by session.
    pub(super) fn committed(&self) -> std::ops::Range<u32> {
        1..number_of(self.nodes())
    }

    /// Whether the second node is the next of the first one's session.
    pub(super) fn follows(&self, first: u32, second: u32) -> bool {
        first + 1 == second && self.session[first as usize] == self.session[second as usize]
    }

    /// The order of sessions and of reads: from each node to the next of its session, and from writers to readers. The
    /// initial state, of which all this is clear, is left out.
    pub(super) fn causes(&self) -> Vec<(u32, u32)> {
        let mut edges = Vec::with_capacity(self.nodes() + self.reads.len());
        for node in self.committed() {
            if self.follows(node - 1, node) {
                edges.push((node - 1, node));
            }
            let reads = self.reads(node).iter().filter(|read| read.first && read.writer != 0);
            edges.extend(reads.map(|read| (read.writer, node)));
        }
        edges
    }

    /// An estimate of the bytes kept.
    pub(super) fn bytes(&self) -> usize {
        self.nodes() * 16 + self.reads.capacity() * size_of::<Read>() + self.writes.capacity() * 4
    }
}

/// Who wrote a version; `None` is the initial state.
fn writer(record: &Record, version: u32) -> Option<u32> {
    let version = &record.versions[version as usize];
    (version.kind != Kind::Initial).then_some(version.writer)
}

/// The reads of a record that look outside of their transaction.
struct Reads {
    /// Transaction and version, in the order of the record.
    good: Vec<(u32, u32)>,
    /// By transaction: where its reads begin.
    start: Vec<u32>,
    bad: Vec<Bad>,
    ambiguous: u64,
}

impl Reads {
    fn of(&self, transaction: u32) -> &[(u32, u32)] {
        let start = self.start[transaction as usize] as usize;
        &self.good[start..self.start[transaction as usize + 1] as usize]
    }
}

fn record_reads(record: &Record) -> Reads {
    let mut reads = Reads { good: Vec::new(), start: Vec::new(), bad: Vec::new(), ambiguous: 0 };
    // By key: the transaction that wrote it last in this sweep, and what.
    let mut own = vec![(NONE, NONE); record.keys()];
    for reader in 0..number_of(record.transactions.len()) {
        reads.start.push(number_of(reads.good.len()));
        for access in record.accesses(reader as usize) {
            let number = number_of(access.version());
            let version = &record.versions[access.version()];
            let own = &mut own[version.key as usize];
            if access.writes() {
                *own = (reader, number);
                continue;
            }
            let mut bad =
                |name, writer| reads.bad.push(Bad { name, reader, version: number, writer });
            match version.kind {
                _ if own.0 == reader && own.1 == number => {}
                _ if own.0 == reader => bad("internal", NONE),
                Kind::Initial => reads.good.push((reader, number)),
                Kind::Ambiguous => reads.ambiguous += 1,
                _ if version.writer == reader => bad("future-read", NONE),
                Kind::Intermediate => bad("intermediate-read", version.writer),
                Kind::Final if version.writer != NONE => reads.good.push((reader, number)),
                Kind::Final if version.failed != NONE => {
                    bad("failed-operation-observed", version.failed);
                }
                Kind::Final => bad("unwritten-read", NONE),
            }
        }
    }
    reads.start.push(number_of(reads.good.len()));
    reads
}
