//! Flexible Paxos: Multi-Paxos whose quorums of phase 1 and of phase 2 differ in size.
//!
//! Source: H. Howard, D. Malkhi and A. Spiegelman, "Flexible Paxos: Quorum Intersection Revisited" (OPODIS 2016),
//! section 3 for the observation, section 4.2 for simple quorums, section 5 for what they gain. The core is
//! [`multi_paxos`](super::multi_paxos), whose header has the messages, the costs and all else: only three numbers
//! differ.
//!
//! # Invariant
//! * Every quorum of phase 1 shares a node with every quorum of phase 2: `phase1 + phase2 > n`. Quorums of the same
//!   phase need not. So whoever comes to lead hears of all that may be decided: P2c asks for no more ("it is only
//!   necessary for phase-1 quorums and phase-2 quorums to intersect").
//!
//! # Decisions
//! * *Default sizes.* An even `n` takes `phase2 = n/2`, `phase1 = n/2 + 1`: one acceptance less than a majority, at no
//!   price (section 4.1). An odd `n` from 5 on takes `phase2 = (n - 1)/2`, `phase1 = (n + 3)/2`: every write waits for
//!   one disk less, a leader works on with one node less, and the price, one node more for an election, is asked for
//!   only after the leader's death. Three nodes keep majorities: `phase2 = 1` would let no leader be replaced while
//!   any node is down.
//! * *Given sizes.* Of one, the other follows as the smallest that intersects: `n + 1` less it. A pair that does not
//!   intersect, or is larger than `n`, is refused before anything starts.
//! * *Reads.* A leader must know that no later one had finished phase 1 when the read came, so the nodes that confirm
//!   its reign must share one with every quorum of phase 1: `n - phase1 + 1` do. That is never more than `phase2`.
//! * *Disturbance.* A canvass asks for `phase1` nodes that hear no leader, as nothing less could elect one. A leader
//!   steps down when it hears fewer than `phase2`, which can decide nothing; not when it hears fewer than `phase1`,
//!   which it no longer needs.
//!
//! # Absent
//! Quorums that are not told by size (grids, weights), sending phase 2 to one quorum only (section 5), and sizes that
//! change while it runs.

use super::Variant;
use super::multi_paxos::{self, Message, MultiPaxos, Quorums, Record};
use crate::core::{
    Admin, Claim, Config, Core, Damaged, Input, NodeId, Output, Position, Role, Snapshot, Time,
    VOTERS,
};
use crate::machine::{Capabilities, Failure, Reply, Request};
use std::collections::BTreeMap;

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "flexible-paxos",
    summary: "Multi-Paxos that decides with fewer nodes than it elects with: quorums of different phases intersect",
    paper: "Howard, Malkhi and Spiegelman, Flexible Paxos: Quorum Intersection Revisited (2016)",
    params: &[
        (
            "phase1=n - phase2 + 1",
            "how many nodes must promise before one leads; any size with phase1 + phase2 > n",
        ),
        (
            "phase2=n/2",
            "how many nodes must accept before a value is decided; n/2 rounded down, but 2 of 3",
        ),
        multi_paxos::PARAMS[0],
        multi_paxos::PARAMS[1],
        multi_paxos::PARAMS[2],
        multi_paxos::PARAMS[3],
    ],
    capabilities: FlexiblePaxos::CAPABILITIES,
    quorums: "phase1 promise, phase2 accept, phase1 + phase2 > n; n - phase1 + 1 confirm a reign for reads",
    survives: "n - phase2 nodes down or cut off under one leader, n - phase1 for the next election, so 1 of 5; any \
               number of restarts, message loss, delay, duplication and reordering; clocks that are wrong",
    costs: multi_paxos::VARIANT.costs,
};

/// One node: a Multi-Paxos node that counts otherwise.
#[derive(Debug)]
pub struct FlexiblePaxos {
    pub(crate) core: MultiPaxos,
    sizes: Sizes,
    out: Output<MultiPaxos>,
}

/// How many nodes make a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    phase1: usize,
    phase2: usize,
}

const PHASE1: &str = "phase1";
const PHASE2: &str = "phase2";

