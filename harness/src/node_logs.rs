//! What the nodes said on their standard error: a panic that a node survived is a violation, as its end would be.
//!
//! Read from `nodes/<id>/stderr.log`, so an old run gives what the live run gave. A pass says only that no line looks like
//! a panic; how many lines there are, and the last ones of each node, stand in the figures.

use crate::folder::Folder;
use std::fs;
use tribunal_checkers::{Anomaly, Verdict};

/// The name of the property.
const NAME: &str = "node-logs";
/// What a panic of Rust says of itself. Other systems will name their own words: a looser match would convict innocents.
const PANIC: &str = "panicked at";
/// Lines kept of each node, for the report.
const LINES_KEPT: usize = 3;

/// Judges the logs of nodes 1 to `nodes`.
#[must_use]
pub fn judge(folder: &Folder, nodes: u32) -> Verdict {
    let mut anomalies = Vec::new();
    let mut figures = Vec::new();
    for node in 1..=nodes {
        // A node that never started has said nothing.
        let bytes = fs::read(folder.node(node).join("stderr.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        anomalies.extend(panics(node, &lines));
        let last = &lines[lines.len().saturating_sub(LINES_KEPT)..];
        figures.push(serde_json::json!({ "node": node, "lines": lines.len(), "last": last }));
    }
    Verdict::of(NAME, false, anomalies).figure("nodes", figures)
}

fn panics(node: u32, lines: &[&str]) -> Vec<Anomaly> {
    let is_panic = |line: &&&str| line.contains(PANIC);
    let anomaly = |line: &&str| {
        Anomaly::new("node-panic", format!("node {node} said: {line}"), None, Vec::new())
    };
    lines.iter().filter(is_panic).map(anomaly).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_convicts_and_other_lines_do_not() {
        let calm = ["n1: peer n2 has ended", "a log tail was dropped"];
        assert!(panics(1, &calm).is_empty());
        let line = "thread 'core' panicked at nodes/src/host.rs:7:5:";
        let found = panics(2, &[calm[0], line]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, format!("node 2 said: {line}"));
    }
}
