//! History in, verdict out.
//!
//! * [`checker`]: what a checker is; it folds operations as they complete and keeps only the summary that it needs.
//! * [`verdict`]: what it answers: valid, invalid with a witness, or unknown with the reason.
//! * [`notice`], [`windows`]: the faults of a run, as its history is told of them and tells them.
//! * [`set`], [`counter`], [`append`]: collections, each judged by what became of what was put in.
//! * [`bank`], [`long_fork`], [`total_queue`], [`unique_ids`], [`counter_bounds`]: Jepsen's other workloads.
//! * [`isolation`]: transactions on lists and registers, held to an isolation level as by Elle.
//! * [`weak`]: read committed, read atomic and causal consistency of transactions, as by AWDIT.
//! * [`severity`]: how bad a violation is; [`timeline`]: a witness as a picture.
//! * [`exits`], [`availability`], [`recovery`]: what any system is held to; [`coverage`], [`statistics`]: what the run tested.
//! * [`latency`], [`fairness`], [`errors`]: figures; [`returns`]: whether a balancer comes back to a node that recovered.
//! * [`models`], [`linearizability`]: sequential specifications, and the engines that hold a history against one.
//! * [`registry`]: the models by name, and which one a history's content tells; [`registers`],
//!   [`collections_form`]: with keys or without.
//!
//! Absent: anything that knows how a history came about. Processes, nodes and simulators look alike from here.

pub mod append;
pub mod availability;
mod availability_graph;
mod availability_windows;
pub mod bank;
pub mod checker;
pub mod collections_form;
pub mod counter;
pub mod counter_bounds;
pub mod coverage;
pub mod errors;
pub mod exits;
pub mod fairness;
pub mod fairness_measures;
pub mod isolation;
mod keyed;
pub mod latency;
pub mod linearizability;
pub mod long_fork;
pub mod models;
pub mod notice;
pub mod recovery;
pub mod registers;
pub mod registry;
pub mod returns;
pub mod set;
pub mod severity;
pub mod statistics;
#[cfg(test)]
mod testing;
pub mod timeline;
pub mod total_queue;
pub mod unique_ids;
pub mod verdict;
pub mod weak;
pub mod windows;

pub use checker::{Checker, Judges, check_all};
pub use verdict::{Anomaly, Validity, Verdict, worst};
pub use windows::{FaultOutcome, Window, Windows};
