//! The textbook's load balancer, taken literally: a first coin sends a request to the first node or flips a second
//! coin, which decides between the second and the third. Meant as a random spread over the nodes, so it declares
//! even shares; it gives 1/2, 1/4, 1/4, and nothing to any node after the third.
//!
//! With fewer than three nodes, coins that cannot decide anything are not flipped. A node that is down is replaced by
//! the next one that is up.

use super::{NodeId, NodeSet, Policy, Registered, even_shares};
use crate::draw::{Draw, STREAM_BALANCER};
use crate::health;
use tribunal_spec::Entry;

/// Its line of the registry.
pub(crate) const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "textbook-random",
        summary: "Two nested coin flips over the first three nodes, as in the textbook: not as even as it claims.",
        params: &[
            health::PARAM,
            health::PARAM_FAILURES,
            health::PARAM_BACKOFF,
            health::PARAM_BACKOFF_MAX,
        ],
    },
    build: |_, nodes, seed| {
        Ok(Box::new(TextbookRandom { nodes, draw: Draw::new(seed, STREAM_BALANCER) }))
    },
};

#[derive(Debug)]
struct TextbookRandom {
    nodes: u32,
    draw: Draw,
}

impl TextbookRandom {
    fn heads(&mut self) -> bool {
        self.draw.below(2) == 0
    }

    fn flip(&mut self) -> NodeId {
        if self.nodes == 1 || self.heads() {
            1
        } else if self.nodes == 2 || self.heads() {
            2
        } else {
            3
        }
    }
}

impl Policy for TextbookRandom {
    fn pick(&mut self, up: &NodeSet) -> NodeId {
        let node = self.flip();
        if up.contains(node) { node } else { up.after(node) }
    }

    fn intended_shares(&self) -> Option<Vec<f64>> {
        Some(even_shares(self.nodes))
    }

    fn independent(&self) -> bool {
        true
    }
}
