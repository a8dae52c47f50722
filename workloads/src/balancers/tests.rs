//! Every policy: its shares, its known sequences, and that it never leaves the nodes that are up.

use super::*;
use crate::draw::Draw;
use proptest::prelude::*;

fn make(spec: &str, nodes: u32) -> Balancer {
    balancer(&Spec::parse(spec).expect("a spec"), nodes, 1).expect("a balancer")
}

fn picks(balancer: &mut Balancer, count: usize) -> Vec<NodeId> {
    (0..count).map(|_| balancer.pick(0)).collect()
}

/// The share of each node in `count` picks, each served before the next.
fn shares(spec: &str, nodes: u32, count: u32) -> Vec<f64> {
    let mut balancer = make(spec, nodes);
    let mut counts = vec![0_u32; nodes as usize];
    for _ in 0..count {
        let node = balancer.pick(0);
        balancer.started(node);
        balancer.ended(node, Outcome::Served, 1, 0);
        counts[node as usize - 1] += 1;
    }
    counts.iter().map(|&picked| f64::from(picked) / f64::from(count)).collect()
}

fn assert_near(shares: &[f64], expected: &[f64], tolerance: f64) {
    let near = shares.iter().zip(expected).all(|(share, other)| (share - other).abs() <= tolerance);
    assert!(near && shares.len() == expected.len(), "{shares:?} is not near {expected:?}");
}

/// Four standard deviations of a share of 10,000 independent picks.
const FOUR_SIGMA: f64 = 0.02;

#[test]
fn every_policy_keeps_its_declared_shares_but_the_textbook() {
    for (spec, tolerance) in
        [("round-robin", 0.0), ("random", FOUR_SIGMA), ("weighted:weights=5/3/1/1", 0.0)]
    {
        let intended = make(spec, if spec.contains('5') { 4 } else { 5 }).intended_shares();
        let intended = intended.expect("it declares shares");
        let nodes = u32::try_from(intended.len()).expect("few nodes");
        assert_near(&shares(spec, nodes, 10_000), &intended, tolerance + 1e-9);
    }
}

#[test]
fn the_textbook_gives_a_half_and_two_quarters() {
    assert_near(&shares("textbook-random", 3, 10_000), &[0.5, 0.25, 0.25], FOUR_SIGMA);
    assert_near(&shares("textbook-random", 5, 10_000), &[0.5, 0.25, 0.25, 0.0, 0.0], FOUR_SIGMA);
    assert_near(&shares("textbook-random", 2, 10_000), &[0.5, 0.5], FOUR_SIGMA);
    let declared = make("textbook-random", 3).intended_shares().expect("it declares shares");
    assert_near(&declared, &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0], 1e-9);
}

#[test]
fn policies_that_look_at_load_are_even_without_any() {
    for spec in ["least-outstanding", "power-of-two-choices", "leader"] {
        assert_near(&shares(spec, 4, 10_000), &[0.25; 4], FOUR_SIGMA);
        assert_eq!(make(spec, 4).intended_shares(), None);
    }
}

#[test]
fn round_robin_goes_round() {
    assert_eq!(picks(&mut make("round-robin", 3), 7), [1, 2, 3, 1, 2, 3, 1]);
}

#[test]
fn smooth_weights_spread_evenly() {
    assert_eq!(picks(&mut make("weighted:weights=3/1/1", 3), 10), [1, 2, 1, 3, 1, 1, 2, 1, 3, 1]);
    // The example of nginx's own commit: a a b a c a a.
    assert_eq!(picks(&mut make("weighted:weights=5/1/1", 3), 7), [1, 1, 2, 1, 3, 1, 1]);
}

#[test]
fn the_least_loaded_is_picked() {
    let mut balancer = make("least-outstanding", 3);
    for node in [1, 1, 2] {
        balancer.started(node);
    }
    assert_eq!(balancer.pick(0), 3);
    balancer.started(3);
    balancer.started(3);
    assert_eq!(balancer.pick(0), 2);
    balancer.ended(1, Outcome::Served, 1, 0);
    balancer.ended(1, Outcome::TimedOut, 1, 0);
    assert_eq!(balancer.pick(0), 1);
}

#[test]
fn the_power_of_two_never_picks_the_one_most_loaded() {
    let mut balancer = make("power-of-two-choices", 3);
    balancer.started(2);
    let picked = picks(&mut balancer, 1000);
    assert!(picked.contains(&1) && picked.contains(&3) && !picked.contains(&2));
}

#[test]
fn the_leader_is_followed_until_it_is_gone() {
    let mut balancer = make("leader", 3);
    assert_eq!(picks(&mut balancer, 3), [1, 2, 3]);
    balancer.leader_seen(2);
    balancer.leader_seen(9);
    assert_eq!(picks(&mut balancer, 3), [2, 2, 2]);
    balancer.started(2);
    balancer.ended(2, Outcome::Declined, 1, 0);
    assert_eq!(balancer.pick(0), 2);
    balancer.started(2);
    balancer.ended(2, Outcome::TimedOut, 1, 0);
    assert_eq!(picks(&mut balancer, 3), [1, 2, 3]);
}

#[test]
fn without_ejection_a_dead_node_is_asked_like_any_other() {
    let mut balancer = make("round-robin", 2);
    for _ in 0..20 {
        balancer.started(1);
        balancer.ended(1, Outcome::Unreachable, 1, 0);
    }
    assert_eq!(picks(&mut balancer, 4), [1, 2, 1, 2]);
    assert_eq!(balancer.up(), None);
}

