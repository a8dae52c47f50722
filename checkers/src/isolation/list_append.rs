//! Transactions over lists that only grow: `[["append", key, element], ["r", key, list]]`, each element once a key.
//!
//! Source: Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations" (VLDB 2020), sections 4-5.
//!
//! # Why a pass is a proof
//! *Claim*: let no read contradict another, no element stand twice or come from nowhere or from a transaction that failed, let
//! every transaction read what it appended (`internal`) and nobody read between two appends of another transaction (`G1b`).
//! Then the history is strictly serializable exactly if the graph has no cycle; serializable, exactly if it has none
//! without edges of time; strong-session serializable, exactly if it has none without edges of real time.
//!
//! * Nodes: what was acknowledged, and what is of unknown fate and was seen. What was not seen may never have happened.
//! * The longest read of a key gives the order of the elements in it. An append that was acknowledged (or whose
//!   transaction was seen) and that the longest read misses comes after all of them: lists only grow.
//! * Edges: ww from each element's writer to the next one's, and from the last one's to those of the missed; wr from the writer of
//!   a read's last element to the reader; rw from a reader to the writer of the element after, or to those of the missed.
//! * *If* there is no cycle: in any topological order the appends come in the order of the longest reads and then the missed, each
//!   transaction's in one piece; so a read of n elements stands after the n-th and before the next. *Only if*: each edge
//!   holds in every serial order that explains the reads.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `G1a` | an element was read whose transaction failed (elsewhere `failed-operation-observed`) |
//! | `dirty-update` | an element of a failed transaction was built upon |
//! | `G1b` | a read ends between two appends of one transaction |
//! | `internal` | a transaction contradicts itself |
//! | `duplicate-elements` | a list holds an element twice |
//! | `incompatible-order` | two reads, neither of which is a prefix of the other |
//! | `unwritten-read` | an element that nobody appended |
//! | `lost-update` | two transactions read the same version and both appended to it |
//! | `G0` ... `G2-item-realtime` | cycles, see `cycles` |
//!
//! O(operations) and one comparison of every read with the longest; about 60 bytes a transaction, 8 a micro-operation, 110
//! an element. The graph takes as much again while it is judged.

use super::Options;
use super::findings::{Findings, Model, Suspicion, verdict};
use super::graph::{RW, WR, WW};
use super::history::{Kind, Micro, NONE, Shown, Store, Told, UNKNOWN, told};
use super::order::{Edges, before};
use crate::checker::Checker;
use crate::keyed::plain;
use crate::verdict::Verdict;
use tribunal_history::{Operation, Outcome, Value};

/// The checker.
#[derive(Debug, Default)]
pub struct ListAppend {
    options: Options,
    lists: Lists,
    findings: Findings,
}

/// What is known.
#[derive(Debug, Default)]
struct Lists {
    store: Store,
}

const NAME: &str = "list-append";

