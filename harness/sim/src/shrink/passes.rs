//! What is made smaller, one dimension a pass. Each pass changes one thing of the plan, asks whether it still fails, and goes on
//! from there.
//!
//! Every pass makes its own dimension strictly smaller with each candidate that is taken, and no other one of the plan
//! larger, so that rounds of passes come to an end.

use super::Search;
use super::ddmin::ddmin;
use crate::plan::Plan;
use std::collections::BTreeSet;
use tribunal_nemesis::{Fault, Injection};
use tribunal_spec::Spec;

/// A pass.
type Pass = fn(&mut Search<'_>);

/// The passes with their names. Operations come first: the fewer there are, the faster is every later execution.
pub(super) const PASSES: &[(&str, Pass)] = &[
    ("operations", operations),
    ("injections", injections),
    ("times", times),
    ("clients", clients),
    ("nodes", nodes),
    ("targets", targets),
    ("settings", settings),
];

/// Times are not told apart more finely than this, in ms.
const FINE_MS: u64 = 10;

fn injections(search: &mut Search<'_>) {
    let all = search.current.schedule.injections.clone();
    ddmin(&all, |kept| {
        let mut candidate = search.current.clone();
        candidate.schedule.injections = kept.to_vec();
        search.accepts(candidate)
    });
}

fn operations(search: &mut Search<'_>) {
    let read = |search: &Search<'_>| {
        search.current.operations_max.unwrap_or(search.outcome.counts.invoked)
    };
    search.lower(0, 1, read, |plan, operations| plan.operations_max = Some(operations));
}

fn clients(search: &mut Search<'_>) {
    let read = |search: &Search<'_>| u64::from(search.current.clients);
    search.lower(1, 1, read, |plan, clients| plan.clients = u32::try_from(clients).unwrap_or(1));
}

/// Leaves nodes out, the last one first.
fn nodes(search: &mut Search<'_>) {
    let smaller = |search: &mut Search<'_>| {
        let nodes = search.current.nodes;
        (1..=nodes).rev().any(|node| nodes > 1 && search.accepts(without(&search.current, node)))
    };
    while smaller(search) {}
}

/// The plan without a node: later ones move up, and faults that meant only this one are left out.
fn without(plan: &Plan, node: u32) -> Plan {
    let mut plan = plan.clone();
    plan.nodes -= 1;
    plan.schedule.nodes = plan.nodes;
    let moved = |other: u32| if other > node { other - 1 } else { other };
    let keep = |mut injection: Injection| {
        let Some(resolved) = &mut injection.resolved else { return Some(injection) };
        let meant = !resolved.targets.is_empty() || !resolved.cut.is_empty();
        let live = |other: &u32| *other != node;
        resolved.targets = resolved.targets.iter().copied().filter(live).map(moved).collect();
        resolved.down = resolved.down.iter().copied().filter(live).map(moved).collect();
        let live = |(from, to): &(u32, u32)| *from != node && *to != node;
        let both = |(from, to)| (moved(from), moved(to));
        resolved.cut = resolved.cut.iter().copied().filter(live).map(both).collect();
        resolved.leader = resolved.leader.filter(|leader| *leader != node).map(moved);
        let means = match injection.fault {
            Fault::Partition { .. } => !resolved.cut.is_empty(),
            _ => !resolved.targets.is_empty(),
        };
        (means || !meant).then_some(injection)
    };
    let fits = |injection: &Injection| injection.fault.fits(plan.nodes);
    plan.schedule.injections =
        plan.schedule.injections.into_iter().filter_map(keep).filter(fits).collect();
    plan
}

/// Aims faults at fewer nodes.
fn targets(search: &mut Search<'_>) {
    for nth in 0..search.current.schedule.injections.len() {
        let Injection { resolved: Some(resolved), fault, .. } =
            search.current.schedule.injections[nth].clone()
        else {
            continue;
        };
        if matches!(fault, Fault::Partition { .. }) {
            continue; // It means its links.
        }
        for node in resolved.targets {
            let mut candidate = search.current.clone();
            let Some(resolved) = &mut candidate.schedule.injections[nth].resolved else { continue };
            resolved.targets.retain(|target| *target != node);
            resolved.down.remove(&node);
            if !resolved.targets.is_empty() {
                search.accepts(candidate);
            }
        }
    }
}

