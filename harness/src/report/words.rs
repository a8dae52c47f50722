//! The sentences of a report, the same on the terminal, in the summary and on the page.

use super::format;
use crate::environment::Simulated;
use crate::judge::Judged;
use tribunal_checkers::{FaultOutcome, Validity, Verdict, Window};
use tribunal_nemesis::Available;

/// What a run says all in all, in one sentence; and another one if a violation ended it.
pub(super) fn headline(judged: &Judged) -> String {
    let mut said = all_in_all(judged);
    if let Some(ns) = judged.health.stopped_by_violation_ns {
        let seconds = format::seconds(ns);
        said.push_str(&format!(
            " The run was stopped at the first violation, found at {seconds} s."
        ));
    }
    if judged.environment.simulated.is_some() {
        said.push_str(" It was simulated.");
    }
    said
}

/// What is to be known of a simulated execution; `None` of a run with real processes.
pub(super) fn simulated(judged: &Judged) -> Option<String> {
    let Simulated { hash, virtual_ns, black_box, steps, messages, writes, .. } =
        judged.environment.simulated.as_ref()?;
    let seconds = format::seconds(*virtual_ns);
    let [steps, messages, writes] = [steps, messages, writes].map(|number| format::count(*number));
    let invariants = if *black_box { "without invariants" } else { "with invariants" };
    Some(format!(
        "seed {}, {seconds} s of virtual time, {invariants}; {steps} steps, {messages} messages, {writes} writes; hash {hash}",
        judged.plan.seed
    ))
}

fn all_in_all(judged: &Judged) -> String {
    match judged.validity {
        Validity::Valid => {
            let names: Vec<&str> = judged.properties.iter().map(|one| one.checker).collect();
            format!("every property held: {}.", names.join(", "))
        }
        Validity::Invalid => {
            let violated = deciding(judged).filter(|one| one.validity == Validity::Invalid);
            let name = |one: &Verdict| {
                let anomaly = one.anomalies.first().map_or("no evidence", |anomaly| &*anomaly.name);
                format!("{} ({anomaly})", one.checker)
            };
            let names: Vec<String> = violated.map(name).collect();
            let were = if names.len() == 1 { "was" } else { "were" };
            format!("{} {were} violated.", names.join(", "))
        }
        Validity::Unknown => {
            format!("this run decides nothing, and is no pass: {}.", doubts(judged).join("; "))
        }
    }
}

/// The verdicts that decide; figures do not.
fn deciding(judged: &Judged) -> impl Iterator<Item = &Verdict> {
    judged.properties.iter().chain(&judged.coverage)
}

/// The verdicts that decide, each with its sentence.
pub(super) fn decisions(judged: &Judged) -> impl Iterator<Item = (&Verdict, String)> {
    let properties = judged.properties.iter().map(|verdict| (verdict, sentence(verdict)));
    properties.chain(judged.coverage.iter().map(|verdict| (verdict, covered(verdict))))
}

/// Why a run is not simply valid, each reason once: what was not decided, not covered, or cut.
pub(super) fn doubts(judged: &Judged) -> Vec<String> {
    let mut doubts: Vec<String> = deciding(judged)
        .filter(|verdict| verdict.validity == Validity::Unknown)
        .map(|verdict| format!("{}: {}", verdict.checker, why(verdict)))
        .collect();
    if judged.properties.is_empty() {
        doubts.push("no property was judged".to_owned());
    }
    if judged.health.cut_short {
        doubts.push("the run was cut short".to_owned());
    }
    if judged.history_cut {
        doubts
            .push("the history ends in the middle of a line; what is whole was judged".to_owned());
    }
    doubts
}

/// What a checker says, in one sentence.
pub(super) fn sentence(verdict: &Verdict) -> String {
    match verdict.validity {
        Validity::Valid if verdict.complete => {
            "holds in this history (the check is complete)".to_owned()
        }
        Validity::Valid => "no anomaly was found (the check is not complete: no proof)".to_owned(),
        Validity::Unknown => why(verdict).to_owned(),
        Validity::Invalid => {
            let first = verdict.anomalies.first();
            first.map_or_else(String::new, |anomaly| anomaly.message.clone())
        }
    }
}

/// What a check of coverage says, in one sentence.
pub(super) fn covered(verdict: &Verdict) -> String {
    match verdict.validity {
        Validity::Valid => "no gap".to_owned(),
        Validity::Unknown | Validity::Invalid => sentence(verdict),
    }
}

fn why(verdict: &Verdict) -> &str {
    verdict.unknown.as_deref().unwrap_or("not decided")
}

/// How many anomalies there are beside the first.
pub(super) fn more(verdict: &Verdict) -> usize {
    verdict.anomalies.len().saturating_sub(1) + verdict.anomalies_more
}

