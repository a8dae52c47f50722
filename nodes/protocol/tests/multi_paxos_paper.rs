//! "Paxos Made Simple", one test for each sentence that binds, and what the header of the variant promises beside it.

mod network;

use network::stage::Stage;
use network::{Faults, Network};
use std::time::Duration;
use tribunal_protocol::replication::{Ballot, Chunk, Partial, Slot, Ticket, Value};
use tribunal_protocol::variants::multi_paxos::{Message, MultiPaxos, Proposal, Record};
use tribunal_protocol::*;

fn ballot(round: u64, node: u32) -> Ballot {
    Ballot { round, node: NodeId(node) }
}

/// A value that only its name tells from others.
fn value(name: &str) -> Value {
    let command = Command {
        session: SessionId(1),
        sequence: 1,
        watermark: 1,
        operations: vec![Operation::Write(name.into(), Int(1))],
    };
    Value::new(vec![Request::Execute(command)], name.as_bytes())
}

use tribunal_protocol::Value::Int;

fn accept(round: u64, node: u32, slot: u64, name: &str) -> Message {
    let proposal = Proposal { slot: Slot(slot), ballot: ballot(round, node), value: value(name) };
    Message::Accept { proposal, decided: Slot(0) }
}

fn prepare(round: u64, node: u32) -> Message {
    Message::Prepare { ballot: ballot(round, node), from: Slot(1) }
}

fn promise(round: u64, node: u32, accepted: Vec<Proposal>) -> Message {
    let ballot = ballot(round, node);
    Message::Promise { ballot, decided: Slot(0), from: Slot(1), accepted, more: None }
}

/// Delivers a message from `from` to `to` and gives what is sent in return.
fn ask(stage: &mut Stage, from: u32, to: u32, message: Message) -> Vec<Message> {
    stage.lose_all();
    stage.forge(from, to, message);
    stage.deliver(1);
    stage.under_way().cloned().collect()
}

fn kinds(messages: &[Message]) -> Vec<&'static str> {
    messages.iter().map(core::Message::kind).collect()
}

#[test]
fn p1_an_acceptor_must_accept_the_first_proposal_that_it_receives() {
    let mut stage = Stage::new(3, Limits::default());
    assert_eq!(kinds(&ask(&mut stage, 1, 3, accept(1, 1, 1, "a"))), ["accepted"]);
}

#[test]
fn p1a_an_acceptor_accepts_n_iff_it_has_not_responded_to_a_prepare_above_n() {
    let mut stage = Stage::new(3, Limits::default());
    assert_eq!(kinds(&ask(&mut stage, 2, 3, prepare(5, 2))), ["promise"]);
    assert_eq!(kinds(&ask(&mut stage, 1, 3, accept(5, 1, 1, "a"))), ["rejected"]);
    assert_eq!(kinds(&ask(&mut stage, 2, 3, accept(5, 2, 1, "b"))), ["accepted"]);
    assert_eq!(kinds(&ask(&mut stage, 1, 3, accept(6, 1, 1, "b"))), ["accepted"]);
}

/// "An acceptor can ignore ... a prepare request numbered n if it has already responded to a prepare request numbered
/// greater than n"; section 2.3 suggests to tell the proposer.
#[test]
fn a_prepare_below_the_promise_is_rejected() {
    let mut stage = Stage::new(3, Limits::default());
    ask(&mut stage, 2, 3, prepare(5, 2));
    assert_eq!(kinds(&ask(&mut stage, 1, 3, prepare(4, 1))), ["rejected"]);
}

/// Section 2.2: it responds with "the proposal with the highest number less than n that it has accepted, if any".
#[test]
fn a_promise_reports_the_highest_numbered_proposal_accepted() {
    let mut stage = Stage::new(3, Limits::default());
    ask(&mut stage, 1, 3, accept(1, 1, 1, "a"));
    ask(&mut stage, 2, 3, accept(2, 2, 1, "b"));
    let answer = ask(&mut stage, 1, 3, prepare(3, 1));
    let [Message::Promise { accepted, .. }] = &answer[..] else { panic!("{answer:?}") };
    let expected = Proposal { slot: Slot(1), ballot: ballot(2, 2), value: value("b") };
    assert_eq!(accepted[..], [expected]);
}

