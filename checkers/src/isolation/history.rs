//! What is kept of the transactions: a row each, a micro-operation in 8 bytes, and what became of every element.
//!
//! Lists that were read are not kept: of each key only the longest, of each read only its length.

use rustc_hash::FxHashMap;
use tribunal_history::{Operation, Outcome, Process, Stamp, Value};

/// The number of nothing.
pub(super) const NONE: u32 = u32::MAX;
/// The writer of an element that two transactions wrote.
pub(super) const UNKNOWN: u32 = u32::MAX - 1;

/// A transaction without its micro-operations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    pub(super) process: u64,
    pub(super) call: Stamp,
    pub(super) end: Option<Stamp>,
    pub(super) outcome: Outcome,
    /// Its first micro-operation.
    start: u32,
}

impl Transaction {
    /// When it was called, and when it had surely taken effect, as indices.
    pub(super) fn times(&self) -> (u64, u64) {
        let end = self.end.filter(|_| self.outcome == Outcome::Ok);
        (self.call.index, end.map_or(u64::MAX, |end| end.index))
    }
}

/// What a micro-operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Reads what others wrote.
    Read,
    /// Reads again, or what the transaction wrote itself.
    ReadOwn,
    /// Writes or appends.
    Write,
}

/// A micro-operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Micro {
    /// Key and kind.
    key: u32,
    /// An element's number; of a read of a list its length, or [`NONE`] if it fits with no other.
    pub(super) what: u32,
}

impl Micro {
    pub(super) fn new(kind: Kind, key: u32, what: u32) -> Self {
        Self { key: key << 2 | kind as u32, what }
    }

    pub(super) fn key(self) -> u32 {
        self.key >> 2
    }

    pub(super) fn kind(self) -> Kind {
        match self.key & 3 {
            0 => Kind::Read,
            1 => Kind::ReadOwn,
            _ => Kind::Write,
        }
    }
}

/// A value of a key.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) value: Value,
    /// The transaction that wrote it, [`NONE`] or [`UNKNOWN`].
    pub(super) writer: u32,
    /// Of lists: its place in the longest read. Of registers: [`NONE`] until it was read.
    pub(super) position: u32,
    /// Whether its writer wrote the key again.
    pub(super) replaced: bool,
}

/// A key and its elements.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: Value,
    numbers: FxHashMap<Value, u32>,
    pub(super) elements: Vec<Element>,
    /// Lists: the elements of the longest read.
    pub(super) order: Vec<u32>,
    /// Lists: the longest read itself, and which transaction made it.
    pub(super) longest: Vec<Value>,
    pub(super) longest_by: u32,
    /// Whether nothing may be inferred from this key: elements written twice, or reads that contradict each other.
    pub(super) void: bool,
    /// Within the transaction that is being taken in: its number, its last read, and what it wrote since.
    pub(super) in_transaction: u32,
    pub(super) last_read: u32,
    pub(super) own: Vec<u32>,
    /// What it wrote last, also before its last read; [`NONE`] for nothing.
    pub(super) last_own: u32,
}

impl Key {
    /// The number of a value, new if it is.
    pub(super) fn element(&mut self, value: &Value) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = self.elements.len() as u32;
        self.numbers.insert(value.clone(), number);
        let value = value.clone();
        self.elements.push(Element { value, writer: NONE, position: NONE, replaced: false });
        number
    }

    /// Forgets what an earlier transaction left.
    pub(super) fn enter(&mut self, transaction: u32) {
        if self.in_transaction != transaction {
            self.in_transaction = transaction;
            self.last_read = NONE;
            self.own.clear();
            self.last_own = NONE;
        }
    }
}

/// Transactions and keys.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) transactions: Vec<Transaction>,
    pub(super) micros: Vec<Micro>,
    numbers: FxHashMap<Value, u32>,
    pub(super) keys: Vec<Key>,
    /// Transactions of each outcome.
    pub(super) crashed: u64,
    pub(super) failed: u64,
    /// Why no verdict of valid can be given, if so.
    pub(super) doubt: Option<String>,
}

