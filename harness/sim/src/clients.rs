//! The clients: each a [`Client`] of the workloads' crate with a generator, sessions and the balancer that all share, as the
//! clients of real processes are; only time and the wire are simulated.
//!
//! A *lane* is a line of processes with one operation at a time. First the lanes of the workload ask in a closed loop with
//! pauses; after everything was healed, one lane a node probes it, and a few read every key that was touched at several nodes.
//! As with real processes, an invocation is recorded just before the first byte leaves, a process whose operation
//! ended `info` is retired, and a probe of a node that opens no session is recorded as failed.

use crate::asked::Asked;
use crate::hash::Hash;
use crate::plan::{CALM_THINK_US, ClientPlan, MS, Plan, US};
use crate::random::Random;
use crate::recorder::{Recorder, Told};
use crate::translate;
use std::collections::VecDeque;
use tribunal_protocol::{self as protocol, Command, Operation, SessionId};
use tribunal_workloads::balancers::Outcome;
use tribunal_workloads::client::{Client, ClientPolicy, Done, Input, Send, Step};
use tribunal_workloads::mutants::ClientBug;
use tribunal_workloads::{Balancer, Completion, Generator, Request, Workload};

/// Lanes that read everything at the end.
const READERS: u32 = 3;
/// At how many nodes each key is read at the end, and how often a read is tried.
const NODES_EACH: usize = 3;
const TRIES: u32 = 3;
/// Between two tries of anything.
const PAUSE_NS: u64 = 10 * MS;

/// Something to be sent to a node.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) lane: usize,
    /// Names what is awaited: an answer to anything earlier is thrown away.
    pub(crate) awaited: u64,
    /// The attempt of an operation; 0 for a session.
    pub(crate) attempt: u32,
    pub(crate) node: u32,
    pub(crate) request: protocol::Request,
}

/// What became of a call.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The node answered.
    Reply(protocol::Reply),
    /// Something else came of it.
    Input(Input),
}

/// What the world does next for a lane.
#[derive(Debug)]
pub(crate) enum Action {
    /// Send this.
    Send(Call),
    /// Call [`Clients::wake`] at this time.
    Timer { lane: usize, at_ns: u64 },
}

/// Where the execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The workload asks.
    Asking,
    /// Every node that lives is probed.
    Probing,
    /// Every key is read.
    Reading,
    /// Nothing is asked any more.
    Done,
}

/// What lanes share.
pub(crate) struct Desk<'a> {
    pub(crate) now_ns: u64,
    pub(crate) recorder: &'a mut Recorder,
    pub(crate) hash: &'a mut Hash,
}

/// Every lane.
pub(crate) struct Clients {
    plan: ClientPlan,
    workload: Box<dyn Workload>,
    pub(crate) balancer: Balancer,
    bug: Option<ClientBug>,
    lanes: Vec<Lane>,
    random: Random,
    stage: Stage,
    /// Whether clients ask as fast as before when there are no faults any more.
    hurried: bool,
    /// From when on there are no faults.
    calm_from_ns: u64,
    /// Until when the workload asks.
    asking_ns: u64,
    /// How many operations the workload may still ask.
    operations_left: u64,
    recover_ns: u64,
    nodes: u32,
    stride: u64,
    /// Reads that are still to be done.
    reads: VecDeque<(Request, u32)>,
    awaited: u64,
    /// What was asked under each number of each session, if anybody wants to know.
    asked: Option<Asked>,
    pub(crate) actions: Vec<Action>,
}

struct Lane {
    client: Client,
    process: u64,
    nonce: u64,
    purpose: Purpose,
    phase: Phase,
    /// The node of its last attempt.
    asked_last: u32,
    /// The time of the earliest timer that is under way.
    timer_ns: Option<u64>,
}

enum Purpose {
    /// The workload's.
    Generated(Box<dyn Generator>),
    /// Asks one node until it answers.
    Probe { node: u32, attempt: u64, deadline_ns: Option<u64>, began_ns: u64 },
    /// Reads what is left to be read.
    Reader { tries: u32 },
}