/// P2c, and section 2.2, phase 2a: "v is the value of the highest-numbered proposal among the responses".
#[test]
fn a_proposer_takes_the_value_of_the_highest_numbered_proposal_among_the_responses() {
    let mut stage = Stage::new(5, Limits::default());
    stage.admin(1, Admin::Lead);
    let low = Proposal { slot: Slot(1), ballot: ballot(0, 4), value: value("low") };
    let high = Proposal { slot: Slot(1), ballot: ballot(0, 5), value: value("high") };
    ask(&mut stage, 2, 1, promise(1, 1, vec![high]));
    let sent = ask(&mut stage, 3, 1, promise(1, 1, vec![low]));
    let [Message::Accept { proposal, .. }, ..] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((proposal.ballot, &proposal.value), (ballot(1, 1), &value("high")));
}

/// Section 2.2: "if the proposer receives the requested responses from a majority of the acceptors", and no fewer. A copy is
/// no second response.
#[test]
fn a_proposer_needs_promises_from_a_majority() {
    let mut stage = Stage::new(5, Limits::default());
    stage.admin(1, Admin::Lead);
    for _ in 0..2 {
        ask(&mut stage, 2, 1, promise(1, 1, Vec::new()));
        assert_eq!(stage.core(1).role(), Role::Candidate);
    }
    ask(&mut stage, 3, 1, promise(1, 1, Vec::new()));
    assert_eq!(stage.core(1).role(), Role::Leader);
}

/// Section 2.3: a learner must "find out that a proposal has been accepted by a majority of acceptors".
#[test]
fn a_value_is_decided_when_a_majority_has_accepted_it() {
    let mut stage = Stage::new(5, Limits::default());
    stage.timeout(1);
    let request = stage.open_session(1);
    stage.lose_all();
    let accepted = || Message::Accepted { ballot: ballot(1, 1), slot: Slot(2) };
    for _ in 0..2 {
        ask(&mut stage, 2, 1, accepted());
        assert!(!stage.replies.contains_key(&request), "two of five, one of them twice");
    }
    ask(&mut stage, 3, 1, accepted());
    assert!(stage.replies.contains_key(&request));
}

/// Section 2.2: "an acceptor must remember this information even if it fails and then restarts".
#[test]
fn promise_and_acceptance_survive_restarts_and_snapshots() {
    for snapshot in [false, true] {
        let mut stage = Stage::new(3, Limits::default());
        ask(&mut stage, 1, 3, accept(4, 1, 7, "a"));
        ask(&mut stage, 2, 3, prepare(5, 2));
        if snapshot {
            stage.admin(3, Admin::Snapshot);
        }
        stage.kill(3);
        stage.start(3);
        assert_eq!(kinds(&ask(&mut stage, 1, 3, accept(4, 1, 1, "b"))), ["rejected"]);
        let answer = ask(&mut stage, 1, 3, prepare(6, 1));
        let [Message::Promise { accepted, .. }] = &answer[..] else { panic!("{answer:?}") };
        assert_eq!((accepted[0].slot, accepted[0].ballot), (Slot(7), ballot(4, 1)));
    }
}

/// Section 2.5: each proposer "remembers (in stable storage) the highest-numbered proposal it has tried to issue, and
/// begins phase 1 with a higher proposal number than any it has already used".
#[test]
fn a_restarted_proposer_uses_a_higher_number() {
    let mut stage = Stage::new(3, Limits::default());
    let round = |stage: &mut Stage| {
        stage.lose_all();
        stage.admin(1, Admin::Lead);
        match stage.under_way().next() {
            Some(Message::Prepare { ballot, .. }) => ballot.round,
            other => panic!("{other:?}"),
        }
    };
    let first = round(&mut stage);
    stage.kill(1);
    stage.start(1);
    assert!(round(&mut stage) > first);
}

