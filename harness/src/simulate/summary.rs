//! The summary of many executions: a page of text, or lines of JSON.
//!
//! JSON: one line a convicted seed, in their order, as they are found: `seed`, `by`, `why`, `command`. Then one line with
//! the sums; what depends on the machine and on how busy it was stands in its `speed`, and all else is a function of
//! the commit and the command.

use super::Question;
use super::seeds::Seeds;
use super::tally::{Convicted, Tally};
use crate::report::{align, count, plain};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Convicted seeds of one property that are shown with their reasons and commands.
const SHOWN_MAX: usize = 3;

/// A convicted execution for machines: one line.
#[must_use]
pub fn convicted_json(question: &Question, convicted: &Convicted) -> Json {
    let Convicted { seed, by, why } = convicted;
    json!({ "seed": seed, "by": by, "why": why, "command": question.command(*seed) })
}

/// The sums for machines: one line.
#[must_use]
pub fn json(seeds: &Seeds, tally: &Tally) -> Json {
    let Tally { executions, counts, .. } = tally;
    let by: BTreeMap<&str, u64> =
        tally.convicted.iter().map(|(by, convictions)| (*by, convictions.count)).collect();
    json!({
        "seeds": { "from": seeds.from, "to": seeds.from + executions },
        "executions": executions,
        "convicted": tally.convicted_count(),
        "convicted_by": by,
        "decided": tally.decided,
        "undecided_by": tally.undecided,
        "skipped_by": tally.skipped,
        "cut_short": tally.cut_short,
        "failure": tally.failure.as_ref().map(|failure| &failure.message),
        "operations": {
            "invoked": counts.invoked, "ok": counts.ok, "fail": counts.fail, "info": counts.info,
        },
        "virtual_hours": virtual_hours(tally),
        "events": tally.events,
        "steps": tally.steps,
        "messages": tally.messages,
        "writes": tally.writes,
        "faults": tally.faults,
        "never_in_effect": tally.never_in_effect(),
        "states": {
            "distinct": tally.states_count(),
            "first_in_last_tenth": tally.states_count_of_last_tenth(),
        },
        "violations_below": rule_of_three(tally),
        "speed": {
            "wall_s": tally.wall.as_secs_f64(),
            "processor_s": tally.processor.as_secs_f64(),
            "operations_per_wall_s": rate(counts.invoked, tally.wall),
            "events_per_wall_s": rate(tally.events, tally.wall),
            "operations_per_core_s": rate(counts.invoked, tally.processor),
            "events_per_core_s": rate(tally.events, tally.processor),
        },
    })
}

/// The summary for people.
#[must_use]
pub fn text(question: &Question, seeds: &Seeds, tally: &Tally) -> String {
    let mut blocks = vec![headline(tally)];
    blocks.extend(tally.convicted.keys().map(|by| convictions(question, tally, by)));
    blocks.push(align(&rows(seeds, tally), "  "));
    plain(&blocks.join("\n\n"))
}

fn headline(tally: &Tally) -> String {
    let executions = count(tally.executions);
    let convicted = tally.convicted_count();
    let by: Vec<String> = tally
        .convicted
        .iter()
        .map(|(by, convictions)| format!("{by} {}", count(convictions.count)))
        .collect();
    let cut = if tally.cut_short { " It was cut short." } else { "" };
    let failed = if tally.failure.is_some() { " The harness failed." } else { "" };
    let gap = gap(tally);
    match convicted {
        0 if tally.failure.is_some() || tally.cut_short || !gap.is_empty() => {
            format!("UNKNOWN: none of {executions} executions was convicted{gap}.{cut}{failed}")
        }
        0 => format!("VALID: none of {executions} executions was convicted."),
        _ => format!(
            "INVALID: {} of {executions} executions convicted, by {}.{cut}{failed}",
            count(convicted),
            by.join(", ")
        ),
    }
}

/// What was asked for and is not covered by an acquittal, as the end of its sentence; empty if there is nothing such.
fn gap(tally: &Tally) -> String {
    match tally.never_in_effect().as_slice() {
        [] => String::new(),
        [one] => format!(", but {one} was asked for and never in effect"),
        [first @ .., last] => {
            format!(", but {} and {last} were asked for and never in effect", first.join(", "))
        }
    }
}

