//! Multi-Paxos as stories: whole exchanges of messages, kept as text in `tests/traces`.
//!
//! `TRACES=write cargo test -p tribunal-protocol --test multi_paxos_traces` writes them anew; read the difference.

mod network;

use network::stage::Stage;
use tribunal_protocol::*;

fn write(key: &str, value: i64) -> Operation {
    Operation::Write(key.into(), Value::Int(value))
}

/// Compares the story with the kept one.
fn check(name: &str, stage: &Stage) {
    let path = format!("{}/tests/traces/multi_paxos_{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TRACES").is_some_and(|mode| mode == "write") {
        std::fs::write(&path, &stage.trace).expect("writable");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(stage.trace, kept, "{path} tells another story");
}

/// Three nodes, n1 leads, a session is open.
fn begin(limits: Limits) -> Stage {
    let mut stage = Stage::new(3, limits);
    stage.timeout(1);
    stage.open_session(1);
    stage.settle();
    stage.trace.clear();
    stage
}

#[test]
fn normal_operation() {
    let mut stage = Stage::new(3, Limits::default());
    stage.trace.clear();
    stage.say(
        "Nobody leads. The timer of n1 runs out first: it canvasses, then phase 1 for all slots.",
    );
    stage.timeout(1);
    stage.say("A client of the leader: phase 2 only.");
    stage.open_session(1);
    stage.settle();
    stage.say("A client of a follower: the request is forwarded. The next accept announces what is decided.");
    stage.request(2, write("x", 1));
    stage.settle();
    stage.say("A read: one round of heartbeats, no slot.");
    stage.request(3, Operation::Read("x".into()));
    stage.settle();
    check("1_normal_operation", &stage);
}

#[test]
fn leader_crash_and_recovery_of_an_accepted_value() {
    let mut stage = begin(Limits::default());
    stage
        .say("The leader n1 proposes; only n2 gets the accept, and n1 dies before it hears of it.");
    stage.request(1, write("x", 1));
    stage.deliver(1);
    stage.kill(1);
    stage.settle();
    stage.say("n3, which never saw the value, leads next; n2's promise reports it, and n3 is bound to it.");
    stage.timeout(3);
    stage.request(3, Operation::Read("x".into()));
    stage.settle();
    check("2_leader_crash", &stage);
}

#[test]
fn a_gap_is_filled_by_a_no_op() {
    let mut stage = begin(Limits::default());
    stage.say("Two slots under way. The accepts of the first are lost, n2 accepts the second.");
    stage.request(1, write("x", 1));
    stage.lose_all();
    stage.request(1, write("y", 2));
    stage.deliver(1);
    stage.kill(1);
    stage.settle();
    stage.say("n3 finds a value in the second slot and none in the first.");
    stage.timeout(3);
    stage.request(3, Operation::Read("y".into()));
    stage.settle();
    check("3_gap", &stage);
}

#[test]
fn competing_proposers() {
    let mut stage = Stage::new(3, Limits::default());
    stage.trace.clear();
    stage.say("n1 and n2 both begin phase 1. Ballots order them: 1.n2 is above 1.n1.");
    stage.admin(1, Admin::Lead);
    stage.admin(2, Admin::Lead);
    stage.settle();
    stage.open_session(1);
    stage.settle();
    check("4_competing_proposers", &stage);
}

#[test]
fn catching_up_by_a_snapshot() {
    let limits = Limits { keep_entries: 1, chunk_bytes: 12, ..Limits::default() };
    let mut stage = begin(limits);
    stage.say("n3 is cut off while four slots are decided, and the log before them is dropped.");
    stage.cut(3);
    for value in 1..=4 {
        stage.request(1, write("x", value));
        stage.settle();
    }
    stage.admin(1, Admin::Snapshot);
    stage.join(3);
    stage.say(
        "The next heartbeat tells n3 what it lacks. It asks once it has lacked it for `resend`.",
    );
    stage.wait(1, Timing::default().heartbeat);
    stage.settle();
    stage.wait(3, Timing::default().resend);
    stage.settle();
    check("5_snapshot", &stage);
}
