//! A deterministic network of cores for tests: virtual time, links, disks and clients, all from one seed.
//!
//! * Links lose, duplicate, delay and so reorder messages, and can be cut one way.
//! * A disk writes one batch at a time. A crash loses what was not written, at random places: of the batches that had
//!   not become durable any prefix may survive, and a snapshot may be lost though later records survive.
//! * Clients open sessions, append to one list, read it and count; after an unknown outcome they repeat the request at
//!   another node, or go on. [`history`] judges what they saw.
//!
//! The network itself asserts agreement (one value a slot, on all nodes and in all incarnations) and that what nodes say
//! of their promises never falls. Whoever hosts another core here provides a [`Hosted`] for it.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "a module of several test crates")]

pub mod client;
pub mod history;
pub mod mutants;
pub mod stage;

use client::Client;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tribunal_protocol::*;

/// What the network must know of a core to judge it.
pub trait Hosted: Core {
    /// The ballot below which the sender of `message` says that it will accept nothing any more.
    fn promise_in(message: &Self::Message) -> Option<u64>;
}

/// Which faults happen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub loss: bool,
    pub duplication: bool,
    /// Of messages and of disks.
    pub delay: bool,
    pub crash: bool,
    /// All nodes crash together, and one comes back late.
    pub power: bool,
    pub pause: bool,
    pub partition: bool,
}

impl Faults {
    pub const NONE: Self = Self {
        loss: false,
        duplication: false,
        delay: false,
        crash: false,
        power: false,
        pause: false,
        partition: false,
    };

    pub const ALL: Self = Self {
        loss: true,
        duplication: true,
        delay: true,
        crash: true,
        power: true,
        pause: true,
        partition: true,
    };
}

/// Small enough that every bound is met within seconds of virtual time.
pub const LIMITS: Limits = Limits {
    batch_commands: 4,
    pipeline: 4,
    queue: 64,
    snapshot_entries: 20,
    keep_entries: 5,
    chunk_bytes: 300,
    sessions: 100,
    session_results: 16,
};

pub const MS: u64 = 1_000_000;
/// How long a client waits for an answer, unless told otherwise.
const PATIENCE: u64 = 150 * MS;
/// The client's number of [`Network::ask`].
const PROBE: u64 = 9_999;
/// The client's number of [`Network::lead`].
const NOBODY: usize = 9_998;

enum Event<C: Core> {
    Deliver { from: NodeId, to: NodeId, message: C::Message },
    Input { to: NodeId, incarnation: u64, input: Input<C::Message> },
    Written { node: NodeId, incarnation: u64 },
    Restart(NodeId),
    Client(usize),
    Reply { client: usize, request: u64, reply: Reply },
    Nemesis,
    Heal { cut: BTreeSet<(NodeId, NodeId)> },
}

/// What one step wants to have written, and what waits for it.
struct Batch<C: Core> {
    records: Vec<C::Record>,
    snapshot: Option<SaveSnapshot>,
    held: Vec<Effect<C::Message>>,
}

struct Disk<C: Core> {
    snapshot: Option<Snapshot>,
    keep_from: Position,
    /// Durable records, with positions.
    records: VecDeque<(Position, C::Record)>,
    next: Position,
}

struct Host<C: Core> {
    core: Option<C>,
    incarnation: u64,
    disk: Disk<C>,
    unwritten: VecDeque<Batch<C>>,
    /// How many of the unwritten batches are being written.
    writing: usize,
    wake_at: Option<Time>,
    paused_until: u64,
    /// The highest promise that left this node.
    promise_said: u64,
    applied: u64,
    /// Which client waits for which request.
    requests: BTreeMap<RequestId, usize>,
}

