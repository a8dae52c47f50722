//! Faults on real processes and links: outcome, evidence, and what overlaps.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tribunal::cluster::{
    CLIENTS, ClientGate, Cluster, CutMode, Exit, Identity, Links, NodeSpawn, Ports, Processes,
    Program, Proxy,
};
use tribunal::faults::{At, Faults, Notice, Operator, Outcome, conduct};
use tribunal::systems::{Call, Place, Promise, Status, System, system};
use tribunal_checkers::{FaultOutcome, Windows};
use tribunal_history::{Actor, Event, EventKind};
use tribunal_nemesis::{Injection, Resolved, Schedule, resolve};
use tribunal_workloads::Needs;
use tribunal_workloads::client::Input;

const NODES: u32 = 3;

/// An operator without nodes.
fn nobody() -> Operator {
    let system = system(&"multi-paxos".parse().expect("a spec"), 0).expect("registered");
    Operator::new(system, reqwest::Client::new(), Vec::new())
}

/// Three nodes that sleep, with proxies between their ports.
struct Trial {
    cluster: Arc<Cluster>,
    faults: Faults,
    exits: tokio::sync::mpsc::UnboundedReceiver<Exit>,
    ports: Ports,
    _dir: TempDir,
}

impl Trial {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let spawns = (1..=NODES).map(|id| NodeSpawn {
            id,
            program: Program::Path("/bin/sleep".into()),
            args: vec!["1000".into()],
            env: Vec::new(),
            dir: dir.path().to_owned(),
        });
        let (processes, exits) = Processes::new(spawns.collect()).expect("threads");
        let ports = Ports::reserve(NODES).expect("ports");
        let peers: BTreeMap<u32, _> = (1..=NODES).map(|node| (node, ports.of(node).peer)).collect();
        let links = Links::Proxy(Proxy::start(&peers).expect("proxies"));
        let clients = Arc::new(ClientGate::new(NODES));
        let cluster = Arc::new(Cluster { processes, links, clients });
        for node in 1..=NODES {
            cluster.processes.start(node).await.expect("started");
        }
        Self {
            faults: Faults::new(Arc::clone(&cluster), nobody()),
            cluster,
            exits,
            ports,
            _dir: dir,
        }
    }

    /// Starts a fault on what `resolved` says.
    async fn start(&mut self, id: u32, fault: &str, resolved: Resolved) -> Notice {
        self.faults.start(&injection(id, fault), resolved).await
    }

    async fn end(&mut self, id: u32) -> Notice {
        self.faults.end(id).await.expect("it has started")
    }

    fn process(&self, node: u32) -> Option<Identity> {
        self.cluster.processes.identity(node)
    }

    fn state(&self, from: u32, to: u32) -> Option<CutMode> {
        self.cluster.link(from, to).expect("a link").state()
    }

    /// Dials along a link that is cut silently, and waits until that shows.
    async fn dial_into_the_cut(&self, from: u32, to: u32) -> TcpStream {
        let address = self.cluster.links.peer_address(&self.ports, from, to);
        let mut stream = within(TcpStream::connect(address)).await.expect("the kernel accepts");
        within(stream.write_all(b"hello")).await.expect("sent");
        let link = self.cluster.link(from, to).expect("a link");
        within(async {
            while link.counters().holding_now == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        stream
    }
}

/// A bound on waiting, far beyond what any step takes.
async fn within<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), step).await.expect("it happens at all")
}

fn injection(id: u32, fault: &str) -> Injection {
    Injection { id, at_ms: 0, until_ms: 1, fault: fault.parse().expect("a fault"), resolved: None }
}

fn down(nodes: &[u32]) -> Resolved {
    Resolved {
        targets: nodes.to_vec(),
        down: nodes.iter().copied().collect(),
        ..Resolved::default()
    }
}

fn cut(links: &[(u32, u32)]) -> Resolved {
    Resolved { cut: links.iter().copied().collect(), ..Resolved::default() }
}

fn bit(notice: &Notice) -> Option<bool> {
    assert_eq!(notice.report.outcome, Outcome::Installed, "{notice:?}");
    notice.report.bit
}

const SILENT: &str = "partition:kind=one";
const RESET: &str = "partition:kind=one,mode=reset";

