//! "Flexible Paxos: Quorum Intersection Revisited" (2016), one test for each sentence that binds.

mod hand;

use hand::{Hand, config, kinds};
use std::collections::BTreeMap;
use std::time::Duration;
use tribunal_protocol::mutants::Mutated;
use tribunal_protocol::replication::{Ballot, Slot, Value};
use tribunal_protocol::variants::flexible_paxos::FlexiblePaxos;
use tribunal_protocol::variants::multi_paxos::{Message, MultiPaxos, Proposal};
use tribunal_protocol::variants::needed;
use tribunal_protocol::*;

const FIRST: Ballot = Ballot { round: 1, node: NodeId(1) };

fn promise(accepted: Vec<Proposal>) -> Message {
    Message::Promise { ballot: FIRST, decided: Slot(0), from: Slot(1), accepted, more: None }
}

fn accepted(slot: u64) -> Message {
    Message::Accepted { ballot: FIRST, slot: Slot(slot) }
}

fn write() -> Operation {
    Operation::Write("x".into(), tribunal_protocol::Value::Int(1))
}

/// Node 1 of `nodes`, which asks for promises and has its own.
fn candidate(nodes: u32, options: &[(&str, &str)]) -> Hand<FlexiblePaxos> {
    let mut node = Hand::new(config(1, nodes, options));
    assert!(kinds(&node.admin(Admin::Lead)).contains(&"prepare"));
    node
}

/// Node 1 of `nodes` as the leader, all of whom have promised.
fn leader(nodes: u32, options: &[(&str, &str)]) -> Hand<FlexiblePaxos> {
    let mut node = candidate(nodes, options);
    for peer in 2..=nodes {
        node.hear(peer, promise(Vec::new()));
    }
    assert_eq!(node.core.role(), Role::Leader);
    node
}

/// Section 3: phase 1 completes with "promises from a phase-1 quorum", and no fewer.
#[test]
fn a_leader_needs_promises_of_a_phase_1_quorum() {
    let mut node = candidate(5, &[]);
    for peer in 2..=4 {
        assert_eq!(node.core.role(), Role::Candidate, "{} of 4", peer - 1);
        node.hear(peer, promise(Vec::new()));
    }
    assert_eq!(node.core.role(), Role::Leader);
}

/// Section 3: a value is decided once a phase-2 quorum has accepted it, which need not be a majority.
#[test]
fn a_value_is_decided_by_a_phase_2_quorum() {
    for (nodes, options, needed) in [
        (5, &[][..], 2),
        (4, &[][..], 2),
        (3, &[][..], 2),
        (5, &[("phase1", "2")][..], 4),
        (5, &[("phase2", "1")][..], 1),
    ] {
        let mut node = leader(nodes, options);
        for peer in 2..=needed {
            assert_eq!(Core::applied(&node.core), Some(0), "{} of {needed}, {nodes}", peer - 1);
            node.hear(peer, accepted(1));
        }
        assert_eq!(Core::applied(&node.core), Some(1), "{needed} of {nodes} with {options:?}");
    }
}

/// Section 3: "it is only necessary for phase-1 quorums and phase-2 quorums to intersect": any sizes that do are taken.
#[test]
fn pairs_that_intersect_are_taken_and_no_others() {
    for nodes in 1..=7_usize {
        for (phase1, phase2) in (0..=nodes + 1).flat_map(|a| (0..=nodes + 1).map(move |b| (a, b))) {
            let text = [phase1.to_string(), phase2.to_string()];
            let config = config(1, nodes as u32, &[("phase1", &text[0]), ("phase2", &text[1])]);
            let mut out = Output::default();
            let options = config.options.clone();
            let started =
                FlexiblePaxos::recover(config, Time(0), None, std::iter::empty(), &mut out);
            let sizes = 1..=nodes;
            let fit = sizes.contains(&phase1) && sizes.contains(&phase2) && phase1 + phase2 > nodes;
            assert_eq!(started.is_ok(), fit, "{phase1} and {phase2} of {nodes}");
            let needed = needed("flexible-paxos", &options, nodes).expect("registered");
            assert_eq!(needed.ok(), fit.then_some(phase1.max(phase2)));
        }
    }
}

