//! One client: it numbers a request under a session, sends it, and records its call and its end.
//!
//! An invocation is recorded when the client hands its request to the connector, just before the first byte leaves; while the
//! nemesis cuts a client off, the connector holds the request back after that. Wider intervals are sound.

use super::{PAUSE, Shared, nanos, stride};
use crate::recorder::Entry;
use crate::systems::{CONNECTION, Call};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tribunal_history::{EventKind, Process};
use tribunal_workloads::balancers::Outcome;
use tribunal_workloads::client::{Client, ClientPolicy, Done, Input, Send, Step};
use tribunal_workloads::{Completion, Request};

/// Which node an operation is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The balancer's, anew for each attempt.
    Balanced,
    /// This one.
    Node(u32),
}

/// One client: a line of processes, each with one operation at a time.
pub struct Asker {
    pub(super) shared: Arc<Shared>,
    http: reqwest::Client,
    client: Client,
    process: Process,
    nonce: u64,
}

impl Asker {
    /// A client that has not asked anything, in a lane of its own: its processes are `lane`, `lane + stride` ...
    #[must_use]
    pub fn new(shared: &Arc<Shared>, http: &reqwest::Client, lane: u64) -> Self {
        let policy = ClientPolicy {
            timeout_ns: nanos(shared.plan.timeout()),
            retries: shared.plan.retry,
            backoff_ns: nanos(PAUSE),
        };
        shared.counters.clients.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: Arc::clone(shared),
            http: http.clone(),
            client: Client::new(policy),
            process: Process(lane),
            nonce: shared.plan.seed_of("nonce", lane),
        }
    }

    /// Asks one thing and records it.
    ///
    /// Where no session can be opened within the timeout, nothing is asked: `None`. What is asked of one node is
    /// recorded nevertheless, as failed, for a node that does not even open a session does not serve. It is recorded
    /// from before the session on: a wider interval is sound, and the node's limit of time counts from there.
    pub async fn ask(
        &mut self,
        request: &Request,
        choice: Choice,
        scheduled: Option<u64>,
    ) -> Option<Completion> {
        let mut send = match choice {
            Choice::Balanced => self.begin(choice).await?,
            Choice::Node(node) => {
                self.record_invoke(request, node, scheduled);
                let Some(send) = self.begin(choice).await else {
                    self.record_unasked(request, node);
                    return None;
                };
                send
            }
        };
        let mut node = self.choose(choice);
        if choice == Choice::Balanced {
            self.record_invoke(request, node, scheduled);
        }
        let done = loop {
            let input = self.attempt(&send, request, node).await;
            match self.settle(send.attempt, input).await {
                Ok(next) => send = next,
                Err(done) => break done,
            }
            node = self.choose(choice);
        };
        self.record_end(request, node, &send, &done);
        if matches!(done.completion, Completion::Info { .. }) {
            self.process.0 += stride(&self.shared.plan);
        }
        Some(done.completion)
    }

    /// Numbers the operation under a session, which is opened first if there is none.
    async fn begin(&mut self, choice: Choice) -> Option<Send> {
        let shared = Arc::clone(&self.shared);
        let deadline = shared.clock.now_ns().saturating_add(nanos(shared.plan.timeout()));
        loop {
            if let Ok(send) = self.client.begin(shared.clock.now_ns()) {
                return Some(send);
            }
            if !self.open_session(choice, deadline).await {
                return None;
            }
        }
    }

    /// The nonce stays the same until a session is open: whichever try is carried out, it is the same session.
    async fn open_session(&mut self, choice: Choice, deadline: u64) -> bool {
        let shared = Arc::clone(&self.shared);
        let until = shared.clock.instant(deadline);
        while shared.clock.now_ns() < deadline {
            let node = match choice {
                Choice::Node(node) => node,
                Choice::Balanced => shared.balancer().pick(shared.clock.now_ns()),
            };
            let began = shared.clock.now_ns();
            if choice == Choice::Balanced {
                shared.balancer().started(node);
            }
            let opened = shared.system.open_session(&self.http, shared.address(node), self.nonce);
            let answer = tokio::time::timeout_at(until, shared.gate.pass(node, opened)).await;
            if choice == Choice::Balanced {
                let outcome = match &answer {
                    Ok(Ok(Ok(_))) => Outcome::Served,
                    Ok(Ok(Err(error))) if error == CONNECTION => Outcome::Unreachable,
                    Ok(Ok(Err(_))) => Outcome::Declined,
                    Ok(Err(_reset)) => Outcome::Unreachable,
                    Err(_elapsed) => Outcome::TimedOut,
                };
                let now = shared.clock.now_ns();
                shared.balancer().ended(node, outcome, now - began, now);
            }
            match answer {
                Ok(Ok(Ok(session))) => {
                    self.client.session_opened(session);
                    self.nonce = self.nonce.wrapping_add(1);
                    shared.counters.sessions.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
                Ok(_) => tokio::time::sleep(PAUSE).await,
                Err(_) => {}
            }
            shared.counters.sessions_failed.fetch_add(1, Ordering::Relaxed);
        }
        false
    }

    fn choose(&self, choice: Choice) -> u32 {
        match choice {
            Choice::Node(node) => node,
            Choice::Balanced => self.shared.balancer().pick(self.shared.clock.now_ns()),
        }
    }

    /// Sends the request once.
    async fn attempt(&mut self, send: &Send, request: &Request, node: u32) -> Input {
        let shared = &*self.shared;
        let call = Call {
            node: shared.address(node),
            session: send.numbered.session,
            sequence: send.numbered.sequence,
            watermark: send.numbered.watermark,
            request,
        };
        let began = shared.clock.now_ns();
        shared.balancer().started(node);
        let sent = Cell::new(false);
        let exchange = shared.gate.pass(node, async {
            sent.set(true);
            shared.system.call(&self.http, call).await
        });
        let deadline = shared.clock.instant(send.deadline_ns);
        let input = match tokio::time::timeout_at(deadline, exchange).await {
            Ok(Ok(input)) => input,
            Ok(Err(_reset)) => Input::Cut,
            Err(_elapsed) => Input::TimedOut,
        };
        if sent.get() {
            self.client.sent(send.attempt);
        }
        let now = shared.clock.now_ns();
        shared.balancer().ended(node, input.outcome(), now - began, now);
        input
    }

    /// Tells the client what became of an attempt; answers the next attempt, or how the operation ended.
    async fn settle(&mut self, attempt: u32, input: Input) -> Result<Send, Done> {
        let clock = self.shared.clock;
        let mut step = self.client.input(clock.now_ns(), attempt, input);
        loop {
            if let Some(bug) = self.shared.plan.client_bug {
                step = bug.applied_to(step);
            }
            match step {
                Step::Send(send) => return Ok(send),
                Step::Done(done) => return Err(done),
                Step::Wait { until_ns } => {
                    tokio::time::sleep_until(clock.instant(until_ns)).await;
                    step = self.client.wake(clock.now_ns());
                }
            }
        }
    }

    fn record_invoke(&self, request: &Request, node: u32, scheduled: Option<u64>) {
        self.shared.recorder.record(Entry {
            node: Some(node),
            scheduled,
            session: self.client.session().id(),
            phase: request.phase.map(Into::into),
            ..Entry::of(self.process, EventKind::Invoke, request.f.clone(), request.value.clone())
        });
    }

    /// No byte of the request has left.
    fn record_unasked(&self, request: &Request, node: u32) {
        let (f, value) = (request.f.clone(), request.value.clone());
        self.shared.recorder.record(Entry {
            error: Some("no-session".into()),
            node: Some(node),
            phase: request.phase.map(Into::into),
            ..Entry::of(self.process, EventKind::Fail, f, value)
        });
    }

    fn record_end(&self, request: &Request, node: u32, send: &Send, done: &Done) {
        let (kind, value, error) = match &done.completion {
            Completion::Ok(value) => (EventKind::Ok, value.clone(), None),
            Completion::Fail { error } => {
                (EventKind::Fail, request.value.clone(), Some(error.clone()))
            }
            Completion::Info { error } => {
                (EventKind::Info, request.value.clone(), Some(error.clone()))
            }
        };
        self.shared.recorder.record(Entry {
            error,
            node: Some(node),
            attempts: (done.attempts > 1).then_some(done.attempts),
            session: Some(send.numbered.session),
            phase: request.phase.map(Into::into),
            ..Entry::of(self.process, kind, request.f.clone(), value)
        });
    }
}
