//! A made-up world for the tests of invariants, and short names for facts.

use super::Invariant;
use crate::facts::{Fact, View};
use std::collections::{BTreeMap, BTreeSet};
use tribunal_protocol::{
    Claim, Command, Destination, Limits, NodeId, Observation, Operation, Reply, Request, SessionId,
    Value,
};

/// What nodes are and know, as a test says.
pub(super) struct Fake {
    members: Vec<NodeId>,
    pub(super) down: BTreeSet<NodeId>,
    pub(super) applied: BTreeMap<NodeId, u64>,
    pub(super) decided: BTreeMap<(NodeId, u64), Vec<Request>>,
    pub(super) digests: BTreeMap<NodeId, u64>,
    pub(super) asked: BTreeMap<(SessionId, u64), Vec<Operation>>,
    pub(super) promised: BTreeMap<NodeId, u64>,
    pub(super) accepted: BTreeMap<(NodeId, u64), u64>,
    /// So many nodes decide; a majority if it is not set.
    pub(super) quorum: Option<usize>,
    limits: Limits,
}

impl Fake {
    /// A cluster of `nodes` nodes that run and have done nothing.
    pub(super) fn new(nodes: u32) -> Self {
        Self {
            members: (1..=nodes).map(NodeId).collect(),
            down: BTreeSet::new(),
            applied: BTreeMap::new(),
            decided: BTreeMap::new(),
            digests: BTreeMap::new(),
            asked: BTreeMap::new(),
            promised: BTreeMap::new(),
            accepted: BTreeMap::new(),
            quorum: None,
            limits: Limits::default(),
        }
    }
}

impl View for Fake {
    fn members(&self) -> &[NodeId] {
        &self.members
    }

    fn is_up(&self, node: NodeId) -> bool {
        !self.down.contains(&node)
    }

    fn applied(&self, node: NodeId) -> Option<u64> {
        self.applied.get(&node).copied().filter(|_| self.is_up(node))
    }

    fn decided(&self, node: NodeId, slot: u64) -> Option<&[Request]> {
        self.decided.get(&(node, slot)).map(Vec::as_slice).filter(|_| self.is_up(node))
    }

    fn decides(&self, _node: NodeId, _slot: u64, _ballot: u64, acceptors: &[NodeId]) -> bool {
        acceptors.len() >= self.quorum.unwrap_or(self.members.len() / 2 + 1)
    }

    fn promised_ballot(&self, node: NodeId) -> Option<u64> {
        self.promised.get(&node).copied()
    }

    fn accepted_ballot(&self, node: NodeId, slot: u64) -> Option<u64> {
        self.accepted.get(&(node, slot)).copied()
    }

    fn state_digest(&self, node: NodeId) -> Option<u64> {
        self.digests.get(&node).copied().filter(|_| self.is_up(node))
    }