/// The network, its nodes and their clients.
pub struct Network<C: Hosted> {
    pub now: u64,
    random: ChaCha8Rng,
    faults: Faults,
    limits: Limits,
    options: BTreeMap<String, String>,
    /// Whether the network itself judges what it sees inside; otherwise only the clients' histories do.
    white_box: bool,
    /// How long a client waits for an answer, in ns.
    pub patience: u64,
    events: BTreeMap<(u64, u64), Event<C>>,
    scheduled: u64,
    hosts: BTreeMap<NodeId, Host<C>>,
    cut: BTreeSet<(NodeId, NodeId)>,
    decided: BTreeMap<u64, u64>,
    pub clients: Vec<Client>,
    pub elections: u64,
    pub installed: u64,
    probe: Option<Reply>,
    probes: u64,
    healed: bool,
}

impl<C: Hosted> Network<C> {
    pub fn new(seed: u64, nodes: u32, clients: usize, faults: Faults) -> Self {
        Self::with_options(seed, nodes, clients, faults, BTreeMap::new(), true)
    }

    /// A network whose cores are given `options`. It asserts agreement and promises itself only if `white_box`.
    pub fn with_options(
        seed: u64,
        nodes: u32,
        clients: usize,
        faults: Faults,
        options: BTreeMap<String, String>,
        white_box: bool,
    ) -> Self {
        let mut network = Self {
            now: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
            faults,
            limits: LIMITS,
            options,
            white_box,
            patience: PATIENCE,
            events: BTreeMap::new(),
            scheduled: 0,
            hosts: BTreeMap::new(),
            cut: BTreeSet::new(),
            decided: BTreeMap::new(),
            clients: (0..clients).map(Client::new).collect(),
            elections: 0,
            installed: 0,
            probe: None,
            probes: 0,
            healed: false,
        };
        for node in (1..=nodes).map(NodeId) {
            network.hosts.insert(node, Host::new());
        }
        for node in network.members() {
            network.start(node);
        }
        for client in 0..clients {
            let at = 300 * MS + client as u64 * MS;
            network.schedule(at, Event::Client(client));
        }
        network.schedule(700 * MS, Event::Nemesis);
        network
    }

    pub fn members(&self) -> Vec<NodeId> {
        self.hosts.keys().copied().collect()
    }

    fn schedule(&mut self, at: u64, event: Event<C>) {
        self.scheduled += 1;
        self.events.insert((at, self.scheduled), event);
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn within(&mut self, from_ms: u64, to_ms: u64) -> u64 {
        self.now + self.random.random_range(from_ms * MS..to_ms * MS)
    }

    /// Runs until `until_ms` of virtual time.
    pub fn run_until(&mut self, until_ms: u64) {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= until_ms * MS
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.handle(event);
        }
        self.now = until_ms * MS;
    }