/// Section 3: "it can execute phase 1 for infinitely many instances of the consensus algorithm" by "a single reasonably
/// short message".
#[test]
fn one_prepare_serves_all_slots() {
    let mut stage = Stage::new(3, Limits::default());
    stage.timeout(1);
    stage.open_session(1);
    for value in 0..20 {
        stage.request(1, Operation::Write("x".into(), Int(value)));
        stage.settle();
    }
    assert_eq!((stage.sent["prepare"], stage.sent["promise"]), (2, 2));
}

/// Section 3: the new leader proposes "a special no-op command that leaves the state unchanged" in the gaps.
#[test]
fn gaps_are_filled_with_no_ops() {
    let mut stage = Stage::new(3, Limits::default());
    ask(&mut stage, 2, 3, accept(0, 2, 3, "c"));
    stage.lose_all();
    stage.admin(1, Admin::Lead);
    stage.cut(2);
    stage.deliver(3); // prepare to n2 (lost), prepare to n3, promise of n3
    let proposed: Vec<_> = stage
        .under_way()
        .filter_map(|message| match message {
            Message::Accept { proposal, .. } => Some(proposal.clone()),
            _ => None,
        })
        .step_by(2)
        .collect();
    let requests = |slot: usize| proposed[slot].value.requests().len();
    assert_eq!((requests(0), requests(1), requests(2)), (0, 0, 1));
    assert_eq!(proposed[2].value, value("c"));
}

/// The rule of the header: what was accepted in another ballot is not taken for decided.
#[test]
fn an_announced_slot_is_taken_only_from_the_announcing_ballot() {
    let mut stage = Stage::new(3, Limits::default());
    ask(&mut stage, 1, 3, accept(1, 1, 1, "minority"));
    let heartbeat = |round| Message::Heartbeat { ballot: ballot(2, 2), round, decided: Slot(1) };
    stage.trace.clear();
    ask(&mut stage, 2, 3, heartbeat(1));
    assert!(!stage.trace.contains("decides"), "{}", stage.trace);
    ask(&mut stage, 2, 3, accept(2, 2, 1, "chosen"));
    ask(&mut stage, 2, 3, heartbeat(2));
    assert!(stage.trace.contains("n3 decides slot 1"), "{}", stage.trace);
}

/// A read is answered by a round that began after it came, not by answers to an earlier one (etcd-io/etcd#20418).
#[test]
fn a_late_heard_does_not_answer_a_read() {
    let mut stage = Stage::new(3, Limits::default());
    stage.timeout(1);
    let heard = |round| Message::Heard { ballot: ballot(1, 1), round };
    let first = stage.request(1, Operation::Read("x".into()));
    let second = stage.request(1, Operation::Read("x".into()));
    ask(&mut stage, 2, 1, heard(1));
    assert!(stage.replies.contains_key(&first));
    for _ in 0..2 {
        ask(&mut stage, 3, 1, heard(1));
        assert!(!stage.replies.contains_key(&second), "round 1 began before the second read");
    }
    ask(&mut stage, 3, 1, heard(2));
    assert!(stage.replies.contains_key(&second));
}

/// The cost formula of the header.
#[test]
fn an_operation_costs_what_the_header_says() {
    for nodes in [1, 3, 5, 7] {
        let mut stage = Stage::new(nodes, Limits::default());
        let n = nodes as usize;
        stage.timeout(1);
        stage.open_session(1);
        stage.settle();
        let mut cost = |node, operation| {
            stage.sent.clear();
            stage.writes = 0;
            stage.request(node, operation);
            stage.settle();
            (stage.sent.values().sum::<usize>(), stage.writes)
        };
        let write = || Operation::Write("x".into(), Int(1));
        let read = || Operation::Read("x".into());
        assert_eq!(cost(1, write()), (2 * (n - 1), n), "a write at the leader of {n}");
        assert_eq!(cost(1, read()), (2 * (n - 1), 0), "a read at the leader of {n}");
        if n > 1 {
            assert_eq!(cost(2, write()), (2 * (n - 1) + 2, n), "a write at a follower of {n}");
            assert_eq!(cost(2, read()), (2 * (n - 1) + 2, 0), "a read at a follower of {n}");
        }
    }
}

