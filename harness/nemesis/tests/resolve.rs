//! What each symbolic target comes to mean.

use proptest::prelude::*;
use std::collections::BTreeSet;
use tribunal_nemesis::{CLIENTS, Injection, Resolved, minority, resolve};

fn injection(id: u32, fault: &str) -> Injection {
    let fault = fault.parse().expect("a fault");
    Injection { id, at_ms: 0, until_ms: 1, fault, resolved: None }
}

fn resolved(seed: u64, nodes: u32, fault: &str, leader: Option<u32>) -> Resolved {
    resolve(seed, nodes, &injection(0, fault), leader)
}

/// The nodes, itself included, that `node` can both hear and reach.
fn sees(node: u32, nodes: u32, cut: &BTreeSet<(u32, u32)>) -> BTreeSet<u32> {
    (1..=nodes)
        .filter(|&peer| !cut.contains(&(node, peer)) && !cut.contains(&(peer, node)))
        .collect()
}

fn is_symmetric(cut: &BTreeSet<(u32, u32)>) -> bool {
    cut.iter().all(|&(from, to)| cut.contains(&(to, from)))
}

proptest! {
    #[test]
    fn one_isolates_one_node(seed: u64, nodes in 2_u32..12) {
        let Resolved { targets, down, cut, .. } = resolved(seed, nodes, "partition:kind=one", None);
        prop_assert!(is_symmetric(&cut) && down.is_empty() && targets.len() == 1);
        prop_assert_eq!(cut.len() as u32, 2 * (nodes - 1));
        prop_assert_eq!(sees(targets[0], nodes, &cut), BTreeSet::from([targets[0]]));
    }

    #[test]
    fn halves_are_two_groups_of_nearly_equal_size(seed: u64, nodes in 2_u32..12) {
        let Resolved { targets, cut, .. } = resolved(seed, nodes, "partition:kind=halves", None);
        let half: BTreeSet<u32> = targets.iter().copied().collect();
        prop_assert!(is_symmetric(&cut));
        prop_assert_eq!(half.len() as u32, nodes / 2);
        for node in 1..=nodes {
            let group: BTreeSet<u32> =
                (1..=nodes).filter(|peer| half.contains(peer) == half.contains(&node)).collect();
            prop_assert_eq!(sees(node, nodes, &cut), group);
        }
    }

    #[test]
    fn in_a_majorities_ring_each_node_sees_a_majority_of_its_own(seed: u64, nodes in 4_u32..14) {
        let Resolved { cut, .. } = resolved(seed, nodes, "partition:kind=majorities-ring", None);
        prop_assert!(is_symmetric(&cut));
        let seen: Vec<BTreeSet<u32>> = (1..=nodes).map(|node| sees(node, nodes, &cut)).collect();
        prop_assert!(seen.iter().all(|group| group.len() as u32 > nodes / 2));
        prop_assert_eq!(seen.iter().collect::<BTreeSet<_>>().len() as u32, nodes);
    }

    #[test]
    fn a_bridge_joins_two_groups(seed: u64, nodes in 3_u32..12) {
        let Resolved { targets, cut, .. } = resolved(seed, nodes, "partition:kind=bridge", None);
        let bridge = targets[0];
        prop_assert!(is_symmetric(&cut) && targets.len() == 1);
        prop_assert_eq!(sees(bridge, nodes, &cut).len() as u32, nodes);
        let mut sizes = BTreeSet::new();
        for node in (1..=nodes).filter(|&node| node != bridge) {
            let group = sees(node, nodes, &cut);
            prop_assert!(group.contains(&bridge));
            sizes.insert(group.len() as u32 - 1);
            for peer in group.iter().filter(|&&peer| peer != bridge) {
                prop_assert_eq!(sees(*peer, nodes, &cut), group.clone());
            }
        }
        prop_assert!(sizes.iter().all(|&size| size == (nodes - 1) / 2 || size == nodes / 2));
    }

    #[test]
    fn a_bridge_is_not_the_leader(seed: u64, nodes in 3_u32..12, leader in 1_u32..12) {
        let found = resolved(seed, nodes, "partition:kind=bridge", Some(leader));
        prop_assert_ne!(found.targets, vec![leader]);
    }

    #[test]
    fn leader_isolates_the_leader_and_any_node_without_one(seed: u64, leader in 1_u32..6) {
        let with = resolved(seed, 5, "partition:kind=leader", Some(leader));
        prop_assert_eq!(&with.targets, &vec![leader]);
        prop_assert_eq!(with.leader, Some(leader));
        prop_assert_eq!(sees(leader, 5, &with.cut).len(), 1);
        let without = resolved(seed, 5, "partition:kind=leader", None);
        prop_assert_eq!((without.targets.len(), without.leader), (1, None));
        prop_assert_eq!(without, resolved(seed, 5, "partition:kind=leader", Some(9)));
    }

    #[test]
    fn one_way_cuts_one_direction(seed: u64, nodes in 2_u32..12) {
        let Resolved { targets, cut, .. } = resolved(seed, nodes, "partition:kind=one-way", None);
        let victim = targets[0];
        prop_assert_eq!(cut.len() as u32, nodes - 1);
        let deaf = cut.iter().all(|&(_, to)| to == victim);
        let mute = cut.iter().all(|&(from, _)| from == victim);
        prop_assert!(deaf || mute);
    }

    #[test]
    fn client_side_leaves_peers_alone_and_half_of_the_nodes(seed: u64, nodes in 1_u32..12) {
        let Resolved { targets, cut, .. } = resolved(seed, nodes, "partition:kind=client-side", None);
        prop_assert!(!cut.is_empty());
        prop_assert!(cut.iter().all(|&(from, to)| from == CLIENTS || to == CLIENTS));
        prop_assert!(targets.len() as u32 <= (nodes / 2).max(1));
    }

    #[test]
    fn targets_have_the_size_that_they_say(seed: u64, nodes in 1_u32..12, leader in 1_u32..12) {
        let down = |target: &str| {
            resolved(seed, nodes, &format!("kill:target={target}"), Some(leader)).down.len() as u32
        };
        prop_assert_eq!(down("one"), 1);
        prop_assert_eq!(down("minority"), minority(nodes).max(1));
        prop_assert_eq!(down("majority"), nodes / 2 + 1);
        prop_assert_eq!(down("all"), nodes);
        prop_assert_eq!(down("leader"), 1);
    }

    #[test]
    fn only_seed_id_and_leader_decide(seed: u64, id in 0_u32..1_000) {
        for fault in [
            "partition:kind=halves",
            "kill:target=minority",
            "pause:target=leader",
            "power-loss:target=leader,torn=yes",
            "clock:kind=jump,target=one",
            "aimed:do=drop,phase=accept",
        ] {
            let injection = injection(id, fault);
            let elsewhere = Injection { at_ms: 5, until_ms: 9, ..injection.clone() };
            prop_assert_eq!(resolve(seed, 5, &injection, Some(2)), resolve(seed, 5, &elsewhere, Some(2)));
        }
    }
}

