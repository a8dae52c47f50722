//! Faults and their schedule, as pure data made from a seed.
//!
//! * [`Fault`]: what goes wrong, read from the grammar of registries (`partition:kind=halves`). One file a fault.
//! * [`Schedule`]: which fault, when and for how long. Made by [`generate()`] before a run, written beside its history,
//!   readable and editable by hand.
//! * [`resolve()`]: which nodes and links a symbolic target (`one`, `minority`, `leader`) means in one injection.
//!
//! Everything here is a function of its arguments: a seed gives the same schedule on every machine. Each injection draws
//! from a ChaCha stream of its own, so that removing one from an edited schedule does not move the others. The only
//! input from outside is the leader at the time of an injection.
//!
//! Absent on purpose: clocks, threads, floats, hash maps, and how a fault is carried out (the harness knows).

pub mod faults;
pub mod generate;
pub mod relay;
pub mod resolve;
pub mod schedule;

pub use faults::{Available, Clock, CutMode, Deed, Fault, Partition, Phase, Target, registry};
pub use generate::{Pace, generate, generate_paced};
pub use relay::{Legs, relay};
pub use resolve::{CLIENTS, Resolved, resolve};
pub use schedule::{Injection, Moment, Schedule, ScheduleError};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The number of nodes that may be lost while a majority of `nodes` is left.
#[must_use]
pub fn minority(nodes: u32) -> u32 {
    nodes.saturating_sub(1) / 2
}

/// The generator of one stream of a seed. Stream 0 is the schedule's; stream `id + 1` is that of injection `id`.
fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(stream);
    generator
}
