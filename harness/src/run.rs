//! One run, from top to bottom: start the system, drive clients and faults, heal, probe, read everything, end the system,
//! judge, report.

use crate::cli::print;
use crate::clients::{self, Shared, Worker};
use crate::clock::Clock;
use crate::cluster::{
    ClientGate, Cluster, Exit as NodeExit, Links, Ports, Processes, Program, Proxy,
};
use crate::environment::Environment;
use crate::exit::{Exit, Failure, outranking};
use crate::faults::{At, Faults, Notice, Operator, conduct, refuse_simulated};
use crate::folder::Folder;
use crate::interrupt::Interrupt;
use crate::judge::{self, Heard, Judged};
use crate::live::{Live, Violation};
use crate::load::{self, Health, LagWatch};
use crate::plan::{self, Plan};
use crate::progress::Progress;
use crate::recorder::{Entry, Recorder};
use crate::report;
use crate::sampler::Sampler;
use crate::systems::{self, Place, System};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::LocalSet;
use tribunal_checkers::Validity;
use tribunal_history::Value;
use tribunal_nemesis::{Fault, Injection, Schedule};
use tribunal_spec::Spec;
use tribunal_workloads::{Balancer, Generator, Workload};

/// How long a node may take to answer for the first time.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// How often the progress line is drawn.
const TICK: Duration = Duration::from_millis(200);
/// Threads of the machine that run clients.
const WORKERS_MAX: usize = 4;

/// What `tribunal run` was asked for.
#[derive(Debug)]
pub struct Options {
    /// The plan.
    pub plan: Plan,
    /// The faults, made from the plan or given.
    pub schedule: Schedule,
    /// Where the run's folder is made.
    pub out: PathBuf,
    /// Whether to keep the nodes' logs after a valid run too.
    pub keep_data: bool,
    /// Whether to print the verdict as JSON.
    pub json: bool,
}

/// The schedule of a plan: from its seed, or from a file.
///
/// # Errors
/// If the faults are not possible, or the file does not fit the plan.
pub fn schedule(plan: &Plan, file: Option<&Path>, resolved: bool) -> Result<Schedule, Failure> {
    let Some(path) = file else {
        let specs: Vec<Spec> =
            plan.nemesis.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        refuse_simulated(specs.iter().map(|spec| &*spec.name)).map_err(Failure::usage)?;
        let seed = plan.seed_of("schedule", 0);
        return tribunal_nemesis::generate(seed, plan.nodes, plan.duration_ms, &specs)
            .map_err(Failure::usage);
    };
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("reading {shown}: {error}")))?;
    let schedule =
        Schedule::from_json(&text).map_err(|error| Failure::usage(format!("{shown}: {error}")))?;
    let names = schedule.injections.iter().map(|injection| injection.fault.name());
    refuse_simulated(names).map_err(|error| Failure::usage(format!("{shown}: {error}")))?;
    if schedule.nodes != plan.nodes {
        return Err(Failure::usage(format!(
            "{shown} is for {} nodes; run it with --nodes {}",
            schedule.nodes, schedule.nodes
        )));
    }
    Ok(if resolved { schedule } else { schedule.symbolic() })
}

/// What a run needs beside its folder. Made, and so checked, before anything is written.
struct Parts {
    number: u64,
    program: Program,
    system: Arc<dyn System>,
    workload: Box<dyn Workload>,
    arrival: tribunal_workloads::arrival::Arrival,
    balancer: Balancer,
}

impl Parts {
    fn new(plan: &Plan) -> Result<Self, Failure> {
        let number = run_number();
        let system = systems::system(&plan.system.parse()?, number)?;
        let workload: Spec = plan.workload.parse()?;
        let balancer: Spec = plan.balancer.parse()?;
        if plan.retry > 0 && !system.has_sessions() {
            return Err(Failure::usage(format!(
                "{} has no sessions, so a request that is sent again could take effect twice: leave `--retry` at 0",
                plan.system
            )));
        }
        system.needed(plan.nodes).map_err(Failure::usage)?;
        Ok(Self {
            number,
            program: Program::own().map_err(Failure::harness)?,
            workload: tribunal_workloads::workload(&workload, plan.clients_max, &system.offers())?,
            arrival: tribunal_workloads::arrival::arrival(&plan.rate.parse()?)?,
            balancer: tribunal_workloads::balancer(
                &balancer,
                plan.nodes,
                plan.seed_of("balancer", 0),
            )?,
            system,
        })
    }
}

