//! Changes of membership: the dissertation's sections 4.1 to 4.3, and the correction of 2015.

use super::net::Net;
use super::{Bugged, Nodes};
use tribunal_protocol::variants::raft::{Message, Record};
use tribunal_protocol::*;

fn voters(net: &Nodes, node: u32) -> Vec<u32> {
    net.cores[&node].voters().iter().map(|voter| voter.0).collect()
}

fn three_of_four() -> Nodes {
    let mut net = Nodes::new(4, &[("voters", "3")], Limits::default());
    net.lead(1);
    net
}

#[test]
fn a_node_outside_receives_the_log_and_starts_no_election() {
    let mut net = three_of_four();
    assert_eq!((net.log(4), net.cores[&4].voters().len()), (vec![1], 3));
    net.only(&[4]);
    for _ in 0..3 {
        net.wake(4, 700);
    }
    net.lead(4);
    assert_eq!(net.cores[&4].term().0, 1);
}

/// Section 4.1: "the new configuration takes effect on each server as soon as it is added to that server's log", and the change
/// is answered once it is committed.
#[test]
fn a_node_is_added_and_removed_through_the_log() {
    let mut net = three_of_four();
    let added = net.admin(1, Admin::Add(NodeId(4)));
    assert_eq!(net.replies[&added], Reply::Done);
    assert_eq!(voters(&net, 4), [1, 2, 3, 4]);
    net.only(&[1, 2]);
    let request = net.ask(1);
    net.deliver();
    assert!(!net.replies.contains_key(&request), "two of four");
    net.only(&[1, 2, 4]);
    net.wake(1, 110);
    assert!(net.replies.contains_key(&request));
    let removed = net.admin(1, Admin::Remove(NodeId(3)));
    assert_eq!((&net.replies[&removed], voters(&net, 2)), (&Reply::Done, vec![1, 2, 4]));
}

/// Section 4.1: a change is appended only after the one before it is committed.
#[test]
fn one_change_at_a_time() {
    let mut net = three_of_four();
    net.only(&[1]);
    net.admin(1, Admin::Add(NodeId(4)));
    let second = net.admin(1, Admin::Remove(NodeId(3)));
    assert_eq!(net.replies[&second], Reply::Failed(Failure::Overloaded));
    assert_eq!(voters(&net, 1), [1, 2, 3, 4]);
}

/// Section 4.1: "a server must be prepared to fall back to the previous configuration in its log".
#[test]
fn a_change_that_is_cut_off_takes_no_effect_any_more() {
    let mut net = three_of_four();
    net.only(&[1]);
    let lost = net.admin(1, Admin::Add(NodeId(4)));
    assert_eq!(voters(&net, 1), [1, 2, 3, 4]);
    net.only(&[2, 3]);
    net.lead(2);
    net.only(&[1, 2, 3, 4]);
    net.wake(2, 50);
    net.wake(2, 110);
    assert_eq!((net.log(1), voters(&net, 1)), (vec![1, 2], vec![1, 2, 3]));
    assert_eq!(net.replies[&lost], Reply::Failed(Failure::Unknown));
}

/// Section 4.2.2: a leader that is removed steps down once that is committed; until then it does not count itself.
#[test]
fn a_removed_leader_steps_down_after_the_commit() {
    let mut net = Nodes::new(3, &[], Limits::default());
    net.lead(1);
    net.only(&[1, 2]);
    let removed = net.admin(1, Admin::Remove(NodeId(1)));
    assert!(net.leads(1) && !net.replies.contains_key(&removed), "one of the two that stay");
    net.only(&[1, 2, 3]);
    net.wake(1, 110);
    assert!(!net.leads(1));
    assert_eq!(net.replies[&removed], Reply::Done);
    net.wake(1, 700);
    assert_eq!(net.cores[&1].role(), Role::Follower);
    net.wake(2, 700);
    assert!(net.leads(2) && voters(&net, 2) == [2, 3]);
}

