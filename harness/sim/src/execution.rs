//! Runs one plan, from its first event to its verdict.

use crate::clients::Clients;
use crate::invariants::{Breach, Invariants};
use crate::nemesis::Nemesis;
use crate::plan::{MS, Plan};
use crate::random::Random;
use crate::recorder::Recorder;
use crate::standing::{self, Standing};
use crate::trace::Trace;
use crate::world::{Parts, STREAM_CLIENTS, STREAM_NEMESIS, World};
use std::collections::{BTreeMap, BTreeSet};
use tribunal_checkers::{Validity, Verdict};
use tribunal_history::Event;
use tribunal_nemesis::{Fault, Injection, Schedule};
use tribunal_protocol::mutants;
use tribunal_protocol::variants::{self, VARIANTS, Visit};
use tribunal_protocol::{Capabilities, Config, Core, NodeId, Time};
use tribunal_spec::{Spec, SpecError};
use tribunal_workloads::Needs;
use tribunal_workloads::mutants::{ClientBug, UnknownBug};
use tribunal_workloads::properties::{Terms, properties};

pub use crate::recorder::Counts;

/// What is wanted of an execution besides its verdict.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Leave the invariants out: only what clients see convicts.
    pub black_box: bool,
    /// Keep the history and the messages.
    pub record: bool,
}

/// What came of an execution.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Stands for all that happened: equal for two executions that took the same steps.
    pub hash: u64,
    /// The invariant that was breached and in which step, counted from 1.
    pub breach: Option<(u64, Breach)>,
    /// What the checkers say.
    pub verdicts: Vec<Verdict>,
    /// Whether the clients came to their end; if not, some operation never ended.
    pub finished: bool,
    /// Whether it was ended at a violation, before all that the plan holds.
    pub stopped: bool,
    /// How each node stood at the end.
    pub nodes: Vec<Standing>,
    /// Operations.
    pub counts: Counts,
    /// Events taken from the queue.
    pub events: u64,
    /// Steps of cores.
    pub steps: u64,
    /// Messages between nodes.
    pub messages: u64,
    /// Batches that nodes gave to their disks.
    pub writes: u64,
    /// How long it took in virtual time, in ns.
    pub virtual_ns: u64,
    /// By name, how many faults were in effect.
    pub faults: BTreeMap<&'static str, u64>,
    /// By invariant, how many checks it left out: what it would have compared with was dropped from every node's memory.
    pub skipped: BTreeMap<&'static str, u64>,
    /// The distinct states that the system went through, coarsely, each by its hash.
    pub states: BTreeSet<u64>,
    /// The schedule, with what its targets came to mean.
    pub schedule: Schedule,
    /// The history, if it was to be recorded.
    pub history: Option<Vec<Event>>,
    /// The messages, if they were to be recorded.
    pub trace: Option<Trace>,
}

/// Why a plan cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It names something that does not exist, or a parameter that does not fit.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The variant takes no such options.
    #[error("{0}")]
    Options(String),
    /// Clients would send again what may have taken effect, and nothing recognizes it.
    #[error(
        "{0} has no sessions, so a request that is sent again could take effect twice: plan no retries"
    )]
    Retries(String),
    /// The variant cannot change its membership, and a fault would.
    #[error("{0} cannot change its membership: leave out the fault `membership`")]
    Membership(String),
    /// There is no such mutant.
    #[error("{0}")]
    Mutant(String),
    /// There is no such bug of clients.
    #[error(transparent)]
    ClientBug(#[from] UnknownBug),
}

impl Outcome {
    /// The property that convicts: an invariant, or the first checker that says so.
    #[must_use]
    pub fn convicted_by(&self) -> Option<&'static str> {
        if let Some((_, breach)) = &self.breach {
            return Some(breach.invariant);
        }
        let invalid = |verdict: &&Verdict| verdict.validity == Validity::Invalid;
        let convicting = self.verdicts.iter().find(invalid).map(|verdict| verdict.checker);
        convicting.or((!self.finished).then_some("ends"))
    }

    /// Why, in one sentence; empty if nothing convicts.
    #[must_use]
    pub fn why(&self) -> String {
        if let Some((step, breach)) = &self.breach {
            return format!("{} (step {step}): {}", breach.invariant, breach.why);
        }
        let invalid = |verdict: &&Verdict| verdict.validity == Validity::Invalid;
        let Some(verdict) = self.verdicts.iter().find(invalid) else {
            let why = if self.finished { "" } else { "ends: an operation never ended" };
            return why.to_owned();
        };
        let message = verdict.anomalies.first().map_or("", |anomaly| &anomaly.message);
        format!("{}: {message}", verdict.checker)
    }
}

