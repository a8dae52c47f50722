//! Simulated executions: many seeds on all cores, or one seed with everything that a run leaves behind.
//!
//! * [`seeds`]: which seeds, several at once, told in their order.
//! * [`tally`]: what came of them, added up; [`summary`]: the same for people and for machines.
//! * [`replay`]: one execution into the folder of a run, judged and reported as a real one is.
//! * [`shrinking`]: a convicted execution made small, and its folder.
//! * [`plan_file`]: a plan that was kept, and perhaps edited.
//! * [`breach`]: the file that tells of an invariant, which no history shows.
//!
//! One execution is wholly on one thread and a function of its plan, so nothing here decides anything but the order in
//! which results are told: that of the seeds, whatever the threads do.
//!
//! Absent: any judgement of its own; the simulator's outcome convicts, and for a replay the files of its folder.

pub mod breach;
mod panics;
pub mod plan_file;
mod progress;
pub mod replay;
pub mod seeds;
pub mod shrinking;
pub mod summary;
pub mod tally;

use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::systems;
use progress::Progress;
use rayon::ThreadPoolBuilder;
use seeds::Seeds;
use std::ops::ControlFlow;
use tally::Tally;
use tribunal_nemesis::ScheduleError;
use tribunal_sim::{Asked, Options, Outcome, Plan};
use tribunal_workloads::mutants::ClientBug;

/// What all executions of one command have in common.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// What is not to be drawn.
    pub asked: Asked,
    /// Whether invariants are left out.
    pub black_box: bool,
}

impl Question {
    /// The plan of a seed.
    ///
    /// # Errors
    /// If what was asked for is impossible.
    pub fn plan(&self, seed: u64) -> Result<Plan, Failure> {
        Plan::swarm(seed, &self.asked).map_err(|error| {
            let hint = match &error {
                ScheduleError::TooFewNodes { .. } => "; ask for another number with --nodes",
                _ => "",
            };
            match &error {
                // What does not exist, exists for no seed.
                ScheduleError::Spec(_) => Failure::usage(error),
                _ => Failure::usage(format!("seed {seed}: {error}{hint}")),
            }
        })
    }

    /// The plan of a seed, if all that it names exists and fits.
    ///
    /// # Errors
    /// What is wrong, with a hint.
    pub fn checked_plan(&self, seed: u64) -> Result<Plan, Failure> {
        let plan = self.plan(seed)?;
        check(&plan).map_err(|failure| match self.nodes_that_fit(&plan) {
            Some(nodes) => Failure::usage(format!(
                "{failure}; the number of nodes is drawn from each seed, `--nodes {nodes}` fixes it"
            )),
            None => failure,
        })?;
        Ok(plan)
    }

    /// The number of nodes that the balancer wants, if it does not fit the number that was drawn.
    fn nodes_that_fit(&self, plan: &Plan) -> Option<u32> {
        let fits = |nodes: &u32| tribunal_workloads::balancer(&plan.balancer, *nodes, 0).is_ok();
        if self.asked.nodes.is_some() || fits(&plan.nodes) {
            return None;
        }
        plan_file::NODES.into_iter().find(fits)
    }

    /// The command that repeats one seed, with every option that was asked.
    #[must_use]
    pub fn command(&self, seed: u64) -> String {
        format!("{} --replay {seed}", self.options())
    }

    /// The command without its seeds.
    fn options(&self) -> String {
        let Asked { system, nodes, clients, workload, balancer, .. } = &self.asked;
        let mut command = "tribunal sim".to_owned();
        let mut add = |option: &str, value: Option<String>| {
            if let Some(value) = value {
                command.push_str(&format!(" --{option} {value}"));
            }
        };
        add("system", system.as_ref().map(ToString::to_string));
        add("workload", workload.as_ref().map(ToString::to_string));
        add("balancer", balancer.as_ref().map(ToString::to_string));
        add("nodes", nodes.map(|nodes| nodes.to_string()));
        add("clients", clients.map(|clients| clients.to_string()));
        add("nemesis", self.asked.nemesis.as_ref().map(|specs| nemesis(specs)));
        add("duration", self.asked.duration_ms.map(|ms| format!("{ms}ms")));
        add("client-bug", self.asked.client_bug.clone());
        if self.asked.assert_shares {
            command.push_str(" --assert-shares");
        }
        if self.black_box {
            command.push_str(" --black-box");
        }
        command
    }
}

/// The faults as they are asked for.
fn nemesis(specs: &[tribunal_spec::Spec]) -> String {
    let specs: Vec<String> = specs.iter().map(ToString::to_string).collect();
    if specs.is_empty() { "none".to_owned() } else { specs.join(",") }
}

