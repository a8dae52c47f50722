//! `summary.md`: the verdict in Markdown, for the summary page of a CI job.

use super::{figures, format, numbers, words};
use crate::judge::Judged;
use std::fmt::Write;
use tribunal_checkers::{Anomaly, Validity};

/// A witness beyond this is cut, and says so.
const WITNESS_ROWS_MAX: usize = 20;

/// The summary.
pub(super) fn summary(judged: &Judged) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _written = write(&mut text, judged);
    text
}

fn write(to: &mut String, judged: &Judged) -> std::fmt::Result {
    writeln!(to, "# {}: {}\n", words::loud(judged.validity), escape(&judged.plan.system))?;
    writeln!(to, "{}\n", escape(&words::headline(judged)))?;
    writeln!(to, "| property | verdict | |\n|---|---|---|")?;
    for (verdict, sentence) in words::decisions(judged) {
        let word = words::loud(verdict.validity);
        writeln!(to, "| {} | {word} | {} |", verdict.checker, escape(&sentence))?;
    }
    writeln!(to)?;
    for verdict in figures::verdicts(judged).filter(|one| one.validity == Validity::Invalid) {
        if let Some(anomaly) = verdict.anomalies.first() {
            witness(to, anomaly)?;
        }
    }
    figures_that_matter(to, judged)?;
    let plan = &judged.plan;
    writeln!(
        to,
        "\nSeed {}, {} nodes, workload {}, faults {}, commit {}. Repeat:\n\n    {}",
        plan.seed,
        plan.nodes,
        escape(&plan.workload),
        if plan.nemesis.is_empty() { "none".to_owned() } else { escape(&plan.nemesis.join(", ")) },
        known(&judged.environment.commit),
        // In a block of code everything means itself, as long as the line does not end.
        format::plain(&words::command(judged)).replace('\n', " ")
    )
}

fn witness(to: &mut String, anomaly: &Anomaly) -> std::fmt::Result {
    if anomaly.witness.is_empty() {
        return Ok(());
    }
    writeln!(to, "## Witness of `{}`\n", anomaly.name)?;
    writeln!(to, "| process | f | value | call..return in s | outcome |\n|---|---|---|---|---|")?;
    for operation in anomaly.witness.iter().take(WITNESS_ROWS_MAX) {
        writeln!(
            to,
            "| {} | {} | {} | {} | {} |",
            operation.process,
            escape(&operation.f),
            escape(&format::value(operation)),
            format::interval(operation),
            escape(&format::outcome(operation))
        )?;
    }
    match anomaly.witness.len().saturating_sub(WITNESS_ROWS_MAX) {
        0 => writeln!(to),
        more => writeln!(to, "\nand {more} more operations; see verdict.json\n"),
    }
}

fn figures_that_matter(to: &mut String, judged: &Judged) -> std::fmt::Result {
    writeln!(to, "| figure | |\n|---|---|")?;
    for (name, sentence) in numbers::rows(judged) {
        writeln!(to, "| {name} | {} |", escape(&sentence))?;
    }
    let bitten = judged.windows.iter().filter(|window| window.bit == Some(true)).count();
    writeln!(to, "| faults | {} tried, {bitten} bit |", judged.windows.len())
}

fn known(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

/// Text that means itself, in a cell of a table too: values of histories may hold anything.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in format::plain(text).chars() {
        match letter {
            '\n' => escaped.push(' '),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '#' | '!' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}
