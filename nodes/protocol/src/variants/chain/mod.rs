//! Chain replication: updates pass a sequence of nodes, from the head to the tail; the tail answers.
//!
//! Source: R. van Renesse and F. Schneider, "Chain Replication for Supporting High Throughput and Availability" (OSDI
//! 2004), sections 2 and 3. The paper assumes fail-stop nodes and a master that never fails; neither is to be had. The
//! configuration is kept by a Multi-Paxos of all nodes ([`master`]), and whoever is no longer in it may not know.
//!
//! | message     | from, to                | when                                                                      |
//! |-------------|-------------------------|---------------------------------------------------------------------------|
//! | `seal`      | leader of the Multi-Paxos to all | it is about to change the configuration; after its own seal    |
//! | `sealed`    | any to that leader      | always; after its seal and all that it holds                              |
//! | `pass`      | node to successor       | its own disk has the updates; also every `heartbeat`, and to answer `sync` |
//! | `ack`       | node to predecessor     | the tail's disk has the updates; also to answer a `pass` without any       |
//! | `sync`      | node to predecessor     | it has been elsewhere than the predecessor; after what its disk has        |
//! | `sync`      | other node to members   | every `heartbeat`: it copies what is acknowledged, to be added at the tail |
//! | `snapshot`  | member to node          | what it lacks is no longer in memory: a chunk of the state                 |
//! | `confirm`   | tail to all             | queries wait: has anybody entered a later configuration?                   |
//! | `confirmed` | any to tail             | always, at once                                                           |
//! | `forward`   | any to head or tail     | a client asked this node: updates to the head, queries to the tail         |
//! | `answer`    | tail to any             | the update has passed the whole chain, or the query is confirmed           |
//! | `return`    | any to any              | this copy of the forwarded request was not taken                          |
//! | `status`    | any to all              | every `heartbeat`: for whoever leads the Multi-Paxos                      |
//! | `master`    | any to any              | the messages of that Multi-Paxos, as its own header has them               |
//!
//! Cost, of `n` nodes in the chain: an update at the head takes `n - 1` `pass` and `n - 1` `ack`, as many message delays,
//! and `n` records, all of which are waited for. Elsewhere it takes two messages more, one if the tail itself was asked, and
//! `n - 1` delays to the tail, one to the head and one back. A query at the tail takes `2(n - 1)` messages and one round
//! trip, which the paper's perfect master saves; all that wait share a round. Elsewhere two messages and delays more.
//!
//! # Invariants
//! * Update Propagation (the paper's): the history of a node in line begins with its successor's in line. On disks: nothing
//!   is passed on that is not durable. A node is *in line* once its disk has an update of its configuration: the first one
//!   is the head's no-op, and what stands before that is what the head held. Only who is in line passes, and acknowledges.
//! * An acknowledged update is durable at every node of the configuration in which the tail acknowledged it, and so are
//!   all before it and an update of that configuration: at least at a majority of all nodes.
//! * A configuration is decided after a majority has sealed the one before, which is to take no more updates in it nor in any
//!   earlier one, and said the last update that it holds. The head is the one of them whose last update is the latest, by
//!   epoch, then by number ([`watch`]). So it holds all that was acknowledged before: one of that majority does, and its last
//!   update is not later than the head's; if the head's is of a later epoch, it came from a head that held it already.
//! * Two nodes that hold an update of the same epoch and number hold the same ones before it.
//! * A node forgets an update only for another one of the history of a head who has entered a later configuration.
//! * A tail in line whom a majority tells, after a query came, that it has entered no later configuration, holds all that was
//!   acknowledged before the query.
//! * A message of the chain counts in its own configuration only.
//! * Only what is acknowledged is applied; that prefix only grows.
//!
//! # Decisions
//! * *What the paper leaves to fail-stop*: a tail confirms by a majority (no clock is trusted); the head of the next
//!   configuration is not the old head's successor but whoever holds the most, as in a view change.
//! * *Reconfiguration.* The leader of the Multi-Paxos leaves out whom it has not heard for `election_min`, and a successor
//!   whom its living predecessor has not heard for so long; and adds whom the tail has let copy nearly everything. Where that
//!   is no majority, others are added, who have to copy before anything is acknowledged.
//! * *Resending.* The successor asks from where it is (`sync`): the predecessor keeps what is not acknowledged (`Sent`).
//! * *Requests.* As in Multi-Paxos, with the epoch for a reign.
//!
//! # Absent
//! Changes of the set of all nodes. Claims of promises and acceptances: the Multi-Paxos's own are not shown, since its slots
//! would mix with the chain's; and an update that more than half of the nodes hold is not chosen by that, for it may be
//! forgotten as long as the tail has not got it. Slots are the numbers of updates, decided once the tail has them.

