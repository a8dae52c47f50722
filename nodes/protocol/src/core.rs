//! The contract between an algorithm and whatever hosts it: a process with sockets and a disk, or a simulator.
//!
//! A [`Core`] is one replica of one algorithm. It is stepped with [`Input`]s that carry the time, and answers with an
//! [`Output`] that its host carries out. Sending *after durability* is the default ([`Output::send`],
//! [`Output::reply`]): the host holds such an effect back until every record that the core has appended so far is on
//! disk. To acknowledge before the write, a core has to say so ([`Output::send_at_once`]).
//!
//! What a host owes a core:
//! * inputs one at a time, with a `now` that never falls within one incarnation;
//! * records are made durable in the order in which they were appended, and [`Input::Persisted`] follows;
//! * a held effect is released only when the records *and* the snapshot of its step, and of all earlier steps, are
//!   durable; effects keep their order per destination;
//! * messages may be lost, duplicated, reordered and delayed, never altered or forged;
//! * after a crash, [`Core::recover`] sees the newest durable snapshot and every durable record at or above its
//!   `keep_from`, in order, and nothing of what had not become durable may be *assumed* lost.

use crate::machine::{Capabilities, Reply, Request};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A replica. Numbers start at 1, as people count nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// Nanoseconds on the node's own monotonic clock. Comparable only within one incarnation of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// The instant `duration` later, saturating at the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// How many records the node had ever appended before this one: the first record stands at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position(pub u64);

/// A client's request at the node that received it, or one that a core made for itself. Unique in one incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// The option that says how many nodes are members to begin with, where a variant can change its membership.
pub const VOTERS: &str = "voters";

/// All that a core is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// This replica; one of `members`.
    pub node: NodeId,
    /// Every replica, in ascending order, without repetition.
    pub members: Vec<NodeId>,
    /// Counts the starts of this node; each start has a higher number than all before it.
    pub incarnation: u64,
    /// Seed of the core's own generator. A host gives each incarnation of each node a different one.
    pub seed: u64,
    /// Timeouts and intervals.
    pub timing: Timing,
    /// Bounds on queues, batches and logs.
    pub limits: Limits,
    /// The variant's parameters, `key=value`, as its registry entry documents them.
    pub options: BTreeMap<String, String>,
}

impl Config {
    /// The smallest number of members that is more than half of them.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// The members to begin with, of a variant that can change its membership: the first `voters` of all nodes, by the
    /// option of that name; all of them without it.
    ///
    /// # Errors
    /// [`Damaged`] if the option is not a number of nodes.
    pub fn first_voters(&self) -> Result<Vec<NodeId>, Damaged> {
        let Some(text) = self.options.get(VOTERS) else { return Ok(self.members.clone()) };
        match text.parse() {
            Ok(voters) if (1..=self.members.len()).contains(&voters) => {
                Ok(self.members[..voters].to_vec())
            }
            _ => Err(Damaged(format!(
                "no log was read: option `{VOTERS}` must be a number from 1 to {}",
                self.members.len()
            ))),
        }
    }

    /// Every member but this one.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().copied().filter(|node| *node != self.node)
    }
}

/// Timeouts and intervals, for links whose round trip is far below `heartbeat`.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How often a leader tells its followers that it lives.
    pub heartbeat: Duration,
    /// A follower that hears nothing of a leader for a random time in this range starts an election.
    pub election_min: Duration,
    /// Upper end of that range, exclusive.
    pub election_max: Duration,
    /// How long a message waits for its answer before it is sent again.
    pub resend: Duration,
    /// How long a request may wait for a leader before it is refused.
    pub request: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(50),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
            resend: Duration::from_millis(100),
            request: Duration::from_secs(4),
        }
    }
}

