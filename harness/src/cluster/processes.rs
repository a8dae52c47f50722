//! The node processes: started, killed, paused, watched.
//!
//! Every end of a process is reported once, with whether it was expected: a node that ends by itself convicts its system.
//! Dropping [`Processes`] kills all nodes and waits until they are gone; should the controller itself be killed, the
//! kernel does it ([`super::spawner`]).
//!
//! Absent on purpose: descendants of nodes. They die with their group; as orphans they stay unreaped until the
//! controller ends, since only pids of our own are waited for.

use super::program::Program;
use super::spawner::{Life, Node, Spawner};
use super::usage::{Usage, is_stopped, usage};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How to start a node.
#[derive(Clone, Debug)]
pub struct NodeSpawn {
    /// Which node.
    pub id: u32,
    /// What to execute.
    pub program: Program,
    /// Its arguments after argument 0; the same at each start.
    pub args: Vec<OsString>,
    /// Environment beside the controller's own.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory, which exists; `stdout.log` and `stderr.log` are appended to there.
    pub dir: PathBuf,
}

/// One process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Counts the starts of the node, from 1.
    pub incarnation: u32,
    /// The process.
    pub pid: i32,
}

/// A process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Of which node.
    pub node: u32,
    /// Which process it was.
    pub pid: i32,
    /// Which start of the node it was.
    pub incarnation: u32,
    /// How it ended.
    pub status: ExitKind,
    /// Whether we had killed it.
    pub expected: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(&'static str),
    /// The kernel did not say.
    Unknown,
}

impl fmt::Display for ExitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => f.write_str(signal),
            Self::Unknown => f.write_str("an unknown end"),
        }
    }
}

/// Why something could not be done to a node.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such node.
    #[error("there is no node {0}")]
    NoSuchNode(u32),
    /// Its process has ended, or was never started.
    #[error("node {0} has no process")]
    NotRunning(u32),
    /// It has a process already.
    #[error("node {0} already has a process")]
    AlreadyRunning(u32),
    /// It could not be started.
    #[error("node {node} cannot be started: {error}")]
    Spawn {
        /// Which node.
        node: u32,
        /// Why.
        error: io::Error,
    },
    /// The kernel refused a signal.
    #[error("node {node}: sending {signal} failed: {error}")]
    Signal {
        /// Which node.
        node: u32,
        /// Which signal.
        signal: Signal,
        /// Why.
        error: nix::Error,
    },
    /// A signal had no effect in time.
    #[error("node {node} (pid {pid}): no effect of {signal} within {waited:?}")]
    NoEffect {
        /// Which node.
        node: u32,
        /// Its process.
        pid: i32,
        /// Which signal.
        signal: Signal,
        /// For how long.
        waited: Duration,
    },
    /// It did not become ready.
    #[error("node {node} did not become ready: {why}\nthe end of {}:\n{tail}", .log.display())]
    NotReady {
        /// Which node.
        node: u32,
        /// What was seen instead.
        why: String,
        /// Its standard error.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
}

/// The processes of every node.
#[derive(Debug)]
pub struct Processes {
    nodes: BTreeMap<u32, Arc<Node>>,
    spawner: Spawner,
}

