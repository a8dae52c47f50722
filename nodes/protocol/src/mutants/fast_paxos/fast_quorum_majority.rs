//! A fast round decides by a majority, as a classic one does.
//!
//! *Mechanism.* Two majorities share an acceptor, but a majority and two of them need not: of three acceptors two have voted
//! for a value, and the coordinator hears of one of them and of the third, which has voted for another. Nothing tells it
//! which of the two may have been chosen.
//!
//! *Seen in* openacid/celeritasdb#24, where a fast quorum of 2 of 3 cannot be recovered (reported, unconfirmed).
//!
//! *Exposed by* commands that collide, and a coordinator which does not hear one of the acceptors. In a cluster of four nothing
//! changes: three are a majority there, and a fast quorum.
//!
//! *Anomaly.* A lost write: it was acknowledged, and another value stands in its slot.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::fast_paxos::{FastPaxos, Message};

/// Its line of the catalogue.
pub const MUTANT: Mutant<FastPaxos> = Mutant {
    about: About {
        number: 43,
        name: "fast-quorum-majority",
        mechanism: "a fast round decides by a majority: too few to be found by a majority that recovers",
        seen_in: "openacid/celeritasdb#24 (reported, unconfirmed)",
        exposed_by: "commands that collide, and votes that a coordinator does not hear",
        anomaly: "lost write",
        exempt_from_real: None,
    },
    make: |_| Box::new(FastQuorumMajority),
};

#[derive(Debug)]
struct FastQuorumMajority;

impl Bug<FastPaxos> for FastQuorumMajority {
    fn step(&mut self, core: &mut FastPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.quorums.fast = core.quorums.classic;
        core.step(now, input, out);
    }
}
