//! What is asked, how fast, and of which node. Pure: no clock, thread, socket, HashMap or platform floating point.
//!
//! * [`register`], [`set`], [`counter`], [`append`]: the workloads, one a file: a generator a thread, and its judges.
//! * [`client`]: one process as a state machine: attempts, retries, and whether an operation is `ok`, `fail` or `info`;
//!   [`session`]: how it numbers its requests.
//! * [`arrival`]: when operations are meant to start, and what happens when no process is free.
//! * [`balancers`]: which node gets an operation; [`health`]: leaving a failing node and returning to it.
//! * [`properties`]: what every run is held to beside its workload.
//! * [`keys`], [`values`], [`draw`]: what generators are made of.
//! * [`mutants`]: known bugs of clients and balancers, which the harness has to catch.
//!
//! All times are nanoseconds since the start of the run, and inputs. Randomness is ChaCha, one stream a thread.
//! The same crate drives real processes and simulated ones; what a run does not repeat is only what its results tell
//! a generator, and that is an explicit input too ([`Generator::completed`]).
//!
//! # To add a workload
//! A file beside `register.rs` with
//! 1. `REGISTERED`, its line of the registry: name, summary, parameters, and the function that builds it;
//! 2. a [`Generator`] that makes [`Request`]s of the functions in their table and notes the keys that it touches;
//! 3. a [`Workload`] that makes the generators, reads every touched key in `closing` and names its checkers;
//!
//! and one line in [`WORKLOADS`]. Balancers are added in the same way; see [`balancers`].

pub mod append;
pub mod arrival;
pub mod balancers;
pub mod client;
pub mod counter;
pub mod draw;
mod growing;
pub mod health;
pub mod keys;
pub mod mutants;
mod params;
pub mod properties;
pub mod register;
pub mod session;
pub mod set;
pub mod values;

use std::borrow::Cow;
use std::collections::BTreeSet;
use tribunal_checkers::Checker;
use tribunal_history::Value;
use tribunal_spec::{Entry, Spec, SpecError};

pub use balancers::{BALANCERS, Balancer, NodeId, NodeSet, balancer};
pub use keys::Key;

/// The phase of reads after healing; see [`Workload::closing`].
pub const PHASE_FINAL: &str = "final";
/// The phase of the operations that tell whether a node serves again; see [`Workload::probe`].
pub const PHASE_PROBE: &str = "probe";

/// What a process asks. `value` stands in the history as it is.
///
/// | `f`      | `value`            | result of `ok` |
/// |----------|--------------------|----------------|
/// | `read`   | `[key, nil]`       | `[key, value]` |
/// | `write`  | `[key, value]`     | as asked       |
/// | `cas`    | `[key, [from, to]]`| as asked       |
/// | `insert` | `[key, element]`   | as asked       |
/// | `add`    | `[key, amount]`    | as asked       |
/// | `append` | `[key, element]`   | as asked       |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The function.
    pub f: Cow<'static, str>,
    /// Its arguments.
    pub value: Value,
    /// The phase, where it has a meaning for checkers.
    pub phase: Option<&'static str>,
}

impl Request {
    /// An operation on a key, of no phase.
    #[must_use]
    pub fn new(f: &'static str, key: &Key, argument: Value) -> Self {
        Self { f: f.into(), value: Value::keyed(key.value(), argument), phase: None }
    }

    /// Reads a key.
    #[must_use]
    pub fn read(key: &Key) -> Self {
        Self::new("read", key, Value::Nil)
    }

    /// The same request as part of a phase.
    #[must_use]
    pub fn in_phase(self, phase: &'static str) -> Self {
        Self { phase: Some(phase), ..self }
    }
}

/// How an operation ended, as its completion event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It took effect. The value is that of the event: see the table at [`Request`].
    Ok(Value),
    /// It surely did not take effect and never will.
    Fail {
        /// Why.
        error: Cow<'static, str>,
    },
    /// It may have taken effect, may still, or never will.
    Info {
        /// Why nothing is known.
        error: Cow<'static, str>,
    },
}

/// Operations beyond reads and writes, as what a workload needs or as what a system offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Compare-and-set.
    pub cas: bool,
    /// Lists, counters and sets.
    pub collections: bool,
    /// Several operations at once.
    pub transactions: bool,
}

/// What is asked of a system in a run, and who judges the answers.
pub trait Workload: Send + Sync {
    /// The requests of one thread, of the threads `0..threads` for which the workload was made. `seed` is the run's;
    /// each thread draws from a stream of its own.
    fn generator(&self, thread: u32, seed: u64) -> Box<dyn Generator>;

    /// After healing: reads of every key that `generators` or probes touched, in the order of the keys, in the phase
    /// [`PHASE_FINAL`]. Whoever closes the run sends each of them to several nodes.
    fn closing(&self, generators: &[Box<dyn Generator>]) -> Vec<Request>;

    /// An ordinary operation that tells whether `node` serves, in the phase [`PHASE_PROBE`]. `attempt` counts from 0,
    /// never repeats for the same node, and stays below 2^32.
    fn probe(&self, node: u32, attempt: u64) -> Request;

    /// Fresh checkers for a history of this workload.
    fn checkers(&self) -> Vec<Box<dyn Checker>>;

    /// What it asks beyond reads and writes. It leaves out what the system does not offer, where it can.
    fn needs(&self) -> Needs;
}

/// The requests of one thread, one at a time.
pub trait Generator: Send {
    /// The next request, meant to start at `now` or later. `now` never falls.
    fn next(&mut self, now: u64) -> Request;

    /// Learns how the last request ended. Requests without an end are allowed.
    fn completed(&mut self, request: &Request, completion: &Completion);

    /// Every key that was asked for so far.
    fn keys(&self) -> &BTreeSet<Key>;
}

/// Builds a workload for a number of threads and what the system offers.
pub type Build = fn(&Spec, u32, &Needs) -> Result<Box<dyn Workload>, SpecError>;

/// A line of the registry of workloads.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// What `tribunal list` prints.
    pub entry: Entry,
    /// Builds it.
    pub build: Build,
}

/// Every workload. The first is the default.
pub const WORKLOADS: &[Registered] =
    &[register::REGISTERED, set::REGISTERED, counter::REGISTERED, append::REGISTERED];

/// Builds the workload that `spec` names, for `threads` threads and a system that offers `offered`.
///
/// # Errors
/// An unknown name or parameter, a value that does not fit, or a system that does not offer what the workload needs.
pub fn workload(
    spec: &Spec,
    threads: u32,
    offered: &Needs,
) -> Result<Box<dyn Workload>, SpecError> {
    let found = tribunal_spec::find("workload", &spec.name, WORKLOADS, |item| &item.entry)?;
    (found.build)(spec, threads, offered)
}

/// Reads of all keys that `generators` touched and of the probes' key.
fn final_reads(generators: &[Box<dyn Generator>]) -> Vec<Request> {
    let mut keys: BTreeSet<Key> = generators.iter().flat_map(|each| each.keys()).copied().collect();
    keys.insert(Key::Probe);
    keys.iter().map(|key| Request::read(key).in_phase(PHASE_FINAL)).collect()
}
