//! Raft as the crate `openraft` has it, on our disk, transport, state machine and HTTP API. For real processes only: the
//! library has tasks and a clock of its own, so it is no [`Core`](tribunal_protocol::Core), and this is its own host.
//!
//! Source: the crate `openraft` 0.9, which follows "In Search of an Understandable Consensus Algorithm" (Ongaro,
//! Ousterhout 2014), with leader leases that only delay votes, and terms that several candidates may share.
//!
//! | file | what is in it |
//! |---|---|
//! | `journal` | the log and the vote, as records of the store |
//! | `durable` | the disk's thread, with group commit |
//! | `machine` | the state machine and its snapshots |
//! | `network` | questions and answers between peers |
//! | `service` | what clients and peers ask |
//!
//! Messages, all of them a question and its answer:
//!
//! | message | who, to whom | when | durable before |
//! |---|---|---|---|
//! | `append-entries` | leader to each follower | an entry is appended; a heartbeat; a read is confirmed | nothing of the leader's |
//! | `append-entries-answer` | back | | the entries and the leader's term |
//! | `request-vote` | candidate to all | its election timer rings | its term and vote for itself |
//! | `request-vote-answer` | back | | the term and the vote |
//! | `install-snapshot` | leader to a follower | what it needs was purged; one chunk each | the snapshot |
//! | `install-snapshot-answer` | back | | after the last chunk, the snapshot |
//! | `forward` | any node to the leader | a client asked the node | nothing |
//! | `forward-answer` | back | the request is applied, or was not proposed | as the commit |
//!
//! Decisions: the lowest member makes the first entry, with all members, unless its log has one. A leader whom no majority
//! has answered for two election timeouts proposes nothing more. Reads are confirmed by a round of messages each.
//!
//! Absent on purpose: changes of membership; resending inside the node (a client's session makes that safe for the
//! client, who knows more); a simulation. The library draws election timeouts itself, so nothing can be replayed.

mod durable;
mod journal;
mod machine;
mod network;
mod service;

use crate::config::{NodeConfig, NodeError};
use crate::disk::{Disk, Opened};
use crate::event_loop::TURN_INPUTS_MAX;
use crate::http::{self, Api};
use crate::metrics::Metrics;
use crate::process;
use crate::transport::handshake::Doorkeeper;
use crate::transport::inbound::Inbound;
use crate::{announce, dial, ends};
use journal::{Journal, Log, Meta};
use machine::StateMachine;
use network::{Letter, Network, Post};
use openraft::error::{InitializeError, RaftError};
use openraft::{EmptyNode, Raft, RaftMetrics, ServerState, SnapshotPolicy, StoredMembership};
use serde::{Deserialize, Serialize};
use service::Service;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tribunal_protocol::host::RecoverError;
use tribunal_protocol::{
    Capabilities, Config, Message, NodeId, Observation, Position, Reply, Request, Role,
};

/// Its name in `--system`.
pub const NAME: &str = "openraft";

/// What clients may ask of it, and what it claims to keep.
pub const CAPABILITIES: Capabilities = Capabilities {
    cas: true,
    collections: true,
    transactions: true,
    sessions: true,
    membership: false,
    linearizable: true,
    leader: true,
    survives: |nodes| nodes.saturating_sub(1) / 2,
};

openraft::declare_raft_types!(
    /// What the library is to replicate.
    pub(crate) Types:
        D = Request,
        R = Option<Reply>,
        NodeId = u32,
        Node = EmptyNode,
        SnapshotData = std::io::Cursor<Vec<u8>>,
);

type Entry = openraft::Entry<Types>;
type LogId = openraft::LogId<u32>;
type Vote = openraft::Vote<u32>;
type Membership = StoredMembership<u32, EmptyNode>;
type Metered = RaftMetrics<u32, EmptyNode>;

/// A snapshot: the state machine at one place of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Image {
    meta: Meta,
    machine: Vec<u8>,
}

/// Hosts a node until `stop` is ready.
///
/// # Errors
/// [`NodeError`]: it did not start, or cannot go on.
pub(crate) async fn serve(
    config: NodeConfig,
    stop: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    let mut node = Node::start(&config).await?;
    let ended = node.run(stop).await;
    // Whatever it says, the node has ended.
    drop(node.raft.shutdown().await);
    ended
}

/// A node that runs.
struct Node {
    raft: Raft<Types>,
    metrics: Arc<Metrics>,
    /// The tasks that serve. None of them ends before the node.
    tasks: JoinSet<&'static str>,
    /// Why the disk's thread ended.
    disk: oneshot::Receiver<NodeError>,
}