#[test]
fn a_batch_costs_what_one_write_costs() {
    let mut stage = Stage::new(3, Limits::default());
    stage.timeout(1);
    stage.open_session(1);
    stage.settle();
    stage.sent.clear();
    let requests: Vec<_> =
        (0..104).map(|n| stage.request(1, Operation::Write("x".into(), Int(n)))).collect();
    stage.settle();
    assert!(requests.iter().all(|request| stage.replies.contains_key(request)));
    // Four eager slots of one request each, and one for the hundred that have waited meanwhile.
    assert_eq!(stage.sent["accept"], 2 * 5);
}

#[test]
fn a_cut_off_node_does_not_depose_a_healthy_leader_on_its_return() {
    let mut network = Network::<MultiPaxos>::new(1, 3, 2, Faults::default());
    network.run_until(1000);
    let (leaders, elections) = (network.leaders(), network.elections);
    let follower = network.members().into_iter().find(|node| !leaders.contains(node));
    network.isolate(follower.expect("a follower"));
    network.run_until(6000);
    network.reconnect();
    network.run_until(8000);
    assert_eq!((network.leaders(), network.elections), (leaders, elections));
}

#[test]
fn after_the_leader_is_killed_there_is_service_within_a_second() {
    for seed in 0..20 {
        let mut network = Network::<MultiPaxos>::new(seed, 3, 4, Faults::default());
        network.run_until(1500);
        let leader = network.leaders()[0];
        network.kill(leader);
        let served = |network: &Network<MultiPaxos>| -> u64 {
            network.clients.iter().map(|client| client.succeeded).sum()
        };
        network.run_until(1510); // What the leader had answered arrives.
        let before = served(&network);
        network.run_until(2500);
        assert!(served(&network) > before, "seed {seed}");
    }
}

#[test]
fn a_new_node_catches_up_by_a_snapshot() {
    let mut network = Network::<MultiPaxos>::new(3, 3, 4, Faults::default());
    network.run_until(2000);
    let leaders = network.leaders();
    let follower = network.members().into_iter().find(|node| !leaders.contains(node));
    network.quiesce();
    network.run_until(2200);
    network.wipe(follower.expect("a follower"));
    network.heal();
    network.run_until(3000);
    assert_eq!(network.applied().len(), 1, "{:?}", network.applied());
    assert!(network.installed > 0);
}

#[test]
fn requests_that_were_proposed_nowhere_fail_definitely_and_others_do_not() {
    let mut stage = Stage::new(3, Limits { queue: 1, ..Limits::default() });
    let waits = stage.request(3, Operation::Read("x".into()));
    let refused = stage.request(3, Operation::Read("x".into()));
    assert_eq!(stage.replies[&refused], Reply::Failed(Failure::Overloaded));
    stage.cut(3);
    stage.wait(3, Duration::from_secs(5));
    assert_eq!(stage.replies[&waits], Reply::Failed(Failure::NoLeader));
    stage.join(3);
    stage.timeout(1);
    let forwarded = stage.request(2, Operation::Read("x".into()));
    stage.lose_all();
    stage.wait(2, Duration::from_secs(5));
    assert_eq!(stage.replies[&forwarded], Reply::Failed(Failure::Unknown));
}

/// A restarted node counts its tickets from the start. Late answers to what it forwarded before must not take the place of
/// the answers that it waits for now.
#[test]
fn an_answer_for_an_earlier_incarnation_leaves_the_request_of_this_one_waiting() {
    let late = Ticket { incarnation: 1, number: 1 };
    let request = Request::OpenSession { nonce: 1 };
    for message in [
        Message::Answer { replies: vec![(late, Reply::Done)] },
        Message::Return { ticket: late, request },
    ] {
        let mut stage = Stage::new(3, Limits::default());
        stage.kill(2);
        stage.start(2);
        stage.timeout(1);
        let read = stage.request(2, Operation::Read("x".into()));
        stage.forge(1, 2, message);
        stage.settle();
        assert_eq!(
            stage.replies.get(&read),
            Some(&Reply::Results(vec![tribunal_protocol::Value::Nil]))
        );
    }
}

