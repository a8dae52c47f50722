//! What "Fast Paxos" (Lamport, 2006) says, sentence by sentence, of cores that are driven by hand.

mod cluster;
mod traces;

use cluster::{Cluster, add, counted};
use std::time::Duration;
use tribunal_protocol::replication::{Ballot, Slot, Value};
use tribunal_protocol::variants::fast_paxos::round::{Vote, pick};
use tribunal_protocol::variants::fast_paxos::{
    FastPaxos, Message, Proposal, Quorums, Record, Round,
};
use tribunal_protocol::{
    Claim, Core, Effect, Input, Message as _, NodeId, Position, Reply, Request, Role,
};

fn value(text: &str) -> Value {
    Value::new(vec![Request::OpenSession { nonce: text.len() as u64 }], text.as_bytes())
}

fn reign(round: u64, node: u32) -> Ballot {
    Ballot { round, node: NodeId(node) }
}

fn votes(round: Round, values: &[&str]) -> Vec<Vote> {
    values.iter().map(|text| Vote { round, value: value(text) }).collect()
}

/// Section 1: "learning occurs in two message delays", wherever the command is proposed; what it costs is the formula of the
/// registry.
#[test]
fn a_command_is_learned_in_two_message_delays_at_any_node() {
    for nodes in [3, 4, 5] {
        for at in [1, nodes] {
            let mut cluster = Cluster::fast(nodes);
            let request = cluster.add(at, 1);
            cluster.deliver_if(|_| true);
            assert_eq!(cluster.reply(request), None);
            cluster.deliver_if(|_| true);
            assert_eq!(cluster.reply(request), Some(&counted(1)), "{nodes} nodes, at {at}");
            cluster.settle();
            let messages = (nodes as usize - 1) * (nodes as usize + 1);
            assert_eq!((cluster.sent.len(), cluster.syncs), (messages, nodes as usize));
            assert!((1..=nodes).all(|node| cluster.core(node).applied() == Some(2)));
        }
    }
}

/// Section 2.3: a majority is no fast quorum.
#[test]
fn a_majority_of_votes_decides_nothing_in_a_fast_round() {
    let mut cluster = Cluster::fast(3);
    let request = cluster.add(2, 1);
    cluster.deliver_if(|letter| letter.to == 1);
    cluster.wire.retain(|letter| letter.to != 3);
    cluster.settle();
    assert_eq!((cluster.reply(request), cluster.core(2).applied()), (None, Some(1)));
}

/// Section 2.2, phase 2b: an acceptor votes for the first value that it receives, and once in a round.
#[test]
fn an_acceptor_accepts_the_first_value_for_a_slot() {
    let mut cluster = Cluster::fast(3);
    let propose = |text| Message::Propose { reign: reign(1, 1), slot: Slot(2), value: value(text) };
    for (text, answers) in [("first", 2), ("second", 1), ("first", 1)] {
        cluster.step(3, Input::Message(NodeId(2), propose(text)));
        assert_eq!(cluster.wire.len(), answers, "to all at first, then to who asked");
        for letter in cluster.wire.drain(..) {
            let digest = value("first").digest();
            assert!(matches!(letter.message, Message::Voted { digest: of, .. } if of == digest));
        }
    }
}

/// Section 2.1: what an acceptor says of its vote it says after its disk holds it, and it counts its own vote no earlier.
#[test]
fn a_vote_is_said_and_counted_once_it_is_durable() {
    let mut cluster = Cluster::fast(3);
    let (reign, slot, value) = (reign(1, 1), Slot(2), value("one"));
    for from in [1, 2] {
        let voted = Message::Voted { reign, slot, digest: value.digest() };
        cluster.step(3, Input::Message(NodeId(from), voted));
    }
    let propose = Message::Propose { reign, slot, value };
    for is_copy in [false, true] {
        let out = cluster.asks(3, Input::Message(NodeId(2), propose.clone()));
        let voted = |effect: &Effect<Message>| matches!(effect, Effect::Send(_, message) if message.kind() == "voted");
        assert_eq!(out.records.is_empty(), is_copy);
        assert!(!out.at_once.iter().any(voted));
        assert_eq!(out.when_durable.iter().filter(|effect| voted(effect)).count(), 1);
        assert_eq!(cluster.core(3).applied(), Some(1), "two votes of others are too few");
    }
    cluster.asks(3, Input::Persisted(Position(u64::MAX)));
    assert_eq!(cluster.core(3).applied(), Some(2));
}