/// Ends the execution earlier, begins faults earlier, and ends them earlier.
fn times(search: &mut Search<'_>) {
    calm(search);
    duration(search);
    for nth in 0..search.current.schedule.injections.len() {
        window(search, nth);
        gap(search, nth);
    }
    duration(search);
}

fn calm(search: &mut Search<'_>) {
    let read = |search: &Search<'_>| search.current.calm_ms;
    search.lower(0, FINE_MS, read, |plan, calm_ms| plan.calm_ms = calm_ms);
}

fn duration(search: &mut Search<'_>) {
    let least = least_duration_ms(&search.current);
    let read = |search: &Search<'_>| search.current.schedule.duration_ms;
    search.lower(least, FINE_MS, read, end_at);
}

/// When the last fault has ended, or a permanent one begun.
fn least_duration_ms(plan: &Plan) -> u64 {
    let last = |one: &Injection| {
        if one.fault.is_permanent() { one.at_ms + 1 } else { one.until_ms }
    };
    plan.schedule.injections.iter().map(last).max().unwrap_or(1)
}

fn end_at(plan: &mut Plan, duration_ms: u64) {
    plan.schedule.duration_ms = duration_ms;
    for injection in &mut plan.schedule.injections {
        injection.until_ms = injection.until_ms.min(duration_ms);
    }
}

/// Ends a fault earlier.
fn window(search: &mut Search<'_>, nth: usize) {
    if search.current.schedule.injections[nth].fault.is_permanent() {
        return;
    }
    let read = move |search: &Search<'_>| {
        let injection = &search.current.schedule.injections[nth];
        injection.until_ms - injection.at_ms
    };
    search.lower(1, FINE_MS, read, move |plan, length_ms| {
        let injection = &mut plan.schedule.injections[nth];
        injection.until_ms = injection.at_ms + length_ms;
    });
}

/// Moves a fault, and all that follow it, nearer to the one before it or to the beginning.
fn gap(search: &mut Search<'_>, nth: usize) {
    let before_ms = move |plan: &Plan| match nth {
        0 => 0,
        _ => plan.schedule.injections[nth - 1].at_ms,
    };
    let read = move |search: &Search<'_>| {
        search.current.schedule.injections[nth].at_ms - before_ms(&search.current)
    };
    search.lower(0, FINE_MS, read, move |plan, gap_ms| {
        let earlier_ms = plan.schedule.injections[nth].at_ms - before_ms(plan) - gap_ms;
        for injection in &mut plan.schedule.injections[nth..] {
            injection.at_ms -= earlier_ms;
            if !injection.fault.is_permanent() {
                injection.until_ms -= earlier_ms;
            }
        }
    });
}

/// Makes settings plain: first all, then one by one.
fn settings(search: &mut Search<'_>) {
    let mut plain = search.current.clone();
    KNOBS.iter().for_each(|knob| (knob.make_plain)(&mut plain));
    if search.accepts(plain) {
        return;
    }
    for knob in KNOBS {
        let mut candidate = search.current.clone();
        (knob.make_plain)(&mut candidate);
        search.accepts(candidate);
    }
}

impl Search<'_> {
    /// Lowers a number of the plan as far as it still fails, in steps that become smaller: down to `least`, and not by less
    /// than `fine`.
    fn lower(
        &mut self,
        least: u64,
        fine: u64,
        read: impl Fn(&Search<'_>) -> u64,
        write: impl Fn(&mut Plan, u64),
    ) {
        loop {
            let tried = steps(least, read(self), fine);
            let lowered = tried.into_iter().any(|value| {
                let mut candidate = self.current.clone();
                write(&mut candidate, value);
                self.accepts(candidate)
            });
            if !lowered || self.used_up {
                break;
            }
        }
    }
}

