//! The measurement on the terminal, and as lines of JSON.

use super::measured::{Control, Figure, Measured, Mode, Trial};
use super::simulated::BASE_STRIDE;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The heads of the columns; the table on the page has the same ones.
pub(super) const HEAD: [&str; 8] = [
    "number",
    "mutant",
    "caught",
    "by",
    "executions p50",
    "executions p90",
    "seconds p50",
    "seconds p90",
];

/// A row of the table.
pub(super) fn row(trial: &Trial, bases: u32) -> [String; 8] {
    let Trial { mutant, attempts, exempt } = trial;
    let number = mutant.number.to_string();
    let name = mutant.name.to_owned();
    if let Some(why) = exempt {
        let none = String::new;
        let why = format!("({why})");
        return [number, name, "exempt".to_owned(), why, none(), none(), none(), none()];
    }
    let caught = match attempts.len() {
        0 => "not tried".to_owned(),
        tried if tried < bases as usize => format!("{}/{tried} (cut)", trial.bases_caught()),
        tried => format!("{}/{tried}", trial.bases_caught()),
    };
    let by = trial.mostly_by().unwrap_or("-").to_owned();
    let executions = |percentile| shown(trial.executions(percentile), 0);
    let seconds = |percentile| shown(trial.seconds(percentile), 3);
    [number, name, caught, by, executions(50), executions(90), seconds(50), seconds(90)]
}

/// A figure for people; `>` says that it rests on a base in which the mutant was not caught.
fn shown(figure: Option<Figure>, digits: usize) -> String {
    match figure {
        None => "-".to_owned(),
        Some(Figure { value, at_least: false }) => format!("{value:.digits$}"),
        Some(Figure { value, at_least: true }) => format!(">{value:.digits$}"),
    }
}

/// The whole measurement for a terminal.
#[must_use]
pub fn text(measured: &Measured) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(HEAD);
    for trial in &measured.trials {
        table.add_row(row(trial, measured.mode.bases()));
    }
    for nth in [0, 4, 5, 6, 7] {
        if let Some(column) = table.column_mut(nth) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let table = table.to_string();
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    format!("{}\n\n{}", lines.join("\n"), sentences(measured).join("\n"))
}

/// What the table comes to: how it was measured, sums, who got away, and the counterparts.
pub(super) fn sentences(measured: &Measured) -> Vec<String> {
    let mut sentences = vec![how(measured.mode), sums(measured)];
    let missed: Vec<&str> = measured.missed().map(|trial| trial.mutant.name).collect();
    if !missed.is_empty() {
        sentences.push(format!("NOT CAUGHT: {}.", missed.join(", ")));
    }
    sentences.extend(measured.controls.iter().map(|control| of_control(control, measured.mode)));
    if measured.cut_short {
        sentences.push("CUT SHORT: what is missing was not tried.".to_owned());
    }
    sentences
}

fn how(mode: Mode) -> String {
    match mode {
        Mode::Simulated { black_box, bases, budget } => format!(
            "In the simulator, {}, {bases} base seeds (executions from {BASE_STRIDE} x base on, base from 1), at most {} s of \
             one core's time for each; \
             `>` marks a figure that rests on a base without a conviction, which counts with all that was spent on it.",
            if black_box { "black box (no invariants)" } else { "white box" },
            budget.as_secs_f64(),
        ),
        Mode::Real { runs, duration } => format!(
            "With processes, up to {runs} runs of {} s each under kill, pause and partition until one convicts; seconds \
             are those in which clients asked. Folders of valid runs were removed.",
            duration.as_secs_f64(),
        ),
    }
}

fn sums(measured: &Measured) -> String {
    let tried = measured.tried().count();
    let caught = tried - measured.missed().count();
    let median = shown(measured.median_of_medians(), 3);
    let exempt = measured.trials.iter().filter(|trial| trial.exempt.is_some()).count();
    let mut text = format!("{caught} of {tried} caught; median of the medians {median} s");
    // Writing to a String cannot fail.
    let _written = match exempt {
        0 => write!(text, "."),
        _ => write!(text, "; {exempt} exempt."),
    };
    text
}

fn of_control(control: &Control, mode: Mode) -> String {
    let name = control.defendant.name();
    let what = match mode {
        Mode::Simulated { .. } => "executions",
        Mode::Real { .. } => "runs",
    };
    let mut text = format!(
        "Without a bug, {name}: {} {what}, {:.1} s",
        control.executions(),
        control.seconds()
    );
    if control.unknown() > 0 {
        text.push_str(&format!(", {} of them undecided", control.unknown()));
    }
    for conviction in control.convictions() {
        let (why, command) = (&conviction.why, &conviction.command);
        text.push_str(&format!("\n  FALSELY CONVICTED: {why}\n  repeat it: {command}"));
    }
    if control.convictions().next().is_some() {
        return text;
    }
    text.push_str(", never convicted");
    match control.false_rate_max() {
        Some(rate) => {
            let percent = rate * 100.0;
            text.push_str(&format!(
                ": with 95 % confidence fewer than {percent:.2} % of {what} would be."
            ));
        }
        None => text.push_str(&format!("; too few decided {what} for any confidence.")),
    }
    text
}

