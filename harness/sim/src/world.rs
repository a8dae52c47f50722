//! One execution: nodes, clients, wire, disks and faults on one line of virtual time, without a thread.
//!
//! The loop takes the next event, lets one node or client take a step, and carries out what follows from it. All that is
//! drawn comes from streams of the plan's seed, and all that happens goes into one hash, so that the same plan gives
//! the same execution on every machine.
//!
//! A process that would end (by a panic of its core, a log that it refuses, a failed write) ends here as well, with the
//! event in the history that the harness writes for a real one.

use crate::clients::{Action, Answer, Call, Clients, Desk, Stage};
use crate::clock::Clock;
use crate::coverage::Coverage;
use crate::disk::Disk;
use crate::facts::{Fact, View};
use crate::hash::Hash;
use crate::invariants::{Breach, Invariants};
use crate::nemesis::Nemesis;
use crate::network::{Network, Route};
use crate::node::{Arrival, NoStart, Node, Running, Told, Waiting};
use crate::plan::{MS, Plan, US};
use crate::queue::Queue;
use crate::random::Random;
use crate::recorder::Recorder;
use crate::trace::Trace;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tribunal_history::Value;
use tribunal_nemesis::Fault;
use tribunal_protocol::{
    Admin, Core, Destination, Effect, Failure, Input, Limits, Message, NodeId, Observation,
    Operation, Reply, Request, Role, SessionId,
};
use tribunal_workloads::client::Input as ClientInput;

/// What can happen next.
enum Event<M> {
    /// A message arrives. `traced` is its number in the trace; `crashes` its receiver just before it arrives.
    Deliver { from: NodeId, to: NodeId, message: M, traced: u32, crashes: Option<u32> },
    /// A client's call arrives.
    Call(Call),
    /// An answer arrives at a client.
    Answer { lane: usize, awaited: u64, attempt: u32, answer: Answer },
    /// A client's timer rings.
    Timer { lane: usize },
    /// A node's alarm rings.
    Wake { node: NodeId },
    /// A node's disk is done.
    Written { node: NodeId, incarnation: u64 },
    /// The nemesis has something to do.
    Nemesis,
    /// A fault tells the next node to lead.
    Contest { fault: u32 },
    /// Everything is quiet.
    Quiet,
}

/// How a process ends.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// By SIGKILL.
    Killed,
    /// With the machine's power.
    Power {
        /// Whether sectors of what was not synced may stay.
        torn: bool,
    },
    /// Because of a fault that leaves it no choice: its disk fails, or its log is damaged.
    Forced(String),
    /// By itself.
    ByItself(String),
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// Events taken.
    pub(crate) events: u64,
    /// Steps of cores.
    pub(crate) steps: u64,
    /// Messages between nodes.
    pub(crate) messages: u64,
    /// Batches written.
    pub(crate) writes: u64,
}

/// Everything of one execution.
pub(crate) struct World<'p, C: Core> {
    pub(crate) plan: &'p Plan,
    pub(crate) now_ns: u64,
    queue: Queue<Event<C::Message>>,
    pub(crate) nodes: Vec<Node<C>>,
    pub(crate) network: Network,
    pub(crate) clients: Clients,
    pub(crate) recorder: Recorder,
    pub(crate) hash: Hash,
    pub(crate) nemesis: Nemesis,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Option<Trace>,
    pub(crate) invariants: Option<Invariants>,
    pub(crate) breach: Option<(u64, Breach)>,
    pub(crate) counters: Counters,
    told: Told,
    random: Random,
    /// By directed link, messages that wait for it to be healed.
    held: Vec<VecDeque<(C::Message, u32)>>,
    /// Observations of the step under way; kept for its memory.
    observations: Vec<Observation>,
    quiet: bool,
    /// The number of the event after which the checkers are asked next.
    ask_at: u64,
    /// What clients have seen is a violation that nothing can undo.
    pub(crate) violated: bool,
}