/// A micro-operation as the history tells it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told<'a> {
    Read(&'a Value, &'a Value),
    Write(&'a Value, &'a Value),
}

impl Store {
    /// The number of a key, new if it is.
    pub(super) fn key(&mut self, name: &Value) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.keys.len() as u32;
        assert!(number < 1 << 30, "more keys than can be numbered");
        self.numbers.insert(name.clone(), number);
        self.keys.push(Key {
            name: name.clone(),
            numbers: FxHashMap::default(),
            elements: Vec::new(),
            order: Vec::new(),
            longest: Vec::new(),
            longest_by: NONE,
            void: false,
            in_transaction: NONE,
            last_read: NONE,
            own: Vec::new(),
            last_own: NONE,
        });
        number
    }

    /// Opens a transaction; its micro-operations follow.
    pub(super) fn open(&mut self, operation: &Operation) -> u32 {
        let number = self.transactions.len() as u32;
        assert!(number < 1 << 30, "more transactions than can be numbered");
        match operation.outcome {
            Outcome::Ok => {}
            Outcome::Info => self.crashed += 1,
            Outcome::Fail => self.failed += 1,
        }
        self.transactions.push(Transaction {
            process: operation.process.0,
            call: operation.call,
            end: operation.end,
            outcome: operation.outcome,
            start: u32::try_from(self.micros.len()).unwrap_or(NONE),
        });
        number
    }

    /// Names the writer of an element. A failed transaction does not write, so another may write the same.
    pub(super) fn write(&mut self, key: u32, element: u32, writer: u32) {
        let failed = |number: u32| {
            number < UNKNOWN && self.transactions[number as usize].outcome == Outcome::Fail
        };
        let known = self.keys[key as usize].elements[element as usize].writer;
        if known != NONE && failed(writer) {
            return;
        }
        let fresh = known == NONE || (known != writer && failed(known));
        let key = &mut self.keys[key as usize];
        if fresh {
            let element = &mut key.elements[element as usize];
            element.writer = writer;
            // What the failed transaction before it wrote after says nothing of this one.
            element.replaced = false;
            return;
        }
        key.elements[element as usize].writer = UNKNOWN;
        key.void = true;
        let value = &key.elements[element as usize].value;
        let name = &key.name;
        self.doubt.get_or_insert_with(|| {
            format!(
                "{value} was written to {name} twice: nobody can tell which of the two was read"
            )
        });
    }

    /// The micro-operations of a transaction.
    pub(super) fn of(&self, transaction: u32) -> &[Micro] {
        let end = match self.transactions.get(transaction as usize + 1) {
            Some(next) => next.start as usize,
            None => self.micros.len(),
        };
        &self.micros[self.transactions[transaction as usize].start as usize..end]
    }

    /// What a transaction reads from others: key and what.
    pub(super) fn reads(&self, transaction: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let reads = self.of(transaction).iter().filter(|micro| micro.kind() == Kind::Read);
        reads.map(|micro| (micro.key(), micro.what)).filter(|(_, what)| *what != NONE)
    }

    /// What a transaction writes: key and element.
    pub(super) fn writes(&self, transaction: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let writes = self.of(transaction).iter().filter(|micro| micro.kind() == Kind::Write);
        writes.map(|micro| (micro.key(), micro.what))
    }

    /// Whether a transaction took effect: acknowledged, or of unknown fate and seen.
    pub(super) fn committed(&self) -> Vec<bool> {
        let committed = |number: usize| match self.transactions[number].outcome {
            Outcome::Ok => true,
            Outcome::Fail => false,
            Outcome::Info => self.writes(number as u32).any(|(key, element)| {
                let element = &self.keys[key as usize].elements[element as usize];
                element.position != NONE && element.writer == number as u32
            }),
        };
        (0..self.transactions.len()).map(committed).collect()
    }

    /// About what all this occupies.
    pub(super) fn bytes(&self) -> usize {
        let keys = self.keys.iter().map(|key| {
            let elements = key.elements.capacity() * size_of::<Element>();
            let table = key.numbers.capacity() * (size_of::<(Value, u32)>() + 1);
            let order = key.order.capacity() * 4 + key.longest.capacity() * size_of::<Value>();
            size_of::<Key>() + elements + table + order
        });
        keys.sum::<usize>()
            + self.transactions.capacity() * size_of::<Transaction>()
            + self.micros.capacity() * size_of::<Micro>()
    }

    /// A transaction as an operation again.
    pub(super) fn operation(&self, transaction: u32, micros: impl Fn(Micro) -> Shown) -> Operation {
        let Transaction { process, call, end, outcome, .. } =
            self.transactions[transaction as usize];
        let row = |name: &str, key: u32, value: Value| {
            Value::List(vec![name.into(), self.keys[key as usize].name.clone(), value])
        };
        let (mut input, mut output) = (Vec::new(), Vec::new());
        for micro in self.of(transaction) {
            let Shown { name, argument, result } = micros(*micro);
            input.push(row(name, micro.key(), argument));
            output.push(row(name, micro.key(), result));
        }
        let output = if outcome == Outcome::Ok { Value::List(output) } else { Value::Nil };
        Operation {
            process: Process(process),
            f: "txn".into(),
            input: Value::List(input),
            output,
            outcome,
            call,
            end,
            error: None,
            node: None,
            answered_by: None,
            scheduled: None,
            attempts: 1,
            phase: None,
        }
    }
}

