//! A proposer counts answers, not who gave them.
//!
//! *Mechanism.* The proposer holds a number instead of a set. A promise that arrives twice, because the network copied it or
//! because `prepare` was sent twice, counts for two nodes; so does an acceptance. In the wrapper, a repeated answer is given
//! to the core as that of a peer that has not answered yet; when that one does, its own counts for another.
//!
//! *Seen in* akka-raft, ktoso/akka-raft#45, and xraft, xnnyygn/xraft#27: there with the votes of Raft, which are promises.
//!
//! *Exposed by* duplication, in a cluster of more than three: in one of three, one answer and the own one are a majority.
//!
//! *Anomaly.* A lost write: a minority decides it, or elects a leader that does not learn of it.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Destination, Effect, Input, NodeId, Time};
use crate::replication::{Ballot, Slot};
use crate::variants::multi_paxos::{Message, MultiPaxos};
use std::collections::{BTreeMap, BTreeSet};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 7,
        name: "repeated-promise",
        mechanism: "a proposer counts promises and acceptances, not nodes, so that one which arrives twice counts for two",
        seen_in: "ktoso/akka-raft#45, xnnyygn/xraft#27",
        exposed_by: "duplication of messages, in a cluster of four or more",
        anomaly: "lost write",
        exempt_from_real: Some("connections do not duplicate what they carry"),
    },
    make: |config| {
        let attempt = (Ballot::NONE, Slot(0));
        Box::new(RepeatedPromise {
            peers: config.peers().collect(),
            attempt,
            counted: BTreeMap::new(),
        })
    },
};

#[derive(Debug)]
struct RepeatedPromise {
    peers: Vec<NodeId>,
    /// What this node has asked promises for last.
    attempt: (Ballot, Slot),
    /// The peers in whose name answers were counted: promises under slot 0, acceptances under their slot.
    counted: BTreeMap<Slot, BTreeSet<NodeId>>,
}

impl RepeatedPromise {
    /// In whose name an answer is counted.
    fn count(&mut self, of: Slot, from: NodeId) -> NodeId {
        let counted = self.counted.entry(of).or_default();
        let another = self.peers.iter().find(|peer| !counted.contains(peer)).copied();
        let name = if counted.contains(&from) { another.unwrap_or(from) } else { from };
        counted.insert(name);
        name
    }
}

impl Bug<MultiPaxos> for RepeatedPromise {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, mut input: Input<Message>, out: &mut Out) {
        match &mut input {
            // A promise of several pages is left alone: each of its pages is asked for by name.
            Input::Message(from, Message::Promise { ballot, from: page, more: None, .. })
                if self.attempt == (*ballot, *page) =>
            {
                *from = self.count(Slot(0), *from);
            }
            Input::Message(from, Message::Accepted { ballot, slot })
                if self.attempt.0 == *ballot && *slot > core.decided() =>
            {
                *from = self.count(*slot, *from);
            }
            _ => {}
        }
        core.step(now, input, out);
        self.counted.retain(|slot, _| *slot == Slot(0) || *slot > core.decided());
        for effect in &out.when_durable {
            if let Effect::Send(Destination::Peers, Message::Prepare { ballot, from }) = effect {
                self.attempt = (*ballot, *from);
                self.counted.clear();
            }
        }
    }
}