/// Bounds. Whatever exceeds one is refused with a definite error or waits; nothing grows without limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Commands in one proposal.
    pub batch_commands: usize,
    /// Proposals that a leader may have under way.
    pub pipeline: usize,
    /// Requests that may wait at one node.
    pub queue: usize,
    /// Decided entries after which a snapshot is taken and the log before it is dropped.
    pub snapshot_entries: u64,
    /// Decided entries that stay in memory behind a snapshot, for peers that lag a little.
    pub keep_entries: u64,
    /// Bytes in one chunk of a snapshot.
    pub chunk_bytes: usize,
    /// Sessions after which the least recently used one is expired, through the log.
    pub sessions: usize,
    /// Results above the watermark that one session may hold.
    pub session_results: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_commands: 256,
            pipeline: 64,
            queue: 16_384,
            snapshot_entries: 20_000,
            keep_entries: 5_000,
            chunk_bytes: 256 * 1024,
            sessions: 10_000,
            session_results: 1_024,
        }
    }
}

/// A message between replicas.
pub trait Message: Clone + fmt::Debug + Serialize + DeserializeOwned + Send + 'static {
    /// Every kind that [`Message::kind`] can answer.
    const KINDS: &'static [&'static str];

    /// The message's name in the algorithm's paper, for traces, counters and faults by message type.
    fn kind(&self) -> &'static str;

    /// What the message says of promises and proposals. It has no effect on any host.
    fn claim(&self) -> Claim {
        Claim::Nothing
    }
}

/// What a message or a record says, in words common to all variants, for invariants and faults that aim at phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing of these.
    Nothing,
    /// A proposer asks for promises (phase 1a), or a candidate for votes.
    Prepares {
        /// The ballot or term, as in [`Observation`].
        ballot: u64,
    },
    /// The node has promised (phase 1b), or voted.
    Promised {
        /// The ballot or term.
        ballot: u64,
    },
    /// A proposer proposes a value (phase 2a).
    Proposes {
        /// The ballot or term.
        ballot: u64,
        /// The slot.
        slot: u64,
        /// A digest of the value, equal for equal values.
        digest: u64,
    },
    /// The node has accepted (phase 2b).
    Accepted {
        /// The ballot or term.
        ballot: u64,
        /// The slot.
        slot: u64,
        /// A digest of the value. A message names no value, a record does.
        digest: Option<u64>,
    },
}

/// What a host feeds to a core.
#[derive(Clone, Debug)]
pub enum Input<M> {
    /// A client asks something of this node. Exactly one [`Output::reply`] should follow, however late.
    Request(RequestId, Request),
    /// A peer's message arrived.
    Message(NodeId, M),
    /// The time of the last [`Output::wake_at`] has come.
    Wake,
    /// Every record below this position is durable.
    Persisted(Position),
    /// An operator asks something of this node.
    Admin(RequestId, Admin),
}

/// Administration, answered by an ordinary [`Reply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admin {
    /// Take a snapshot now and drop the log before it.
    Snapshot,
    /// Try to become the leader, where the variant has one.
    Lead,
    /// Make the node a member, where the variant can change its membership. Answered `Done` once the change is
    /// committed.
    Add(NodeId),
    /// Make the node a member no longer.
    Remove(NodeId),
}

