//! Transactions over registers: `[["w", key, value], ["r", key, value]]`, each value written once a key, nil at first.
//!
//! Source: Elle, section 4.2 and its `rw-register` test. What order the versions of a key came in cannot be read off them. It is
//! inferred, and only as far as the level that is judged allows:
//!
//! * nil came before every value;
//! * a transaction that reads one value and writes another replaced the former (from snapshot isolation and repeatable reads
//!   on: an anomaly that needs this rules out no weaker level);
//! * of two transactions that used different values, one after the other in real time, the former's came first. These edges
//!   count as edges of real time: they convict from strong snapshot isolation on.
//!
//! All three hold in every strictly serializable order, so a cycle refutes it. Not the reverse: versions may stay unordered,
//! and a pass proves nothing.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `G1a`, `G1b`, `dirty-update`, `internal`, `unwritten-read`, `lost-update` | as in [`super::list_append`] |
//! | `cyclic-versions` | values of a key, each of which came before the next, and the last before the first |
//! | `G0` ... `G2-item-realtime` | cycles, see `cycles` |
//!
//! O(operations x clients); about 60 bytes a transaction, 8 a micro-operation, 90 a value.

use super::Options;
use super::findings::{Findings, Model, verdict};
use super::graph::{ALL, Edge, Graph, REAL_TIME, RW, WR, WW};
use super::history::{Kind, Micro, NONE, Shown, Store, Told, UNKNOWN, told};
use super::order::{Edges, before};
use crate::checker::Checker;
use crate::keyed::plain;
use crate::verdict::Verdict;
use tribunal_history::{Operation, Outcome, Value};

/// The checker.
#[derive(Debug, Default)]
pub struct RwRegister {
    options: Options,
    registers: Registers,
    findings: Findings,
}

/// What is known. The element 0 of each key is nil, which nobody wrote.
#[derive(Debug, Default)]
struct Registers {
    store: Store,
}

const NAME: &str = "rw-register";
const INITIAL: u32 = 0;

impl RwRegister {
    /// Nothing seen.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    fn key(&mut self, name: &Value) -> u32 {
        let key = self.registers.store.key(name);
        self.registers.store.keys[key as usize].element(&Value::Nil);
        key
    }

    fn write(&mut self, transaction: u32, key: u32, value: &Value) {
        let register = &mut self.registers.store.keys[key as usize];
        register.enter(transaction);
        let number = register.element(value);
        if register.last_own != NONE {
            let before = &mut register.elements[register.last_own as usize];
            before.replaced |= before.writer == transaction;
        }
        let read = register.own.is_empty() && register.last_read == number;
        register.own.push(number);
        register.last_own = number;
        register.last_read = number;
        let store = &mut self.registers.store;
        store.micros.push(Micro::new(Kind::Write, key, number));
        if number == INITIAL {
            store.keys[key as usize].void = true;
            store
                .doubt
                .get_or_insert_with(|| "nil was written: it is the initial value".to_owned());
            return;
        }
        store.write(key, number, transaction);
        if read {
            self.findings.suspect("internal", transaction, (key, number), |value, _| {
                format!("T1 read {value} before it wrote it")
            });
        }
    }

    fn read(&mut self, transaction: u32, key: u32, value: &Value) {
        let register = &mut self.registers.store.keys[key as usize];
        register.enter(transaction);
        let number = register.element(value);
        register.elements[number as usize].position = 0;
        let last = register.last_read;
        let kind = if last == NONE { Kind::Read } else { Kind::ReadOwn };
        if last == NONE {
            register.last_read = number;
        } else if last != number {
            let (name, expected) = (plain(&register.name), &register.elements[last as usize].value);
            self.findings.add("internal", &[transaction], Some(key), || {
                format!(
                    "T1 read {name} as {value}, although it had just read or written {expected}"
                )
            });
        }
        self.registers.store.micros.push(Micro::new(kind, key, number));
    }

    fn take(&mut self, operation: &Operation) -> Result<(), String> {
        let told = told(operation, "w")?;
        let transaction = self.registers.store.open(operation);
        for micro in told {
            match micro {
                Told::Write(name, value) => {
                    let key = self.key(name);
                    self.write(transaction, key, value);
                }
                Told::Read(name, value) if operation.outcome == Outcome::Ok => {
                    let key = self.key(name);
                    self.read(transaction, key, value);
                }
                Told::Read(..) => {}
            }
        }
        Ok(())
    }
}

