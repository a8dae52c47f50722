//! Each mutant of clients and balancers is convicted by the checker that its header names, and no correct one is.

use std::collections::BTreeMap;
use std::convert::Infallible;
use tribunal_checkers::fairness::{self, Fairness};
use tribunal_checkers::{Checker, Validity, Verdict, check_all, worst};
use tribunal_history::{Actor, Event, EventKind, Process, Value};
use tribunal_spec::Spec;
use tribunal_workloads::balancers::Outcome;
use tribunal_workloads::client::{Client, ClientPolicy, Input, Step};
use tribunal_workloads::mutants::ClientBug;
use tribunal_workloads::{Completion, Needs, Request, balancer, workload};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// How long a client waits for a node that hangs.
const TIMEOUT: u64 = 200 * MS;

/// A history under construction.
#[derive(Default)]
struct Events(Vec<Event>);

impl Events {
    fn push(&mut self, time: u64, process: Actor, kind: EventKind, value: Value) -> &mut Event {
        self.0.push(Event {
            index: self.0.len() as u64,
            time,
            process,
            kind,
            f: "read".into(),
            value,
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        });
        self.0.last_mut().expect("just pushed")
    }

    fn judge(self, checkers: Vec<Box<dyn Checker>>) -> Vec<Verdict> {
        let events = self.0.into_iter().map(Ok::<_, Infallible>);
        check_all(events, checkers).expect("a well-formed history")
    }
}

/// What `fairness` says of a balancer's shares without any fault.
fn fairness(spec: &str, nodes: u32) -> Validity {
    let mut balancer = balancer(&Spec::parse(spec).expect("a spec"), nodes, 5).expect("a balancer");
    let mut events = Events::default();
    for nth in 0..2000 {
        let (now, client) = (nth * MS, Actor::Process(Process(0)));
        let node = balancer.pick(now);
        balancer.started(node);
        balancer.ended(node, Outcome::Served, 1, now);
        for kind in [EventKind::Invoke, EventKind::Ok] {
            events.push(now, client, kind, Value::Nil).node = Some(node);
        }
    }
    let options = fairness::Options {
        nodes,
        shares: balancer.intended_shares(),
        independent: balancer.independent(),
        assert_shares: true,
        deviation_max: 0.05,
        clients: None,
    };
    events.judge(vec![Box::new(Fairness::new(options))]).remove(0).validity
}

#[test]
fn shares_that_are_not_kept_are_convicted_and_others_are_not() {
    for nodes in [3, 5] {
        assert_eq!(fairness("textbook-random", nodes), Validity::Invalid, "{nodes} nodes");
        for spec in ["random", "weighted", "round-robin"] {
            assert_eq!(fairness(spec, nodes), Validity::Valid, "{spec}, {nodes} nodes");
        }
    }
    assert_eq!(fairness("weighted:weights=3/1/1", 3), Validity::Valid);
}

/// A register that executes all that it is asked, and loses every tenth answer.
struct Register {
    values: BTreeMap<Value, Value>,
    asked: u64,
}

impl Register {
    fn ask(&mut self, request: &Request) -> Option<Input> {
        self.asked += 1;
        let (key, argument) = request.value.as_pair().expect("requests are keyed");
        let held = self.values.get(key).cloned().unwrap_or_default();
        let input = match &*request.f {
            "read" => Input::Ok(Value::keyed(key.clone(), held)),
            "write" => {
                self.values.insert(key.clone(), argument.clone());
                Input::Ok(request.value.clone())
            }
            other => panic!("not asked for: {other}"),
        };
        (!self.asked.is_multiple_of(10)).then_some(input)
    }
}

/// What the workload's own checkers say of clients with this bug, one operation after the other.
fn clients(bug: Option<ClientBug>) -> Validity {
    let needs = Needs::default();
    let spec = Spec::parse("register").expect("a spec");
    let workload = workload(&spec, 2, &needs).expect("a workload");
    let mut generators: Vec<_> = (0..2).map(|thread| workload.generator(thread, 3)).collect();
    let mut register = Register { values: BTreeMap::new(), asked: 0 };
    let mut events = Events::default();
    for nth in 0..400 {
        let now = nth * SECOND;
        let request = generators[nth as usize % 2].next(now);
        // A process of its own each time: after an `info` it could not go on.
        let process = Actor::Process(Process(nth));
        let policy = ClientPolicy { timeout_ns: TIMEOUT, retries: 0, backoff_ns: 0 };
        let mut client = Client::new(policy);
        client.session_opened(1);
        let deadline = client.begin(now).expect("a session is open").deadline_ns;
        let invoked = events.push(now, process, EventKind::Invoke, request.value.clone());
        invoked.f = request.f.clone();
        client.sent(1);
        let (step, end) = match register.ask(&request) {
            Some(input) => (client.input(now + MS, 1, input), now + MS),
            None => (client.wake(deadline), deadline),
        };
        let Step::Done(done) = bug.map_or(step.clone(), |bug| bug.applied_to(step)) else {
            panic!("one attempt decides")
        };
        generators[nth as usize % 2].completed(&request, &done.completion);
        let (kind, value, error) = match done.completion {
            Completion::Ok(value) => (EventKind::Ok, value, None),
            Completion::Fail { error } => (EventKind::Fail, request.value, Some(error)),
            Completion::Info { error } => (EventKind::Info, request.value, Some(error)),
        };
        let ended = events.push(end, process, kind, value);
        (ended.f, ended.error) = (request.f, error);
    }
    let verdicts = events.judge(workload.checkers());
    worst(&verdicts)
}

#[test]
fn a_timeout_that_is_told_as_a_failure_is_convicted() {
    let bug = "timeout-is-fail".parse().expect("a bug of clients");
    assert_eq!(clients(Some(bug)), Validity::Invalid);
    assert_eq!(clients(None), Validity::Valid);
}
