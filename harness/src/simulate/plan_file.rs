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

/// The longest delay of a link and sync of a disk, without a fault, in us.
const MACHINE_US_MAX: u64 = 10_000_000;

/// From one sector, the least that a segment of a log can be, to what a simulated disk holds many times.
const SEGMENT_BYTES: RangeInclusive<u64> = 512..=16 << 20;

/// Longer is no execution: virtual time is counted in ns, and everything is kept of a replay.
const DURATION_MS_MAX: u64 = 24 * 3_600_000;

/// What is wrong with each part of a plan by itself, and whether it is.
fn objections(plan: &Plan) -> Vec<(bool, &'static str)> {
    let mut all = objections_to_nodes(plan);
    all.extend(objections_to_times(plan));
    all.extend(objections_to_machines(plan));
    all
}

/// How many there are, and their bounds.
fn objections_to_nodes(plan: &Plan) -> Vec<(bool, &'static str)> {
    let node = &plan.node;
    vec![
        (!NODES.contains(&plan.nodes), "nodes must be 1 to 9"),
        (!(1..=10_000).contains(&plan.clients), "clients must be 1 to 10000"),
        (node.batch_commands == 0, "node.batch_commands must be at least 1"),
        (node.pipeline == 0, "node.pipeline must be at least 1"),
        (node.queue == 0, "node.queue must be at least 1"),
        (node.chunk_bytes == 0, "node.chunk_bytes must be at least 1"),
        (node.sessions == 0, "node.sessions must be at least 1"),
        (node.snapshot_entries == 0, "node.snapshot_entries must be at least 1"),
    ]
}

/// Times: shorter, a system is convicted that had no chance; longer, an execution hardly ends.
fn objections_to_times(plan: &Plan) -> Vec<(bool, &'static str)> {
    let Plan { client, node, schedule, .. } = plan;
    let ms = [plan.recover_within_ms, plan.available_within_ms, plan.calm_ms];
    let us = [client.timeout_us, client.think_us, node.heartbeat_us, node.request_us];
    // A plan that was drawn waits twice for all that its faults leave behind.
    let calm_ms_max = ASKING_MS_MAX.saturating_add(schedule.lingering_ms().saturating_mul(2));
    vec![
        (schedule.duration_ms > ASKING_MS_MAX, "schedule.duration_ms must be at most 600000"),
        (
            plan.calm_ms > calm_ms_max,
            "calm_ms must be at most 600000, and twice what the delays of its faults add up to",
        ),
        (ms.iter().any(|ms| *ms > DURATION_MS_MAX), "a time is longer than a day"),
        (us.iter().any(|us| *us > DURATION_MS_MAX * 1_000), "a time is longer than a day"),
        (client.timeout_us < 1_000, "client.timeout_us must be at least 1000"),
        (node.heartbeat_us < 1_000, "node.heartbeat_us must be at least 1000"),
        (node.request_us < 1_000, "node.request_us must be at least 1000"),
        (plan.available_within_ms < 100, "available_within_ms must be at least 100"),
        (plan.recover_within_ms < 1_000, "recover_within_ms must be at least 1000"),
    ]
}

