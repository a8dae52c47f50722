//! A coordinator takes any value that it hears of in the highest round, as if a fast round had one value like a classic one.
//!
//! *Mechanism.* "The value of the highest round reported" is the rule of classic Paxos. After a fast round several values may
//! be reported, and one of them may have been chosen: the one for which O4 holds ("Fast Paxos", section 2.2).
//!
//! *Seen in* no system that we know of: it is the mistake against which the paper's figure 2 is written.
//!
//! *Exposed by* commands that collide, and a coordinator that hears the loser's acceptor first and not all of the others. In
//! a cluster of three no choice is wrong: a fast quorum is everybody there, so who hears two values knows that none was
//! chosen.
//!
//! *Anomaly.* A lost write: it was acknowledged, and another value stands in its slot.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::fast_paxos::round::Vote;
use crate::variants::fast_paxos::{FastPaxos, Message};

/// Its line of the catalogue.
pub const MUTANT: Mutant<FastPaxos> = Mutant {
    about: About {
        number: 44,
        name: "recovery-picks-any",
        mechanism: "a coordinator proposes any value reported for the highest round, not the one that may be chosen",
        seen_in: "none; Lamport, Fast Paxos (2006), figure 2, is written against it",
        exposed_by: "commands that collide, and votes that a coordinator does not hear, in four nodes or more",
        anomaly: "lost write",
        exempt_from_real: None,
    },
    make: |_| Box::new(RecoveryPicksAny),
};

#[derive(Debug)]
struct RecoveryPicksAny;

impl Bug<FastPaxos> for RecoveryPicksAny {
    fn step(&mut self, core: &mut FastPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.pick = |_, _, votes: &[Vote]| {
            let highest = votes.iter().map(|vote| vote.round).max()?;
            votes.iter().find(|vote| vote.round == highest).map(|vote| vote.value.clone())
        };
        core.step(now, input, out);
    }
}
