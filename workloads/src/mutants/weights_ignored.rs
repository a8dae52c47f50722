//! A balancer that reads its weights, tells them to whoever asks, and then takes each node in turn.
//!
//! *Mechanism.* The weights get as far as the configuration and no further.
//!
//! *Seen in* the ingress controller of Apache APISIX, apache/apisix-ingress-controller PR #2495: "all nodes always get
//! `100` as weight"; Envoy Gateway, envoyproxy/gateway#4602: backends of weights 99 and 1 "received roughly the same
//! number".
//!
//! *Exposed by* load alone, with weights that differ, as they do if none are given.
//!
//! *Anomaly.* None that a client sees; the shares of first picks (`fairness`, with the shares asserted).

use super::{Mutant, Part};
use crate::balancers::round_robin::RoundRobin;
use crate::balancers::weighted::{Weighted, take_weights};
use crate::balancers::{NodeId, NodeSet, Policy, Registered};
use crate::health;
use tribunal_spec::{Entry, Params, SpecError};

/// Its line of the catalogue.
pub const MUTANT: Mutant = Mutant {
    number: 27,
    name: "weights-ignored",
    mechanism: "a weighted balancer takes each node in turn, whatever its weight",
    seen_in: "Apache APISIX, apache/apisix-ingress-controller PR #2495; Envoy Gateway, envoyproxy/gateway#4602",
    exposed_by: "load, without any fault",
    anomaly: "shares of first picks that are not the intended ones",
    part: Part::Balancer {
        broken: Registered {
            entry: Entry {
                name: "weights-ignored",
                summary: "A mutant: claims a weight for each node, and takes each in turn.",
                params: &[
                    (
                        "weights=3/1/1",
                        "a weight from 1 to 1000 for each node; 3 for the first and 1 for all others if not given",
                    ),
                    health::PARAM,
                    health::PARAM_FAILURES,
                    health::PARAM_BACKOFF,
                    health::PARAM_BACKOFF_MAX,
                ],
            },
            build,
        },
        correct: "weighted",
    },
};

fn build(params: &mut Params<'_>, nodes: u32, _seed: u64) -> Result<Box<dyn Policy>, SpecError> {
    let uneven = (1..=nodes).map(|node| if node == 1 { 3 } else { 1 }).collect();
    let claimed = Weighted::new(take_weights(params, nodes, uneven)?);
    Ok(Box::new(WeightsIgnored { claimed, turns: RoundRobin::new(nodes) }))
}

#[derive(Debug)]
struct WeightsIgnored {
    claimed: Weighted,
    turns: RoundRobin,
}

impl Policy for WeightsIgnored {
    fn pick(&mut self, up: &NodeSet) -> NodeId {
        self.turns.pick(up)
    }

    fn intended_shares(&self) -> Option<Vec<f64>> {
        self.claimed.intended_shares()
    }
}