/// After so many events the checkers are first asked for a violation, and then whenever there are half as many more: what
/// they look at grows with the history.
const ASK_FIRST: u64 = 1 << 13;
/// Messages that one cut link holds at most; a real one has a bounded buffer as well. What is beyond is lost.
const HELD_MAX: usize = 1_000;
/// Longer than this after the clients stopped asking, no execution goes on: final reads of a thousand keys, each tried to
/// the end, have ended by then.
const OVERTIME_NS: u64 = 3_600_000 * MS;

/// The nodes and clients as invariants see them.
struct Seen<'a, C: Core> {
    nodes: &'a [Node<C>],
    clients: &'a Clients,
    told: &'a Told,
}

impl<C: Core> Seen<'_, C> {
    fn core(&self, node: NodeId) -> Option<&C> {
        self.nodes.get(node.0 as usize - 1)?.running.as_ref().map(|running| running.host.core())
    }
}

impl<C: Core> View for Seen<'_, C> {
    fn members(&self) -> &[NodeId] {
        &self.told.members
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.core(node).is_some()
    }

    fn applied(&self, node: NodeId) -> Option<u64> {
        self.core(node)?.applied()
    }

    fn decided(&self, node: NodeId, slot: u64) -> Option<&[Request]> {
        self.core(node)?.decided(slot)
    }

    fn promised_ballot(&self, node: NodeId) -> Option<u64> {
        self.core(node)?.promised_ballot()
    }

    fn accepted_ballot(&self, node: NodeId, slot: u64) -> Option<u64> {
        self.core(node)?.accepted_ballot(slot)
    }

    fn state_digest(&self, node: NodeId) -> Option<u64> {
        self.core(node)?.state_digest()
    }

    fn asked(&self, session: SessionId, sequence: u64) -> Option<&[Operation]> {
        self.clients.asked(session, sequence)
    }

    fn limits(&self) -> &Limits {
        &self.told.limits
    }
}

/// A client's lane, what it awaits, and which attempt of it.
type Awaited = (usize, u64, u32);

/// What an execution is made of, besides its plan.
pub(crate) struct Parts {
    pub(crate) clients: Clients,
    pub(crate) recorder: Recorder,
    pub(crate) nemesis: Nemesis,
    pub(crate) invariants: Option<Invariants>,
    pub(crate) trace: Option<Trace>,
}

impl<'p, C: Core> World<'p, C> {
    /// Every node is started, every client waits for its first operation.
    pub(crate) fn new(plan: &'p Plan, parts: Parts) -> Self {
        let members: Vec<NodeId> = (1..=plan.nodes).map(NodeId).collect();
        let mut random = Random::new(plan.seed, STREAM_WORLD);
        let mut node = |id: &NodeId| Node::new(*id, Clock::new(random.between(0, 3_600_000 * MS)));
        let nodes: Vec<_> = members.iter().map(&mut node).collect();
        let network = Network::new(plan.links, plan.nodes, Random::new(plan.seed, STREAM_NETWORK));
        let ends = plan.nodes as usize + 1;
        let Parts { clients, recorder, nemesis, invariants, trace } = parts;
        let mut world = Self {
            plan,
            now_ns: 0,
            queue: Queue::new(),
            nodes,
            network,
            clients,
            recorder,
            hash: Hash::default(),
            nemesis,
            coverage: Coverage::new(plan.nodes),
            trace,
            invariants,
            breach: None,
            counters: Counters::default(),
            told: Told { members, timing: plan.node.timing(), limits: plan.node.limits() },
            random,
            held: (0..ends * ends).map(|_| VecDeque::new()).collect(),
            observations: Vec::new(),
            quiet: false,
            ask_at: ASK_FIRST,
            violated: false,
        };
        for node in 1..=plan.nodes {
            world.start(node);
        }
        world.act();
        if let Some(at_ns) = world.nemesis.next_ns() {
            world.queue.push(at_ns, Event::Nemesis);
        }
        world
    }