/// Runs a plan.
///
/// # Errors
/// [`PlanError`] before anything happens.
pub fn run(plan: &Plan, options: Options) -> Result<Outcome, PlanError> {
    let capabilities = capabilities(plan)?;
    let workload =
        tribunal_workloads::workload(&plan.workload, plan.clients, &needs(&capabilities))?;
    let mut random = Random::new(plan.seed, STREAM_CLIENTS);
    let seed = random.bits();
    let balancer = tribunal_workloads::balancer(&plan.balancer, plan.nodes, seed)?;
    let checkers = properties(&*workload, &balancer, &terms(plan)?);
    let recorder = Recorder::new(checkers, options.record);
    if let Some(name) = plan.system.params.get(mutants::OPTION)
        && !variants::mutants().iter().any(|(of, one)| *of == plan.system.name && one.name == name)
    {
        return Err(PlanError::Mutant(format!("{} has no mutant `{name}`", plan.system.name)));
    }
    let keep_asked = !options.black_box;
    let bug = plan.client_bug.as_deref().map(str::parse::<ClientBug>).transpose()?;
    let parts = Parts {
        clients: Clients::new(plan, workload, balancer, bug, keep_asked, random),
        recorder,
        nemesis: Nemesis::new(plan.schedule.clone(), Random::new(plan.seed, STREAM_NEMESIS)),
        invariants: (!options.black_box).then(Invariants::new),
        trace: options.record.then(Trace::new),
    };
    let unknown = || SpecError::Grammar {
        text: plan.system.to_string(),
        why: "the simulator hosts no such system",
    };
    variants::dispatch(&plan.system.name, &plan.options(), Execute { plan, parts })
        .ok_or_else(|| PlanError::from(unknown()))?
}

struct Execute<'p> {
    plan: &'p Plan,
    parts: Parts,
}

impl Visit for Execute<'_> {
    type Output = Result<Outcome, PlanError>;

    fn visit<C: Core>(self) -> Self::Output {
        try_options::<C>(self.plan)?;
        let mut world = World::<C>::new(self.plan, self.parts);
        let finished = world.run();
        let virtual_ns = world.now_ns;
        let counts = world.recorder.counts;
        let stopped = world.violated || world.breach.is_some();
        let nodes = standing::of(&world);
        let (verdicts, history) = world.recorder.finish();
        let counters = world.counters;
        Ok(Outcome {
            hash: world.hash.finish(),
            breach: world.breach,
            verdicts,
            finished,
            stopped,
            nodes,
            counts,
            events: counters.events,
            steps: counters.steps,
            messages: counters.messages,
            writes: counters.writes,
            virtual_ns,
            faults: world.nemesis.installed,
            skipped: world.invariants.iter().flat_map(Invariants::skipped).collect(),
            states: world.coverage.finish(),
            schedule: world.nemesis.schedule,
            history,
            trace: world.trace,
        })
    }
}

/// Starts a core from nothing, to see whether it takes its options.
fn try_options<C: Core>(plan: &Plan) -> Result<(), PlanError> {
    let config = Config {
        node: NodeId(1),
        members: (1..=plan.nodes).map(NodeId).collect(),
        incarnation: 1,
        seed: 0,
        timing: plan.node.timing(),
        limits: plan.node.limits(),
        options: plan.options(),
    };
    let started = C::recover(
        config,
        Time(0),
        None,
        std::iter::empty(),
        &mut tribunal_protocol::Output::default(),
    );
    started.map(drop).map_err(|damaged| PlanError::Options(damaged.0))
}

/// What the plan's system offers.
fn capabilities(plan: &Plan) -> Result<Capabilities, PlanError> {
    let capabilities = capabilities_of(&plan.system)?;
    if plan.client.retries > 0 && !capabilities.sessions {
        return Err(PlanError::Retries(plan.system.name.clone()));
    }
    let changes = |injection: &Injection| matches!(injection.fault, Fault::Membership { .. });
    if !capabilities.membership && plan.schedule.injections.iter().any(changes) {
        return Err(PlanError::Membership(plan.system.name.clone()));
    }
    Ok(capabilities)
}

/// What the variant offers.
pub(crate) fn capabilities_of(system: &Spec) -> Result<Capabilities, SpecError> {
    let entry = |variant: &variants::Variant| tribunal_spec::Entry {
        name: variant.name,
        summary: variant.summary,
        params: variant.params,
    };
    let lines: Vec<_> = VARIANTS.iter().map(|variant| (entry(variant), variant)).collect();
    let (_, variant) = tribunal_spec::find("system", &system.name, &lines, |(entry, _)| entry)?;
    Ok(variant.capabilities)
}

/// What a workload may ask of a variant with these capabilities.
#[must_use]
pub fn needs(capabilities: &Capabilities) -> Needs {
    Needs {
        cas: capabilities.cas,
        collections: capabilities.collections,
        transactions: capabilities.transactions,
    }
}

/// What the plan is held to.
fn terms(plan: &Plan) -> Result<Terms, PlanError> {
    let needed = variants::needed(&plan.system.name, &plan.options(), plan.nodes as usize);
    let needed = needed.transpose().map_err(|damaged| PlanError::Options(damaged.0))?.unwrap_or(0);
    Ok(Terms {
        nodes: plan.nodes,
        needed: u32::try_from(needed).unwrap_or(u32::MAX),
        available_within_ns: plan.available_within_ms * MS,
        recover_within_ns: plan.recover_within_ms * MS,
        returns_within_ns: plan.available_within_ms * MS,
        retries: plan.client.retries,
        assert_shares: plan.assert_shares,
        clients: None,
    })
}
