//! Each mutant of clients and balancers is convicted by the checker that its header names, and no correct one is.

use std::collections::BTreeMap;
use std::convert::Infallible;
use tribunal_checkers::fairness::{self, Fairness};
use tribunal_checkers::returns::{self, Returns};
use tribunal_checkers::{Checker, Validity, Verdict, check_all, worst};
use tribunal_history::{Actor, Event, EventKind, Process, Value};
use tribunal_spec::Spec;
use tribunal_workloads::balancers::Outcome;
use tribunal_workloads::client::{Client, ClientPolicy, Input, Step};
use tribunal_workloads::draw::Draw;
use tribunal_workloads::mutants::ClientBug;
use tribunal_workloads::{
    BALANCERS, Balancer, Completion, Needs, NodeId, PHASE_PROBE, Request, balancer, mutants,
    workload,
};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const NODES: u32 = 5;
/// An operation begins so often.
const EVERY: u64 = 4 * MS;
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

    fn fault(&mut self, time: u64, id: i64, at: &'static str, down: &[NodeId]) {
        let down = down.iter().map(|node| Value::Int(i64::from(*node))).collect();
        let map = vec![
            (Value::text("id"), Value::Int(id)),
            (Value::text("at"), Value::text(at)),
            (Value::text("outcome"), Value::text("installed")),
            (Value::text("down"), Value::List(down)),
        ];
        self.push(time, Actor::Nemesis, EventKind::Info, Value::Map(map)).f = "kill".into();
    }

    fn judge(self, checkers: Vec<Box<dyn Checker>>) -> Vec<Verdict> {
        let events = self.0.into_iter().map(Ok::<_, Infallible>);
        check_all(events, checkers).expect("a well-formed history")
    }
}

/// What is to happen at a moment.
enum Next {
    /// An operation begins.
    Call,
    /// An attempt ends: of the operation of this process, with the node that was asked first and the one asked now.
    End {
        process: u64,
        node: NodeId,
        outcome: Outcome,
        began: u64,
        retried: bool,
    },
    /// Nodes go down, or come back.
    Fault(i64, Vec<NodeId>),
    Heal(i64),
}

/// Operations at a balancer, each with one retry, while nodes come and go.
struct Run {
    balancer: Balancer,
    draw: Draw,
    down: Vec<NodeId>,
    next: BTreeMap<(u64, u64), Next>,
    scheduled: u64,
    events: Events,
}

impl Run {
    /// Faults until 20 s, then load until `end`.
    fn new(spec: &str, seed: u64, end: u64) -> Self {
        let spec = Spec::parse(spec).expect("a spec");
        let mut run = Self {
            balancer: balancer(&spec, NODES, seed).expect("a balancer"),
            draw: Draw::new(seed, 77),
            down: Vec::new(),
            next: BTreeMap::new(),
            scheduled: 0,
            events: Events::default(),
        };
        for nth in 0..end / EVERY {
            run.at(nth * EVERY, Next::Call);
        }
        for id in 0..4_i64 {
            let first = 1 + run.draw.below_u32(NODES);
            let down =
                if run.draw.percent(30) { vec![first, first % NODES + 1] } else { vec![first] };
            let from = (1 + 5 * id.unsigned_abs()) * SECOND + run.draw.below(SECOND);
            run.at(from, Next::Fault(id, down));
            let to = from + 100 * MS + run.draw.below(3 * SECOND);
            run.at(to, Next::Heal(id));
        }
        run
    }

    fn at(&mut self, time: u64, next: Next) {
        self.scheduled += 1;
        self.next.insert((time, self.scheduled), next);
    }

    fn attempt(&mut self, now: u64, process: u64, retried: bool) -> NodeId {
        let node = self.balancer.pick(now);
        self.balancer.started(node);
        let (outcome, after) = match self.down.contains(&node) {
            false => (Outcome::Served, MS + self.draw.below(3 * MS)),
            true if self.draw.percent(50) => (Outcome::TimedOut, TIMEOUT),
            true => (Outcome::Unreachable, MS),
        };
        self.at(now + after, Next::End { process, node, outcome, began: now, retried });
        node
    }

