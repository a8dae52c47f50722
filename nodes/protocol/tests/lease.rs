//! Leader leases (`reads=lease`): what an acceptor pledges, and for how long a leader counts on it.

mod hand;

use hand::{Hand, config, kinds};
use std::time::Duration;
use tribunal_protocol::mutants::Mutated;
use tribunal_protocol::replication::{Ballot, Slot};
use tribunal_protocol::variants::multi_paxos::{Message, MultiPaxos, Record};
use tribunal_protocol::*;

const LEASE: &[(&str, &str)] = &[("reads", "lease")];
/// Of a pledge of `election_min`, 300 ms, the leader counts on 90 of 110 parts.
const COUNTED: Duration = Duration::from_nanos(300_000_000 * 90 / 110);
const MS: Duration = Duration::from_millis(1);

fn ballot(node: u32) -> Ballot {
    Ballot { round: 1, node: NodeId(node) }
}

fn heartbeat(node: u32) -> Message {
    Message::Heartbeat { ballot: ballot(node), round: 1, decided: Slot(0) }
}

fn prepare(round: u64, node: u32) -> Message {
    Message::Prepare { ballot: Ballot { round, node: NodeId(node) }, from: Slot(1) }
}

fn round_of(sent: &[Message]) -> u64 {
    let round = |message: &Message| match message {
        Message::Heartbeat { round, .. } => Some(*round),
        _ => None,
    };
    sent.iter().find_map(round).expect("a heartbeat")
}

/// Node 3 of three, which has long been running.
fn acceptor(options: &[(&str, &str)]) -> Hand<MultiPaxos> {
    let mut node = Hand::new(config(3, 3, options));
    node.now = node.now.after(Duration::from_secs(10));
    node
}

/// Node 1 of three, which leads and has decided a slot, but has sent no heartbeat.
fn leader(options: &[(&str, &str)]) -> Hand<MultiPaxos> {
    leader_of(options)
}

fn leader_of<C: Core<Message = Message, Record = Record>>(options: &[(&str, &str)]) -> Hand<C> {
    let mut node: Hand<C> = Hand::new(config(1, 3, options));
    node.now = node.now.after(Duration::from_secs(10));
    node.admin(Admin::Lead);
    let (ballot, decided, from) = (ballot(1), Slot(0), Slot(1));
    node.hear(2, Message::Promise { ballot, decided, from, accepted: Vec::new(), more: None });
    node.hear(2, Message::Accepted { ballot, slot: Slot(1) });
    assert_eq!((node.core.role(), Core::applied(&node.core)), (Role::Leader, Some(1)));
    node.sent();
    node
}

/// Sends a heartbeat, which node 2 acknowledges after `travel`.
fn renew<C: Core<Message = Message, Record = Record>>(node: &mut Hand<C>, travel: Duration) {
    let round = round_of(&node.wait(Duration::from_millis(50)));
    node.now = node.now.after(travel);
    node.hear(2, Message::Heard { ballot: ballot(1), round });
}

fn read<C: Core<Message = Message, Record = Record>>(
    node: &mut Hand<C>,
) -> (bool, Vec<&'static str>) {
    let read = node.ask(Operation::Read("x".into()));
    (node.has_answered(read), kinds(&node.sent()))
}

#[test]
fn an_acceptor_that_acknowledged_a_heartbeat_promises_nobody_else_for_the_pledge() {
    let mut node = acceptor(LEASE);
    assert_eq!(kinds(&node.hear(1, heartbeat(1))), ["heard"]);
    node.now = node.now.after(Duration::from_millis(299));
    assert!(node.hear(2, prepare(2, 2)).is_empty());
    node.now = node.now.after(MS);
    assert_eq!(kinds(&node.hear(2, prepare(2, 2))), ["promise"]);
}

#[test]
fn without_the_option_nothing_is_pledged() {
    let mut node = acceptor(&[]);
    node.hear(1, heartbeat(1));
    assert_eq!(kinds(&node.hear(2, prepare(2, 2))), ["promise"]);
}