impl Checker for RwRegister {
    fn name(&self) -> &'static str {
        NAME
    }

    fn operation(&mut self, operation: &Operation) {
        if let Err(why) = self.take(operation) {
            self.findings.refuse(operation, &why);
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        let Self { options, registers, mut findings } = *self;
        findings.settle(&registers.store);
        let committed = registers.store.committed();
        registers.values(&committed, &mut findings);
        let versions = Versions::of(&registers.store, &committed);
        versions.cyclic(&registers.store, &mut findings);
        let mut edges = Edges::new(committed.len());
        registers.dependencies(&committed, &versions, &mut edges, &mut findings);
        edges.time(&registers.store.transactions, &committed);
        verdict(NAME, options.level, &registers, edges.graph(), findings, false)
    }
}

impl Registers {
    /// Whether every value read was written by a transaction that took effect, and was its last.
    fn values(&self, committed: &[bool], findings: &mut Findings) {
        for reader in 0..committed.len() as u32 {
            let micros = self.store.of(reader).iter().filter(|micro| micro.kind() != Kind::Write);
            for micro in micros {
                let key = &self.store.keys[micro.key() as usize];
                let (element, name) = (&key.elements[micro.what as usize], || plain(&key.name));
                let (value, writer) = (&element.value, element.writer);
                if micro.what == INITIAL || writer == UNKNOWN || writer == reader {
                    continue;
                }
                if writer == NONE {
                    findings.add("unwritten-read", &[reader], Some(micro.key()), || {
                        format!("T1 read {} as {value}, which nobody wrote", name())
                    });
                } else if !committed[writer as usize] {
                    findings.add("G1a", &[writer, reader], Some(micro.key()), || {
                        format!("T1 failed to write {value} to {}, but T2 read it", name())
                    });
                    if self.store.writes(reader).any(|(written, _)| written == micro.key()) {
                        findings.add("dirty-update", &[writer, reader], Some(micro.key()), || {
                            format!(
                                "T2 read {0} as {value} from T1, which failed, and wrote {0}",
                                name()
                            )
                        });
                    }
                } else if element.replaced {
                    findings.add("G1b", &[writer, reader], Some(micro.key()), || {
                        format!(
                            "T2 read {0} as {value}, but T1 wrote {0} again after {value}",
                            name()
                        )
                    });
                }
            }
        }
    }

    fn dependencies(
        &self,
        committed: &[bool],
        versions: &Versions,
        edges: &mut Edges,
        findings: &mut Findings,
    ) {
        let mut readers: Vec<(u32, u32)> = Vec::new();
        for reader in 0..committed.len() as u32 {
            for (key, value) in self.store.reads(reader) {
                readers.push((versions.number(key, value), reader));
                let writer = self.store.keys[key as usize].elements[value as usize].writer;
                if writer < UNKNOWN && committed[writer as usize] {
                    edges.add(writer, reader, WR);
                }
            }
        }
        readers.sort_unstable();
        let mut rest = &readers[..];
        let mut replaced = &versions.edges[..];
        for (key, register) in (0..).zip(&self.store.keys) {
            for (value, element) in (0..).zip(&register.elements) {
                let version = versions.number(key, value);
                let own = split(&mut rest, |(of, _)| *of == version);
                let after = split(&mut replaced, |edge| edge.from == version);
                if register.void {
                    continue;
                }
                let own: Vec<u32> = own.iter().map(|(_, reader)| *reader).collect();
                self.lost_updates(key, value, &own, findings);
                let writer = Some(element.writer)
                    .filter(|writer| *writer < UNKNOWN && committed[*writer as usize]);
                for rests in [0, REAL_TIME] {
                    let of = after.iter().filter(|edge| edge.kind & REAL_TIME == rests);
                    let mut writers: Vec<u32> =
                        of.map(|edge| versions.writers[edge.to as usize]).collect();
                    writers.sort_unstable();
                    writers.dedup();
                    edges.join(&before(writer, &own, rests), &writers);
                }
            }
        }
    }