/// One round answers all reads that wait for it; their answers must not make a message that no frame can hold.
#[test]
fn many_large_answers_to_one_node_leave_in_parts() {
    let limits = Limits { chunk_bytes: 1000, ..Limits::default() };
    let mut stage = Stage::new(3, limits);
    stage.timeout(1);
    stage.open_session(1);
    stage.settle();
    let text = tribunal_protocol::Value::Text("x".repeat(300).into());
    stage.request(1, Operation::Write("x".into(), text.clone()));
    stage.settle();
    let reads: Vec<_> = (0..20).map(|_| stage.request(2, Operation::Read("x".into()))).collect();
    let mut answers = 0;
    while stage.under_way().count() > 0 {
        if let Some(Message::Answer { replies }) = stage.under_way().next() {
            answers += 1;
            let bytes = postcard::to_allocvec(replies).expect("plain data").len();
            assert!(bytes < limits.chunk_bytes + 400, "{bytes} bytes in one message");
        }
        stage.deliver(1);
    }
    assert!(answers > 2, "{answers} messages");
    let expected = Reply::Results(vec![text]);
    assert!(reads.iter().all(|read| stage.replies.get(read) == Some(&expected)));
}

/// A candidate hears no leader that would remind it of what it lacks.
#[test]
fn a_candidate_whose_question_for_decided_values_was_lost_asks_again() {
    let mut stage = Stage::new(3, Limits::default());
    let heartbeat = Message::Heartbeat { ballot: ballot(1, 1), round: 1, decided: Slot(2) };
    ask(&mut stage, 1, 3, heartbeat);
    let values = vec![value("a")];
    ask(&mut stage, 1, 3, Message::Decided { first: Slot(1), values, decided: Slot(5) });
    stage.admin(3, Admin::Lead);
    let (ballot, from) = (ballot(2, 3), Slot(2));
    let promise =
        Message::Promise { ballot, decided: Slot(5), from, accepted: Vec::new(), more: None };
    assert!(kinds(&ask(&mut stage, 1, 3, promise)).contains(&"catch-up"));
    stage.lose_all();
    stage.wait(3, Duration::from_millis(150));
    let sent: Vec<_> = stage.under_way().cloned().collect();
    assert!(kinds(&sent).contains(&"catch-up"), "{sent:?}");
}

/// It would ask for the rest of that snapshot for ever, throw each part away, and never catch up.
#[test]
fn a_learner_that_got_beyond_a_snapshot_no_longer_asks_for_its_parts() {
    let mut stage = Stage::new(3, Limits::default());
    let part = Message::Snapshot(Chunk {
        at: Partial { slot: Slot(2), digest: 7, offset: 0 },
        total: 120,
        bytes: vec![0; 64],
    });
    let asked = |sent: &[Message]| match sent {
        [Message::CatchUp { decided, partial }] => (*decided, *partial),
        other => panic!("{other:?}"),
    };
    let known = Partial { slot: Slot(2), digest: 7, offset: 64 };
    assert_eq!(asked(&ask(&mut stage, 1, 3, part)), (Slot(0), Some(known)));
    let values = ["a", "b", "c"].map(value).to_vec();
    let learned = Message::Decided { first: Slot(1), values, decided: Slot(9) };
    assert_eq!(asked(&ask(&mut stage, 1, 3, learned)), (Slot(3), None));
}

/// What came back waits behind what came later, and yet no longer than `Timing::request` in all.
#[test]
fn a_request_that_came_back_is_given_up_in_its_own_time() {
    let mut stage = Stage::new(3, Limits::default());
    stage.timeout(1);
    let early = stage.request(2, Operation::Read("x".into()));
    let Some(Message::Forward { ticket, request, .. }) = stage.under_way().next().cloned() else {
        panic!("{}", stage.trace)
    };
    stage.lose_all();
    stage.wait(2, Duration::from_secs(3)); // Its leader is silent.
    let late = stage.request(2, Operation::Read("x".into()));
    ask(&mut stage, 1, 2, Message::Return { ticket, request });
    stage.wait(2, Duration::from_millis(1100));
    assert_eq!(stage.replies.get(&early), Some(&Reply::Failed(Failure::Unknown)));
    assert!(!stage.replies.contains_key(&late));
    stage.wait(2, Duration::from_secs(3));
    assert_eq!(stage.replies.get(&late), Some(&Reply::Failed(Failure::NoLeader)));
}