/// Runs the executions of `seeds`, and tells `convicted` of each that is convicted, in the order of seeds.
/// A failure of an execution, or of `convicted`, stops the others. It is in the tally, since a conviction outranks it.
pub fn explore(
    question: &Question,
    seeds: &Seeds,
    jobs: usize,
    interrupt: &Interrupt,
    mut convicted: impl FnMut(&tally::Convicted) -> Result<(), Failure> + Send,
) -> Tally {
    let mut tally = Tally::start(&question.asked);
    let mut progress = Progress::start(seeds.count());
    let options = Options { black_box: question.black_box, record: false };
    let work = |seed: u64| execute(&question.plan(seed)?, options);
    seeds::in_order(seeds, jobs, &|| interrupt.is_asked(), &work, |seed, result| {
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(failure) => {
                tally.failed(failure);
                return ControlFlow::Break(());
            }
        };
        let new = tally.add(seed, &outcome);
        progress.tick(&tally);
        let Some(new) = new else { return ControlFlow::Continue(()) };
        if let Err(failure) = convicted(&new) {
            tally.failed(failure);
            return ControlFlow::Break(());
        }
        if seeds.until_failure { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    progress.finish();
    tally.end(interrupt.is_asked() && !tally.reached_the_end_of(seeds));
    tally
}

/// Refuses a plan that names something that does not exist or does not fit.
///
/// # Errors
/// What is wrong, with a hint.
pub fn check(plan: &Plan) -> Result<(), Failure> {
    let system = systems::system(&plan.system, 0)?;
    tribunal_workloads::workload(&plan.workload, plan.clients, &system.offers())?;
    tribunal_workloads::balancer(&plan.balancer, plan.nodes, 0)?;
    match plan.client_bug.as_deref().map(str::parse::<ClientBug>) {
        Some(Err(unknown)) => {
            Err(Failure::usage(format!("{unknown}; `tribunal list mutants` lists them")))
        }
        Some(Ok(_)) | None => Ok(()),
    }
}

/// Runs one plan on this thread; a panic that is not a core's is a failure of the harness.
///
/// # Errors
/// If the plan cannot be run, or the simulator fails.
pub fn execute(plan: &Plan, options: Options) -> Result<Outcome, Failure> {
    let seed = plan.seed;
    caught(seed, || tribunal_sim::run(plan, options))?
        .map_err(|error| Failure::usage(format!("seed {seed}: {error}")))
}

/// Does what executes on this thread; a panic that comes out of it is a failure of the harness.
fn caught<T>(seed: u64, work: impl FnOnce() -> T) -> Result<T, Failure> {
    panics::caught(work)
        .map_err(|panic| Failure::harness(format!("seed {seed}: the simulator failed: {panic}")))
}

/// Keeps on this thread what checkers would do on a pool of threads: executions are what runs in parallel.
///
/// # Errors
/// If the thread is in a pool already.
pub(crate) fn keep_to_this_thread() -> Result<(), Failure> {
    let built = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    built.map(drop).map_err(Failure::harness)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn plan() -> Plan {
        Question::default().plan(5).expect("possible")
    }

    #[test]
    fn a_panic_of_the_simulator_is_a_failure_that_names_the_seed() {
        let broken = Plan { nodes: 0, ..plan() };
        let failure = execute(&broken, Options::default()).expect_err("no system has no nodes");
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.message.starts_with("seed 5: the simulator failed: "), "{failure}");
    }

    #[test]
    fn a_plan_that_names_nothing_known_is_wrong_usage() {
        let spec = |text: &str| text.parse().expect("a spec");
        let wrong = [
            Plan { system: spec("multi-paxos:mutant=lazy-fsink"), ..plan() },
            Plan { workload: spec("registre"), ..plan() },
            Plan { balancer: spec("round-robbin"), ..plan() },
            Plan { client_bug: Some("no-such-bug".to_owned()), ..plan() },
        ];
        for plan in wrong {
            assert_eq!(check(&plan).expect_err("refused").exit, Exit::Usage);
            let failure = execute(&plan, Options::default()).expect_err("refused");
            assert_eq!(failure.exit, Exit::Usage, "{failure}");
        }
        check(&plan()).expect("the plan is right by itself");
    }

    #[test]
    fn a_command_holds_all_that_was_asked_and_nothing_that_is_drawn() {
        assert_eq!(Question::default().command(7), "tribunal sim --replay 7");
        let spec = |text: &str| text.parse().expect("a spec");
        let asked = Asked {
            system: Some(spec("multi-paxos:mutant=lazy-fsync")),
            nodes: Some(3),
            clients: Some(4),
            workload: Some(spec("set")),
            balancer: Some(spec("random")),
            client_bug: Some("timeout-is-fail".to_owned()),
            nemesis: Some(vec![spec("kill"), spec("clock:kind=rate")]),
            duration_ms: Some(1_500),
            assert_shares: true,
        };
        let question = Question { asked, black_box: true };
        assert_eq!(
            question.command(7),
            "tribunal sim --system multi-paxos:mutant=lazy-fsync --workload set --balancer random --nodes 3 --clients 4 \
             --nemesis kill,clock:kind=rate --duration 1500ms --client-bug timeout-is-fail --assert-shares --black-box \
             --replay 7"
        );
        let calm = Asked { nemesis: Some(Vec::new()), ..Asked::default() };
        let question = Question { asked: calm, black_box: false };
        assert_eq!(question.command(7), "tribunal sim --nemesis none --replay 7");
    }
}
