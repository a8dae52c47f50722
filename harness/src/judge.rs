//! From the files of a run's folder to its verdict: the same code for a live run and an old one.

use crate::clients::stride;
use crate::environment::Environment;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::load::Health;
use crate::node_logs;
use crate::plan::Plan;
use crate::simulate::breach::{self, Breach};
use crate::systems::{self, System};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tribunal_checkers::coverage::Coverage;
use tribunal_checkers::errors::Errors;
use tribunal_checkers::fairness::Clients;
use tribunal_checkers::latency::Latency;
use tribunal_checkers::linearizability::NEEDS_HISTORY;
use tribunal_checkers::severity::Severity;
use tribunal_checkers::statistics::Statistics;
use tribunal_checkers::{Checker, Judges, Validity, Verdict, Window, Windows, check_all, worst};
use tribunal_history::{Event, Operation, jsonl};
use tribunal_spec::Spec;
use tribunal_workloads::Balancer;
use tribunal_workloads::arrival::{Arrival, arrival};
use tribunal_workloads::properties::{Terms, fairness, properties};

/// Everything that a report is made from, beside the history itself.
#[derive(Debug)]
pub struct Judged {
    /// What was asked.
    pub plan: Plan,
    /// What it took place on.
    pub environment: Environment,
    /// All in all.
    pub validity: Validity,
    /// The properties of the system: they convict.
    pub properties: Vec<Verdict>,
    /// What was covered: gaps make a verdict unknown.
    pub coverage: Vec<Verdict>,
    /// Figures that decide nothing.
    pub figures: Vec<Verdict>,
    /// The health of the harness.
    pub health: Health,
    /// The faults by their start.
    pub windows: Vec<Window>,
    /// Whether the history's last line is cut, as when the controller was killed.
    pub history_cut: bool,
}

/// The properties that rest on limits of time, which a starved controller cannot convict on.
pub const ON_TIME: &[&str] = &["available", "recovers"];

/// Judges the run in `folder`.
///
/// # Errors
/// If a file is missing or not what it should be.
pub fn judge(folder: &Folder) -> Result<Judged, Failure> {
    let plan: Plan = folder.read_json("plan.json")?;
    let heard = hear(folder, Judging::new(&plan)?)?;
    conclude(folder, heard)
}

/// The verdict from what was heard of the whole history, and the other files of `folder`. What was heard live is
/// the same as what is heard from the closed file.
///
/// # Errors
/// If a file is missing or not what it should be.
pub fn conclude(folder: &Folder, mut heard: Heard) -> Result<Judged, Failure> {
    let plan: Plan = folder.read_json("plan.json")?;
    if heard.needs_history() {
        heard = hear(folder, Judging::keeping(&plan)?)?;
    }
    let environment: Environment = folder.read_json("environment.json")?;
    let health = if folder.file("health.json").is_file() {
        folder.read_json("health.json")?
    } else {
        // The controller was killed before it could write any.
        Health { cut_short: true, ..Health::default() }
    };
    let Heard { mut properties, coverage, mut figures, windows, history_cut } = heard;
    if properties.iter().any(not_linearizable) {
        figures.extend(how_bad(folder)?);
    }
    if environment.simulated.is_none() {
        properties.push(node_logs::judge(folder, plan.nodes));
    }
    if folder.file(breach::FILE).is_file() {
        properties.push(folder.read_json::<Breach>(breach::FILE)?.verdict());
    }
    if let Some(why) = health.starved() {
        properties.iter_mut().for_each(|verdict| excuse(verdict, &why));
    }
    let mut validity = worst(&properties).max(worst_gap(&coverage));
    if health.cut_short {
        validity = validity.max(Validity::Unknown);
    }
    Ok(Judged {
        plan,
        environment,
        validity,
        properties,
        coverage,
        figures,
        health,
        windows,
        history_cut,
    })
}

/// Reads the history of `folder` to its end.
fn hear(folder: &Folder, mut judging: Judging) -> Result<Heard, Failure> {
    let mut events = open(folder)?;
    for event in &mut events {
        judging.event(event, folder)?;
    }
    Ok(judging.finish(events.cut_short()))
}

/// All checkers of a run, at work on its history.
pub struct Judging {
    judges: Judges,
    properties: usize,
    coverage: usize,
    windows: Arc<Mutex<Windows>>,
}

