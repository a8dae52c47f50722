//! A majority is half of the nodes, rounded up: one too few in an even cluster, right in an odd one.
//!
//! *Mechanism.* `n.div_ceil(2)` where `n / 2 + 1` is needed. Two halves of four nodes are two quorums without a common node,
//! for promises, acceptances and reads alike.
//!
//! *Seen in* alphaonedev/ai-memory-mcp#1888 (found in review: its tests knew odd clusters only); as a setting of a
//! Mesos cluster in theclaymethod/Foundry-vagrant-mesos-kafka-cluster PR #2.
//!
//! *Exposed by* a partition into halves, in an even cluster.
//!
//! *Anomaly.* Both halves serve: lost writes, stale reads.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 21,
        name: "even-quorum",
        mechanism: "a quorum is half of the nodes, rounded up: one too few in an even cluster",
        seen_in: "alphaonedev/ai-memory-mcp#1888 (found in review)",
        exposed_by: "a partition into halves, in an even cluster",
        anomaly: "lost write, stale read",
        exempt_from_real: None,
    },
    make: |config| Box::new(EvenQuorum { half: config.members.len().div_ceil(2) }),
};

#[derive(Debug)]
struct EvenQuorum {
    half: usize,
}

impl Bug<MultiPaxos> for EvenQuorum {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.promise_quorum = self.half;
        core.accept_quorum = self.half;
        core.read_quorum = self.half;
        core.step(now, input, out);
    }
}
