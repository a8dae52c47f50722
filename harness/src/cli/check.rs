//! `tribunal check`: judges recorded runs again from their files, and histories of any project.

mod units;

use super::{Answer, bytes, duration, print};
use crate::exit::{Exit, Failure};
use crate::folder::Folder;
use crate::judge::{self, Judged};
use crate::judge_file::{self, JudgedFile, Options};
use crate::report;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tribunal_checkers::linearizability::Limits;
use tribunal_checkers::{Validity, registry};
use tribunal_history::formats::Format;
use tribunal_spec::Spec;
use units::{Unit, Units};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tribunal check results/latest\n  \
                        tribunal check history.edn --model cas-register --timeout 10s\n  \
                        tribunal check histories/ --json\n\n\
                        `tribunal list models` prints the models. Of several files, one line each: FILE, verdict, how.")]
pub(super) struct Args {
    /// Folders of recorded runs, histories, or folders that hold histories
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What the history is held against, such as cas-register; told by its content if not given
    #[arg(long, value_name = "MODEL")]
    model: Option<Spec>,
    /// How the history is written, such as jsonl or edn; told by its content if not given
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Where a search gives up, a file
    #[arg(long, value_name = "T", default_value = "60s", value_parser = duration)]
    timeout: Duration,
    /// The memory at which a search gives up, a file
    #[arg(long, value_name = "M", default_value = "2GiB", value_parser = bytes)]
    memory: usize,
    /// Print one line of JSON a file or run
    #[arg(long)]
    json: bool,
}

/// What became of a unit.
enum Judgement {
    File(JudgedFile),
    Run(Folder, Box<Judged>, Duration),
}

impl Judgement {
    fn validity(&self) -> Validity {
        match self {
            Self::File(judged) => judged.verdict.validity,
            Self::Run(_, judged, _) => judged.validity,
        }
    }
}

pub(super) fn main(args: &Args) -> Answer {
    let limits = Limits { time: args.timeout, memory_bytes: args.memory };
    if let Some(model) = &args.model {
        // Wrong usage is said once, not for every file.
        registry::model(model, limits)?;
    }
    let options = Options { model: args.model.clone(), format: args.format, limits };
    let units = units::find(&args.paths);
    let alone = units.alone();
    let tally = each_in_order(
        &units.units,
        |unit| judge(unit, &options),
        |unit, judgement| tell(unit, judgement, alone, args.json),
    )?;
    if !alone && !args.json {
        print(format_args!("{}", tally.total(&units)))?;
    } else if let Some(note) = units.note() {
        eprintln!("{note}");
    }
    Ok(tally.exit())
}

fn judge(unit: &Unit, options: &Options) -> Result<Judgement, Failure> {
    match unit {
        Unit::File(path) => judge_file::judge(path, options).map(Judgement::File),
        Unit::Run(path) if options.model.is_some() => {
            let history = Folder::open(path)?.history();
            judge_file::judge(&history, options).map(Judgement::File)
        }
        Unit::Run(path) => {
            let started = Instant::now();
            let folder = Folder::open(path)?;
            let judged = judge::judge(&folder)?;
            Ok(Judgement::Run(folder, Box::new(judged), started.elapsed()))
        }
        Unit::Unreadable(_, why) => Err(Failure::usage(why)),
    }
}

/// Prints what became of a unit.
fn tell(
    unit: &Unit,
    result: &Result<Judgement, Failure>,
    alone: bool,
    json: bool,
) -> Result<(), Failure> {
    let path = unit.path();
    let text = match result {
        Err(Failure { message, .. }) => {
            eprintln!("error: {message}");
            match (json, alone) {
                (true, _) => report::unreadable_json(path, message),
                (false, true) => return Ok(()),
                // So that a list has a line for every file.
                (false, false) => format!("{}\tunreadable", path.display()),
            }
        }
        Ok(Judgement::File(judged)) => match (json, alone) {
            (true, _) => report::file_json(path, judged),
            (false, true) => {
                report::file_terminal(path, judged, &judge_file::how_bad(path, judged)?)
            }
            (false, false) => report::file_line(path, judged),
        },
        Ok(Judgement::Run(folder, judged, took)) => match (json, alone) {
            (true, _) => report::run_json(path, judged, *took),
            (false, true) => report::terminal(folder, judged),
            (false, false) => report::run_line(path, judged, *took),
        },
    };
    print(text)
}

/// How many units came to what.
#[derive(Debug, Default)]
struct Tally {
    valid: usize,
    invalid: usize,
    unknown: usize,
    unreadable: usize,
    failed: usize,
}

impl Tally {
    fn count(&mut self, result: &Result<Judgement, Failure>) {
        *match result.as_ref().map(Judgement::validity) {
            Ok(Validity::Valid) => &mut self.valid,
            Ok(Validity::Invalid) => &mut self.invalid,
            Ok(Validity::Unknown) => &mut self.unknown,
            Err(Failure { exit: Exit::Failed, .. }) => &mut self.failed,
            Err(_) => &mut self.unreadable,
        } += 1;
    }

    /// The worst of all, in the order of `exit`'s header; what is unreadable outranks unknown.
    fn exit(&self) -> Exit {
        match self {
            Self { invalid: 1.., .. } => Exit::Invalid,
            Self { failed: 1.., .. } => Exit::Failed,
            Self { unreadable: 1.., .. } => Exit::Usage,
            Self { unknown: 1.., .. } => Exit::Unknown,
            _ => Exit::Valid,
        }
    }

    fn total(&self, units: &Units) -> String {
        let Self { valid, invalid, unknown, unreadable, failed } = self;
        let files = units.units.len();
        let mut total = format!(
            "total\t{files} files: {valid} valid, {invalid} invalid, {unknown} unknown, {unreadable} unreadable"
        );
        if *failed > 0 {
            total.push_str(&format!(", {failed} that our readers failed on"));
        }
        if let Some(note) = units.note() {
            total.push_str(&format!("; {note}"));
        }
        total
    }
}

/// Judges all units, several at once, and tells of each in their order as soon as those before it are told.
///
/// The threads are not those of rayon's pool, which judges keys in parallel: a worker of the pool that waits for its
/// keys would begin another file meanwhile, and count that file's time as its own.
fn each_in_order(
    units: &[Unit],
    judge: impl Fn(&Unit) -> Result<Judgement, Failure> + Sync,
    tell: impl Fn(&Unit, &Result<Judgement, Failure>) -> Result<(), Failure> + Sync,
) -> Result<Tally, Failure> {
    struct State {
        told: usize,
        waiting: BTreeMap<usize, Result<Judgement, Failure>>,
        tally: Tally,
        failure: Option<Failure>,
    }
    let state = State { told: 0, waiting: BTreeMap::new(), tally: Tally::default(), failure: None };
    let (state, next) = (Mutex::new(state), AtomicUsize::new(0));
    let work = || {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let Some(unit) = units.get(nth) else { return };
            let result = judge(unit);
            let state = &mut *state.lock().unwrap_or_else(PoisonError::into_inner);
            state.tally.count(&result);
            state.waiting.insert(nth, result);
            while let Some(result) = state.waiting.remove(&state.told) {
                if let Err(failure) = tell(&units[state.told], &result) {
                    state.failure.get_or_insert(failure);
                }
                state.told += 1;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(units.len());
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.failure.map_or(Ok(state.tally), Err)
}
