//! One test for each line of the table, and the rules that join attempts.

use super::*;

const TIMEOUT_NS: u64 = 1000;

fn client(retries: u32, backoff_ns: u64) -> Client {
    let mut client = Client::new(ClientPolicy { timeout_ns: TIMEOUT_NS, retries, backoff_ns });
    client.session_opened(7);
    client
}

fn failed(certainty: Certainty, error: &'static str) -> Input {
    Input::Failed { certainty, error: error.into() }
}

fn fail(error: &'static str) -> Completion {
    Completion::Fail { error: error.into() }
}

fn info(error: &'static str) -> Completion {
    Completion::Info { error: error.into() }
}

fn completion(step: Step) -> Completion {
    match step {
        Step::Done(done) => done.completion,
        other => panic!("the operation should have ended: {other:?}"),
    }
}

/// How a single attempt ends without retries, and whether another one follows with them.
fn outcome(reply: &Input, sent: bool) -> (Completion, bool) {
    let run = |retries| {
        let mut client = client(retries, 0);
        client.begin(0).expect("a session is open");
        if sent {
            client.sent(1);
        }
        client.input(1, 1, reply.clone())
    };
    (completion(run(0)), matches!(run(1), Step::Send(_)))
}

#[test]
fn a_value_is_ok() {
    assert_eq!(outcome(&Input::Ok(5.into()), true), (Completion::Ok(5.into()), false));
}

#[test]
fn a_failure_of_the_request_is_a_fail() {
    for error in ["cas-mismatch", "wrong-type", "unsupported"] {
        let reply = failed(Certainty::Request, error);
        assert_eq!(outcome(&reply, true), (fail(error), false));
    }
}

#[test]
fn a_failure_of_the_attempt_is_a_fail_that_may_be_retried() {
    for error in ["overloaded", "no-leader", "session-full"] {
        let reply = failed(Certainty::Attempt, error);
        assert_eq!(outcome(&reply, true), (fail(error), true));
    }
}

#[test]
fn what_no_retry_can_mend_is_not_retried() {
    for error in ["session-expired", "superseded"] {
        let reply = failed(Certainty::Attempt, error);
        assert_eq!(outcome(&reply, true), (fail(error), false));
    }
}

#[test]
fn a_failure_that_says_nothing_is_an_info() {
    let reply = failed(Certainty::Unknown, "unknown");
    assert_eq!(outcome(&reply, true), (info("unknown"), true));
}

#[test]
fn an_answer_that_cannot_be_read_is_an_info_and_shown() {
    assert_eq!(outcome(&Input::Garbled, true), (info("bad-reply"), false));
}

#[test]
fn a_refused_connection_is_definite() {
    // Also where the host noted a first byte too early: no connection, no byte.
    for sent in [false, true] {
        assert_eq!(outcome(&Input::Refused, sent), (fail("connection-refused"), true));
    }
}

#[test]
fn a_closed_connection_is_definite_only_before_the_first_byte() {
    assert_eq!(outcome(&Input::Broken, false), (fail("connection-broken"), true));
    assert_eq!(outcome(&Input::Broken, true), (info("connection-broken"), true));
}

#[test]
fn a_cut_link_is_definite_only_before_the_first_byte() {
    assert_eq!(outcome(&Input::Cut, false), (fail("cut"), true));
    assert_eq!(outcome(&Input::Cut, true), (info("cut"), true));
}

#[test]
fn a_timeout_is_definite_only_before_the_first_byte() {
    assert_eq!(outcome(&Input::TimedOut, false), (fail("timeout-unsent"), true));
    assert_eq!(outcome(&Input::TimedOut, true), (info("timeout"), true));
}

/// An operation whose first attempt had `first`, with one retry under way.
fn retried(first: Input) -> Client {
    let mut client = client(1, 0);
    client.begin(0).expect("a session is open");
    client.sent(1);
    assert!(matches!(client.input(1, 1, first), Step::Send(Send { attempt: 2, .. })));
    client.sent(2);
    client
}

#[test]
fn a_definite_attempt_after_one_that_may_have_happened_is_an_info() {
    for last in [failed(Certainty::Attempt, "no-leader"), Input::Refused] {
        let mut client = retried(Input::Broken);
        assert_eq!(completion(client.input(2, 2, last)), info("connection-broken"));
    }
    let mut client = retried(failed(Certainty::Attempt, "overloaded"));
    assert_eq!(completion(client.input(2, 2, Input::Refused)), fail("connection-refused"));
}

#[test]
fn an_expired_session_does_not_settle_an_earlier_attempt() {
    let mut client = retried(Input::Broken);
    let step = client.input(2, 2, failed(Certainty::Attempt, "session-expired"));
    assert_eq!(completion(step), info("connection-broken"));
}

