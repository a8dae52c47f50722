//! An instance keeps one ballot, the last one, where it needs two.
//!
//! *Mechanism.* The ballot that is promised overwrites the one in which the instance was accepted. Whoever recovers it
//! is told that everything was accepted under the very ballot that it has just asked for, and cannot tell which of two
//! acceptances is the newer one.
//!
//! *Seen in* EPaxos: efficient/epaxos#20; P. Sutra, "On the Correctness of Egalitarian Paxos"; arXiv 2511.02743.
//!
//! *Exposed by* recoveries that compete: the first one is cut off when one node has accepted its no-op, the second one
//! decides the command, and a third one is told of both.
//!
//! *Anomaly.* An instance is decided twice: a lost write, or two nodes that differ.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Effect, Input, Time};
use crate::variants::epaxos::{EPaxos, Message, Vote};

/// Its line of the catalogue.
pub const MUTANT: Mutant<EPaxos> = Mutant {
    about: About {
        number: 36,
        name: "last-ballot-kept",
        mechanism: "an instance reports what it has accepted under the ballot that it promises",
        seen_in: "EPaxos: efficient/epaxos#20, arXiv 2511.02743",
        exposed_by: "recoveries that compete, and fail one after the other",
        anomaly: "lost write, replicas that differ",
        exempt_from_real: None,
    },
    make: |_| Box::new(LastBallotKept),
};

#[derive(Debug)]
struct LastBallotKept;

impl Bug<EPaxos> for LastBallotKept {
    fn step(&mut self, core: &mut EPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.step(now, input, out);
        for effect in &mut out.when_durable {
            if let Effect::Send(_, Message::PrepareOk { ballot, vote, .. }) = effect
                && let Vote::Accepted { ballot: accepted, .. } = vote
            {
                *accepted = *ballot;
            }
        }
    }
}
