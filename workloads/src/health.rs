//! Leaving a failing node, and probing for its return: a policy of its own that composes with every balancer.
//!
//! A node is ejected after a number of failures in a row, and then gets nothing until a backoff has passed. Then one
//! request probes it: if it is served, the node is back; if not, the backoff doubles, up to a limit. Any request
//! that is served brings a node back, also one that was under way when it was ejected: it does answer.
//! (Envoy's "consecutive errors" outlier detection, with an exponential backoff.)
//!
//! When every node is ejected, the balancer picks among all: asking someone beats asking nobody.
//!
//! The default is `off`: a tester's clients should meet the faults, not steer around them.

use crate::balancers::{NodeId, NodeSet, Outcome};
use crate::params::{MANY, take_between, take_duration};
use tribunal_spec::{Params, SpecError};

/// Whether nodes are left.
pub(crate) const PARAM: (&str, &str) =
    ("health=off", "off: ask every node, whatever it answered before; eject: leave failing nodes");
/// After how many failures.
pub(crate) const PARAM_FAILURES: (&str, &str) =
    ("failures=3", "failures in a row after which a node is ejected");
/// For how long at first.
pub(crate) const PARAM_BACKOFF: (&str, &str) =
    ("backoff=500ms", "how long an ejected node gets nothing, doubled with each failed probe");
/// For how long at most.
pub(crate) const PARAM_BACKOFF_MAX: (&str, &str) = ("backoff-max=8s", "the longest such time");

/// What a balancer's spec asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    /// How to eject; `None` if no node is ever left.
    pub(crate) eject: Option<Ejection>,
}

/// How nodes are ejected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ejection {
    failures: u32,
    backoff_ns: u64,
    backoff_max_ns: u64,
}

impl Ejection {
    /// The longest time for which an ejected node gets nothing.
    pub(crate) fn longest_ns(&self) -> u64 {
        self.backoff_max_ns.max(self.backoff_ns)
    }
}

impl Health {
    /// Takes the parameters of health from a balancer's spec.
    pub(crate) fn take(params: &mut Params<'_>) -> Result<Self, SpecError> {
        let eject = params.take_with("health", false, "off or eject", |text| match text {
            "off" => Some(false),
            "eject" => Some(true),
            _ => None,
        })?;
        let ejection = Ejection {
            failures: take_between(params, "failures", 3, (1, MANY))?,
            backoff_ns: take_duration(params, "backoff", 500_000_000)?,
            backoff_max_ns: take_duration(params, "backoff-max", 8_000_000_000)?,
        };
        Ok(Self { eject: eject.then_some(ejection) })
    }
}

/// Decides which nodes are up.
#[derive(Debug)]
pub(crate) struct Ejector {
    ejection: Ejection,
    all: NodeSet,
    /// By node, the first one first.
    nodes: Vec<State>,
    /// The nodes in the state [`State::Up`].
    up: NodeSet,
}

/// A node, as its answers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It gets requests. It has failed so often since it last served one.
    Up { failures: u32 },
    /// It gets none until a time.
    Out { until_ns: u64, backoff_ns: u64 },
    /// One request is on its way to see whether it is back.
    Probed { backoff_ns: u64 },
}

impl Ejector {
    /// All nodes are up.
    pub(crate) fn new(ejection: Ejection, nodes: u32) -> Self {
        let all = NodeSet::all(nodes);
        let nodes = all.iter().map(|_| State::Up { failures: 0 }).collect();
        Self { ejection, up: all.clone(), all, nodes }
    }

    /// The nodes that are up; may be none.
    pub(crate) fn up(&self) -> &NodeSet {
        &self.up
    }

    /// A node whose backoff has passed, if there is one: the next request is its probe.
    pub(crate) fn probe(&mut self, now: u64) -> Option<NodeId> {
        for (node, state) in (1..).zip(&mut self.nodes) {
            if let State::Out { until_ns, backoff_ns } = *state
                && until_ns <= now
            {
                *state = State::Probed { backoff_ns };
                return Some(node);
            }
        }
        None
    }

    /// Learns how a request to `node` ended.
    pub(crate) fn ended(&mut self, node: NodeId, outcome: Outcome, now: u64) {
        let state = &mut self.nodes[node as usize - 1];
        let was_up = matches!(state, State::Up { .. });
        *state = state.after(outcome, now, &self.ejection);
        if was_up != matches!(state, State::Up { .. }) {
            let nodes = &self.nodes;
            let is_up = |node| matches!(nodes[node as usize - 1], State::Up { .. });
            self.up = self.all.filtered(is_up);
        }
    }
}

impl State {
    fn after(self, outcome: Outcome, now: u64, ejection: &Ejection) -> Self {
        if !outcome.is_failure() {
            return Self::Up { failures: 0 };
        }
        match self {
            Self::Up { failures } if failures + 1 < ejection.failures => {
                Self::Up { failures: failures + 1 }
            }
            Self::Up { .. } => Self::out(ejection.backoff_ns, now),
            Self::Probed { backoff_ns } => {
                let doubled = backoff_ns.saturating_mul(2).min(ejection.backoff_max_ns);
                Self::out(doubled.max(ejection.backoff_ns), now)
            }
            // A request that was under way when the node was ejected, or one sent because all are out.
            Self::Out { .. } => self,
        }
    }

    fn out(backoff_ns: u64, now: u64) -> Self {
        Self::Out { until_ns: now.saturating_add(backoff_ns), backoff_ns }
    }
}
