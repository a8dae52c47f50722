//! The one thread that starts every node, and the threads that wait for their ends.
//!
//! A child's death signal (`PR_SET_PDEATHSIG`) follows the *thread* that started it, so that thread has to live as long as
//! the run; when the controller dies, however it dies, the kernel kills the nodes. Each node is a process group of its
//! own: a Ctrl-C at the terminal does not reach it, and a kill reaches its descendants.
//!
//! A pid is reaped only under the lock of its [`Life`], and signalled only under the same lock while it is there: a
//! signal never meets a stranger that was given the pid of a dead node.

use super::processes::{Exit, ExitKind, NodeSpawn};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid, getppid};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::sync::{mpsc::UnboundedSender, oneshot, watch};

/// A node and its present process.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) spawn: NodeSpawn,
    pub(super) life: watch::Sender<Life>,
}

/// What is known of a node's process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    /// Counts the starts.
    pub(super) incarnation: u32,
    /// The process, as long as it has not been reaped.
    pub(super) pid: Option<Pid>,
    /// Whether its end is of our doing.
    pub(super) end_expected: bool,
}

impl Node {
    /// Sends a signal to the node's process group. `Ok(None)` if there is no process.
    pub(super) fn signal(&self, signal: Signal) -> nix::Result<Option<Life>> {
        let mut sent = Ok(None);
        self.life.send_if_modified(|life| {
            if let Some(pid) = life.pid {
                life.end_expected |= signal == Signal::SIGKILL;
                sent = killpg(pid, signal).map(|()| Some(*life));
            }
            false
        });
        sent
    }
}

/// The thread. Dropping it kills every node and waits until they are gone.
#[derive(Debug)]
pub(super) struct Spawner {
    orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Start(Arc<Node>, oneshot::Sender<io::Result<Life>>),
    EndAll,
}

impl Spawner {
    pub(super) fn new(exits: UnboundedSender<Exit>) -> io::Result<Self> {
        prctl::set_child_subreaper(true)?;
        let (orders, received) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("spawner".into())
            .spawn(move || carry_out(&received, &exits))?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// Starts a process of `node`, which must have none.
    pub(super) async fn start(&self, node: &Arc<Node>) -> io::Result<Life> {
        let (reply, started) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has panicked");
        self.orders.send(Order::Start(Arc::clone(node), reply)).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // Both fail only if the thread has panicked: then the kernel has killed its children.
        let _panicked = self.orders.send(Order::EndAll);
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

fn carry_out(orders: &mpsc::Receiver<Order>, exits: &UnboundedSender<Exit>) {
    let mut started: Vec<(Arc<Node>, JoinHandle<()>)> = Vec::new();
    while let Ok(Order::Start(node, reply)) = orders.recv() {
        started.retain(|(_, waiter)| !waiter.is_finished());
        let outcome = start(&node, exits.clone()).map(|waiter| {
            started.push((Arc::clone(&node), waiter));
            *node.life.borrow()
        });
        // A caller that has given up finds the process in `life`.
        let _caller_left = reply.send(outcome);
    }
    for (node, _) in &started {
        // It fails only for a process that is already gone.
        let _gone = node.signal(Signal::SIGKILL);
    }
    for (_, waiter) in started {
        let _panicked = waiter.join();
    }
}

/// Starts the process and the thread that waits for its end.
fn start(node: &Arc<Node>, exits: UnboundedSender<Exit>) -> io::Result<JoinHandle<()>> {
    if node.life.borrow().pid.is_some() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the node has a process"));
    }
    let pid = spawn(&node.spawn)?;
    node.life.send_modify(|life| {
        *life = Life { incarnation: life.incarnation + 1, pid: Some(pid), end_expected: false };
    });
    let waiter = Arc::clone(node);
    let thread = std::thread::Builder::new()
        .name(format!("wait-n{}", node.spawn.id))
        .stack_size(64 << 10)
        .spawn(move || wait(&waiter, pid, &exits));
    if thread.is_err() {
        node.signal(Signal::SIGKILL)?;
        node.life.send_modify(|life| life.pid = None);
        waitpid(pid, None)?;
    }
    thread
}

fn spawn(spawn: &NodeSpawn) -> io::Result<Pid> {
    let controller = getpid();
    let mut command = spawn.program.command();
    command
        .args(&spawn.args)
        .envs(spawn.env.iter().map(|(key, value)| (key, value)))
        .current_dir(&spawn.dir)
        .stdin(Stdio::null())
        .stdout(log(&spawn.dir, "stdout.log")?)
        .stderr(log(&spawn.dir, "stderr.log")?)
        .process_group(0);
    let die_with_controller = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The controller may have died before the line above: then nobody sends the signal.
        if getppid() == controller { Ok(()) } else { Err(Errno::ESRCH.into()) }
    };
    // SAFETY: between fork and exec only prctl and getppid are called, which are async-signal-safe; nothing allocates.
    unsafe { command.pre_exec(die_with_controller) };
    let child = command.spawn()?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

fn log(dir: &Path, name: &str) -> io::Result<File> {
    File::options().create(true).append(true).open(dir.join(name))
}

/// Waits for the end of the process, reaps it and reports it.
fn wait(node: &Node, pid: Pid, exits: &UnboundedSender<Exit>) {
    // Without reaping yet: until then the pid stays its own, and no lock is held while this thread waits.
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    node.life.send_modify(|life| {
        let status = match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => ExitKind::Code(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => ExitKind::Signal(signal.as_str()),
            // Only if someone else has reaped it, which nobody does.
            Ok(_) | Err(_) => ExitKind::Unknown,
        };
        life.pid = None;
        let Life { incarnation, end_expected: expected, .. } = *life;
        let exit = Exit { node: node.spawn.id, pid: pid.as_raw(), incarnation, status, expected };
        // Whoever has dropped the receiver does not want to know.
        let _unwanted = exits.send(exit);
    });
}
