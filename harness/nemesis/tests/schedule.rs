//! Schedules: from a seed, within their bounds, and readable back.

use proptest::prelude::*;
use std::collections::BTreeSet;
use tribunal_nemesis::{
    Fault, Injection, Pace, Resolved, Schedule, generate, generate_paced, minority, registry,
    resolve,
};
use tribunal_spec::Spec;

type Edit = fn(&mut Schedule);

fn specs(text: &str) -> Vec<Spec> {
    Spec::parse_list(text).expect("grammar")
}

fn default_run(seed: u64) -> Schedule {
    generate(seed, 5, 20_000, &specs("partition,kill,pause")).expect("fits")
}

fn overlaps(a: &Injection, b: &Injection) -> bool {
    a.id != b.id && a.at_ms < b.until_ms && b.at_ms < a.until_ms
}

/// The longest time between the lead-in and the last window in which no fault is in effect, in ms.
fn longest_gap_ms(schedule: &Schedule) -> u64 {
    let mut over_ms = schedule.injections.first().map_or(0, |first| first.until_ms);
    let mut longest_ms = 0;
    for injection in &schedule.injections {
        longest_ms = longest_ms.max(injection.at_ms.saturating_sub(over_ms));
        over_ms = over_ms.max(injection.until_ms);
    }
    longest_ms.max(schedule.duration_ms - over_ms)
}

#[test]
fn the_default_run_has_every_fault_an_overlap_and_a_long_gap() {
    for seed in 0..500 {
        let schedule = default_run(seed);
        let injections = &schedule.injections;
        for name in ["partition", "kill", "pause"] {
            assert!(injections.iter().any(|i| i.fault.name() == name), "seed {seed}: no {name}");
        }
        let overlap = injections.iter().any(|a| injections.iter().any(|b| overlaps(a, b)));
        assert!(overlap, "seed {seed}: {injections:?}");
        assert!(longest_gap_ms(&schedule) > 4_000, "seed {seed}: {injections:?}");
        assert!(injections[0].at_ms == 2_000 && injections.iter().all(|i| i.until_ms <= 17_500));
    }
}

#[test]
fn no_fault_starts_where_it_could_find_nothing_to_act_upon() {
    for seed in 0..500 {
        let injections = default_run(seed).injections;
        for first in &injections {
            let takes_all = first.fault.to_string().contains("target=all");
            for second in injections
                .iter()
                .filter(|second| first.at_ms < second.at_ms && second.at_ms < first.until_ms)
            {
                let pair = (first.fault.name(), second.fault.name());
                assert_ne!(pair, ("kill", "pause"), "seed {seed}: {injections:?}");
                assert!(!takes_all || pair.1 != "partition", "seed {seed}: {injections:?}");
            }
        }
    }
}

/// Every fault of the registry.
/// Every fault that goes with every other.
fn all_specs() -> Vec<Spec> {
    registry()
        .map(|(entry, _)| entry.name)
        .filter(|name| *name != "membership")
        .map(Spec::named)
        .collect()
}

#[test]
fn nobody_is_lost_for_good_while_members_are_taken_out() {
    let specs = |texts: &[&str]| -> Vec<Spec> {
        texts.iter().map(|text| text.parse().expect("a spec")).collect()
    };
    for seed in 0..50 {
        let drawn = specs(&["membership", "kill", "partition"]);
        let schedule = generate_paced(seed, 5, 6_000, &drawn, &Pace::SIM).expect("fits");
        assert!(names(&schedule).contains("membership"), "seed {seed}");
        schedule.check().expect("what is made is right");
    }
    for losing in ["bit-rot", "kill:stay-dead=yes"] {
        let refused = generate_paced(0, 5, 6_000, &specs(&["membership", losing]), &Pace::SIM);
        assert!(refused.expect_err("refused").to_string().contains("cannot be combined"));
    }
    let refused = generate_paced(0, 2, 6_000, &specs(&["membership"]), &Pace::SIM);
    assert!(refused.expect_err("refused").to_string().contains("not possible with 2 nodes"));
}

fn names(schedule: &Schedule) -> BTreeSet<&'static str> {
    schedule.injections.iter().map(|injection| injection.fault.name()).collect()
}

#[test]
fn the_simulators_pace_has_room_for_every_fault_in_seconds() {
    let specs = all_specs();
    let names_all: BTreeSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    for seed in 0..200 {
        let schedule = generate_paced(seed, 5, 6_000, &specs, &Pace::SIM).expect("fits");
        assert_eq!(names(&schedule), names_all, "seed {seed}");
    }
    assert!(generate(1, 5, 6_000, &all_specs()).is_err(), "real runs need more");
}