/// One of each fault with a target, and whether its targets cannot answer meanwhile.
const AIMED_AT_NODES: [(&str, bool); 11] = [
    ("kill", true),
    ("pause", true),
    ("power-loss:torn=yes", true),
    ("bit-rot", true),
    ("disk-fail", true),
    ("slow-link", false),
    ("lossy-link", false),
    ("flaky-link", false),
    ("disk-stall", false),
    ("contest", false),
    ("clock:kind=jump", false),
];

#[test]
fn only_nodes_that_cannot_answer_are_down() {
    for (fault, is_down) in AIMED_AT_NODES {
        let separator = if fault.contains(':') { ',' } else { ':' };
        for (target, count) in
            [("one", 1), ("minority", 2), ("leader", 1), ("majority", 3), ("all", 5)]
        {
            if fault == "bit-rot" && count > 2 {
                continue;
            }
            let fault = format!("{fault}{separator}target={target}");
            let Resolved { targets, down, cut, leader } = resolved(7, 5, &fault, Some(4));
            assert_eq!((targets.len(), cut.len()), (count, 0), "{fault}");
            let expected =
                if is_down { targets.iter().copied().collect() } else { BTreeSet::new() };
            assert_eq!(down, expected, "{fault}");
            assert_eq!(leader, (target == "leader").then_some(4), "{fault}");
            assert!(target != "leader" || targets == [4], "{fault}");
            // The same nodes, whatever befalls them: a schedule may be edited from one fault to another.
            assert_eq!(targets, resolved(7, 5, &format!("kill:target={target}"), Some(4)).targets);
        }
    }
}

#[test]
fn what_is_aimed_at_messages_resolves_to_no_node() {
    for fault in ["aimed:do=crash-sender,phase=promise", "aimed:do=cut-leader,phase=accepted"] {
        assert_eq!(resolved(1, 5, fault, Some(3)), Resolved::default());
    }
}

#[test]
fn injections_differ_and_reach_every_node() {
    let hit: BTreeSet<u32> = (0..64)
        .flat_map(|id| resolve(1, 5, &injection(id, "kill:target=one"), None).targets)
        .collect();
    assert_eq!(hit, BTreeSet::from([1, 2, 3, 4, 5]));
}

#[test]
fn one_way_and_client_side_take_every_form() {
    let forms = |fault: &str| -> BTreeSet<(bool, bool)> {
        let hit = (0..64).map(|seed| resolved(seed, 5, fault, None));
        hit.map(|r| {
            let at_target = |node: &u32| r.targets.contains(node);
            (
                r.cut.iter().any(|(from, _)| at_target(from)),
                r.cut.iter().any(|(_, to)| at_target(to)),
            )
        })
        .collect()
    };
    assert_eq!(forms("partition:kind=one-way"), [(true, false), (false, true)].into());
    let all = [(true, false), (false, true), (true, true)].into();
    assert_eq!(forms("partition:kind=client-side"), all);
}