/// A micro-operation as a witness shows it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) name: &'static str,
    pub(super) argument: Value,
    pub(super) result: Value,
}

/// The micro-operations of a transaction, from its result if it succeeded.
///
/// # Errors
/// What is wrong with it.
pub(super) fn told<'a>(operation: &'a Operation, write: &str) -> Result<Vec<Told<'a>>, String> {
    let not_list = || format!("{} is no list of micro-operations", operation.input);
    let input = operation.input.as_list().ok_or_else(not_list)?;
    let mut output = input;
    if operation.outcome == Outcome::Ok {
        output = operation.output.as_list().ok_or("it succeeded without a result")?;
        if input.len() != output.len() {
            return Err("its result has another number of micro-operations".to_owned());
        }
    }
    let mut told = Vec::with_capacity(output.len());
    for (asked, done) in input.iter().zip(output) {
        let Some([f, key, value]) = done.as_list() else {
            return Err(format!("{done} is not [function, key, value]"));
        };
        let same = asked.as_list().is_some_and(|asked| match asked {
            [asked_f, asked_key, ..] => asked_f == f && asked_key == key,
            _ => false,
        });
        if !same {
            return Err(format!("{asked} was answered by {done}"));
        }
        match f.as_text() {
            Some("r" | "read") => told.push(Told::Read(key, value)),
            Some(name) if name == write || (write == "w" && name == "write") => {
                let argument = asked.as_list().and_then(|asked| asked.get(2)).unwrap_or(value);
                told.push(Told::Write(key, written(operation.outcome, argument, value)?));
            }
            _ => return Err(format!("{done} is neither a read nor `{write}`")),
        }
    }
    Ok(told)
}

/// What a write wrote: its argument, or what the answer names where the call had left it open.
fn written<'a>(
    outcome: Outcome,
    argument: &'a Value,
    answer: &'a Value,
) -> Result<&'a Value, String> {
    match (argument.is_nil(), answer.is_nil()) {
        (true, true) if outcome == Outcome::Info => {
            Err("it is of unknown fate and does not say what it wrote".to_owned())
        }
        (true, _) => Ok(answer),
        (false, false) if argument != answer => {
            Err(format!("it was to write {argument}, but answers that it wrote {answer}"))
        }
        (false, _) => Ok(argument),
    }
}
