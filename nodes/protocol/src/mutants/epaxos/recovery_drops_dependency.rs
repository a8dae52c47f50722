//! A recovery leaves out dependencies that others tell.
//!
//! *Mechanism.* Whoever recovers an instance asks the others which instances interfere, and proposes only those that it
//! knows itself. A command that was decided without its knowledge is not among them.
//!
//! *Seen in* EPaxos, efficient/epaxos#29 (reported, unconfirmed).
//!
//! *Exposed by* links that fail in one direction, or to one node, so that the recovering node has not heard of a command
//! which interferes.
//!
//! *Anomaly.* Two commands that interfere do not depend on each other, and are executed in different orders: stale reads,
//! replicas that differ.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::epaxos::{Deps, EPaxos, Message, is_initial};

/// Its line of the catalogue.
pub const MUTANT: Mutant<EPaxos> = Mutant {
    about: About {
        number: 38,
        name: "recovery-drops-dependency",
        mechanism: "a recovery proposes the dependencies that the recovering node knows, not those that others tell",
        seen_in: "EPaxos: efficient/epaxos#29 (reported, unconfirmed)",
        exposed_by: "the loss of messages of one node to another, and of an owner",
        anomaly: "stale read, replicas that differ",
        exempt_from_real: None,
    },
    make: |_| Box::new(RecoveryDropsDependency),
};

#[derive(Debug)]
struct RecoveryDropsDependency;

impl Bug<EPaxos> for RecoveryDropsDependency {
    fn step(&mut self, core: &mut EPaxos, now: Time, mut input: Input<Message>, out: &mut Out) {
        if let Input::Message(_, Message::PreAcceptOk { ballot, deps, .. }) = &mut input
            && !is_initial(*ballot)
        {
            *deps = Deps::none(deps.rows().count());
        }
        core.step(now, input, out);
    }
}