enum Phase {
    /// Nothing until then.
    Idle { until_ns: u64 },
    /// No session yet.
    Opening { request: Request, node: Option<u32>, until_ns: u64, wait: Wait },
    /// An operation is open.
    Asking { request: Request, fixed: Option<u32>, open: Option<Open> },
    /// Never again.
    Over,
}

/// What a lane without a session waits for.
#[derive(Clone, Copy)]
enum Wait {
    /// The answer to a call, until the time is over.
    Answer {
        awaited: u64,
        node: u32,
        began_ns: u64,
        /// Whether the balancer picked the node, and is to hear what came of it.
        picked: bool,
    },
    /// The next try.
    Try { at_ns: u64 },
}

/// An attempt that nothing has come of yet.
#[derive(Clone, Copy)]
struct Open {
    awaited: u64,
    node: u32,
    began_ns: u64,
    deadline_ns: u64,
}

impl Clients {
    /// The lanes of `plan`, which begin at a random time within their first pause.
    pub(crate) fn new(
        plan: &Plan,
        workload: Box<dyn Workload>,
        balancer: Balancer,
        bug: Option<ClientBug>,
        keep_asked: bool,
        mut random: Random,
    ) -> Self {
        let mut lanes = Vec::new();
        let seed = random.bits();
        for thread in 0..plan.clients {
            let purpose = Purpose::Generated(workload.generator(thread, seed));
            lanes.push(Lane::new(&plan.client, u64::from(thread), purpose, &mut random));
        }
        let mut clients = Self {
            plan: plan.client,
            workload,
            balancer,
            bug,
            lanes,
            random,
            stage: Stage::Asking,
            hurried: plan.assert_shares,
            calm_from_ns: plan.schedule.duration_ms * MS,
            asking_ns: plan.asking_ns(),
            operations_left: plan.operations_max.unwrap_or(u64::MAX),
            recover_ns: plan.recover_within_ms * MS,
            nodes: plan.nodes,
            stride: u64::from(plan.clients) + u64::from(plan.nodes) + u64::from(READERS),
            reads: VecDeque::new(),
            awaited: 0,
            asked: keep_asked.then(Asked::default),
            actions: Vec::new(),
        };
        for lane in 0..clients.lanes.len() {
            let until_ns = clients.random.between(1, plan.client.think_us.max(1) * US);
            clients.rest(lane, until_ns);
        }
        clients
    }

    /// Where the execution stands.
    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// What was asked under a number of a session.
    pub(crate) fn asked(&self, session: SessionId, sequence: u64) -> Option<&[Operation]> {
        self.asked.as_ref()?.get(session, sequence)
    }

    /// Whether every lane has ended what it had to do in this stage.
    pub(crate) fn all_over(&self) -> bool {
        self.lanes.iter().all(|lane| matches!(lane.phase, Phase::Over))
    }

    /// Goes on to the next stage; `alive` are the nodes that are not dead for good.
    pub(crate) fn next_stage(&mut self, now_ns: u64, alive: &[u32]) {
        let client = self.plan;
        let first = self.lanes.len();
        self.stage = match self.stage {
            Stage::Asking => Stage::Probing,
            Stage::Probing => Stage::Reading,
            Stage::Reading | Stage::Done => Stage::Done,
        };
        match self.stage {
            Stage::Probing => {
                for &node in alive {
                    let process =
                        self.stride - u64::from(self.nodes + READERS) + u64::from(node - 1);
                    let probe =
                        Purpose::Probe { node, attempt: 0, deadline_ns: None, began_ns: now_ns };
                    self.lanes.push(Lane::new(&client, process, probe, &mut self.random));
                }
            }
            Stage::Reading => {
                self.reads = self.final_reads(alive);
                for reader in 0..READERS {
                    let process = self.stride - 1 - u64::from(reader);
                    let purpose = Purpose::Reader { tries: 0 };
                    self.lanes.push(Lane::new(&client, process, purpose, &mut self.random));
                }
            }
            Stage::Asking | Stage::Done => {}
        }
        for lane in first..self.lanes.len() {
            self.rest(lane, now_ns);
        }
    }

