//! The variants as a page of Markdown, to be kept as `nodes/README.md`: what each claims, what an operation costs by
//! its paper and as counted, and its messages, drawn.

use super::about::{claims, operation};
use std::fmt::Write;
use tribunal_protocol::variants::cost::{Asked, Cost};
use tribunal_protocol::variants::{VARIANTS, Variant};
use tribunal_sim::calm::{CalmError, Measured, measure};
use tribunal_sim::diagram::{Diagram, LEGEND};

/// The numbers of nodes for which costs are counted.
const NODES: [u32; 2] = [3, 5];
/// The number of nodes in a drawing.
const DRAWN: u32 = 3;

const INTRO: &str = "\
# Our variants

The classic algorithms on one runtime: they share the state machine, the sessions, the log, the transport and the client,
so that a difference is the algorithm's. Each is a core without input or output in
[protocol/src/variants](protocol/src/variants), whose header gives the source, the invariants, a table of its messages, and
what is absent. A core runs as a process (`tribunal run --system NAME`) and in the simulator (`tribunal sim --system NAME`).

This page is made by the program: `tribunal list systems --markdown > nodes/README.md`. A test compares the two.
";

const COSTS: &str = "\
## Costs

What one operation alone costs, of `n` nodes without faults that have settled: all messages between nodes that it causes, the
message delays between the request's arrival and the answer (two are a round trip), and the syncs of a disk at all nodes
together. The formulas are derived from the papers; the numbers beside them were counted on simulated nodes, for 3 nodes
and for 5. A test counts for 3, 4, 5 and 7 nodes, at every node to which the line applies.
";

const DRAWINGS: &str = "\
## Messages

The messages of one write, and of one read where they are others, on 3 simulated nodes without faults: recorded from the
very run that was counted. A message takes 1 ms there; disks and processors take none.

`═▶` is a client's call or its answer; `─▶` a message, in the line of the moment at which it is sent; `◆` a sync of a disk.
";

/// The page.
///
/// # Errors
/// If an operation's costs cannot be counted.
pub fn markdown() -> Result<String, CalmError> {
    let mut page = format!("{INTRO}\n## Claims\n\n");
    line(&mut page, &["variant", "paper", "claims", "survives", "quorums"].map(str::to_owned));
    page.push_str("|---|---|---|---|---|\n");
    for Variant { name, paper, capabilities, survives, quorums, .. } in VARIANTS {
        let name = format!("[`{name}`](#{name})");
        line(&mut page, &[&name, *paper, &claims(capabilities), survives, quorums].map(escaped));
    }
    let _ = write!(page, "\n{COSTS}\n"); // Writing to a string cannot fail, here and below.
    let counted = "n = 3, 5";
    let head = ["variant", "operation", "messages", counted, "delays", counted, "syncs", counted];
    line(&mut page, &head.map(str::to_owned));
    page.push_str("|---|---|---|---:|---|---:|---|---:|\n");
    for variant in VARIANTS {
        for cost in variant.costs {
            line(&mut page, &costs(variant, cost)?);
        }
    }
    let _ = write!(page, "\n{DRAWINGS}\n{LEGEND}\n");
    for variant in VARIANTS {
        let _ = write!(page, "\n### {}\n\n{}.\n", variant.name, capitalized(variant.summary));
        draw(&mut page, variant)?;
    }
    // Whoever prints it ends its last line.
    page.truncate(page.trim_end().len());
    Ok(page)
}

/// A line of the table of costs.
fn costs(variant: &Variant, cost: &Cost) -> Result<[String; 8], CalmError> {
    let count = |nodes| measure(variant, nodes, cost.asked, cost.at);
    let counted = NODES.into_iter().map(count).collect::<Result<Vec<Measured>, _>>()?;
    let each = |what: fn(&Measured) -> u64| {
        let numbers: Vec<String> = counted.iter().map(|one| what(one).to_string()).collect();
        numbers.join(", ")
    };
    let formula = |text: &str| format!("`{text}`");
    Ok([
        format!("`{}`", variant.name),
        operation(cost),
        formula(cost.messages.text),
        each(|one| one.messages),
        formula(cost.delays.text),
        each(|one| one.delays),
        formula(cost.syncs.text),
        each(|one| one.syncs),
    ])
}

/// Draws a write, and a read if it sends other messages.
fn draw(page: &mut String, variant: &Variant) -> Result<(), CalmError> {
    let mut drawn = None;
    for asked in [Asked::Write, Asked::Read] {
        let Some(cost) = variant.costs.iter().find(|cost| cost.asked == asked) else { continue };
        let measured = measure(variant, DRAWN, asked, cost.at)?;
        if drawn.as_ref() == Some(&measured.by_kind) {
            continue;
        }
        let diagram = Diagram::of_calm(&measured);
        let _ = write!(page, "\nA {}:\n\n```text\n{}```\n", operation(cost), diagram.drawing());
        for note in diagram.notes() {
            let _ = write!(page, "\n{note}\n");
        }
        drawn = Some(measured.by_kind);
    }
    Ok(())
}

fn line(page: &mut String, cells: &[String]) {
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