/// Removes the nodes' logs, tens of MB a node, of a run whose verdict leaves nothing to look for in them.
fn remove_data(folder: &Folder, nodes: u32) {
    for node in 1..=nodes {
        let data = folder.node(node).join("data");
        if let Err(error) = std::fs::remove_dir_all(&data) {
            eprintln!("warning: {} was not removed: {error}", data.display());
        }
    }
}

/// A number that no other run on this machine has at this time.
fn run_number() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.unwrap_or_default().as_nanos() as u64;
    nanos ^ (u64::from(std::process::id()) << 40)
}

/// Does a run and reports it.
///
/// # Errors
/// If the harness fails: the folder keeps what was recorded until then.
pub fn run(options: &Options) -> Result<Exit, Failure> {
    let interrupt =
        Interrupt::watch("`tribunal check` judges what was recorded").map_err(Failure::harness)?;
    let done = carry_out(options, &interrupt, || interrupt.end_at_once())?;
    let Done { folder, judged, failure } = done;
    if let Err(error) = folder.link_latest(&options.out) {
        eprintln!("warning: {}/latest was not renewed: {error}", options.out.display());
    }
    let printed = if options.json {
        print(report::verdict_json(&judged))
    } else {
        print(report::terminal(&folder, &judged))
    };
    match failure.map_or(Ok(()), Err).and(printed) {
        Err(failure) => outranking(judged.validity.into(), Err(failure)),
        Ok(()) => Ok(judged.validity.into()),
    }
}

/// A run that was carried out and judged.
#[derive(Debug)]
pub struct Done {
    /// Its folder, with the report.
    pub folder: Folder,
    /// The judgement.
    pub judged: Judged,
    /// What failed in the harness: the report was not written, or the run broke off and convicts the system all the same.
    pub failure: Option<Failure>,
}