    fn final_reads(&self, alive: &[u32]) -> VecDeque<(Request, u32)> {
        // The workload wants the generators in one slice; they stay in their lanes otherwise.
        let keys: Vec<Box<dyn Generator>> = self
            .lanes
            .iter()
            .filter_map(|lane| match &lane.purpose {
                Purpose::Generated(generator) => {
                    let touched = generator.keys().clone();
                    Some(Box::new(Touched(touched)) as Box<dyn Generator>)
                }
                _ => None,
            })
            .collect();
        let mut reads = VecDeque::new();
        for (nth, request) in self.workload.closing(&keys).into_iter().enumerate() {
            for offset in 0..NODES_EACH.min(alive.len()) {
                reads.push_back((request.clone(), alive[(nth + offset) % alive.len()]));
            }
        }
        reads
    }

    /// A timer rang.
    pub(crate) fn wake(&mut self, lane: usize, desk: &mut Desk<'_>) {
        let now_ns = desk.now_ns;
        if self.lanes[lane].timer_ns.is_none_or(|at_ns| at_ns > now_ns) {
            return; // One that an earlier timer has replaced.
        }
        self.lanes[lane].timer_ns = None;
        match &self.lanes[lane].phase {
            Phase::Idle { until_ns } if *until_ns <= now_ns => self.next(lane, desk),
            Phase::Opening { until_ns, .. } if *until_ns <= now_ns => self.give_up(lane, desk),
            Phase::Opening { wait: Wait::Try { at_ns }, .. } if *at_ns <= now_ns => {
                self.open_session(lane, desk);
            }
            Phase::Asking { .. } => {
                self.time_out(lane, now_ns);
                let step = self.lanes[lane].client.wake(now_ns);
                self.take(lane, step, desk);
            }
            Phase::Idle { until_ns } | Phase::Opening { until_ns, .. } => {
                let at_ns = *until_ns;
                let at_ns = match &self.lanes[lane].phase {
                    Phase::Opening { wait: Wait::Try { at_ns: try_ns }, .. } => at_ns.min(*try_ns),
                    _ => at_ns,
                };
                self.timer(lane, at_ns);
            }
            Phase::Over => {}
        }
    }

    /// The first byte of a call leaves.
    pub(crate) fn sent(&mut self, call: &Call) {
        if call.attempt > 0 {
            self.lanes[call.lane].client.sent(call.attempt);
        }
    }

    /// Something became of a call.
    pub(crate) fn answer(
        &mut self,
        lane: usize,
        awaited: u64,
        attempt: u32,
        answer: Answer,
        desk: &mut Desk<'_>,
    ) {
        match &self.lanes[lane].phase {
            Phase::Opening { wait: Wait::Answer { awaited: current, .. }, .. }
                if *current == awaited && attempt == 0 =>
            {
                self.session_answered(lane, &answer, desk);
            }
            Phase::Asking { request, open: Some(open), .. } if open.awaited == awaited => {
                let input = match answer {
                    Answer::Reply(reply) => translate::reply(request, &reply),
                    Answer::Input(input) => input,
                };
                self.attempt_over(lane, input.outcome(), desk.now_ns);
                let step = self.lanes[lane].client.input(desk.now_ns, attempt, input);
                self.take(lane, step, desk);
            }
            _ => {} // Of something that is over.
        }
    }

    /// The balancer learns of an attempt whose time is over.
    fn time_out(&mut self, lane: usize, now_ns: u64) {
        if let Phase::Asking { open: Some(open), .. } = &self.lanes[lane].phase
            && open.deadline_ns <= now_ns
        {
            self.attempt_over(lane, Outcome::TimedOut, now_ns);
        }
    }

    /// The balancer learns what became of the attempt under way.
    fn attempt_over(&mut self, lane: usize, outcome: Outcome, now_ns: u64) {
        if let Phase::Asking { open, .. } = &mut self.lanes[lane].phase
            && let Some(Open { node, began_ns, .. }) = open.take()
        {
            self.balancer.ended(node, outcome, now_ns - began_ns, now_ns);
        }
    }