/// One replica of one algorithm: a deterministic state machine without I/O, clock or randomness of its own.
pub trait Core: Sized + Send + 'static {
    /// What replicas send to each other.
    type Message: Message;
    /// What must survive a crash.
    type Record: Clone + fmt::Debug + Serialize + DeserializeOwned + Send + 'static;

    /// What clients may ask of this algorithm, and what it claims.
    const CAPABILITIES: Capabilities;

    /// How many of `nodes` replicas must be up and connected to each other so that a run with these options may expect
    /// to be served, whatever happened before.
    ///
    /// # Errors
    /// [`Damaged`] if the options do not fit so many nodes. Options that never fit are left to [`Core::recover`].
    fn needed(nodes: usize, _options: &BTreeMap<String, String>) -> Result<usize, Damaged> {
        Ok(nodes - (Self::CAPABILITIES.survives)(nodes).min(nodes.saturating_sub(1)))
    }

    /// Starts a replica from what its disk holds; an empty disk is a first start.
    ///
    /// # Errors
    /// [`Damaged`] if the records contradict each other: the node must not take part.
    fn recover(
        config: Config,
        now: Time,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Self::Record)>,
        out: &mut Output<Self>,
    ) -> Result<Self, Damaged>;

    /// Takes one input. Everything that follows from it is in `out`.
    fn step(&mut self, now: Time, input: Input<Self::Message>, out: &mut Output<Self>);

    /// What this replica is at the moment.
    fn role(&self) -> Role;

    /// Whom this replica takes for the leader, if the algorithm has one.
    fn leader(&self) -> Option<NodeId>;

    /// What a record says of promises and acceptances. For whoever watches, as the three views below are: nothing in a
    /// host may depend on any of them.
    fn claim_of(_record: &Self::Record) -> Claim {
        Claim::Nothing
    }

    /// The last slot applied to the state machine, 0 before the first; `None` if the algorithm has no slots.
    fn applied(&self) -> Option<u64> {
        None
    }

    /// The requests that `slot` decided, in their order. `None` if this replica does not know the slot to be decided,
    /// or has dropped it from memory.
    fn decided(&self, _slot: u64) -> Option<&[Request]> {
        None
    }

    /// Whether `acceptors`, having durably accepted one value in `slot` under `ballot`, decide it: a quorum of the
    /// members for that slot, of the size for that kind of ballot. `None` stands for "more than half of all members
    /// do".
    fn decides(&self, _slot: u64, _ballot: u64, _acceptors: &[NodeId]) -> Option<bool> {
        None
    }

    /// The ballot below which this replica accepts nothing; 0 before the first promise. `None` if it promises nothing.
    fn promised_ballot(&self) -> Option<u64> {
        None
    }

    /// The ballot in which this replica has accepted something in `slot`, or has learned that it is decided; 0 if
    /// neither. `None` if it has dropped the slot from memory, or accepts nothing.
    fn accepted_ballot(&self, _slot: u64) -> Option<u64> {
        None
    }

    /// A number that is equal for equal states of the replicated state machine, sessions included. It may take as long
    /// as encoding that state. `None` if there is no such state machine.
    fn state_digest(&self) -> Option<u64> {
        None
    }
}

/// What a replica is in its algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Accepts what others propose.
    Follower,
    /// Tries to become the leader.
    Candidate,
    /// Proposes.
    Leader,
    /// The algorithm has no leader.
    Peer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
            Self::Peer => "peer",
        })
    }
}

/// Why a replica must not start from the records that it found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log contradicts itself: {0}")]
pub struct Damaged(pub String);

/// The state of a replica at some point of its log: all that it needs to forget what came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The core's own encoding.
    pub data: Vec<u8>,
}

/// A snapshot to make durable, and how much of the log it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaveSnapshot {
    /// What to save.
    pub snapshot: Snapshot,
    /// Records below this position are no longer needed once the snapshot is durable.
    pub keep_from: Position,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// One peer. A core never sends to itself.
    Node(NodeId),
    /// Every member but the sender. The host encodes the message once.
    Peers,
}

/// Something that leaves the core.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<M> {
    /// A message to peers.
    Send(Destination, M),
    /// The answer to a request of this node.
    Reply(RequestId, Reply),
}