/// What the checkers said of a whole history.
#[derive(Debug)]
pub struct Heard {
    properties: Vec<Verdict>,
    coverage: Vec<Verdict>,
    figures: Vec<Verdict>,
    windows: Vec<Window>,
    history_cut: bool,
}

/// After so many events the checkers may forget what is settled. A number of events, not a time: a run that is judged
/// live and one that is judged from its file forget the same.
const SETTLE_EVERY: u64 = 1 << 16;

impl Judging {
    /// Checkers that forget what is settled.
    ///
    /// # Errors
    /// If the plan names something that does not exist.
    pub fn new(plan: &Plan) -> Result<Self, Failure> {
        Self::with(plan, |checkers| Judges::settling(checkers, SETTLE_EVERY))
    }

    /// Checkers that keep all they need to tell every anomaly.
    ///
    /// # Errors
    /// If the plan names something that does not exist.
    pub fn keeping(plan: &Plan) -> Result<Self, Failure> {
        Self::with(plan, Judges::new)
    }

    fn with(
        plan: &Plan,
        judges: impl FnOnce(Vec<Box<dyn Checker>>) -> Judges,
    ) -> Result<Self, Failure> {
        let system = systems::system(&plan.system.parse()?, 0)?;
        let properties = property_checkers(plan, &*system)?;
        let coverage = coverage_checkers(plan);
        let mut figures = figure_checkers(plan, &*system)?;
        let windows = Arc::default();
        figures.push(Box::new(CollectWindows(Arc::clone(&windows))));
        let (properties_count, coverage_count) = (properties.len(), coverage.len());
        let all = properties.into_iter().chain(coverage).chain(figures).collect();
        Ok(Self {
            judges: judges(all),
            properties: properties_count,
            coverage: coverage_count,
            windows,
        })
    }

    /// Takes the next line of the history of `folder`.
    ///
    /// # Errors
    /// If it is no event, or cannot be the next.
    pub fn event(
        &mut self,
        event: Result<Event, jsonl::ReadError>,
        folder: &Folder,
    ) -> Result<(), Failure> {
        let unreadable = |error: &dyn std::error::Error| {
            Failure::usage(format!("{}: {error}", folder.history().display()))
        };
        let event = event.map_err(|error| unreadable(&error))?;
        self.judges.event(event).map_err(|error| unreadable(&error))
    }

    /// Whether clients have seen a violation; see [`Checker::violated`].
    pub fn violated(&mut self) -> bool {
        self.judges.violated()
    }

    /// How many events were taken.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.judges.events()
    }

    /// The verdicts on what was taken.
    #[must_use]
    pub fn finish(self, history_cut: bool) -> Heard {
        let mut verdicts = self.judges.finish();
        // Its verdict says nothing; what it saw is in `windows`.
        verdicts.pop();
        let windows: Windows = std::mem::take(&mut *lock(&self.windows));
        let figures = verdicts.split_off(self.properties + self.coverage);
        let coverage = verdicts.split_off(self.properties);
        Heard { properties: verdicts, coverage, figures, windows: windows.finish(), history_cut }
    }
}

impl Heard {
    /// Whether a checker has forgotten what it needs to tell.
    fn needs_history(&self) -> bool {
        self.properties.iter().any(|one| one.unknown.as_deref() == Some(NEEDS_HISTORY))
    }
}

/// Whether the first `count` events of the history of `folder` are a violation, judged by checkers that keep everything.
///
/// # Errors
/// If the history cannot be read.
pub fn violated_within(folder: &Folder, plan: &Plan, count: u64) -> Result<bool, Failure> {
    let mut judging = Judging::keeping(plan)?;
    let mut events = open(folder)?;
    while judging.events() < count
        && let Some(event) = events.next()
    {
        judging.event(event, folder)?;
    }
    Ok(judging.violated())
}

/// Keeps the faults that go by, for the report.
struct CollectWindows(Arc<Mutex<Windows>>);

impl Checker for CollectWindows {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn operation(&mut self, _operation: &Operation) {}

    fn nemesis(&mut self, event: &Event) {
        lock(&self.0).push(event);
    }

    fn finish(self: Box<Self>) -> Verdict {
        Verdict::valid("windows", true)
    }
}