    /// Transactions that read the same version of a key and wrote it.
    fn lost_updates(&self, key: u32, value: u32, readers: &[u32], findings: &mut Findings) {
        let wrote = |reader: &&u32| self.store.writes(**reader).any(|(written, _)| written == key);
        let mut both = readers.iter().filter(wrote);
        let (Some(first), Some(second)) = (both.next(), both.next()) else { return };
        let register = &self.store.keys[key as usize];
        let (name, value) = (plain(&register.name), &register.elements[value as usize].value);
        findings.add("lost-update", &[*first, *second], Some(key), || {
            format!(
                "T1 and T2 both read {name} as {value} and then wrote it, neither seeing the other"
            )
        });
    }
}

/// Takes the front of a slice as long as `of` holds.
fn split<'a, T>(rest: &mut &'a [T], of: impl Fn(&T) -> bool) -> &'a [T] {
    let length = rest.iter().take_while(|one| of(one)).count();
    let (front, back) = rest.split_at(length);
    *rest = back;
    front
}

/// The versions of all keys, numbered through, and which came before which.
struct Versions {
    /// The number of each key's nil.
    base: Vec<u32>,
    /// Who installed each version; [`NONE`] if nobody, or not in the end.
    writers: Vec<u32>,
    /// Sorted by source; the kind says whether an edge rests on real time.
    edges: Vec<Edge>,
}

impl Versions {
    fn of(store: &Store, committed: &[bool]) -> Self {
        let (mut base, mut writers) = (Vec::new(), Vec::new());
        for key in &store.keys {
            base.push(writers.len() as u32);
            writers.extend(key.elements.iter().map(|element| {
                let installed = element.writer < UNKNOWN
                    && committed[element.writer as usize]
                    && !element.replaced;
                if installed { element.writer } else { NONE }
            }));
        }
        let mut versions = Self { base, writers, edges: Vec::new() };
        versions.within(store, committed);
        versions.in_real_time(store, committed);
        versions.edges.sort_unstable_by_key(|edge| (edge.from, edge.to, edge.kind));
        versions.edges.dedup();
        versions
    }

    fn number(&self, key: u32, element: u32) -> u32 {
        self.base[key as usize] + element
    }

    fn add(&mut self, from: u32, to: u32, kind: u8) {
        if from != to && self.writers[to as usize] != NONE {
            self.edges.push(Edge { from, to, kind });
        }
    }

    /// Nil first, and writes after what their transaction read.
    fn within(&mut self, store: &Store, committed: &[bool]) {
        for (key, register) in (0..).zip(&store.keys) {
            for value in 1..register.elements.len() as u32 {
                self.add(self.number(key, INITIAL), self.number(key, value), WW);
            }
        }
        for transaction in (0..).take(committed.len()).filter(|nth| committed[*nth as usize]) {
            for (key, read) in store.reads(transaction) {
                for (_, value) in store.writes(transaction).filter(|(written, _)| *written == key) {
                    self.add(self.number(key, read), self.number(key, value), WW);
                }
            }
        }
    }

