//! The measurement as a page of Markdown, to be kept in `results/`: a figure stands with the machine and the commit that it
//! was measured on.

use super::measured::Measured;
use super::table::{HEAD, row, sentences};
use crate::environment::Environment;

/// The page. `date` is when the measurement ended.
#[must_use]
pub fn markdown(measured: &Measured, environment: &Environment, date: &str) -> String {
    let Environment { version, cpus, memory_bytes, .. } = environment;
    let [commit, cpu] = [&environment.commit, &environment.cpu].map(|text| known(text));
    let [kernel, load_1m] = [&environment.kernel, &environment.load_1m].map(|text| known(text));
    let mode = measured.mode.name();
    let gibibytes = *memory_bytes as f64 / f64::from(1 << 30);
    let mut lines = vec![
        format!("# Known bugs, caught: {mode}"),
        String::new(),
        format!("* Program: tribunal {version}, commit {commit}; measured until {date}"),
        format!(
            "* Machine: {cpus} x {cpu}, {gibibytes:.1} GiB, Linux {kernel}, load {load_1m} at the end"
        ),
    ];
    lines.extend(sentences(measured).iter().map(|sentence| format!("* {sentence}")));
    lines.push(String::new());
    lines.push(table_line(&HEAD.map(str::to_owned)));
    lines.push("|---:|---|---|---|---:|---:|---:|---:|".to_owned());
    let bases = measured.mode.bases();
    lines.extend(measured.trials.iter().map(|trial| table_line(&row(trial, bases))));
    lines.push(String::new());
    lines.join("\n")
}

/// What the machine did not say is called so, rather than left out.
fn known(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

fn table_line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}
