//! Ports, processes and the clients' gate, with real sockets and real processes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::future::Future;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tribunal::cluster::{
    CLIENTS, ClientGate, CutMode, Exit, ExitKind, GateReset, NodeSpawn, Ports, ProcessError,
    Processes, Program,
};

/// A bound on waiting, far beyond what any step takes.
async fn within<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), step).await.expect("it happens at all")
}

/// A node that runs a script of the shell in `dir`.
fn script(id: u32, dir: &Path, script: &str) -> NodeSpawn {
    NodeSpawn {
        id,
        program: Program::Path("/bin/sh".into()),
        args: vec!["-c".into(), script.into()],
        env: vec![("NODE".into(), id.to_string().into())],
        dir: dir.to_owned(),
    }
}

/// Lives until it is killed.
const LIVE: &str = "exec sleep 1000";

#[test]
fn every_port_is_another_one_and_refuses_while_its_node_is_dead() {
    let ports = Ports::reserve(5).expect("ports");
    let all: BTreeSet<_> =
        ports.all().values().flat_map(|ports| [ports.client, ports.peer]).collect();
    assert_eq!(all.len(), 10);
    for address in all {
        let error = TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let stranger = TcpListener::bind(address).expect_err("it is taken");
        assert_eq!(stranger.kind(), ErrorKind::AddrInUse);
    }
}

#[tokio::test]
async fn a_node_finds_its_port_again_and_again() {
    let ports = Ports::reserve(1).expect("ports");
    for _start in 0..2 {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_reuseport(true).expect("set");
        socket.bind(ports.of(1).client).expect("beside the controller's");
        let listener = socket.listen(8).expect("listening");
        let (dialled, accepted) =
            tokio::join!(tokio::net::TcpStream::connect(ports.of(1).client), listener.accept());
        dialled.expect("it answers");
        accepted.expect("to its node, not to the socket that only holds the port");
    }
}

#[tokio::test]
async fn a_killed_node_is_gone_and_reported_as_expected() {
    let dir = tempfile::tempdir().expect("a folder");
    let (processes, mut exits) =
        Processes::new(vec![script(1, dir.path(), LIVE)]).expect("threads");
    let first = processes.start(1).await.expect("started");
    assert_eq!((first.incarnation, processes.identity(1)), (1, Some(first)));
    assert!(matches!(processes.start(1).await, Err(ProcessError::AlreadyRunning(1))));
    assert_eq!(processes.kill(1).await.expect("killed"), first);
    assert!(!Path::new(&format!("/proc/{}", first.pid)).exists());
    assert_eq!(processes.identity(1), None);
    let status = ExitKind::Signal("SIGKILL");
    let expected = Exit { node: 1, pid: first.pid, incarnation: 1, status, expected: true };
    assert_eq!(exits.try_recv(), Ok(expected));
    assert!(matches!(processes.kill(1).await, Err(ProcessError::NotRunning(1))));
    let second = processes.start(1).await.expect("started again");
    assert_eq!(second.incarnation, 2);
}

#[tokio::test]
async fn a_node_that_ends_by_itself_is_reported_as_unexpected() {
    let dir = tempfile::tempdir().expect("a folder");
    let (processes, mut exits) =
        Processes::new(vec![script(1, dir.path(), "exit 7")]).expect("threads");
    // It may have ended before it is looked at, which is not what this is about.
    let _either = processes.start(1).await;
    let exit = within(exits.recv()).await.expect("a report");
    assert_eq!((exit.status, exit.expected), (ExitKind::Code(7), false));
    assert_eq!(exit.status.to_string(), "exit code 7");
}

#[tokio::test]
async fn a_kill_reaches_the_descendants_of_a_node() {
    let dir = tempfile::tempdir().expect("a folder");
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let node = script(1, dir.path(), "exec 3>pipe; sleep 1000 & echo up >&3; wait");
    let (processes, _exits) = Processes::new(vec![node]).expect("threads");
    processes.start(1).await.expect("started");
    let mut ends = open_pipe(&pipe).await;
    processes.kill(1).await.expect("killed");
    wait_for_the_end(&mut ends).await;
}

