//! A deterministic simulator.
pub mod facts;
pub mod invariants;
