//! `tribunal sim`: simulated executions, many seeds or one.

use super::{Answer, duration, print};
use crate::exit::{Exit, Failure, outranking};
use crate::interrupt::Interrupt;
use crate::report;
use crate::simulate::replay::Replay;
use crate::simulate::seeds::{self, Seeds};
use crate::simulate::shrinking::{Found, Shrinking, Smaller};
use crate::simulate::{Question, explore, plan_file, summary};
use crate::systems;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;
use tribunal_sim::{Asked, Plan, shrink};
use tribunal_spec::Spec;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tribunal sim\n  tribunal sim --seeds 0..100000 --nodes 5\n  \
    tribunal sim --system multi-paxos:mutant=lazy-fsync --nemesis power-loss,kill --until-failure\n  \
    tribunal sim --system majority-vote --replay 3\n  \
    tribunal sim --system multi-paxos:mutant=lazy-fsync --until-failure --shrink\n\
    What is not asked for is drawn from each seed. One seed is one execution, on every machine.\n\
    Once faults have ended, clients go on for a calm time of some seconds, in which recovery and availability are judged.")]
pub(super) struct Args {
    /// The variant, one of `tribunal list systems` [default: multi-paxos]
    #[arg(long)]
    system: Option<Spec>,
    /// Seeds to execute, the end excluded: A..B, or A.. with --until-failure [default: 0..1000, or 0..]
    #[arg(long, value_name = "A..B")]
    seeds: Option<Seeds>,
    /// Number of nodes [default: drawn, 3, 4 or 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=9))]
    nodes: Option<u32>,
    /// Number of clients, each with one operation under way at most [default: drawn, 2 to 8]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: Option<u32>,
    /// What is asked [default: drawn, of what the variant can serve]
    #[arg(long)]
    workload: Option<Spec>,
    /// Which node gets an operation
    #[arg(long)]
    balancer: Option<Spec>,
    /// A known bug of the client library
    #[arg(long, value_name = "NAME")]
    client_bug: Option<String>,
    /// Faults to inject, or `none`
    #[arg(long, value_name = "F,F")]
    nemesis: Option<String>,
    /// How long clients ask under faults, in virtual time, at most 10m; a calm time follows [default: drawn, 1.5 to 4 s]
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
    /// Make it part of the verdict that the balancer keeps its declared shares, unless it may leave failing nodes, and comes
    /// back to nodes that recovered; each execution is about 14 s of virtual time longer
    #[arg(long)]
    assert_shares: bool,
    /// Go on until an execution is convicted
    #[arg(long)]
    until_failure: bool,
    /// Execute one seed and write the folder of a run, with its messages
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "until_failure", "jobs"])]
    replay: Option<u64>,
    /// Execute one plan, the simulation.json of an earlier replay, and write the folder of a run
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "replay", "seeds", "until_failure", "jobs", "system", "nodes", "clients", "workload", "balancer", "client_bug", "nemesis",
        "duration", "assert_shares",
    ])]
    plan: Option<PathBuf>,
    /// Make a convicted execution small, show it as a sequence of messages, and write its folder; of many seeds, the first
    /// that is convicted
    #[arg(long)]
    shrink: bool,
    /// With how many seeds a smaller plan is tried before it is given up
    #[arg(long, value_name = "N", requires = "shrink", default_value_t = shrink::Options::default().seeds_each,
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    shrink_seeds: u32,
    /// How many executions may be used to shrink
    #[arg(long, value_name = "N", requires = "shrink", default_value_t = shrink::Options::default().executions_max,
        value_parser = clap::value_parser!(u64).range(1..))]
    shrink_executions: u64,
    /// Leave invariants out: only what clients see convicts
    #[arg(long)]
    black_box: bool,
    /// Executions at once [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    jobs: Option<u16>,
    /// Print JSON: a line for each convicted seed and one for the sums; of one execution, its verdict
    #[arg(long)]
    json: bool,
    /// Where the folder of a replay, or of what was shrunk, is made
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
}

pub(super) fn main(args: &Args) -> Answer {
    if let Some(path) = &args.plan {
        let plan = plan_file::read(path)?;
        refuse_processes(&plan.system)?;
        return execute_one(args, plan, None);
    }
    args.system.as_ref().map_or(Ok(()), refuse_processes)?;
    let question = args.question()?;
    match args.replay {
        Some(seed) => execute_one(args, question.checked_plan(seed)?, Some(question.command(seed))),
        None => explore_all(args, &question),
    }
}

/// Refuses a system that only exists as processes.
fn refuse_processes(Spec { name, .. }: &Spec) -> Result<(), Failure> {
    match systems::has_processes_only(name) {
        true => Err(Failure::usage(format!(
            "{name} runs as real processes only, it cannot be simulated: \
             use `tribunal run --system {name}`"
        ))),
        false => Ok(()),
    }
}

fn execute_one(args: &Args, plan: Plan, command: Option<String>) -> Answer {
    if args.shrink {
        return shrink_one(args, plan, &watch()?);
    }
    let replay = Replay { plan, black_box: args.black_box, command };
    let (folder, judged) = replay.perform(&args.out)?;
    let printed = if args.json {
        print(report::verdict_json(&judged))
    } else {
        print(report::terminal(&folder, &judged))
    };
    outranking(judged.validity.into(), printed)
}

/// Watches for an interrupt; what is done by then is told, but not after a second one.
fn watch() -> Result<Interrupt, Failure> {
    Interrupt::watch("at once; what was done so far is not shown").map_err(Failure::harness)
}

