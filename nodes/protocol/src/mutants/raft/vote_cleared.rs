//! 28 `vote-cleared`: becoming a follower clears the vote, also in the term in which it was given.
//!
//! Mechanism: the transition to follower sets the term and forgets the vote, as it should for a new term; but it is also taken
//! for messages of the current term: a leader's, or a rival's request for a vote. The node then votes a second time.
//!
//! Seen in: akka-raft, ktoso/akka-raft#56; Zeebe, camunda/camunda#5356; CCF, microsoft/CCF PR #8094.
//!
//! Exposed by: two candidates in one term; delay and reordering of their requests.
//!
//! A client sees: two leaders in one term, hence lost writes.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Role, Time};
use crate::variants::raft::{Message, Raft};

/// The line of the catalogue.
pub const MUTANT: Mutant<Raft> = Mutant {
    about: About {
        number: 28,
        name: "vote-cleared",
        mechanism: "becoming a follower clears the vote, also within a term",
        seen_in: "ktoso/akka-raft#56; camunda/camunda#5356; microsoft/CCF PR #8094",
        exposed_by: "two candidates in one term",
        anomaly: "two leaders in one term, lost writes",
        exempt_from_real: None,
    },
    make: |_| Box::new(VoteCleared),
};

#[derive(Debug)]
struct VoteCleared;

impl Bug<Raft> for VoteCleared {
    fn step(&mut self, core: &mut Raft, now: Time, input: Input<Message>, out: &mut Out) {
        if let Input::Message(
            _,
            Message::RequestVote { term, .. }
            | Message::Append { term, .. }
            | Message::Heartbeat { term, .. },
        ) = &input
            && *term == core.term()
            && core.role() == Role::Follower
        {
            core.forget_vote();
        }
        core.step(now, input, out);
    }
}
