//! What "Sharing Memory Robustly in Message-Passing Systems" and its form for several writers say, and what the header
//! of the variant promises beside it.

mod keyed;

use keyed::{Stage, command, done, found, read, write};
use tribunal_protocol::core::Message as _;
use tribunal_protocol::variants::abd::{Abd, Message, Timestamp};
use tribunal_protocol::*;

fn stage() -> Stage<Abd> {
    Stage::new(3)
}

/// The timestamps that are under way in `store` messages.
fn stored(stage: &Stage<Abd>) -> Vec<Timestamp> {
    let timestamp = |(_, _, message): &(NodeId, NodeId, Message)| match message {
        Message::Store { timestamp, .. } => Some(*timestamp),
        _ => None,
    };
    stage.links.iter().filter_map(timestamp).collect()
}

#[test]
fn a_write_queries_a_majority_and_then_stores_at_a_majority() {
    let mut stage = stage();
    let id = stage.execute(1, write(7));
    assert_eq!(stage.round_trip(1, 2), "report");
    assert_eq!(stage.reply(id), None);
    stage.lose_all_but_stores();
    assert_eq!(stage.round_trip(1, 3), "ack");
    assert_eq!(stage.reply(id), Some(done()));
}

trait LoseAllButStores {
    fn lose_all_but_stores(&mut self);
}

impl LoseAllButStores for Stage<Abd> {
    fn lose_all_but_stores(&mut self) {
        self.links.retain(|(_, _, message)| message.kind() == "store");
    }
}

/// Lynch and Shvartsman: a write's tag is larger than every one that its query found, and no two writes share one.
#[test]
fn no_two_writes_share_a_timestamp_and_later_ones_are_higher() {
    let mut stage = stage();
    assert_eq!(stage.settled(1, write(1)), done());
    // Two writes at one node, and one at another, that find the same.
    let together =
        [stage.execute(2, write(2)), stage.execute(2, write(3)), stage.execute(3, write(4))];
    let queries: Vec<_> = stage.links.drain(..).collect();
    for (from, to, query) in queries {
        stage.step(to.0, Input::Message(from, query));
        let reports: Vec<_> = stage
            .links
            .iter()
            .filter(|(_, _, message)| message.kind() == "report")
            .cloned()
            .collect();
        stage.links.retain(|(_, _, message)| message.kind() != "report");
        for (from, to, report) in reports {
            stage.step(to.0, Input::Message(from, report));
        }
    }
    let mut timestamps = stored(&stage);
    timestamps.sort();
    timestamps.dedup();
    assert_eq!(timestamps.len(), 3, "{timestamps:?}");
    assert!(timestamps.iter().all(|timestamp| timestamp.counter == 2), "{timestamps:?}");
    stage.deliver_all();
    assert!(together.iter().all(|id| stage.reply(*id) == Some(done())));
}

#[test]
fn a_restarted_writer_uses_no_timestamp_again() {
    let mut stage = stage();
    let mut first = Vec::new();
    for _ in 0..2 {
        stage.execute(1, write(1));
        stage.round_trip(1, 2);
        first.extend(stored(&stage).first().copied());
        stage.stalled.insert(NodeId(1));
        stage.lose_all();
        // Nobody has stored it but the writer, whose disk never held it.
        stage.restart(1);
    }
    assert_eq!(first[0].operation.number, first[1].operation.number);
    assert_ne!(first[0], first[1]);
}

/// ABD, section 3: a reader must tell a majority what it is about to return, or a later reader may return something
/// older.
#[test]
fn a_read_writes_back_what_only_a_minority_holds() {
    let mut stage = stage();
    assert_eq!(stage.settled(1, write(1)), done());
    stage.execute(1, write(2));
    stage.round_trip(1, 2);
    // Node 1 alone has stored its second write.
    stage.lose_all();
    stage.stalled.insert(NodeId(2));
    let read = stage.execute(2, read());
    stage.round_trip(2, 1);
    assert_eq!(stage.reply(read), None, "only node 1 holds the value durably");
    stage.lose_all_but_stores();
    let to: Vec<_> = stage.links.iter().map(|(_, to, _)| to.0).collect();
    assert_eq!(to, [3], "node 1 has reported the value, which is as good as an ack");
    stage.round_trip(2, 3);
    assert_eq!(stage.reply(read), Some(found(2)));
}

