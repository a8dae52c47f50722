//! What section 2 of "Paxos Made Simple" and CASPaxos say, and what the header of the variant promises beside it.

mod keyed;

use keyed::{Stage, append, cas, command, done, found, read, write};
use tribunal_protocol::core::Message as _;
use tribunal_protocol::replication::Ballot;
use tribunal_protocol::variants::paxos::state::{Change, SESSIONS, State};
use tribunal_protocol::variants::paxos::{Message, Paxos, Register};
use tribunal_protocol::*;

fn stage() -> Stage<Paxos> {
    Stage::new(3)
}

fn x() -> Register {
    Register::Key("x".into())
}

fn ballot(round: u64, node: u32) -> Ballot {
    Ballot { round: round << 24, node: NodeId(node) }
}

fn prepare(round: u64, node: u32) -> Message {
    Message::Prepare { register: x(), ballot: ballot(round, node), known: Ballot::NONE }
}

fn state(value: i64) -> State {
    let mut state = State::default();
    let Request::Execute(command) = command(1, 1, vec![write(value)]) else { unreachable!() };
    state.apply(&Change::Execute(command), &Limits::default());
    state.next_version();
    state
}

fn accept(round: u64, node: u32, value: i64) -> Message {
    Message::Accept { register: x(), ballot: ballot(round, node), state: state(value) }
}

/// What node 3 answers to a message of node 1.
fn answer(stage: &mut Stage<Paxos>, message: Message) -> Message {
    stage.lose_all();
    stage.step(3, Input::Message(NodeId(1), message));
    let (_, _, answer) = stage.links.pop_back().expect("an answer");
    answer
}

/// Delivers one whole phase of `from` with `to` alone.
fn phase(stage: &mut Stage<Paxos>, from: u32, to: u32) -> &'static str {
    stage.links.retain(|link| (link.0.0, link.1.0) == (from, to));
    stage.round_trip(from, to)
}

/// P1a: "An acceptor can accept a proposal numbered n iff it has not responded to a prepare request having a number
/// greater than n."
#[test]
fn p1a_an_acceptor_accepts_n_iff_it_has_not_promised_more() {
    let mut stage = stage();
    assert_eq!(answer(&mut stage, accept(1, 1, 1)).kind(), "accepted");
    assert_eq!(answer(&mut stage, prepare(5, 2)).kind(), "promise");
    assert_eq!(answer(&mut stage, accept(4, 1, 2)).kind(), "rejected");
    assert_eq!(answer(&mut stage, accept(5, 1, 2)).kind(), "rejected");
    assert_eq!(answer(&mut stage, accept(5, 2, 2)).kind(), "accepted");
}

/// Section 2.2, phase 1b: a promise "with the highest-numbered proposal (if any) that it has accepted".
#[test]
fn a_promise_tells_the_highest_proposal_that_was_accepted() {
    let mut stage = stage();
    answer(&mut stage, accept(1, 1, 1));
    answer(&mut stage, accept(2, 2, 2));
    let told = |answer| match answer {
        Message::Promise { accepted, state, .. } => (accepted, state),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(answer(&mut stage, prepare(3, 1))), (ballot(2, 2), Some(state(2))));
    assert_eq!(answer(&mut stage, prepare(2, 1)).kind(), "rejected");
    assert_eq!(told(answer(&mut stage, prepare(3, 1))), (ballot(2, 2), Some(state(2))), "a copy");
}

/// Section 2.5: "An acceptor must remember this information even if it fails and then restarts."
#[test]
fn promises_and_acceptances_outlive_restarts_and_snapshots() {
    for snapshot_entries in [1, 1_000] {
        let mut stage: Stage<Paxos> =
            Stage::with_limits(3, Limits { snapshot_entries, ..Limits::default() });
        answer(&mut stage, accept(2, 2, 2));
        answer(&mut stage, prepare(5, 2));
        stage.restart(3);
        assert_eq!(answer(&mut stage, accept(4, 1, 1)).kind(), "rejected");
        let Message::Promise { accepted, state: held, .. } = answer(&mut stage, prepare(6, 1))
        else {
            panic!("no promise")
        };
        assert_eq!((accepted, held), (ballot(2, 2), Some(state(2))));
    }
}

#[test]
fn a_promise_and_an_acceptance_wait_for_the_disk() {
    let mut stage = stage();
    stage.stalled.insert(NodeId(3));
    for message in [prepare(1, 1), accept(1, 1, 1)] {
        stage.step(3, Input::Message(NodeId(1), message));
        assert!(stage.links.is_empty());
        stage.sync(3);
        assert!(stage.links.pop_back().is_some());
    }
}

