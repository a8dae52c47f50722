//! `simulation.json`: the plan of a simulated execution, as a replay writes it and as a person may have edited it.

use crate::exit::Failure;
use std::ops::RangeInclusive;
use std::path::Path;
use tribunal_sim::Plan;

/// The file's name in the folder of a replay.
pub const FILE: &str = "simulation.json";

/// How many nodes a system may have.
pub(super) const NODES: RangeInclusive<u32> = 1..=9;

/// Reads a plan and refuses what no execution can be made of.
///
/// # Errors
/// If it cannot be read, or contradicts itself; the message names the file.
pub fn read(path: &Path) -> Result<Plan, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("reading {shown}: {error}")))?;
    let plan: Plan = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{shown} is not a simulation.json: {error}")))?;
    check(&plan).map_err(|why| Failure::usage(format!("{shown}: {why}")))?;
    Ok(plan)
}

fn check(plan: &Plan) -> Result<(), String> {
    if plan.version != Plan::VERSION {
        let (found, known) = (plan.version, Plan::VERSION);
        return Err(format!("the plan has version {found}, this program reads version {known}"));
    }
    if let Some(why) = objections(plan).into_iter().find_map(|(wrong, why)| wrong.then_some(why)) {
        return Err(why.to_owned());
    }
    plan.schedule.check().map_err(|error| format!("schedule: {error}"))?;
    if plan.schedule.nodes != plan.nodes {
        return Err(format!(
            "the schedule is for {} nodes, the plan has {}",
            plan.schedule.nodes, plan.nodes
        ));
    }
    super::check(plan).map_err(|failure| failure.message)
}

/// How long clients may ask under faults, in ms, and how long after them: an execution is not interrupted in its middle.
pub const ASKING_MS_MAX: u64 = 600_000;

/// Longer is no execution: virtual time is counted in ns, and everything is kept of a replay.
const DURATION_MS_MAX: u64 = 24 * 3_600_000;

fn objections(plan: &Plan) -> Vec<(bool, &'static str)> {
    let Plan { client, node, links, disks, .. } = plan;
    let ms =
        [plan.schedule.duration_ms, plan.calm_ms, plan.recover_within_ms, plan.available_within_ms];
    let us = [client.timeout_us, client.think_us, node.heartbeat_us, node.request_us];
    let us_max = [links.delay_max_us, disks.sync_max_us];
    let none = [node.batch_commands, node.pipeline, node.queue, node.chunk_bytes, node.sessions];
    vec![
        (!NODES.contains(&plan.nodes), "nodes must be 1 to 9"),
        (!(1..=10_000).contains(&plan.clients), "clients must be 1 to 10000"),
        (ms.iter().any(|ms| *ms > DURATION_MS_MAX), "a time is longer than a day"),
        (
            us.iter().chain(&us_max).any(|us| *us > DURATION_MS_MAX * 1_000),
            "a time is longer than a day",
        ),
        (client.timeout_us == 0, "client.timeout_us must be positive"),
        (node.heartbeat_us == 0, "node.heartbeat_us must be positive"),
        (none.contains(&0), "no bound of a node may be 0"),
        (node.snapshot_entries == 0, "node.snapshot_entries must be positive"),
        (links.delay_min_us > links.delay_max_us, "links.delay_min_us is above delay_max_us"),
        (disks.sync_min_us > disks.sync_max_us, "disks.sync_min_us is above sync_max_us"),
        (disks.segment_bytes < 1_024, "disks.segment_bytes must be at least 1024"),
        (links.loss_percent.max(links.duplicate_percent) > 100, "more than 100 in a hundred"),
    ]
}