    /// Runs to the end: everything is quiet, an invariant is breached, or the time is over. Answers whether the clients
    /// came to their end.
    pub(crate) fn run(&mut self) -> bool {
        let limit_ns = self.plan.asking_ns() + OVERTIME_NS;
        while self.breach.is_none()
            && !self.quiet
            && !self.violated
            && let Some((at_ns, event)) = self.queue.pop_until(limit_ns)
        {
            debug_assert!(self.now_ns <= at_ns, "time does not fall");
            self.now_ns = at_ns;
            self.counters.events += 1;
            self.hash.word(at_ns);
            self.handle(event);
            if self.counters.events >= self.ask_at {
                self.ask_at += self.ask_at / 2;
                self.violated = self.recorder.violated();
            }
        }
        self.quiet || self.violated || self.breach.is_some()
    }

    fn handle(&mut self, event: Event<C::Message>) {
        match event {
            Event::Deliver { from, to, message, traced, crashes } => {
                self.hash.word(1 << 32 | u64::from(from.0) << 16 | u64::from(to.0));
                self.deliver(from, to, message, traced, crashes);
            }
            Event::Call(call) => {
                self.hash.word(2 << 32 | u64::from(call.node));
                self.arrive(NodeId(call.node), Arrival::Call(call));
            }
            Event::Answer { lane, awaited, attempt, answer } => {
                self.hash.word(3 << 32 | lane as u64);
                let now_ns = self.now_ns;
                let mut desk = Desk { now_ns, recorder: &mut self.recorder, hash: &mut self.hash };
                self.clients.answer(lane, awaited, attempt, answer, &mut desk);
                self.act();
            }
            Event::Timer { lane } => {
                self.hash.word(4 << 32 | lane as u64);
                let now_ns = self.now_ns;
                let mut desk = Desk { now_ns, recorder: &mut self.recorder, hash: &mut self.hash };
                self.clients.wake(lane, &mut desk);
                self.act();
            }
            Event::Wake { node } => {
                self.hash.word(5 << 32 | u64::from(node.0));
                self.wake(node);
            }
            Event::Written { node, incarnation } => {
                self.hash.word(6 << 32 | u64::from(node.0));
                if self.node(node).incarnation == incarnation && self.node(node).running.is_some() {
                    self.arrive(node, Arrival::Written);
                }
            }
            Event::Nemesis => {
                self.hash.word(7 << 32);
                crate::nemesis::act(self);
                if let Some(at_ns) = self.nemesis.next_ns() {
                    self.queue.push(at_ns, Event::Nemesis);
                }
            }
            Event::Contest { fault } => {
                self.hash.word(10 << 32);
                self.contest_again(fault);
            }
            Event::Quiet => {
                self.fact(&Fact::Quiet);
                self.quiet = true;
            }
        }
    }

    pub(crate) fn node(&mut self, node: NodeId) -> &mut Node<C> {
        &mut self.nodes[node.0 as usize - 1]
    }

    /// Who leads with the highest ballot, as far as nodes say.
    pub(crate) fn leader(&self) -> Option<u32> {
        let leads = |node: &&Node<C>| {
            node.running.as_ref().is_some_and(|running| running.host.core().role() == Role::Leader)
        };
        let leaders = self.nodes.iter().filter(leads).map(|node| node.id.0);
        leaders.max_by_key(|node| self.coverage.ballot(*node))
    }

    /// Shows a fact to the invariants.
    fn fact(&mut self, fact: &Fact<'_>) {
        let Some(invariants) = &mut self.invariants else { return };
        if self.breach.is_some() {
            return;
        }
        let seen = Seen { nodes: &self.nodes, clients: &self.clients, told: &self.told };
        if let Some(breach) = invariants.check(fact, &seen) {
            self.breach = Some((self.counters.steps, breach));
        }
    }

