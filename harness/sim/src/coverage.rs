//! How much of the space of executions was reached: distinct states of the whole system, coarsely.
//!
//! A state is, of each node, whether it is up, its role, the rank of its ballot among the nodes, and how far it has applied
//! relative to the others, in powers of two. Coarse enough that counts saturate when seeds no longer bring anything
//! new; it is a measure to compare plans by, and proves nothing.

use crate::hash::Hash;
use std::collections::BTreeSet;
use tribunal_protocol::{Observation, Role};

/// The states that one execution went through.
#[derive(Debug)]
pub(crate) struct Coverage {
    nodes: Vec<Standing>,
    states: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    up: bool,
    role: u8,
    ballot: u64,
    applied: u64,
}

impl Coverage {
    /// Nothing was reached.
    pub(crate) fn new(nodes: u32) -> Self {
        Self { nodes: vec![Standing::default(); nodes as usize], states: BTreeSet::new() }
    }

    /// The last ballot in which the node said that it has a role.
    pub(crate) fn ballot(&self, node: u32) -> u64 {
        self.nodes[node as usize - 1].ballot
    }

    pub(crate) fn started(&mut self, node: u32) {
        self.nodes[node as usize - 1].up = true;
        self.note();
    }

    pub(crate) fn ended(&mut self, node: u32) {
        self.nodes[node as usize - 1] = Standing::default();
        self.note();
    }

    pub(crate) fn observe(&mut self, node: u32, observation: &Observation) {
        let own = &mut self.nodes[node as usize - 1];
        match *observation {
            Observation::Role { role, ballot } => {
                own.role = match role {
                    Role::Follower => 0,
                    Role::Candidate => 1,
                    Role::Leader => 2,
                    Role::Peer => 3,
                };
                own.ballot = ballot;
            }
            Observation::Promised { ballot } => own.ballot = ballot,
            Observation::Snapshot { slot, .. } => own.applied = slot,
            Observation::Applied { slot, .. } => {
                own.applied = slot;
                return; // Too many to look at each.
            }
            _ => return,
        }
        self.note();
    }

    fn note(&mut self) {
        let applied_max = self.nodes.iter().map(|node| node.applied).max().unwrap_or_default();
        let mut hash = Hash::default();
        for node in &self.nodes {
            let rank = self.nodes.iter().filter(|other| other.ballot < node.ballot).count();
            let behind = u64::BITS - (applied_max - node.applied).leading_zeros();
            hash.word(u64::from(node.up) | u64::from(node.role) << 1);
            hash.word(rank as u64 | u64::from(behind) << 8);
        }
        self.states.insert(hash.finish());
    }

    /// The states, each by its hash.
    pub(crate) fn finish(self) -> BTreeSet<u64> {
        self.states
    }
}