#[test]
fn a_simulated_run_that_is_too_short_for_all_has_those_that_fit() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let schedule = generate_paced(seed, 5, 2_500, &all_specs(), &Pace::SIM).expect("some");
        let found = names(&schedule);
        assert!(!found.is_empty() && found.len() < all_specs().len(), "seed {seed}: {found:?}");
        seen.extend(found);
    }
    assert_eq!(seen.len(), all_specs().len(), "each of them fits for some seed");
    let none = generate_paced(1, 5, 50, &all_specs(), &Pace::SIM).expect("nothing fits");
    assert!(none.injections.is_empty());
}

#[test]
fn bits_rot_in_a_minority_at_most() {
    for seed in 0..100 {
        let specs = specs("bit-rot,kill:stay-dead=yes");
        let schedule = generate_paced(seed, 5, 20_000, &specs, &Pace::SIM).expect("fits");
        let lost: u32 = schedule.injections.iter().map(|i| i.fault.lost_for_good(5)).sum();
        assert!((1..=2).contains(&lost), "seed {seed}");
        assert!(schedule.injections.iter().all(|i| i.until_ms == 20_000), "seed {seed}");
    }
    let mut schedule = generate_paced(3, 5, 9_000, &specs("disk-fail"), &Pace::SIM).expect("fits");
    for injection in &mut schedule.injections {
        injection.fault = "bit-rot:target=minority".parse().expect("a fault");
    }
    assert!(schedule.check().expect_err("too many").to_string().contains("a majority has to live"));
}

#[test]
fn no_simulated_fault_starts_where_it_could_find_nothing_to_act_upon() {
    let ends = ["kill", "power-loss", "bit-rot", "disk-fail"];
    for seed in 0..300 {
        let injections =
            generate_paced(seed, 5, 8_000, &all_specs(), &Pace::SIM).expect("fits").injections;
        // Only faults that the maker pairs: one that is permanent outlasts its pair.
        let pairs = injections.iter().flat_map(|a| injections.iter().map(move |b| (a, b)));
        for (first, second) in pairs.filter(|(a, b)| a.at_ms < b.at_ms && b.at_ms < a.until_ms) {
            let pair = (first.fault.name(), second.fault.name());
            if !first.fault.is_permanent() && ends.contains(&pair.0) {
                assert!(
                    !["pause", "disk-stall", "clock", "contest"].contains(&pair.1),
                    "seed {seed}: {pair:?}"
                );
            }
            let stops_all =
                first.fault.stops_nodes() && first.fault.to_string().contains("target=all");
            assert!(!stops_all || !second.fault.acts_on_links(), "seed {seed}: {pair:?}");
        }
    }
}

#[test]
fn partitions_without_a_kind_rotate_through_all_kinds() {
    let schedule = generate(7, 5, 60_000, &specs("partition")).expect("fits");
    let faults: Vec<Fault> = schedule.injections.iter().map(|i| i.fault).collect();
    let mut first: Vec<String> = faults[..7].iter().map(Fault::to_string).collect();
    first.sort();
    first.dedup();
    assert_eq!(first.len(), 7);
    assert_eq!(faults[7], faults[0]);
}

#[test]
fn what_a_small_system_cannot_suffer_is_refused_or_left_out() {
    let refused = |nodes, text: &str| generate(1, nodes, 20_000, &specs(text)).is_err();
    assert!(refused(3, "partition:kind=majorities-ring"));
    assert!(refused(2, "kill:stay-dead=yes,target=one"));
    assert!(refused(1, "partition:kind=halves"));
    let schedule = generate(1, 3, 120_000, &specs("partition")).expect("fits");
    assert!(schedule.injections.iter().all(|i| !i.fault.to_string().contains("majorities-ring")));
}

#[test]
fn a_run_that_is_too_short_is_refused() {
    let error = generate(1, 5, 1_000, &specs("partition,kill,pause")).expect_err("too short");
    assert!(error.to_string().contains("would do"), "{error}");
    assert!(generate(1, 5, 0, &specs("kill")).is_err());
    assert!(generate(1, 5, 0, &[]).expect("nothing fits").injections.is_empty());
}

#[test]
fn an_edited_schedule_is_checked() {
    let edits: [(Edit, &str); 8] = [
        (|s| s.version = 9, "version 9"),
        (|s| s.injections[1].id = s.injections[0].id, "twice"),
        (|s| s.injections[0].until_ms = s.injections[0].at_ms, "not a window"),
        (|s| s.injections[0].until_ms = 20_001, "not a window"),
        (|s| s.nodes = 2, "with 2 nodes"),
        (
            |s| {
                s.injections[0].resolved =
                    Some(Resolved { targets: vec![6], ..Resolved::default() })
            },
            "no node 6",
        ),
        (
            |s| {
                s.injections[0].resolved =
                    Some(Resolved { cut: [(1, 9)].into(), ..Resolved::default() })
            },
            "no link (1, 9)",
        ),
        (
            |s| {
                for injection in &mut s.injections {
                    injection.fault =
                        "kill:stay-dead=yes,target=minority".parse().expect("a fault");
                }
            },
            "stay dead",
        ),
    ];
    for (edit, expected) in edits {
        let mut schedule =
            generate(3, 5, 20_000, &specs("partition:kind=majorities-ring")).expect("fits");
        edit(&mut schedule);
        let error = Schedule::from_json(&schedule.to_json().expect("JSON")).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error} should say {expected}");
    }
}

