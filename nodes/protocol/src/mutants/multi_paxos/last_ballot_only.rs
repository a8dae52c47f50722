//! 4 `last-ballot-only`: an acceptor keeps one ballot, the last one, where Paxos needs two.
//!
//! Mechanism: the ballot that is promised overwrites the one in which a proposal was accepted. A promise then reports
//! everything as accepted under the ballot that it promises, and a proposer cannot tell which of two values is the newer.
//!
//! Seen in: EPaxos, whose instances keep only the last ballot seen (efficient/epaxos#20; shown to be unsafe in
//! arXiv 2511.02743).
//!
//! Exposed by: two elections, of which the second finds an older value at an acceptor that missed the first. It takes a
//! leader that is cut off with a proposal of its own, and a crash of its successor.
//!
//! A client sees: an acknowledged write is replaced by another one.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Effect, Input, Time};
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// The line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 4,
        name: "last-ballot-only",
        mechanism: "reports what it has accepted under the ballot that it promises",
        seen_in: "EPaxos: efficient/epaxos#20, arXiv 2511.02743",
        exposed_by: "partitions and crashes that make two leaders fail one after the other",
        anomaly: "an acknowledged write is lost",
        exempt_from_real: None,
    },
    make: |_| Box::new(LastBallotOnly),
};

#[derive(Debug)]
struct LastBallotOnly;

impl Bug<MultiPaxos> for LastBallotOnly {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.step(now, input, out);
        for effect in &mut out.when_durable {
            if let Effect::Send(_, Message::Promise { ballot, accepted, .. }) = effect {
                accepted.iter_mut().for_each(|proposal| proposal.ballot = *ballot);
            }
        }
    }
}
