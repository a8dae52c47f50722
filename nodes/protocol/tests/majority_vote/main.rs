//! The textbook's vote: what it promises, what it costs, and the divergence that convicts it.

#![allow(clippy::unwrap_used, reason = "the lint spares tests, but not their helpers")]

mod net;
mod random;

use net::{Net, config};
use tribunal_protocol::core::{
    Admin, Core, Destination, Effect, Input, Limits, NodeId, Output, Position, RequestId, Snapshot,
    Time, Timing,
};
use tribunal_protocol::variants::majority_vote::{MajorityVote, Message, QuestionId, Record};
use tribunal_protocol::{Command, Failure, Operation, Reply, Request, SessionId, Value};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const THREE: NodeId = NodeId(3);

fn write(value: i64) -> Operation {
    Operation::Write("x".into(), Value::Int(value))
}

fn add(amount: i64) -> Operation {
    Operation::Add("x".into(), amount)
}

fn read() -> Operation {
    Operation::Read("x".into())
}

fn cas(from: i64, to: i64) -> Operation {
    Operation::Cas("x".into(), Value::Int(from), Value::Int(to))
}

fn ok(value: Value) -> Reply {
    Reply::Results(vec![value])
}

/// A read at `reader` whose majority is the reader and `other`.
fn read_with(net: &mut Net, reader: NodeId, other: NodeId) -> Value {
    let request = net.request(reader, read());
    net.deliver(reader, other);
    net.deliver(other, reader);
    net.lose_all();
    match net.reply(request) {
        Some(Reply::Results(values)) => values[0].clone(),
        other => panic!("a read was answered by {other:?}"),
    }
}

/// What convicts it, without any fault: the two asks of two concurrent writes cross between nodes 1 and 2. Both writes
/// are answered ok, both are over, and from then on reads alternate for ever. In a linearization the second of the
/// two writes would have to come between the reads.
#[test]
fn two_concurrent_writes_leave_reads_that_flip() {
    let mut net = Net::new(3, Limits::default());
    let (first, second) = (net.request(ONE, write(1)), net.request(TWO, write(2)));
    for (from, to) in [(ONE, TWO), (TWO, ONE), (ONE, THREE), (TWO, THREE)] {
        net.deliver(from, to);
    }
    net.deliver_all();
    assert_eq!(net.reply(first), Some(&ok(Value::Nil)));
    assert_eq!(net.reply(second), Some(&ok(Value::Nil)));

    let held = [ONE, TWO, THREE].map(|node| net.held(node, "x"));
    assert_eq!(held, [2, 1, 2].map(Value::Int), "the last to come stays");
    let reads = [(ONE, THREE), (TWO, ONE), (ONE, THREE), (TWO, ONE)]
        .map(|(reader, other)| read_with(&mut net, reader, other));
    assert_eq!(reads, [2, 1, 2, 1].map(Value::Int));
}

#[test]
fn a_run_reads_like_this() {
    let mut net = Net::new(3, Limits::default());
    net.note("# a write, a read and a cas");
    net.request(ONE, write(1));
    net.deliver_all();
    net.request(TWO, read());
    net.deliver_all();
    net.request(THREE, cas(0, 2));
    net.request(THREE, cas(1, 2));
    net.deliver_all();
    net.note("# two concurrent writes");
    net.request(ONE, write(3));
    net.request(TWO, write(4));
    net.deliver_all();
    net.note("# asked again, after all was lost; then given up");
    net.request(ONE, write(5));
    net.lose_all();
    net.pass(Timing::default().resend);
    net.deliver(ONE, TWO);
    net.deliver_all();
    net.request(ONE, write(6));
    net.lose_all();
    net.pass(Timing::default().request);
    insta::with_settings!({ snapshot_path => "../traces", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("majority_vote", net.trace);
    });
}

/// The header's formula: 2(n - 1) messages and one round trip; one record a node for a write, none for a read.
#[test]
fn an_operation_costs_what_the_header_says() {
    for n in [1, 2, 3, 5, 7] {
        let mut net = Net::new(n, Limits::default());
        let peers = n as usize - 1;
        for (operation, messages, records) in [
            (write(1), 2 * peers, 1),
            (read(), 2 * peers, 0),
            (cas(1, 2), 2 * peers, 1),
            (cas(1, 2), 0, 0),
            (add(1), 2 * peers, 1),
        ] {
            let before = net.disks.values().map(|disk| disk.appended).collect::<Vec<_>>();
            net.sent = 0;
            let request = net.request(ONE, operation.clone());
            if messages > 0 {
                net.deliver_round();
                assert!(
                    net.reply(request).is_none(),
                    "{operation:?} of {n} after half a round trip"
                );
                net.deliver_round();
            }
            assert!(net.reply(request).is_some(), "{operation:?} of {n} after a round trip");
            net.deliver_all();
            assert_eq!(net.sent, messages, "{operation:?} of {n}");
            for (disk, before) in net.disks.values().zip(before) {
                assert_eq!(disk.appended - before, records, "{operation:?} of {n}");
            }
        }
    }
}