/// Values from `least` up to `now - fine`, the smallest first.
fn steps(least: u64, now: u64, fine: u64) -> BTreeSet<u64> {
    let Some(range) = now.checked_sub(least).filter(|range| *range >= fine) else {
        return BTreeSet::new();
    };
    let eighths = [0, 1, 2, 4, 6].map(|eighth| least + range * eighth / 8);
    eighths.into_iter().chain([now - fine]).filter(|value| value + fine <= now).collect()
}

/// A setting that has a plain value.
pub(super) struct Knob {
    /// What it is.
    pub(super) name: &'static str,
    /// What it is set to, for people.
    pub(super) show: fn(&Plan) -> String,
    /// Sets it to its plain value.
    make_plain: fn(&mut Plan),
}

impl Knob {
    pub(super) fn is_plain(&self, plan: &Plan) -> bool {
        let mut plain = plan.clone();
        (self.make_plain)(&mut plain);
        plain == *plan
    }
}

/// Settings with what is plain: the value under which the least happens by itself.
pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "retries of a client",
        show: |plan| plan.client.retries.to_string(),
        make_plain: |plan| plan.client.retries = 0,
    },
    Knob {
        name: "pause of a client, us",
        show: |plan| plan.client.think_us.to_string(),
        make_plain: |plan| plan.client.think_us = 30_000,
    },
    Knob {
        name: "commands in a batch",
        show: |plan| plan.node.batch_commands.to_string(),
        make_plain: |plan| plan.node.batch_commands = 1,
    },
    Knob {
        name: "proposals under way",
        show: |plan| plan.node.pipeline.to_string(),
        make_plain: |plan| plan.node.pipeline = 1,
    },
    Knob {
        name: "requests that may wait",
        show: |plan| plan.node.queue.to_string(),
        make_plain: |plan| plan.node.queue = 16_384,
    },
    Knob {
        name: "entries between snapshots",
        show: |plan| format!("{} (keeps {})", plan.node.snapshot_entries, plan.node.keep_entries),
        make_plain: |plan| (plan.node.snapshot_entries, plan.node.keep_entries) = (20_000, 0),
    },
    Knob {
        name: "chunks of a snapshot, bytes",
        show: |plan| plan.node.chunk_bytes.to_string(),
        make_plain: |plan| plan.node.chunk_bytes = 256 * 1024,
    },
    Knob {
        name: "sessions",
        show: |plan| plan.node.sessions.to_string(),
        make_plain: |plan| plan.node.sessions = 1_000,
    },
    Knob {
        name: "loss on links, percent",
        show: |plan| plan.links.loss_percent.to_string(),
        make_plain: |plan| plan.links.loss_percent = 0,
    },
    Knob {
        name: "duplicates on links, percent",
        show: |plan| plan.links.duplicate_percent.to_string(),
        make_plain: |plan| plan.links.duplicate_percent = 0,
    },
    Knob {
        name: "delay of links, us",
        show: |plan| format!("{}..{}", plan.links.delay_min_us, plan.links.delay_max_us),
        make_plain: |plan| plan.links.delay_max_us = plan.links.delay_min_us,
    },
    Knob {
        name: "links keep the order",
        show: |plan| plan.links.in_order.to_string(),
        make_plain: |plan| plan.links.in_order = true,
    },
    Knob {
        name: "cut links hold messages",
        show: |plan| plan.links.cuts_hold.to_string(),
        make_plain: |plan| plan.links.cuts_hold = false,
    },
    Knob {
        name: "sync of a disk, us",
        show: |plan| format!("{}..{}", plan.disks.sync_min_us, plan.disks.sync_max_us),
        make_plain: |plan| plan.disks.sync_max_us = plan.disks.sync_min_us,
    },
    Knob {
        name: "segments of a log, bytes",
        show: |plan| plan.disks.segment_bytes.to_string(),
        make_plain: |plan| plan.disks.segment_bytes = 128 * 1024,
    },
    Knob {
        name: "workload",
        show: |plan| plan.workload.to_string(),
        make_plain: |plan| one_key(&mut plan.workload),
    },
    Knob {
        name: "balancer",
        show: |plan| plan.balancer.to_string(),
        make_plain: |plan| {
            plan.balancer = Spec { name: "round-robin".to_owned(), params: [].into() };
        },
    },
    Knob {
        name: "shares are asserted",
        show: |plan| plan.assert_shares.to_string(),
        make_plain: |plan| plan.assert_shares = false,
    },
];