    /// Something arrives at a node, which takes it in at once, unless it is paused or down.
    fn arrive(&mut self, to: NodeId, arrival: Arrival<C::Message>) {
        let node = self.node(to);
        if node.running.is_none() {
            if let Arrival::Call(call) = arrival {
                self.answer_later(&call, Answer::Input(ClientInput::Broken));
            }
            return;
        }
        if !node.paused_by.is_empty() {
            node.inbox.push_back(arrival);
            return;
        }
        self.take_in(to, arrival);
        self.settle(to);
    }

    fn take_in(&mut self, to: NodeId, arrival: Arrival<C::Message>) {
        match arrival {
            Arrival::Message(from, message) => self.step(to, Input::Message(from, message)),
            Arrival::Call(call) => {
                let (limit, keep) = (self.told.limits.queue, self.invariants.is_some());
                let Some(running) = &mut self.node(to).running else { return };
                match running.admit(call, limit, keep) {
                    Ok(input) => self.step(to, input),
                    Err(refused) => {
                        let reply = Reply::Failed(Failure::Overloaded);
                        self.answer_later(&refused, Answer::Reply(reply));
                    }
                }
            }
            Arrival::Written => self.written(to),
        }
    }

    /// One step of a core. A panic ends its process.
    fn step(&mut self, to: NodeId, input: Input<C::Message>) {
        self.counters.steps += 1;
        let now_ns = self.now_ns;
        let now = self.node(to).now(now_ns);
        let Some(running) = &mut self.node(to).running else { return };
        let stepped = catch_unwind(AssertUnwindSafe(|| running.host.step(now, input)));
        self.after_step(to, stepped);
    }

    fn after_step(&mut self, node: NodeId, stepped: Result<(), Box<dyn std::any::Any + Send>>) {
        if let Err(panic) = stepped {
            let why = panic_text(panic.as_ref());
            self.end(node, &End::ByItself(format!("its core panicked: {why}")));
        } else {
            self.observe(node);
        }
    }

    /// Tells everyone what the core has observed.
    fn observe(&mut self, node: NodeId) {
        let mut observations = std::mem::take(&mut self.observations);
        if let Some(running) = &mut self.node(node).running {
            std::mem::swap(&mut observations, &mut running.host.observations);
        }
        for observation in &observations {
            if let Observation::Role { role: Role::Leader, .. } = observation {
                self.clients.balancer.leader_seen(node.0);
            }
            self.coverage.observe(node.0, observation);
            self.fact(&Fact::Observed { node, observation });
        }
        observations.clear();
        self.observations = observations;
    }

    /// Hands the disk its next batch, then carries out what is ready, as a process does, and sets the alarm.
    fn settle(&mut self, id: NodeId) {
        let now_ns = self.now_ns;
        let node = &mut self.nodes[id.0 as usize - 1];
        let Some(running) = &mut node.running else { return };
        if running.writing.is_none()
            && let Some(waits) = running.write(&node.disk)
        {
            self.counters.writes += 1;
            let disks = self.plan.disks;
            let each_ns = self.random.between(disks.sync_min_us, disks.sync_max_us) * US;
            let at_ns = now_ns + (each_ns + node.stall_ns()) * waits.max(1);
            let incarnation = node.incarnation;
            self.queue.push(at_ns, Event::Written { node: id, incarnation });
        }
        self.carry_out(id);
        self.set_alarm(id);
    }

    /// Sends what a core wants to be sent. A fault may end the sender in between.
    fn carry_out(&mut self, id: NodeId) {
        let Some(running) = &mut self.node(id).running else { return };
        if running.host.ready.is_empty() {
            return;
        }
        let mut ready = std::mem::take(&mut running.host.ready);
        for effect in ready.drain(..) {
            if self.node(id).running.is_none() {
                break;
            }
            match effect {
                Effect::Send(to, message) => self.send(id, to, message),
                Effect::Reply(request, reply) => {
                    let waiting = match &mut self.node(id).running {
                        Some(running) => running.calls.remove(&request),
                        None => None,
                    };
                    if let Some(waiting) = waiting {
                        self.reply(id, waiting, reply);
                    }
                }
            }
        }
        // Nothing steps the core meanwhile; the memory is kept.
        if let Some(running) = &mut self.node(id).running {
            running.host.ready = ready;
        }
    }