#[test]
fn agreement_waits_for_the_disk() {
    let mut net = Net::new(3, Limits::default());
    let question = QuestionId { incarnation: 1, number: 0 };
    let ask = Message::Ask { question, settled_below: 0, operation: write(1) };
    let mut out = Output::default();
    net.nodes.get_mut(&TWO).unwrap().step(Time(0), Input::Message(ONE, ask), &mut out);
    assert!(out.at_once.is_empty());
    assert_eq!(out.records.len(), 1);
    let agree = Effect::Send(Destination::Node(ONE), Message::Agree { question });
    assert_eq!(out.when_durable, [agree]);
}

#[test]
fn a_read_answers_what_most_hold_and_its_own_on_a_tie() {
    let mut net = Net::new(5, Limits::default());
    net.request(ONE, write(1));
    net.lose_all();
    assert_eq!(net.held(ONE, "x"), Value::Int(1), "applied at once, without anybody's agreement");
    let request = net.request(ONE, read());
    net.deliver_all();
    assert_eq!(net.reply(request), Some(&ok(Value::Nil)), "two others hold nothing");

    let mut net = Net::new(3, Limits::default());
    net.request(ONE, write(1));
    net.lose_all();
    assert_eq!(read_with(&mut net, ONE, TWO), Value::Int(1));
    assert_eq!(read_with(&mut net, TWO, ONE), Value::Nil);
}

#[test]
fn a_minority_is_not_enough() {
    let mut net = Net::new(5, Limits::default());
    let (written, asked) = (net.request(ONE, write(1)), net.request(TWO, read()));
    net.deliver(ONE, TWO);
    net.deliver(TWO, ONE);
    net.deliver(TWO, ONE);
    net.deliver(ONE, TWO);
    net.lose_all();
    assert_eq!((net.reply(written), net.reply(asked)), (None, None));
    net.pass(Timing::default().request);
    let unknown = Reply::Failed(Failure::Unknown);
    assert_eq!(net.reply(written), Some(&unknown));
    assert_eq!(net.reply(asked), Some(&unknown));
}

#[test]
fn what_was_agreed_to_is_applied_once_also_across_a_restart() {
    for limits in [Limits::default(), Limits { snapshot_entries: 1, ..Limits::default() }] {
        let mut net = Net::new(3, limits);
        let request = net.request(ONE, add(1));
        net.deliver(ONE, TWO);
        net.lose_all();
        net.start(TWO);
        net.pass(Timing::default().resend);
        net.deliver_all();
        assert_eq!(net.reply(request), Some(&ok(Value::Int(1))));
        for node in [ONE, TWO, THREE] {
            assert_eq!(net.held(node, "x"), Value::Int(1), "{node}");
        }
    }
}

/// A late copy must not bring an old value back, nor be applied a second time.
#[test]
fn a_late_copy_of_an_ask_changes_nothing() {
    let mut net = Net::new(3, Limits::default());
    let ask = |number, settled_below| {
        let question = QuestionId { incarnation: 1, number };
        Message::Ask { question, settled_below, operation: add(1) }
    };
    for (number, settled_below) in [(0, 0), (1, 0), (2, 1)] {
        net.step(TWO, Input::Message(ONE, ask(number, settled_below)));
    }
    assert_eq!(net.sent, 3);
    for (late, votes) in [(ask(0, 0), 0), (ask(1, 0), 1)] {
        net.sent = 0;
        net.step(TWO, Input::Message(ONE, late.clone()));
        assert_eq!(net.sent, votes, "{late:?}: who has settled a question awaits no vote on it");
        assert_eq!(net.held(TWO, "x"), Value::Int(3), "{late:?}");
    }
}

#[test]
fn a_vote_that_comes_twice_counts_once() {
    let mut net = Net::new(5, Limits::default());
    let request = net.request(ONE, write(1));
    let agree = Message::Agree { question: QuestionId { incarnation: 1, number: 0 } };
    for from in [TWO, TWO, TWO] {
        net.step(ONE, Input::Message(from, agree.clone()));
    }
    assert_eq!(net.reply(request), None);
    net.step(ONE, Input::Message(THREE, agree));
    assert_eq!(net.reply(request), Some(&ok(Value::Nil)));
}

#[test]
fn only_who_is_silent_is_asked_again() {
    let mut net = Net::new(5, Limits::default());
    net.request(ONE, write(1));
    net.deliver(ONE, TWO);
    net.deliver(TWO, ONE);
    net.lose_all();
    net.sent = 0;
    net.pass(Timing::default().resend);
    assert_eq!(net.sent, 3);
}

#[test]
fn a_settled_question_wakes_nobody() {
    let mut alone = Net::new(1, Limits::default());
    let mut out = Output::default();
    let operations = vec![write(1)];
    let command = Command { session: SessionId(0), sequence: 0, watermark: 0, operations };
    let request = Input::Request(RequestId(1), Request::Execute(command));
    alone.nodes.get_mut(&ONE).unwrap().step(Time(0), request, &mut out);
    assert_eq!(out.when_durable, [Effect::Reply(RequestId(1), ok(Value::Nil))]);
    assert_eq!(out.wake_at, None);
}

