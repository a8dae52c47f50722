//! Fast Paxos as stories: whole exchanges of messages, kept as text in `tests/traces`.
//!
//! `TRACES=write cargo test -p tribunal-protocol --test fast_paxos` writes them anew; read the difference.

use crate::cluster::Cluster;
use std::time::Duration;

/// Compares the story with the kept one.
fn check(name: &str, cluster: &Cluster) {
    let path = format!("{}/tests/traces/fast_paxos_{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TRACES").is_some_and(|mode| mode == "write") {
        std::fs::write(&path, &cluster.story).expect("writable");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(cluster.story, kept, "{path} tells another story");
}

/// Three nodes, n1 leads, its fast round is open, and so is a session.
fn begin() -> Cluster {
    let mut cluster = Cluster::fast(3);
    cluster.story.clear();
    cluster
}

#[test]
fn normal_operation() {
    let mut cluster = Cluster::new(3);
    cluster.say("n1 is told to lead: phase 1 finds nothing.");
    cluster.lead(1);
    cluster.say("All three have answered it, which is a fast quorum: it opens the fast round.");
    cluster.pass(Duration::from_millis(50));
    cluster
        .say("A client of n2: to all acceptors, and all learn. The leader has no part of its own.");
    cluster.ask(2, tribunal_protocol::Request::OpenSession { nonce: 7 });
    cluster.settle();
    check("1_normal_operation", &cluster);
}

#[test]
fn a_collision() {
    let mut cluster = begin();
    cluster.say("n2 and n3 propose in the same slot. n1 hears n2 first: no value can get all three votes any more.");
    cluster.add(2, 1);
    cluster.add(3, 2);
    cluster.deliver_if(|letter| letter.from == 2);
    cluster.say("The votes are phase 1 of the classic round. The loser proposes in the next slot.");
    cluster.settle();
    check("2_a_collision", &cluster);
}

#[test]
fn a_missing_node() {
    let mut cluster = begin();
    cluster.say("n3 is dead: two votes are too few. The leader recovers the slot after a while.");
    cluster.down.push(3);
    cluster.add(2, 1);
    cluster.pass(Duration::from_millis(150));
    cluster.say("It does not hear n3 for long: phase 1 of a new reign ends the fast round.");
    cluster.pass(Duration::from_millis(200));
    cluster.say("Requests go to the leader now.");
    cluster.add(2, 2);
    cluster.settle();
    check("3_a_missing_node", &cluster);
}
