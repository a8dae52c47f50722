//! A deterministic simulator: the cores, host, store, client state machine, balancers, workloads and schedules of real
//! runs, on one line of virtual time. Simulated are the event loop, the wire, the disk under the log, and clocks.
//!
//! * [`plan`]: all that an execution depends on, drawn from a seed.
//! * [`execution`]: runs a plan and says what came of it.
//! * [`invariants`]: white-box properties, one a file; they read [`facts`].
//! * `world`: the loop; `node`, `clients`, `network`, `disk`, `clock`, `nemesis`: what it joins.
//! * [`diagram`]: an execution as a message sequence diagram.
//! * [`calm`]: what one operation costs without faults, counted.
//! * [`shrink`]: finds a smaller plan that still fails.
//! * [`trace`], [`coverage`](execution::Outcome::states): what a person reads afterwards.
//! * [`translate`]: between a workload's requests and our nodes' operations; used by the harness, too.
//!
//! An execution is a function of its plan: the same bytes of history on every machine.
//!
//! Absent on purpose: threads (seeds are run in parallel by the harness), real time, files.

mod asked;
pub mod calm;
mod clients;
mod clock;
mod coverage;
pub mod diagram;
mod disk;
pub mod execution;
pub mod facts;
mod hash;
pub mod invariants;
mod nemesis;
mod network;
mod node;
pub mod plan;
mod queue;
mod random;
mod recorder;
pub mod shrink;
mod standing;
pub mod trace;
pub mod translate;
mod world;

pub use execution::{Options, Outcome, PlanError, run};
pub use plan::{Asked, Plan};
pub use standing::Standing;