/// Does a run, judges it and writes its report; prints no result. `recorded` is called when the system is ended, and
/// only files are left to be read and written.
///
/// # Errors
/// If the harness fails and nothing convicts the system: the folder keeps what was recorded until then.
pub fn carry_out(
    options: &Options,
    interrupt: &Interrupt,
    recorded: impl FnOnce(),
) -> Result<Done, Failure> {
    let parts = Parts::new(&options.plan)?;
    let changes = |injection: &Injection| matches!(injection.fault, Fault::Membership { .. });
    if options.schedule.injections.iter().any(changes) && !parts.system.has_membership() {
        return Err(Failure::usage(format!(
            "{} cannot change its membership: leave out the fault `membership`",
            options.plan.system
        )));
    }
    let folder = Folder::create(&options.out, &options.plan)?;
    folder.write_json("plan.json", &options.plan)?;
    folder.write_json("schedule.json", &options.schedule)?;
    if let Err(error) = load::allow_open_files() {
        eprintln!("warning: the limit on open files was not raised: {error}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::harness)?;
    let trial = Trial { folder: &folder, plan: &options.plan, interrupt };
    let performed =
        LocalSet::new().block_on(&runtime, trial.perform(parts, options.schedule.clone()));
    drop(runtime);
    recorded();
    let heard = performed.and_then(|(health, heard)| {
        folder.write_json("health.json", &health)?;
        Ok(heard)
    });
    let judged = match heard {
        Ok(Some(heard)) => judge::conclude(&folder, heard)?,
        Ok(None) => judge::judge(&folder)?,
        Err(failure) => return convicted_despite(failure, folder),
    };
    let reported = report::write(&folder, &judged);
    if judged.validity == Validity::Valid && !options.keep_data {
        remove_data(&folder, options.plan.nodes);
    }
    Ok(Done { folder, judged, failure: reported.err() })
}

/// The run broke off by `failure`: what clients had seen until then may convict the system all the same.
///
/// Its nodes' ends and its limits of time do not: the machine that failed the harness may have failed the nodes.
fn convicted_despite(failure: Failure, folder: Folder) -> Result<Done, Failure> {
    let seen = |judged: &Judged| {
        let of_machine = |checker| {
            ["exits", "node-logs"].contains(&checker) || judge::ON_TIME.contains(&checker)
        };
        let mut properties = judged.properties.iter();
        properties.any(|one| one.validity == Validity::Invalid && !of_machine(one.checker))
    };
    // Without a history that can be judged, the failure is all there is to tell.
    match judge::judge(&folder) {
        Ok(judged) if seen(&judged) => Ok(Done { folder, judged, failure: Some(failure) }),
        _ => Err(failure),
    }
}

/// One run that is being carried out.
struct Trial<'a> {
    folder: &'a Folder,
    plan: &'a Plan,
    interrupt: &'a Interrupt,
}

impl Trial<'_> {
    /// Everything between the plan and the closed history; and what was heard of it meanwhile.
    async fn perform(
        &self,
        parts: Parts,
        schedule: Schedule,
    ) -> Result<(Health, Option<Heard>), Failure> {
        let http = clients::http_client().map_err(Failure::harness)?;
        let (cluster, ports, exits) = tokio::select! {
            started = self.start_cluster(&parts, &http) => started?,
            () = self.interrupt.asked() => {
                let message = "cut short before every node was up: nothing was asked".to_owned();
                return Err(Failure { exit: Exit::Unknown, message });
            }
        };
        let clock = Clock::start();
        self.describe(&parts, &ports)?;
        let recorder = Recorder::create(&self.folder.history(), clock).map_err(|error| {
            Failure::harness(format!("writing {}: {error}", self.folder.history().display()))
        })?;
        let live = Live::start(self.folder, self.plan)?;
        let addresses = (1..=self.plan.nodes).map(|node| ports.of(node).client).collect();
        let shared = Arc::new(Shared::new(
            self.plan.clone(),
            clock,
            recorder,
            parts.system,
            parts.workload,
            parts.arrival,
            parts.balancer,
            Arc::clone(&cluster.clients),
            addresses,
        ));
        let watch =
            tokio::task::spawn_local(record_exits(exits, Arc::clone(&shared), self.folder.clone()));
        // Whatever became of it: no client asks on, no node lives on, and the history is closed.
        let driven = self.drive(&shared, &cluster, &http, schedule, &live.violation()).await;
        shared.stop.raise();
        let killed = cluster.processes.kill_all().await;
        // Dropping the cluster ends the channel that the watch reads, so every exit is recorded.
        drop(cluster);
        watch.await.map_err(Failure::harness)?;
        // First, since what cannot be recorded makes other steps fail as well.
        let stall = shared.recorder.close().map_err(|error| {
            Failure::harness(format!(
                "{error}; what was recorded until then can be judged by `tribunal check {}`",
                self.folder.path().display()
            ))
        })?;
        let mut health = driven?;
        killed.map_err(Failure::harness)?;
        health.history_write_ms_max = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
        let heard = live.finish();
        health.controller_memory_bytes = load::memory_max_bytes();
        Ok((health, heard))
    }

    /// Starts every node and waits until each answers.
    async fn start_cluster(
        &self,
        parts: &Parts,
        http: &reqwest::Client,
    ) -> Result<(Arc<Cluster>, Ports, UnboundedReceiver<NodeExit>), Failure> {
        let nodes = self.plan.nodes;
        let ports = Ports::reserve(nodes).map_err(Failure::harness)?;
        let links = match self.plan.links {
            plan::Links::Direct => Links::Direct,
            plan::Links::Proxy => {
                let peers = (1..=nodes).map(|node| (node, ports.of(node).peer)).collect();
                Links::Proxy(Proxy::start(&peers).map_err(Failure::harness)?)
            }
        };
        let mut spawns = Vec::new();
        for node in 1..=nodes {
            let place = self.place(parts, node, &ports, &links);
            std::fs::create_dir_all(&place.folder)
                .and_then(|()| parts.system.spawn(&place))
                .map(|spawn| spawns.push(spawn))
                .map_err(|error| {
                    Failure::harness(format!("preparing {}: {error}", place.folder.display()))
                })?;
        }
        let (processes, exits) = Processes::new(spawns).map_err(Failure::harness)?;
        let clients = Arc::new(ClientGate::new(nodes));
        let cluster = Arc::new(Cluster { processes, links, clients });
        for node in 1..=nodes {
            cluster.processes.start(node).await.map_err(Failure::harness)?;
        }
        for node in 1..=nodes {
            let probe =
                || async { parts.system.status(http, ports.of(node).client).await.is_some() };
            cluster.processes.ready(node, READY_WITHIN, probe).await.map_err(Failure::harness)?;
        }
        eprintln!("{nodes} nodes of {} are up: {}", self.plan.system, self.folder.path().display());
        Ok((cluster, ports, exits))
    }

    fn place(&self, parts: &Parts, node: u32, ports: &Ports, links: &Links) -> Place {
        let members: Vec<u32> = (1..=self.plan.nodes).collect();
        let peers = members.iter().copied().filter(|peer| *peer != node);
        Place {
            node,
            run: parts.number,
            program: parts.program.clone(),
            seed: self.plan.seed_of("node", u64::from(node)),
            folder: self.folder.node(node),
            client: ports.of(node).client,
            listen: ports.of(node).peer,
            peers: peers.map(|peer| (peer, links.peer_address(ports, node, peer))).collect(),
            members,
        }
    }

    fn describe(&self, parts: &Parts, ports: &Ports) -> Result<(), Failure> {
        let mut environment = Environment::read();
        environment.run = format!("{:016x}", parts.number);
        environment.executable =
            parts.program.fingerprint().map_err(Failure::harness)?.unwrap_or_default();
        for (node, at) in ports.all() {
            environment.ports.insert(format!("n{node} client"), at.client.port());
            environment.ports.insert(format!("n{node} peer"), at.peer.port());
        }
        self.folder.write_json("environment.json", &environment)
    }

    /// Clients and faults, then healing, probes and final reads.
    async fn drive(
        &self,
        shared: &Arc<Shared>,
        cluster: &Arc<Cluster>,
        http: &reqwest::Client,
        mut schedule: Schedule,
        violation: &Violation,
    ) -> Result<Health, Failure> {
        let lag = LagWatch::start().map_err(Failure::harness)?;
        let cpu_before = load::cpu_time();
        let progress = Progress::start(shared.clock, self.plan.duration());
        let sampler = Sampler::start(self.folder, shared, cluster, http)?;
        let workers = spawn_workers(shared)?;
        let addresses = shared.addresses.clone();
        let operator = Operator::new(Arc::clone(&shared.system), http.clone(), addresses);
        let mut faults = Faults::new(Arc::clone(cluster), operator);
        let note = |notice: &Notice| {
            progress_of(&progress, notice);
            shared.recorder.record(Entry::nemesis(&notice.name, notice.value()));
        };
        let begin = shared.clock.instant(0);
        let leader = || sampler.ask_leader();
        let nemesis = async {
            conduct(&mut faults, &mut schedule, begin, leader, note, shared.stop.raised()).await;
        };
        let time = async {
            let end = tokio::select! {
                () = tokio::time::sleep_until(begin + self.plan.duration()) => End::Planned,
                () = self.interrupt.asked() => End::CutShort,
                at_ns = violation.found() => End::Violation { at_ns },
                () = failed(shared) => End::Planned,
            };
            shared.stop.raise();
            end
        };
        let ticking = async {
            while !shared.stop.is_raised() {
                progress.tick(shared.recorder.counts());
                tokio::select! {
                    // A node that does not answer must not delay the healing.
                    () = shared.stop.raised() => {}
                    () = sampler.sample_if_due(&lag) => tokio::time::sleep(TICK).await,
                }
            }
        };
        let ((), mut end, ()) = tokio::join!(nemesis, time, ticking);
        let generators = join_workers(workers).await?;
        let controller_cpu_us = (load::cpu_time() - cpu_before).as_micros();
        for notice in faults.heal_all().await {
            progress_of(&progress, &notice);
            shared.recorder.record(Entry::nemesis(&notice.name, notice.value()));
        }
        progress.finish();
        self.folder.write_json("schedule.json", &schedule)?;
        if let Some(why) = end.early() {
            eprintln!("{why}: everything was healed; probes and final reads are left out");
        } else if !shared.recorder.has_failed() {
            let dead: Vec<u32> = faults.dead().collect();
            let alive: Vec<u32> =
                (1..=self.plan.nodes).filter(|node| !dead.contains(node)).collect();
            tokio::select! {
                () = self.aftermath(shared, http, &alive, &generators) => {}
                () = self.interrupt.asked() => {
                    eprintln!("cut short: probes and final reads are not complete");
                    end = End::CutShort;
                }
            }
        }
        sampler.finish(&lag).await?;
        self.health(&lag, controller_cpu_us, end, shared)
    }

    /// What follows the healing.
    async fn aftermath(
        &self,
        shared: &Arc<Shared>,
        http: &reqwest::Client,
        alive: &[u32],
        generators: &[Box<dyn Generator>],
    ) {
        eprintln!("healed: probing every node, then reading every key at several nodes");
        clients::aftermath::probe(shared, http, alive).await;
        clients::aftermath::close(shared, http, alive, generators).await;
    }

    fn health(
        &self,
        lag: &LagWatch,
        controller_cpu_us: u128,
        end: End,
        shared: &Shared,
    ) -> Result<Health, Failure> {
        let count = |counter: &std::sync::atomic::AtomicU64| {
            counter.load(std::sync::atomic::Ordering::Relaxed)
        };
        let counters = &shared.counters;
        Ok(Health {
            timer_lag_ms_max: u64::try_from(lag.worst().as_millis()).unwrap_or(u64::MAX),
            controller_cpu_us: u64::try_from(controller_cpu_us).unwrap_or(u64::MAX),
            cut_short: matches!(end, End::CutShort),
            stopped_by_violation_ns: match end {
                End::Violation { at_ns } => Some(at_ns),
                End::Planned | End::CutShort => None,
            },
            arrivals_shed: count(&counters.shed),
            arrivals_without_session: count(&counters.without_session),
            sessions_opened: count(&counters.sessions),
            session_requests_failed: count(&counters.sessions_failed),
            clients_started: count(&counters.clients),
            ..Health::default()
        })
    }
}

