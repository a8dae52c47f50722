//! The replicated state machine: keys to values, and the client sessions that make a retried request take effect once.
//!
//! A core drives one [`machine`](self) in its order of execution. Everything here is deterministic.

pub mod command;

pub use command::{
    Capabilities, Certainty, Command, Failure, Key, Operation, Reply, Request, SessionId, Value,
};