    /// A lane begins its next operation, if there is one for it.
    fn next(&mut self, lane: usize, desk: &mut Desk<'_>) {
        let now_ns = desk.now_ns;
        let over = match &mut self.lanes[lane].purpose {
            Purpose::Generated(_) if now_ns < self.asking_ns && self.operations_left == 0 => {
                return self.rest(lane, self.asking_ns);
            }
            Purpose::Generated(generator) if now_ns < self.asking_ns => {
                self.operations_left -= 1;
                let request = generator.next(now_ns);
                return self.begin(lane, request, None, desk);
            }
            Purpose::Probe { node, attempt, began_ns, .. } => {
                let (node, nth) = (*node, *attempt);
                *attempt += 1;
                *began_ns = now_ns;
                let request = self.workload.probe(node, nth);
                return self.begin(lane, request, Some(node), desk);
            }
            Purpose::Reader { tries } => {
                *tries = 0;
                match self.reads.pop_front() {
                    Some((request, node)) => return self.begin(lane, request, Some(node), desk),
                    None => Phase::Over,
                }
            }
            Purpose::Generated(_) => Phase::Over,
        };
        self.lanes[lane].phase = over;
    }

    /// Begins an operation, at a node of its own or at one that the balancer picks for each attempt.
    fn begin(&mut self, lane: usize, request: Request, fixed: Option<u32>, desk: &mut Desk<'_>) {
        if let Some(node) = fixed {
            // From before the session on: a wider interval is sound, and the node's limit of time counts from there.
            self.record_invoke(lane, &request, node, desk);
        }
        match self.lanes[lane].client.begin(desk.now_ns) {
            Ok(send) => self.ask(lane, request, fixed, send, desk),
            Err(_no_session) => {
                let until_ns = desk.now_ns + self.plan.timeout_us * US;
                let wait = Wait::Try { at_ns: desk.now_ns };
                self.lanes[lane].phase = Phase::Opening { request, node: fixed, until_ns, wait };
                self.open_session(lane, desk);
            }
        }
    }

    fn open_session(&mut self, lane: usize, desk: &mut Desk<'_>) {
        let nonce = self.lanes[lane].nonce;
        self.awaited += 1;
        let awaited = self.awaited;
        let Phase::Opening { node, until_ns, .. } = &self.lanes[lane].phase else { return };
        let (node, until_ns) = (*node, *until_ns);
        let began_ns = desk.now_ns;
        let picked = node.is_none();
        let node = node.unwrap_or_else(|| self.balancer.pick(began_ns));
        if let Phase::Opening { wait, .. } = &mut self.lanes[lane].phase {
            *wait = Wait::Answer { awaited, node, began_ns, picked };
        }
        if picked {
            self.balancer.started(node);
        }
        let request = protocol::Request::OpenSession { nonce };
        self.actions.push(Action::Send(Call { lane, awaited, attempt: 0, node, request }));
        self.timer(lane, until_ns);
    }

    /// The nonce stays the same until a session is open: whichever try is carried out, it is the same session.
    fn session_answered(&mut self, lane: usize, answer: &Answer, desk: &mut Desk<'_>) {
        self.opening_over(lane, session_outcome(answer), desk.now_ns);
        let Answer::Reply(protocol::Reply::Session(session)) = answer else {
            let at_ns = desk.now_ns + PAUSE_NS;
            if let Phase::Opening { wait, .. } = &mut self.lanes[lane].phase {
                *wait = Wait::Try { at_ns };
            }
            return self.timer(lane, at_ns);
        };
        let own = &mut self.lanes[lane];
        own.client.session_opened(session.0);
        own.nonce = own.nonce.wrapping_add(1);
        let phase = std::mem::replace(&mut own.phase, Phase::Over);
        if let Phase::Opening { request, node, .. } = phase
            && let Ok(send) = own.client.begin(desk.now_ns)
        {
            self.ask(lane, request, node, send, desk);
        }
    }