impl ListAppend {
    /// Nothing seen.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    fn append(&mut self, transaction: u32, key: u32, element: &Value) {
        let list = &mut self.lists.store.keys[key as usize];
        list.enter(transaction);
        let number = list.element(element);
        let (position, read) = (list.elements[number as usize].position, list.last_read);
        if list.last_own != NONE {
            let before = &mut list.elements[list.last_own as usize];
            before.replaced |= before.writer == transaction;
        }
        list.own.push(number);
        list.last_own = number;
        self.lists.store.micros.push(Micro::new(Kind::Write, key, number));
        self.lists.store.write(key, number, transaction);
        if read != NONE && position < read {
            self.findings.suspect("internal", transaction, (key, number), |element, _| {
                format!("T1 read {element} before it appended it")
            });
        }
    }

    fn read(&mut self, transaction: u32, key: u32, held: &[Value]) {
        let list = &mut self.lists.store.keys[key as usize];
        list.enter(transaction);
        let common = held.len().min(list.longest.len());
        if held[..common] != list.longest[..common] {
            let other = list.longest_by;
            let (name, longest) = (plain(&list.name), shortened(&list.longest));
            list.void = true;
            self.lists.store.micros.push(Micro::new(Kind::Read, key, NONE));
            // A read that contradicts itself with another of its transaction is found here, too.
            self.findings.add("incompatible-order", &[other, transaction], Some(key), || {
                let held = shortened(held);
                format!(
                    "T1 read {name} as {longest}, T2 as {held}: neither is a prefix of the other"
                )
            });
            return;
        }
        for (position, value) in held.iter().enumerate().skip(common) {
            let number = list.element(value);
            let element = &mut list.elements[number as usize];
            if element.position != NONE {
                list.void = true;
                let twice: Suspicion =
                    |value, name| format!("T1 read {name} with {value} in it twice");
                self.findings.suspect("duplicate-elements", transaction, (key, number), twice);
            } else {
                element.position = position as u32;
            }
            list.order.push(number);
            list.longest.push(value.clone());
            list.longest_by = transaction;
        }
        let own = list.own.len();
        let again = list.last_read != NONE;
        let expected = list.last_read.wrapping_add(own as u32);
        let agrees = held.len() >= own
            && list.order[held.len() - own..held.len()] == list.own
            && (!again || held.len() as u32 == expected);
        if !agrees {
            let name = plain(&list.name);
            self.findings.add("internal", &[transaction], Some(key), || {
                format!(
                    "T1 read {name} as {}, which is not what it had read before with what it had appended since",
                    shortened(held)
                )
            });
        }
        let first = !again && own == 0;
        list.last_read = held.len() as u32;
        list.own.clear();
        let kind = if first { Kind::Read } else { Kind::ReadOwn };
        self.lists.store.micros.push(Micro::new(kind, key, held.len() as u32));
    }

    fn take(&mut self, operation: &Operation) -> Result<(), String> {
        let told = told(operation, "append")?;
        let transaction = self.lists.store.open(operation);
        for micro in told {
            match micro {
                Told::Write(name, element) => {
                    let key = self.lists.store.key(name);
                    self.append(transaction, key, element);
                }
                Told::Read(name, held) if operation.outcome == Outcome::Ok => {
                    let held = if held.is_nil() { Some(&[][..]) } else { held.as_list() };
                    let held = held.ok_or_else(|| format!("it read {name} as no list"))?;
                    let key = self.lists.store.key(name);
                    self.read(transaction, key, held);
                }
                Told::Read(..) => {}
            }
        }
        Ok(())
    }
}

impl Checker for ListAppend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn operation(&mut self, operation: &Operation) {
        if let Err(why) = self.take(operation) {
            self.findings.refuse(operation, &why);
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        let Self { options, lists, mut findings } = *self;
        findings.settle(&lists.store);
        let committed = lists.store.committed();
        lists.elements(&committed, &mut findings);
        lists.intermediate(&mut findings);
        lists.lost_updates(&mut findings);
        let mut edges = Edges::new(committed.len());
        lists.dependencies(&committed, &mut edges);
        edges.time(&lists.store.transactions, &committed);
        verdict(NAME, options.level, &lists, edges.graph(), findings, options.level.decided())
    }
}

impl Lists {
    /// Whether every element read was appended by somebody, once, in the order of its transaction.
    fn elements(&self, committed: &[bool], findings: &mut Findings) {
        for (number, key) in (0..).zip(&self.store.keys) {
            let mut failed = None;
            for (position, element) in (0..).zip(&key.order) {
                let element = &key.elements[*element as usize];
                let value = &element.value;
                match element.writer {
                    NONE => {
                        let reader =
                            self.reader(findings.shows("unwritten-read"), number, position);
                        findings.add("unwritten-read", &[reader], Some(number), || {
                            format!(
                                "T1 read {value} in {}, which nobody appended",
                                plain(&key.name)
                            )
                        });
                    }
                    UNKNOWN => {}
                    writer if !committed[writer as usize] => {
                        failed = Some(writer);
                        let reader = self.reader(findings.shows("G1a"), number, position);
                        findings.add("G1a", &[writer, reader], Some(number), || {
                            let name = plain(&key.name);
                            format!("T1 failed to append {value} to {name}, but T2 read it")
                        });
                    }
                    writer => {
                        if let Some(failed) = failed.take() {
                            findings.add("dirty-update", &[failed, writer], Some(number), || {
                                let name = plain(&key.name);
                                format!("T2 appended {value} to {name} after an element of T1, which failed")
                            });
                        }
                    }
                }
            }
        }
        self.own_order(committed, findings);
    }