/// A line of JSON. The first six keys are those that other programs rely on.
#[derive(Serialize)]
struct Line<'a> {
    mutant: Option<&'a str>,
    caught: bool,
    by: Option<&'a str>,
    executions: Option<u64>,
    seconds_median: Option<f64>,
    seconds_p90: Option<f64>,
    number: Option<u32>,
    executions_p90: Option<u64>,
    bases_caught: usize,
    bases: usize,
    mode: &'static str,
    budget_s: f64,
    by_counts: BTreeMap<&'a str, u64>,
    /// Commands that repeat a conviction, one a base.
    commands: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exempt: Option<&'a str>,
    /// Of a counterpart: which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    unmutated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecided: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    false_rate_max: Option<f64>,
}

/// One line a mutant, then one a counterpart, of which `mutant` is null.
///
/// # Errors
/// Never in practice: all keys are text.
pub fn json(measured: &Measured) -> serde_json::Result<String> {
    let of_mutants = measured.trials.iter().map(|trial| trial_line(trial, measured.mode));
    let of_controls = measured.controls.iter().map(|control| control_line(control, measured.mode));
    let lines: Vec<String> = of_mutants
        .chain(of_controls)
        .map(|line| serde_json::to_string(&line))
        .collect::<Result<_, _>>()?;
    Ok(lines.join("\n"))
}

fn trial_line(trial: &Trial, mode: Mode) -> Line<'_> {
    let executions =
        |percentile| trial.executions(percentile).map(|figure| figure.value.round() as u64);
    // A lower bound must not look like a measurement to a program that knows nothing of `>`.
    let measured = |figure: &Figure| !figure.at_least;
    let seconds =
        |percentile| trial.seconds(percentile).filter(measured).map(|figure| figure.value);
    let convictions = trial.attempts.iter().filter_map(|attempt| attempt.conviction.as_ref());
    Line {
        mutant: Some(trial.mutant.name),
        caught: trial.caught(),
        by: trial.mostly_by(),
        executions: executions(50),
        seconds_median: seconds(50),
        seconds_p90: seconds(90),
        number: Some(trial.mutant.number),
        executions_p90: executions(90),
        bases_caught: trial.bases_caught(),
        bases: trial.attempts.len(),
        mode: mode.name(),
        budget_s: mode.budget().as_secs_f64(),
        by_counts: trial.by(),
        commands: convictions.map(|conviction| conviction.command.as_str()).collect(),
        exempt: trial.exempt,
        unmutated: None,
        undecided: None,
        false_rate_max: None,
    }
}

fn control_line(control: &Control, mode: Mode) -> Line<'_> {
    let mut by_counts = BTreeMap::new();
    for conviction in control.convictions() {
        *by_counts.entry(conviction.by.as_str()).or_default() += 1;
    }
    let caught = control.convictions().count();
    Line {
        mutant: None,
        caught: caught > 0,
        by: control.convictions().next().map(|conviction| conviction.by.as_str()),
        executions: Some(control.executions()),
        seconds_median: None,
        seconds_p90: None,
        number: None,
        executions_p90: None,
        bases_caught: caught,
        bases: control.attempts.len(),
        mode: mode.name(),
        budget_s: control.seconds(),
        by_counts,
        commands: control.convictions().map(|one| one.command.as_str()).collect(),
        exempt: None,
        unmutated: Some(control.defendant.name()),
        undecided: Some(control.unknown()),
        false_rate_max: control.false_rate_max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::catalogue;
    use crate::mutants::measured::{Attempt, Conviction};
    use std::time::Duration;

    fn measured() -> Measured {
        let attempt = |executions, by: Option<&str>| Attempt {
            executions,
            unknown: 0,
            seconds: executions as f64 / 8.0,
            conviction: by.map(|by| Conviction {
                by: by.to_owned(),
                why: format!("{by}: a reason"),
                command: "tribunal sim --replay 7".to_owned(),
            }),
        };
        let mut mutants = catalogue::all().into_iter();
        let mut trial = |attempts, exempt| {
            let mutant = mutants.next().expect("27 mutants");
            Trial { mutant, attempts, exempt }
        };
        let by = Some("linearizable");
        let trials = vec![
            trial(vec![attempt(3, by), attempt(5, by)], None),
            trial(vec![attempt(400, None), attempt(70, Some("exits"))], None),
            trial(vec![attempt(400, None), attempt(420, None)], None),
            trial(Vec::new(), Some("no disk is damaged")),
        ];
        let control = |attempts| Control { defendant: catalogue::all()[0].counterpart(), attempts };
        let controls = vec![
            control(vec![attempt(400, None), attempt(200, None)]),
            control(vec![attempt(9, by)]),
        ];
        let mode = Mode::Simulated { black_box: true, bases: 2, budget: Duration::from_secs(60) };
        Measured { mode, trials, controls, cut_short: false, failure: None }
    }

    #[test]
    fn what_a_person_reads() {
        insta::assert_snapshot!(text(&measured()));
    }

    #[test]
    fn what_a_machine_reads() {
        insta::assert_snapshot!(json(&measured()).expect("JSON"));
    }

    #[test]
    fn what_is_kept() {
        insta::assert_snapshot!(crate::mutants::page::markdown(
            &measured(),
            &Default::default(),
            "20261125T100000Z"
        ));
    }
}