    fn reply(&mut self, from: NodeId, waiting: Waiting, reply: Reply) {
        if let Some(request) = &waiting.request {
            self.fact(&Fact::Answered { node: from, request, reply: &reply });
        }
        let Waiting { lane, awaited, attempt, .. } = waiting;
        self.send_back(from, (lane, awaited, attempt), Answer::Reply(reply));
    }

    /// Something comes back to a client, unless the way back is cut.
    fn send_back(&mut self, from: NodeId, (lane, awaited, attempt): Awaited, answer: Answer) {
        if !self.network.is_cut(from.0, 0) {
            let at_ns = self.now_ns + self.network.client_delay();
            self.queue.push(at_ns, Event::Answer { lane, awaited, attempt, answer });
        }
    }

    fn send(&mut self, from: NodeId, to: Destination, message: C::Message) {
        let (kind, claim) = (message.kind(), message.claim());
        self.hash.text(kind);
        self.hash.claim(claim);
        self.fact(&Fact::Sent { from, to, kind, claim });
        match to {
            Destination::Node(to) => self.send_one(from, to, message),
            Destination::Peers => {
                for peer in (1..=self.plan.nodes).map(NodeId) {
                    if peer != from && self.node(from).running.is_some() {
                        self.send_one(from, peer, message.clone());
                    }
                }
            }
        }
    }

    fn send_one(&mut self, from: NodeId, to: NodeId, message: C::Message) {
        self.counters.messages += 1;
        let traced = self.trace_sent(from, to, &message);
        let aim = self.nemesis.aim(from, to, message.claim(), self.plan.nodes);
        if !aim.cut.is_empty() {
            self.network.cut(&aim.cut, false);
        }
        let route = self.network.route(self.now_ns, from.0, to.0);
        match route {
            _ if aim.dropped => {}
            Route::Lost => {}
            Route::Held => self.hold(from, to, message, traced),
            Route::Arrives(at_ns, copy_ns) => {
                let at_ns = at_ns + aim.delay_ns;
                let copy_ns = copy_ns.or(aim.copied.then_some(at_ns + MS));
                if let Some(at_ns) = copy_ns {
                    let (message, crashes) = (message.clone(), None);
                    let copy = Event::Deliver { from, to, message, traced, crashes };
                    self.queue.push(at_ns, copy);
                }
                let crashes = aim.crashes_receiver;
                self.queue.push(at_ns, Event::Deliver { from, to, message, traced, crashes });
            }
        }
        if let Some(fault) = aim.crashes_sender {
            self.crash_for(fault, from);
        }
    }

    fn hold(&mut self, from: NodeId, to: NodeId, message: C::Message, traced: u32) {
        let link = from.0 as usize * (self.nodes.len() + 1) + to.0 as usize;
        if self.held[link].len() < HELD_MAX {
            self.held[link].push_back((message, traced));
        }
    }

    /// Gives what a healed link has held.
    pub(crate) fn release(&mut self, from: u32, to: u32) {
        let link = from as usize * (self.nodes.len() + 1) + to as usize;
        for (message, traced) in std::mem::take(&mut self.held[link]) {
            let (from, to) = (NodeId(from), NodeId(to));
            match self.network.route(self.now_ns, from.0, to.0) {
                Route::Arrives(at_ns, _) => {
                    let arrival = Event::Deliver { from, to, message, traced, crashes: None };
                    self.queue.push(at_ns, arrival);
                }
                Route::Lost | Route::Held => {}
            }
        }
    }

