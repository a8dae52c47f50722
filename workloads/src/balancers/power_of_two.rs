//! Of two random nodes, the one with fewer requests under way: Mitzenmacher, "The Power of Two Choices in Randomized
//! Load Balancing", IEEE TPDS 12(10), 2001. Nearly as even as asking all, and no herd follows one idle node.

use super::{NodeId, NodeSet, Outcome, Outstanding, Policy, Registered};
use crate::draw::{Draw, STREAM_BALANCER};
use crate::health;
use tribunal_spec::Entry;

/// Its line of the registry.
pub(super) const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "power-of-two-choices",
        summary: "Of two random nodes, the one with fewer requests under way.",
        params: &[
            health::PARAM,
            health::PARAM_FAILURES,
            health::PARAM_BACKOFF,
            health::PARAM_BACKOFF_MAX,
        ],
    },
    build: |_, nodes, seed| {
        Ok(Box::new(PowerOfTwo {
            outstanding: Outstanding::new(nodes),
            draw: Draw::new(seed, STREAM_BALANCER),
        }))
    },
};

#[derive(Debug)]
struct PowerOfTwo {
    outstanding: Outstanding,
    draw: Draw,
}

impl Policy for PowerOfTwo {
    fn pick(&mut self, up: &NodeSet) -> NodeId {
        let first = self.draw.index(up.len());
        if up.len() == 1 {
            return up.nth(first);
        }
        // Any but the first, each with the same chance.
        let second = (first + 1 + self.draw.index(up.len() - 1)) % up.len();
        let (first, second) = (up.nth(first), up.nth(second));
        if self.outstanding.at(second) < self.outstanding.at(first) { second } else { first }
    }

    fn started(&mut self, node: NodeId) {
        self.outstanding.started(node);
    }

    fn ended(&mut self, node: NodeId, _outcome: Outcome, _latency_ns: u64) {
        self.outstanding.ended(node);
    }

    fn intended_shares(&self) -> Option<Vec<f64>> {
        None
    }
}