#[test]
fn a_leader_that_steps_down_answers_unknown_for_what_it_proposed() {
    let mut stage = Stage::new(3, Limits::default());
    stage.timeout(1);
    let request = stage.open_session(1);
    ask(&mut stage, 2, 1, prepare(9, 2));
    assert_eq!(stage.replies[&request], Reply::Failed(Failure::Unknown));
    assert_eq!(stage.core(1).role(), Role::Follower);
}

/// A leader that nobody answers must not keep those who hear it from electing another.
#[test]
fn a_leader_without_a_majority_steps_down() {
    let mut stage = Stage::new(3, Limits::default());
    stage.timeout(1);
    stage.cut(1);
    for _ in 0..20 {
        stage.wait(1, Duration::from_millis(50));
        stage.lose_all();
    }
    assert_eq!(stage.core(1).role(), Role::Follower);
}

/// What invariants and aimed faults are told of a phase is what the message and the record say.
#[test]
fn claims_name_the_phases() {
    let mut stage = Stage::new(3, Limits::default());
    let claims = |messages: Vec<Message>| -> Vec<Claim> {
        messages.iter().map(core::Message::claim).collect()
    };
    let number = ballot(5, 2).number();
    assert_eq!(claims(vec![prepare(5, 2)]), [Claim::Prepares { ballot: number }]);
    assert_eq!(claims(ask(&mut stage, 2, 3, prepare(5, 2))), [Claim::Promised { ballot: number }]);
    let (slot, digest) = (1, value("a").digest());
    let proposes = Claim::Proposes { ballot: number, slot, digest };
    assert_eq!(claims(vec![accept(5, 2, slot, "a")]), [proposes]);
    let accepted = |digest| Claim::Accepted { ballot: number, slot, digest };
    assert_eq!(claims(ask(&mut stage, 2, 3, accept(5, 2, slot, "a"))), [accepted(None)]);
    let rejected = ask(&mut stage, 1, 3, prepare(4, 1));
    assert_eq!((kinds(&rejected), claims(rejected)), (vec!["rejected"], vec![Claim::Nothing]));

    let proposal = Proposal { slot: Slot(slot), ballot: ballot(5, 2), value: value("a") };
    let claim = |record| MultiPaxos::claim_of(&record);
    assert_eq!(claim(Record::Promised(ballot(5, 2))), Claim::Promised { ballot: number });
    assert_eq!(claim(Record::Accepted(proposal)), accepted(Some(digest)));
    assert_eq!(claim(Record::Learned(Slot(slot), value("a"))), Claim::Nothing);
}

/// The views show what is decided, not what is merely accepted, and nothing that has left memory.
#[test]
fn the_white_box_views_show_what_is_decided() {
    let mut stage = Stage::new(3, Limits { keep_entries: 1, ..Limits::default() });
    let empty = stage.core(1).state_digest();
    assert_eq!((stage.core(1).applied(), stage.core(1).decided(0)), (Some(0), None));
    ask(&mut stage, 2, 3, accept(0, 2, 1, "a"));
    assert_eq!(stage.core(3).decided(1), None, "accepted only");

    stage.timeout(1);
    stage.open_session(1);
    stage.settle();
    let core = stage.core(1);
    let last = core.applied().expect("slots");
    let session = Request::OpenSession { nonce: 7 };
    assert_eq!(core.decided(last), Some(&[session][..]));
    assert_eq!(core.decided(last + 1), None);
    assert_ne!(core.state_digest(), empty);

    stage.wait(1, Timing::default().heartbeat);
    stage.settle();
    assert_eq!(stage.core(2).applied(), Some(last));
    assert_eq!(stage.core(2).state_digest(), stage.core(1).state_digest());
    stage.admin(1, Admin::Snapshot);
    assert!(stage.core(1).decided(last).is_some(), "one is kept");
    assert_eq!(stage.core(1).decided(last - 1), None, "dropped");
}