    /// Runs, one event at a time, until `holds`; false if it does not within `limit_ms` of virtual time.
    pub fn run_while_not(&mut self, limit_ms: u64, holds: impl Fn(&Self) -> bool) -> bool {
        let limit = self.now + limit_ms * MS;
        while !holds(self) {
            let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= limit)
            else {
                return false;
            };
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.handle(event);
        }
        true
    }

    /// Ends all faults: everything runs, is connected, and loses nothing.
    pub fn heal(&mut self) {
        self.faults = Faults::default();
        self.healed = true;
        self.cut.clear();
        for node in self.members() {
            self.host(node).paused_until = 0;
            if self.host(node).core.is_none() {
                self.start(node);
            }
        }
    }

    /// Clients begin nothing new; what is under way goes on.
    pub fn quiesce(&mut self) {
        self.clients.iter_mut().for_each(|client| client.stopped = true);
    }

    /// Every node that has applied everything that any node has.
    pub fn applied(&self) -> BTreeSet<u64> {
        self.hosts.values().map(|host| host.applied).collect()
    }

    pub fn leaders(&self) -> Vec<NodeId> {
        let leads =
            |host: &Host<C>| host.core.as_ref().is_some_and(|core| core.role() == Role::Leader);
        self.hosts.iter().filter(|(_, host)| leads(host)).map(|(node, _)| *node).collect()
    }

    /// Kills a node; it stays dead until [`Network::heal`].
    pub fn kill(&mut self, node: NodeId) {
        self.crash(node);
    }

    /// Cuts a node off, both ways.
    pub fn isolate(&mut self, node: NodeId) {
        for peer in self.members() {
            self.cut.insert((node, peer));
            self.cut.insert((peer, node));
        }
    }

    /// Crashes a node and starts it again.
    pub fn restart(&mut self, node: NodeId) {
        self.crash(node);
        self.start(node);
    }

    /// Cuts the way from one node to another, or restores it.
    pub fn set_link(&mut self, from: NodeId, to: NodeId, up: bool) {
        if up {
            self.cut.remove(&(from, to));
        } else {
            self.cut.insert((from, to));
        }
    }

    /// Ends all cuts.
    pub fn reconnect(&mut self) {
        self.cut.clear();
    }

    /// Throws away all that a node has.
    pub fn wipe(&mut self, node: NodeId) {
        self.crash(node);
        let incarnation = self.host(node).incarnation;
        self.hosts.insert(node, Host { incarnation, ..Host::new() });
    }

    /// Asks `node` outside of all clients' histories, and runs until it answers.
    ///
    /// # Panics
    /// If it does not within five seconds of virtual time.
    pub fn ask(&mut self, node: NodeId, operation: Operation) -> Reply {
        self.probes += 1;
        let id = RequestId(PROBE * 1_000_000_000 + self.probes);
        let request = Request::Execute(Command {
            session: SessionId(0),
            sequence: 1,
            watermark: 1,
            operations: vec![operation],
        });
        let host = self.host(node);
        host.requests.insert(id, PROBE as usize);
        let incarnation = host.incarnation;
        self.input(node, incarnation, Input::Request(id, request));
        let deadline = self.now / MS + 5000;
        while self.probe.is_none() && self.now < deadline * MS {
            self.run_until(self.now / MS + 1);
        }
        self.probe.take().unwrap_or_else(|| panic!("{node} does not answer"))
    }

    /// Lets a node carry out an admin command.
    pub fn admin(&mut self, node: NodeId, admin: Admin) {
        self.probes += 1;
        let id = RequestId(PROBE * 1_000_000_000 + self.probes);
        let host = self.host(node);
        host.requests.insert(id, PROBE as usize);
        let incarnation = host.incarnation;
        self.input(node, incarnation, Input::Admin(id, admin));
        self.run_until(self.now / MS + 100);
        assert_eq!(self.probe.take(), Some(Reply::Done));
    }

    fn host(&mut self, node: NodeId) -> &mut Host<C> {
        self.hosts.get_mut(&node).expect("a member")
    }

    fn handle(&mut self, event: Event<C>) {
        match event {
            Event::Deliver { from, to, message } => {
                if !self.cut.contains(&(from, to)) {
                    let incarnation = self.host(to).incarnation;
                    self.input(to, incarnation, Input::Message(from, message));
                }
            }
            Event::Input { to, incarnation, input } => self.input(to, incarnation, input),
            Event::Written { node, incarnation } => self.written(node, incarnation),
            Event::Restart(node) => {
                if self.host(node).core.is_none() {
                    self.start(node);
                }
            }
            Event::Client(client) => self.next_operation(client),
            Event::Reply { client, request, reply } => self.client_reply(client, request, reply),
            Event::Nemesis => self.nemesis(),
            Event::Heal { cut } => self.cut.retain(|link| !cut.contains(link)),
        }
    }

    fn input(&mut self, to: NodeId, incarnation: u64, input: Input<C::Message>) {
        let now = self.now;
        let host = self.host(to);
        if host.incarnation != incarnation || host.core.is_none() {
            return;
        }
        if host.paused_until > now {
            let at = host.paused_until;
            return self.schedule(at, Event::Input { to, incarnation, input });
        }
        if matches!(input, Input::Wake) && host.wake_at.is_none_or(|at| at.0 > now) {
            return; // Asked for another time since.
        }
        let mut out = Output::default();
        let Some(core) = &mut host.core else { return };
        core.step(Time(now), input, &mut out);
        self.carry_out(to, out);
    }

    fn start(&mut self, node: NodeId) {
        let members = self.members();
        let (now, limits, seed) = (self.now, self.limits, self.random.random());
        let options = self.options.clone();
        let host = self.host(node);
        host.incarnation += 1;
        let config = Config {
            node,
            members,
            incarnation: host.incarnation,
            seed,
            timing: Timing { request: ms(500), ..Timing::default() },
            limits,
            options,
        };
        let mut out = Output::default();
        let records = host.disk.records.iter().cloned();
        let core = C::recover(config, Time(now), host.disk.snapshot.clone(), records, &mut out);
        host.core = Some(core.unwrap_or_else(|damaged| panic!("{node}: {damaged}")));
        self.carry_out(node, out);
    }

    fn carry_out(&mut self, node: NodeId, out: Output<C>) {
        for observation in &out.observations {
            self.observe(node, observation);
        }
        for effect in out.at_once {
            self.effect(node, effect);
        }
        let now = self.now;
        let host = self.host(node);
        let incarnation = host.incarnation;
        if let Some(at) = out.wake_at
            && host.wake_at != Some(at)
        {
            host.wake_at = Some(at);
            let input = Input::Wake;
            self.schedule(at.0.max(now + 1), Event::Input { to: node, incarnation, input });
        }
        let batch = Batch { records: out.records, snapshot: out.snapshot, held: out.when_durable };
        let host = self.host(node);
        let writes = !batch.records.is_empty() || batch.snapshot.is_some();
        if !writes && host.unwritten.is_empty() {
            batch.held.into_iter().for_each(|effect| self.effect(node, effect));
        } else if writes || !batch.held.is_empty() {
            host.unwritten.push_back(batch);
            self.write(node);
        }
    }

    fn write(&mut self, node: NodeId) {
        let host = self.host(node);
        if host.writing == 0 && !host.unwritten.is_empty() {
            host.writing = host.unwritten.len();
            let incarnation = host.incarnation;
            let slow = self.faults.delay && self.chance(10);
            let at = self.within(0, if slow { 40 } else { 1 }) + MS / 10;
            self.schedule(at, Event::Written { node, incarnation });
        }
    }

    fn written(&mut self, node: NodeId, incarnation: u64) {
        let host = self.host(node);
        if host.incarnation != incarnation || host.core.is_none() {
            return;
        }
        let count = std::mem::take(&mut host.writing);
        let batches: Vec<_> = host.unwritten.drain(..count).collect();
        let mut held = Vec::new();
        for batch in batches {
            host.disk.append(batch.records);
            host.disk.save(batch.snapshot);
            held.extend(batch.held);
        }
        let upto = host.disk.next;
        held.into_iter().for_each(|effect| self.effect(node, effect));
        self.input(node, incarnation, Input::Persisted(upto));
        self.write(node);
    }

    fn crash(&mut self, node: NodeId) {
        let survives = |random: &mut ChaCha8Rng, n: usize| random.random_range(0..=n);
        let batches: Vec<_> = self.host(node).unwritten.drain(..).collect();
        let whole = survives(&mut self.random, batches.len());
        let snapshots = self.chance(50);
        for (nth, mut batch) in batches.into_iter().enumerate() {
            if nth > whole {
                break;
            }
            if nth == whole {
                let part = survives(&mut self.random, batch.records.len());
                batch.records.truncate(part);
                batch.snapshot = None;
            }
            let disk = &mut self.host(node).disk;
            disk.append(batch.records);
            disk.save(batch.snapshot.filter(|_| snapshots));
        }
        let host = self.host(node);
        host.core = None;
        host.writing = 0;
        host.wake_at = None;
        let waiting = std::mem::take(&mut host.requests);
        for (request, client) in waiting {
            let at = self.within(1, 50);
            let reply = Reply::Failed(Failure::Unknown);
            self.schedule(at, Event::Reply { client, request: request.0, reply });
        }
    }

    fn effect(&mut self, node: NodeId, effect: Effect<C::Message>) {
        match effect {
            Effect::Send(Destination::Node(to), message) => self.send(node, to, message),
            Effect::Send(Destination::Peers, message) => {
                for to in self.members().into_iter().filter(|to| *to != node) {
                    self.send(node, to, message.clone());
                }
            }
            Effect::Reply(request, reply) => {
                let client = self.host(node).requests.remove(&request);
                let client = client.expect("a request is answered once");
                let at = self.now + MS / 20;
                self.schedule(at, Event::Reply { client, request: request.0, reply });
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: C::Message) {
        assert_ne!(from, to, "a core never sends to itself");
        if let Some(promise) = C::promise_in(&message).filter(|_| self.white_box) {
            let said = &mut self.host(from).promise_said;
            assert!(promise >= *said, "{from}: the promise falls from {said} to {promise}");
            *said = promise;
        }
        let copies = 1 + u32::from(self.faults.duplication && self.chance(5));
        for _ in 0..copies {
            if self.faults.loss && self.chance(5) {
                continue;
            }
            let slow = self.faults.delay && self.chance(10);
            let at = self.within(0, if slow { 120 } else { 1 }) + MS / 20;
            self.schedule(at, Event::Deliver { from, to, message: message.clone() });
        }
    }

    fn observe(&mut self, node: NodeId, observation: &Observation) {
        match *observation {
            Observation::Decided { slot, digest } => {
                let known = *self.decided.entry(slot).or_insert(digest);
                assert!(
                    known == digest || !self.white_box,
                    "agreement: slot {slot} was decided twice, at {node}"
                );
            }
            Observation::Applied { slot, .. } => self.host(node).applied = slot,
            Observation::Snapshot { slot, installed } => {
                self.installed += u64::from(installed);
                self.host(node).applied = slot;
            }
            Observation::Election { .. } => self.elections += 1,
            _ => {}
        }
    }

    fn next_operation(&mut self, client: usize) {
        if self.clients[client].stopped {
            return;
        }
        let members = self.members();
        let node = members[self.random.random_range(0..members.len())];
        let draw = self.random.random();
        let now = self.now;
        let (id, request) = self.clients[client].invoke(now, draw);
        let reply = Reply::Failed(Failure::Unknown);
        self.schedule(now + self.patience, Event::Reply { client, request: id, reply });
        let host = self.host(node);
        if host.core.is_none() {
            // Refused: definite, as a connection that nobody accepts.
            let reply = Reply::Failed(Failure::NoLeader);
            return self.schedule(now + MS, Event::Reply { client, request: id, reply });
        }
        host.requests.insert(RequestId(id), client);
        let (to, incarnation) = (node, host.incarnation);
        let input = Input::Request(RequestId(id), request);
        self.schedule(now + MS / 20, Event::Input { to, incarnation, input });
    }

    fn client_reply(&mut self, client: usize, request: u64, reply: Reply) {
        if client == PROBE as usize {
            self.probe = Some(reply);
            return;
        }
        if client == NOBODY {
            return;
        }
        if !self.clients[client].awaits(request) {
            return; // It has given up, or this is its own giving up after the answer.
        }
        let (now, repeat) = (self.now, self.chance(60));
        self.clients[client].complete(now, reply, repeat);
        let at = self.within(1, 25);
        self.schedule(at, Event::Client(client));
    }

    fn nemesis(&mut self) {
        if self.healed {
            return;
        }
        let members = self.members();
        let victim = members[self.random.random_range(0..members.len())];
        let Faults { crash, power, pause, partition, .. } = self.faults;
        let kinds: Vec<usize> = [crash, power, pause, partition]
            .into_iter()
            .enumerate()
            .filter_map(|(kind, enabled)| enabled.then_some(kind))
            .collect();
        if kinds.is_empty() {
            return;
        }
        match kinds[self.random.random_range(0..kinds.len())] {
            0 => self.crash_for(victim, 10, 500),
            1 => {
                for node in members {
                    let late = if node == victim { 600 } else { 10 };
                    self.crash_for(node, late, late + 40);
                }
            }
            2 => self.host(victim).paused_until = self.within(50, 900),
            _ => {
                let cut = self.draw_cut(&members);
                self.cut.extend(cut.iter().copied());
                let at = self.within(100, 900);
                self.schedule(at, Event::Heal { cut });
            }
        }
        let at = self.within(20, 300);
        self.schedule(at, Event::Nemesis);
    }

    fn crash_for(&mut self, node: NodeId, from_ms: u64, to_ms: u64) {
        if self.host(node).core.is_some() {
            self.crash(node);
            let at = self.within(from_ms, to_ms);
            self.schedule(at, Event::Restart(node));
        }
    }

    /// Cuts one side off from the other, in one direction or both.
    fn draw_cut(&mut self, members: &[NodeId]) -> BTreeSet<(NodeId, NodeId)> {
        let side: BTreeSet<NodeId> = members.iter().copied().filter(|_| self.chance(40)).collect();
        let one_way = self.chance(30);
        let links = members.iter().flat_map(|from| members.iter().map(|to| (*from, *to)));
        let crosses = |(from, to): &(NodeId, NodeId)| match one_way {
            true => side.contains(from) && !side.contains(to),
            false => side.contains(from) != side.contains(to),
        };
        links.filter(crosses).collect()
    }
}

/// What a test does beside the faults that the seed draws.
impl<C: Hosted> Network<C> {
    /// Cuts some nodes off from the others, both ways.
    pub fn cut_off(&mut self, side: &[NodeId]) {
        for other in self.members().into_iter().filter(|node| !side.contains(node)) {
            for node in side {
                self.cut.insert((*node, other));
                self.cut.insert((other, *node));
            }
        }
    }

    /// Tells a node to become the leader, whoever leads now. Nobody waits for its answer.
    pub fn lead(&mut self, node: NodeId) {
        self.probes += 1;
        let id = RequestId(PROBE * 1_000_000_000 + self.probes);
        let host = self.host(node);
        if host.core.is_some() {
            host.requests.insert(id, NOBODY);
        }
        let incarnation = host.incarnation;
        self.input(node, incarnation, Input::Admin(id, Admin::Lead));
    }
}

impl<C: Core> Host<C> {
    fn new() -> Self {
        Self {
            core: None,
            incarnation: 0,
            disk: Disk {
                snapshot: None,
                keep_from: Position(0),
                records: VecDeque::new(),
                next: Position(0),
            },
            unwritten: VecDeque::new(),
            writing: 0,
            wake_at: None,
            paused_until: 0,
            promise_said: 0,
            applied: 0,
            requests: BTreeMap::new(),
        }
    }
}

impl<C: Core> Disk<C> {
    fn append(&mut self, records: Vec<C::Record>) {
        for record in records {
            self.records.push_back((self.next, record));
            self.next.0 += 1;
        }
    }

    fn save(&mut self, snapshot: Option<SaveSnapshot>) {
        let Some(SaveSnapshot { snapshot, keep_from }) = snapshot else { return };
        assert!(keep_from <= self.next, "a snapshot replaces durable records only");
        self.snapshot = Some(snapshot);
        self.keep_from = keep_from;
        while self.records.front().is_some_and(|(position, _)| *position < keep_from) {
            self.records.pop_front();
        }
    }
}

/// A duration of so many milliseconds.
pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