mod clients;
mod master;
mod message;
mod query;
mod reconfigure;
mod state;
mod storage;
mod update;
mod watch;

pub use message::{Chain, Message, Place, Record, Status, Update};

use super::Variant;
use super::cost::{Asked, At, Cost, NONE, formula};
use crate::core::{
    Admin, Config, Core, Damaged, Input, NodeId, Output, Position, RequestId, Role, Snapshot, Time,
};
use crate::machine::{Capabilities, Failure, Machine, Reply, Request};
use crate::replication::{Incoming, Origin, Requests, Slot, Source, Window};
use master::Master;
use query::Queries;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use storage::{Journal, Kept};
use watch::Watch;

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "chain-replication",
    summary: "chain replication: updates pass from head to tail, the tail answers; configurations by Multi-Paxos",
    paper: "van Renesse and Schneider, Chain Replication for Supporting High Throughput and Availability (2004)",
    params: &[],
    capabilities: ChainReplication::CAPABILITIES,
    quorums: "all nodes of the chain, at least more than n/2; more than n/2 for a configuration, and to confirm a query",
    survives: "(n - 1)/2 nodes down or cut off, one after the other's copy; any number of restarts, message loss, \
               delay, duplication and reordering; clocks that are wrong",
    costs: &[
        Cost {
            asked: Asked::Write,
            at: At::Leader,
            messages: formula("2(n - 1)", |n| 2 * (n - 1)),
            delays: formula("2(n - 1)", |n| 2 * (n - 1)),
            syncs: formula("n", |n| n),
        },
        Cost {
            asked: Asked::Read,
            at: At::Tail,
            messages: formula("2(n - 1)", |n| 2 * (n - 1)),
            delays: formula("2", |_| 2),
            syncs: NONE,
        },
        Cost {
            asked: Asked::Write,
            at: At::Tail,
            messages: formula("2(n - 1) + 1", |n| 2 * (n - 1) + 1),
            delays: formula("n", |n| n),
            syncs: formula("n", |n| n),
        },
        Cost {
            asked: Asked::Write,
            at: At::Other,
            messages: formula("2(n - 1) + 2", |n| 2 * (n - 1) + 2),
            delays: formula("n + 1", |n| n + 1),
            syncs: formula("n", |n| n),
        },
        Cost {
            asked: Asked::Read,
            at: At::Other,
            messages: formula("2(n - 1) + 2", |n| 2 * (n - 1) + 2),
            delays: formula("4", |_| 4),
            syncs: NONE,
        },
    ],
};

/// One node.
#[derive(Debug)]
pub struct ChainReplication {
    config: Config,
    now: Time,
    master: Master,
    /// The configuration that this node has entered, and when.
    chain: Chain,
    entered_at: Time,
    /// How many configurations before it followed each other fast, up to a bound.
    unrest: u32,
    /// This node has sealed every configuration before this one: it takes no more updates in them.
    open_from: u64,
    /// The question whose answer tells that an installed state is durable; 0 if none is awaited.
    awaited: u64,

    /// The updates that are held, without those that were dropped.
    log: Window<Update>,
    /// The last update that was dropped.
    dropped: Place,
    /// Every update up to this one is acknowledged, and applied.
    decided: Place,
    /// Every update up to this one is durable here.
    durable: Place,
    /// The last update that is held and known to be in the history of this configuration.
    agreed: Place,
    /// The last update that is held.
    last: Place,
    /// The updates that are not durable yet, and where their records stand.
    unpersisted: VecDeque<(Position, Place)>,
    /// At the head: its own clients, who wait for updates that are not acknowledged.
    origins: VecDeque<Waits>,
    machine: Machine,
    journal: Journal,

