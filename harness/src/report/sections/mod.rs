//! The sections of the page, one a file. Each is a function of the data; none reads a file or a clock.

pub(super) mod errors;
pub(super) mod fairness;
pub(super) mod faults;
pub(super) mod latency;
pub(super) mod limits;
pub(super) mod nodes;
pub(super) mod origin;
pub(super) mod sequence;
pub(super) mod statistics;
pub(super) mod throughput;
pub(super) mod verdict;
pub(super) mod witness;