/// P2c: the proposer's value is that of the highest-numbered proposal among the answers; in CASPaxos, what its change
/// makes of it.
#[test]
fn a_proposer_changes_the_state_accepted_in_the_highest_ballot() {
    let mut stage = stage();
    assert_eq!(stage.settled(1, write(1)), done());
    stage.execute(1, write(2));
    phase(&mut stage, 1, 3);
    phase(&mut stage, 1, 3);
    // Node 2 still has the first version, node 3 the second.
    let swap = stage.execute(2, cas(2, 3));
    assert_eq!(phase(&mut stage, 2, 3), "promise");
    assert_eq!(phase(&mut stage, 2, 3), "accepted");
    assert_eq!(stage.reply(swap), Some(done()));
}

#[test]
fn a_state_accepted_by_a_minority_is_found_and_goes_on() {
    let mut stage = stage();
    let lost = stage.execute(1, write(1));
    phase(&mut stage, 1, 2);
    // Phase 2 reaches nobody but the proposer itself.
    stage.lose_all();
    let swap = stage.execute(3, cas(1, 2));
    phase(&mut stage, 3, 1);
    stage.pass(300);
    phase(&mut stage, 3, 1);
    phase(&mut stage, 3, 1);
    assert_eq!(stage.reply(swap), Some(done()));
    stage.deliver_all();
    stage.pass(300);
    stage.deliver_all();
    assert_eq!(stage.reply(lost), Some(done()), "it took effect, and a copy finds its answer");
    assert_eq!(stage.settled(2, read()), found(2), "and not again");
}

#[test]
fn a_node_uses_no_ballot_again_after_a_restart() {
    let mut stage = stage();
    let mut ballots = Vec::new();
    for _ in 0..2 {
        stage.stalled.insert(NodeId(1));
        stage.execute(1, write(1));
        for (_, _, message) in stage.links.drain(..) {
            if let Message::Prepare { ballot, .. } = message {
                ballots.push(ballot);
            }
        }
        stage.restart(1);
    }
    ballots.dedup();
    assert_eq!(ballots.len(), 2, "{ballots:?}");
}

#[test]
fn requests_that_wait_for_one_key_go_in_one_proposal_in_order() {
    let mut stage = stage();
    let first = stage.execute(1, append(1));
    let more = [append(2), read(), append(3)].map(|operation| stage.execute(1, operation));
    stage.deliver_all();
    assert_eq!(stage.sent, 8, "one round for all of them");
    assert_eq!(stage.reply(first), Some(done()));
    let list = Value::List(vec![Value::Int(1), Value::Int(2)]);
    assert_eq!(stage.reply(more[1]), Some(Reply::Results(vec![list])));
}

#[test]
fn a_read_of_what_a_majority_has_accepted_takes_no_ballot() {
    let mut stage = stage();
    assert_eq!(stage.settled(1, write(1)), done());
    let syncs = stage.syncs;
    let id = stage.execute(2, read());
    assert_eq!(phase(&mut stage, 2, 3), "report");
    assert_eq!(stage.reply(id), Some(found(1)));
    assert_eq!(stage.syncs, syncs);
}

#[test]
fn a_read_that_finds_the_nodes_divided_decides_before_it_answers() {
    let mut stage = stage();
    assert_eq!(stage.settled(1, write(1)), done());
    stage.execute(1, write(2));
    phase(&mut stage, 1, 2);
    stage.lose_all();
    // Node 1 alone has accepted the second write.
    let id = stage.execute(2, read());
    assert_eq!(phase(&mut stage, 2, 1), "report");
    assert_eq!(phase(&mut stage, 2, 1), "promise");
    assert_eq!(stage.reply(id), None);
    assert_eq!(phase(&mut stage, 2, 1), "accepted");
    assert_eq!(stage.reply(id), Some(found(2)));
}

#[test]
fn a_read_that_arrives_after_the_question_is_not_answered_by_what_was_promised_before() {
    let mut stage = stage();
    assert_eq!(stage.settled(1, write(1)), done());
    // A copy of that request: nothing changes, so phase 2 could be skipped for it alone.
    let copy = stage.ask(1, command(1, 1, vec![write(1)]));
    stage.deliver(1, 2);
    let late = stage.execute(1, read());
    assert_eq!(stage.deliver(2, 1), "promise");
    assert_eq!((stage.reply(copy), stage.reply(late)), (None, None));
    stage.deliver_all();
    assert_eq!((stage.reply(copy), stage.reply(late)), (Some(done()), Some(found(1))));
}

