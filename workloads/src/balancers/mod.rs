//! Which node gets an operation: one policy a file, and [`Balancer`], which joins a policy with the health of nodes.
//!
//! A policy picks among the nodes that are up. Which are up is decided by [`crate::health`], for every policy
//! alike, by the parameter `health`: `off` (the default) leaves no node, so that clients ask dead nodes too and
//! the history shows what each fault does to whoever meets it; `eject` leaves a failing node and probes for its return.
//!
//! # To add one
//! A file beside this one with `REGISTERED` and a type with [`Policy`], and one line in [`BALANCERS`].

mod leader;
mod least_outstanding;
mod power_of_two;
mod random;
pub(crate) mod round_robin;
pub(crate) mod textbook_random;
pub(crate) mod weighted;

use crate::health::{Ejector, Health};
use crate::mutants;
use std::fmt;
use tribunal_spec::{Entry, Params, Spec, SpecError};

/// A node, from 1.
pub type NodeId = u32;

/// Nodes, in ascending order. Never empty where a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSet(Vec<NodeId>);

impl NodeSet {
    /// The nodes from 1 to `nodes`.
    #[must_use]
    pub fn all(nodes: u32) -> Self {
        Self((1..=nodes).collect())
    }

    /// Those nodes that `keep` accepts.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(NodeId) -> bool) -> Self {
        Self(self.iter().filter(|&node| keep(node)).collect())
    }

    /// Whether it holds `node`. O(log n).
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.binary_search(&node).is_ok()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The nodes in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.0.iter().copied()
    }

    /// The node at `index`, from 0.
    ///
    /// # Panics
    /// If there are not that many.
    #[must_use]
    pub fn nth(&self, index: usize) -> NodeId {
        self.0[index]
    }

    /// The first node after `node`, around the circle. It may be `node` itself.
    ///
    /// # Panics
    /// If the set is empty.
    #[must_use]
    pub fn after(&self, node: NodeId) -> NodeId {
        self.0[self.0.partition_point(|&other| other <= node) % self.0.len()]
    }
}

/// What an attempt showed of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work, a mismatching cas included.
    Served,
    /// It answered that it cannot: overloaded, no leader, outcome unknown.
    Declined,
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time.
    TimedOut,
}

impl Outcome {
    /// Whether it speaks against the node.
    #[must_use]
    pub fn is_failure(self) -> bool {
        self != Self::Served
    }
}

/// A way to choose a node. Every choice must be in `up`, which is never empty.
pub trait Policy: fmt::Debug + Send {
    /// Chooses a node.
    fn pick(&mut self, up: &NodeSet) -> NodeId;

    /// A request goes to `node`, by this policy's choice or another's.
    fn started(&mut self, _node: NodeId) {}

    /// A request to `node` ended.
    fn ended(&mut self, _node: NodeId, _outcome: Outcome, _latency_ns: u64) {}

    /// Someone learned that `node` leads.
    fn leader_seen(&mut self, _node: NodeId) {}

    /// The share of the picks that each node is meant to get while all are up, first node first; `None` if that
    /// depends on what happens.
    fn intended_shares(&self) -> Option<Vec<f64>>;

    /// Whether it may leave a failing node by itself, so that its shares hold only while it leaves none.
    fn may_leave(&self) -> bool {
        false
    }

    /// Whether picks are independent draws, so that a chi-square test of their counts is sound.
    fn independent(&self) -> bool {
        false
    }
}

/// Builds a policy for a number of nodes and a seed.
pub type Build = fn(&mut Params<'_>, u32, u64) -> Result<Box<dyn Policy>, SpecError>;

/// A line of the registry of balancers.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// What `tribunal list` prints. Its parameters include those of health.
    pub entry: Entry,
    /// Builds its policy.
    pub build: Build,
}

/// Every balancer. The first is the default.
pub const BALANCERS: &[Registered] = &[
    round_robin::REGISTERED,
    random::REGISTERED,
    weighted::REGISTERED,
    least_outstanding::REGISTERED,
    power_of_two::REGISTERED,
    leader::REGISTERED,
    textbook_random::REGISTERED,
];

/// A policy with the health of nodes. Shared by all clients of a run: its counts are of all requests.
#[derive(Debug)]
pub struct Balancer {
    policy: Box<dyn Policy>,
    health: Option<Ejector>,
    all: NodeSet,
    left_at_most_ns: u64,
}