#[test]
fn a_snapshot_replaces_the_log() {
    let mut net = Net::new(3, Limits { snapshot_entries: 4, ..Limits::default() });
    for _ in 0..10 {
        net.request(ONE, add(1));
        net.deliver_all();
    }
    for node in [ONE, TWO, THREE] {
        assert_eq!(net.disks[&node].records.len(), 2, "10 records, the last snapshot at 8");
        net.start(node);
        assert_eq!(net.held(node, "x"), Value::Int(10));
    }
    net.step(ONE, Input::Admin(RequestId(0), Admin::Snapshot));
    assert_eq!(net.reply(RequestId(0)), Some(&Reply::Done));
    assert!(net.disks[&ONE].records.is_empty());
    net.start(ONE);
    assert_eq!(net.held(ONE, "x"), Value::Int(10));
}

#[test]
fn votes_for_an_earlier_incarnation_do_not_count() {
    let mut net = Net::new(3, Limits::default());
    net.request(ONE, write(1));
    net.deliver(ONE, TWO);
    net.start(ONE);
    let request = net.request(ONE, write(2));
    net.deliver(TWO, ONE);
    assert_eq!(net.reply(request), None, "the agreement was to another write");
    net.deliver_all();
    assert_eq!(net.reply(request), Some(&ok(Value::Nil)));
}

#[test]
fn a_write_that_most_refuse_is_unknown_at_once() {
    let mut net = Net::new(3, Limits::default());
    for node in [TWO, THREE] {
        net.request(node, Operation::Write("x".into(), Value::Text("text".into())));
        net.lose_all();
    }
    let request = net.request(ONE, add(1));
    net.deliver_all();
    assert_eq!(net.reply(request), Some(&Reply::Failed(Failure::Unknown)));
    let refused = net.request(TWO, add(1));
    let wrong_type = Failure::WrongType { key: "x".into() };
    assert_eq!(net.reply(refused), Some(&Reply::Failed(wrong_type)), "no node has applied it");
}

#[test]
fn the_queue_is_bounded() {
    let mut net = Net::new(3, Limits { queue: 2, ..Limits::default() });
    let requests = [0; 3].map(|_| net.request(ONE, write(1)));
    assert_eq!(net.reply(requests[2]), Some(&Reply::Failed(Failure::Overloaded)));
    net.deliver_all();
    assert!(requests.iter().all(|request| net.reply(*request).is_some()));
    let later = net.request(ONE, write(1));
    assert_eq!(net.reply(later), None, "there is room again");
}

#[test]
fn transactions_are_refused_and_sessions_are_names() {
    let mut net = Net::new(3, Limits::default());
    for operations in [vec![], vec![read(), write(1)]] {
        let request = net.execute(ONE, operations);
        assert_eq!(net.reply(request), Some(&Reply::Failed(Failure::Unsupported)));
    }
    let mut names: Vec<Reply> = Vec::new();
    for (node, nonce) in [(ONE, 1), (ONE, 2), (TWO, 1), (TWO, 2)] {
        let [name, again] = [0; 2].map(|_| {
            let request = net.submit(node, Request::OpenSession { nonce });
            net.reply(request).cloned().unwrap()
        });
        assert_eq!(name, again);
        assert!(!names.contains(&name), "{name:?} was given twice");
        names.push(name);
    }
}

#[test]
fn a_log_that_contradicts_itself_is_refused() {
    let record = |number, operation| Record {
        asker: TWO,
        question: QuestionId { incarnation: 1, number },
        settled_below: 0,
        operation,
    };
    let recover = |snapshot: Option<Vec<u8>>, records: Vec<(u64, Record)>| {
        let config = config(ONE, vec![ONE], 1, Limits::default());
        let snapshot = snapshot.map(|data| Snapshot { data });
        let records = records.into_iter().map(|(position, record)| (Position(position), record));
        MajorityVote::recover(config, Time(0), snapshot, records, &mut Output::default()).is_ok()
    };
    assert!(recover(None, vec![(0, record(0, write(1))), (1, record(1, write(2)))]));
    assert!(!recover(None, vec![(0, record(0, write(1))), (2, record(1, write(2)))]), "a gap");
    let text = Operation::Write("x".into(), Value::Text("text".into()));
    assert!(!recover(None, vec![(0, record(0, text)), (1, record(1, add(1)))]), "never applied");
    assert!(recover(Some(vec![0, 0, 0]), vec![]));
    let covered = vec![(0, record(0, add(1))), (1, record(1, add(1)))];
    assert!(recover(Some(vec![0, 0, 1]), covered), "the snapshot covers record 0");
    assert!(!recover(Some(vec![0, 0]), vec![]), "a cut snapshot");
    assert!(!recover(Some(vec![0, 0, 0, 0]), vec![]), "a byte follows");
}
