//! From symbolic targets to nodes and links.
//!
//! A function of (seed, the injection's id, the fault, the number of nodes, the leader): nothing else. The kinds of
//! partitions are those of `jepsen.nemesis`: `partition-random-node`, `partition-random-halves`, `bridge` and
//! `majorities-ring`, the last one always symmetric here.

use crate::faults::{Fault, Partition, Target};
use crate::schedule::Injection;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The node number that stands for the clients in [`Resolved::cut`].
pub const CLIENTS: u32 = 0;

/// What an injection's symbolic target came to mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolved {
    /// The nodes that the fault is aimed at, ascending.
    pub targets: Vec<u32>,
    /// Nodes that cannot answer meanwhile.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub down: BTreeSet<u32>,
    /// Directed links `(from, to)` that carry nothing meanwhile; [`CLIENTS`] stands for the clients.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cut: BTreeSet<(u32, u32)>,
    /// The leader that was known when the target was resolved, where the target depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<u32>,
}

/// The nodes and links that `injection` means in a system of nodes `1..=nodes`.
///
/// `leader` is the leader as far as anyone knows. Targets named `leader` read it, and fall back to any one node without it;
/// a bridge is any other node. Deterministic by (seed, injection, leader).
#[must_use]
pub fn resolve(seed: u64, nodes: u32, injection: &Injection, leader: Option<u32>) -> Resolved {
    let mut generator = crate::generator(seed, u64::from(injection.id) + 1);
    let mut order: Vec<u32> = (1..=nodes).collect();
    order.shuffle(&mut generator);
    let leader = leader.filter(|leader| (1..=nodes).contains(leader));
    match injection.fault {
        Fault::Partition { kind, .. } => partition(kind, &order, leader, &mut generator),
        fault => match fault.target() {
            Some(target) => aim(fault, target, &order, leader),
            // It is aimed at messages, and finds its victims as they come.
            None => Resolved::default(),
        },
    }
}

fn aim(fault: Fault, target: Target, order: &[u32], leader: Option<u32>) -> Resolved {
    let leader = leader.filter(|_| target == Target::Leader);
    let targets = match leader {
        Some(leader) => vec![leader],
        None => order.iter().copied().take(target.count(size(order)) as usize).collect(),
    };
    Resolved {
        down: targets.iter().copied().filter(|_| fault.stops_nodes()).collect(),
        targets: sorted(targets),
        leader,
        ..Resolved::default()
    }
}

/// `order` is a random permutation of the nodes.
fn partition(
    kind: Partition,
    order: &[u32],
    leader: Option<u32>,
    generator: &mut ChaCha8Rng,
) -> Resolved {
    let leader = leader.filter(|_| kind.wants_leader());
    let victim = match kind {
        Partition::Leader => leader.or(order.first().copied()),
        // Followers of one leader may have nothing to say to each other: between them, a cut would not bite.
        Partition::Bridge => order.iter().copied().find(|&node| Some(node) != leader),
        _ => order.first().copied(),
    };
    let Some(victim) = victim else { return Resolved::default() };
    let rest: Vec<u32> = order.iter().copied().filter(|&node| node != victim).collect();
    let (targets, cut) = match kind {
        Partition::One | Partition::Leader => (vec![victim], both_ways(&[victim], &rest)),
        Partition::Halves => {
            let (a, b) = order.split_at(order.len() / 2);
            (a.to_vec(), both_ways(a, b))
        }
        Partition::Bridge => {
            let (a, b) = rest.split_at(rest.len() / 2);
            (vec![victim], both_ways(a, b))
        }
        Partition::MajoritiesRing => (order.to_vec(), majorities_ring(order)),
        Partition::OneWay if generator.random_bool(0.5) => {
            (vec![victim], one_way(&[victim], &rest))
        }
        Partition::OneWay => (vec![victim], one_way(&rest, &[victim])),
        Partition::ClientSide => client_side(order, generator),
    };
    Resolved { targets: sorted(targets), down: BTreeSet::new(), cut, leader }
}

/// The nodes in a ring, each linked with those at most `reach` places away: `2 * reach + 1` nodes, itself included,
/// which is the smallest odd number that is a majority. Windows around different places differ as long as they are
/// smaller than the ring, which four nodes make true.
fn majorities_ring(order: &[u32]) -> BTreeSet<(u32, u32)> {
    let majority = order.len() / 2 + 1;
    let reach = majority / 2;
    let mut cut = BTreeSet::new();
    for (i, &from) in order.iter().enumerate() {
        for (j, &to) in order.iter().enumerate() {
            let apart = i.abs_diff(j);
            if apart.min(order.len() - apart) > reach {
                cut.insert((from, to));
            }
        }
    }
    cut
}

/// Clients from at most half of the nodes, at least one: requests, answers or both.
fn client_side(order: &[u32], generator: &mut ChaCha8Rng) -> (Vec<u32>, BTreeSet<(u32, u32)>) {
    let count = generator.random_range(1..=(size(order) / 2).max(1));
    let targets: Vec<u32> = order.iter().copied().take(count as usize).collect();
    let cut = match generator.random_range(0..3_u32) {
        0 => one_way(&[CLIENTS], &targets),
        1 => one_way(&targets, &[CLIENTS]),
        _ => both_ways(&[CLIENTS], &targets),
    };
    (targets, cut)
}

fn both_ways(a: &[u32], b: &[u32]) -> BTreeSet<(u32, u32)> {
    let mut cut = one_way(a, b);
    cut.extend(one_way(b, a));
    cut
}

fn one_way(from: &[u32], to: &[u32]) -> BTreeSet<(u32, u32)> {
    from.iter().flat_map(|&from| to.iter().map(move |&to| (from, to))).collect()
}

fn sorted(mut nodes: Vec<u32>) -> Vec<u32> {
    nodes.sort_unstable();
    nodes
}

/// The number of nodes; they were counted by a `u32`.
fn size(order: &[u32]) -> u32 {
    u32::try_from(order.len()).unwrap_or(u32::MAX)
}
