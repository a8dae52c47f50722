//! The systems that can be put on trial, one adapter a file. To add one: a file beside this one, and a line in
//! [`SYSTEMS`].

pub mod about;
#[cfg(feature = "openraft")]
mod openraft;
mod ours;
pub mod page;

use crate::cluster::{NodeSpawn, Program};
use std::borrow::Cow;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tribunal_protocol::variants::Variant;
use tribunal_spec::{Entry, Spec, SpecError};
use tribunal_workloads::client::Input;
use tribunal_workloads::{Needs, Request};

/// A future of an adapter.
pub type Promise<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Where one node of a run lives.
#[derive(Clone, Debug)]
pub struct Place {
    /// The node, from 1.
    pub node: u32,
    /// Every node of the run.
    pub members: Vec<u32>,
    /// The run, for a handshake that refuses strangers.
    pub run: u64,
    /// A seed of the node's own.
    pub seed: u64,
    /// The program that runs this controller, opened once, for systems that it hosts itself.
    pub program: Program,
    /// Its folder.
    pub folder: PathBuf,
    /// Where clients reach it.
    pub client: SocketAddr,
    /// Where peers reach it.
    pub listen: SocketAddr,
    /// Where it reaches each peer: the peer itself, or a proxy before it.
    pub peers: Vec<(u32, SocketAddr)>,
}

/// Why a session was not opened where no answer came over the connection.
pub const CONNECTION: &str = "connection";

/// One request under a session.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The node's address for clients.
    pub node: SocketAddr,
    /// The session, 0 where the system has none.
    pub session: u64,
    /// The session's number of the request.
    pub sequence: u64,
    /// The lowest number whose answer is still awaited.
    pub watermark: u64,
    /// What is asked.
    pub request: &'a Request,
}

/// What a node says of itself, as far as its system lets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `leader`, `follower` ...
    pub role: String,
    /// The ballot or term: of two who take themselves for the leader, the higher one is newer.
    pub ballot: u64,
    /// Counts the starts of the node.
    pub incarnation: u64,
}

/// What a person is told of a system that does not offer all that workloads can ask; `None` of one that does.
pub fn left_out(system: &str, offered: &Needs) -> Option<String> {
    let cas = (!offered.cas).then_some("cas");
    let collections = (!offered.collections).then_some("lists, counters or sets");
    let lacks: Vec<_> = cas.into_iter().chain(collections).collect();
    let text = || format!("{system} offers no {}: none are asked", lacks.join(", no "));
    (!lacks.is_empty()).then(text)
}

/// How to start a system's nodes and how to talk to them.
///
/// Its futures run on a thread of their own caller: they need not be `Send`.
pub trait System: Send + Sync {
    /// What clients may ask.
    fn offers(&self) -> Needs;

    /// Whether a request that is sent again under its session takes effect once. If not, clients must not send again.
    fn has_sessions(&self) -> bool;

    /// Whether its membership can be changed while it runs; then [`System::change_membership`] does that.
    fn has_membership(&self) -> bool {
        false
    }

    /// Whether it claims to be linearizable.
    fn claims_linearizability(&self) -> bool;

    /// How many of `nodes` must be up and connected so that it has to serve, if it needs more than a majority.
    ///
    /// # Errors
    /// What is wrong with the system's parameters for so many nodes.
    fn needed(&self, _nodes: u32) -> Result<u32, String> {
        Ok(0)
    }

    /// Prepares a node's folder and says how to start its process.
    ///
    /// # Errors
    /// If the folder cannot be written.
    fn spawn(&self, place: &Place) -> std::io::Result<NodeSpawn>;

    /// Opens a session; `nonce` makes a repeated request for one harmless.
    fn open_session<'a>(
        &'a self,
        http: &'a reqwest::Client,
        node: SocketAddr,
        nonce: u64,
    ) -> Promise<'a, Result<u64, Cow<'static, str>>>;

    /// Sends one request once and waits for its answer. The caller bounds the wait.
    fn call<'a>(&'a self, http: &'a reqwest::Client, call: Call<'a>) -> Promise<'a, Input>;

    /// Asks a node to make `member` a member, or one no longer. Whether it says that this is done.
    fn change_membership<'a>(
        &'a self,
        _http: &'a reqwest::Client,
        _node: SocketAddr,
        _member: u32,
        _is_member: bool,
    ) -> Promise<'a, bool> {
        Box::pin(async { false })
    }

    /// Asks a node for its role.
    fn status<'a>(
        &'a self,
        http: &'a reqwest::Client,
        node: SocketAddr,
    ) -> Promise<'a, Option<Status>>;

    /// Asks a node for its counters, in the text format of Prometheus.
    fn metrics<'a>(
        &'a self,
        http: &'a reqwest::Client,
        node: SocketAddr,
    ) -> Promise<'a, Option<String>>;
}

/// A system by name.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// What `--system` takes.
    pub entry: Entry,
    /// Its algorithm, with the paper, the claims and the costs; `None` if nobody has told us.
    pub variant: Option<&'static Variant>,
}

/// A line of the registry: an adapter, which may serve several systems.
struct Adapter {
    /// The systems that it serves.
    listed: fn() -> Vec<Listed>,
    /// Makes one of them, for the run with this number.
    make: fn(&Spec, run: u64) -> Made,
}

/// A system, or why there is none.
type Made = Result<Arc<dyn System>, SpecError>;

/// Every adapter.
const SYSTEMS: &[Adapter] = &[
    Adapter { listed: ours::listed, make: ours::make },
    #[cfg(feature = "openraft")]
    Adapter { listed: openraft::listed, make: openraft::make },
];

/// Every system.
#[must_use]
pub fn listed() -> Vec<Listed> {
    SYSTEMS.iter().flat_map(|adapter| (adapter.listed)()).collect()
}

/// Whether `name` is a system that runs as processes only: it is one, and no variant of ours.
#[must_use]
pub fn has_processes_only(name: &str) -> bool {
    listed().iter().any(|one| one.entry.name == name && one.variant.is_none())
}

/// The system that `spec` names, for the run with this number.
///
/// # Errors
/// [`SpecError`] if there is none, or a parameter does not fit.
pub fn system(spec: &Spec, run: u64) -> Result<Arc<dyn System>, SpecError> {
    let known = listed();
    tribunal_spec::find("system", &spec.name, &known, |one| &one.entry)?;
    let serves =
        |adapter: &&Adapter| (adapter.listed)().iter().any(|one| one.entry.name == spec.name);
    let adapter = SYSTEMS.iter().find(serves);
    match adapter {
        Some(adapter) => (adapter.make)(spec, run),
        None => unreachable!("`find` answered a name that no adapter has"),
    }
}

/// Sends `request` and classifies what can go wrong on the way.
async fn exchange(request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), Input> {
    let answer = match request.send().await {
        Ok(answer) => answer,
        // reqwest connects before it sends: nothing has left.
        Err(error) if error.is_connect() => return Err(Input::Refused),
        Err(_) => return Err(Input::Broken),
    };
    let status = answer.status().as_u16();
    match answer.bytes().await {
        Ok(body) => Ok((status, body.into())),
        Err(_) => Err(Input::Broken),
    }
}
