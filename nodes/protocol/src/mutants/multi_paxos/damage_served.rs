//! 15 `damage-served`: a log with a damaged middle is taken for a log that ends there.
//!
//! Mechanism: a record that does not match its checksum is treated like the torn end of the last write, also where whole
//! records follow. The node starts from what lies before, without what it has promised and accepted since. The host that
//! reads the log does this where [`ignores_damage`](crate::mutants::ignores_damage) says so.
//!
//! Seen in: NATS JetStream 2.12.1, where damage on a minority of nodes was not detected
//! (jepsen.io/analyses/nats-2.12.1).
//!
//! Exposed by: bit rot or a lost sector in the log of one node, and a restart.
//!
//! A client sees: acknowledged writes are lost, or reads contradict each other.

use super::{About, Bug, Mutant};
use crate::variants::multi_paxos::MultiPaxos;

/// The line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 15,
        name: "damage-served",
        mechanism: "starts from what lies before a damaged part of its log",
        seen_in: "NATS JetStream 2.12.1: jepsen.io/analyses/nats-2.12.1",
        exposed_by: "bit rot in a log, and a restart",
        anomaly: "acknowledged writes are lost",
        exempt_from_real: Some("kills, pauses and partitions damage no disk"),
    },
    make: |_| Box::new(DamageServed),
};

#[derive(Debug)]
struct DamageServed;

impl Bug<MultiPaxos> for DamageServed {}