/// A verdict that cannot be overlooked.
pub(super) fn loud(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "VALID",
        Validity::Invalid => "INVALID",
        Validity::Unknown => "UNKNOWN",
    }
}

/// What became of a fault.
pub(super) fn outcome(window: &Window) -> &'static str {
    match window.outcome {
        FaultOutcome::Installed => "installed",
        FaultOutcome::Skipped => "skipped",
        FaultOutcome::Indeterminate => "indeterminate",
    }
}

/// Whether a fault bit.
pub(super) fn bit(window: &Window) -> &'static str {
    match window.bit {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    }
}

/// When a fault was in effect, in s.
pub(super) fn span(window: &Window) -> String {
    let end = window.end.map_or_else(|| "end".to_owned(), format::seconds);
    format!("{}..{end} s", format::seconds(window.start))
}

/// The fault as the plan names it.
pub(super) fn fault(window: &Window) -> &str {
    if window.spec.is_empty() { &window.fault } else { &window.spec }
}

/// The command that repeats the run.
pub(super) fn bare_command(judged: &Judged) -> String {
    let simulated = judged.environment.simulated.as_ref();
    simulated.map_or_else(|| judged.plan.command(), |simulated| simulated.command.clone())
}

/// The command that repeats the run, from a clone of the project.
pub(super) fn command(judged: &Judged) -> String {
    let command = bare_command(judged);
    match command.strip_prefix("tribunal ") {
        Some(arguments) => format!("cargo run --release -- {arguments}"),
        None => command,
    }
}

/// The faults that can befall the run's system: those of the simulator, or of real processes.
fn possible_faults(judged: &Judged) -> impl Iterator<Item = &'static str> {
    let simulated = judged.environment.simulated.is_some();
    tribunal_nemesis::registry()
        .filter(move |(_, available)| simulated || *available == Available::Everywhere)
        .map(|(entry, _)| entry.name)
}

/// What this run cannot show, most important first.
pub(super) fn cannot_show(judged: &Judged) -> Vec<String> {
    let plan = &judged.plan;
    let mut limits = vec![format!(
        "This is one execution, {} s long: a pass says nothing about other interleavings, other seeds or longer runs.",
        format::amount(plan.duration_ms as f64 / 1e3)
    )];
    let bit = |fault: &&str| {
        judged.windows.iter().any(|one| one.fault == **fault && one.bit == Some(true))
    };
    let absent: Vec<&str> = possible_faults(judged).filter(|fault| !bit(fault)).collect();
    if !absent.is_empty() {
        limits.push(format!(
            "No fault of these kinds is known to have bitten: {}.",
            absent.join(", ")
        ));
    }
    limits.push(not_tried(judged).to_owned());
    let passed = |verdict: &&Verdict| verdict.validity == Validity::Valid && !verdict.complete;
    let incomplete: Vec<&str> =
        judged.properties.iter().filter(passed).map(|verdict| verdict.checker).collect();
    if !incomplete.is_empty() {
        limits.push(format!(
            "The checks of these properties are not complete, so that a pass only says that no anomaly was found: {}.",
            incomplete.join(", ")
        ));
    }
    if !plan.waive.is_empty() {
        limits.push(format!("These gaps in coverage were waived: {}.", plan.waive.join(", ")));
    }
    limits.push(figures_of(judged).to_owned());
    limits
}

/// What no run of this kind tries.
fn not_tried(judged: &Judged) -> &'static str {
    if judged.environment.simulated.is_some() {
        "Nothing was tried of real processes, kernels, sockets and files: the event loop, the wire, the disk under the log and \
         the clocks are the simulator's. Cores, log format, clients, balancers, workloads and checkers are those of real runs."
    } else {
        "Nothing was tried of power loss, torn writes, bit rot, full or stalled disks, slow or lossy links, and clocks \
         that jump or drift. A killed process keeps what the kernel holds, so nothing here tests that data was synced."
    }
}

/// What the figures of speed are worth.
fn figures_of(judged: &Judged) -> &'static str {
    if judged.environment.simulated.is_some() {
        "All times are virtual: latencies and rates follow from the delays that were drawn for network and disks, and say \
         nothing about speed."
    } else {
        "All nodes and clients shared one machine and its loopback: figures of speed compare variants, they do not \
         foretell a network."
    }
}

/// The most important of what a run cannot show, on one line.
pub(super) fn cannot_show_in_short(judged: &Judged) -> &'static str {
    if judged.environment.simulated.is_some() {
        "one execution; nothing of real processes, sockets and files, of speed, other seeds, longer runs (more in the report)"
    } else {
        "one execution; nothing of power loss, disk or clock faults, other seeds, longer runs (more in the report)"
    }
}