/// Section 3.2.2: the phase 2b messages of the fast round serve as the phase 1b messages of the next: no phase 1.
#[test]
fn a_collision_is_recovered_by_the_coordinator_without_phase_one() {
    let mut cluster = Cluster::fast(3);
    let (a, b) = (cluster.add(2, 1), cluster.add(3, 2));
    // Acceptor 1 hears node 2 first, and each of the others itself.
    cluster.deliver_if(|letter| letter.from == 2);
    cluster.settle();
    let mut replies: Vec<_> =
        [a, b].iter().map(|request| cluster.reply(*request).cloned()).collect();
    replies.sort_by_key(|reply| format!("{reply:?}"));
    assert_eq!(replies, [Some(counted(1)), Some(counted(2))]);
    assert_eq!((cluster.kinds("accept"), cluster.kinds("accepted")), (2, 2));
    assert_eq!(cluster.kinds("prepare"), 0);
    cluster.agree();
}

/// Figure 2: in the highest round, the value v for which O4(v) holds, whatever the order and however few have voted for it.
#[test]
fn the_rule_picks_the_value_that_may_have_been_chosen() {
    let round = Round::fast(reign(3, 1));
    let five = Quorums::of(5);
    for order in [["w", "v1", "v1"], ["v1", "w", "v1"], ["v1", "v1", "w"]] {
        assert_eq!(pick(&five, 3, &votes(round, &order)), Some(value("v1")));
    }
    // Two of the three may be enough, if both silent acceptors have voted so, too; one is not.
    assert!(five.may_be_chosen(2, 3) && !five.may_be_chosen(1, 3));
    assert!(!Quorums::of(3).may_be_chosen(1, 2), "in three, all have to vote for it");
    // Votes of lower rounds, and none at all, count as heard.
    let mut mixed = votes(Round::classic(reign(2, 2)), &["older", "older"]);
    mixed.extend(votes(round, &["w"]));
    assert_eq!(pick(&five, 3, &mixed), Some(value("w")));
    assert_eq!(pick(&five, 3, &[]), None);
}

/// Section 2.2: the classic round of a reign lies above its fast one, so who accepted in it votes no more below.
#[test]
fn who_accepted_in_the_classic_round_does_not_vote_in_the_fast_one() {
    let mut cluster = Cluster::fast(3);
    let (reign, slot) = (reign(1, 1), Slot(2));
    let round = Round::classic(reign);
    let proposal = Proposal { slot, round, value: value("recovered") };
    cluster.step(3, Input::Message(NodeId(1), Message::Accept { proposal, decided: Slot(1) }));
    cluster.wire.clear();
    cluster
        .step(3, Input::Message(NodeId(2), Message::Propose { reign, slot, value: value("late") }));
    assert!(cluster.wire.is_empty());
    let slot = Slot(3); // The fast round of other slots goes on.
    cluster
        .step(3, Input::Message(NodeId(2), Message::Propose { reign, slot, value: value("new") }));
    assert_eq!(cluster.kinds("voted"), 2);
}

/// Section 3.2.2 with n = 3: of two votes for one value, the third acceptor being dead, the leader makes it chosen.
#[test]
fn a_slot_in_which_a_fast_quorum_does_not_answer_is_recovered() {
    let mut cluster = Cluster::fast(3);
    cluster.down.push(3);
    let request = cluster.add(2, 1);
    cluster.settle();
    assert_eq!(cluster.reply(request), None);
    cluster.pass(Duration::from_millis(250));
    assert_eq!(cluster.reply(request), Some(&counted(1)));
    assert_eq!(cluster.kinds("prepare"), 0);
}