    /// The balancer learns what became of a call for a session.
    fn opening_over(&mut self, lane: usize, outcome: Outcome, now_ns: u64) {
        if let Phase::Opening { wait: Wait::Answer { node, began_ns, picked: true, .. }, .. } =
            &self.lanes[lane].phase
        {
            self.balancer.ended(*node, outcome, now_ns - began_ns, now_ns);
        }
    }

    /// No session came in time: nothing was asked. What is asked of one node is recorded all the same.
    fn give_up(&mut self, lane: usize, desk: &mut Desk<'_>) {
        self.opening_over(lane, Outcome::TimedOut, desk.now_ns);
        let phase = std::mem::replace(&mut self.lanes[lane].phase, Phase::Over);
        let Phase::Opening { request, node, .. } = phase else { return };
        if let Some(node) = node {
            let completion = Completion::Fail { error: "no-session".into() };
            let told = self.told(lane, &request, node);
            desk.recorder.end(desk.now_ns, told, &completion, 1, desk.hash);
        }
        self.after(lane, &request, node, None, desk);
    }

    fn ask(
        &mut self,
        lane: usize,
        request: Request,
        fixed: Option<u32>,
        send: Send,
        desk: &mut Desk<'_>,
    ) {
        let node = fixed.unwrap_or_else(|| self.balancer.pick(desk.now_ns));
        if fixed.is_none() {
            self.record_invoke(lane, &request, node, desk);
        }
        self.lanes[lane].phase = Phase::Asking { request, fixed, open: None };
        self.attempt(lane, node, send, desk);
    }

    /// Sends the request once.
    fn attempt(&mut self, lane: usize, node: u32, send: Send, desk: &mut Desk<'_>) {
        self.awaited += 1;
        let awaited = self.awaited;
        self.lanes[lane].asked_last = node;
        let Phase::Asking { request, open, .. } = &mut self.lanes[lane].phase else { return };
        let Some(operation) = translate::operation(request) else {
            unreachable!("the workloads ask what our nodes know: {request:?}")
        };
        let (began_ns, deadline_ns) = (desk.now_ns, send.deadline_ns);
        *open = Some(Open { awaited, node, began_ns, deadline_ns });
        self.balancer.started(node);
        let numbered = send.numbered;
        let operations = vec![operation];
        if let Some(asked) = &mut self.asked
            && send.attempt == 1
        {
            asked.insert(SessionId(numbered.session), numbered.sequence, &operations);
        }
        let request = protocol::Request::Execute(Command {
            session: SessionId(numbered.session),
            sequence: numbered.sequence,
            watermark: numbered.watermark,
            operations,
        });
        let attempt = send.attempt;
        self.actions.push(Action::Send(Call { lane, awaited, attempt, node, request }));
        self.timer(lane, send.deadline_ns);
    }

    /// Does what the client says comes next.
    fn take(&mut self, lane: usize, step: Step, desk: &mut Desk<'_>) {
        let step = match self.bug {
            Some(bug) => bug.applied_to(step),
            None => step,
        };
        match step {
            Step::Wait { until_ns } => self.timer(lane, until_ns),
            Step::Send(send) => {
                let Phase::Asking { fixed, .. } = &self.lanes[lane].phase else { return };
                let node = fixed.unwrap_or_else(|| self.balancer.pick(desk.now_ns));
                self.attempt(lane, node, send, desk);
            }
            Step::Done(done) => self.done(lane, done, desk),
        }
    }

    fn done(&mut self, lane: usize, done: Done, desk: &mut Desk<'_>) {
        let phase = std::mem::replace(&mut self.lanes[lane].phase, Phase::Over);
        let Phase::Asking { request, fixed, .. } = phase else { return };
        let node = fixed.unwrap_or(self.lanes[lane].asked_last);
        let told = self.told(lane, &request, node);
        desk.recorder.end(desk.now_ns, told, &done.completion, done.attempts, desk.hash);
        if matches!(done.completion, Completion::Info { .. }) {
            self.lanes[lane].process += self.stride;
        }
        self.after(lane, &request, fixed, Some(&done.completion), desk);
    }

