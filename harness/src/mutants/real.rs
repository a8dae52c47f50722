//! Mutants as processes: a few runs of the usual pipeline for each, until one convicts.
//!
//! Every defendant gets the same plans and schedules. Each run of a series differs from the one before in what a user would
//! vary: the number of nodes (a mutant of even clusters needs an even one), the workload, the faults and how densely they
//! come, retries and patience of clients.
//! Snapshots are frequent in all of them, as otherwise a run of a minute takes none.
//!
//! Runs go one after another: each one uses the whole machine. The folders of valid runs are removed.

use super::catalogue::{Defendant, Mutant};
use super::measured::{Attempt, Control, Conviction, Measured, Mode, Trial};
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::judge::Judged;
use crate::plan::{Links, Plan};
use crate::run::{self, Done};
use std::path::PathBuf;
use std::time::Duration;
use tribunal_checkers::{Validity, Verdict};
use tribunal_nemesis::faults::Target;
use tribunal_nemesis::generate::{Pace, generate_paced};
use tribunal_nemesis::{Fault, Legs, Schedule, relay};
use tribunal_spec::Spec;

/// How the measurement is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most runs of one defendant.
    pub runs: u32,
    /// How long clients ask in each.
    pub duration: Duration,
    /// Where the folders of runs are made.
    pub out: PathBuf,
}

/// What one run of a series differs in from the others; the series repeats itself after the last.
struct Variation {
    nodes: u32,
    workload: &'static str,
    faults: Faults,
    retry: u32,
    timeout_ms: u64,
}

const VARIATIONS: &[Variation] = &[
    Variation {
        nodes: 5,
        workload: "register",
        faults: Faults::Usual,
        retry: 0,
        timeout_ms: 2_000,
    },
    Variation { nodes: 4, workload: "append", faults: Faults::Dense, retry: 2, timeout_ms: 5_000 },
    Variation {
        nodes: 3,
        workload: "register",
        faults: Faults::Relay,
        retry: 0,
        timeout_ms: 1_000,
    },
];

/// Where a run's schedule comes from. Nothing but kills, pauses and partitions, and the same for every defendant.
#[derive(Clone, Copy, Debug)]
enum Faults {
    /// What `tribunal run` makes.
    Usual,
    /// Many short faults, partitions in halves or around the leader.
    Dense,
    /// Isolation that is handed on from one minority to the next, with kills at the handover.
    Relay,
}

impl Faults {
    /// The kinds of faults, for the plan.
    fn nemesis(self) -> &'static [&'static str] {
        match self {
            Self::Usual => &["kill", "pause", "partition"],
            Self::Dense => &["kill", "pause", "partition:kind=leader", "partition:kind=halves"],
            Self::Relay => &["kill", "partition"],
        }
    }

    /// The schedule of a plan.
    fn schedule(self, plan: &Plan) -> Result<Schedule, Failure> {
        let seed = plan.seed_of("schedule", 0);
        match self {
            Self::Usual => run::schedule(plan, None, false),
            Self::Dense => {
                let specs = plan.nemesis.iter().map(|text| text.parse());
                let specs: Vec<Spec> = specs.collect::<Result<_, _>>()?;
                generate_paced(seed, plan.nodes, plan.duration_ms, &specs, &Pace::DENSE)
                    .map_err(Failure::usage)
            }
            Self::Relay => {
                let kill = Fault::Kill { target: Target::One, stay_dead: false };
                Ok(relay(seed, plan.nodes, plan.duration_ms, LEGS, &[kill], &[]))
            }
        }
    }
}

/// Long enough for an election by the default timeouts, and for a killed process to start.
const LEGS: Legs = Legs { lead_in_ms: 1_500, min_ms: 900, max_ms: 2_200, down_ms_max: 200 };
/// Decided entries between two snapshots of a node.
const SNAPSHOT_ENTRIES: &str = "200";
/// Operations a second that are meant to start.
const RATE: &str = "1000";
const CLIENTS: u32 = 20;

/// Tries every mutant, then what they are compared with. A failure of the harness ends it, and what was measured until then
/// is answered beside it: it has taken long.
pub fn measure(mutants: &[Mutant], settings: &Settings, interrupt: &Interrupt) -> Measured {
    let series = Series { settings, interrupt };
    let (mut trials, mut controls) = (Vec::new(), Vec::new());
    let failure = series
        .try_mutants(mutants, &mut trials)
        .and_then(|counterparts| series.try_controls(counterparts, &mut controls))
        .err();
    let mode = Mode::Real { runs: settings.runs, duration: settings.duration };
    let cut_short = interrupt.is_asked() || failure.is_some();
    Measured { mode, trials, controls, cut_short, failure }
}

/// How a defendant's runs are carried out.
struct Series<'a> {
    settings: &'a Settings,
    interrupt: &'a Interrupt,
}

