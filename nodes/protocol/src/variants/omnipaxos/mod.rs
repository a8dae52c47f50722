//! Omni-Paxos by its authors' library, on our log, transport and state machine: a core that we did not write.
//!
//! Source: H. Ng, S. Haridi, P. Carbone, "Omni-Paxos: Breaking the Barriers of Partial Connectivity" (EuroSys 2023); the
//! crate `omnipaxos` 0.2.4. Sequence Paxos replicates one log under a leader; Ballot Leader Election (BLE) picks the leader by
//! heartbeats among whoever is connected to a quorum.
//!
//! | message                              | from, to             | when                                              |
//! |--------------------------------------|----------------------|---------------------------------------------------|
//! | `heartbeat-request`, `heartbeat-reply` | all to all         | every round of BLE                                |
//! | `prepare-request`                    | recovered node to all | it has started, or lost messages                 |
//! | `prepare`, `promise`                 | leader, follower     | a leader has a new ballot; the promise is durable |
//! | `accept-sync`                        | leader to follower   | it has promised: what its log lacks               |
//! | `accept-decide`                      | leader to follower   | new entries, and how far the log is decided       |
//! | `accepted`, `not-accepted`           | follower to leader   | it has accepted, durably; or promised more        |
//! | `decide`                             | leader to follower   | the log is decided further, without new entries   |
//! | `proposal-forward`                   | follower to leader   | a client asked the follower                       |
//!
//! Everything leaves only when all that the library had stored by then is durable. The library supposes links that keep their
//! order and lose nothing without telling, so messages are numbered: late ones are dropped, and a gap is told as a new
//! connection (`reconnected`).
//!
//! What is ours: requests are batched into one entry, each entry names its proposer, and the proposer answers when the entry is
//! decided and applied there. A proposal that is not decided within `Timing::request` is answered as unknown: the library
//! does not say what became of it. An entry that the network carries twice is decided twice; sessions make it take effect
//! once. Reads are entries like any other: the library offers no read that is linearizable.
//!
//! # Found in the library
//! With version 0.2.4 replicas diverge once snapshots are taken: a follower that is brought up to date by a *delta* snapshot adds
//! it to a wrong one (`Shelf::mend` says how). Most simulated executions that take snapshots show it (`same-state`), and
//! clients see it as lost or doubled effects. `omnipaxos:deltas=mended` puts only that right, so that the rest stands trial.
//!
//! The log is compacted after `Limits::snapshot_entries` entries, into our state machine's encoding.
//!
//! # Absent
//! Changes of membership (the library ends a configuration by a stop-sign; nobody asks for one). Snapshots travel in one
//! message. Claims of acceptances: the library accepts many entries at once, under a round that it does not name by
//! entry. Its promises are claimed.

mod shelf;

pub use shelf::{Proposal, Record, State};

use super::Variant;
use super::cost::{Asked, At, Cost, formula};
use crate::core::{
    self, Admin, Claim, Config, Core, Damaged, Input, NodeId, Observation, Output, Position,
    RequestId, Role, SaveSnapshot, Snapshot, Time,
};
use crate::machine::{Capabilities, Failure, Machine, Reply, Request, digest};
use crate::replication::{Origin, Requests, Slot, Value, Waiting, Window};
use ::omnipaxos::ballot_leader_election::Ballot;
use ::omnipaxos::messages::Message as Carried;
use ::omnipaxos::messages::ballot_leader_election::HeartbeatMsg;
use ::omnipaxos::messages::sequence_paxos::PaxosMsg;
use ::omnipaxos::{ClusterConfig, OmniPaxosConfig, ServerConfig};
use serde::{Deserialize, Serialize};
use shelf::{Handle, Shared, Shelf};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "omnipaxos",
    summary: "Omni-Paxos by the library `omnipaxos`, on our log, transport and state machine",
    paper: "Ng, Haridi, Carbone, Omni-Paxos: Breaking the Barriers of Partial Connectivity (2023)",
    params: &[
        (
            "deltas=as-is",
            "as-is: as the library puts snapshots together, wrongly in version 0.2.4; mended: our storage puts them right",
        ),
        (
            "snapshot-entries=20000",
            "with real processes: decided entries after which a node has the library compact its log",
        ),
    ],
    capabilities: OmniPaxos::CAPABILITIES,
    quorums: "more than n/2 promise, more than n/2 accept",
    survives: "(n - 1)/2 nodes down, as long as one node reaches a quorum; restarts, message loss and delay",
    costs: &[
        Cost {
            asked: Asked::Write,
            at: At::Leader,
            messages: formula("3(n - 1)", |n| 3 * (n - 1)),
            delays: formula("2", |_| 2),
            syncs: formula("2n", |n| 2 * n),
        },
        Cost {
            asked: Asked::Write,
            at: At::Other,
            messages: formula("3(n - 1) + 1", |n| 3 * (n - 1) + 1),
            delays: formula("4", |_| 4),
            syncs: formula("2n", |n| 2 * n),
        },
    ],
};

