//! The registry of models: what `tribunal check --model` takes, and how the model follows from a history's content.
//!
//! To add one: a line in [`MODELS`]. Where its histories can be told by their functions and values, a case in [`infer`].
//! Parameters are written as everywhere, `name:key=value` (`tribunal-spec`).
//!
//! Absent: reading files, and the workloads of `tribunal run`, which name their checkers themselves.

mod inference;

pub use inference::{NotInferred, SAMPLE_EVENTS, infer};

use crate::append::AppendChecker;
use crate::bank::Bank;
use crate::checker::Checker;
use crate::collections_form::Collections;
use crate::counter_bounds::CounterBounds;
use crate::isolation::{self, ListAppend, RwRegister};
use crate::linearizability::collections::{
    Counter, FifoQueue, Mutex, OwnedMutex, Set, Stack, UnorderedQueue,
};
use crate::linearizability::{Limits, Modelled};
use crate::long_fork::LongFork;
use crate::models;
use crate::registers::{Form, Registers};
use crate::set::SetChecker;
use crate::severity::Severity;
use crate::total_queue::TotalQueue;
use crate::unique_ids::UniqueIds;
use crate::weak::{Level, WeakIsolation};
use tribunal_spec::{Entry, Params, Spec, SpecError};

/// How the checker of a model is made, with limits for what searches.
#[derive(Clone, Copy, Debug)]
pub enum Build {
    /// A model without parameters.
    Plain(Plain),
    /// One that reads its parameters.
    With(With),
}

/// Makes a checker.
pub type Plain = fn(Limits) -> Box<dyn Checker>;

/// Makes a checker from parameters, of which it takes those that it knows.
pub type With = fn(&mut Params<'_>, Limits) -> Result<Box<dyn Checker>, SpecError>;

/// A line of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// What `tribunal list` prints.
    pub entry: Entry,
    /// Makes its checker.
    pub build: Build,
}

/// Every model, in the order in which they are printed.
pub const MODELS: &[Registered] = &[
    with(
        "register",
        "A linearizable register a key: read, write, cas; nil at first",
        &[KEYED],
        registers,
    ),
    with("cas-register", "The same as register", &[KEYED], registers),
    plain("mutex", "A lock: acquire, release; whoever holds it", |limits| {
        Box::new(Mutex::new(limits))
    }),
    plain("owner-mutex", "A lock that only the process that holds it releases", |limits| {
        Box::new(OwnedMutex::new(limits))
    }),
    plain("multi-register", "Registers read and written several at a time", |limits| {
        Box::new(Modelled::new("multi-register", models::MultiRegister, limits))
    }),
    plain("kv", "A store of texts by key: get, put, append; empty at first", |limits| {
        Box::new(Modelled::new("kv", models::Kv, limits).by_key())
    }),
    plain(
        "porcupine-etcd",
        "A register in whose histories a failed cas asserts a mismatch",
        |limits| Box::new(Modelled::new("porcupine-etcd", models::PorcupineEtcd, limits)),
    ),
    plain("fifo-queue", "A linearizable queue: enqueue, dequeue in the same order", |limits| {
        Box::new(FifoQueue::new(limits))
    }),
    plain("unordered-queue", "A linearizable bag: enqueue, dequeue in any order", |limits| {
        Box::new(UnorderedQueue::new(limits))
    }),
    plain("stack", "A linearizable stack: push, pop of the newest", |limits| {
        Box::new(Stack::new(limits))
    }),
    with(
        "list-append",
        "Transactions on lists: append, and reads of all of a list; judged as by Elle",
        &[LEVEL],
        |params, _| Ok(Box::new(ListAppend::new(isolation(params)?))),
    ),
    with(
        "rw-register",
        "Transactions on registers: writes of unique values and reads; judged as by Elle",
        &[LEVEL],
        |params, _| Ok(Box::new(RwRegister::new(isolation(params)?))),
    ),
    plain(
        "read-committed",
        "Transactions on registers: read committed, as Biswas and Enea define it (more than Adya)",
        |_| Box::new(WeakIsolation::new(Level::ReadCommitted)),
    ),
    plain("read-atomic", "Transactions on registers: seen whole or not at all", |_| {
        Box::new(WeakIsolation::new(Level::ReadAtomic))
    }),
    plain("causal", "Transactions on registers: what is seen has all of its causes", |_| {
        Box::new(WeakIsolation::new(Level::Causal))
    }),
    with(
        "long-fork",
        "Single writes and reads of groups of keys: all see the writes in one order",
        &[("group=0", "how many keys a read has; 0 for as many as the first read")],
        long_fork,
    ),
    plain("bank", "Transfers between accounts whose total stays the same", |_| {
        Box::new(Bank::new())
    }),
    plain("total-queue", "A queue of which only loss and duplication are judged", |_| {
        Box::new(TotalQueue::new())
    }),
    plain("unique-ids", "Generated numbers, none of them twice", |_| Box::new(UniqueIds::new())),
    plain(
        "set",
        "A linearizable set a key that only grows: add, and reads of all of it",
        |limits| Box::new(Collections::around(Box::new(Set::new(limits)))),
    ),
    plain("set-full", "A set a key that only grows: what became of each element added", |_| {
        Box::new(Collections::around(Box::new(SetChecker::new())))
    }),
    plain(
        "counter-bounds",
        "A counter a key: reads between what must and what may have been added",
        |_| Box::new(CounterBounds::new()),
    ),
    plain("counter", "A linearizable counter a key: add, read", |limits| {
        Box::new(Counter::new(limits))
    }),
    plain("append", "A list a key that only grows: append, and reads of all of it", |_| {
        Box::new(Collections::around(Box::new(AppendChecker::new())))
    }),
];