    /// When each node was last heard.
    heard: BTreeMap<NodeId, Time>,
    /// From whom this node, being no member, has lately copied nearly all.
    caught_up: Option<(NodeId, Time)>,
    /// When this node noticed that it is elsewhere than its predecessor, or last got nearer to it.
    behind: Option<Time>,
    syncs: u64,
    incoming: Option<Incoming>,
    source: Option<Source>,
    tick_at: Time,
    watch: Watch,
    queries: Queries,
    requests: Requests<u64>,
    /// How many nodes, the tail included, must say that they have entered no later configuration before it answers.
    pub(crate) confirm_quorum: usize,
}

/// Clients of the head who wait for one update.
#[derive(Debug)]
struct Waits {
    slot: Slot,
    deadline: Time,
    origins: Vec<Origin>,
}

type Out = Output<ChainReplication>;

impl Core for ChainReplication {
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
        if let Some(unknown) = config.options.keys().next() {
            let why =
                format!("no log was read: option `{unknown}` is not one of chain-replication");
            return Err(Damaged(why));
        }
        let kept = Kept::recover(&config, snapshot, records)?;
        let (master, first) =
            Master::recover(&config, now, kept.master_snapshot, kept.master_records)?;
        let in_line = kept.last.epoch == kept.chain.epoch;
        let mut node = Self {
            now,
            master,
            entered_at: now,
            unrest: 0,
            open_from: kept.open_from,
            awaited: 0,
            chain: kept.chain,
            log: kept.log,
            dropped: kept.dropped,
            decided: kept.decided,
            durable: kept.last,
            agreed: if in_line { kept.last } else { kept.decided },
            last: kept.last,
            unpersisted: VecDeque::new(),
            origins: VecDeque::new(),
            machine: kept.machine,
            journal: kept.journal,
            heard: BTreeMap::new(),
            caught_up: None,
            behind: None,
            syncs: config.incarnation << 32,
            incoming: None,
            source: None,
            tick_at: now.after(config.timing.heartbeat),
            watch: Watch::default(),
            queries: Queries::new(config.incarnation),
            requests: Requests::new(&config),
            confirm_quorum: config.majority(),
            config,
        };
        node.absorb(first, out);
        if kept.hole {
            node.save_snapshot(out); // Or the updates to come would lie behind the hole, too.
        }
        node.take_the_head(out);
        node.observe_role(out);
        node.ask_to_be_woken(out);
        Ok(node)
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Out) {
        self.now = now;
        match input {
            Input::Request(id, request) => self.on_request(id, request, out),
            Input::Message(from, message) => self.on_message(from, message, out),
            Input::Wake => self.on_wake(out),
            Input::Persisted(upto) => {
                self.journal.persisted = self.journal.persisted.max(upto);
                self.master_persisted(upto, out);
                self.on_persisted(out);
            }
            Input::Admin(id, admin) => self.on_admin(id, admin, out),
        }
        self.take_waiting(out);
        self.snapshot_if_due(out);
        self.requests.send_answers(out);
        self.ask_to_be_woken(out);
    }

    fn role(&self) -> Role {
        if self.is_head() { Role::Leader } else { Role::Follower }
    }

    /// The head.
    fn leader(&self) -> Option<NodeId> {
        self.chain.nodes.first().copied()
    }

    fn applied(&self) -> Option<u64> {
        Some(self.decided.slot.0)
    }

    fn decided(&self, slot: u64) -> Option<&[Request]> {
        let held = self.log.get(Slot(slot)).filter(|_| Slot(slot) <= self.decided.slot);
        held.map(|update| update.value.requests())
    }

    fn state_digest(&self) -> Option<u64> {
        Some(self.machine.digest())
    }
}

/// Where the node stands in the chain.
impl ChainReplication {
    fn index(&self) -> Option<usize> {
        self.chain.nodes.iter().position(|node| *node == self.config.node)
    }

    fn is_head(&self) -> bool {
        self.index() == Some(0)
    }

    fn is_tail(&self) -> bool {
        self.chain.nodes.last() == Some(&self.config.node)
    }

    fn predecessor(&self) -> Option<NodeId> {
        self.chain.nodes.get(self.index()?.checked_sub(1)?).copied()
    }

    fn successor(&self) -> Option<NodeId> {
        self.chain.nodes.get(self.index()? + 1).copied()
    }