/// A round of BLE takes so many ticks, of `Timing::heartbeat` each.
const ELECTION_TICKS: u64 = 3;
/// After so many ticks a message waits no longer for its answer.
const RESEND_TICKS: u64 = 3;
/// Own proposals under way before requests wait for a full batch.
const EAGER: usize = 4;

/// One node.
pub struct OmniPaxos {
    config: Config,
    library: ::omnipaxos::OmniPaxos<Proposal, Handle>,
    shared: Handle,
    outgoing: Vec<Carried<Proposal>>,
    links: BTreeMap<NodeId, Link>,
    now: Time,
    tick_at: Time,
    machine: Machine,
    /// Entries applied.
    applied: u64,
    /// What was applied lately.
    recent: Window<Value>,
    requests: Requests<()>,
    /// Proposals of this incarnation that are not decided.
    pending: BTreeMap<u64, Pending>,
    proposed: u64,
    /// The position of the next record, and below which all are durable.
    next: Position,
    persisted: Position,
    /// What was last observed.
    role: Role,
}

/// An own proposal under way.
#[derive(Debug)]
struct Pending {
    origins: Vec<Origin>,
    deadline: Time,
}

impl fmt::Debug for OmniPaxos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OmniPaxos").field("applied", &self.applied).finish_non_exhaustive()
    }
}

/// A message of the library, and its place among those of one sender to one receiver.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The sender's incarnation.
    incarnation: u64,
    /// Counts its messages to this receiver, from 0.
    sequence: u64,
    body: Carried<Proposal>,
}

/// Messages with one peer.
#[derive(Debug, Default)]
struct Link {
    /// How many were sent.
    sent: u64,
    /// The peer's incarnation, and its message that comes next.
    expected: (u64, u64),
}

impl Link {
    /// Whether a message is to be taken: not if it is a copy, or came after a later one.
    fn takes(&self, message: &Message) -> bool {
        (message.incarnation, message.sequence) >= self.expected
    }

    /// Takes it. Whether those before it are lost.
    fn take(&mut self, message: &Message) -> bool {
        let lost = (message.incarnation, message.sequence) > self.expected;
        self.expected = (message.incarnation, message.sequence + 1);
        lost
    }
}

impl core::Message for Message {
    const KINDS: &'static [&'static str] = &[
        "heartbeat-request",
        "heartbeat-reply",
        "prepare-request",
        "prepare",
        "promise",
        "accept-sync",
        "accept-decide",
        "accepted",
        "not-accepted",
        "decide",
        "proposal-forward",
        "compaction",
        "accept-stop-sign",
        "forward-stop-sign",
    ];

    fn kind(&self) -> &'static str {
        match &self.body {
            Carried::BLE(message) => match message.msg {
                HeartbeatMsg::Request(_) => "heartbeat-request",
                HeartbeatMsg::Reply(_) => "heartbeat-reply",
            },
            Carried::SequencePaxos(message) => match message.msg {
                PaxosMsg::PrepareReq(_) => "prepare-request",
                PaxosMsg::Prepare(_) => "prepare",
                PaxosMsg::Promise(_) => "promise",
                PaxosMsg::AcceptSync(_) => "accept-sync",
                PaxosMsg::AcceptDecide(_) => "accept-decide",
                PaxosMsg::Accepted(_) => "accepted",
                PaxosMsg::NotAccepted(_) => "not-accepted",
                PaxosMsg::Decide(_) => "decide",
                PaxosMsg::ProposalForward(_) => "proposal-forward",
                PaxosMsg::Compaction(_) => "compaction",
                PaxosMsg::AcceptStopSign(_) => "accept-stop-sign",
                PaxosMsg::ForwardStopSign(_) => "forward-stop-sign",
            },
        }
    }

    fn claim(&self) -> Claim {
        match &self.body {
            Carried::SequencePaxos(message) => match &message.msg {
                PaxosMsg::Prepare(prepare) => Claim::Prepares { ballot: number(prepare.n) },
                PaxosMsg::Promise(promise) => Claim::Promised { ballot: number(promise.n) },
                _ => Claim::Nothing,
            },
            Carried::BLE(_) => Claim::Nothing,
        }
    }
}