#[test]
fn the_session_decides_for_all_attempts() {
    let mut client = retried(Input::Broken);
    let step = client.input(2, 2, failed(Certainty::Request, "cas-mismatch"));
    assert_eq!(completion(step), fail("cas-mismatch"));
}

#[test]
fn success_wins_over_whatever_came_before() {
    let mut client = retried(Input::Broken);
    let Step::Done(done) = client.input(2, 2, Input::Ok(1.into())) else { panic!("not done") };
    assert_eq!(done.completion, Completion::Ok(1.into()));
    assert_eq!((done.attempts, done.error_last.as_deref()), (2, Some("connection-broken")));
}

#[test]
fn late_news_of_an_earlier_attempt_count() {
    let mut client = retried(Input::TimedOut);
    assert_eq!(completion(client.input(2, 1, Input::Ok(1.into()))), Completion::Ok(1.into()));

    let mut client = retried(Input::TimedOut);
    let late = client.input(2, 1, failed(Certainty::Attempt, "overloaded"));
    assert_eq!(late, Step::Wait { until_ns: TIMEOUT_NS });
    // The connection that closes after that answer takes nothing back.
    client.input(3, 1, Input::Broken);
    assert_eq!(completion(client.input(4, 2, Input::Refused)), fail("connection-refused"));
}

#[test]
fn all_attempts_carry_one_number_and_the_next_operation_another() {
    let mut client = client(1, 0);
    let first = client.begin(0).expect("a session is open");
    assert_eq!(client.session().watermark(), 1);
    let Step::Send(second) = client.input(1, 1, Input::Refused) else { panic!("not retried") };
    assert_eq!(first.numbered, second.numbered);
    client.sent(2);
    assert_eq!(completion(client.input(2, 2, Input::TimedOut)), info("timeout"));
    let next = client.begin(3).expect("a session is open").numbered;
    // The operation that was given up no longer holds the watermark back.
    assert_eq!((next.session, next.sequence, next.watermark), (7, 2, 2));
}

#[test]
fn no_operation_outlives_its_timeout() {
    let mut client = client(3, 10);
    let mut deadline_ns = client.begin(100).expect("a session is open").deadline_ns;
    assert_eq!(deadline_ns, 100 + TIMEOUT_NS / 4);
    let mut attempt = 1;
    let ended = loop {
        client.sent(attempt);
        assert_eq!(client.wake(deadline_ns - 1), Step::Wait { until_ns: deadline_ns });
        match client.wake(deadline_ns) {
            Step::Wait { until_ns } => {
                let Step::Send(dispatch) = client.wake(until_ns) else { panic!("not sent") };
                attempt = dispatch.attempt;
                deadline_ns = dispatch.deadline_ns;
            }
            Step::Done(done) => break done,
            Step::Send(_) => panic!("sent without backoff"),
        }
    };
    assert_eq!((attempt, ended.attempts, deadline_ns), (4, 4, 100 + TIMEOUT_NS));
}

#[test]
fn the_backoff_doubles_and_never_passes_the_deadline() {
    let mut client = client(100, 300);
    client.begin(0).expect("a session is open");
    assert_eq!(client.input(0, 1, Input::Refused), Step::Wait { until_ns: 300 });
    assert!(matches!(client.wake(300), Step::Send(_)));
    assert_eq!(client.input(301, 2, Input::Refused), Step::Wait { until_ns: 901 });
    assert!(matches!(client.wake(901), Step::Send(_)));
    // The next backoff of 1200 ns would end after the timeout: the operation ends now.
    assert_eq!(completion(client.input(902, 3, Input::Refused)), fail("connection-refused"));
    assert_eq!(backoff_ns(1, 200), u64::MAX);
}

#[test]
fn an_expired_session_has_to_be_replaced() {
    let mut client = client(0, 0);
    client.begin(0).expect("a session is open");
    client.input(1, 1, failed(Certainty::Attempt, "session-expired"));
    assert_eq!(client.begin(2), Err(NoSession));
    client.session_opened(8);
    assert_eq!(client.begin(3).map(|dispatch| dispatch.numbered.session), Ok(8));
}

#[test]
fn a_node_that_refuses_the_request_for_what_it_asks_has_served_it() {
    assert_eq!(failed(Certainty::Request, "cas-mismatch").outcome(), Outcome::Served);
    assert_eq!(failed(Certainty::Attempt, "overloaded").outcome(), Outcome::Declined);
    assert_eq!(Input::Broken.outcome(), Outcome::Unreachable);
    assert_eq!(Input::TimedOut.outcome(), Outcome::TimedOut);
}