#[test]
fn who_has_pledged_tries_no_ballot_of_its_own() {
    let mut node = acceptor(LEASE);
    node.hear(1, heartbeat(1));
    assert!(!kinds(&node.admin(Admin::Lead)).contains(&"prepare"));
    assert_eq!(node.core.role(), Role::Follower);
    node.now = node.now.after(Duration::from_millis(300));
    assert!(kinds(&node.admin(Admin::Lead)).contains(&"prepare"));
}

/// A pledge is not on the disk, so whoever restarts must assume that it gave one.
#[test]
fn a_restarted_acceptor_promises_nothing_for_as_long_as_a_pledge() {
    let mut node = acceptor(LEASE);
    node.hear(1, heartbeat(1));
    node.restart();
    node.now = node.now.after(Duration::from_millis(299));
    assert!(node.hear(2, prepare(2, 2)).is_empty());
    node.now = node.now.after(MS);
    assert_eq!(kinds(&node.hear(2, prepare(2, 2))), ["promise"]);
}

#[test]
fn with_a_lease_a_read_is_answered_at_once_and_costs_no_message() {
    let mut node = leader(LEASE);
    renew(&mut node, MS);
    assert_eq!(read(&mut node), (true, vec![]));
}

#[test]
fn a_lease_counts_from_the_departure_of_the_heartbeat_less_the_drift() {
    for travel in [MS, MS * 100] {
        let mut node = leader(LEASE);
        renew(&mut node, travel);
        node.now = node.now.after(COUNTED - travel - Duration::from_nanos(1));
        assert_eq!(read(&mut node), (true, vec![]), "{travel:?}");
        node.now = node.now.after(Duration::from_nanos(1));
        assert_eq!(read(&mut node), (false, vec!["heartbeat"]), "{travel:?}");
    }
}

/// An acknowledgement that waited for a paused leader proves what it proved when the heartbeat left.
#[test]
fn an_acknowledgement_that_comes_too_late_makes_no_lease() {
    let mut node = leader(LEASE);
    renew(&mut node, COUNTED);
    assert_eq!(read(&mut node), (false, vec!["heartbeat"]));
}

#[test]
fn a_leader_alone_has_no_lease_and_asks_a_quorum() {
    let mut node = leader(LEASE);
    node.wait(Duration::from_millis(50));
    let asked = node.ask(Operation::Read("x".into()));
    let round = round_of(&node.sent());
    assert!(!node.has_answered(asked));
    node.hear(3, Message::Heard { ballot: ballot(1), round });
    assert!(node.has_answered(asked));
}

#[test]
fn a_leader_that_promises_another_ballot_serves_no_reads_though_its_lease_lasts() {
    let mut node = leader(LEASE);
    renew(&mut node, MS);
    assert_eq!(kinds(&node.hear(2, prepare(2, 2))), ["promise"]);
    assert!(!read(&mut node).0);
}

/// The mutant counts on a pledge that is over, so that the node that gave it may have promised another leader.
#[test]
fn lease_trusts_clocks_serves_reads_after_the_pledge() {
    let mut node: Hand<Mutated<MultiPaxos>> = leader_of(&[("mutant", "lease-trusts-clocks")]);
    renew(&mut node, MS * 100);
    node.now = node.now.after(Duration::from_millis(300));
    assert_eq!(read(&mut node), (true, vec![]));
}

#[test]
fn options_that_mean_nothing_are_refused() {
    for options in [
        [("reads", "later"), ("eager", "1")],
        [("drift", "5"), ("eager", "1")],
        [("reads", "lease"), ("drift", "50")],
    ] {
        let config = config(1, 3, &options);
        let mut out = Output::default();
        let started = MultiPaxos::recover(config, Time(0), None, std::iter::empty(), &mut out);
        assert!(started.is_err(), "{options:?}");
    }
}