impl Node {
    /// Recovers, and only then opens the ports.
    async fn start(config: &NodeConfig) -> Result<Self, NodeError> {
        let open = |source| NodeError::Open { folder: config.data.clone(), source };
        let opened = Disk::open(&config.data).map_err(open)?;
        let Opened { mut disk, incarnation, snapshot, records, dropped } = opened;
        if let Some(dropped) = dropped {
            eprintln!("of the log in {}: {dropped}", config.data.display());
        }
        let next: Position = disk.write::<Vec<u8>>(&[], None).map_err(open)?;
        let ours = config.core(incarnation);
        let metrics = Arc::new(Metrics::new(Letter::KINDS, ours.peers()));

        let (jobs, to_do) = std::sync::mpsc::channel();
        let (failed, disk_failed) = oneshot::channel();
        let (journal, image) =
            Journal::recover(snapshot, &records, next, jobs).map_err(RecoverError::from)?;
        let journal = Arc::new(journal);
        let (of_journal, counted) = (Arc::clone(&journal), Arc::clone(&metrics));
        let origin = format!("{}-{incarnation}", config.node);
        let machine = StateMachine::recover(image, of_journal, counted, ours.limits, origin)
            .map_err(RecoverError::from)?;
        durable::start(disk, to_do, Arc::clone(&metrics), failed)?;

        let for_clients = process::listen("clients", config.client)?;
        let for_peers = process::listen("peers", config.listen)?;
        let mut tasks = JoinSet::new();
        let outboxes = dial(config, incarnation, &metrics, &mut tasks);
        let post = Arc::new(Post::new(outboxes, Arc::clone(&metrics), incarnation));
        let network = Network { post: Arc::clone(&post), pause: ours.timing.heartbeat };
        let options = options(&ours).map_err(NodeError::Config)?;
        let made = Raft::new(config.node, options, network, Log(journal), machine.clone()).await;
        let raft = made.map_err(|fatal| NodeError::Panicked(fatal.to_string()))?;

        let (requests_in, requests) = mpsc::channel(ours.limits.queue);
        let (letters_in, letters) = mpsc::channel(TURN_INPUTS_MAX);
        let service = Service {
            node: config.node,
            raft: raft.clone(),
            machine,
            post,
            timing: ours.timing,
            queue: ours.limits.queue,
            metrics: Arc::clone(&metrics),
        };
        tasks.spawn(ends("the service for clients", service.clone().serve_clients(requests)));
        tasks.spawn(ends("the service for peers", service.serve_peers(letters)));
        let api = Api {
            run: config.run,
            node: NodeId(config.node),
            incarnation,
            requests: requests_in,
            metrics: Arc::clone(&metrics),
        };
        tasks.spawn(ends("the HTTP server", http::serve(for_clients, api)));
        let keeper = Doorkeeper::new(config.run, NodeId(config.node), ours.peers());
        let inbound = Inbound::new(keeper, letters_in, Arc::clone(&metrics));
        tasks.spawn(ends("the server for peers", inbound.run(for_peers)));

        initialize(&raft, &ours).await?;
        announce(config, incarnation, records.len())?;
        Ok(Self { raft, metrics, tasks, disk: disk_failed })
    }

    /// Runs until `stop` is ready or something fails that a node cannot live with.
    async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), NodeError> {
        let told = tell(self.raft.metrics(), Arc::clone(&self.metrics));
        tokio::select! {
            biased;
            () = stop => Ok(()),
            failed = &mut self.disk => {
                Err(failed.unwrap_or(NodeError::Ended("the disk's thread")))
            }
            Some(ended) = self.tasks.join_next() => Err(match ended {
                Ok(what) => NodeError::Ended(what),
                Err(error) => NodeError::Panicked(error.to_string()),
            }),
            why = told => Err(why),
        }
    }
}

/// The library's options, from ours.
fn options(ours: &Config) -> Result<Arc<openraft::Config>, String> {
    let Config { timing, limits, .. } = ours;
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let options = openraft::Config {
        cluster_name: "tribunal".to_owned(),
        heartbeat_interval: ms(timing.heartbeat),
        election_timeout_min: ms(timing.election_min),
        election_timeout_max: ms(timing.election_max),
        install_snapshot_timeout: ms(timing.request),
        max_payload_entries: limits.batch_commands as u64,
        replication_lag_threshold: limits.keep_entries,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(limits.snapshot_entries),
        snapshot_max_chunk_size: limits.chunk_bytes as u64,
        max_in_snapshot_log_to_keep: limits.keep_entries,
        ..openraft::Config::default()
    };
    options.validate().map(Arc::new).map_err(|error| error.to_string())
}

/// Makes the first entry of the first member's log, unless there is one.
async fn initialize(raft: &Raft<Types>, ours: &Config) -> Result<(), NodeError> {
    if ours.members.first() != Some(&ours.node) {
        return Ok(());
    }
    let members: BTreeSet<u32> = ours.members.iter().map(|NodeId(number)| *number).collect();
    match raft.initialize(members).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(NodeError::Panicked(error.to_string())),
    }
}

/// Tells the metrics what the library says of itself, until it ends.
async fn tell(mut told: watch::Receiver<Metered>, metrics: Arc<Metrics>) -> NodeError {
    let mut tried = None;
    loop {
        {
            let now = told.borrow_and_update();
            if let Err(fatal) = &now.running_state {
                return NodeError::Panicked(fatal.to_string());
            }
            let role = match now.state {
                ServerState::Leader => Role::Leader,
                ServerState::Candidate => Role::Candidate,
                ServerState::Learner | ServerState::Follower | ServerState::Shutdown => {
                    Role::Follower
                }
            };
            let ballot = now.current_term;
            if role == Role::Candidate && tried != Some(ballot) {
                tried = Some(ballot);
                metrics.observe(Observation::Election { ballot });
            }
            metrics.observe(Observation::Promised { ballot });
            metrics.standing(role, now.current_leader.map(NodeId));
        }
        if told.changed().await.is_err() {
            return NodeError::Ended("the library");
        }
    }
}
