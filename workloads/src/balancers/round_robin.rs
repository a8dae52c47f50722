//! Each node in turn.

use super::{NodeId, NodeSet, Policy, Registered, even_shares};
use crate::health;
use tribunal_spec::Entry;

/// Its line of the registry.
pub(super) const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "round-robin",
        summary: "Each node in turn.",
        params: &[
            health::PARAM,
            health::PARAM_FAILURES,
            health::PARAM_BACKOFF,
            health::PARAM_BACKOFF_MAX,
        ],
    },
    build: |_, nodes, _| Ok(Box::new(RoundRobin::new(nodes))),
};

/// The policy; others fall back to it.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    nodes: u32,
    /// The node that was picked last.
    last: NodeId,
}

impl RoundRobin {
    /// Begins at the first node.
    pub(crate) fn new(nodes: u32) -> Self {
        Self { nodes, last: nodes }
    }
}

impl Policy for RoundRobin {
    fn pick(&mut self, up: &NodeSet) -> NodeId {
        self.last = up.after(self.last);
        self.last
    }

    fn intended_shares(&self) -> Option<Vec<f64>> {
        Some(even_shares(self.nodes))
    }
}