    /// Of its own appends to a key, a transaction's earlier ones stand before its later ones.
    fn own_order(&self, committed: &[bool], findings: &mut Findings) {
        let mut last: rustc_hash::FxHashMap<u32, (u32, u32)> = rustc_hash::FxHashMap::default();
        for transaction in (0..).take(committed.len()).filter(|nth| committed[*nth as usize]) {
            last.clear();
            for (key, number) in self.store.writes(transaction) {
                let list = &self.store.keys[key as usize];
                let element = &list.elements[number as usize];
                let position = element.position;
                let before = last.insert(key, (position, number));
                let Some((earlier, other)) = before else { continue };
                if earlier > position && !list.void {
                    findings.add("internal", &[transaction], Some(key), || {
                        let (first, second) = (&list.elements[other as usize].value, &element.value);
                        let name = plain(&list.name);
                        format!("T1 appended {first} to {name} and then {second}, but {second} was read without {first} before it")
                    });
                }
            }
        }
    }

    /// A transaction that read the element at this position. Linear, so only if it is `wanted`.
    fn reader(&self, wanted: bool, key: u32, position: u32) -> u32 {
        if !wanted {
            return 0;
        }
        let holds = |micro: &Micro| {
            micro.key() == key
                && micro.kind() != Kind::Write
                && micro.what != NONE
                && micro.what > position
        };
        let all = 0..self.store.transactions.len() as u32;
        all.into_iter().find(|nth| self.store.of(*nth).iter().any(holds)).unwrap_or(0)
    }

    /// The element before a length, if any.
    fn last(&self, key: u32, length: u32) -> Option<u32> {
        let before = length.checked_sub(1)?;
        Some(self.store.keys[key as usize].order[before as usize])
    }

    /// Reads that end within the appends of another transaction.
    fn intermediate(&self, findings: &mut Findings) {
        for reader in 0..self.store.transactions.len() as u32 {
            for (key, length) in self.store.reads(reader) {
                let Some(last) = self.last(key, length) else { continue };
                let list = &self.store.keys[key as usize];
                let element = &list.elements[last as usize];
                if !element.replaced || element.writer == reader || element.writer >= UNKNOWN {
                    continue;
                }
                findings.add("G1b", &[element.writer, reader], Some(key), || {
                    let (value, name) = (&element.value, plain(&list.name));
                    format!("T2 read {name} up to {value}, but T1, which appended {value}, appended more to {name}")
                });
            }
        }
    }

    /// Transactions that read the same version of a key and appended to it.
    fn lost_updates(&self, findings: &mut Findings) {
        let mut updates: Vec<(u32, u32, u32)> = Vec::new();
        for transaction in 0..self.store.transactions.len() as u32 {
            for (key, length) in self.store.reads(transaction) {
                let void = self.store.keys[key as usize].void;
                if !void && self.store.writes(transaction).any(|(written, _)| written == key) {
                    updates.push((key, length, transaction));
                }
            }
        }
        updates.sort_unstable();
        for pair in updates.windows(2) {
            let [(key, length, first), (other, same, second)] = pair else { continue };
            if key == other && length == same {
                findings.add("lost-update", &[*first, *second], Some(*key), || {
                    let name = plain(&self.store.keys[*key as usize].name);
                    format!("T1 and T2 both read {name} with {length} elements and then appended to it, neither seeing the other")
                });
            }
        }
    }

