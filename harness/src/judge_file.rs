//! From one recorded history to its verdict: a file of any project's format, under a model that is given or inferred.
//!
//! Invariants: a file that cannot be read whole gets no verdict; neither does one whose model is not known. Events
//! stream: only the first few thousand are kept, for the inference, until the checker has them.
//!
//! Absent: properties of a system other than its model (availability, recovery): those need a run's plan; see `judge`.

use crate::exit::Failure;
use crate::history_file;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};
use tribunal_checkers::linearizability::Limits;
use tribunal_checkers::{Checker, Validity, Verdict, check_all, registry};
use tribunal_history::formats::Format;
use tribunal_history::{Event, Operation, Outcome, PairingError};
use tribunal_spec::Spec;

/// What was asked of every file.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The model; inferred if none is given.
    pub(crate) model: Option<Spec>,
    /// The format; found by content if none is given.
    pub(crate) format: Option<Format>,
    /// Where searches give up, a file.
    pub(crate) limits: Limits,
}

/// A file with its verdict.
#[derive(Debug)]
pub(crate) struct JudgedFile {
    /// The model with its parameters.
    pub(crate) model: Spec,
    /// Whether the content told the model.
    pub(crate) inferred: bool,
    /// The format, given or found.
    pub(crate) format: Format,
    /// What its checker said.
    pub(crate) verdict: Verdict,
    /// Operations of clients.
    pub(crate) operations: u64,
    /// Those of unknown outcome.
    pub(crate) crashed: u64,
    /// From opening the file to the verdict.
    pub(crate) took: Duration,
}

/// Judges the history at `path`.
///
/// # Errors
/// If it cannot be read whole, or its content does not tell the model. The message names file and place.
pub(crate) fn judge(path: &Path, options: &Options) -> Result<JudgedFile, Failure> {
    // A defect of ours in a reader must not end the judging of the other files.
    catch_unwind(AssertUnwindSafe(|| read_and_judge(path, options))).unwrap_or_else(|_| {
        let shown = path.display();
        Err(Failure::harness(format!("{shown}: reading it panicked: a defect of ours")))
    })
}

fn read_and_judge(path: &Path, options: &Options) -> Result<JudgedFile, Failure> {
    let started = Instant::now();
    let unreadable = |error: &dyn std::fmt::Display| at(path, error);
    let mut source =
        history_file::open(path, options.format).map_err(|error| unreadable(&error))?;
    let sample = source.by_ref().take(registry::SAMPLE_EVENTS);
    let sample: Vec<Event> =
        sample.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
    let told = || history_file::model(source.format());
    let model = match options.model.clone().or_else(told) {
        Some(model) => model,
        None => registry::infer(&sample).map_err(|error| unreadable(&error))?,
    };
    let checker = registry::model(&model, options.limits)?;
    let taken = Cell::new(0);
    let events = sample.into_iter().map(Ok).chain(source.by_ref());
    let events = events.inspect(|_| taken.set(taken.get() + 1));
    let mut verdicts = check_all(events, vec![checker, Box::new(Count::default())])
        .map_err(|error| unpaired(path, source.format(), taken.get(), error.as_ref()))?;
    let (count, mut verdict) = match (verdicts.pop(), verdicts.pop()) {
        (Some(count), Some(verdict)) => (count, verdict),
        _ => return Err(Failure::harness("a checker gave no verdict: a defect of ours")),
    };
    if source.cut_short() && verdict.validity == Validity::Valid {
        verdict.validity = Validity::Unknown;
        verdict.complete = false;
        verdict.unknown =
            Some("the file ends in the middle of a line; no anomaly in what is whole".to_owned());
    }
    let counted = |name| count.figures.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    Ok(JudgedFile {
        inferred: options.model.is_none(),
        format: source.format(),
        operations: counted(OPERATIONS),
        crashed: counted(CRASHED),
        model,
        verdict,
        took: started.elapsed(),
    })
}

/// How bad a violation is, in sentences: by another pass over the file, since most histories need none.
///
/// # Errors
/// If the file cannot be read again.
pub(crate) fn how_bad(path: &Path, judged: &JudgedFile) -> Result<Vec<String>, Failure> {
    let measure = registry::how_bad(&judged.model)?;
    let Some(measure) = measure.filter(|_| judged.verdict.validity == Validity::Invalid) else {
        return Ok(Vec::new());
    };
    let events = history_file::open(path, Some(judged.format)).map_err(|error| at(path, &error))?;
    let verdicts = check_all(events, vec![measure]).map_err(|error| at(path, &error))?;
    let lines = verdicts.iter().filter_map(|verdict| verdict.figures.get("lines")?.as_array());
    Ok(lines.flatten().filter_map(|line| line.as_str().map(str::to_owned)).collect())
}

/// What is wrong with a history whose events do not fit together at the last that was taken: its place is found by reading
/// up to it again, since no other history needs it.
fn unpaired(
    path: &Path,
    format: Format,
    taken: usize,
    error: &(dyn std::error::Error + Send + Sync + 'static),
) -> Failure {
    let place = || {
        error.downcast_ref::<PairingError>()?;
        let mut source = history_file::open(path, Some(format)).ok()?;
        source.by_ref().take(taken).last()?.ok()?;
        source.place()
    };
    match place() {
        Some((line, column)) => at(path, &format!("line {line}, column {column}: {error}")),
        None => at(path, &error),
    }
}

/// What is wrong with a file, and where. Some errors name the file already.
fn at(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    let (shown, message) = (path.display().to_string(), error.to_string());
    let named = message.starts_with(&format!("{shown}: "));
    Failure::usage(if named { message } else { format!("{shown}: {message}") })
}

/// Counts what goes by.
#[derive(Debug, Default)]
struct Count {
    operations: u64,
    crashed: u64,
}

impl Checker for Count {
    fn name(&self) -> &'static str {
        "count"
    }

    fn operation(&mut self, operation: &Operation) {
        self.operations += 1;
        self.crashed += u64::from(operation.outcome == Outcome::Info);
    }

    fn finish(self: Box<Self>) -> Verdict {
        let verdict = Verdict::valid("count", true);
        verdict.figure(OPERATIONS, self.operations).figure(CRASHED, self.crashed)
    }
}

const OPERATIONS: &str = "operations";
const CRASHED: &str = "operations_crashed";
