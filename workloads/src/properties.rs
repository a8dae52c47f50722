//! The properties that a system and its balancer are held to, beside what a workload's own checkers say: one list, for runs of
//! real processes and for simulated executions.

use crate::{Balancer, Workload};
use tribunal_checkers::Checker;
use tribunal_checkers::availability::{self, Availability};
use tribunal_checkers::exits::Exits;
use tribunal_checkers::fairness::{self, Fairness};
use tribunal_checkers::recovery::Recovery;
use tribunal_checkers::returns::{self, Returns};

/// How far the share of a node may be off, if shares are asserted and picks are not independent draws.
const SHARE_DEVIATION_MAX: f64 = 0.05;

/// What a run promises its judges.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The nodes are 1 to this.
    pub nodes: u32,
    /// How many of them must be up and connected so that they have to serve, if more than a majority.
    pub needed: u32,
    /// How long a connected majority may leave everything unserved, in ns.
    pub available_within_ns: u64,
    /// How long after healing every node must answer, in ns.
    pub recover_within_ns: u64,
    /// How long after the last fault a balancer may still leave a node that it has no reason to leave, in ns.
    pub returns_within_ns: u64,
    /// How many attempts of a client may follow the first.
    pub retries: u32,
    /// Whether the balancer is held to its shares and its returns.
    pub assert_shares: bool,
    /// The clients among whom service should be even, if it should.
    pub clients: Option<fairness::Clients>,
}

/// Everything that convicts: the workload's checkers, and those of every run.
#[must_use]
pub fn properties(
    workload: &dyn Workload,
    balancer: &Balancer,
    terms: &Terms,
) -> Vec<Box<dyn Checker>> {
    let mut checkers = workload.checkers();
    let limits = availability::Limits {
        grace_ns: terms.available_within_ns,
        needed: terms.needed,
        ..availability::Limits::default()
    };
    checkers.push(Box::new(Exits::new()));
    checkers.push(Box::new(Availability::new(terms.nodes, limits)));
    // Nodes that are dead on purpose are told by the history itself.
    let recovery = Recovery::new(1..=terms.nodes, terms.recover_within_ns);
    checkers.push(Box::new(recovery.needing(terms.needed)));
    if terms.assert_shares {
        checkers.push(Box::new(fairness(balancer, terms)));
        // Until then a balancer may leave a node, and a node may recover.
        let grace_ns = terms.returns_within_ns.saturating_add(balancer.left_at_most_ns());
        let (nodes, shares) = (terms.nodes, balancer.intended_shares());
        checkers.push(Box::new(Returns::new(returns::Options { nodes, shares, grace_ns })));
    }
    checkers
}

/// How evenly nodes and clients were served; it convicts only where shares are asserted and can be kept.
#[must_use]
pub fn fairness(balancer: &Balancer, terms: &Terms) -> Fairness {
    Fairness::new(fairness::Options {
        nodes: terms.nodes,
        shares: balancer.intended_shares(),
        independent: balancer.independent(),
        assert_shares: terms.assert_shares && balancer.keeps_shares(terms.retries),
        deviation_max: SHARE_DEVIATION_MAX,
        settle_ns: balancer.left_at_most_ns(),
        clients: terms.clients,
    })
}