    fn deliver(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: C::Message,
        traced: u32,
        crashes: Option<u32>,
    ) {
        if let Some(fault) = crashes {
            self.crash_for(fault, to);
        }
        if self.node(to).running.is_none() {
            return;
        }
        // A cut that began meanwhile befalls what is under way as well.
        if self.network.is_cut(from.0, to.0) {
            if self.network.holds(from.0, to.0) {
                self.hold(from, to, message, traced);
            }
            return;
        }
        let now_ns = self.now_ns;
        if let Some(trace) = &mut self.trace {
            trace.arrived(traced, now_ns);
        }
        self.arrive(to, Arrival::Message(from, message));
    }

    fn written(&mut self, id: NodeId) {
        let now_ns = self.now_ns;
        let now = self.node(id).now(now_ns);
        let Some(running) = &mut self.node(id).running else { return };
        let Some(written) = running.written() else { return };
        match written {
            Ok((position, claims)) => {
                self.node(id).disk.with(Disk::complete);
                self.fact(&Fact::Durable { node: id, claims: &claims });
                self.counters.steps += 1;
                let Some(running) = &mut self.node(id).running else { return };
                let stepped =
                    catch_unwind(AssertUnwindSafe(|| running.host.written(now, position)));
                self.after_step(id, stepped);
            }
            Err(why) => self.end(id, &End::Forced(format!("a write failed: {why}"))),
        }
    }

    /// A write that is bound to fail does so now.
    pub(crate) fn fail_write(&mut self, id: NodeId) {
        if self.node(id).running.as_ref().is_some_and(Running::write_fails) {
            self.written(id);
        }
    }

    fn wake(&mut self, id: NodeId) {
        let now_ns = self.now_ns;
        let now = self.node(id).now(now_ns);
        let node = self.node(id);
        let paused = !node.paused_by.is_empty();
        let Some(running) = &mut node.running else { return };
        if running.wake_ns.is_none_or(|at_ns| at_ns > now_ns) {
            return; // An alarm that an earlier one has replaced.
        }
        running.wake_ns = None;
        if paused {
            return; // It is woken when it goes on.
        }
        if running.host.wake_at().is_some_and(|at| at <= now) {
            let stepped = catch_unwind(AssertUnwindSafe(|| running.host.wake(now)));
            self.counters.steps += 1;
            self.after_step(id, stepped);
        }
        self.settle(id);
    }

    /// Sets a node's alarm for the time for which its core asks, unless an earlier one is set.
    pub(crate) fn set_alarm(&mut self, id: NodeId) {
        let now_ns = self.now_ns;
        let node = self.node(id);
        let Some(running) = &mut node.running else { return };
        let Some(at) = running.host.wake_at() else { return };
        let at_ns = node.clock.when(now_ns, at.0);
        if running.wake_ns.is_none_or(|earlier_ns| at_ns < earlier_ns) {
            running.wake_ns = Some(at_ns);
            self.queue.push(at_ns, Event::Wake { node: id });
        }
    }

    /// The clock of a node has changed.
    pub(crate) fn set_alarm_anew(&mut self, id: NodeId) {
        if let Some(running) = &mut self.node(id).running {
            running.wake_ns = None;
        }
        self.set_alarm(id);
    }

    /// The power of a node that is down already is lost.
    pub(crate) fn lose_power(&mut self, id: NodeId, how: &End) {
        let mut random = Random::new(self.random.bits(), 0);
        if let End::Power { torn } = how {
            self.node(id).disk.with(|disk| disk.lose_power(&mut random, *torn));
        }
    }

    /// A paused node goes on: it takes in what has come meanwhile.
    pub(crate) fn go_on(&mut self, id: NodeId) {
        while let Some(arrival) = self.node(id).inbox.pop_front() {
            self.take_in(id, arrival);
            self.settle(id);
        }
        self.set_alarm_anew(id);
    }