/// One number in the order of ballots.
fn number(ballot: Ballot) -> u64 {
    (u64::from(ballot.n) << 16) | ballot.pid
}

type Out = Output<OmniPaxos>;

impl Core for OmniPaxos {
    type Message = Message;
    type Record = Record;

    const CAPABILITIES: Capabilities = Capabilities {
        cas: true,
        collections: true,
        transactions: true,
        sessions: true,
        membership: false,
        linearizable: true,
        leader: true,
        survives: |nodes| nodes.saturating_sub(1) / 2,
    };

    fn recover(
        config: Config,
        now: Time,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
        out: &mut Out,
    ) -> Result<Self, Damaged> {
        let mends_deltas = mends_deltas(&config)?;
        let Kept { shelf, end, covered } = Kept::restore(snapshot, records)?;
        let shared =
            Handle(Arc::new(Mutex::new(Shared { shelf, mends_deltas, ..Shared::default() })));
        let library = library(&config, &shared)?;
        let mut node = Self {
            library,
            outgoing: Vec::new(),
            links: BTreeMap::new(),
            now,
            tick_at: now.after(config.timing.heartbeat),
            machine: Machine::new(&config.limits),
            applied: 0,
            recent: Window::default(),
            requests: Requests::new(&config),
            pending: BTreeMap::new(),
            proposed: 0,
            next: end,
            persisted: end,
            role: Role::Follower,
            shared,
            config,
        };
        // What was decided before the crash is applied again, and is no news.
        node.apply(&mut Output::default())?;
        out.observe(Observation::Role { role: Role::Follower, ballot: node.promised() });
        node.hand_over(out);
        if covered > end {
            node.save(out); // Or the records to come would count as covered by the snapshot, too.
        }
        out.wake_at(node.tick_at);
        Ok(node)
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Out) {
        self.now = now;
        match input {
            Input::Request(id, request) => self.on_request(id, request, out),
            Input::Message(from, message) => self.on_message(from, message),
            Input::Wake => self.on_wake(out),
            Input::Persisted(upto) => self.persisted = self.persisted.max(upto),
            Input::Admin(id, admin) => self.on_admin(id, admin, out),
        }
        self.propose_waiting();
        self.apply(out).expect("what a peer has encoded");
        self.compact_if_due(out);
        self.hand_over(out);
        self.observe_role(out);
        out.wake_at(self.tick_at);
    }

    fn role(&self) -> Role {
        match self.library.get_current_leader() {
            Some((leader, in_accept_phase)) if leader == self.pid() => {
                if in_accept_phase {
                    Role::Leader
                } else {
                    Role::Candidate
                }
            }
            _ => Role::Follower,
        }
    }

    fn leader(&self) -> Option<NodeId> {
        let (leader, _) = self.library.get_current_leader()?;
        u32::try_from(leader).ok().map(NodeId)
    }

    fn claim_of(record: &Record) -> Claim {
        match record {
            Record::Promise(ballot) => Claim::Promised { ballot: number(*ballot) },
            _ => Claim::Nothing,
        }
    }

    fn applied(&self) -> Option<u64> {
        Some(self.applied)
    }

    fn decided(&self, slot: u64) -> Option<&[Request]> {
        self.recent.get(Slot(slot)).map(Value::requests)
    }

    fn promised_ballot(&self) -> Option<u64> {
        Some(self.promised())
    }

    fn state_digest(&self) -> Option<u64> {
        Some(self.machine.digest())
    }
}

/// The part of a snapshot before the library's storage.
#[derive(Serialize, Deserialize)]
struct Head {
    /// The first record that the snapshot does not replace.
    keep_from: Position,
    /// Every record below this one is covered: those that were not durable yet are, too.
    covered: Position,
}

/// What the disk holds.
struct Kept {
    shelf: Shelf,
    /// The position of the next record.
    end: Position,
    covered: Position,
}

impl Kept {
    fn restore(
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
    ) -> Result<Self, Damaged> {
        let (head, mut shelf): (Head, Shelf) = match snapshot {
            Some(saved) => postcard::from_bytes(&saved.data)
                .map_err(|error| Damaged(format!("the snapshot: {error}")))?,
            None => (Head { keep_from: Position(0), covered: Position(0) }, Shelf::default()),
        };
        let mut end = head.keep_from;
        for (position, record) in records {
            end = end.max(Position(position.0 + 1));
            if position >= head.covered {
                shelf.apply(record);
            }
        }
        Ok(Self { shelf, end, covered: head.covered })
    }
}