/// Links and disks.
fn objections_to_machines(plan: &Plan) -> Vec<(bool, &'static str)> {
    let Plan { links, disks, .. } = plan;
    vec![
        (links.delay_min_us > links.delay_max_us, "links.delay_min_us is above delay_max_us"),
        (links.delay_max_us > MACHINE_US_MAX, "links.delay_max_us must be at most 10000000"),
        (links.loss_percent > 100, "links.loss_percent must be at most 100"),
        (links.duplicate_percent > 100, "links.duplicate_percent must be at most 100"),
        (disks.sync_min_us > disks.sync_max_us, "disks.sync_min_us is above sync_max_us"),
        (disks.sync_max_us > MACHINE_US_MAX, "disks.sync_max_us must be at most 10000000"),
        (
            !SEGMENT_BYTES.contains(&disks.segment_bytes),
            "disks.segment_bytes must be 512 to 16777216",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tribunal_sim::Asked;

    fn drawn() -> Plan {
        Plan::swarm(1, &Asked::default()).expect("possible")
    }

    /// What `change` makes of a plan that is right.
    fn objection(change: impl FnOnce(&mut Plan)) -> Option<String> {
        let mut plan = drawn();
        change(&mut plan);
        check(&plan).err()
    }

    /// A change of a plan, and what it is refused with.
    type Case = (fn(&mut Plan), &'static str);

    #[test]
    fn each_bound_is_refused_by_its_name() {
        let cases: &[Case] = &[
            (|plan| plan.clients = 0, "clients must"),
            (|plan| plan.node.batch_commands = 0, "node.batch_commands must"),
            (|plan| plan.node.pipeline = 0, "node.pipeline must"),
            (|plan| plan.node.queue = 0, "node.queue must"),
            (|plan| plan.node.chunk_bytes = 0, "node.chunk_bytes must"),
            (|plan| plan.node.sessions = 0, "node.sessions must"),
            (|plan| plan.node.snapshot_entries = 0, "node.snapshot_entries must"),
            (|plan| plan.schedule.duration_ms = 600_001, "schedule.duration_ms must"),
            (|plan| plan.calm_ms = 7_000_000, "calm_ms must"),
            (|plan| plan.client.think_us = u64::MAX, "longer than a day"),
            (|plan| plan.recover_within_ms = u64::MAX, "longer than a day"),
            (|plan| plan.client.timeout_us = 999, "client.timeout_us must"),
            (|plan| plan.node.heartbeat_us = 999, "node.heartbeat_us must"),
            (|plan| plan.node.request_us = 999, "node.request_us must"),
            (|plan| plan.available_within_ms = 99, "available_within_ms must"),
            (|plan| plan.recover_within_ms = 999, "recover_within_ms must"),
            (|plan| plan.links.delay_min_us = 10_000_000, "links.delay_min_us is above"),
            (|plan| plan.links.delay_max_us = 10_000_001, "links.delay_max_us must"),
            (|plan| plan.links.loss_percent = 101, "links.loss_percent must"),
            (|plan| plan.links.duplicate_percent = 101, "links.duplicate_percent must"),
            (|plan| plan.disks.sync_min_us = 10_000_000, "disks.sync_min_us is above"),
            (|plan| plan.disks.sync_max_us = 10_000_001, "disks.sync_max_us must"),
            (|plan| plan.disks.segment_bytes = 511, "disks.segment_bytes must"),
            (|plan| plan.disks.segment_bytes = (16 << 20) + 1, "disks.segment_bytes must"),
        ];
        for (change, why) in cases {
            let objection = objection(*change).unwrap_or_default();
            assert!(objection.starts_with(why) || objection.ends_with(why), "{why}: {objection}");
        }
    }

    #[test]
    fn each_bound_itself_is_accepted() {
        let least = |plan: &mut Plan| {
            (plan.client.timeout_us, plan.node.heartbeat_us) = (1_000, 1_000);
            (plan.node.request_us, plan.disks.segment_bytes) = (1_000, 512);
            (plan.available_within_ms, plan.recover_within_ms) = (100, 1_000);
            (plan.node.batch_commands, plan.node.pipeline, plan.node.queue) = (1, 1, 1);
        };
        let most = |plan: &mut Plan| {
            (plan.schedule.duration_ms, plan.calm_ms) = (600_000, 600_000);
            (plan.links.delay_max_us, plan.disks.sync_max_us) = (10_000_000, 10_000_000);
            plan.disks.segment_bytes = 16 << 20;
        };
        assert_eq!((objection(least), objection(most)), (None, None));
    }

    #[test]
    fn what_is_drawn_is_accepted_however_much_its_faults_leave_behind() {
        let stall = "disk-stall:delay=10s".parse().expect("a spec");
        let longest = Asked {
            nemesis: Some(vec![stall]),
            duration_ms: Some(ASKING_MS_MAX),
            assert_shares: true,
            ..Asked::default()
        };
        let plan = Plan::swarm(1, &longest).expect("possible");
        assert!(plan.calm_ms > ASKING_MS_MAX, "the case is none");
        assert_eq!(check(&plan), Ok(()));
        for seed in 0..300 {
            let plan = Plan::swarm(seed, &Asked::default()).expect("possible");
            assert_eq!(check(&plan), Ok(()), "seed {seed}");
        }
    }
}
