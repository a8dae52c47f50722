//! Every node must accept a proposal before it is decided.
//!
//! *Mechanism.* The leader waits for all nodes instead of a majority. Nothing is ever wrong in what clients see; but it
//! tolerates no failure at all, and a cluster that tolerates none is convicted of claiming to tolerate a minority's.
//!
//! *Seen in* gaggle, ben-ng/gaggle#15 (three of three must be present to commit). The approach itself is "write all" in
//! Bernstein, Hadzilacos and Goodman, "Concurrency Control and Recovery in Database Systems" (1987), chapter 8.
//!
//! *Exposed by* one node that is dead, paused or cut off for long.
//!
//! *Anomaly.* None in any answer: no write is answered until the node returns. Convicted by availability alone.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 22,
        name: "write-all",
        mechanism: "every node must accept, so that one dead node stops all writes",
        seen_in: "ben-ng/gaggle#15",
        exposed_by: "one dead node",
        anomaly: "no progress, though a majority lives",
        exempt_from_real: None,
    },
    make: |config| Box::new(WriteAll { nodes: config.members.len() }),
};

#[derive(Debug)]
struct WriteAll {
    nodes: usize,
}

impl Bug<MultiPaxos> for WriteAll {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.accept_quorum = self.nodes;
        core.step(now, input, out);
    }
}
