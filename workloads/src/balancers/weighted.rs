//! Each node as often as its weight says, spread evenly: the smooth weighted round robin of nginx
//! (`ngx_http_upstream_round_robin.c`, since 1.3.1). At each pick every node gains its weight, the one that has
//! most is picked and pays the sum of all weights. Weights 5/1/1 give a a b a c a a, not a a a a a b c.
//!
//! A node that is down neither gains nor pays, so it returns as it left, without a burst.

use super::{NodeId, NodeSet, Policy, Registered};
use crate::health;
use std::cmp::Reverse;
use tribunal_spec::{Entry, Params, SpecError};

/// Its line of the registry.
pub(super) const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "weighted",
        summary: "Each node as often as its weight says, spread evenly (smooth, as in nginx).",
        params: &[
            ("weights=1/1/1", "a weight from 1 to 1000 for each node; all equal if not given"),
            health::PARAM,
            health::PARAM_FAILURES,
            health::PARAM_BACKOFF,
            health::PARAM_BACKOFF_MAX,
        ],
    },
    build,
};

fn build(params: &mut Params<'_>, nodes: u32, _seed: u64) -> Result<Box<dyn Policy>, SpecError> {
    let even = (0..nodes).map(|_| 1).collect();
    Ok(Box::new(Weighted::new(take_weights(params, nodes, even)?)))
}

/// Takes the weights, one a node, or `default`.
pub(crate) fn take_weights(
    params: &mut Params<'_>,
    nodes: u32,
    default: Vec<i64>,
) -> Result<Vec<i64>, SpecError> {
    let expected = format!("{nodes} weights from 1 to 1000, such as 3/1/1 for three nodes");
    params.take_with("weights", default, &expected, |text| read_weights(text, nodes))
}

fn read_weights(text: &str, nodes: u32) -> Option<Vec<i64>> {
    let weight = |part: &str| part.parse().ok().filter(|weight| (1..=1000).contains(weight));
    let weights: Vec<i64> = text.split('/').map(weight).collect::<Option<_>>()?;
    (weights.len() == nodes as usize).then_some(weights)
}

/// The policy, and what it claims.
#[derive(Debug)]
pub(crate) struct Weighted {
    weights: Vec<i64>,
    /// What each node has gained and not paid. The sum over all nodes is 0 after each pick.
    current: Vec<i64>,
}

impl Weighted {
    /// Nobody was picked yet.
    pub(crate) fn new(weights: Vec<i64>) -> Self {
        let current = weights.iter().map(|_| 0).collect();
        Self { weights, current }
    }
}

impl Policy for Weighted {
    fn pick(&mut self, up: &NodeSet) -> NodeId {
        let mut sum = 0;
        for node in up.iter() {
            let at = node as usize - 1;
            self.current[at] += self.weights[at];
            sum += self.weights[at];
        }
        // Of equals, the first.
        let most = up.iter().max_by_key(|&node| (self.current[node as usize - 1], Reverse(node)));
        let node = most.expect("a policy is asked with a node up");
        self.current[node as usize - 1] -= sum;
        node
    }

    fn intended_shares(&self) -> Option<Vec<f64>> {
        let sum: i64 = self.weights.iter().sum();
        Some(self.weights.iter().map(|&weight| weight as f64 / sum as f64).collect())
    }
}