/// The first executions that a property convicted, each with the command that repeats it.
fn convictions(question: &Question, tally: &Tally, by: &str) -> String {
    let convictions = &tally.convicted[by];
    let mut lines = vec![format!("  convicted by {by}: {}", count(convictions.count))];
    for Convicted { seed, why, .. } in convictions.first.iter().take(SHOWN_MAX) {
        lines.push(format!("    seed {seed}: {}", why.replace('\n', "\n      ")));
        lines.push(format!("      {}", question.command(*seed)));
    }
    let others: Vec<String> =
        convictions.first.iter().skip(SHOWN_MAX).map(|one| one.seed.to_string()).collect();
    if !others.is_empty() {
        let more = convictions.count - convictions.first.len() as u64;
        let more = if more > 0 { format!(", and {} more", count(more)) } else { String::new() };
        lines.push(format!("    also seeds {}{more}", others.join(", ")));
    }
    lines.join("\n")
}

fn rows(seeds: &Seeds, tally: &Tally) -> Vec<Vec<String>> {
    let Tally { executions, counts, .. } = tally;
    let [invoked, ok, fail, info] =
        [counts.invoked, counts.ok, counts.fail, counts.info].map(count);
    let [states, late] = [tally.states_count(), tally.states_count_of_last_tenth()]
        .map(|states| count(states as u64));
    let which = match executions {
        0 => String::new(),
        _ => format!(", seeds {}..{}", seeds.from, seeds.from + executions),
    };
    let mut rows = vec![
        ("executions", format!("{}{which}", count(*executions))),
        ("operations", format!("{invoked}: {ok} ok, {fail} fail, {info} info")),
        ("virtual time", format!("{:.2} h", virtual_hours(tally))),
        ("speed", speed(tally, tally.wall, "")),
        ("of one core", speed(tally, tally.processor, " of processor time")),
        ("faults", list(&tally.faults)),
        (
            "states",
            format!("{states} distinct, {late} of them first in the last tenth of the executions"),
        ),
    ];
    if !tally.undecided.is_empty() {
        rows.push(("undecided", list(&tally.undecided)));
    }
    if !tally.skipped.is_empty() {
        rows.push(("left out", format!("checks of invariants: {}", list(&tally.skipped))));
    }
    if rule_of_three(tally).is_some() {
        let confidence = format!(
            "with 95 % confidence fewer than 3/{} executions of this distribution violate a property",
            tally.decided
        );
        rows.push(("confidence", confidence));
    }
    rows.into_iter().map(|(name, text)| vec![name.to_owned(), text]).collect()
}

fn list(counts: &BTreeMap<&str, u64>) -> String {
    let each = counts.iter().map(|(name, number)| format!("{name} {}", count(*number)));
    let each: Vec<String> = each.collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}

fn speed(tally: &Tally, time: Duration, of_what: &str) -> String {
    let per = |number| rate(number, time).map_or_else(|| "-".to_owned(), |rate| count(rate as u64));
    let (operations, events) = (per(tally.counts.invoked), per(tally.events));
    format!("{operations} operations/s, {events} events/s ({:.1} s{of_what})", time.as_secs_f64())
}

/// Below which share of executions violations lie with 95 % confidence, if none was found in N that were decided: 3/N, since
/// (1 - 3/N)^N is about exp(-3) = 0.05 (Hanley and Lippman-Hand, "If Nothing Goes Wrong, Is Everything All Right?", JAMA
/// 1983).
fn rule_of_three(tally: &Tally) -> Option<f64> {
    (tally.convicted_count() == 0 && tally.decided >= 3).then(|| 3.0 / tally.decided as f64)
}

fn virtual_hours(tally: &Tally) -> f64 {
    tally.virtual_ns as f64 / 3.6e12
}

fn rate(number: u64, time: Duration) -> Option<f64> {
    let seconds = time.as_secs_f64();
    (seconds > 0.0).then(|| number as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::seeds;
    use tribunal_sim::Asked;

    #[test]
    fn no_execution_has_no_seeds() {
        let mut tally = Tally::start(&Asked::default());
        let of = |tally: &Tally| text(&Question::default(), &seeds::DEFAULT, tally);
        assert!(!of(&tally).contains("seeds 0..0"), "{}", of(&tally));
        tally.executions = 2;
        assert!(of(&tally).contains("2, seeds 0..2"), "{}", of(&tally));
    }
}
