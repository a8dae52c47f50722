//! A node answers a pre-accept without writing it.
//!
//! *Mechanism.* What was pre-accepted for another node's instance stays in memory. After a restart the node knows nothing
//! of it, though the owner has counted its answer for the fast path, or its dependencies for the slow one.
//!
//! *Seen in* EPaxos, efficient/epaxos#28 (reported, unconfirmed).
//!
//! *Exposed by* restarts of a node whose answer was counted, while the owner of the instance is down or cut off.
//!
//! *Anomaly.* A recovery makes a no-op of a decided command: a lost write. Or two commands that interfere do not depend on
//! each other: replicas that differ.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, NodeId, Time};
use crate::replication::Ballot;
use crate::variants::epaxos::{EPaxos, Instance, Message, Payload, Record};
use std::collections::BTreeMap;

/// Its line of the catalogue.
pub const MUTANT: Mutant<EPaxos> = Mutant {
    about: About {
        number: 37,
        name: "preaccept-not-durable",
        mechanism: "what was pre-accepted for another node is answered and not written",
        seen_in: "EPaxos: efficient/epaxos#28 (reported, unconfirmed)",
        exposed_by: "restarts, and the loss of the owner of an instance",
        anomaly: "lost write, replicas that differ",
        exempt_from_real: None,
    },
    make: |config| {
        let row = config.members.iter().take_while(|node| **node < config.node).count();
        Box::new(PreAcceptNotDurable { node: config.node, row, unwritten: BTreeMap::new() })
    },
};

#[derive(Debug)]
struct PreAcceptNotDurable {
    node: NodeId,
    row: usize,
    /// What was not written. A decision then has to name it, or the log would contradict itself.
    unwritten: BTreeMap<Instance, Payload>,
}

impl PreAcceptNotDurable {
    fn forget(&mut self, record: &mut Record) {
        match record {
            Record::PreAccepted { instance, payload, .. } if instance.row() != self.row => {
                self.unwritten.insert(*instance, payload.clone());
                *record = nothing(self.node);
            }
            Record::Committed { instance, payload, .. } => {
                let unwritten = self.unwritten.remove(instance);
                *payload = payload.take().or(unwritten);
            }
            _ => {}
        }
    }
}

/// A record that says nothing: no instance has number 0.
fn nothing(node: NodeId) -> Record {
    Record::Promised(Instance { row: 0, number: 0 }, Ballot { round: 0, node })
}

impl Bug<EPaxos> for PreAcceptNotDurable {
    fn step(&mut self, core: &mut EPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.step(now, input, out);
        out.records.iter_mut().for_each(|record| self.forget(record));
    }
}