    fn asked(&self, session: SessionId, sequence: u64) -> Option<&[Operation]> {
        self.asked.get(&(session, sequence)).map(Vec::as_slice)
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// A fact that owns what it says.
#[derive(Clone, Debug)]
pub(super) enum Made {
    Started(NodeId, u64),
    Observed(NodeId, Observation),
    Durable(NodeId, Vec<Claim>),
    Sent(NodeId, Claim),
    Answered(NodeId, Request, Reply),
    Quiet,
}

impl Made {
    /// Shows it to an invariant.
    pub(super) fn show(&self, invariant: &mut dyn Invariant, view: &Fake) -> Result<(), String> {
        let fact = match self {
            Self::Started(node, incarnation) => {
                Fact::Started { node: *node, incarnation: *incarnation }
            }
            Self::Observed(node, observation) => Fact::Observed { node: *node, observation },
            Self::Durable(node, claims) => Fact::Durable { node: *node, claims },
            Self::Sent(from, claim) => {
                let (to, kind) = (Destination::Peers, "made");
                Fact::Sent { from: *from, to, kind, claim: *claim }
            }
            Self::Answered(node, request, reply) => Fact::Answered { node: *node, request, reply },
            Self::Quiet => Fact::Quiet,
        };
        invariant.check(&fact, view)
    }
}

/// Shows the facts in order. The first breach, and which fact it was.
pub(super) fn show(
    invariant: &mut dyn Invariant,
    view: &Fake,
    facts: &[Made],
) -> Result<(), (usize, String)> {
    let mut facts = facts.iter().enumerate();
    facts.try_for_each(|(at, fact)| fact.show(invariant, view).map_err(|why| (at, why)))
}

/// Demands that the facts are no breach.
#[track_caller]
pub(super) fn holds(invariant: &mut dyn Invariant, view: &Fake, facts: &[Made]) {
    if let Err((at, why)) = show(invariant, view, facts) {
        panic!("fact {at} ({:?}) is no breach: {why}", facts[at]);
    }
}

/// Demands that the last fact, and none before it, is a breach, whose description holds `words`.
#[track_caller]
pub(super) fn breached(invariant: &mut dyn Invariant, view: &Fake, facts: &[Made], words: &str) {
    let (at, why) = show(invariant, view, facts).expect_err("the last fact is a breach");
    assert_eq!(at, facts.len() - 1, "{why}");
    assert!(why.contains(words), "{why}");
}

pub(super) fn started(node: u32, incarnation: u64) -> Made {
    Made::Started(NodeId(node), incarnation)
}

pub(super) fn observed(node: u32, observation: Observation) -> Made {
    Made::Observed(NodeId(node), observation)
}

pub(super) fn decided(node: u32, slot: u64, digest: u64) -> Made {
    observed(node, Observation::Decided { slot, digest })
}

pub(super) fn applied(node: u32, slot: u64) -> Made {
    observed(node, Observation::Applied { slot, commands: 1 })
}

pub(super) fn installed(node: u32, slot: u64) -> Made {
    observed(node, Observation::Snapshot { slot, installed: true })
}

pub(super) fn taken(node: u32, slot: u64) -> Made {
    observed(node, Observation::Snapshot { slot, installed: false })
}

pub(super) fn sees_promised(node: u32, ballot: u64) -> Made {
    observed(node, Observation::Promised { ballot })
}

pub(super) fn sees_accepted(node: u32, ballot: u64, slot: u64, digest: u64) -> Made {
    observed(node, Observation::Accepted { slot, ballot, digest })
}

pub(super) fn durable(node: u32, claims: &[Claim]) -> Made {
    Made::Durable(NodeId(node), claims.to_vec())
}

pub(super) fn sent(node: u32, claim: Claim) -> Made {
    Made::Sent(NodeId(node), claim)
}

pub(super) fn answered(node: u32, request: &Request, reply: Reply) -> Made {
    Made::Answered(NodeId(node), request.clone(), reply)
}

pub(super) fn prepares(ballot: u64) -> Claim {
    Claim::Prepares { ballot }
}

pub(super) fn promised(ballot: u64) -> Claim {
    Claim::Promised { ballot }
}

pub(super) fn proposes(ballot: u64, slot: u64, digest: u64) -> Claim {
    Claim::Proposes { ballot, slot, digest }
}

/// As a message says it.
pub(super) fn accepted(ballot: u64, slot: u64) -> Claim {
    Claim::Accepted { ballot, slot, digest: None }
}

/// As a record says it.
pub(super) fn accepted_value(ballot: u64, slot: u64, digest: u64) -> Claim {
    Claim::Accepted { ballot, slot, digest: Some(digest) }
}

/// Opens a session. The first one that is opened has number 1.
pub(super) fn open(nonce: u64) -> Request {
    Request::OpenSession { nonce }
}

/// Adds to the only counter, in session 1.
pub(super) fn add(sequence: u64, amount: i64) -> Request {
    execute(sequence, 0, Operation::Add("counter".into(), amount))
}

/// A command of one operation, in session 1.
pub(super) fn execute(sequence: u64, watermark: u64, operation: Operation) -> Request {
    let operations = vec![operation];
    Request::Execute(Command { session: SessionId(1), sequence, watermark, operations })
}

/// An answer of one integer.
pub(super) fn count(count: i64) -> Reply {
    Reply::Results(vec![Value::Int(count)])
}