    /// Whether what this node's disk has is how the head's history begins: it has an update of this configuration, of which
    /// the first is the head's no-op.
    fn is_in_line(&self) -> bool {
        self.durable.epoch == self.chain.epoch
    }

    /// Whether this node takes no more updates in its configuration.
    fn is_sealed(&self) -> bool {
        self.open_from > self.chain.epoch
    }

    /// Whether this node may acknowledge updates and answer queries. Then all nodes of the chain have entered this
    /// configuration, for each was in line before its successor.
    fn is_acting_tail(&self) -> bool {
        self.is_tail() && self.is_in_line() && self.awaited == 0
    }

    /// How long a node may be silent before it is left out: longer, the faster configurations have followed each other. Links
    /// that are slow now and then would otherwise have nodes left out and taken back for ever (the timeouts that grow with
    /// each false suspicion, of Chandra and Toueg, "Unreliable Failure Detectors", 1996, section 6.1).
    fn patience(&self) -> Duration {
        self.config.timing.election_min * (1 << self.unrest)
    }
}

impl ChainReplication {
    fn on_message(&mut self, from: NodeId, message: Message, out: &mut Out) {
        match message {
            Message::Master(message) => self.step_master(Input::Message(from, message), out),
            Message::Status(status) => self.watch.on_status(from, status, self.now),
            Message::Seal { epoch } => self.on_seal(from, epoch, out),
            Message::Sealed { epoch, last } => self.on_sealed(from, epoch, last, out),
            Message::Pass { epoch, before, updates, last, in_line, decided, answers }
                if epoch == self.chain.epoch =>
            {
                self.heard.insert(from, self.now);
                let pass = update::Passed { before, updates, last, in_line, decided, answers };
                self.on_pass(from, pass, out);
            }
            Message::Ack { epoch, decided } if epoch == self.chain.epoch => {
                self.heard.insert(from, self.now);
                self.on_ack(from, decided, out);
            }
            Message::Sync { epoch, number, agreed, partial } if epoch == self.chain.epoch => {
                self.on_sync(from, number, agreed, partial, out);
            }
            Message::Snapshot { epoch, chunk } if epoch == self.chain.epoch => {
                self.on_snapshot(from, &chunk, out);
            }
            // Of another configuration.
            Message::Pass { .. }
            | Message::Ack { .. }
            | Message::Sync { .. }
            | Message::Snapshot { .. } => {}
            Message::Confirm { round, .. } => {
                let epoch = self.chain.epoch;
                out.send_at_once(from, Message::Confirmed { epoch, round });
            }
            Message::Confirmed { epoch, round } => self.on_confirmed(from, epoch, round, out),
            Message::Forward { epoch, ticket, request } => {
                self.on_forward(from, epoch, ticket, request, out);
            }
            Message::Answer { replies } => self.requests.on_answer(replies, out),
            Message::Return { ticket, request } => self.on_return(ticket, request, out),
        }
    }

    fn on_admin(&mut self, id: RequestId, admin: Admin, out: &mut Out) {
        match admin {
            Admin::Snapshot => {
                self.take_snapshot(out);
                out.reply(id, Reply::Done);
            }
            Admin::Lead | Admin::Add(_) | Admin::Remove(_) => {
                out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
            }
        }
    }

    fn on_wake(&mut self, out: &mut Out) {
        if self.now >= self.master.wake_at() {
            self.step_master(Input::Wake, out);
        }
        if self.now >= self.tick_at {
            self.tick_at = self.now.after(self.config.timing.heartbeat);
            self.tick(out);
        }
    }

    /// Every `heartbeat`.
    fn tick(&mut self, out: &mut Out) {
        out.broadcast_at_once(Message::Status(self.status()));
        self.watch_nodes(out);
        self.beat(out);
        self.decide_as_tail(out);
        if self.index().is_none() {
            self.copy(out);
        }
        let patience = self.config.timing.request;
        self.source.take_if(|source| source.is_idle(self.now, patience));
        self.confirm_again(out);
        self.submit_waiting(out);
        self.expire(out);
    }

    fn ask_to_be_woken(&self, out: &mut Out) {
        out.wake_at(self.tick_at.min(self.master.wake_at()));
    }
}