impl Sizes {
    const fn by_default(nodes: usize) -> Self {
        let phase2 = match nodes {
            0 | 1 => 1,
            3 => 2,
            _ => nodes / 2,
        };
        Self { phase1: nodes + 1 - phase2, phase2 }
    }

    fn read(nodes: usize, options: &BTreeMap<String, String>) -> Result<Self, Damaged> {
        let refuse = |what: String| Damaged(format!("no log was read: {what}"));
        let size = |key: &str| {
            let Some(text) = options.get(key) else { return Ok(None) };
            let size = text.parse().ok().filter(|size| (1..=nodes).contains(size));
            let expected = format!("option `{key}` must be a number from 1 to {nodes}, the nodes");
            size.map(Some).ok_or_else(|| refuse(expected))
        };
        let sizes = match (size(PHASE1)?, size(PHASE2)?) {
            (None, None) => Self::by_default(nodes),
            (Some(phase1), None) => Self { phase1, phase2: nodes + 1 - phase1 },
            (None, Some(phase2)) => Self { phase1: nodes + 1 - phase2, phase2 },
            (Some(phase1), Some(phase2)) => Self { phase1, phase2 },
        };
        let Self { phase1, phase2 } = sizes;
        if phase1 + phase2 <= nodes {
            return Err(refuse(format!(
                "quorums of phase1={phase1} and phase2={phase2} need not share one of {nodes} nodes; \
                 their sum must be above {nodes}"
            )));
        }
        Ok(sizes)
    }

    fn quorums(self, nodes: usize) -> Quorums {
        Quorums { promise: self.phase1, accept: self.phase2, read: nodes + 1 - self.phase1 }
    }
}

impl Core for FlexiblePaxos {
    type Message = Message;
    type Record = Record;

    const CAPABILITIES: Capabilities = Capabilities {
        survives: |nodes| {
            let Sizes { phase1, phase2 } = Sizes::by_default(nodes);
            nodes.saturating_sub(if phase1 > phase2 { phase1 } else { phase2 })
        },
        membership: false,
        ..MultiPaxos::CAPABILITIES
    };

    fn needed(nodes: usize, options: &BTreeMap<String, String>) -> Result<usize, Damaged> {
        let Sizes { phase1, phase2 } = Sizes::read(nodes, options)?;
        Ok(phase1.max(phase2))
    }

    fn recover(
        mut config: Config,
        now: Time,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
        out: &mut Output<Self>,
    ) -> Result<Self, Damaged> {
        if config.options.contains_key(VOTERS) {
            return Err(Damaged("no log was read: its members do not change".to_owned()));
        }
        let nodes = config.members.len();
        let sizes = Sizes::read(nodes, &config.options)?;
        for option in [PHASE1, PHASE2] {
            config.options.remove(option);
        }
        let mut own = Output::default();
        let quorums = sizes.quorums(nodes);
        let core = MultiPaxos::start(config, quorums, now, snapshot, records, &mut own)?;
        own.hand_over(out);
        Ok(Self { core, sizes, out: own })
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Output<Self>) {
        if let Input::Admin(id, Admin::Add(_) | Admin::Remove(_)) = input {
            return out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
        }
        self.core.step(now, input, &mut self.out);
        self.out.hand_over(out);
    }

    fn role(&self) -> Role {
        self.core.role()
    }

    fn leader(&self) -> Option<NodeId> {
        self.core.leader()
    }

    fn claim_of(record: &Record) -> Claim {
        MultiPaxos::claim_of(record)
    }

    fn applied(&self) -> Option<u64> {
        Core::applied(&self.core)
    }

    fn decided(&self, slot: u64) -> Option<&[Request]> {
        Core::decided(&self.core, slot)
    }

    fn decides(&self, _slot: u64, _ballot: u64, acceptors: &[NodeId]) -> Option<bool> {
        Some(acceptors.len() >= self.sizes.phase2)
    }

    fn promised_ballot(&self) -> Option<u64> {
        self.core.promised_ballot()
    }

    fn accepted_ballot(&self, slot: u64) -> Option<u64> {
        self.core.accepted_ballot(slot)
    }

    fn state_digest(&self) -> Option<u64> {
        self.core.state_digest()
    }
}