    /// Of two uses of a key, one after the other, the former's version came first: the edges from those uses that no
    /// other lies behind, which are at most as many as there are clients.
    fn in_real_time(&mut self, store: &Store, committed: &[bool]) {
        // Key, moment, whether it is an end, version, transaction.
        let mut uses: Vec<(u32, u64, bool, u32, u32)> = Vec::new();
        for (number, transaction) in (0..).zip(&store.transactions) {
            if !committed[number as usize] {
                continue;
            }
            for (key, element) in store.reads(number).chain(store.writes(number)) {
                let version = self.number(key, element);
                uses.push((key, transaction.call.index, false, version, number));
                if let (Outcome::Ok, Some(end)) = (transaction.outcome, transaction.end) {
                    uses.push((key, end.index, true, version, number));
                }
            }
        }
        uses.sort_unstable();
        for of_key in uses.chunk_by(|a, b| a.0 == b.0) {
            // Versions used by transactions that ended, with the moment of the end.
            let mut front: Vec<(u32, u64)> = Vec::new();
            for (_, moment, end, version, transaction) in of_key {
                if *end {
                    let call = store.transactions[*transaction as usize].call.index;
                    front.retain(|(_, ended)| *ended >= call);
                    front.push((*version, *moment));
                } else {
                    front
                        .iter()
                        .for_each(|(before, _)| self.add(*before, *version, WW | REAL_TIME));
                }
            }
        }
    }

    /// Keys whose versions are in no order.
    fn cyclic(&self, store: &Store, findings: &mut Findings) {
        let count = self.writers.len() as u32;
        let graph = Graph::new(count, count, &self.edges);
        for mut component in graph.components(ALL & !REAL_TIME) {
            component.sort_unstable();
            let key = self.base.partition_point(|base| *base <= component[0]) as u32 - 1;
            let register = &store.keys[key as usize];
            if register.void {
                continue;
            }
            let mut writers: Vec<u32> =
                component.iter().map(|version| self.writers[*version as usize]).collect();
            writers.sort_unstable();
            writers.dedup();
            writers.truncate(5);
            findings.add("cyclic-versions", &writers, Some(key), || {
                let value = |version: &u32| {
                    register.elements[(version - self.base[key as usize]) as usize]
                        .value
                        .to_string()
                };
                let values: Vec<String> = component.iter().take(5).map(value).collect();
                format!(
                    "the values {} of {} came each before the other",
                    values.join(", "),
                    plain(&register.name)
                )
            });
        }
    }
}

impl Model for Registers {
    fn store(&self) -> &Store {
        &self.store
    }

    fn observed(&self) -> bool {
        false
    }

    fn show(&self, micro: Micro) -> Shown {
        let value =
            self.store.keys[micro.key() as usize].elements[micro.what as usize].value.clone();
        match micro.kind() {
            Kind::Write => Shown { name: "w", result: value.clone(), argument: value },
            _ => Shown { name: "r", argument: Value::Nil, result: value },
        }
    }

    fn because(&self, from: u32, to: u32, kind: u8) -> Option<(u32, String)> {
        let store = &self.store;
        let value =
            |key: u32, element: u32| &store.keys[key as usize].elements[element as usize].value;
        let name = |key: u32| plain(&store.keys[key as usize].name);
        if kind & WR != 0 {
            let (key, read) =
                store.writes(from).find(|write| store.reads(to).any(|read| read == *write))?;
            return Some((
                key,
                format!("A wrote {} to {}, which B read", value(key, read), name(key)),
            ));
        }
        let earlier: Vec<(u32, u32)> = match kind & RW {
            0 => store.writes(from).collect(),
            _ => store.reads(from).collect(),
        };
        let did = if kind & RW != 0 { "read" } else { "wrote" };
        let used = |key: u32, old: u32| store.reads(to).any(|read| read == (key, old));
        let written = |key: u32| store.writes(to).filter(move |(other, _)| *other == key).last();
        // What B read itself or what was there first tells more than the order of time.
        let best = earlier.iter().find(|(key, old)| used(*key, *old) && written(*key).is_some());
        let nil = earlier.iter().find(|(key, old)| *old == INITIAL && written(*key).is_some());
        let any = earlier.iter().find(|(key, _)| written(*key).is_some());
        let (key, old) = *best.or(nil).or(any)?;
        let (_, new) = written(key)?;
        Some((
            key,
            format!(
                "B wrote {} to {}, after the {} that A {did}",
                value(key, new),
                name(key),
                value(key, old)
            ),
        ))
    }
}