/// Section 2.3: with a majority alive there are classic rounds; with a fast quorum, fast ones again.
#[test]
fn the_leader_falls_back_to_classic_rounds_and_returns_to_fast_ones() {
    let mut cluster = Cluster::fast(3);
    cluster.down.push(3);
    cluster.pass(Duration::from_millis(500));
    assert_eq!(cluster.core(1).role(), Role::Leader);
    cluster.sent.clear();
    let request = cluster.add(2, 1);
    cluster.settle();
    assert_eq!(cluster.reply(request), Some(&counted(1)));
    assert_eq!((cluster.kinds("forward"), cluster.kinds("propose")), (1, 0));

    cluster.down.clear();
    cluster.pass(Duration::from_millis(1500));
    cluster.sent.clear();
    let request = cluster.add(2, 2);
    cluster.settle();
    assert_eq!(cluster.reply(request), Some(&counted(2)));
    assert_eq!((cluster.kinds("forward"), cluster.kinds("propose")), (0, 2));
    cluster.agree();
}

/// A value that was chosen in a fast round outlives the leader, though it had not learned of it.
#[test]
fn a_new_leader_finds_what_a_fast_round_has_chosen() {
    let mut cluster = Cluster::fast(5);
    let request = cluster.add(2, 1);
    cluster.deliver_if(|letter| letter.to != 1);
    cluster.deliver_if(|letter| letter.to == 2);
    assert_eq!(cluster.reply(request), Some(&counted(1)), "four votes of five");
    cluster.wire.clear();
    cluster.down = vec![1, 2];
    cluster.lead(5);
    cluster.pass(Duration::from_millis(200));
    let again = cluster.add(4, 1);
    cluster.pass(Duration::from_millis(400));
    assert_eq!(cluster.reply(again), Some(&counted(1)), "the session knows it");
    cluster.agree();
}

/// It would announce in its own reign what is chosen in the later one, and others might take their own values for it.
#[test]
fn a_leader_that_hears_votes_of_a_later_reign_steps_down() {
    let mut cluster = Cluster::fast(3);
    assert_eq!(cluster.core(1).role(), Role::Leader);
    let (slot, digest) = (Slot(2), value("later").digest());
    cluster.step(1, Input::Message(NodeId(3), Message::Voted { reign: reign(2, 2), slot, digest }));
    assert_eq!(cluster.core(1).role(), Role::Follower);
    assert_eq!(cluster.wire.iter().filter(|letter| letter.message.kind() == "canvass").count(), 2);
}

/// A proposer waits for its slot to be decided, and then knows that its value was not chosen: it takes another slot.
#[test]
fn a_value_that_lost_its_slot_is_proposed_in_the_next() {
    let mut cluster = Cluster::fast(3);
    let first = cluster.add(2, 1);
    cluster.deliver_if(|letter| letter.to == 1 && letter.message.kind() == "propose");
    let late = cluster.add(3, 2); // Node 3 has not heard of the slot's first value.
    cluster.settle();
    assert_eq!(cluster.reply(first), Some(&counted(1)));
    assert_eq!(cluster.reply(late), Some(&counted(2)));
    let decided = |slot| cluster.core(1).decided(slot).map(<[Request]>::to_vec);
    assert_eq!((decided(2), decided(3)), (Some(vec![add(1)]), Some(vec![add(2)])));
    assert_eq!(cluster.core(1).applied(), Some(3), "each is in one slot");
}

#[test]
fn a_single_node_is_its_own_fast_quorum() {
    let mut cluster = Cluster::fast(1);
    let request = cluster.add(1, 1);
    assert_eq!(cluster.reply(request), Some(&counted(1)));
    assert!(cluster.sent.is_empty());
}

