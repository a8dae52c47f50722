//! Quorums of phase 1 and of phase 2 that need not share a node.
//!
//! *Mechanism.* One node less promises than what intersects with every quorum of phase 2: `phase1 + phase2 = n`, as if
//! the sizes had to add up to the nodes. A new leader may have heard of nobody who accepted what is decided.
//!
//! *Seen in* the same mistake with one kind of quorum: alphaonedev/ai-memory-mcp#1888 (half of the nodes as a majority
//! of an even cluster), openacid/celeritasdb#24 (a fast quorum of two of three, reported, unconfirmed). No public
//! report known to us of Flexible Paxos's own sizes.
//!
//! *Exposed by* a new leader that does not hear the nodes that accepted last: a partition, or their crash.
//!
//! *Anomaly.* A lost write, a stale read, and two decisions of one slot.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::flexible_paxos::FlexiblePaxos;
use crate::variants::multi_paxos::Message;

/// Its line of the catalogue.
pub const MUTANT: Mutant<FlexiblePaxos> = Mutant {
    about: About {
        number: 35,
        name: "quorums-apart",
        mechanism: "phase 1 asks one node less than what shares a node with every quorum of phase 2",
        seen_in: "no public report known to us; one kind of quorum too small in alphaonedev/ai-memory-mcp#1888",
        exposed_by: "a new leader that does not hear the nodes that accepted last: a partition, or their crash",
        anomaly: "lost write, stale read",
        exempt_from_real: None,
    },
    make: |config| Box::new(QuorumsApart { nodes: config.members.len() }),
};

#[derive(Debug)]
struct QuorumsApart {
    nodes: usize,
}

impl Bug<FlexiblePaxos> for QuorumsApart {
    fn step(&mut self, core: &mut FlexiblePaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.core.promise_quorum = (self.nodes - core.core.accept_quorum).max(1);
        core.step(now, input, out);
    }
}
