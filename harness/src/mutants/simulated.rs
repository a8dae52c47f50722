//! Mutants in the simulator: for each base seed, one swarm execution after another until one convicts or the budget of
//! processor time is used up. Seeds are the same for all, and nothing of a mutant is told to the swarm but what it is.
//!
//! One base is one job, wholly on one thread; jobs run on all cores. What they find does not depend on the order in which
//! they run. Where the budget ends does depend on the machine, so "not caught" always stands beside its budget.

use super::catalogue::{Defendant, Mutant};
use super::measured::{Attempt, Control, Conviction, Measured, Mode, Trial};
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::simulate::{Question, execute, keep_to_this_thread};
use nix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tribunal_checkers::Validity;
use tribunal_sim::{Asked, Options, Outcome};

/// How far the seeds of two bases lie apart.
pub const BASE_STRIDE: u64 = 1_000_000;

/// How the measurement is made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether invariants are left out.
    pub black_box: bool,
    /// How many base seeds.
    pub bases: u32,
    /// The most processor time for one base.
    pub budget: Duration,
    /// Jobs at once.
    pub jobs: usize,
}

/// Tries every mutant, then what they are compared with.
///
/// # Errors
/// If the simulator fails.
pub fn measure(
    mutants: &[Mutant],
    settings: &Settings,
    interrupt: &Interrupt,
) -> Result<Measured, Failure> {
    let trials = try_mutants(mutants, settings, interrupt)?;
    let controls = try_controls(&trials, settings, interrupt)?;
    let Settings { black_box, bases, budget, .. } = *settings;
    let mode = Mode::Simulated { black_box, bases, budget };
    Ok(Measured { mode, trials, controls, cut_short: interrupt.is_asked(), failure: None })
}

fn try_mutants(
    mutants: &[Mutant],
    settings: &Settings,
    interrupt: &Interrupt,
) -> Result<Vec<Trial>, Failure> {
    let bases = settings.bases as usize;
    let work = |job: usize| {
        let attempt = search(
            &mutants[job / bases].defendant(),
            job % bases,
            settings.budget,
            settings.black_box,
            interrupt,
        )?;
        Ok(attempt.map(|attempt| attempt.within(settings.budget)))
    };
    let finished = |job: usize, attempt: &Attempt| {
        let (name, base) = (mutants[job / bases].name, job % bases + 1);
        let Attempt { executions, seconds, conviction, .. } = attempt;
        match conviction {
            Some(Conviction { by, .. }) => {
                eprintln!("{name}, base {base}: {by}, {executions} executions, {seconds:.1} s");
            }
            None => eprintln!(
                "{name}, base {base}: not caught, {executions} executions, {seconds:.1} s"
            ),
        }
    };
    let mut attempts =
        in_parallel(settings.jobs, mutants.len() * bases, &work, &finished)?.into_iter();
    let trial = |mutant: &Mutant| Trial {
        mutant: mutant.clone(),
        attempts: attempts.by_ref().take(bases).flatten().collect(),
        exempt: None,
    };
    Ok(mutants.iter().map(trial).collect())
}

/// Each counterpart gets as much as its slowest mutant got, and at least the budget of one base, evenly by base.
fn try_controls(
    trials: &[Trial],
    settings: &Settings,
    interrupt: &Interrupt,
) -> Result<Vec<Control>, Failure> {
    let mut controls: Vec<(Defendant, f64)> = Vec::new();
    for trial in trials {
        let (defendant, spent) = (trial.mutant.counterpart(), trial.seconds_sum());
        match controls.iter_mut().find(|(known, _)| *known == defendant) {
            Some((_, most)) => *most = most.max(spent),
            None => controls.push((defendant, spent.max(settings.budget.as_secs_f64()))),
        }
    }
    let bases = settings.bases as usize;
    let work = |job: usize| {
        let (defendant, seconds) = &controls[job / bases];
        let budget = Duration::from_secs_f64(seconds / bases as f64);
        search(defendant, job % bases, budget, settings.black_box, interrupt)
    };
    let finished = |job: usize, attempt: &Attempt| {
        if let Some(Conviction { by, why, command }) = &attempt.conviction {
            let name = controls[job / bases].0.name();
            eprintln!("FALSE CONVICTION of {name} by {by}: {why}\n  {command}");
        }
    };
    let mut attempts =
        in_parallel(settings.jobs, controls.len() * bases, &work, &finished)?.into_iter();
    let control = |(defendant, _): &(Defendant, f64)| Control {
        defendant: defendant.clone(),
        attempts: attempts.by_ref().take(bases).flatten().collect(),
    };
    Ok(controls.iter().map(control).collect())
}