#[tokio::test]
async fn a_paused_node_is_stopped_and_can_be_resumed_or_killed() {
    let dir = tempfile::tempdir().expect("a folder");
    let (processes, _exits) = Processes::new(vec![script(1, dir.path(), LIVE)]).expect("threads");
    let first = processes.start(1).await.expect("started");
    assert_eq!(processes.is_paused(1), Some(false));
    assert_eq!(processes.pause(1).await.expect("stopped"), first);
    assert_eq!(processes.is_paused(1), Some(true));
    processes.resume(1).expect("resumed");
    within(async {
        while processes.is_paused(1) != Some(false) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    processes.pause(1).await.expect("stopped");
    processes.kill(1).await.expect("killed while it was paused");
    assert_eq!(processes.is_paused(1), None);
    assert!(matches!(processes.pause(1).await, Err(ProcessError::NotRunning(1))));
}

#[tokio::test]
async fn a_node_that_does_not_start_shows_the_end_of_its_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let failing = script(1, dir.path(), "echo 'the port is taken' >&2; exit 1");
    let (processes, mut exits) = Processes::new(vec![failing]).expect("threads");
    let _either = processes.start(1).await;
    within(exits.recv()).await.expect("it ended");
    let never = || std::future::ready(false);
    let error =
        processes.ready(1, Duration::from_secs(30), never).await.expect_err("it ended").to_string();
    assert!(
        error.contains("its process has ended") && error.contains("the port is taken"),
        "{error}"
    );
}

#[tokio::test]
async fn a_node_is_ready_as_soon_as_its_probe_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let (processes, _exits) = Processes::new(vec![script(1, dir.path(), LIVE)]).expect("threads");
    processes.start(1).await.expect("started");
    let asked = AtomicBool::new(false);
    let second_time = || std::future::ready(asked.swap(true, Ordering::Relaxed));
    processes.ready(1, Duration::from_secs(30), second_time).await.expect("ready");
    let never = || std::future::ready(false);
    let error =
        processes.ready(1, Duration::ZERO, never).await.expect_err("never ready").to_string();
    assert!(error.contains("did not answer within") && error.contains("(empty)"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_executed_is_an_error_that_names_the_node() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut missing = script(3, dir.path(), LIVE);
    missing.program = Program::Path("/nonexistent/program".into());
    let (processes, _exits) = Processes::new(vec![missing]).expect("threads");
    let error = processes.start(3).await.expect_err("missing").to_string();
    assert!(error.contains("node 3 cannot be started"), "{error}");
}

#[tokio::test]
async fn logs_are_appended_and_the_environment_arrives() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = script(4, dir.path(), "echo node $NODE; echo trouble >&2");
    let (processes, mut exits) = Processes::new(vec![node]).expect("threads");
    for _start in 0..2 {
        let _either = processes.start(4).await;
        within(exits.recv()).await.expect("it ended");
    }
    let log = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("a log");
    assert_eq!(
        (log("stdout.log"), log("stderr.log")),
        ("node 4\nnode 4\n".into(), "trouble\ntrouble\n".into())
    );
}

#[tokio::test]
async fn what_a_node_uses_can_be_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let (processes, _exits) = Processes::new(vec![script(1, dir.path(), LIVE)]).expect("threads");
    assert_eq!(processes.usage(1), None);
    processes.start(1).await.expect("started");
    assert!(processes.usage(1).expect("it runs").memory_bytes > 0);
    processes.kill_all().await.expect("killed");
    assert_eq!(processes.usage(1), None);
}

#[tokio::test]
async fn dropping_the_processes_kills_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let (processes, mut exits) =
        Processes::new((1..=3).map(|id| script(id, dir.path(), LIVE)).collect()).expect("threads");
    for node in 1..=3 {
        processes.start(node).await.expect("started");
    }
    processes.pause(2).await.expect("stopped");
    drop(processes);
    let mut ended = BTreeSet::new();
    while let Ok(exit) = exits.try_recv() {
        assert!(exit.expected);
        ended.insert(exit.node);
    }
    assert_eq!(ended, BTreeSet::from([1, 2, 3]));
}

#[tokio::test]
async fn a_pinned_program_outlives_its_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let copy = dir.path().join("program");
    std::fs::copy("/bin/sh", &copy).expect("copied");
    let file = std::fs::File::open(&copy).expect("opened");
    std::fs::remove_file(&copy).expect("removed, as a rebuild does");
    let pinned = Program::Pinned(file.into());
    let fingerprint = pinned.fingerprint().expect("readable").expect("pinned");
    assert!(fingerprint.starts_with("crc32c:"), "{fingerprint}");
    assert_eq!(pinned.fingerprint().expect("readable again"), Some(fingerprint));
    let mut node = script(1, dir.path(), "echo runs");
    node.program = pinned;
    let (processes, mut exits) = Processes::new(vec![node]).expect("threads");
    let _either = processes.start(1).await;
    assert_eq!(within(exits.recv()).await.expect("it ended").status, ExitKind::Code(0));
    assert_eq!(std::fs::read_to_string(dir.path().join("stdout.log")).expect("a log"), "runs\n");
}