fn shrink_one(args: &Args, plan: Plan, interrupt: &Interrupt) -> Answer {
    let options = shrink::Options {
        black_box: args.black_box,
        seeds_each: args.shrink_seeds,
        executions_max: args.shrink_executions,
    };
    let seed = plan.seed;
    let smaller = match (Shrinking { plan, options }).perform(interrupt)? {
        Found::Smaller(smaller) => smaller,
        Found::Nothing(validity) => {
            eprintln!("seed {seed} is not convicted: there is nothing to shrink");
            return Ok(validity.into());
        }
    };
    outranking(Exit::Invalid, tell_smaller(args, &smaller))
}

/// Writes the folder of what was shrunk, and shows it.
fn tell_smaller(args: &Args, smaller: &Smaller) -> Result<(), Failure> {
    let (folder, judged) = smaller.write(&args.out)?;
    if args.json {
        return print(smaller.json(&folder));
    }
    print(smaller.text())?;
    print(report::terminal(&folder, &judged))?;
    print(format!("  plan         {}", folder.file(plan_file::FILE).display()))
}

fn explore_all(args: &Args, question: &Question) -> Answer {
    let seeds = args.seeds()?;
    refuse_impossible(question, &seeds)?;
    let jobs = args
        .jobs
        .map_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get), usize::from);
    let interrupt = watch()?;
    let shown = seeds.to.map_or_else(String::new, |to| to.to_string());
    let threads = if jobs == 1 { "thread" } else { "threads" };
    eprintln!("executing seeds {}..{shown} on {jobs} {threads}", seeds.from);
    let system = question.plan(seeds.from)?.system;
    let offered = systems::system(&system, 0)?.offers();
    if let Some(text) = systems::left_out(&system.to_string(), &offered) {
        eprintln!("{text}");
    }
    let mut first = None;
    let mut tally = explore(question, &seeds, jobs, &interrupt, |convicted| {
        first = first.or(Some(convicted.seed));
        if args.json { print(summary::convicted_json(question, convicted)) } else { Ok(()) }
    });
    let printed = if args.json {
        print(summary::json(&seeds, &tally))
    } else {
        print(summary::text(question, &seeds, &tally))
    };
    if let Err(failure) = printed {
        tally.failed(failure);
    }
    if let Some(failure) = &tally.failure {
        eprintln!("error: {failure}");
    }
    match first {
        _ if !args.shrink || interrupt.is_asked() => {}
        Some(seed) => {
            outranking(Exit::Invalid, shrink_first(args, question.plan(seed)?, &interrupt))?;
        }
        None => eprintln!("no seed is convicted: there is nothing to shrink"),
    }
    Ok(tally.exit())
}

/// Shrinks the first execution that was convicted, below the sums.
fn shrink_first(args: &Args, plan: Plan, interrupt: &Interrupt) -> Result<(), Failure> {
    if !args.json {
        print("")?;
    }
    shrink_one(args, plan, interrupt).map(drop)
}

/// An execution ends by itself only: a longer one would keep a person waiting who interrupts it.
const DURATION_MAX: Duration = Duration::from_millis(plan_file::ASKING_MS_MAX);

impl Args {
    fn question(&self) -> Result<Question, Failure> {
        let nemesis = self.nemesis.as_deref().map(read_nemesis).transpose()?;
        if self.duration.is_some_and(|duration| duration.is_zero()) {
            return Err(Failure::usage("--duration must be longer than nothing"));
        }
        if self.duration.is_some_and(|duration| duration > DURATION_MAX) {
            return Err(Failure::usage(
                "--duration must be at most 10m: an execution is not interrupted in its middle; \
                 more seeds find more than a longer execution",
            ));
        }
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let asked = Asked {
            system: self.system.clone(),
            nodes: self.nodes,
            clients: self.clients,
            workload: self.workload.clone(),
            balancer: self.balancer.clone(),
            client_bug: self.client_bug.clone(),
            nemesis,
            duration_ms: self.duration.map(millis),
            assert_shares: self.assert_shares,
        };
        Ok(Question { asked, black_box: self.black_box })
    }

    fn seeds(&self) -> Result<Seeds, Failure> {
        let until_failure = self.until_failure;
        let seeds = match self.seeds {
            Some(Seeds { from, to: None, .. }) if !until_failure => {
                return Err(Failure::usage(format!(
                    "--seeds {from}.. has no end: say where it ends, or add --until-failure"
                )));
            }
            Some(seeds) => seeds,
            None if until_failure => Seeds { to: None, ..seeds::DEFAULT },
            None => seeds::DEFAULT,
        };
        Ok(Seeds { until_failure, ..seeds })
    }
}

/// Reads the faults that are asked for; `none` for none.
fn read_nemesis(text: &str) -> Result<Vec<Spec>, Failure> {
    if matches!(text, "none" | "") {
        return Ok(Vec::new());
    }
    let specs = Spec::parse_list(text)?;
    if specs.iter().any(|spec| spec.name == "none") {
        return Err(Failure::usage(format!(
            "--nemesis {text}: `none` stands alone; ask either for it or for faults"
        )));
    }
    Ok(specs)
}

/// How many plans are drawn beforehand, so that what is impossible is refused before anything is executed.
const DRAWN_BEFORE: u64 = 100;

/// Refuses what is wrong or impossible, before anything is executed.
fn refuse_impossible(question: &Question, seeds: &Seeds) -> Result<(), Failure> {
    let last = seeds.from.saturating_add(seeds.count().unwrap_or(DRAWN_BEFORE).min(DRAWN_BEFORE));
    for seed in seeds.from..last {
        question.checked_plan(seed)?;
    }
    Ok(())
}
