//! A new leader takes a value that was accepted for older than its own no-op when it is exactly as old.
//!
//! *Mechanism.* A candidate that has accepted nothing in a slot holds a no-op there, under the ballot in which it accepted
//! anything last. A reported value replaces the no-op if its ballot is *higher*, where higher or equal is needed. All that
//! was accepted in the reign that has just ended is equal: it is ignored, and the no-op is proposed over it.
//!
//! *Seen in* MySQL Group Replication's XCom: mysql/mysql-server PR #229 (bugs.mysql.com 92690), where `gt_ballot` compares
//! the acknowledged proposal with the proposer's own; reported, unconfirmed.
//!
//! *Exposed by* the loss of the leader, while the next one lacks an entry that others have accepted.
//!
//! *Anomaly.* A lost write: it was acknowledged, and the no-op stands in its slot.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Position, Snapshot, Time};
use crate::replication::Ballot;
use crate::variants::multi_paxos::{Message, MultiPaxos, Record};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 5,
        name: "ignored-value",
        mechanism: "a new leader ignores values accepted in the very ballot in which it accepted last (`>` for `>=`)",
        seen_in: "MySQL XCom, mysql/mysql-server PR #229 (reported, unconfirmed)",
        exposed_by: "the loss of a leader whose successor lacks an accepted entry",
        anomaly: "lost write",
        exempt_from_real: None,
    },
    make: |_| Box::new(IgnoredValue { last: Ballot::NONE }),
};

#[derive(Debug)]
struct IgnoredValue {
    /// The ballot in which this node has accepted last.
    last: Ballot,
}

impl IgnoredValue {
    fn note<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        for record in records {
            if let Record::Accepted(proposal) = record {
                self.last = self.last.max(proposal.ballot);
            }
        }
    }
}

impl Bug<MultiPaxos> for IgnoredValue {
    fn recover(&mut self, _: &mut Option<Snapshot>, records: &mut Vec<(Position, Record)>) {
        self.note(records.iter().map(|(_, record)| record));
    }

    fn step(&mut self, core: &mut MultiPaxos, now: Time, mut input: Input<Message>, out: &mut Out) {
        if let Input::Message(_, Message::Promise { accepted, .. }) = &mut input {
            accepted.retain(|proposal| proposal.ballot != self.last);
        }
        core.step(now, input, out);
        self.note(out.records.iter());
    }
}
