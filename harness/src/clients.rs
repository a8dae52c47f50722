//! The clients of a run: threads of the workload, each one process at a time, on a few threads of the machine that have
//! a runtime and an HTTP client of their own (measured faster than one that is shared).
//!
//! A client is a state machine of `tribunal-workloads`; here is only what surrounds it: time, the wire, the recorder.
//! An invocation is recorded when the client hands its request to the connector, just before the first byte leaves; while the
//! nemesis cuts a client off, the connector holds the request back after that. Wider intervals are sound.

use crate::clock::Clock;
use crate::cluster::ClientGate;
use crate::plan::Plan;
use crate::recorder::{Entry, Recorder};
use crate::systems::{Call, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet, LocalSet};
use tribunal_history::{EventKind, Process};
use tribunal_workloads::arrival::{Admission, Arrival, Arrivals, Rate, Threads};
use tribunal_workloads::client::{Client, ClientPolicy, Done, Input, Send, Step};
use tribunal_workloads::{Balancer, Completion, Generator, Request, Workload};

/// Between two tries of something that failed at once, such as opening a session while there is no leader.
const PAUSE: Duration = Duration::from_millis(20);

/// What all clients of a run share.
pub struct Shared {
    /// The plan.
    pub plan: Plan,
    /// The run's clock.
    pub clock: Clock,
    /// Where events go.
    pub recorder: Recorder,
    /// The system under test.
    pub system: Arc<dyn System>,
    /// What is asked.
    pub workload: Box<dyn Workload>,
    /// How operations arrive.
    pub arrival: Arrival,
    /// Which node gets an operation.
    pub balancer: Mutex<Balancer>,
    /// The links between clients and nodes.
    pub gate: Arc<ClientGate>,
    /// Each node's address for clients; node 1 first.
    pub addresses: Vec<SocketAddr>,
    /// What is counted beside the history.
    pub counters: Counters,
    /// Ends the asking.
    pub stop: Stop,
}

/// What is counted beside the history: nothing is dropped silently.
#[derive(Debug, Default)]
pub struct Counters {
    /// Arrivals that found every client busy and no more clients allowed.
    pub shed: AtomicU64,
    /// Arrivals that could not be asked since no session could be opened in time.
    pub without_session: AtomicU64,
    /// Sessions opened.
    pub sessions: AtomicU64,
    /// Requests for a session that failed and were repeated.
    pub sessions_failed: AtomicU64,
    /// Clients that were started.
    pub clients: AtomicU64,
}

/// A flag that can be awaited.
#[derive(Debug, Default)]
pub struct Stop {
    flag: AtomicBool,
    notify: Notify,
}

impl Stop {
    /// Raises it.
    pub fn raise(&self) {
        self.flag.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    /// Whether it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// Waits until it is raised.
    pub async fn raised(&self) {
        loop {
            let notified = self.notify.notified();
            if self.is_raised() {
                return;
            }
            notified.await;
        }
    }
}

impl Shared {
    /// Nothing has been asked yet.
    #[expect(clippy::too_many_arguments, reason = "each is a part of a run that is made elsewhere")]
    #[must_use]
    pub fn new(
        plan: Plan,
        clock: Clock,
        recorder: Recorder,
        system: Arc<dyn System>,
        workload: Box<dyn Workload>,
        arrival: Arrival,
        balancer: Balancer,
        gate: Arc<ClientGate>,
        addresses: Vec<SocketAddr>,
    ) -> Self {
        Self {
            plan,
            clock,
            recorder,
            system,
            workload,
            arrival,
            balancer: Mutex::new(balancer),
            gate,
            addresses,
            counters: Counters::default(),
            stop: Stop::default(),
        }
    }

    /// The balancer, for a moment.
    pub fn balancer(&self) -> MutexGuard<'_, Balancer> {
        self.balancer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self, node: u32) -> SocketAddr {
        self.addresses[node as usize - 1]
    }
}

/// Clients that read everything at the end.
const READERS: u32 = 8;

/// How far the next process of a client lies from the one before: one lane for each client, for the probe of each node,
/// and for each reader at the end.
#[must_use]
pub fn stride(plan: &Plan) -> u64 {
    u64::from(plan.clients_max) + u64::from(plan.nodes) + u64::from(READERS)
}

