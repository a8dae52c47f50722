//! Consensus cores: replicated algorithms as deterministic state machines, without input or output.
//!
//! * [`core`]: the trait that an algorithm implements, its inputs and its outputs.
//! * [`machine`]: the replicated state machine and its client sessions, shared by every variant.
//! * [`variants`]: the algorithms, one a file, and their registry.
//! * [`replication`]: what several variants are built of.
//! * [`mutants`]: known bugs of real systems, as wrappers around a correct core.
//! * [`host`] and [`commit`]: the duties of whatever hosts a core that need neither sockets nor threads.
//!
//! Absent on purpose: clocks, threads, sockets, files, `HashMap`, and randomness that is not seeded by the
//! configuration. The same code therefore runs in a process of its own and inside the simulator.

pub mod commit;
pub mod core;
pub mod host;
pub mod machine;
pub mod mutants;
pub mod replication;
pub mod variants;

pub use crate::core::{
    Admin, Claim, Config, Core, Damaged, Destination, Effect, Input, Limits, Message, NodeId,
    Observation, Output, Position, RequestId, Role, SaveSnapshot, Snapshot, Time, Timing,
};
pub use crate::machine::{
    Capabilities, Certainty, Command, Failure, Key, Machine, Operation, Reply, Request, SessionId,
    Value,
};