#[tokio::test]
async fn a_partition_that_held_something_bit() {
    let mut trial = Trial::new().await;
    let start = trial.start(0, SILENT, cut(&[(1, 2), (2, 1)])).await;
    assert_eq!((start.at, start.report.bit), (At::Start, None));
    let _held = trial.dial_into_the_cut(1, 2).await;
    let end = trial.end(0).await;
    assert_eq!((end.at, bit(&end)), (At::End, Some(true)));
    assert!(
        end.report.evidence.contains("2 links: 0 bytes held, 1 connections left hanging"),
        "{end:?}"
    );
    assert_eq!(trial.state(1, 2), None);
    assert_eq!(trial.faults.end(0).await, None, "it has ended");
}

#[tokio::test]
async fn a_partition_of_idle_links_did_not_bite() {
    let mut trial = Trial::new().await;
    trial.start(0, SILENT, cut(&[(1, 2)])).await;
    let _elsewhere = {
        trial.start(1, SILENT, cut(&[(2, 3)])).await;
        trial.dial_into_the_cut(2, 3).await
    };
    assert_eq!(bit(&trial.end(0).await), Some(false));
    assert_eq!(bit(&trial.end(1).await), Some(true));
}

#[tokio::test]
async fn the_end_of_one_partition_does_not_heal_another() {
    let mut trial = Trial::new().await;
    trial.start(0, SILENT, cut(&[(1, 2)])).await;
    let _held = trial.dial_into_the_cut(1, 2).await;
    trial.start(1, SILENT, cut(&[(1, 2), (1, 3)])).await;
    assert_eq!(bit(&trial.end(0).await), Some(true));
    assert_eq!(
        (trial.state(1, 2), trial.state(1, 3)),
        (Some(CutMode::Silent), Some(CutMode::Silent))
    );
    // What the first one began to hold, the second one kept.
    assert_eq!(bit(&trial.end(1).await), Some(true));
    assert_eq!((trial.state(1, 2), trial.state(1, 3)), (None, None));
}

#[tokio::test]
async fn where_partitions_overlap_a_reset_outranks_silence() {
    let mut trial = Trial::new().await;
    trial.start(0, SILENT, cut(&[(1, 2)])).await;
    trial.start(1, RESET, cut(&[(1, 2)])).await;
    assert_eq!(trial.state(1, 2), Some(CutMode::Reset));
    trial.end(1).await;
    assert_eq!(trial.state(1, 2), Some(CutMode::Silent));
}

#[tokio::test]
async fn a_partition_of_clients_holds_requests() {
    let mut trial = Trial::new().await;
    trial.start(0, "partition:kind=client-side", cut(&[(CLIENTS, 2)])).await;
    let cluster = Arc::clone(&trial.cluster);
    let mut request = Box::pin(cluster.clients.pass(2, async {}));
    tokio::select! {
        biased;
        _ = &mut request => panic!("it passed"),
        () = std::future::ready(()) => {}
    }
    let end = trial.end(0).await;
    assert_eq!(bit(&end), Some(true));
    assert!(end.report.evidence.contains("1 requests or answers held"), "{end:?}");
    assert_eq!(within(request).await, Ok(()));
}

#[tokio::test]
async fn direct_links_cannot_be_cut_and_the_notice_says_so() {
    let (processes, _exits) = Processes::new(Vec::new()).expect("threads");
    let clients = Arc::new(ClientGate::new(NODES));
    let cluster = Arc::new(Cluster { processes, links: Links::Direct, clients });
    let mut faults = Faults::new(Arc::clone(&cluster), nobody());
    let start = faults.start(&injection(0, SILENT), cut(&[(CLIENTS, 1), (1, 2)])).await;
    assert!(
        matches!(&start.report.outcome, Outcome::Skipped(why) if why.contains("--links proxy")),
        "{start:?}"
    );
    assert_eq!(cluster.link(CLIENTS, 1).expect("a link").state(), None, "all of it, or nothing");
    let end = faults.end(0).await.expect("it closes its window");
    assert!(matches!(end.report.outcome, Outcome::Skipped(_)));
}

#[tokio::test]
async fn a_fault_of_the_simulator_is_skipped_and_leaves_the_nodes_alone() {
    let mut trial = Trial::new().await;
    let before = trial.process(1);
    let start = trial.start(0, "power-loss:target=one,torn=no", down(&[1])).await;
    let skipped = Outcome::Skipped("it is available in the simulator only".to_owned());
    assert_eq!((&start.report.outcome, start.report.bit), (&skipped, Some(false)));
    assert_eq!(trial.end(0).await.report, start.report);
    assert!(before.is_some() && trial.process(1) == before);
}