/// Builds the checker of the model that `spec` names.
///
/// # Errors
/// An unknown name or parameter, or a value that does not fit.
pub fn model(spec: &Spec, limits: Limits) -> Result<Box<dyn Checker>, SpecError> {
    let found = tribunal_spec::find("model", &spec.name, MODELS, |item| &item.entry)?;
    let mut params = spec.params();
    let checker = match found.build {
        Build::Plain(build) => build(limits),
        Build::With(build) => build(&mut params, limits)?,
    };
    params.finish()?;
    Ok(checker)
}

/// What measures how bad a violation of the model is; see [`Severity`]. `None` where nothing does.
///
/// # Errors
/// An unknown parameter, or a value that does not fit.
pub fn how_bad(spec: &Spec) -> Result<Option<Box<dyn Checker>>, SpecError> {
    if !["register", "cas-register"].contains(&&*spec.name) {
        return Ok(None);
    }
    let mut params = spec.params();
    let form = form(&mut params)?;
    params.finish()?;
    Ok(Some(Box::new(Registers::around(Box::new(Severity::new()), form))))
}

/// A line without parameters.
const fn plain(name: &'static str, summary: &'static str, build: Plain) -> Registered {
    Registered { entry: Entry { name, summary, params: &[] }, build: Build::Plain(build) }
}

/// A line with parameters.
const fn with(
    name: &'static str,
    summary: &'static str,
    params: &'static [(&'static str, &'static str)],
    build: With,
) -> Registered {
    Registered { entry: Entry { name, summary, params }, build: Build::With(build) }
}

const KEYED: (&str, &str) =
    ("keyed=auto", "whether values are [key, value]: yes, no, or auto as the history looks");

fn registers(params: &mut Params<'_>, limits: Limits) -> Result<Box<dyn Checker>, SpecError> {
    Ok(Box::new(Registers::new(limits, form(params)?)))
}

fn form(params: &mut Params<'_>) -> Result<Form, SpecError> {
    params.take_with("keyed", Form::Unknown, "yes, no or auto", |text| match text {
        "auto" => Some(Form::Unknown),
        "yes" => Some(Form::Keyed),
        "no" => Some(Form::Plain),
        _ => None,
    })
}

const LEVEL: (&str, &str) = (
    "level=strict-serializable",
    "the isolation level that is expected: serializable, snapshot-isolation, read-committed ...",
);

fn isolation(params: &mut Params<'_>) -> Result<isolation::Options, SpecError> {
    let names: Vec<&str> = isolation::Level::ALL.iter().map(|level| level.name()).collect();
    let expected = names.join(", ");
    let default = isolation::Level::default();
    let level = params.take_with("level", default, &expected, isolation::Level::named)?;
    Ok(isolation::Options { level })
}

fn long_fork(params: &mut Params<'_>, _limits: Limits) -> Result<Box<dyn Checker>, SpecError> {
    let keys: usize = params.take("group", 0, "a number of keys")?;
    let checker = LongFork::new();
    Ok(Box::new(if keys == 0 { checker } else { checker.group_size(keys) }))
}