/// Where the test below tells its controller to work.
const CONTROLLER_DIR: &str = "TRIBUNAL_TEST_CONTROLLER_DIR";

#[test]
fn a_controller_that_is_killed_takes_its_nodes_along() {
    let dir = tempfile::tempdir().expect("a folder");
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let mut controller = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "controller_for_the_test_above", "--nocapture"])
        .env(CONTROLLER_DIR, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    let mut ends = BufReader::new(std::fs::File::open(&pipe).expect("the node opens it"));
    let mut line = String::new();
    ends.read_line(&mut line).expect("the node is up");
    assert_eq!(line, "up\n");
    let pid = Pid::from_raw(controller.id().cast_signed());
    kill(pid, Signal::SIGKILL).expect("killed");
    controller.wait().expect("gone");
    // The pipe ends when the last process that holds it is gone: the node, which sleeps for long.
    let mut rest = Vec::new();
    ends.read_to_end(&mut rest).expect("it ends");
}

#[tokio::test]
async fn controller_for_the_test_above() {
    // Run by itself it has nothing to do.
    let Some(dir) = std::env::var_os(CONTROLLER_DIR) else { return };
    let node = script(1, Path::new(&dir), "exec 3>pipe; echo up >&3; exec sleep 1000");
    let (processes, _exits) = Processes::new(vec![node]).expect("threads");
    processes.start(1).await.expect("started");
    // Until it is killed; or until the test is, which holds the other end.
    std::io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
    drop(processes);
}

async fn open_pipe(pipe: &Path) -> BufReader<std::fs::File> {
    let pipe = pipe.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let mut ends = BufReader::new(std::fs::File::open(pipe).expect("the node opens it"));
        let mut line = String::new();
        ends.read_line(&mut line).expect("the node is up");
        ends
    });
    within(opened).await.expect("read")
}

async fn wait_for_the_end(ends: &mut BufReader<std::fs::File>) {
    let mut ends = BufReader::new(ends.get_ref().try_clone().expect("cloned"));
    let read = tokio::task::spawn_blocking(move || ends.read_to_end(&mut Vec::new()).map(drop));
    within(read).await.expect("read").expect("it ends");
}

/// Polls a request that is to be held, and checks that it is.
macro_rules! assert_held {
    ($request:expr) => {
        tokio::select! {
            biased;
            _ = &mut $request => panic!("it passed"),
            () = std::future::ready(()) => {}
        }
    };
}

#[tokio::test]
async fn a_request_waits_at_a_cut_and_never_leaves_if_it_is_given_up() {
    let gate = ClientGate::new(2);
    let to = gate.link(CLIENTS, 1).expect("a link");
    to.set(Some(CutMode::Silent));
    let left = AtomicBool::new(false);
    let mut given_up = Box::pin(gate.pass(1, async { left.store(true, Ordering::Relaxed) }));
    assert_held!(given_up);
    assert_eq!((to.counters().bytes_held, to.counters().holding_now), (1, 1));
    drop(given_up);
    assert_eq!((left.load(Ordering::Relaxed), to.counters().holding_now), (false, 0));
    let mut patient = Box::pin(gate.pass(1, async { "answer" }));
    assert_held!(patient);
    assert_eq!(gate.pass(2, async { "another node" }).await, Ok("another node"));
    to.set(None);
    assert_eq!(within(patient).await, Ok("answer"));
}

#[tokio::test]
async fn an_answer_waits_at_a_cut_of_answers() {
    let gate = ClientGate::new(1);
    let from = gate.link(1, CLIENTS).expect("a link");
    from.set(Some(CutMode::Silent));
    let left = AtomicBool::new(false);
    let mut request = Box::pin(gate.pass(1, async { left.store(true, Ordering::Relaxed) }));
    assert_held!(request);
    assert!(left.load(Ordering::Relaxed), "the request itself may pass");
    from.set(None);
    assert_eq!(within(request).await, Ok(()));
}

#[tokio::test]
async fn a_reset_fails_requests_and_says_whether_they_were_sent() {
    for ends in [(CLIENTS, 1), (1, CLIENTS)] {
        let gate = ClientGate::new(1);
        let link = gate.link(ends.0, ends.1).expect("a link");
        let mut under_way = Box::pin(gate.pass(1, std::future::pending::<()>()));
        assert_held!(under_way);
        link.set(Some(CutMode::Reset));
        assert_eq!(within(under_way).await, Err(GateReset { sent: true }));
        assert_eq!(within(gate.pass(1, async {})).await, Err(GateReset { sent: false }));
        assert_eq!(link.counters().connections_reset, 2);
    }
}
