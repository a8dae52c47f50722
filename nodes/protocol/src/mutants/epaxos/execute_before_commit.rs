//! The owner executes and answers before its decision can be recovered.
//!
//! *Mechanism.* A decision by the fast path is executed, answered and told without waiting for the owner's disk. If the
//! owner restarts, it no longer knows that it has decided; whoever recovers the instance hears so from the owner itself, and
//! is free to propose something else.
//!
//! *Seen in* EPaxos, efficient/epaxos#27 (reported, unconfirmed), which executes before it broadcasts the commit.
//!
//! *Exposed by* a crash of the owner between the answer and the write, while its commit is lost.
//!
//! *Anomaly.* An instance is decided twice: what a client was told has another place in the order. Stale reads, replicas
//! that differ.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::epaxos::{EPaxos, Message};

/// Its line of the catalogue.
pub const MUTANT: Mutant<EPaxos> = Mutant {
    about: About {
        number: 40,
        name: "execute-before-commit",
        mechanism: "a decision by the fast path is executed and answered before the owner has it on its disk",
        seen_in: "EPaxos: efficient/epaxos#27 (reported, unconfirmed)",
        exposed_by: "a crash of the owner just after it has answered",
        anomaly: "stale read, replicas that differ",
        exempt_from_real: None,
    },
    make: |_| Box::new(ExecuteBeforeCommit),
};

#[derive(Debug)]
struct ExecuteBeforeCommit;

impl Bug<EPaxos> for ExecuteBeforeCommit {
    fn step(&mut self, core: &mut EPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.decides_durably = false;
        core.step(now, input, out);
    }
}
