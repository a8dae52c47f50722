//! 2 `ack-before-write`: acknowledgements do not wait for the write of what they acknowledge.
//!
//! Mechanism: promises, acceptances and replies leave in the step that appends their records, and a leader counts its
//! own acceptance at once. The records are given to the host in that same step, so the window is one write.
//!
//! Seen in: etcd with one member, where a client's answer could leave before its entry was written to the log
//! (etcd-io/etcd#14370). Here every member does it, and so the window has to be hit on a majority.
//!
//! Exposed by: a power cut, or kills, of a majority while it writes.
//!
//! A client sees: an acknowledged write is lost.

use super::ahead::Ahead;
use super::{About, Bug, Mutant, Out};
use crate::core::{Input, Position, Snapshot, Time};
use crate::variants::multi_paxos::{Message, MultiPaxos, Record};

/// The line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 2,
        name: "ack-before-write",
        mechanism: "acknowledges what it has appended before the write",
        seen_in: "etcd with one member: etcd-io/etcd#14370",
        exposed_by: "a power cut, or kills, of a majority during a write",
        anomaly: "an acknowledged write is lost",
        exempt_from_real: None,
    },
    make: |_| Box::new(AckBeforeWrite::default()),
};

#[derive(Debug, Default)]
struct AckBeforeWrite {
    ahead: Ahead,
}

impl Bug<MultiPaxos> for AckBeforeWrite {
    fn recover(&mut self, snapshot: &mut Option<Snapshot>, records: &mut Vec<(Position, Record)>) {
        self.ahead.recover(snapshot.as_ref(), records);
    }

    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        self.ahead.step(core, now, input, out);
        out.at_once.append(&mut out.when_durable);
    }
}