#[test]
fn a_pair_that_does_not_intersect_is_refused_with_the_reason() {
    let options = [("phase1", "2"), ("phase2", "3")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let refused = needed("flexible-paxos", &options.into(), 5).expect("registered");
    let why = refused.expect_err("2 + 3 is not above 5").0;
    assert!(why.contains("phase1=2 and phase2=3 need not share one of 5 nodes"), "{why}");
}

/// Section 4: the default sizes intersect, decide with no more than a majority, and survive what is claimed.
#[test]
fn default_sizes_gain_where_something_is_to_be_gained() {
    let sizes = |nodes| {
        let quorum = |size: u32| (1..=size).map(NodeId).collect::<Vec<_>>();
        let node: Hand<FlexiblePaxos> = Hand::new(config(1, nodes, &[]));
        let decides = |size: &u32| node.core.decides(1, 1, &quorum(*size)) == Some(true);
        let phase2 = (1..=nodes).find(decides).expect("all of them decide");
        let phase1 = needed("flexible-paxos", &BTreeMap::new(), nodes as usize);
        (phase1.expect("registered").expect("defaults fit") as u32, phase2)
    };
    let all = (1..=8).map(sizes).collect::<Vec<_>>();
    assert_eq!(all, [(1, 1), (2, 1), (2, 2), (3, 2), (4, 2), (4, 3), (5, 3), (5, 4)]);
    for (nodes, (phase1, phase2)) in (1..).zip(all) {
        assert!(phase1 + phase2 > nodes && phase2 <= nodes / 2 + 1);
        let survives = (FlexiblePaxos::CAPABILITIES.survives)(nodes as usize);
        assert_eq!(survives, (nodes - phase1) as usize);
    }
}

/// A read waits for nodes that share one with every phase-1 quorum: `n - phase1 + 1` of them.
#[test]
fn a_read_is_confirmed_by_what_meets_every_phase_1_quorum() {
    for (options, confirming) in [(&[][..], 2), (&[("phase1", "5")], 1), (&[("phase1", "2")], 4)] {
        let mut node = leader(5, options);
        for peer in 2..=5 {
            node.hear(peer, accepted(1));
        }
        let read = node.ask(Operation::Read("x".into()));
        let sent = node.sent();
        let round = sent.iter().find_map(|message| match message {
            Message::Heartbeat { round, .. } => Some(*round),
            _ => None,
        });
        let round = round.expect("a round for the read");
        for peer in 2..=confirming {
            assert!(!node.has_answered(read), "{} of {confirming} with {options:?}", peer - 1);
            node.hear(peer, Message::Heard { ballot: FIRST, round });
        }
        assert!(node.has_answered(read), "{confirming} with {options:?}");
    }
}

/// Section 5: in the steady state only phase-2 quorums are used, so a leader works on with fewer nodes than elected it.
#[test]
fn a_leader_goes_on_with_a_phase_2_quorum_and_steps_down_without() {
    let mut node = leader(5, &[]);
    for beat in 0..40 {
        node.wait(Duration::from_millis(50));
        node.hear(2, Message::Heard { ballot: FIRST, round: beat });
    }
    assert_eq!(node.core.role(), Role::Leader, "it hears one of four, and 2 of 5 decide");
    for _ in 0..40 {
        node.wait(Duration::from_millis(50));
    }
    assert_eq!(node.core.role(), Role::Follower, "it hears nobody");
}

/// P2c over a phase-1 quorum: the one node that it shares with the phase-2 quorum tells what may be decided.
#[test]
fn the_one_node_in_common_hands_on_what_is_decided() {
    let mut node = candidate(5, &[]);
    let value = Value::new(Vec::new(), b"decided by 4 and 5");
    let ballot = Ballot { round: 0, node: NodeId(5) };
    let decided = Proposal { slot: Slot(1), ballot, value: value.clone() };
    node.hear(2, promise(Vec::new()));
    node.hear(3, promise(Vec::new()));
    let sent = node.hear(4, promise(vec![decided]));
    let proposed = sent.iter().find_map(|message| match message {
        Message::Accept { proposal, .. } => Some(&proposal.value),
        _ => None,
    });
    assert_eq!(proposed, Some(&value));
}

#[test]
fn multi_paxos_takes_no_sizes() {
    let config = config(1, 3, &[("phase1", "2")]);
    let refused =
        MultiPaxos::recover(config, Time(0), None, std::iter::empty(), &mut Output::default());
    assert!(refused.expect_err("no such option").0.contains("`phase1` is not one"));
}

#[test]
fn an_operation_costs_what_one_of_multi_paxos_does() {
    let mut node = leader(5, &[]);
    for peer in 2..=5 {
        node.hear(peer, accepted(1));
    }
    node.sent();
    node.ask(write());
    assert_eq!(kinds(&node.sent()), ["accept"], "to every peer, of whom one is waited for");
    node.hear(3, accepted(2));
    assert_eq!(Core::applied(&node.core), Some(2));
}

/// The mutant leads on the word of nodes that need not have accepted what is decided.
#[test]
fn quorums_apart_leads_with_one_promise_too_few() {
    let mut node: Hand<Mutated<FlexiblePaxos>> =
        Hand::new(config(1, 5, &[("mutant", "quorums-apart")]));
    node.admin(Admin::Lead);
    node.hear(2, promise(Vec::new()));
    node.hear(3, promise(Vec::new()));
    assert_eq!(node.core.role(), Role::Leader, "3 of 5, though 4 and 5 decide");
}