#[test]
fn no_read_answers_less_than_a_read_before_it() {
    let mut stage = stage();
    assert_eq!(stage.settled(1, write(1)), done());
    stage.execute(1, write(2));
    stage.round_trip(1, 2);
    stage.lose_all();
    let first = stage.execute(2, read());
    stage.round_trip(2, 1);
    stage.lose_all();
    assert_eq!(stage.reply(first), Some(found(2)));
    let second = stage.execute(3, read());
    stage.round_trip(3, 2);
    assert_eq!(stage.reply(second), Some(found(2)));
}

#[test]
fn an_ack_waits_for_the_disk() {
    let mut stage = stage();
    stage.stalled.insert(NodeId(2));
    let id = stage.execute(1, write(7));
    stage.round_trip(1, 2);
    stage.lose_all_but_stores();
    stage.deliver(1, 2);
    stage.links.clear();
    assert_eq!(stage.reply(id), None);
    stage.sync(2);
    assert_eq!(stage.deliver(2, 1), "ack");
    assert_eq!(stage.reply(id), Some(done()));
}

#[test]
fn a_nodes_own_vote_waits_for_its_disk_and_a_majority_of_others_does_not() {
    let mut stage = stage();
    stage.stalled.insert(NodeId(1));
    let id = stage.execute(1, write(7));
    stage.round_trip(1, 2);
    stage.lose_all_but_stores();
    assert_eq!(stage.round_trip(1, 2), "ack");
    assert_eq!(stage.reply(id), None, "node 1 holds nothing durably, node 2 is no majority");
    assert_eq!(stage.round_trip(1, 3), "ack");
    assert_eq!(stage.reply(id), Some(done()));
}

#[test]
fn what_was_not_stored_fails_definitely_and_what_was_is_unknown() {
    let mut stage = stage();
    let unheard = stage.execute(1, write(1));
    stage.lose_all();
    let stored = stage.execute(2, write(2));
    stage.round_trip(2, 3);
    stage.lose_all();
    for _ in 0..50 {
        stage.pass(100);
        stage.lose_all();
    }
    assert_eq!(stage.reply(unheard), Some(Reply::Failed(Failure::NoLeader)));
    assert_eq!(stage.reply(stored), Some(Reply::Failed(Failure::Unknown)));
}

#[test]
fn what_a_register_cannot_do_is_refused_before_anything_happens() {
    let mut stage = stage();
    let key = || "x".into();
    let alone = [
        keyed::cas(1, 2),
        keyed::append(1),
        Operation::Add(key(), 1),
        Operation::Insert(key(), Value::Int(1)),
        Operation::Delete(key()),
    ];
    let refused = alone.map(|operation| stage.execute(1, operation));
    let two = stage.ask(1, command(1, 9, vec![read(), write(1)]));
    for id in refused.into_iter().chain([two]) {
        assert_eq!(stage.reply(id), Some(Reply::Failed(Failure::Unsupported)));
    }
    assert_eq!((stage.sent, stage.syncs), (0, 0));
}

#[test]
fn a_snapshot_replaces_the_records_before_it() {
    let mut stage: Stage<Abd> =
        Stage::with_limits(3, Limits { snapshot_entries: 3, ..Limits::default() });
    for value in 1..=10 {
        assert_eq!(stage.settled(1, write(value)), done());
    }
    (1..=3).for_each(|node| stage.restart(node));
    assert_eq!(stage.settled(2, read()), found(10));
}

#[test]
fn sessions_have_names_that_no_two_share() {
    let mut stage = stage();
    let mut names = std::collections::BTreeSet::new();
    for node in [1, 1, 2, 3, 1] {
        stage.restart(3);
        let id = stage.ask(node, Request::OpenSession { nonce: 1 });
        let Some(Reply::Session(name)) = stage.reply(id) else { panic!("no session") };
        assert!(names.insert(name), "{name}");
    }
}

#[test]
fn the_costs_are_those_of_the_formulas() {
    let mut stage = stage();
    assert_eq!(stage.settled(1, write(1)), done());
    assert_eq!((stage.sent, stage.syncs), (8, 3));
    assert_eq!(stage.settled(2, read()), found(1));
    assert_eq!((stage.sent, stage.syncs), (12, 3));
}
