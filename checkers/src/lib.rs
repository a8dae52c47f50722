//! History in, verdict out.
//!
//! * [`checker`]: what a checker is; it folds operations as they complete and keeps only the summary that it needs.
//! * [`verdict`]: what it answers: valid, invalid with a witness, or unknown with the reason.
//! * [`windows`]: the faults of a run, as its history tells them.
//! * [`set`], [`counter`], [`append`]: collections, each judged by what became of what was put in.
//! * [`exits`], [`availability`], [`recovery`]: what any system is held to; [`coverage`], [`statistics`]: what the run tested.
//! * [`latency`], [`fairness`], [`errors`]: figures.
//! * [`models`], [`linearizability`]: sequential specifications, and the engines that hold a history against one.
//!
//! Absent: anything that knows how a history came about. Processes, nodes and simulators look alike from here.

pub mod append;
pub mod availability;
mod availability_graph;
mod availability_windows;
pub mod checker;
pub mod counter;
pub mod coverage;
pub mod errors;
pub mod exits;
pub mod fairness;
pub mod fairness_measures;
mod keyed;
pub mod latency;
pub mod linearizability;
pub mod models;
pub mod recovery;
pub mod set;
pub mod severity;
pub mod statistics;
#[cfg(test)]
mod testing;
pub mod timeline;
pub mod verdict;
pub mod windows;

pub use checker::{Checker, check_all};
pub use verdict::{Anomaly, Validity, Verdict, worst};
pub use windows::{FaultOutcome, Window, Windows};
