//! A leader answers reads from its own state and asks nobody whether it still leads.
//!
//! *Mechanism.* It trusts that nobody else can lead before it has noticed that a majority no longer answers it, and
//! steps down. Nothing but two timeouts makes that likely. All else is as it should be: it does step down after
//! `election_max`, and a new leader first decides a slot of its own reign.
//!
//! *Seen in* Consul, hashicorp/consul#54: its leader "leases" its position for 300 ms, and a follower begins an
//! election after 300 to 600 ms. etcd's leader answered reads in the same way (aphyr.com/posts/316).
//!
//! *Exposed by* a partition, or a pause, that separates the leader from a majority while its clients still reach it.
//!
//! *Anomaly.* A stale read: the old leader answers what the new one has overwritten.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 16,
        name: "local-reads",
        mechanism: "the leader answers reads from its own state, without asking a majority whether it still leads",
        seen_in: "Consul, hashicorp/consul#54; etcd, aphyr.com/posts/316",
        exposed_by: "a partition or a pause that separates the leader from a majority",
        anomaly: "stale read",
        exempt_from_real: None,
    },
    make: |_| Box::new(LocalReads),
};

#[derive(Debug)]
struct LocalReads;

impl Bug<MultiPaxos> for LocalReads {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.read_quorum = 1;
        core.step(now, input, out);
    }
}