#[tokio::test]
async fn a_killed_node_starts_again() {
    let mut trial = Trial::new().await;
    let start = trial.start(0, "kill:target=one", down(&[2])).await;
    assert_eq!((bit(&start), trial.process(2)), (Some(true), None));
    assert!(trial.exits.try_recv().expect("an exit").expected);
    let end = trial.end(0).await;
    assert_eq!(bit(&end), Some(true));
    assert!(end.report.evidence.contains("is gone; n2 started again"), "{end:?}");
    assert_eq!(trial.process(2).map(|process| process.incarnation), Some(2));
}

#[tokio::test]
async fn a_node_starts_again_only_after_the_last_kill() {
    let mut trial = Trial::new().await;
    trial.start(0, "kill:target=one", down(&[1])).await;
    let second = trial.start(1, "kill:target=minority", down(&[1, 2])).await;
    assert!(second.report.evidence.contains("n1 was down already"), "{second:?}");
    trial.end(0).await;
    assert_eq!((trial.process(1), trial.process(2)), (None, None));
    trial.end(1).await;
    assert!(trial.process(1).is_some() && trial.process(2).is_some());
}

#[tokio::test]
async fn a_node_that_is_to_stay_dead_does() {
    let mut trial = Trial::new().await;
    trial.start(0, "kill:target=one", down(&[1])).await;
    let start = trial.start(1, "kill:stay-dead=yes,target=one", down(&[1])).await;
    assert_eq!(start.report.outcome, Outcome::Installed);
    assert_eq!(trial.faults.end(1).await, None);
    let healed = trial.faults.heal_all().await;
    assert_eq!(healed.iter().map(|notice| notice.id).collect::<Vec<_>>(), [0]);
    assert_eq!(trial.process(1), None);
    assert_eq!(trial.faults.dead().collect::<Vec<_>>(), [1]);
    let again = trial.start(2, "kill:target=one", down(&[1])).await;
    assert!(matches!(again.report.outcome, Outcome::Skipped(_)), "{again:?}");
}

#[tokio::test]
async fn a_node_that_ended_by_itself_is_left_as_it_is() {
    let mut trial = Trial::new().await;
    let pid = trial.process(3).expect("it runs").pid;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)
        .expect("sent");
    assert!(!within(trial.exits.recv()).await.expect("an exit").expected);
    let start = trial.start(0, "kill:target=one", down(&[3])).await;
    assert!(
        matches!(&start.report.outcome, Outcome::Skipped(why) if why.contains("by itself")),
        "{start:?}"
    );
    trial.end(0).await;
    assert_eq!(trial.process(3), None);
}