fn lock(windows: &Mutex<Windows>) -> MutexGuard<'_, Windows> {
    windows.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_linearizable(verdict: &Verdict) -> bool {
    verdict.checker == "linearizable" && verdict.validity == Validity::Invalid
}

/// How bad a history is, by another pass over it: those that are linearizable need neither the time nor the memory.
fn how_bad(folder: &Folder) -> Result<Vec<Verdict>, Failure> {
    check_all(open(folder)?, vec![Box::new(Severity::new())])
        .map_err(|error| Failure::usage(format!("{}: {error}", folder.history().display())))
}

/// A gap in coverage, or shares that were asserted and missed.
fn worst_gap(coverage: &[Verdict]) -> Validity {
    if coverage.is_empty() { Validity::Valid } else { worst(coverage) }
}

/// A limit of time that was missed while the controller was starved convicts nobody.
fn excuse(verdict: &mut Verdict, why: &str) {
    if verdict.validity != Validity::Invalid || !ON_TIME.contains(&verdict.checker) {
        return;
    }
    let message = verdict.anomalies.first().map_or("", |anomaly| &anomaly.message);
    let unknown = format!("{why} (it would have been: {message})");
    let figures = std::mem::take(&mut verdict.figures);
    *verdict = Verdict { figures, ..Verdict::unknown(verdict.checker, unknown) };
}

fn property_checkers(plan: &Plan, system: &dyn System) -> Result<Vec<Box<dyn Checker>>, Failure> {
    let spec: Spec = plan.workload.parse()?;
    let workload = tribunal_workloads::workload(&spec, plan.clients_max, &system.offers())?;
    Ok(properties(&*workload, &balancer(plan)?, &terms(plan, system)?))
}

/// What the plan is held to.
fn terms(plan: &Plan, system: &dyn System) -> Result<Terms, Failure> {
    let ns = |ms: u64| ms.saturating_mul(1_000_000);
    let recovered_ms = plan.recover_within_ms.saturating_add(plan.timeout_ms);
    Ok(Terms {
        nodes: plan.nodes,
        needed: system.needed(plan.nodes).map_err(Failure::usage)?,
        available_within_ns: ns(plan.available_within_ms),
        recover_within_ns: ns(plan.recover_within_ms),
        returns_within_ns: ns(plan.returns_within_ms.unwrap_or(recovered_ms)),
        retries: plan.retry,
        assert_shares: plan.assert_shares,
        clients: closed_loop_clients(plan),
    })
}

fn balancer(plan: &Plan) -> Result<Balancer, Failure> {
    let spec: Spec = plan.balancer.parse()?;
    Ok(tribunal_workloads::balancer(&spec, plan.nodes, 0)?)
}

fn coverage_checkers(plan: &Plan) -> Vec<Box<dyn Checker>> {
    let waived = |name: &&str| !plan.waive.iter().any(|waived| waived == name);
    let requested: BTreeSet<&str> =
        plan.nemesis.iter().filter_map(|spec| spec.split(':').next()).filter(waived).collect();
    vec![Box::new(Statistics::new([]).waiving(&plan.waive)), Box::new(Coverage::new(requested))]
}

fn figure_checkers(plan: &Plan, system: &dyn System) -> Result<Vec<Box<dyn Checker>>, Failure> {
    let mut checkers: Vec<Box<dyn Checker>> =
        vec![Box::new(Errors::new()), Box::new(Latency::new().0)];
    if !plan.assert_shares {
        checkers.push(Box::new(fairness(&balancer(plan)?, &terms(plan, system)?)));
    }
    Ok(checkers)
}

/// The clients among whom service should be even. In an open loop, whoever is free takes an arrival: nothing is meant to be.
fn closed_loop_clients(plan: &Plan) -> Option<Clients> {
    let arrival = plan.rate.parse().ok().and_then(|spec| arrival(&spec).ok())?;
    (arrival == Arrival::Closed)
        .then(|| Clients { count: u64::from(plan.clients), stride: stride(plan) })
}

type Events = jsonl::Reader<BufReader<File>>;

fn open(folder: &Folder) -> Result<Events, Failure> {
    let path = folder.history();
    let shown = path.display();
    let file =
        File::open(&path).map_err(|error| Failure::usage(format!("reading {shown}: {error}")))?;
    jsonl::Reader::new(BufReader::with_capacity(1 << 20, file))
        .map_err(|error| Failure::usage(format!("{shown}: {error}")))
}
