//! The node that was last seen to lead, while it is up; each in turn while none is known.
//!
//! A leader that cannot be reached, or does not answer in time, is forgotten, so that a dead one is not asked until
//! someone tells of the next. One that declines a request stays: it may be about to be elected.

use super::round_robin::RoundRobin;
use super::{NodeId, NodeSet, Outcome, Policy, Registered};
use crate::health;
use tribunal_spec::Entry;

/// Its line of the registry.
pub(super) const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "leader",
        summary: "The node that was last seen to lead; each in turn while none is known.",
        params: &[
            health::PARAM,
            health::PARAM_FAILURES,
            health::PARAM_BACKOFF,
            health::PARAM_BACKOFF_MAX,
        ],
    },
    build: |_, nodes, _| {
        Ok(Box::new(Leader { nodes, leader: None, fallback: RoundRobin::new(nodes) }))
    },
};

#[derive(Debug)]
struct Leader {
    nodes: u32,
    leader: Option<NodeId>,
    fallback: RoundRobin,
}

impl Policy for Leader {
    fn pick(&mut self, up: &NodeSet) -> NodeId {
        match self.leader {
            Some(leader) if up.contains(leader) => leader,
            _ => self.fallback.pick(up),
        }
    }

    fn ended(&mut self, node: NodeId, outcome: Outcome, _latency_ns: u64) {
        let gone = matches!(outcome, Outcome::Unreachable | Outcome::TimedOut);
        if gone && self.leader == Some(node) {
            self.leader = None;
        }
    }

    fn leader_seen(&mut self, node: NodeId) {
        // A hint comes from outside; one that names no node of ours is no hint.
        self.leader = (1..=self.nodes).contains(&node).then_some(node).or(self.leader);
    }

    fn intended_shares(&self) -> Option<Vec<f64>> {
        None
    }
}