impl Processes {
    /// Takes over the nodes, none of which has a process yet. The receiver hears of every end of a process; its queue
    /// holds one message a start.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn new(spawns: Vec<NodeSpawn>) -> io::Result<(Self, UnboundedReceiver<Exit>)> {
        let (exits, received) = unbounded_channel();
        let node = |spawn: NodeSpawn| Arc::new(Node { spawn, life: Default::default() });
        let nodes = spawns.into_iter().map(|spawn| (spawn.id, node(spawn))).collect();
        Ok((Self { nodes, spawner: Spawner::new(exits)? }, received))
    }

    /// The nodes, ascending.
    pub fn nodes(&self) -> impl Iterator<Item = u32> + '_ {
        self.nodes.keys().copied()
    }

    /// The present process of a node.
    #[must_use]
    pub fn identity(&self, node: u32) -> Option<Identity> {
        identity(*self.nodes.get(&node)?.life.borrow())
    }

    /// Starts a node, for the first time or again.
    ///
    /// # Errors
    /// [`ProcessError`] if it runs already or cannot be started.
    pub async fn start(&self, node: u32) -> Result<Identity, ProcessError> {
        let started = self.spawner.start(self.node(node)?).await;
        let life = started.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => ProcessError::AlreadyRunning(node),
            _ => ProcessError::Spawn { node, error },
        })?;
        // `None` if it ended in this moment.
        identity(life).ok_or(ProcessError::NotRunning(node))
    }

    /// Kills a node by SIGKILL and waits until it is gone. A paused one too.
    ///
    /// # Errors
    /// [`ProcessError`] if it has no process, or the kernel does not let go of it.
    pub async fn kill(&self, node: u32) -> Result<Identity, ProcessError> {
        let killed = self.signal(node, Signal::SIGKILL)?;
        let mut life = self.node(node)?.life.subscribe();
        let gone =
            life.wait_for(|life| life.incarnation != killed.incarnation || life.pid.is_none());
        match timeout(SIGNAL_TIMEOUT, gone).await {
            Ok(_) => Ok(killed),
            Err(_) => Err(no_effect(node, killed, Signal::SIGKILL)),
        }
    }

    /// Stops a node by SIGSTOP and waits until each of its threads is in state `T`.
    ///
    /// # Errors
    /// [`ProcessError`] if it has no process, or does not stop.
    pub async fn pause(&self, node: u32) -> Result<Identity, ProcessError> {
        let paused = self.signal(node, Signal::SIGSTOP)?;
        let deadline = Instant::now() + SIGNAL_TIMEOUT;
        // The kernel tells nobody but a tracer when the last thread has stopped.
        while !self.is_paused(node).ok_or(ProcessError::NotRunning(node))? {
            if Instant::now() > deadline {
                return Err(no_effect(node, paused, Signal::SIGSTOP));
            }
            sleep(POLL_EVERY).await;
        }
        Ok(paused)
    }

    /// Lets a paused node go on.
    ///
    /// # Errors
    /// [`ProcessError`] if it has no process.
    pub fn resume(&self, node: u32) -> Result<Identity, ProcessError> {
        self.signal(node, Signal::SIGCONT)
    }

    /// Whether every thread of the node is stopped; `None` if it has no process.
    #[must_use]
    pub fn is_paused(&self, node: u32) -> Option<bool> {
        let life = self.nodes.get(&node)?.life.borrow();
        is_stopped(life.pid?).ok()
    }

    /// What the node's present process has used; `None` if it has none.
    #[must_use]
    pub fn usage(&self, node: u32) -> Option<Usage> {
        let life = self.nodes.get(&node)?.life.borrow();
        usage(life.pid?).ok()
    }

    /// Kills every node and waits until all are gone.
    ///
    /// # Errors
    /// The first node that cannot be killed; the others are killed nevertheless.
    pub async fn kill_all(&self) -> Result<(), ProcessError> {
        let mut outcome = Ok(());
        for node in self.nodes() {
            match self.kill(node).await {
                Ok(_) | Err(ProcessError::NotRunning(_)) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    /// Asks `probe` until it answers true. The node counts as not ready if it ends before, or after `wait`.
    ///
    /// # Errors
    /// [`ProcessError::NotReady`], with the end of the node's standard error.
    pub async fn ready<F>(
        &self,
        node: u32,
        wait: Duration,
        probe: impl Fn() -> F,
    ) -> Result<(), ProcessError>
    where
        F: Future<Output = bool>,
    {
        let deadline = Instant::now() + wait;
        let ask = async {
            while !probe().await {
                sleep(PROBE_EVERY).await;
            }
        };
        let mut life = self.node(node)?.life.subscribe();
        let why = tokio::select! {
            biased;
            asked = timeout_at(deadline, ask) => match asked {
                Ok(()) => return Ok(()),
                Err(_) => format!("it did not answer within {wait:?}"),
            },
            _ = life.wait_for(|life| life.pid.is_none()) => "its process has ended".to_owned(),
        };
        let log = self.node(node)?.spawn.dir.join("stderr.log");
        let tail = tail(&log).unwrap_or_else(|error| format!("(unreadable: {error})"));
        Err(ProcessError::NotReady { node, why, log, tail })
    }

    fn node(&self, node: u32) -> Result<&Arc<Node>, ProcessError> {
        self.nodes.get(&node).ok_or(ProcessError::NoSuchNode(node))
    }

    fn signal(&self, node: u32, signal: Signal) -> Result<Identity, ProcessError> {
        let sent = self.node(node)?.signal(signal);
        let life = sent.map_err(|error| ProcessError::Signal { node, signal, error })?;
        life.and_then(identity).ok_or(ProcessError::NotRunning(node))
    }
}

fn identity(life: Life) -> Option<Identity> {
    Some(Identity { incarnation: life.incarnation, pid: life.pid.map(Pid::as_raw)? })
}

fn no_effect(node: u32, process: Identity, signal: Signal) -> ProcessError {
    ProcessError::NoEffect { node, pid: process.pid, signal, waited: SIGNAL_TIMEOUT }
}

/// The last lines of a log, or why there are none.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    Ok(if last.is_empty() { "(empty)".to_owned() } else { last.join("\n") })
}

/// How long a signal may take: a process that waits for its disk dies only after.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(1);
const PROBE_EVERY: Duration = Duration::from_millis(10);
const TAIL_BYTES: u64 = 8 << 10;
const TAIL_LINES: usize = 20;