/// All processes work on one key. A workload without these parameters refuses the plan.
fn one_key(workload: &mut Spec) {
    for (key, value) in [("keys", "1"), ("passing", "0")] {
        workload.params.insert(key.to_owned(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Asked;

    #[test]
    fn steps_go_down_to_the_least_and_never_less_than_a_fine_step() {
        assert_eq!(steps(0, 80, 1), [0, 10, 20, 40, 60, 79].into());
        assert_eq!(steps(1, 2, 1), [1].into());
        assert_eq!(steps(3, 3, 1), BTreeSet::new());
        assert_eq!(steps(0, 12, 10), [0, 1, 2].into());
        assert_eq!(steps(0, 9, 10), BTreeSet::new());
        assert_eq!(steps(5, 4, 1), BTreeSet::new());
    }

    #[test]
    fn a_plan_without_a_node_means_the_same_other_nodes() {
        let nemesis = Spec::parse_list("kill:target=one,partition:kind=one").expect("specs");
        let asked = Asked {
            nodes: Some(5),
            nemesis: Some(nemesis),
            duration_ms: Some(4_000),
            ..Asked::default()
        };
        let mut plan = Plan::swarm(3, &asked).expect("a plan");
        let by_name = |plan: &Plan, name: &str| {
            let injections = plan.schedule.injections.iter();
            injections.filter(|one| one.fault.name() == name).count()
        };
        for injection in &mut plan.schedule.injections {
            let only_4 = injection.fault.name() == "kill";
            injection.resolved = Some(tribunal_nemesis::Resolved {
                targets: if only_4 { vec![4] } else { vec![5] },
                down: if only_4 { [4].into() } else { [].into() },
                cut: if only_4 { [].into() } else { [(5, 1), (1, 5), (5, 4)].into() },
                leader: None,
            });
        }
        assert!(by_name(&plan, "kill") > 0 && by_name(&plan, "partition") > 0);
        let smaller = without(&plan, 4);
        assert_eq!((smaller.nodes, smaller.schedule.nodes), (4, 4));
        assert_eq!(by_name(&smaller, "kill"), 0, "nobody is left to be killed");
        assert_eq!(by_name(&smaller, "partition"), by_name(&plan, "partition"));
        for injection in &smaller.schedule.injections {
            let resolved = injection.resolved.as_ref().expect("it was resolved");
            assert_eq!(resolved.targets, [4], "node 5 is node 4 now");
            assert_eq!(resolved.cut, [(4, 1), (1, 4)].into());
        }
        smaller.schedule.check().expect("a schedule for four nodes");
    }

    #[test]
    fn a_plain_setting_stays_plain_and_each_can_be_not_plain() {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for seed in 0..60 {
            let mut plan = Plan::swarm(seed, &Asked::default()).expect("a plan");
            plan.assert_shares = seed == 0;
            for knob in KNOBS {
                if !knob.is_plain(&plan) {
                    seen.insert(knob.name);
                    let shown = (knob.show)(&plan);
                    (knob.make_plain)(&mut plan);
                    assert!(knob.is_plain(&plan), "{}", knob.name);
                    assert_ne!((knob.show)(&plan), shown, "{}", knob.name);
                }
            }
        }
        assert_eq!(seen.len(), KNOBS.len(), "{seen:?}");
    }
}