    /// What a lane does when an operation is over.
    fn after(
        &mut self,
        lane: usize,
        request: &Request,
        fixed: Option<u32>,
        completion: Option<&Completion>,
        desk: &mut Desk<'_>,
    ) {
        let now_ns = desk.now_ns;
        let succeeded = matches!(completion, Some(Completion::Ok(_)));
        match &mut self.lanes[lane].purpose {
            Purpose::Generated(generator) => {
                if let Some(completion) = completion {
                    generator.completed(request, completion);
                }
                let calm = now_ns >= self.calm_from_ns && !self.hurried;
                let think_us = self.plan.think_us.max(if calm { CALM_THINK_US } else { 0 });
                let pause_ns = self.random.between(0, think_us * US);
                self.rest(lane, now_ns + pause_ns);
            }
            Purpose::Probe { deadline_ns, began_ns, .. } => {
                // Counted from the end of the first probe, and passed by one that began later: what is recorded of
                // a node that never answers spans the whole limit, and convicts it.
                let deadline_ns = *deadline_ns.get_or_insert(now_ns + self.recover_ns);
                if succeeded || *began_ns >= deadline_ns {
                    self.lanes[lane].phase = Phase::Over;
                } else {
                    self.rest(lane, now_ns + PAUSE_NS);
                }
            }
            Purpose::Reader { tries } => {
                *tries += 1;
                match fixed {
                    Some(node) if !succeeded && *tries < TRIES => {
                        let request = request.clone();
                        self.begin(lane, request, Some(node), desk);
                    }
                    _ => self.next(lane, desk),
                }
            }
        }
    }

    fn rest(&mut self, lane: usize, until_ns: u64) {
        self.lanes[lane].phase = Phase::Idle { until_ns };
        self.timer(lane, until_ns);
    }

    /// Asks for a timer, unless an earlier one is under way: it rings in vain then and asks again.
    fn timer(&mut self, lane: usize, at_ns: u64) {
        let timer_ns = &mut self.lanes[lane].timer_ns;
        if timer_ns.is_none_or(|earlier_ns| at_ns < earlier_ns) {
            *timer_ns = Some(at_ns);
            self.actions.push(Action::Timer { lane, at_ns });
        }
    }

    fn told<'a>(&self, lane: usize, request: &'a Request, node: u32) -> Told<'a> {
        let own = &self.lanes[lane];
        Told { process: own.process, request, node, session: own.client.session().id() }
    }

    fn record_invoke(&self, lane: usize, request: &Request, node: u32, desk: &mut Desk<'_>) {
        let told = self.told(lane, request, node);
        desk.recorder.invoke(desk.now_ns, told, desk.hash);
    }
}

impl Lane {
    fn new(plan: &ClientPlan, process: u64, purpose: Purpose, random: &mut Random) -> Self {
        let policy = ClientPolicy {
            timeout_ns: plan.timeout_us * US,
            retries: plan.retries,
            backoff_ns: PAUSE_NS / 10,
        };
        Self {
            client: Client::new(policy),
            process,
            nonce: random.bits(),
            purpose,
            phase: Phase::Over,
            asked_last: 0,
            timer_ns: None,
        }
    }
}

/// What the answer to a call for a session says of its node.
fn session_outcome(answer: &Answer) -> Outcome {
    match answer {
        Answer::Reply(protocol::Reply::Session(_)) => Outcome::Served,
        Answer::Reply(_) => Outcome::Declined,
        Answer::Input(input) => input.outcome(),
    }
}

/// A generator that only knows what was touched.
struct Touched(std::collections::BTreeSet<tribunal_workloads::Key>);

impl Generator for Touched {
    fn next(&mut self, _now: u64) -> Request {
        unreachable!("only its keys are asked for")
    }

    fn completed(&mut self, _request: &Request, _completion: &Completion) {}

    fn keys(&self) -> &std::collections::BTreeSet<tribunal_workloads::Key> {
        &self.0
    }
}