/// The option of that name.
fn mends_deltas(config: &Config) -> Result<bool, Damaged> {
    if let Some(unknown) = config.options.keys().find(|key| *key != "deltas") {
        return Err(Damaged(format!(
            "no log was read: option `{unknown}` is not one of omnipaxos"
        )));
    }
    match config.options.get("deltas").map(String::as_str) {
        None | Some("as-is") => Ok(false),
        Some("mended") => Ok(true),
        Some(other) => Err(Damaged(format!(
            "no log was read: option `deltas` is as-is or mended, not `{other}`"
        ))),
    }
}

fn library(
    config: &Config,
    shared: &Handle,
) -> Result<::omnipaxos::OmniPaxos<Proposal, Handle>, Damaged> {
    let settings = OmniPaxosConfig {
        cluster_config: ClusterConfig {
            configuration_id: 1,
            nodes: config.members.iter().map(|node| u64::from(node.0)).collect(),
            flexible_quorum: None,
        },
        server_config: ServerConfig {
            pid: u64::from(config.node.0),
            election_tick_timeout: ELECTION_TICKS,
            resend_message_tick_timeout: RESEND_TICKS,
            ..ServerConfig::default()
        },
    };
    settings
        .build(shared.clone())
        .map_err(|error| Damaged(format!("no log was read: the library refuses: {error}")))
}

impl OmniPaxos {
    fn pid(&self) -> u64 {
        u64::from(self.config.node.0)
    }

    fn promised(&self) -> u64 {
        number(self.library.get_promise())
    }

    fn on_request(&mut self, id: RequestId, request: Request, out: &mut Out) {
        let origin = Origin::Client { id, exposed: false };
        if self.requests.waiting() + self.pending.len() >= self.config.limits.queue {
            return self.requests.refuse(origin, out);
        }
        let deadline = self.now.after(self.config.timing.request);
        self.requests.wait(Waiting { origin, request, deadline });
    }

    /// The library supposes links that keep their order and lose nothing without telling: what came out of turn is dropped,
    /// and a gap is told as a new connection.
    fn on_message(&mut self, from: NodeId, message: Message) {
        let link = self.links.entry(from).or_default();
        if link.takes(&message) {
            if link.take(&message) {
                self.library.reconnected(u64::from(from.0));
            }
            self.library.handle_incoming(message.body);
        }
    }

    fn on_wake(&mut self, out: &mut Out) {
        if self.now < self.tick_at {
            return;
        }
        self.tick_at = self.now.after(self.config.timing.heartbeat);
        self.library.tick();
        self.requests.expire(self.now, &Failure::Overloaded, out);
        let now = self.now;
        let lost = self.pending.extract_if(.., |_, pending| pending.deadline <= now);
        for origin in lost.flat_map(|(_, pending)| pending.origins) {
            self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
        }
    }

    fn on_admin(&mut self, id: RequestId, admin: Admin, out: &mut Out) {
        match admin {
            Admin::Snapshot => {
                self.compact(out);
                out.reply(id, Reply::Done);
            }
            Admin::Lead => {
                self.library.try_become_leader();
                out.reply(id, Reply::Done);
            }
            Admin::Add(_) | Admin::Remove(_) => {
                out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
            }
        }
    }

    /// Proposes what waits: at once while few own proposals are under way, in full batches beyond that.
    fn propose_waiting(&mut self) {
        let limits = self.config.limits;
        loop {
            let (waiting, under_way) = (self.requests.waiting(), self.pending.len());
            let eager = under_way < EAGER || waiting >= limits.batch_commands;
            if waiting == 0 || under_way >= limits.pipeline.max(1) || !eager {
                return;
            }
            let (value, origins) = self.requests.take_batch();
            self.proposed += 1;
            let deadline = self.now.after(self.config.timing.request);
            self.pending.insert(self.proposed, Pending { origins, deadline });
            let proposal = Proposal {
                node: self.config.node.0,
                incarnation: self.config.incarnation,
                number: self.proposed,
                value,
            };
            // It refuses only after a stop-sign, which nobody proposes. If it did, the proposal would expire as unknown.
            drop(self.library.append(proposal));
        }
    }

