//! One execution: nodes, clients, wire, disks and faults on one line of virtual time, without a thread.
//!
//! The loop takes the next event, lets one node or client take a step, and carries out what follows from it. All that is
//! drawn comes from streams of the plan's seed, and all that happens goes into one hash, so that the same plan gives
//! the same execution on every machine.
//!
//! A process that would end (by a panic of its core, a log that it refuses, a failed write) ends here as well, with the
//! event in the history that the harness writes for a real one.

mod lives;
mod operator;
mod steps;
mod wire;

use crate::clients::{Action, Answer, Call, Clients, Desk, Stage};
use crate::clock::Clock;
use crate::coverage::Coverage;
use crate::facts::{Fact, View};
use crate::hash::Hash;
use crate::invariants::{Breach, Invariants};
use crate::nemesis::Nemesis;
use crate::network::Network;
use crate::node::{Arrival, Node, Told};
use crate::plan::{MS, Plan, US};
use crate::queue::Queue;
use crate::random::Random;
use crate::recorder::Recorder;
use crate::trace::Trace;
use operator::Operator;
use std::collections::VecDeque;
use tribunal_protocol::{Core, Limits, NodeId, Observation, Operation, Request, Role, SessionId};

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
    /// The operator asks for changes of membership.
    Operate,
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
    operator: Operator,
    /// How often the nodes were given time to come to rest.
    settles: u32,
    quiet: bool,
    /// The number of the event after which the checkers are asked next.
    ask_at: u64,
    /// What clients have seen is a violation that nothing can undo.
    pub(crate) violated: bool,
}

/// After so many events the checkers are first asked for a violation, and then whenever there are half as many more: what
/// they look at grows with the history.
const ASK_FIRST: u64 = 1 << 13;
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

    fn decides(&self, node: NodeId, slot: u64, ballot: u64, acceptors: &[NodeId]) -> bool {
        let known = self.core(node).and_then(|core| core.decides(slot, ballot, acceptors));
        known.unwrap_or(acceptors.len() > self.told.members.len() / 2)
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
            operator: Operator::default(),
            settles: 0,
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
            Event::Operate => {
                self.hash.word(11 << 32);
                self.operate();
            }
            // A system may still be at work on its own account, such as a chain that takes a node back in.
            Event::Quiet if self.is_at_work() && self.settles < SETTLES_MAX => self.settle_down(),
            Event::Quiet => {
                // With fewer nodes than it needs, a system may leave them behind for ever.
                if self.has_enough() {
                    self.fact(&Fact::Quiet);
                }
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

    /// Gives the nodes time to come to rest.
    fn settle_down(&mut self) {
        self.settles += 1;
        let lingering_ms = self.plan.schedule.lingering_ms();
        let settle_ns = self.plan.node.heartbeat_us * US * 40 + (500 + lingering_ms) * MS;
        self.queue.push(self.now_ns + settle_ns, Event::Quiet);
    }

    /// Whether some of the nodes that are up have applied more than others.
    fn is_at_work(&self) -> bool {
        let mut applied = self
            .nodes
            .iter()
            .filter_map(|node| node.running.as_ref().map(|running| running.host.core().applied()));
        let first = applied.next();
        applied.any(|other| Some(other) != first)
    }

    /// Whether as many nodes are up as the system needs.
    fn has_enough(&self) -> bool {
        let all = self.told.members.len();
        let up = self.nodes.iter().filter(|node| node.running.is_some()).count();
        let needed = C::needed(all, &self.plan.options());
        needed.is_ok_and(|needed| up >= needed)
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
            self.settle_down();
        } else {
            self.act();
        }
    }
}

/// How often nodes that are not at rest are given more time.
const SETTLES_MAX: u32 = 4;
pub(crate) const STREAM_WORLD: u64 = 1;
const STREAM_NETWORK: u64 = 2;
/// Of the clients.
pub(crate) const STREAM_CLIENTS: u64 = 3;
/// Of the nemesis.
pub(crate) const STREAM_NEMESIS: u64 = 4;
