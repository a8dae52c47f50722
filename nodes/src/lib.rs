//! The input and output around a core: one replica as one process, with a disk, peers and clients.
//!
//! | module | what it does |
//! |---|---|
//! | [`api`] | what clients and nodes say to each other |
//! | `http` | serves it |
//! | `transport` | messages between peers |
//! | [`disk`] | the durable log |
//! | `writer` | the disk's thread |
//! | `event_loop` | the core's thread, which joins all of it around a [`Host`] |
//! | `openraft` | the host of a library that is no core, behind a feature |
//! | `metrics`, `clock`, `process` | what is counted, the time, and the operating system |
//!
//! Two threads: the core's, which also does the network, and the disk's. Everything between them and inside them
//! is bounded.
//!
//! Absent on purpose: knowledge of any algorithm. A variant is found by its name and hosted as a [`Core`].

pub mod api;
mod clock;
mod config;
pub mod disk;
mod event_loop;
mod http;
mod metrics;
#[cfg(feature = "openraft")]
pub mod openraft;
mod process;
mod transport;
mod writer;

pub use config::{NodeConfig, NodeError};

use clock::Clock;
use disk::{Disk, Opened};
use event_loop::{EventLoop, Peers, TURN_INPUTS_MAX, Waiting};
use http::Api;
use metrics::Metrics;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use transport::handshake::{Doorkeeper, Identity};
use transport::inbound::Inbound;
use transport::outbound::{Dialler, Outbox};
use tribunal_protocol::host::Host;
use tribunal_protocol::{Core, Limits, Message, NodeId, variants};
use writer::Writer;

/// Hosts the configured node until SIGTERM. The process ends with its controller.
///
/// Prints one line to stdout when the node is ready.
///
/// # Errors
/// [`NodeError`]: it did not start, or cannot go on. Its exit code is [`NodeError::exit_code`].
pub fn run(config: NodeConfig) -> Result<(), NodeError> {
    process::die_with(config.parent)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| NodeError::System { what: "start the runtime", source })?;
    runtime.block_on(async {
        let mut termination = process::termination()?;
        serve(config, async move {
            termination.recv().await;
        })
        .await
    })
}

/// Hosts the configured node until `stop` is ready, on a tokio runtime of the caller's, which should be a
/// current-thread one. It blocks while it opens the disk. The parent is not looked at.
///
/// # Errors
/// As [`run`].
pub async fn serve(
    config: NodeConfig,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), NodeError> {
    config.check()?;
    #[cfg(feature = "openraft")]
    if config.variant == openraft::NAME {
        return openraft::serve(config, stop).await;
    }
    let variant = config.variant.clone();
    let options = config.options.clone();
    variants::dispatch(&variant, &options, Start { config, stop })
        .ok_or(NodeError::UnknownVariant(variant))?
        .await
}

/// Starts a node of whatever variant it is shown.
struct Start<S> {
    config: NodeConfig,
    stop: S,
}

impl<S: Future<Output = ()> + Send + 'static> variants::Visit for Start<S> {
    type Output = Pin<Box<dyn Future<Output = Result<(), NodeError>> + Send>>;

    fn visit<C: Core>(self) -> Self::Output {
        Box::pin(async move { start::<C>(&self.config)?.run(self.stop).await })
    }
}

/// Recovers the core, and only then opens the ports: until then connections are refused.
fn start<C: Core>(config: &NodeConfig) -> Result<EventLoop<C>, NodeError> {
    let opened = Disk::open(&config.data)
        .map_err(|source| NodeError::Open { folder: config.data.clone(), source })?;
    let Opened { disk, incarnation, snapshot, records, dropped } = opened;
    if let Some(dropped) = dropped {
        eprintln!("of the log in {}: {dropped}", config.data.display());
    }
    let clock = Clock::start();
    let core_config = config.core(incarnation);
    let peers: Vec<NodeId> = core_config.peers().collect();
    let metrics = Arc::new(Metrics::new(C::Message::KINDS, peers.iter().copied()));
    let recovered = records.len();
    let Limits { queue, .. } = core_config.limits;
    let host = Host::recover(core_config, clock.now(), snapshot, &records)?;

    let for_clients = process::listen("clients", config.client)?;
    let for_peers = process::listen("peers", config.listen)?;
    let (requests_in, requests) = mpsc::channel(queue);
    let (messages_in, messages) = mpsc::channel(TURN_INPUTS_MAX);
    let mut tasks = JoinSet::new();
    let api = Api {
        run: config.run,
        node: NodeId(config.node),
        incarnation,
        requests: requests_in,
        metrics: Arc::clone(&metrics),
    };
    tasks.spawn(ends("the HTTP server", http::serve(for_clients, api)));
    let keeper = Doorkeeper::new(config.run, NodeId(config.node), peers.into_iter());
    let inbound = Inbound::new(keeper, messages_in, Arc::clone(&metrics));
    tasks.spawn(ends("the server for peers", inbound.run(for_peers)));
    let outboxes = dial(config, incarnation, &metrics, &mut tasks);

    announce(config, incarnation, recovered)?;
    Ok(EventLoop {
        host,
        writer: Writer::start(disk)?,
        clock,
        requests,
        messages,
        peers: Peers::new(outboxes, Arc::clone(&metrics)),
        waiting: Waiting::new(queue, Arc::clone(&metrics)),
        metrics,
        tasks,
    })
}

/// Starts a task for each peer that keeps a connection to it.
fn dial(
    config: &NodeConfig,
    incarnation: u64,
    metrics: &Arc<Metrics>,
    tasks: &mut JoinSet<&'static str>,
) -> BTreeMap<NodeId, Arc<Outbox>> {
    let dial_one = |(&peer, &address): (&u32, &SocketAddr)| {
        let outbox = Arc::new(Outbox::default());
        let dialler = Dialler {
            address,
            identity: Identity {
                run: config.run,
                from: NodeId(config.node),
                to: NodeId(peer),
                incarnation,
                attempt: 0,
            },
            outbox: Arc::clone(&outbox),
            metrics: Arc::clone(metrics),
        };
        tasks.spawn(ends("a peer's dialler", dialler.run()));
        (NodeId(peer), outbox)
    };
    config.peers.iter().map(dial_one).collect()
}

/// Names the task that ends.
async fn ends(what: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    what
}

/// Tells the controller that the node can be asked.
fn announce(config: &NodeConfig, incarnation: u64, recovered: usize) -> Result<(), NodeError> {
    let NodeConfig { node, client, .. } = config;
    let mut stdout = std::io::stdout().lock();
    writeln!(
        stdout,
        "ready node={node} incarnation={incarnation} client={client} recovered={recovered}"
    )
    .and_then(|()| stdout.flush())
    .map_err(|source| NodeError::System { what: "write to stdout", source })
}