/// Why clients asked no more.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The time was over; or the recorder failed, which is reported elsewhere.
    Planned,
    CutShort,
    /// The plan asks to stop at the first one.
    Violation {
        at_ns: u64,
    },
}

impl End {
    /// What a person is told of a run that ends before its time.
    fn early(self) -> Option<String> {
        match self {
            Self::Planned => None,
            Self::CutShort => Some("cut short".to_owned()),
            Self::Violation { at_ns } => {
                Some(format!("stopped at a violation, found at {:.3} s", at_ns as f64 / 1e9))
            }
        }
    }
}

fn progress_of(progress: &Progress, notice: &Notice) {
    match notice.at {
        At::Start => {
            let nodes: Vec<String> = notice.targets.iter().map(|node| format!("n{node}")).collect();
            let text = format!("{} {}", notice.spec, nodes.join(" "));
            progress.fault_began(u64::from(notice.id), text);
        }
        At::End => progress.fault_ended(u64::from(notice.id)),
    }
}

type Workers = Vec<std::thread::JoinHandle<std::io::Result<Vec<Box<dyn Generator>>>>>;

fn spawn_workers(shared: &Arc<Shared>) -> Result<Workers, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    let of = u32::try_from(threads).unwrap_or(1).min(shared.plan.clients);
    let spawn = |number| {
        let shared = Arc::clone(shared);
        std::thread::Builder::new()
            .name(format!("clients-{number}"))
            .spawn(move || Worker { number, of }.run(&shared))
            .map_err(Failure::harness)
    };
    (0..of).map(spawn).collect()
}

