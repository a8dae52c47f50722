//! The node with the fewest requests under way; of equals, each in turn.
//!
//! A node that fails fast looks idle and draws all requests to itself: seen without `health=eject`.

use super::{NodeId, NodeSet, Outcome, Outstanding, Policy, Registered};
use crate::health;
use tribunal_spec::Entry;

/// Its line of the registry.
pub(super) const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "least-outstanding",
        summary: "The node with the fewest requests under way; of equals, each in turn.",
        params: &[
            health::PARAM,
            health::PARAM_FAILURES,
            health::PARAM_BACKOFF,
            health::PARAM_BACKOFF_MAX,
        ],
    },
    build: |_, nodes, _| {
        Ok(Box::new(LeastOutstanding { outstanding: Outstanding::new(nodes), last: nodes }))
    },
};

#[derive(Debug)]
struct LeastOutstanding {
    outstanding: Outstanding,
    /// The node that was picked last.
    last: NodeId,
}

impl Policy for LeastOutstanding {
    fn pick(&mut self, up: &NodeSet) -> NodeId {
        let fewest = up.iter().map(|node| self.outstanding.at(node)).min();
        let equals = up.filtered(|node| Some(self.outstanding.at(node)) == fewest);
        self.last = equals.after(self.last);
        self.last
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