#[test]
fn a_misspelt_key_is_refused() {
    let text = default_run(1).to_json().expect("JSON").replace("\"at_ms\"", "\"at\"");
    assert!(Schedule::from_json(&text).is_err());
}

/// Pins the format, and that no change of a dependency changes what a seed means.
#[test]
fn a_seed_means_this_schedule() {
    let mut schedule = generate(1, 5, 20_000, &specs("partition,kill,pause")).expect("fits");
    for injection in &mut schedule.injections {
        injection.resolved = Some(resolve(1, 5, injection, Some(3)));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schedule_of_seed_1.json");
    let actual = schedule.to_json().expect("JSON");
    if std::env::var_os("TRIBUNAL_BLESS").is_some() {
        std::fs::write(path, &actual).expect("writable");
    }
    assert_eq!(actual, std::fs::read_to_string(path).expect("the pinned schedule"));
}

fn spec_lists() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "partition",
        "kill",
        "pause",
        "partition,kill,pause",
        "kill:stay-dead=yes,pause",
        "kill:stay-dead=yes,target=one,kill:stay-dead=yes",
        "partition:kind=client-side,kill:target=leader",
    ])
}

proptest! {
    #[test]
    fn a_schedule_keeps_its_bounds(
        seed: u64, nodes in 3_u32..10, duration_ms in 5_000_u64..120_000, text in spec_lists(),
    ) {
        let specs = specs(text);
        let schedule = generate(seed, nodes, duration_ms, &specs).expect("fits");
        prop_assert_eq!(&schedule, &generate(seed, nodes, duration_ms, &specs).expect("again"));
        schedule.check().expect("its own bounds");
        let lost: u32 = schedule.injections.iter().map(|i| i.fault.lost_for_good(nodes)).sum();
        prop_assert!(lost <= minority(nodes));
        for injection in schedule.injections.iter().filter(|i| !i.fault.is_permanent()) {
            prop_assert!(injection.until_ms - injection.at_ms <= 5_000);
            prop_assert!(injection.until_ms < duration_ms);
        }
        if nodes > 4 && !text.contains("stay-dead") {
            for spec in &specs {
                prop_assert!(schedule.injections.iter().any(|i| i.fault.name() == spec.name));
            }
        }
    }

    #[test]
    fn a_simulated_schedule_keeps_its_bounds(
        seed: u64, nodes in 3_u32..10, duration_ms in 1_000_u64..30_000, picked in 1_u32..1 << 12,
    ) {
        let mut specs = all_specs();
        let mut nth = 0;
        specs.retain(|_| { nth += 1; picked >> (nth - 1) & 1 == 1 });
        let schedule = generate_paced(seed, nodes, duration_ms, &specs, &Pace::SIM).expect("fits");
        let again = generate_paced(seed, nodes, duration_ms, &specs, &Pace::SIM).expect("fits");
        prop_assert_eq!(&schedule, &again);
        schedule.check().expect("its own bounds");
        let lost: u32 = schedule.injections.iter().map(|i| i.fault.lost_for_good(nodes)).sum();
        prop_assert!(lost <= minority(nodes));
        for injection in schedule.injections.iter().filter(|i| !i.fault.is_permanent()) {
            prop_assert!((100..=900).contains(&(injection.until_ms - injection.at_ms)));
            prop_assert!(injection.at_ms >= 300.min(duration_ms / 8));
            prop_assert!(injection.until_ms + 300.min(duration_ms / 6) <= duration_ms);
        }
        let text = schedule.to_json().expect("JSON");
        prop_assert_eq!(Schedule::from_json(&text).expect("its own text"), schedule);
    }

    #[test]
    fn a_schedule_reads_back_as_it_was_written(seed: u64, leader in 0_u32..6) {
        let mut schedule = default_run(seed);
        let symbolic = schedule.clone();
        for injection in &mut schedule.injections {
            injection.resolved = Some(resolve(seed, 5, injection, Some(leader)));
        }
        let text = schedule.to_json().expect("JSON");
        prop_assert_eq!(&Schedule::from_json(&text).expect("its own text"), &schedule);
        prop_assert_eq!(schedule.symbolic(), symbolic);
    }
}