#[test]
fn a_failing_node_is_left_and_found_again() {
    let mut balancer =
        make("round-robin:health=eject,failures=2,backoff=100ns,backoff-max=300ns", 3);
    let end = |balancer: &mut Balancer, outcome, now| {
        balancer.started(2);
        balancer.ended(2, outcome, 1, now);
    };
    end(&mut balancer, Outcome::Unreachable, 0);
    end(&mut balancer, Outcome::Served, 0);
    end(&mut balancer, Outcome::Declined, 0);
    assert_eq!(picks(&mut balancer, 3), [1, 2, 3], "two failures in a row are needed");
    end(&mut balancer, Outcome::TimedOut, 0);
    assert_eq!(picks(&mut balancer, 4), [1, 3, 1, 3]);
    // Each failed probe doubles the time without requests, up to the limit.
    for (probe_at, next_at) in [(100, 300), (300, 600), (600, 900)] {
        assert_ne!(balancer.pick(probe_at - 1), 2);
        assert_eq!(balancer.pick(probe_at), 2);
        assert_ne!(balancer.pick(probe_at), 2, "one probe at a time");
        end(&mut balancer, Outcome::Unreachable, probe_at);
        assert_ne!(balancer.pick(next_at - 1), 2);
    }
    assert_eq!(balancer.pick(900), 2);
    end(&mut balancer, Outcome::Served, 901);
    let mut after: Vec<NodeId> = (0..3).map(|_| balancer.pick(902)).collect();
    after.sort_unstable();
    assert_eq!(after, [1, 2, 3]);
}

#[test]
fn failures_of_requests_under_way_do_not_keep_a_node_out_longer() {
    let mut balancer = make("round-robin:health=eject,failures=1,backoff=100ns", 2);
    for now in [0, 50, 90] {
        balancer.started(1);
        balancer.ended(1, Outcome::TimedOut, 1, now);
    }
    assert_eq!([balancer.pick(99), balancer.pick(100)], [2, 1]);
}

#[test]
fn when_all_are_ejected_someone_is_asked() {
    let mut balancer = make("round-robin:health=eject,failures=1,backoff=1s", 2);
    for node in [1, 2] {
        balancer.started(node);
        balancer.ended(node, Outcome::Unreachable, 1, 0);
    }
    assert_eq!(balancer.up().map(NodeSet::len), Some(0));
    assert_eq!(picks(&mut balancer, 4), [1, 2, 1, 2]);
}

#[test]
fn only_independent_draws_say_so() {
    let independent: Vec<&str> = BALANCERS
        .iter()
        .map(|item| item.entry.name)
        .filter(|name| make(name, 3).independent())
        .collect();
    assert_eq!(independent, ["random", "textbook-random"]);
    assert!(!make("random:health=eject", 3).independent());
}

#[test]
fn the_documented_parameters_are_those_that_are_taken() {
    for item in BALANCERS {
        for (param, _) in item.entry.params {
            let spec = format!("{}:{param}", item.entry.name);
            make(&spec, 3);
        }
        let unknown = Spec::parse(&format!("{}:colour=red", item.entry.name)).expect("a spec");
        let error = balancer(&unknown, 3, 1).expect_err("unknown").to_string();
        for (param, _) in item.entry.params {
            let key = param.split('=').next().expect("a key");
            assert!(error.contains(key), "{error} does not name {key}");
        }
    }
}

#[test]
fn weights_have_to_fit_the_nodes() {
    for weights in ["3/1", "3/1/1/1", "0/1/1", "a/b/c", "1001/1/1", ""] {
        let spec = Spec::parse(&format!("weighted:weights={weights}")).expect("a spec");
        assert!(balancer(&spec, 3, 1).is_err(), "{weights:?}");
    }
}

const OUTCOMES: [Outcome; 4] =
    [Outcome::Served, Outcome::Declined, Outcome::Unreachable, Outcome::TimedOut];

proptest! {
    #[test]
    fn no_pick_leaves_the_nodes_and_a_seed_repeats(
        policy in 0..BALANCERS.len(),
        nodes in 1_u32..8,
        eject in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let health = if eject { "eject" } else { "off" };
        let text = format!("{}:health={health},backoff=10ns", BALANCERS[policy].entry.name);
        let spec = Spec::parse(&text).expect("a spec");
        let run = || {
            let mut balancer = balancer(&spec, nodes, seed).expect("a balancer");
            let mut chaos = Draw::new(seed, 1);
            let mut open: Vec<NodeId> = Vec::new();
            let mut picked = Vec::new();
            for now in 0..300 {
                let node = balancer.pick(now);
                balancer.started(node);
                open.push(node);
                picked.push(node);
                while open.len() > chaos.index(6) {
                    let ended = open.swap_remove(chaos.index(open.len()));
                    let outcome = OUTCOMES[chaos.index(OUTCOMES.len())];
                    balancer.ended(ended, outcome, 1, now);
                }
                if chaos.percent(5) {
                    balancer.leader_seen(chaos.below_u32(nodes + 2));
                }
            }
            picked
        };
        let picked = run();
        prop_assert!(picked.iter().all(|node| (1..=nodes).contains(node)));
        prop_assert_eq!(picked, run());
    }

    #[test]
    fn a_policy_picks_among_the_nodes_that_are_up(policy in 0..BALANCERS.len(), up in 1_u32..32) {
        let spec = Spec::named(BALANCERS[policy].entry.name);
        let mut params = spec.params();
        let mut policy = (BALANCERS[policy].build)(&mut params, 5, 3).expect("a policy");
        let up = NodeSet::all(5).filtered(|node| up >> (node - 1) & 1 == 1);
        policy.leader_seen(2);
        for _ in 0..50 {
            let node = policy.pick(&up);
            prop_assert!(up.contains(node));
            policy.started(node);
        }
    }
}
