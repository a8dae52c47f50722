//! A proposer takes replies to its earlier ballots for replies to the current one.
//!
//! *Mechanism.* Replies are matched by sender and slot, without a look at the ballot. A promise that was given to an earlier
//! attempt does not bind its sender to the current one, and does not say what it has accepted since; an acceptance of an
//! earlier reign may be of another value.
//!
//! *Seen in* MyPaxos, luohaha/MyPaxos#18 (reported, unconfirmed), and little-raft, andreev-io/little-raft#44: both for replies
//! of phase 1.
//!
//! *Exposed by* replies that are late by more than an election takes: long delays, or operators who name one leader after the
//! other. The acceptances alone are nearly harmless, since a proposer proposes its own value again unless a higher ballot
//! forbids it.
//!
//! *Anomaly.* A lost write: two values are chosen in one slot.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Destination, Effect, Input, Time};
use crate::replication::{Ballot, Slot};
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 8,
        name: "stale-accepted",
        mechanism: "promises and acceptances of a proposer's earlier ballots are counted for its current one",
        seen_in: "luohaha/MyPaxos#18 (reported, unconfirmed), andreev-io/little-raft#44",
        exposed_by: "replies that are late by more than an election takes, and contested leadership",
        anomaly: "lost write",
        exempt_from_real: None,
    },
    make: |_| Box::new(StaleAccepted { attempt: (Ballot::NONE, Slot(0)) }),
};

#[derive(Debug)]
struct StaleAccepted {
    /// What this node has asked promises for last.
    attempt: (Ballot, Slot),
}

impl Bug<MultiPaxos> for StaleAccepted {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, mut input: Input<Message>, out: &mut Out) {
        let (current, first) = self.attempt;
        match &mut input {
            Input::Message(_, Message::Promise { ballot, from, more: None, .. })
                if *ballot < current =>
            {
                (*ballot, *from) = (current, first);
            }
            Input::Message(_, Message::Accepted { ballot, .. }) => *ballot = (*ballot).max(current),
            _ => {}
        }
        core.step(now, input, out);
        for effect in &out.when_durable {
            if let Effect::Send(Destination::Peers, Message::Prepare { ballot, from }) = effect {
                self.attempt = (*ballot, *from);
            }
        }
    }
}