/// An HTTP client that repeats nothing by itself: a silently repeated write falsifies a history.
///
/// # Errors
/// If it cannot be made.
pub fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(usize::MAX)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
}

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
    shared: Arc<Shared>,
    http: reqwest::Client,
    client: Client,
    process: Process,
    nonces: u64,
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
            nonces: shared.plan.seed_of("nonce", lane),
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

    async fn open_session(&mut self, choice: Choice, deadline: u64) -> bool {
        let shared = Arc::clone(&self.shared);
        // The same nonce for all tries: whichever is carried out, it is the same session.
        self.nonces = self.nonces.wrapping_add(1);
        let until = shared.clock.instant(deadline);
        while shared.clock.now_ns() < deadline {
            let node = match choice {
                Choice::Node(node) => node,
                Choice::Balanced => shared.balancer().pick(shared.clock.now_ns()),
            };
            let opened = shared.system.open_session(&self.http, shared.address(node), self.nonces);
            match tokio::time::timeout_at(until, shared.gate.pass(node, opened)).await {
                Ok(Ok(Ok(session))) => {
                    self.client.session_opened(session);
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

/// A client with the requests that it makes.
struct Thread {
    local: u32,
    asker: Asker,
    generator: Box<dyn Generator>,
}

impl Thread {
    async fn operate(&mut self, scheduled: Option<u64>) {
        let request = self.generator.next(self.asker.shared.clock.now_ns());
        match self.asker.ask(&request, Choice::Balanced, scheduled).await {
            Some(completion) => self.generator.completed(&request, &completion),
            None => {
                self.asker.shared.counters.without_session.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// One of the machine's threads that run clients: its number, and how many there are.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    /// From 0.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Worker {
    /// The number in the run of its `local`th client.
    fn global(self, local: u32) -> u32 {
        local * self.of + self.number
    }

    /// How many of `count` clients are its own.
    fn share(self, count: u32) -> u32 {
        count / self.of + u32::from(self.number < count % self.of)
    }

    /// Runs its clients until the stop; answers their generators, which know what was touched.
    ///
    /// # Errors
    /// If the runtime or the HTTP client cannot be made.
    pub fn run(self, shared: &Arc<Shared>) -> std::io::Result<Vec<Box<dyn Generator>>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let http = http_client().map_err(std::io::Error::other)?;
        let clients = self.share(shared.plan.clients);
        let clients_max = self.share(shared.plan.clients_max);
        let new = |local| Thread {
            local,
            asker: Asker::new(shared, &http, u64::from(self.global(local))),
            generator: shared.workload.generator(self.global(local), shared.plan.seed),
        };
        let threads = LocalSet::new().block_on(&runtime, async {
            match shared.arrival {
                Arrival::Closed => closed_loop(shared, (0..clients).map(new).collect()).await,
                Arrival::Open { rate, poisson } => {
                    let admission = Threads::new(clients, clients_max);
                    self.open_loop(shared, (rate, poisson), admission, &new).await
                }
            }
        });
        Ok(threads.into_iter().map(|thread| thread.generator).collect())
    }

    /// Every client takes the arrivals that find it free; more clients are started up to the cap.
    async fn open_loop(
        self,
        shared: &Arc<Shared>,
        (rate, poisson): (Rate, bool),
        mut admission: Threads,
        new: &impl Fn(u32) -> Thread,
    ) -> Vec<Thread> {
        let seed = shared.plan.seed_of("arrivals", 0);
        // All workers walk through the same arrivals, and each takes its own.
        let every = Arrivals::new(rate, poisson, seed).skip(self.number as usize);
        let mut arrivals = every.step_by(self.of as usize);
        let start = shared.clock.now_ns();
        let mut free: Vec<Option<Thread>> =
            (0..admission.started()).map(|local| Some(new(local))).collect();
        let mut busy = JoinSet::new();
        let mut due = arrivals.next();
        while let Some(time) = due {
            let scheduled = start.saturating_add(time);
            tokio::select! {
                biased;
                () = shared.stop.raised() => break,
                Some(returned) = busy.join_next() => {
                    let thread: Thread = own(returned);
                    admission.freed(thread.local);
                    let place = thread.local as usize;
                    free[place] = Some(thread);
                }
                () = tokio::time::sleep_until(shared.clock.instant(scheduled)) => {
                    due = arrivals.next();
                    let thread = match admission.arrive() {
                        Admission::Free(local) => free[local as usize].take(),
                        Admission::Started(local) => {
                            free.push(None);
                            Some(new(local))
                        }
                        Admission::Shed => {
                            shared.counters.shed.fetch_add(1, Ordering::Relaxed);
                            None
                        }
                    };
                    if let Some(mut thread) = thread {
                        busy.spawn_local(async move {
                            thread.operate(Some(scheduled)).await;
                            thread
                        });
                    }
                }
            }
        }
        let mut threads: Vec<Thread> = free.into_iter().flatten().collect();
        while let Some(returned) = busy.join_next().await {
            threads.push(own(returned));
        }
        threads.sort_unstable_by_key(|thread| thread.local);
        threads
    }
}

/// Every client asks again as soon as it is answered.
async fn closed_loop(shared: &Arc<Shared>, threads: Vec<Thread>) -> Vec<Thread> {
    let mut busy = JoinSet::new();
    for mut thread in threads {
        let shared = Arc::clone(shared);
        busy.spawn_local(async move {
            while !shared.stop.is_raised() && !shared.recorder.has_failed() {
                thread.operate(None).await;
            }
            thread
        });
    }
    let mut threads = Vec::new();
    while let Some(returned) = busy.join_next().await {
        threads.push(own(returned));
    }
    // The closing reads are made from their generators: in an order of its own, not in that of their ends.
    threads.sort_unstable_by_key(|thread| thread.local);
    threads
}

/// Probes every node until it answers or the limit has passed: ordinary operations, recorded as such.
pub async fn probe(shared: &Arc<Shared>, http: &reqwest::Client, nodes: &[u32]) {
    let limit = Duration::from_millis(shared.plan.recover_within_ms);
    let mut probes = JoinSet::new();
    for &node in nodes {
        let shared = Arc::clone(shared);
        let mut asker =
            Asker::new(&shared, http, u64::from(shared.plan.clients_max) + u64::from(node - 1));
        probes.spawn_local(async move {
            let mut deadline = None;
            for attempt in 0.. {
                let began = shared.clock.now_ns();
                let request = shared.workload.probe(node, attempt);
                let completion = asker.ask(&request, Choice::Node(node), None).await;
                // Counted from the end of the first probe, and passed by one that began later: what is recorded of a
                // node that never answers spans the whole limit, and convicts it.
                let first_ended = shared.clock.now_ns();
                let deadline = *deadline.get_or_insert(first_ended.saturating_add(nanos(limit)));
                if matches!(completion, Some(Completion::Ok(_))) || began >= deadline {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    all(probes).await;
}

/// Reads every key that was touched, each at several nodes, by a handful of clients. A read that fails is asked again.
pub async fn close(
    shared: &Arc<Shared>,
    http: &reqwest::Client,
    nodes: &[u32],
    generators: &[Box<dyn Generator>],
) {
    const NODES_EACH: usize = 3;
    const TRIES: u32 = 3;
    let requests = shared.workload.closing(generators);
    let mut reads = Vec::new();
    for (nth, request) in requests.into_iter().enumerate() {
        for offset in 0..NODES_EACH.min(nodes.len()) {
            reads.push((request.clone(), nodes[(nth + offset) % nodes.len()]));
        }
    }
    let reads = Arc::new(Mutex::new(reads.into_iter()));
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (shared, reads) = (Arc::clone(shared), Arc::clone(&reads));
        let mut asker = Asker::new(&shared, http, stride(&shared.plan) - 1 - u64::from(reader));
        readers.spawn_local(async move {
            loop {
                let next = reads.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((request, node)) = next else { return };
                for _ in 0..TRIES {
                    let completion = asker.ask(&request, Choice::Node(node), None).await;
                    if matches!(completion, Some(Completion::Ok(_))) {
                        break;
                    }
                }
            }
        });
    }
    all(readers).await;
}

/// Waits for all of them. Dropped before, it ends them: a run that is cut short asks nothing more.
async fn all(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        own(ended);
    }
}

/// What a task of ours answered. A panic in it goes on here, so that no client is missing silently.
fn own<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(answer) => answer,
        // Nothing aborts these tasks while somebody waits for them.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