/// Requests of several nodes at once take effect once each, whatever collides.
#[test]
fn crowds_are_served_in_classic_rounds_and_once() {
    let mut cluster = Cluster::fast(3);
    let mut asked = Vec::new();
    for round in 0..40 {
        asked.extend((1..=3).map(|node| cluster.add(node, round * 3 + u64::from(node))));
        cluster.pass(Duration::from_millis(50));
    }
    cluster.pass(Duration::from_secs(1));
    let mut results: Vec<_> = asked.iter().filter_map(|request| cluster.reply(*request)).collect();
    results.sort_by_key(|reply| match reply {
        Reply::Results(values) => format!("{:?}", values).len(),
        other => panic!("{other:?}"),
    });
    results.dedup();
    assert_eq!(results.len(), 120);
    assert!(cluster.kinds("forward") > 0, "the leader has left its fast round");
    cluster.agree();
}

/// Section 2.1: what an acceptor has voted it remembers, also after a crash.
#[test]
fn a_restarted_acceptor_keeps_its_vote() {
    let mut cluster = Cluster::fast(3);
    let (reign, slot) = (reign(1, 1), Slot(2));
    cluster
        .step(3, Input::Message(NodeId(2), Message::Propose { reign, slot, value: value("one") }));
    cluster.wire.clear();
    cluster.start(3, 3, 2);
    cluster.step(
        3,
        Input::Message(NodeId(2), Message::Propose { reign, slot, value: value("other") }),
    );
    let digest = value("one").digest();
    assert_eq!(cluster.wire.len(), 1);
    assert!(matches!(cluster.wire[0].message, Message::Voted { digest: of, .. } if of == digest));
}

/// Section 3.2.2: whose vote cannot come is not waited for. Seed 23745: of four nodes one is dead, the others are a fast quorum,
/// and each collision took longer than clients wait.
#[test]
fn a_collision_is_recovered_without_the_vote_of_a_dead_node() {
    let mut cluster = Cluster::fast(4);
    cluster.down.push(4);
    cluster.pass(Duration::from_millis(400));
    let collide = [cluster.add(2, 1), cluster.add(3, 2)];
    cluster.settle();
    assert!(collide.iter().all(|request| cluster.reply(*request).is_some()), "no time has passed");
    assert!(cluster.kinds("accept") > 0 && cluster.kinds("prepare") == 0);
    cluster.agree();
}

/// Section 2.2: a coordinator whose phase 1 brings up nothing is free to propose nothing. Seed 21295: reigns that changed while
/// all was quiet each decided a slot, which some nodes had and others did not yet.
#[test]
fn a_reign_that_finds_nothing_open_decides_nothing() {
    let mut cluster = Cluster::fast(3);
    cluster.down.push(3);
    cluster.pass(Duration::from_millis(500));
    assert!(cluster.kinds("prepare") > 0, "the leader has left its fast round");
    cluster.down.clear();
    cluster.lead(2);
    cluster.pass(Duration::from_millis(500));
    assert_eq!(cluster.core(2).role(), Role::Leader);
    assert_eq!([1, 2, 3].map(|node| cluster.core(node).applied()), [Some(1); 3]);
}

/// What invariants are told: fast rounds have even numbers and quorums of their own.
#[test]
fn claims_name_the_rounds_and_their_quorums() {
    let cluster = Cluster::new(5);
    let [fast, classic] =
        [Round::fast(reign(3, 1)), Round::classic(reign(3, 1))].map(Round::number);
    let nodes = [1, 2, 3, 4].map(NodeId);
    let decides = |ballot, nodes: &[NodeId]| cluster.core(1).decides(9, ballot, nodes);
    assert_eq!((decides(fast, &nodes[..3]), decides(fast, &nodes)), (Some(false), Some(true)));
    assert_eq!(
        (decides(classic, &nodes[..2]), decides(classic, &nodes[..3])),
        (Some(false), Some(true))
    );
    let proposal = Proposal { slot: Slot(2), round: Round::fast(reign(3, 1)), value: value("a") };
    let digest = Some(value("a").digest());
    let claim = Claim::Accepted { ballot: fast, slot: 2, digest };
    assert_eq!(FastPaxos::claim_of(&Record::Accepted(proposal)), claim);
    assert_eq!(
        Message::Prepare { reign: reign(3, 1), from: Slot(1) }.claim(),
        Claim::Prepares { ballot: classic }
    );
}