    /// The edges of the header.
    fn dependencies(&self, committed: &[bool], edges: &mut Edges) {
        let mut missed: Vec<Vec<u32>> = vec![Vec::new(); self.store.keys.len()];
        let mut full: Vec<Vec<u32>> = vec![Vec::new(); self.store.keys.len()];
        for transaction in (0..).take(committed.len()).filter(|nth| committed[*nth as usize]) {
            for (key, element) in self.store.writes(transaction) {
                let unseen =
                    self.store.keys[key as usize].elements[element as usize].position == NONE;
                if unseen && missed[key as usize].last() != Some(&transaction) {
                    missed[key as usize].push(transaction);
                }
            }
        }
        // The writer of the next element at or after each position of the order, by key.
        let next: Vec<Vec<u32>> =
            self.store.keys.iter().map(|key| next(key, committed, edges)).collect();
        for reader in 0..committed.len() as u32 {
            for (key, length) in self.store.reads(reader) {
                let list = &self.store.keys[key as usize];
                if list.void {
                    continue;
                }
                if let Some(last) = self.last(key, length) {
                    let writer = list.elements[last as usize].writer;
                    if writer < UNKNOWN && committed[writer as usize] {
                        edges.add(writer, reader, WR);
                    }
                }
                match next[key as usize].get(length as usize) {
                    Some(&writer) if writer != NONE => edges.add(reader, writer, RW),
                    _ if missed[key as usize].is_empty() => {}
                    _ => full[key as usize].push(reader),
                }
            }
        }
        for (number, key) in self.store.keys.iter().enumerate().filter(|(_, key)| !key.void) {
            let seen = key.order.iter().rev().map(|element| key.elements[*element as usize].writer);
            let last =
                seen.into_iter().find(|writer| *writer < UNKNOWN && committed[*writer as usize]);
            edges.join(&before(last, &full[number], 0), &missed[number]);
        }
    }
}

/// Adds the ww edges along a key's order; answers for each position who wrote the first committed element from there on.
fn next(key: &super::history::Key, committed: &[bool], edges: &mut Edges) -> Vec<u32> {
    if key.void {
        return Vec::new();
    }
    let mut next = vec![NONE; key.order.len()];
    let mut after = NONE;
    for (place, element) in key.order.iter().enumerate().rev() {
        let writer = key.elements[*element as usize].writer;
        if writer < UNKNOWN && committed[writer as usize] {
            if after != NONE {
                edges.add(writer, after, WW);
            }
            after = writer;
        }
        next[place] = after;
    }
    next
}

impl Model for Lists {
    fn store(&self) -> &Store {
        &self.store
    }

    fn observed(&self) -> bool {
        true
    }

    fn show(&self, micro: Micro) -> Shown {
        let list = &self.store.keys[micro.key() as usize];
        let value = |element: u32| list.elements[element as usize].value.clone();
        if micro.kind() == Kind::Write {
            let argument = value(micro.what);
            return Shown { name: "append", result: argument.clone(), argument };
        }
        let held = match micro.what {
            NONE => vec!["incompatible".into()],
            length => list.order[..length as usize].iter().map(|nth| value(*nth)).collect(),
        };
        Shown { name: "r", argument: Value::Nil, result: Value::List(held) }
    }

    fn because(&self, from: u32, to: u32, kind: u8) -> Option<(u32, String)> {
        let store = &self.store;
        let of = |key: u32, element: u32| &store.keys[key as usize].elements[element as usize];
        let name = |key: u32| plain(&store.keys[key as usize].name);
        for (key, element) in store.writes(from).filter(|_| kind & WR != 0) {
            let position = of(key, element).position;
            // An element that no read holds has no position, and no reader.
            let seen = |(read, length)| read == key && position.checked_add(1) == Some(length);
            if store.reads(to).any(seen) {
                let value = &of(key, element).value;
                return Some((key, format!("A appended {value} to {}, which B read", name(key))));
            }
        }
        for (key, second) in store.writes(to).filter(|_| kind & (WW | RW) != 0) {
            let place = of(key, second).position;
            let value = &of(key, second).value;
            let unseen = if place == NONE { " (which no read holds)" } else { "" };
            let earlier = store.writes(from).find(|(written, first)| {
                let position = of(*written, *first).position;
                kind & WW != 0 && *written == key && position != NONE && position < place
            });
            if let Some((_, first)) = earlier {
                let first = &of(key, first).value;
                return Some((
                    key,
                    format!("B appended {value}{unseen} to {} after A appended {first}", name(key)),
                ));
            }
            let read = store
                .reads(from)
                .find(|(read, length)| kind & RW != 0 && *read == key && *length <= place);
            if read.is_some() {
                return Some((
                    key,
                    format!("A read {} without {value}{unseen}, which B appended", name(key)),
                ));
            }
        }
        None
    }
}

/// A list as a message shows it.
fn shortened(list: &[Value]) -> String {
    let shown = &list[list.len().saturating_sub(8)..];
    let names: Vec<String> = shown.iter().map(plain).collect();
    let more = if shown.len() < list.len() { "... " } else { "" };
    format!("[{more}{}]", names.join(" "))
}