async fn join_workers(workers: Workers) -> Result<Vec<Box<dyn Generator>>, Failure> {
    let joined = tokio::task::spawn_blocking(move || {
        let mut generators = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(Ok(own)) => generators.extend(own),
                Ok(Err(error)) => return Err(Failure::harness(error)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(generators)
    });
    joined.await.map_err(Failure::harness)?
}

/// Records the end of every process: whether it was of our doing is part of the event.
async fn record_exits(mut exits: UnboundedReceiver<NodeExit>, shared: Arc<Shared>, folder: Folder) {
    while let Some(exit) = exits.recv().await {
        let log = if exit.expected { String::new() } else { log_tail(&folder, exit.node) };
        let pair = |key: &str, value| (Value::text(key), value);
        let value = Value::Map(vec![
            pair("node", Value::Int(exit.node.into())),
            pair("status", Value::text(&exit.status.to_string())),
            pair("expected", Value::Bool(exit.expected)),
            pair("log", Value::text(&log)),
        ]);
        shared.recorder.record(Entry::nemesis("node-exit", value));
    }
}

/// The last lines of what a node said on its standard error.
fn log_tail(folder: &Folder, node: u32) -> String {
    const LINES: usize = 5;
    let text = std::fs::read_to_string(folder.node(node).join("stderr.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Waits until the history can no longer be written.
async fn failed(shared: &Shared) {
    while !shared.recorder.has_failed() {
        tokio::time::sleep(TICK).await;
    }
}
