//! The program: puts a replicated system on trial.
//!
//! The data flows one way: [`plan`] -> [`cluster`] and [`faults`] -> [`clients`] -> history ([`recorder`]) -> checkers
//! ([`judge`]) -> [`report`]. [`run`] is that pipeline from top to bottom. Everything right of the history reads the
//! files of the run's folder, so an old run can be judged and reported again.

pub mod cluster;
pub mod faults;
