//! A tail answers queries from its own state and asks nobody whether it still is the tail.
//!
//! *Mechanism.* It trusts that the master's change of the configuration reaches it before the new tail acknowledges
//! anything. The paper may: there, only a node that has stopped is taken out of the chain.
//!
//! *Seen in* no system that we name: the paper (section 3) assumes fail-stop nodes and a master that is never wrong about
//! failures, and only that allows a tail to answer alone.
//!
//! *Exposed by* a partition, or a pause, that separates the tail from the others while its clients still reach it.
//!
//! *Anomaly.* A stale read: the old tail answers what has been overwritten since.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::chain::{ChainReplication, Message};

/// Its line of the catalogue.
pub const MUTANT: Mutant<ChainReplication> = Mutant {
    about: About {
        number: 47,
        name: "tail-serves-alone",
        mechanism: "a tail that was left out goes on to answer queries, since it asks nobody whether it still is the tail",
        seen_in: "described in the paper, section 3: only a master that is never wrong about failures allows it",
        exposed_by: "a partition or a pause that separates the tail from the others",
        anomaly: "stale read",
        exempt_from_real: None,
    },
    make: |_| Box::new(TailServesAlone),
};

#[derive(Debug)]
struct TailServesAlone;

impl Bug<ChainReplication> for TailServesAlone {
    fn step(
        &mut self,
        core: &mut ChainReplication,
        now: Time,
        input: Input<Message>,
        out: &mut Out,
    ) {
        core.confirm_quorum = 1;
        core.step(now, input, out);
    }
}
