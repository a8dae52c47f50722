//! History in, verdict out.
//!
//! * [`checker`]: what a checker is; it folds operations as they complete and keeps only the summary that it needs.
//! * [`verdict`]: what it answers: valid, invalid with a witness, or unknown with the reason.
//! * [`windows`]: the faults of a run, as its history tells them.
//! * [`models`], [`linearizability`]: sequential specifications, and the engines that hold a history against one.
//!
//! Absent: anything that knows how a history came about. Processes, nodes and simulators look alike from here.

pub mod append;
pub mod checker;
pub mod counter;
pub mod coverage;
pub mod errors;
pub mod exits;
mod keyed;
pub mod latency;
pub mod linearizability;
pub mod models;
pub mod set;
pub mod statistics;
#[cfg(test)]
mod testing;
pub mod verdict;
pub mod windows;

pub use checker::{Checker, check_all};
pub use verdict::{Anomaly, Validity, Verdict, worst};
pub use windows::{FaultOutcome, Window, Windows};
