//! Changes of membership by R-alpha ("Reconfiguring a State Machine", 2010, section 3.1), one test for each rule.

mod hand;

use hand::{Hand, config};
use tribunal_protocol::replication::{Ballot, Slot};
use tribunal_protocol::variants::multi_paxos::{Message, MultiPaxos, Proposal};
use tribunal_protocol::*;

const FIRST: Ballot = Ballot { round: 1, node: NodeId(1) };
/// Slots that a change waits before it governs.
const ALPHA: u64 = 4;
/// The operator's request.
const CHANGE: u64 = 1_000_000;

fn promise(from: u64, decided: u64, accepted: Vec<Proposal>) -> Message {
    let (decided, from) = (Slot(decided), Slot(from));
    Message::Promise { ballot: FIRST, decided, from, accepted, more: None }
}

fn accepted(slot: u64) -> Message {
    Message::Accepted { ballot: FIRST, slot: Slot(slot) }
}

/// Node 1 of five, of whom the first three are members, as their leader; its first slot is decided.
fn leader() -> Hand<MultiPaxos> {
    let mut config = config(1, 5, &[("voters", "3")]);
    config.limits.pipeline = ALPHA as usize;
    let mut node: Hand<MultiPaxos> = Hand::new(config);
    node.admin(Admin::Lead);
    for learner in [4, 5] {
        node.hear(learner, promise(1, 0, Vec::new()));
        assert_eq!(node.core.role(), Role::Candidate, "learners' promises elect nobody");
    }
    node.hear(2, promise(1, 0, Vec::new()));
    assert_eq!(node.core.role(), Role::Leader);
    node.replies.clear();
    decide(&mut node, 1, 2);
    node
}

/// A peer accepts the slot, which decides it.
fn decide(node: &mut Hand<MultiPaxos>, slot: u64, peer: u32) {
    assert_eq!(Core::applied(&node.core), Some(slot - 1));
    node.hear(peer, accepted(slot));
    assert_eq!(Core::applied(&node.core), Some(slot), "accepted by {peer}");
}

/// The slots that are proposed in these messages.
fn proposed(sent: &[Message]) -> Vec<u64> {
    let slot = |message: &Message| match message {
        Message::Accept { proposal, .. } => Some(proposal.slot.0),
        _ => None,
    };
    sent.iter().filter_map(slot).collect()
}

fn told(node: &Hand<MultiPaxos>) -> Option<&Reply> {
    node.replies.iter().find(|(id, _)| *id == CHANGE).map(|(_, reply)| reply)
}

#[test]
fn those_who_are_no_members_decide_nothing() {
    let mut node = leader();
    node.ask(Operation::Write("x".into(), tribunal_protocol::Value::Int(1)));
    for learner in [4, 5] {
        node.hear(learner, accepted(2));
        assert_eq!(Core::applied(&node.core), Some(1));
    }
    decide(&mut node, 2, 3);
    let nodes = |numbers: &[u32]| numbers.iter().copied().map(NodeId).collect::<Vec<_>>();
    assert_eq!(node.core.decides(2, 1, &nodes(&[1, 4, 5])), Some(false));
    assert_eq!(node.core.decides(2, 1, &nodes(&[1, 3])), Some(true));
}

/// "The configuration chosen by the command in slot s governs slot s + alpha", and no-ops bring that about.
#[test]
fn a_change_governs_alpha_slots_later_and_no_ops_hasten_it() {
    let mut node = leader();
    let sent = node.admin(Admin::Add(NodeId(4)));
    assert_eq!(proposed(&sent), [2], "the change");
    decide(&mut node, 2, 2);
    assert_eq!(proposed(&node.sent()), []);
    // Slots 3 to 5 still belong to three members, 6 to four.
    for slot in 3..=5 {
        assert_eq!(told(&node), None, "not in force before slot {slot} is decided");
        decide(&mut node, slot, 2);
    }
    assert_eq!(told(&node), Some(&Reply::Done));
    node.ask(Operation::Write("x".into(), tribunal_protocol::Value::Int(1)));
    node.hear(3, accepted(6));
    assert_eq!(Core::applied(&node.core), Some(5), "two of four");
    node.hear(4, accepted(6));
    assert_eq!(Core::applied(&node.core), Some(6), "three of four");
}