/// The voters are part of a snapshot, also of one that is sent.
#[test]
fn snapshots_keep_the_voters() {
    let mut net = three_of_four();
    net.only(&[1, 2, 4]);
    net.admin(1, Admin::Add(NodeId(4)));
    net.admin(1, Admin::Snapshot);
    net.restart(1);
    assert_eq!(voters(&net, 1), [1, 2, 3, 4]);
    let limits = Limits { snapshot_entries: 5, keep_entries: 1, ..Limits::default() };
    let mut net = Nodes::new(4, &[("voters", "3")], limits);
    net.lead(1);
    net.only(&[1, 2, 4]);
    net.admin(1, Admin::Add(NodeId(4)));
    for _ in 0..20 {
        net.ask(1);
        net.deliver();
    }
    net.only(&[1, 2, 3, 4]);
    net.wake(1, 50);
    net.wake(1, 110);
    assert!(net.delivered["snapshot"] > 0);
    assert_eq!(voters(&net, 3), [1, 2, 3, 4]);
}

/// Ongaro's counterexample of 2015, with servers 1 to 4 and 5 to be added: leader 1 appends `add 5` and reaches 5 only; leader
/// 2, elected by 2, 3 and 4, appends `remove 1`, and reaches 3 only; then 1 is elected by 1, 4 and 5.
fn disjoint<C: Core<Message = Message, Record = Record>>(net: &mut Net<C>) {
    net.lead(1);
    net.only(&[1, 5]);
    net.admin(1, Admin::Add(NodeId(5)));
    net.only(&[2, 3, 4]);
    net.loses = |_, to, message| to == 4 && matches!(message, Message::Append { .. });
    net.lead(2);
    net.admin(2, Admin::Remove(NodeId(1)));
    net.wake(2, 50);
    net.loses = |_, _, _| false;
    net.only(&[1, 4, 5]);
    net.know(1, 2);
    net.lead(1);
    assert!(net.leads(1), "with the votes of 4 and 5");
    net.wake(1, 110);
}

#[test]
fn without_the_correction_two_majorities_share_no_server() {
    let options = [("voters", "4"), ("mutant", "early-membership")];
    let mut net = Bugged::new(5, &options, Limits::default());
    disjoint(&mut net);
    let twice = net.decided.iter().find(|(_, digests)| digests.len() > 1);
    assert!(twice.is_some(), "2 and 3 decide one thing; 1, 4 and 5 another: {:?}", net.decided);
}

#[test]
fn with_the_correction_the_change_waits_for_an_entry_of_the_term() {
    let mut net = Nodes::new(5, &[("voters", "4")], Limits::default());
    disjoint(&mut net);
    assert!(net.decided.values().all(|digests| digests.len() == 1), "{:?}", net.decided);
    assert_eq!(voters(&net, 2), [1, 2, 3, 4], "2 of 4 had its first entry");
}

/// What a simulator is told of quorums, also of an entry that a snapshot replaces in the very step that commits it (seed 10196 of
/// the simulator: a decision was taken for one without a quorum).
#[test]
fn who_decides_is_said_by_the_voters_of_the_history_that_is_held() {
    for snapshot_entries in [1, 1_000] {
        let limits = Limits { snapshot_entries, keep_entries: 0, ..Limits::default() };
        let mut net = Nodes::new(5, &[("voters", "3")], limits);
        net.lead(1);
        let decides = |slot, ballot, nodes: &[u32]| {
            let nodes: Vec<_> = nodes.iter().copied().map(NodeId).collect();
            net.cores[&1].decides(slot, ballot, &nodes).expect("it knows")
        };
        assert!(decides(1, 1, &[1, 2]), "two of three");
        assert!(!decides(1, 1, &[1, 4, 5]), "two of them do not vote");
        assert!(!decides(2, 1, &[1, 2]), "nothing is held there");
    }
}
