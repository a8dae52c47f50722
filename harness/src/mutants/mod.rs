//! Does the harness catch known bugs, and how fast? And does it leave alone what is correct?
//!
//! * [`catalogue`]: the mutants of the protocol, of clients and of balancers, as one list.
//! * [`simulated`]: many executions in the simulator for each; [`real`]: a few runs of processes.
//! * [`measured`]: what came of them, and the figures over it.
//! * [`table`], [`page`]: the same for people and for machines.
//!
//! No mutant is helped: all are put through the same seeds, or the same plans, and so is the correct counterpart.
//!
//! Absent: any judgement of its own. What convicts is what convicts in `tribunal sim` and `tribunal run`.

pub mod catalogue;
pub mod measured;
pub mod page;
pub mod real;
pub mod simulated;
pub mod table;