    /// Applies what is decided, and answers for own proposals.
    fn apply(&mut self, out: &mut Out) -> Result<(), Damaged> {
        let (decided, compacted) =
            self.shared.with(|shared| (shared.shelf.decided(), shared.shelf.compacted()));
        if self.applied < compacted {
            self.install(compacted, out)?;
        }
        while self.applied < decided {
            let index = self.applied;
            let Some(proposal) = self.shared.with(|shared| shared.shelf.entry(index).cloned())
            else {
                return Err(Damaged(format!("entry {index} is decided and not there")));
            };
            self.applied += 1;
            let slot = self.applied;
            out.observe(Observation::Decided { slot, digest: proposal.value.digest() });
            let commands = u32::try_from(proposal.value.requests().len()).unwrap_or(u32::MAX);
            self.execute(&proposal, out);
            out.observe(Observation::Applied { slot, commands });
            self.recent.put(Slot(slot), proposal.value);
            let keep = self.config.limits.keep_entries;
            self.recent.drop_through(Slot(slot.saturating_sub(keep)));
        }
        Ok(())
    }

    fn execute(&mut self, proposal: &Proposal, out: &mut Out) {
        let replies = proposal.value.requests().iter().map(|request| self.machine.apply(request));
        let replies: Vec<_> = replies.collect();
        let own =
            proposal.node == self.config.node.0 && proposal.incarnation == self.config.incarnation;
        // A copy finds nobody waiting.
        let Some(pending) = own.then(|| self.pending.remove(&proposal.number)).flatten() else {
            return;
        };
        for (origin, reply) in pending.origins.into_iter().zip(replies) {
            self.requests.answer(origin, reply, out);
        }
    }

    /// Takes the library's snapshot for the state.
    fn install(&mut self, compacted: u64, out: &mut Out) -> Result<(), Damaged> {
        let state = self.shared.with(|shared| shared.shelf.snapshot().cloned()).unwrap_or_default();
        self.machine = match &state.machine {
            Some(bytes) => Machine::decode(bytes, &self.config.limits)?,
            None => Machine::new(&self.config.limits),
        };
        for request in state.values.iter().flat_map(Value::requests) {
            self.machine.apply(request);
        }
        self.applied = compacted;
        self.recent = Window::starting_after(Slot(compacted));
        out.observe(Observation::Snapshot { slot: compacted, installed: true });
        Ok(())
    }

    fn compact_if_due(&mut self, out: &mut Out) {
        let compacted = self.shared.with(|shared| shared.shelf.compacted());
        if self.applied - compacted >= self.config.limits.snapshot_entries.max(1) {
            self.compact(out);
        }
    }

    /// Has the library compact its log up to what is applied, and saves all that it has stored.
    fn compact(&mut self, out: &mut Out) {
        let machine = self.machine.encode();
        self.shared.with(|shared| shared.folded = Some(machine));
        let upto = usize::try_from(self.applied).unwrap_or(usize::MAX);
        let compacted = self.library.snapshot(Some(upto), true).is_ok();
        self.shared.with(|shared| shared.folded = None);
        self.hand_over(out);
        if compacted {
            self.save(out);
            out.observe(Observation::Snapshot { slot: self.applied, installed: false });
        }
    }

    /// Saves all that the library has stored. What is not durable yet is held back as long as this is not.
    fn save(&self, out: &mut Out) {
        let head = Head { keep_from: self.persisted, covered: self.next };
        let keep_from = head.keep_from;
        let data = self.shared.with(|shared| digest::encode(&(head, &shared.shelf)));
        out.snapshot = Some(SaveSnapshot { snapshot: Snapshot { data }, keep_from });
    }

    /// Hands the library's records and messages to the host.
    fn hand_over(&mut self, out: &mut Out) {
        for record in self.shared.with(|shared| std::mem::take(&mut shared.written)) {
            out.append(record);
            self.next.0 += 1;
        }
        self.library.take_outgoing_messages(&mut self.outgoing);
        for message in self.outgoing.drain(..) {
            let to = NodeId(u32::try_from(message.get_receiver()).unwrap_or(u32::MAX));
            let link = self.links.entry(to).or_default();
            let (incarnation, sequence) = (self.config.incarnation, link.sent);
            link.sent += 1;
            out.send(to, Message { incarnation, sequence, body: message });
        }
    }

    fn observe_role(&mut self, out: &mut Out) {
        let role = self.role();
        if role != self.role {
            self.role = role;
            out.observe(Observation::Role { role, ballot: self.promised() });
        }
    }
}
