//! An acceptor gives a promise to a lower ballot than one that it has promised.
//!
//! *Mechanism.* The acceptor compares a ballot with that of the leader it follows, and notes another only with the first
//! message of a new leader. Between its promise and that message, the promise binds it to nothing: it promises lower ballots,
//! and goes on accepting from the old leader what the new one will not hear of.
//!
//! *Seen in*: no public report known to us of this very mechanism. palantir/atlasdb#1508 is the same fall of a promise, but
//! after a node was wiped.
//!
//! *Exposed by* two who lead or want to at the same time, while messages are late: operators who name leaders, an old leader
//! that returns during an election. The time in which a promise binds to nothing is a round trip, so it takes luck.
//!
//! *Anomaly.* A lost write: the old leader's last slots are decided by a node that has promised them away.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Effect, Input, Role, Time};
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 9,
        name: "lower-promise",
        mechanism: "a promise is not noted before the new leader's first proposal, and lower ballots are promised meanwhile",
        seen_in: "no public report known to us; the same fall after a wipe in palantir/atlasdb#1508",
        exposed_by: "contested leadership while messages are late",
        anomaly: "lost write",
        exempt_from_real: None,
    },
    make: |_| Box::new(LowerPromise),
};

#[derive(Debug)]
struct LowerPromise;

impl Bug<MultiPaxos> for LowerPromise {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        match input {
            // A candidate or leader steps down for a higher ballot, and so keeps its promise.
            Input::Message(candidate, Message::Prepare { ballot, from })
                if ballot > core.promised() && core.role() == Role::Follower =>
            {
                let known = Message::Prepare { ballot: core.promised(), from };
                core.step(now, Input::Message(candidate, known), out);
                for effect in &mut out.when_durable {
                    if let Effect::Send(_, Message::Promise { ballot: promised, .. }) = effect {
                        *promised = ballot;
                    }
                }
            }
            input => core.step(now, input, out),
        }
    }
}