#[tokio::test]
async fn overlapping_pauses_end_with_the_last() {
    let mut trial = Trial::new().await;
    assert_eq!(bit(&trial.start(0, "pause:target=one", down(&[1])).await), Some(true));
    trial.start(1, "pause:target=minority", down(&[1, 2])).await;
    let end = trial.end(0).await;
    assert!(end.report.evidence.contains("n1 stays paused"), "{end:?}");
    assert_eq!(trial.cluster.processes.is_paused(1), Some(true));
    let end = trial.end(1).await;
    assert!(end.report.evidence.contains("n1 was still in state T"), "{end:?}");
    within(async {
        while trial.cluster.processes.is_paused(1) == Some(true) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_kill_ends_a_pause_and_a_new_process_is_not_paused() {
    let mut trial = Trial::new().await;
    trial.start(0, "pause:target=one", down(&[1])).await;
    assert_eq!(bit(&trial.start(1, "kill:target=one", down(&[1])).await), Some(true));
    let dead = trial.start(2, "pause:target=one", down(&[1])).await;
    assert!(
        matches!(&dead.report.outcome, Outcome::Skipped(why) if why.contains("no process")),
        "{dead:?}"
    );
    trial.end(1).await;
    assert_eq!(trial.cluster.processes.is_paused(1), Some(false));
    // A pause of the new process is not ended by that of the old one.
    trial.start(3, "pause:target=one", down(&[1])).await;
    let end = trial.end(0).await;
    assert!(end.report.evidence.contains("n1 was killed meanwhile"), "{end:?}");
    assert_eq!(trial.cluster.processes.is_paused(1), Some(true));
    assert_eq!(bit(&trial.end(3).await), Some(true));
}

#[tokio::test]
async fn a_pause_that_somebody_else_ended_is_indeterminate() {
    let mut trial = Trial::new().await;
    trial.start(0, "pause:target=one", down(&[1])).await;
    trial.cluster.processes.resume(1).expect("resumed");
    within(async {
        while trial.cluster.processes.is_paused(1) == Some(true) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let end = trial.end(0).await;
    assert!(
        matches!(&end.report.outcome, Outcome::Indeterminate(why) if why.contains("state T")),
        "{end:?}"
    );
}

#[tokio::test]
async fn healing_ends_everything() {
    let mut trial = Trial::new().await;
    trial.start(0, SILENT, cut(&[(1, 2)])).await;
    trial.start(1, "kill:target=one", down(&[1])).await;
    trial.start(2, "pause:target=one", down(&[2])).await;
    assert_eq!(trial.faults.active().count(), 3);
    assert_eq!(trial.faults.heal_all().await.len(), 3);
    assert_eq!((trial.faults.active().count(), trial.state(1, 2)), (0, None));
    assert!(trial.process(1).is_some());
    assert!(trial.faults.heal_all().await.is_empty());
}

#[tokio::test]
async fn a_dead_node_behind_a_healed_link_is_reached_again() {
    let mut trial = Trial::new().await;
    trial.start(0, SILENT, cut(&[(1, 2)])).await;
    let mut dialler = trial.dial_into_the_cut(1, 2).await;
    let listener = tokio::net::TcpSocket::new_v4().expect("a socket");
    listener.set_reuseport(true).expect("set");
    listener.bind(trial.ports.of(2).peer).expect("beside the controller's");
    let listener: TcpListener = listener.listen(8).expect("listening");
    trial.end(0).await;
    let (accepted, _) = within(listener.accept()).await.expect("released");
    drop(accepted);
    within(dialler.shutdown()).await.ok();
}

/// Plays a schedule through, with a leader that is always node 3.
async fn play(
    trial: &mut Trial,
    schedule: &mut Schedule,
    stop: impl Future<Output = ()>,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    let leader = || std::future::ready(Some(3));
    let record = |notice: &Notice| notices.push(notice.clone());
    within(conduct(&mut trial.faults, schedule, Instant::now(), leader, record, stop)).await;
    notices
}

fn schedule(injections: Vec<Injection>) -> Schedule {
    Schedule { version: 1, seed: 1, nodes: NODES, duration_ms: 10, injections }
}

#[tokio::test]
async fn a_schedule_is_carried_out_and_filled_in() {
    let mut trial = Trial::new().await;
    let mut pause = injection(4, "pause:target=one");
    pause.until_ms = 3;
    let mut kill = injection(7, "kill:target=leader");
    (kill.at_ms, kill.until_ms) = (1, 2);
    let mut fixed = injection(9, "kill:target=one");
    (fixed.at_ms, fixed.until_ms, fixed.resolved) = (5, 6, Some(down(&[1, 2])));
    let mut schedule = schedule(vec![pause.clone(), kill, fixed]);
    let notices = play(&mut trial, &mut schedule, std::future::pending()).await;
    let order: Vec<(u32, At)> = notices.iter().map(|notice| (notice.id, notice.at)).collect();
    let expected =
        [(4, At::Start), (7, At::Start), (7, At::End), (4, At::End), (9, At::Start), (9, At::End)];
    assert_eq!(order, expected);
    let resolved = |nth: usize| schedule.injections[nth].resolved.clone().expect("filled in");
    assert_eq!(resolved(0), resolve(1, NODES, &pause, None));
    assert_eq!((resolved(1).targets, resolved(1).leader), (vec![3], Some(3)));
    assert_eq!(resolved(2), down(&[1, 2]));
}

#[tokio::test]
async fn a_stopped_schedule_starts_nothing_more() {
    let mut trial = Trial::new().await;
    let mut schedule = schedule(vec![injection(0, "pause:target=one")]);
    let notices = play(&mut trial, &mut schedule, std::future::ready(())).await;
    assert!(notices.is_empty() && trial.faults.heal_all().await.is_empty());
}

#[tokio::test]
async fn what_the_history_is_told_can_be_read_back() {
    let mut trial = Trial::new().await;
    let start = trial.start(5, "kill:target=minority", down(&[1, 2])).await;
    let end = trial.end(5).await;
    let skipped = trial.start(6, "pause:target=one", Resolved::default()).await;
    let mut windows = Windows::default();
    for (time, notice) in [(10, &start), (20, &end), (30, &skipped)] {
        windows.push(&Event {
            index: time,
            time,
            process: Actor::Nemesis,
            kind: EventKind::Info,
            f: notice.name.clone().into(),
            value: notice.value(),
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        });
    }
    let windows = windows.finish();
    let kill = &windows[0];
    assert_eq!(
        (kill.id, &*kill.fault, &*kill.spec),
        (5, "kill", "kill:stay-dead=no,target=minority")
    );
    assert_eq!((kill.start, kill.end, kill.bit), (10, Some(20), Some(true)));
    assert_eq!(
        (&kill.targets[..], kill.down.len(), kill.outcome),
        (&[1, 2][..], 2, FaultOutcome::Installed)
    );
    assert!(kill.evidence.contains("started again"));
    assert_eq!((windows[1].outcome, windows[1].down.len()), (FaultOutcome::Skipped, 0));
}

/// A system that changes its membership when it is asked for the third time.
#[derive(Default)]
struct Reluctant {
    asked: Mutex<BTreeMap<(u32, bool), u32>>,
    out: Mutex<BTreeSet<u32>>,
}

impl System for Reluctant {
    fn offers(&self) -> Needs {
        Needs::default()
    }

    fn has_sessions(&self) -> bool {
        false
    }

    fn claims_linearizability(&self) -> bool {
        false
    }

    fn spawn(&self, _place: &Place) -> std::io::Result<NodeSpawn> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn open_session<'a>(
        &'a self,
        _http: &'a reqwest::Client,
        _node: SocketAddr,
        _nonce: u64,
    ) -> Promise<'a, Result<u64, Cow<'static, str>>> {
        Box::pin(async { Err("unsupported".into()) })
    }

    fn call<'a>(&'a self, _http: &'a reqwest::Client, _call: Call<'a>) -> Promise<'a, Input> {
        Box::pin(async { Input::Refused })
    }

    fn change_membership<'a>(
        &'a self,
        _http: &'a reqwest::Client,
        _node: SocketAddr,
        member: u32,
        is_member: bool,
    ) -> Promise<'a, bool> {
        let mut asked = self.asked.lock().expect("no panic");
        let times = asked.entry((member, is_member)).or_default();
        *times += 1;
        let done = *times == 3;
        let mut out = self.out.lock().expect("no panic");
        match is_member {
            true if done => drop(out.remove(&member)),
            false if done => drop(out.insert(member)),
            _ => {}
        }
        Box::pin(async move { done })
    }

    fn status<'a>(
        &'a self,
        _http: &'a reqwest::Client,
        _node: SocketAddr,
    ) -> Promise<'a, Option<Status>> {
        Box::pin(async { None })
    }

    fn metrics<'a>(
        &'a self,
        _http: &'a reqwest::Client,
        _node: SocketAddr,
    ) -> Promise<'a, Option<String>> {
        Box::pin(async { None })
    }
}