    /// Starts a node, if nothing keeps it down.
    pub(crate) fn start(&mut self, node: u32) {
        let id = NodeId(node);
        let (seed, now_ns) = (self.random.bits(), self.now_ns);
        let own = &mut self.nodes[node as usize - 1];
        if own.running.is_some() || own.dead || !own.down_by.is_empty() {
            return;
        }
        let (plan, told) = (self.plan, &self.told);
        let mut random = Random::new(seed, 1);
        let started =
            catch_unwind(AssertUnwindSafe(|| own.start(plan, told, seed, now_ns, &mut random)));
        let started = match started {
            Ok(Ok(claims)) => Ok(claims),
            Ok(Err(NoStart::Refused(why))) if own.rotten => Err(End::Forced(why)),
            Ok(Err(NoStart::Refused(why) | NoStart::Failed(why))) => Err(End::ByItself(why)),
            Err(panic) => Err(End::ByItself(panic_text(panic.as_ref()))),
        };
        let claims = match started {
            Ok(claims) => claims,
            Err(end) => {
                own.disk.with(Disk::complete);
                return self.end(id, &end);
            }
        };
        let incarnation = own.incarnation;
        self.hash.word(8 << 32 | u64::from(node));
        self.coverage.started(node);
        self.fact(&Fact::Started { node: id, incarnation });
        self.fact(&Fact::Durable { node: id, claims: &claims });
        self.observe(id);
        self.settle(id);
    }

    /// Ends a process. One that ends by itself is never started again: that would hide a violation.
    pub(crate) fn end(&mut self, id: NodeId, end: &End) {
        self.hash.word(9 << 32 | u64::from(id.0));
        let waiting = self.node(id).end();
        let mut random = Random::new(self.random.bits(), 0);
        let now_ns = self.now_ns;
        let node = self.node(id);
        match end {
            End::Killed => node.disk.with(|disk| disk.kill(&mut random)),
            End::Power { torn } => {
                node.disk.with(|disk| disk.lose_power(&mut random, *torn));
                // The machine's monotonic clock begins anew.
                node.clock = Clock::began(now_ns, random.between(0, 3_600_000 * MS));
                node.clock.run_at(now_ns, node.rate());
            }
            End::Forced(_) => node.disk.with(Disk::complete),
            End::ByItself(_) => {
                node.disk.with(|disk| disk.kill(&mut random));
                node.dead = true;
            }
        }
        node.dead |= node.rotten && matches!(end, End::Forced(_));
        // What a dead process had sent, or was to have, is in nobody's buffer any more.
        for other in 1..=self.plan.nodes {
            for (from, to) in [(id.0, other), (other, id.0)] {
                let link = from as usize * (self.nodes.len() + 1) + to as usize;
                self.held[link].clear();
            }
        }
        self.coverage.ended(id.0);
        self.fact(&Fact::Ended { node: id });
        self.record_exit(id, end);
        // Connections of a machine without power just go silent.
        if !matches!(end, End::Power { .. }) {
            for Waiting { lane, awaited, attempt, .. } in waiting.into_values() {
                let answer = Answer::Input(ClientInput::Broken);
                self.send_back(id, (lane, awaited, attempt), answer);
            }
        }
    }

    fn record_exit(&mut self, id: NodeId, end: &End) {
        let (status, expected, log) = match end {
            End::Killed => ("signal: 9 (SIGKILL)", true, ""),
            End::Power { .. } => ("loss of power", true, ""),
            End::Forced(why) => ("exit status: 1", true, why.as_str()),
            End::ByItself(why) => ("exit status: 101", false, why.as_str()),
        };
        let pair = |key: &str, value| (Value::text(key), value);
        let value = Value::Map(vec![
            pair("node", Value::Int(id.0.into())),
            pair("status", Value::text(status)),
            pair("expected", Value::Bool(expected)),
            pair("log", Value::text(log)),
        ]);
        self.recorder.nemesis(self.now_ns, "node-exit", value, &mut self.hash);
    }

    /// An aimed fault crashes a node until it ends.
    fn crash_for(&mut self, fault: u32, id: NodeId) {
        let limit = tribunal_nemesis::minority(self.plan.nodes) as usize;
        let down = |node: &&Node<C>| node.running.is_none();
        // A fault that may hit at any message would otherwise end everyone.
        if self.nodes.iter().filter(down).count() >= limit || self.node(id).running.is_none() {
            return;
        }
        if self.nemesis.crashes(fault, id.0) {
            self.node(id).down_by.insert(fault);
            self.end(id, &End::Killed);
        }
    }