/// Builds the balancer that `spec` names, for the nodes from 1 to `nodes`. A broken one is found too: see [`mutants`].
///
/// # Errors
/// An unknown name or parameter, or a value that does not fit.
///
/// # Panics
/// Without nodes.
pub fn balancer(spec: &Spec, nodes: u32, seed: u64) -> Result<Balancer, SpecError> {
    assert!(nodes > 0, "a balancer needs a node");
    let found = match mutants::balancer(&spec.name) {
        Some(mutant) => mutant,
        None => tribunal_spec::find("balancer", &spec.name, BALANCERS, |item| &item.entry)?,
    };
    let mut params = spec.params();
    let health = Health::take(&mut params)?;
    let policy = (found.build)(&mut params, nodes, seed)?;
    params.finish()?;
    let left_at_most_ns = health.eject.map_or(0, |ejection| ejection.longest_ns());
    let health = health.eject.map(|ejection| Ejector::new(ejection, nodes));
    Ok(Balancer { policy, health, all: NodeSet::all(nodes), left_at_most_ns })
}

impl Balancer {
    /// Chooses a node for a request that starts at `now`: one that is due to be probed, else by the policy among
    /// those that are up, or among all if none is.
    pub fn pick(&mut self, now: u64) -> NodeId {
        let Some(health) = &mut self.health else { return self.policy.pick(&self.all) };
        if let Some(node) = health.probe(now) {
            return node;
        }
        let up = if health.up().is_empty() { &self.all } else { health.up() };
        self.policy.pick(up)
    }

    /// A request goes to `node`.
    pub fn started(&mut self, node: NodeId) {
        self.policy.started(node);
    }

    /// A request to `node` ended at `now`, `latency_ns` after its start. Every start needs an end.
    pub fn ended(&mut self, node: NodeId, outcome: Outcome, latency_ns: u64, now: u64) {
        self.policy.ended(node, outcome, latency_ns);
        if let Some(health) = &mut self.health {
            health.ended(node, outcome, now);
        }
    }

    /// Someone learned that `node` leads.
    pub fn leader_seen(&mut self, node: NodeId) {
        self.policy.leader_seen(node);
    }

    /// The nodes that are not ejected; `None` if the balancer never leaves one.
    #[must_use]
    pub fn up(&self) -> Option<&NodeSet> {
        self.health.as_ref().map(Ejector::up)
    }

    /// Whether the first picks of operations, which a history shows, keep the intended shares while no fault is in effect,
    /// for clients that send a request again up to `retries` times. Not if it may leave a failing node; and of picks that
    /// depend on each other the first ones are no fair sample, if retries take others.
    #[must_use]
    pub fn keeps_shares(&self, retries: u32) -> bool {
        let may_leave = self.health.is_some() || self.policy.may_leave();
        !may_leave && (retries == 0 || self.policy.independent())
    }

    /// The longest time for which it asks a failing node nothing, in ns; 0 if it never leaves one. Then the next
    /// request is a probe, and if the node serves it, it is back.
    #[must_use]
    pub fn left_at_most_ns(&self) -> u64 {
        self.left_at_most_ns
    }

    /// See [`Policy::intended_shares`]. They hold while no node is ejected.
    #[must_use]
    pub fn intended_shares(&self) -> Option<Vec<f64>> {
        self.policy.intended_shares()
    }

    /// See [`Policy::independent`]. Never with ejection, which makes picks depend on earlier ones.
    #[must_use]
    pub fn independent(&self) -> bool {
        self.health.is_none() && self.policy.independent()
    }
}

/// The same share for each node.
fn even_shares(nodes: u32) -> Vec<f64> {
    (0..nodes).map(|_| 1.0 / f64::from(nodes)).collect()
}

/// Requests under way, by node.
#[derive(Clone, Debug)]
struct Outstanding(Vec<u32>);

impl Outstanding {
    fn new(nodes: u32) -> Self {
        Self((0..nodes).map(|_| 0).collect())
    }

    fn at(&self, node: NodeId) -> u32 {
        self.0[node as usize - 1]
    }

    fn started(&mut self, node: NodeId) {
        self.0[node as usize - 1] += 1;
    }

    fn ended(&mut self, node: NodeId) {
        let count = &mut self.0[node as usize - 1];
        debug_assert!(*count > 0, "a request ends that never started");
        *count = count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests;