#[tokio::test]
async fn members_are_taken_out_and_brought_back_and_never_more_than_a_minority() {
    let system = Arc::new(Reluctant::default());
    let nodes = vec!["127.0.0.1:1".parse().expect("an address"); 3];
    let operator = Operator::new(system.clone(), reqwest::Client::new(), nodes);
    let (processes, _exits) = Processes::new(Vec::new()).expect("threads");
    let clients = Arc::new(ClientGate::new(NODES));
    let cluster = Arc::new(Cluster { processes, links: Links::Direct, clients });
    let mut faults = Faults::new(cluster, operator);
    let resolved = |node| Resolved { targets: vec![node], ..Resolved::default() };
    tokio::task::LocalSet::new()
        .run_until(async {
            let first = faults.start(&injection(0, "membership:target=one"), resolved(2)).await;
            assert_eq!(first.report.outcome, Outcome::Installed);
            let second = faults.start(&injection(1, "membership:target=one"), resolved(3)).await;
            assert!(matches!(second.report.outcome, Outcome::Skipped(_)), "{second:?}");
            while !system.out.lock().expect("no panic").contains(&2) {
                tokio::task::yield_now().await;
            }
            assert!(faults.end(0).await.is_none(), "it lasts until n2 is a member again");
            let notices = faults.heal_all().await;
            let of_first = notices.iter().find(|notice| notice.id == 0).expect("it has ended");
            assert_eq!(of_first.report.outcome, Outcome::Installed);
            assert!(system.out.lock().expect("no panic").is_empty());
        })
        .await;
}
