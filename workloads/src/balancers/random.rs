//! Any node with the same chance, independently of all picks before.

use super::{NodeId, NodeSet, Policy, Registered, even_shares};
use crate::draw::{Draw, STREAM_BALANCER};
use crate::health;
use tribunal_spec::Entry;

/// Its line of the registry.
pub(super) const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "random",
        summary: "Any node with the same chance.",
        params: &[
            health::PARAM,
            health::PARAM_FAILURES,
            health::PARAM_BACKOFF,
            health::PARAM_BACKOFF_MAX,
        ],
    },
    build: |_, nodes, seed| Ok(Box::new(Random { nodes, draw: Draw::new(seed, STREAM_BALANCER) })),
};

#[derive(Debug)]
struct Random {
    nodes: u32,
    draw: Draw,
}

impl Policy for Random {
    fn pick(&mut self, up: &NodeSet) -> NodeId {
        up.nth(self.draw.index(up.len()))
    }

    fn intended_shares(&self) -> Option<Vec<f64>> {
        Some(even_shares(self.nodes))
    }

    fn independent(&self) -> bool {
        true
    }
}