/// The proposer is ahead of those who promise: what it has accepted alone is not decided because they agree on less.
#[test]
fn what_the_own_acceptor_alone_has_accepted_is_not_settled() {
    let mut stage = stage();
    assert_eq!(stage.settled(1, write(1)), done());
    let add = || command(1, 50, vec![write(2)]);
    stage.ask(1, add());
    phase(&mut stage, 1, 2);
    for _ in 0..50 {
        stage.lose_all();
        stage.pass(100);
    }
    stage.stalled.insert(NodeId(1));
    stage.lose_all();
    let copy = stage.ask(1, add());
    stage.deliver(1, 2);
    stage.deliver(1, 3);
    assert_eq!(stage.deliver(2, 1), "promise");
    assert_eq!(stage.deliver(3, 1), "promise");
    assert_eq!(stage.reply(copy), None);
    stage.deliver_all();
    assert_eq!(stage.reply(copy), Some(done()));
}

#[test]
fn a_copy_of_a_request_finds_its_answer_at_any_node() {
    let mut stage = stage();
    let add = || command(7, 1, vec![Operation::Add("x".into(), 5)]);
    for node in [1, 2, 3, 1] {
        let id = stage.ask(node, add());
        stage.deliver_all();
        assert_eq!(stage.reply(id), Some(found(5)));
    }
}

#[test]
fn a_proposer_whose_own_acceptor_has_promised_more_does_not_propose() {
    let mut stage = stage();
    let id = stage.execute(1, write(1));
    stage.deliver(1, 2);
    stage.step(1, Input::Message(NodeId(3), prepare(50, 3)));
    assert_eq!(stage.deliver(2, 1), "promise");
    assert!(stage.links.iter().all(|(_, _, message)| message.kind() != "accept"));
    stage.lose_all();
    stage.pass(300);
    stage.deliver_all();
    assert_eq!(stage.reply(id), Some(done()));
}

#[test]
fn what_was_not_proposed_fails_definitely_and_what_was_is_unknown() {
    let mut stage = stage();
    let unheard = stage.execute(1, write(1));
    stage.lose_all();
    let proposed = stage.execute(2, write(2));
    phase(&mut stage, 2, 3);
    stage.lose_all();
    for _ in 0..50 {
        stage.pass(100);
        stage.lose_all();
    }
    assert_eq!(stage.reply(unheard), Some(Reply::Failed(Failure::NoLeader)));
    assert_eq!(stage.reply(proposed), Some(Reply::Failed(Failure::Unknown)));
}

#[test]
fn sessions_get_names_that_grow() {
    let mut stage = stage();
    let mut last = SessionId(0);
    for node in [1, 2, 3, 1] {
        let id = stage.ask(node, Request::OpenSession { nonce: 1 });
        stage.deliver_all();
        let Some(Reply::Session(session)) = stage.reply(id) else { panic!("no session") };
        assert!(session > last, "{session} after {last}");
        last = session;
    }
}

#[test]
fn the_lowest_session_expires_and_a_copy_of_its_request_is_refused() {
    let mut state = State::default();
    let limits = Limits::default();
    let mut add = |session| {
        let Request::Execute(command) = command(session, 1, vec![Operation::Add("x".into(), 1)])
        else {
            unreachable!()
        };
        state.apply(&Change::Execute(command), &limits).reply
    };
    let sessions = i64::try_from(SESSIONS).expect("few");
    for session in 2..2 + SESSIONS as u64 {
        add(session);
    }
    assert_eq!(add(2), found(1), "it is held");
    assert_eq!(add(1), Reply::Failed(Failure::SessionExpired), "below all that are held");
    assert_eq!(add(100), found(sessions + 1));
    assert_eq!(add(2), Reply::Failed(Failure::SessionExpired), "it gave its place to 100");
    assert_eq!(add(3), found(2));
}

#[test]
fn several_operations_on_one_key_are_one_change_and_on_two_keys_none() {
    let mut stage = stage();
    let id = stage.ask(1, command(1, 1, vec![write(1), cas(1, 2), read()]));
    stage.deliver_all();
    let results = vec![Value::Nil, Value::Nil, Value::Int(2)];
    assert_eq!(stage.reply(id), Some(Reply::Results(results)));
    let two = vec![write(3), Operation::Read("y".into())];
    let id = stage.ask(1, command(1, 2, two));
    assert_eq!(stage.reply(id), Some(Reply::Failed(Failure::Unsupported)));
}

#[test]
fn the_costs_are_those_of_the_formulas() {
    let mut stage = stage();
    assert_eq!(stage.settled(1, write(1)), done());
    assert_eq!((stage.sent, stage.syncs), (8, 6));
    assert_eq!(stage.settled(2, read()), found(1));
    assert_eq!((stage.sent, stage.syncs), (12, 6));
}
