//! What `tribunal run` prints at the end: the verdict first, then the evidence, then the figures, then where to look.

use super::{figures, format, numbers, words};
use crate::folder::Folder;
use crate::judge::Judged;
use std::fmt::Write;
use tribunal_checkers::{Anomaly, Validity, Verdict};

/// A witness beyond this is cut, and says so.
const WITNESS_ROWS_MAX: usize = 20;

/// The end of a run on the terminal.
#[must_use]
pub fn terminal(folder: &Folder, judged: &Judged) -> String {
    let mut blocks = vec![verdict(judged)];
    let convicted = figures::verdicts(judged).filter(|one| one.validity == Validity::Invalid);
    blocks.extend(convicted.filter_map(evidence));
    blocks.push(properties(judged));
    blocks.push(figures_that_matter(judged));
    blocks.extend(faults(judged));
    blocks.push(end(folder, judged));
    format::plain(&blocks.join("\n\n"))
}

fn verdict(judged: &Judged) -> String {
    format!("{}: {}", words::loud(judged.validity), words::headline(judged))
}

/// The first anomaly of a property that was violated, with its witness.
pub(super) fn evidence(verdict: &Verdict) -> Option<String> {
    let anomaly = verdict.anomalies.first()?;
    let mut text = format!("  {} ({})", anomaly.name, verdict.checker);
    if let Some(key) = &anomaly.key {
        write!(text, ", key {key}").ok()?;
    }
    write!(text, ":\n{}", indent(&anomaly.message, "    ")).ok()?;
    if !anomaly.witness.is_empty() {
        write!(text, "\n\n{}", witness(anomaly)).ok()?;
    }
    match words::more(verdict) {
        0 => {}
        more => write!(text, "\n    and {more} more; see verdict.json").ok()?,
    }
    Some(text)
}

fn witness(anomaly: &Anomaly) -> String {
    let head = ["process", "f", "value", "call..return in s", "outcome"].map(str::to_owned);
    let shown = anomaly.witness.iter().take(WITNESS_ROWS_MAX).map(|operation| {
        [
            operation.process.to_string(),
            operation.f.to_string(),
            format::value(operation),
            format::interval(operation),
            format::outcome(operation),
        ]
    });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(shown).map(Vec::from).collect();
    let mut table = align(&rows, "    ");
    if anomaly.witness.len() > WITNESS_ROWS_MAX {
        let cut = anomaly.witness.len() - WITNESS_ROWS_MAX;
        table.push_str(&format!("\n    and {cut} more operations; see verdict.json"));
    }
    table
}

fn properties(judged: &Judged) -> String {
    let row = |(verdict, sentence): (&Verdict, String)| {
        let word = match verdict.validity {
            Validity::Valid => "valid",
            other => words::loud(other),
        };
        // The anomaly stands above in full.
        let sentence = match verdict.anomalies.first() {
            Some(anomaly) => format!("{}, see above", anomaly.name),
            None => sentence,
        };
        vec![verdict.checker.to_owned(), word.to_owned(), sentence.replace('\n', " ")]
    };
    let rows: Vec<Vec<String>> = words::decisions(judged).map(row).collect();
    align(&rows, "  ")
}

fn figures_that_matter(judged: &Judged) -> String {
    let row = |(name, text): (&str, String)| vec![name.to_owned(), text];
    let rows: Vec<Vec<String>> = numbers::rows(judged).into_iter().map(row).collect();
    align(&rows, "  ")
}

fn faults(judged: &Judged) -> Option<String> {
    let head =
        ["fault", "targets", "from..to", "outcome", "bit", "recovered after"].map(str::to_owned);
    let rows: Vec<Vec<String>> = judged
        .windows
        .iter()
        .map(|window| {
            let recovered = figures::effect(judged, window.id).recovery_ms;
            vec![
                words::fault(window).to_owned(),
                format::nodes(&window.targets),
                words::span(window),
                words::outcome(window).to_owned(),
                words::bit(window).to_owned(),
                recovered.map_or_else(|| "-".to_owned(), |ms| format::micros(ms * 1e3)),
            ]
        })
        .collect();
    let table: Vec<Vec<String>> = std::iter::once(Vec::from(head)).chain(rows).collect();
    (table.len() > 1).then(|| align(&table, "  "))
}

fn end(folder: &Folder, judged: &Judged) -> String {
    let mut rows = Vec::new();
    if judged.history_cut {
        let note = "the history ends in the middle of a line; what is whole was judged";
        rows.push(vec!["note".to_owned(), note.to_owned()]);
    }
    let limit = words::cannot_show_in_short(judged);
    rows.push(vec!["cannot show".to_owned(), limit.to_owned()]);
    let page = folder.file(super::PAGE);
    if page.is_file() {
        rows.push(vec!["report".to_owned(), page.display().to_string()]);
    }
    rows.push(vec!["repeat".to_owned(), words::command(judged)]);
    align(&rows, "  ")
}

/// Columns as wide as their widest cell, two spaces apart, nothing after the last cell.
pub(crate) fn align(rows: &[Vec<String>], margin: &str) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{margin}{}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn indent(text: &str, margin: &str) -> String {
    text.lines().map(|line| format!("{margin}{line}")).collect::<Vec<_>>().join("\n")
}
