//! A schedule in which isolation is handed on: while one minority is cut off, nodes of the rest restart; at its return
//! another minority is cut off at once.
//!
//! What was decided while one part was away thus rests on those who were there, and is then asked of a quorum that shares
//! as few of them as quorums can: a node that forgot or garbled what it had acknowledged is not covered by the others.
//! Faults at independent times hardly ever line up so; compare the failure histories in Yuan et al., "Simple Testing Can
//! Prevent Most Critical Failures" (OSDI 2014), most of which need few events, in one order.
//!
//! Other faults may last through all of it.
//!
//! Every target is resolved in advance, so nothing of it depends on who leads.

use crate::faults::{CutMode, Fault, Partition, Target};
use crate::resolve::Resolved;
use crate::schedule::{Injection, Schedule, VERSION};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

/// How long each part lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Legs {
    /// Nothing happens before, in ms.
    pub lead_in_ms: u64,
    /// The shortest time of one isolation, in ms.
    pub min_ms: u64,
    /// The longest, in ms.
    pub max_ms: u64,
    /// The longest time that a restarted node is down, in ms.
    pub down_ms_max: u64,
}

/// A relay over `duration_ms` on nodes `1..=nodes`. `restarts` are faults that end their targets for a while, or for
/// good; each has its targets replaced by nodes that are connected. `throughout` are faults of links, clocks or leaders
/// that befall every node from the first leg to the last. Fewer than three nodes have no relay: the schedule is empty then.
#[must_use]
pub fn relay(
    seed: u64,
    nodes: u32,
    duration_ms: u64,
    legs: Legs,
    restarts: &[Fault],
    throughout: &[Fault],
) -> Schedule {
    let mut maker = Maker { generator: crate::generator(seed, 0), nodes, injections: Vec::new() };
    let minority = crate::minority(nodes) as usize;
    if minority > 0 {
        maker.fill(duration_ms, legs, restarts, minority);
        for fault in throughout.iter().filter(|_| legs.lead_in_ms < duration_ms) {
            let targets = (1..=nodes).collect();
            let resolved = Resolved { targets, ..Resolved::default() };
            maker.add(legs.lead_in_ms, duration_ms, fault.aimed_at(Target::All), resolved);
        }
    }
    let mut injections = maker.injections;
    injections.sort_by_key(|injection| (injection.at_ms, injection.id));
    Schedule { version: VERSION, seed, nodes, duration_ms, injections }
}

struct Maker {
    generator: ChaCha8Rng,
    nodes: u32,
    injections: Vec<Injection>,
}

impl Maker {
    fn fill(&mut self, duration_ms: u64, legs: Legs, restarts: &[Fault], minority: usize) {
        let mut now_ms = legs.lead_in_ms;
        let mut away: Vec<u32> = Vec::new();
        let mut expendable = minority;
        loop {
            let leg_ms = self.generator.random_range(legs.min_ms..=legs.max_ms);
            if now_ms + leg_ms >= duration_ms {
                return;
            }
            // Whoever was away comes back, as far as there are others.
            let mut order: Vec<u32> = (1..=self.nodes).collect();
            order.shuffle(&mut self.generator);
            order.sort_by_key(|node| away.contains(node));
            let (isolated, rest) = order.split_at(minority);
            self.isolate(now_ms, now_ms + leg_ms, isolated, rest);
            if !restarts.is_empty() && self.generator.random_bool(0.8) {
                let fault = restarts[self.generator.random_range(0..restarts.len())];
                // One that is lost for good counts against the minority.
                if !fault.is_permanent() || expendable > 0 {
                    expendable -= usize::from(fault.is_permanent());
                    self.restart(now_ms, leg_ms, legs.down_ms_max, fault, rest, duration_ms);
                }
            }
            away = isolated.to_vec();
            now_ms += leg_ms;
        }
    }

    fn isolate(&mut self, at_ms: u64, until_ms: u64, isolated: &[u32], rest: &[u32]) {
        let mut cut = BTreeSet::new();
        for &from in isolated {
            for &to in rest {
                cut.insert((from, to));
                cut.insert((to, from));
            }
        }
        let kind = if isolated.len() == 1 { Partition::One } else { Partition::Halves };
        let fault = Fault::Partition { kind, mode: CutMode::Silent };
        let mut targets = isolated.to_vec();
        targets.sort_unstable();
        self.add(at_ms, until_ms, fault, Resolved { targets, cut, ..Resolved::default() });
    }

    /// Restarts one of `rest`, or all of it, so that it is back before the leg is over.
    fn restart(
        &mut self,
        at_ms: u64,
        leg_ms: u64,
        down_ms_max: u64,
        fault: Fault,
        rest: &[u32],
        duration_ms: u64,
    ) {
        let down_ms = self.generator.random_range(1..=down_ms_max.min(leg_ms / 2).max(1));
        let latest_ms = leg_ms.saturating_sub(down_ms);
        // Every other one is back just when isolation is handed on: what it has forgotten nobody can tell it any more.
        let late = self.generator.random_bool(0.5);
        let from_ms =
            at_ms + if late { latest_ms } else { self.generator.random_range(0..latest_ms.max(1)) };
        let all = !fault.is_permanent() && self.generator.random_bool(0.3);
        let count = if all { rest.len() } else { 1 };
        let first = self.generator.random_range(0..rest.len());
        let mut targets: Vec<u32> =
            (0..count).map(|nth| rest[(first + nth) % rest.len()]).collect();
        targets.sort_unstable();
        let down = targets.iter().copied().collect();
        let until_ms = if fault.is_permanent() { duration_ms } else { from_ms + down_ms };
        let target = if all { Target::Majority } else { Target::One };
        let resolved = Resolved { targets, down, ..Resolved::default() };
        self.add(from_ms, until_ms, fault.aimed_at(target), resolved);
    }

    fn add(&mut self, at_ms: u64, until_ms: u64, fault: Fault, resolved: Resolved) {
        let id = u32::try_from(self.injections.len()).unwrap_or(u32::MAX);
        self.injections.push(Injection { id, at_ms, until_ms, fault, resolved: Some(resolved) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGS: Legs = Legs { lead_in_ms: 200, min_ms: 100, max_ms: 400, down_ms_max: 50 };

    #[test]
    fn isolation_is_handed_on_without_a_gap_and_never_to_a_majority() {
        for (seed, nodes) in (0..200).zip([3, 4, 5].into_iter().cycle()) {
            let kill = Fault::Kill { target: Target::One, stay_dead: false };
            let schedule = relay(seed, nodes, 3_000, LEGS, &[kill], &[]);
            schedule.check().expect("sound");
            let cuts: Vec<_> = schedule
                .injections
                .iter()
                .filter(|injection| matches!(injection.fault, Fault::Partition { .. }))
                .collect();
            assert!(cuts.len() > 4, "{}", cuts.len());
            for pair in cuts.windows(2) {
                assert_eq!(pair[0].until_ms, pair[1].at_ms);
                let targets =
                    |nth: usize| pair[nth].resolved.as_ref().expect("resolved").targets.clone();
                assert_ne!(targets(0), targets(1));
                assert!(targets(0).len() <= crate::minority(nodes) as usize);
            }
        }
    }

    #[test]
    fn what_is_lost_for_good_stays_a_minority() {
        for seed in 0..200 {
            let schedule =
                relay(seed, 5, 4_000, LEGS, &[Fault::BitRot { target: Target::One }], &[]);
            schedule.check().expect("sound");
        }
    }
}