    /// A fault tells its targets to lead, one after the other at random times.
    pub(crate) fn contest(&mut self, fault: u32, targets: &[u32], every_ms: u64) {
        if !targets.is_empty() {
            let at_ns = self.now_ns + self.random.between(1, 2 * every_ms * MS);
            self.queue.push(at_ns, Event::Contest { fault });
        }
    }

    fn contest_again(&mut self, fault: u32) {
        let Some((Fault::Contest { every_ms, .. }, targets)) = self.nemesis.active(fault) else {
            return;
        };
        let targets = targets.to_vec();
        let node = NodeId(self.random.one(&targets));
        let own = self.node(node);
        if own.paused_by.is_empty()
            && let Some(running) = &mut own.running
        {
            let request = running.number();
            self.step(node, Input::Admin(request, Admin::Lead));
            self.settle(node);
        }
        self.contest(fault, &targets, every_ms);
    }

    /// Does what clients ask for.
    fn act(&mut self) {
        let mut actions = std::mem::take(&mut self.clients.actions);
        for action in actions.drain(..) {
            match action {
                Action::Timer { lane, at_ns } => self.queue.push(at_ns, Event::Timer { lane }),
                Action::Send(call) => self.call(call),
            }
        }
        // Nobody adds one meanwhile; the memory is kept.
        self.clients.actions = actions;
        self.next_stage_if_over();
    }

    fn next_stage_if_over(&mut self) {
        if self.now_ns < self.plan.asking_ns()
            || self.clients.stage() == Stage::Done
            || !self.clients.all_over()
        {
            return;
        }
        let alive: Vec<u32> =
            (1..=self.plan.nodes).filter(|node| !self.nemesis.is_lost(*node)).collect();
        self.clients.next_stage(self.now_ns, &alive);
        if self.clients.stage() == Stage::Done {
            let lingering_ms = self.plan.schedule.lingering_ms();
            let settle_ns = self.plan.node.heartbeat_us * US * 40 + (500 + lingering_ms) * MS;
            self.queue.push(self.now_ns + settle_ns, Event::Quiet);
        } else {
            self.act();
        }
    }

    /// Sends a client's call, if its connection carries anything.
    fn call(&mut self, call: Call) {
        let node = NodeId(call.node);
        if self.network.is_cut(0, node.0) {
            if self.network.is_reset(0, node.0) {
                self.answer_later(&call, Answer::Input(ClientInput::Cut));
            }
            return; // Not even a connection: the client waits until its time is over.
        }
        if self.node(node).running.is_none() {
            return self.answer_later(&call, Answer::Input(ClientInput::Refused));
        }
        self.clients.sent(&call);
        let at_ns = self.now_ns + self.network.client_delay();
        self.queue.push(at_ns, Event::Call(call));
    }

    fn answer_later(&mut self, call: &Call, answer: Answer) {
        let at_ns = self.now_ns + self.network.client_delay();
        let Call { lane, awaited, attempt, .. } = *call;
        self.queue.push(at_ns, Event::Answer { lane, awaited, attempt, answer });
    }

    fn trace_sent(&mut self, from: NodeId, to: NodeId, message: &C::Message) -> u32 {
        let now_ns = self.now_ns;
        self.trace.as_mut().map_or(0, |trace| trace.sent(now_ns, from, to, message))
    }
}

pub(crate) const STREAM_WORLD: u64 = 1;
const STREAM_NETWORK: u64 = 2;
/// Of the clients.
pub(crate) const STREAM_CLIENTS: u64 = 3;
/// Of the nemesis.
pub(crate) const STREAM_NEMESIS: u64 = 4;

/// What a panic says.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "without a message".to_owned(),
    }
}