/// What happened inside a core, for metrics, traces, invariants and coverage. It has no effect on anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The replica changed its role. `ballot` is the algorithm's round or term as one number that grows.
    Role {
        /// The new role.
        role: Role,
        /// The ballot or term in which it has that role.
        ballot: u64,
    },
    /// An election began here.
    Election {
        /// The ballot or term that is tried.
        ballot: u64,
    },
    /// A promise was given (or a vote).
    Promised {
        /// The ballot promised.
        ballot: u64,
    },
    /// A value was accepted in a slot.
    Accepted {
        /// The slot.
        slot: u64,
        /// The ballot in which it was accepted.
        ballot: u64,
        /// A digest of the value, equal for equal values.
        digest: u64,
    },
    /// A slot's value became known to be decided.
    Decided {
        /// The slot.
        slot: u64,
        /// A digest of the value, equal for equal values.
        digest: u64,
    },
    /// A slot was applied to the state machine.
    Applied {
        /// The slot.
        slot: u64,
        /// Commands in it.
        commands: u32,
    },
    /// A snapshot was taken, or installed from a peer.
    Snapshot {
        /// The last slot that it covers.
        slot: u64,
        /// Whether it came from a peer.
        installed: bool,
    },
    /// A request was refused or dropped because a bound was reached.
    Refused,
}

/// What a step asks of its host. Values only; see the module for what the host owes.
#[derive(Debug)]
pub struct Output<C: Core> {
    /// Records to append, in order.
    pub records: Vec<C::Record>,
    /// Effects that wait until everything appended so far is durable.
    pub when_durable: Vec<Effect<C::Message>>,
    /// Effects that do not wait.
    pub at_once: Vec<Effect<C::Message>>,
    /// A snapshot to save.
    pub snapshot: Option<SaveSnapshot>,
    /// When to step the core with [`Input::Wake`]; replaces what was asked before. `None` leaves it as it was.
    pub wake_at: Option<Time>,
    /// What happened inside.
    pub observations: Vec<Observation>,
}

impl<C: Core> Default for Output<C> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            when_durable: Vec::new(),
            at_once: Vec::new(),
            snapshot: None,
            wake_at: None,
            observations: Vec::new(),
        }
    }
}

impl<C: Core> Output<C> {
    /// Appends a record to the log.
    pub fn append(&mut self, record: C::Record) {
        self.records.push(record);
    }

    /// Sends a message once everything appended so far is durable.
    pub fn send(&mut self, to: NodeId, message: C::Message) {
        self.when_durable.push(Effect::Send(Destination::Node(to), message));
    }

    /// Sends a message to every peer once everything appended so far is durable.
    pub fn broadcast(&mut self, message: C::Message) {
        self.when_durable.push(Effect::Send(Destination::Peers, message));
    }

    /// Answers a request once everything appended so far is durable.
    pub fn reply(&mut self, request: RequestId, reply: Reply) {
        self.when_durable.push(Effect::Reply(request, reply));
    }

    /// Sends a message that promises nothing about this node's disk.
    pub fn send_at_once(&mut self, to: NodeId, message: C::Message) {
        self.at_once.push(Effect::Send(Destination::Node(to), message));
    }

    /// Sends every peer a message that promises nothing about this node's disk.
    pub fn broadcast_at_once(&mut self, message: C::Message) {
        self.at_once.push(Effect::Send(Destination::Peers, message));
    }

    /// Answers a request with something that does not rest on this node's disk.
    pub fn reply_at_once(&mut self, request: RequestId, reply: Reply) {
        self.at_once.push(Effect::Reply(request, reply));
    }

    /// Asks to be woken at `time`, and no longer at the time asked for before.
    pub fn wake_at(&mut self, time: Time) {
        self.wake_at = Some(time);
    }

    /// Hands all of it over to `out`, that of another core around this one. What `out` has asked for before stays, but
    /// for a snapshot and a time that this one asks for, too.
    pub fn hand_over<D>(&mut self, out: &mut Output<D>)
    where
        D: Core<Message = C::Message, Record = C::Record>,
    {
        out.records.append(&mut self.records);
        out.when_durable.append(&mut self.when_durable);
        out.at_once.append(&mut self.at_once);
        out.observations.append(&mut self.observations);
        out.snapshot = self.snapshot.take().or_else(|| out.snapshot.take());
        out.wake_at = self.wake_at.take().or_else(|| out.wake_at.take());
    }

    /// Tells what happened.
    pub fn observe(&mut self, observation: Observation) {
        self.observations.push(observation);
    }
}
