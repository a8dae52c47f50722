//! `tribunal mutants`: does the harness catch known bugs, and how fast?

use super::{Answer, duration, print};
use crate::environment::Environment;
use crate::exit::{Exit, Failure};
use crate::folder::utc;
use crate::interrupt::Interrupt;
use crate::mutants::measured::Measured;
use crate::mutants::{catalogue, page, real, simulated, table};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tribunal mutants\n  \
    tribunal mutants lazy-fsync write-all --budget 10s --bases 3 --black-box\n  \
    tribunal mutants --real --runs 3 --duration 60s\n\
    `tribunal list mutants` prints the names.\n\n\
    In the simulator, base B executes the seeds B x 1000000, B x 1000000 + 1 ... of one swarm, for all mutants alike.\n\
    Seconds there are processor time of one core. The median and the 90th percentile are over bases; one in which the\n\
    mutant was not caught counts with all that was spent on it, and is marked with `>`. What has no bug is tried as well,\n\
    for as long as the slowest mutant, and must never be convicted.\n\n\
    --json prints a line a mutant: {\"mutant\":..,\"caught\":..,\"by\":..,\"executions\":..,\"seconds_median\":..,\n\
    \"seconds_p90\":..} and, after these, number, executions_p90, bases_caught, bases, mode (white-box, black-box, real),\n\
    budget_s, by_counts, commands, and exempt if it was not tried. seconds_median and seconds_p90 are null where they would\n\
    rest on a base in which the mutant was not caught: it took longer than budget_s. Executions there are all that were\n\
    tried. Then a line for each counterpart without a bug, with\n\
    \"mutant\":null, its name in unmutated, all its executions, and false_rate_max, which 95 % confidence rests on.\n\n\
    Exit codes: 0 every mutant was caught in some base and nothing correct was convicted, 1 if not, 2 wrong usage,\n\
    3 the harness failed, 4 cut short. Exempt mutants do not count.")]
pub(super) struct Args {
    /// The mutants [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The most processor time that is spent on one base of one mutant
    #[arg(long, value_name = "T", default_value = "60s", value_parser = duration)]
    budget: Duration,
    /// How many base seeds each mutant is tried with
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    bases: u32,
    /// Leave invariants out: only what clients see convicts
    #[arg(long, conflicts_with = "real")]
    black_box: bool,
    /// Bases that are tried at once [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    jobs: Option<u16>,
    /// Run processes instead of the simulator
    #[arg(long, conflicts_with_all = ["budget", "bases", "jobs"])]
    real: bool,
    /// With --real: the most runs of one mutant
    #[arg(long, value_name = "N", default_value_t = 3, requires = "real", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// With --real: how long clients ask in each run
    #[arg(long, value_name = "T", default_value = "60s", requires = "real", value_parser = duration)]
    duration: Duration,
    /// With --real: where the folders of runs are made; those of valid runs are removed
    #[arg(long, value_name = "DIR", default_value = "results/mutants-real", requires = "real")]
    out: PathBuf,
    /// Print JSON, one line a mutant
    #[arg(long)]
    json: bool,
    /// Write the table as a page too, with machine, commit and date
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub(super) fn main(args: &Args) -> Answer {
    let mutants = catalogue::select(&args.names)?;
    if args.budget.is_zero() || args.duration.is_zero() {
        return Err(Failure::usage("--budget and --duration must be longer than nothing"));
    }
    args.markdown.as_deref().map_or(Ok(()), make_page)?;
    let interrupt = Interrupt::watch("what was measured is lost").map_err(Failure::harness)?;
    let measured = if args.real {
        let Args { runs, duration, .. } = *args;
        let settings = real::Settings { runs, duration, out: args.out.clone() };
        real::measure(&mutants, &settings, &interrupt)
    } else {
        let Args { black_box, bases, budget, .. } = *args;
        let settings = simulated::Settings { black_box, bases, budget, jobs: args.jobs() };
        simulated::measure(&mutants, &settings, &interrupt)?
    };
    if args.json {
        print(table::json(&measured).map_err(Failure::harness)?)?;
    } else {
        print(table::text(&measured))?;
    }
    if let Some(path) = &args.markdown {
        write_page(path, &measured)?;
    }
    warn_of_false_convictions(&measured);
    let exit = exit(&measured);
    match measured.failure {
        Some(failure) if exit != Exit::Invalid => Err(failure),
        Some(failure) => {
            eprintln!("error: {failure}");
            Ok(exit)
        }
        None => Ok(exit),
    }
}

impl Args {
    fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.jobs.map_or_else(cores, usize::from)
    }
}

/// Makes the file before anything is measured, so that an hour of measurement is not lost to a wrong path. What stands in
/// it stays until there is a new page.
fn make_page(path: &Path) -> Result<(), Failure> {
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path);
    match opened {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(Failure::usage(format!("--markdown {} cannot be written: {error}", path.display())))
        }
    }
}

fn write_page(path: &Path, measured: &Measured) -> Result<(), Failure> {
    let text = page::markdown(measured, &Environment::read(), &utc(SystemTime::now()));
    std::fs::write(path, text)
        .map_err(|error| Failure::harness(format!("writing {}: {error}", path.display())))
}

/// On stderr too, so that it is seen when stdout goes to a file.
fn warn_of_false_convictions(measured: &Measured) {
    for control in &measured.controls {
        for conviction in control.convictions() {
            let name = control.defendant.name();
            eprintln!("error: {name} has no bug and was convicted: {}", conviction.why);
            eprintln!("  repeat it: {}", conviction.command);
        }
    }
}

/// A violation outranks what was cut short, by whatever.
fn exit(measured: &Measured) -> Exit {
    if measured.falsely_convicted() {
        Exit::Invalid
    } else if measured.cut_short {
        Exit::Unknown
    } else if measured.missed().next().is_some() {
        Exit::Invalid
    } else {
        Exit::Valid
    }
}
