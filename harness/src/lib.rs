//! The program: puts a replicated system on trial.
//!
//! The data flows one way: [`plan`] -> [`cluster`] and [`faults`] -> [`clients`] -> history ([`recorder`]) -> checkers
//! ([`judge`]) -> [`report`]. [`run`] is that pipeline from top to bottom. Everything right of the history reads the
//! files of the run's folder, so an old run can be judged and reported again. Histories of other projects enter there
//! too, file by file (`judge_file`). [`simulate`] puts simulated executions in the place of the first three.

pub mod cli;
pub mod clients;
pub mod clock;
pub mod cluster;
pub mod environment;
pub mod exit;
pub mod faults;
pub mod folder;
mod history_file;
pub mod interrupt;
pub mod judge;
mod judge_file;
pub mod live;
pub mod load;
pub mod mutants;
pub mod node_logs;
pub mod plan;
pub mod progress;
pub mod recorder;
pub mod report;
pub mod run;
pub mod sample;
pub mod sampler;
pub mod simulate;
pub mod systems;