impl Series<'_> {
    /// Answers what the mutants are to be compared with.
    fn try_mutants(
        &self,
        mutants: &[Mutant],
        trials: &mut Vec<Trial>,
    ) -> Result<Vec<Defendant>, Failure> {
        let mut counterparts: Vec<Defendant> = Vec::new();
        for mutant in mutants {
            let exempt = mutant.exempt_from_real;
            let mut attempts = Vec::new();
            if exempt.is_none() {
                eprintln!("{}: up to {} runs", mutant.name, self.settings.runs);
                attempts.extend(self.until_conviction(&mutant.defendant())?);
                let counterpart = mutant.counterpart();
                if !counterparts.contains(&counterpart) {
                    counterparts.push(counterpart);
                }
            }
            trials.push(Trial { mutant: mutant.clone(), attempts, exempt });
        }
        Ok(counterparts)
    }

    fn try_controls(
        &self,
        counterparts: Vec<Defendant>,
        controls: &mut Vec<Control>,
    ) -> Result<(), Failure> {
        for defendant in counterparts {
            eprintln!("{}, without a bug: {} runs", defendant.name(), self.settings.runs);
            let attempts = self.until_conviction(&defendant)?.into_iter().collect();
            controls.push(Control { defendant, attempts });
        }
        Ok(())
    }

    /// Runs until one convicts. `None` if that was cut short.
    fn until_conviction(&self, defendant: &Defendant) -> Result<Option<Attempt>, Failure> {
        let mut attempt = Attempt { executions: 0, unknown: 0, seconds: 0.0, conviction: None };
        for (nth, variation) in (0..self.settings.runs).zip(VARIATIONS.iter().cycle()) {
            let plan = self.plan(defendant, nth, variation)?;
            if self.interrupt.is_asked() {
                return Ok(None);
            }
            let done = self.carry_out(plan, variation.faults)?;
            let Judged { health, validity, .. } = &done.judged;
            if health.cut_short && *validity != Validity::Invalid {
                return Ok(None);
            }
            attempt.executions += 1;
            attempt.unknown += u64::from(*validity == Validity::Unknown);
            attempt.seconds += match health.stopped_by_violation_ns {
                Some(at_ns) => at_ns as f64 / 1e9,
                None => self.settings.duration.as_secs_f64(),
            };
            attempt.conviction = conviction(&done);
            if attempt.conviction.is_some() {
                break;
            }
            remove_if_valid(&done);
        }
        Ok(Some(attempt))
    }

    fn carry_out(&self, plan: Plan, faults: Faults) -> Result<Done, Failure> {
        let schedule = faults.schedule(&plan)?;
        let options = run::Options {
            plan,
            schedule,
            out: self.settings.out.clone(),
            keep_data: false,
            json: false,
        };
        let done = run::carry_out(&options, self.interrupt, || {})?;
        match done.failure {
            Some(failure) if done.judged.validity != Validity::Invalid => Err(failure),
            _ => Ok(done),
        }
    }

    /// The plan of the `nth` run; but for the defendant, it is the same for all.
    fn plan(
        &self,
        defendant: &Defendant,
        nth: u32,
        variation: &Variation,
    ) -> Result<Plan, Failure> {
        let mut system = defendant.system.clone();
        system.params.insert("snapshot-entries".to_owned(), SNAPSHOT_ENTRIES.to_owned());
        let balancer = defendant.balancer.clone().unwrap_or_else(|| Spec::named("round-robin"));
        let duration_ms = u64::try_from(self.settings.duration.as_millis())
            .map_err(|_| Failure::usage("--duration is too long"))?;
        Ok(Plan {
            version: Plan::VERSION,
            system: system.to_string(),
            workload: variation.workload.to_owned(),
            nemesis: variation.faults.nemesis().iter().map(ToString::to_string).collect(),
            balancer: balancer.to_string(),
            client_bug: defendant.client_bug,
            nodes: variation.nodes,
            clients: CLIENTS,
            clients_max: CLIENTS * 10,
            rate: RATE.to_owned(),
            duration_ms,
            seed: u64::from(nth) + 1,
            links: Links::Proxy,
            timeout_ms: variation.timeout_ms,
            retry: variation.retry,
            available_within_ms: 2_000,
            recover_within_ms: 10_000,
            // A node is back within a second, and the faults of a run end 2.5 s before it does.
            returns_within_ms: defendant.balancer.is_some().then_some(1_000),
            assert_shares: defendant.balancer.is_some(),
            waive: Vec::new(),
            stop_on_violation: true,
            replay: None,
        })
    }
}

/// The first property that was violated, and where to look.
fn conviction(done: &Done) -> Option<Conviction> {
    let invalid = |verdict: &&Verdict| verdict.validity == Validity::Invalid;
    let Judged { properties, coverage, .. } = &done.judged;
    let verdict = properties.iter().chain(coverage).find(invalid)?;
    let message = verdict.anomalies.first().map_or("", |anomaly| &anomaly.message);
    Some(Conviction {
        by: verdict.checker.to_owned(),
        why: format!("{}: {message}", verdict.checker),
        command: format!("tribunal check {}", done.folder.path().display()),
    })
}

/// Whoever convicts or leaves a question open is kept.
fn remove_if_valid(done: &Done) {
    if done.judged.validity != Validity::Valid {
        return;
    }
    let path = done.folder.path();
    if let Err(error) = std::fs::remove_dir_all(path) {
        eprintln!("warning: {} was not removed: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::catalogue;

    #[test]
    fn a_mutant_and_its_counterpart_have_the_same_plans_but_for_the_bug() {
        let settings = Settings {
            runs: 3,
            duration: Duration::from_secs(60),
            out: PathBuf::from("never-made"),
        };
        let interrupt = Interrupt::watch("nothing was written").expect("signals");
        let series = Series { settings: &settings, interrupt: &interrupt };
        for mutant in catalogue::all() {
            for (nth, variation) in (0..3).zip(VARIATIONS) {
                let plan =
                    |defendant: &Defendant| series.plan(defendant, nth, variation).expect("a plan");
                let (broken, correct) = (plan(&mutant.defendant()), plan(&mutant.counterpart()));
                assert_ne!(broken, correct, "{}", mutant.name);
                let same = Plan {
                    system: correct.system.clone(),
                    balancer: correct.balancer.clone(),
                    client_bug: None,
                    ..broken
                };
                assert_eq!(same, correct, "{}", mutant.name);
                variation
                    .faults
                    .schedule(&correct)
                    .expect("possible faults")
                    .check()
                    .expect("sound");
            }
        }
    }
}
