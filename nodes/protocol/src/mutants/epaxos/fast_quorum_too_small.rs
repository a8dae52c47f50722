//! The fast path takes a majority for enough.
//!
//! *Mechanism.* The owner decides when a majority agrees. Of that, a recovery may find a single node, which may as well be
//! the only one that has ever agreed, while the others know a command that interferes.
//!
//! *Seen in* celeritasdb, openacid/celeritasdb#24 (reported, unconfirmed), with three nodes and a rule of recovery
//! that needs more than this one. Here it takes at least five: of three nodes, two are all but one.
//!
//! *Exposed by* the loss of an owner just after it has decided, or just before, and interfering commands meanwhile.
//!
//! *Anomaly.* Two commands that interfere do not depend on each other: stale reads, replicas that differ. Or an instance is
//! decided twice.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::epaxos::{EPaxos, Message};

/// Its line of the catalogue.
pub const MUTANT: Mutant<EPaxos> = Mutant {
    about: About {
        number: 39,
        name: "fast-quorum-too-small",
        mechanism: "the fast path is taken with a majority, where all nodes but one have to agree",
        seen_in: "celeritasdb: openacid/celeritasdb#24 (reported, unconfirmed)",
        exposed_by: "the loss of owners, of five nodes or more, while commands interfere",
        anomaly: "stale read, replicas that differ",
        exempt_from_real: None,
    },
    make: |config| Box::new(FastQuorumTooSmall { majority: config.majority() }),
};

#[derive(Debug)]
struct FastQuorumTooSmall {
    majority: usize,
}

impl Bug<EPaxos> for FastQuorumTooSmall {
    fn step(&mut self, core: &mut EPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.fast_quorum = self.majority;
        core.step(now, input, out);
    }
}