/// Executes the seeds of a base, counted from 0, until one convicts. `None` if it was cut short.
fn search(
    defendant: &Defendant,
    base: usize,
    budget: Duration,
    black_box: bool,
    interrupt: &Interrupt,
) -> Result<Option<Attempt>, Failure> {
    let question = Question { asked: asked(defendant), black_box };
    let options = Options { black_box, record: false };
    // The seeds below the first stride are those that `tribunal sim` tries by itself.
    let first = (base as u64 + 1) * BASE_STRIDE;
    let begin = thread_time()?;
    let mut attempt = Attempt { executions: 0, unknown: 0, seconds: 0.0, conviction: None };
    for seed in first..first + BASE_STRIDE {
        if interrupt.is_asked() {
            return Ok(None);
        }
        let outcome = execute(&question.plan(seed)?, options)?;
        attempt.executions += 1;
        attempt.unknown += u64::from(undecided(&outcome));
        let spent = thread_time()?.saturating_sub(begin);
        attempt.seconds = spent.as_secs_f64();
        if let Some(by) = outcome.convicted_by() {
            let command = question.command(seed);
            attempt.conviction =
                Some(Conviction { by: by.to_owned(), why: outcome.why(), command });
            break;
        }
        if spent >= budget {
            attempt.seconds = budget.as_secs_f64();
            break;
        }
    }
    Ok(Some(attempt))
}

/// What the swarm is told of a defendant: what it is, and nothing else.
fn asked(defendant: &Defendant) -> Asked {
    Asked {
        system: Some(defendant.system.clone()),
        balancer: defendant.balancer.clone(),
        client_bug: defendant.client_bug.map(|bug| bug.name().to_owned()),
        assert_shares: defendant.balancer.is_some(),
        ..Asked::default()
    }
}

fn undecided(outcome: &Outcome) -> bool {
    let unknown = |verdict: &tribunal_checkers::Verdict| verdict.validity == Validity::Unknown;
    outcome.convicted_by().is_none() && outcome.verdicts.iter().any(unknown)
}

/// The processor time that this thread has used.
fn thread_time() -> Result<Duration, Failure> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_err(Failure::harness)?;
    Ok(time.into())
}

/// Does `count` jobs on `threads` threads, and answers them in their order, with `None` for those that were cut short.
/// The first failure ends it; jobs under way end first.
fn in_parallel(
    threads: usize,
    count: usize,
    work: &(impl Fn(usize) -> Result<Option<Attempt>, Failure> + Sync),
    finished: &(impl Fn(usize, &Attempt) + Sync),
) -> Result<Vec<Option<Attempt>>, Failure> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Attempt>>> = Mutex::new(vec![None; count]);
    let one_thread = || -> Result<(), Failure> {
        keep_to_this_thread()?;
        loop {
            let job = next.fetch_add(1, Ordering::SeqCst);
            if job >= count {
                return Ok(());
            }
            match work(job) {
                Ok(attempt) => {
                    attempt.iter().for_each(|attempt| finished(job, attempt));
                    done.lock().unwrap_or_else(PoisonError::into_inner)[job] = attempt;
                }
                Err(failure) => {
                    next.store(count, Ordering::SeqCst);
                    return Err(failure);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let spawn = |_| scope.spawn(one_thread);
        let threads: Vec<_> = (0..threads.clamp(1, count.max(1))).map(spawn).collect();
        let ended = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect::<Result<Vec<()>, Failure>>()
    })?;
    Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}
