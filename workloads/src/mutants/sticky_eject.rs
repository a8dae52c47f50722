//! A round robin that leaves a failing node and never returns to it.
//!
//! *Mechanism.* Three failures in a row mark a node as dead. Only a request that it serves would clear the mark, and
//! who is marked gets none: no probe, no second chance after a while. Requests that were under way, or that are sent
//! because all nodes are marked, do clear it.
//!
//! *Seen in* LLMKube, defilantech/LLMKube#453: "backends permanently quarantined once marked unhealthy (no half-open
//! recovery)". haproxy/haproxy#1234, "backends goes down and never goes back up", looks the same from outside.
//!
//! *Exposed by* a node that is killed, paused or cut off for three requests, and comes back.
//!
//! *Anomaly.* None that a client sees as long as a majority of the nodes is left; a node that serves again and is never
//! picked (`returns`).

use super::{Mutant, Part};
use crate::balancers::round_robin::RoundRobin;
use crate::balancers::{NodeId, NodeSet, Outcome, Policy, Registered};
use crate::health;
use crate::params::{MANY, take_between};
use tribunal_spec::{Entry, Params, SpecError};

/// Its line of the catalogue.
pub const MUTANT: Mutant = Mutant {
    number: 26,
    name: "sticky-eject",
    mechanism: "a round robin leaves a node after failures in a row, and never probes for its return",
    seen_in: "LLMKube, defilantech/LLMKube#453",
    exposed_by: "a node that fails for a while and comes back",
    anomaly: "a node that serves again and is never picked",
    part: Part::Balancer {
        broken: Registered {
            entry: Entry {
                name: "sticky-eject",
                summary: "A mutant: each node in turn, but for those that have failed three times in a row, for ever.",
                params: &[health::PARAM_FAILURES],
            },
            build,
        },
        correct: "round-robin:health=eject",
    },
};

fn build(params: &mut Params<'_>, nodes: u32, _seed: u64) -> Result<Box<dyn Policy>, SpecError> {
    let limit = take_between(params, "failures", 3, (1, MANY))?;
    let failures = (0..nodes).map(|_| 0).collect();
    Ok(Box::new(StickyEject { turns: RoundRobin::new(nodes), limit, failures }))
}

#[derive(Debug)]
struct StickyEject {
    turns: RoundRobin,
    limit: u32,
    /// Of each node, the failures since it last served a request.
    failures: Vec<u32>,
}

impl Policy for StickyEject {
    fn pick(&mut self, up: &NodeSet) -> NodeId {
        let trusted = up.filtered(|node| self.failures[node as usize - 1] < self.limit);
        self.turns.pick(if trusted.is_empty() { up } else { &trusted })
    }

    fn ended(&mut self, node: NodeId, outcome: Outcome, _latency_ns: u64) {
        let failures = &mut self.failures[node as usize - 1];
        *failures = if outcome.is_failure() { failures.saturating_add(1) } else { 0 };
    }

    fn may_leave(&self) -> bool {
        true
    }

    fn intended_shares(&self) -> Option<Vec<f64>> {
        self.turns.intended_shares()
    }
}