    fn run(mut self) -> Events {
        let mut now = 0;
        while let Some(((at, number), next)) = self.next.pop_first() {
            now = at;
            match next {
                Next::Call => {
                    let node = self.attempt(now, number, false);
                    let client = Actor::Process(Process(number));
                    self.events.push(now, client, EventKind::Invoke, Value::Nil).node = Some(node);
                }
                Next::End { process, node, outcome, began, retried } => {
                    self.balancer.ended(node, outcome, now - began, now);
                    if outcome.is_failure() && !retried {
                        self.attempt(now, process, true);
                        continue;
                    }
                    let failed = outcome.is_failure();
                    let kind = if failed { EventKind::Fail } else { EventKind::Ok };
                    let client = Actor::Process(Process(process));
                    self.events.push(now, client, kind, Value::Nil).node = Some(node);
                }
                Next::Fault(id, down) => {
                    self.events.fault(now, id, "start", &down);
                    self.down = down;
                }
                Next::Heal(id) => {
                    self.events.fault(now, id, "end", &[]);
                    self.down.clear();
                }
            }
        }
        for node in 1..=NODES {
            let client = Actor::Process(Process(u64::MAX - u64::from(node)));
            for kind in [EventKind::Invoke, EventKind::Ok] {
                let event = self.events.push(now + MS, client, kind, Value::Nil);
                (event.node, event.phase) = (Some(node), Some(PHASE_PROBE.into()));
            }
        }
        self.events
    }
}

/// What `returns` says of a balancer, with the grace time that it is due.
fn returns(spec: &str, seed: u64) -> Verdict {
    let run = Run::new(spec, seed, 40 * SECOND);
    let options = returns::Options {
        nodes: NODES,
        shares: run.balancer.intended_shares(),
        grace_ns: TIMEOUT + run.balancer.left_at_most_ns() + SECOND,
    };
    run.run().judge(vec![Box::new(Returns::new(options))]).remove(0)
}

#[test]
fn a_balancer_that_never_returns_is_convicted_of_that() {
    for seed in 0..5 {
        let verdict = returns("sticky-eject", seed);
        assert_eq!(verdict.validity, Validity::Invalid, "seed {seed}: {verdict:?}");
        assert_eq!(verdict.anomalies[0].name, "not-returned");
    }
}

#[test]
fn no_balancer_that_returns_is_convicted() {
    // The textbook's gives some nodes nothing, whether they were ever down or not.
    for item in BALANCERS.iter().filter(|item| mutants::find(item.entry.name).is_none()) {
        for health in ["health=off", "health=eject", "health=eject,failures=1,backoff=4s"] {
            for seed in 0..3 {
                let spec = format!("{}:{health}", item.entry.name);
                let verdict = returns(&spec, seed);
                assert_eq!(verdict.validity, Validity::Valid, "{spec}, seed {seed}: {verdict:?}");
            }
        }
    }
    assert_eq!(returns("weighted:weights=50/1/1/1/1,health=eject", 1).validity, Validity::Valid);
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
        settle_ns: fairness::SETTLE_NS,
        clients: None,
    };
    events.judge(vec![Box::new(Fairness::new(options))]).remove(0).validity
}

#[test]
fn shares_that_are_not_kept_are_convicted_and_others_are_not() {
    for nodes in [3, 5] {
        for spec in ["textbook-random", "weights-ignored"] {
            assert_eq!(fairness(spec, nodes), Validity::Invalid, "{spec}, {nodes} nodes");
        }
        for spec in ["random", "weighted", "round-robin", "sticky-eject"] {
            assert_eq!(fairness(spec, nodes), Validity::Valid, "{spec}, {nodes} nodes");
        }
    }
    assert_eq!(fairness("weighted:weights=3/1/1", 3), Validity::Valid);
    assert_eq!(fairness("weights-ignored:weights=1/1/1", 3), Validity::Valid, "nothing to ignore");
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
