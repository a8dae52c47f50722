//! Plans that are convicted become small ones that are convicted by the same property. What convicts is a known bug; the
//! variant without it survives the small plan, so it is the bug that is found, and no artefact of shrinking.
//!
//! The plans are the first convicted ones of a range of seeds, and what is asserted leaves room: any change of the random
//! streams gives other plans. Cores panic where a bug breaks what they assert; that is no news, so it is not printed.

use std::ops::ControlFlow;
use std::panic::{set_hook, take_hook};
use std::sync::Once;
use tribunal_sim::shrink::{Options, Progress, ShrinkError, Shrunk, shrink};
use tribunal_sim::{Asked, Outcome, Plan, run};

/// Options of an execution that is judged as clients see it.
const BLACK_BOX: tribunal_sim::Options = tribunal_sim::Options { black_box: true, record: false };
/// Options of one that invariants judge too.
const WHITE_BOX: tribunal_sim::Options = tribunal_sim::Options { black_box: false, record: false };

/// Lets panics of cores pass without a word. Those of this file are told.
fn silence_cores() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let old = take_hook();
        set_hook(Box::new(move |panic| {
            let core = |file: &str| file.contains("nodes/protocol/");
            if !panic.location().is_some_and(|place| core(place.file())) {
                old(panic);
            }
        }));
    });
}

/// The first convicted plan of a mutant, and its outcome.
fn convicted(
    mutant: &str,
    nodes: u32,
    nemesis: &str,
    options: tribunal_sim::Options,
) -> (Plan, Outcome) {
    silence_cores();
    let system = format!("multi-paxos:mutant={mutant}").parse().expect("a spec");
    let asked = Asked {
        system: Some(system),
        nodes: Some(nodes),
        clients: Some(4),
        nemesis: Some(tribunal_spec::Spec::parse_list(nemesis).expect("specs")),
        duration_ms: Some(2_000),
        ..Asked::default()
    };
    let plans = (0..100).map(|seed| Plan::swarm(seed, &asked).expect("a plan"));
    let run = |plan: Plan| {
        let outcome = run(&plan, options).expect("a run");
        (plan, outcome)
    };
    plans.map(run).find(|(_, outcome)| outcome.convicted_by().is_some()).expect("a conviction")
}

/// The first convicted plan of a mutant that crashes expose, as clients see it.
fn crashed(mutant: &str) -> (Plan, Outcome) {
    convicted(mutant, 5, "kill:stay-dead=no,partition", BLACK_BOX)
}

fn options(executions_max: u64) -> Options {
    Options { black_box: true, seeds_each: 4, executions_max }
}

fn quietly(plan: &Plan, executions_max: u64) -> Shrunk {
    let mut go_on = |_: &_| ControlFlow::Continue(());
    shrink(plan, &options(executions_max), &mut go_on).expect("it is convicted")
}

/// What holds of every shrunk plan.
fn check(plan: &Plan, outcome: &Outcome, shrunk: &Shrunk, options: tribunal_sim::Options) {
    assert_eq!(outcome.convicted_by(), Some(shrunk.property));
    let again = run(&shrunk.plan, options).expect("a run");
    assert_eq!(again.convicted_by(), Some(shrunk.property));
    assert_eq!(again.hash, shrunk.outcome.hash, "the plan gives the execution that was reported");
    assert!(shrunk.outcome.trace.is_some() && shrunk.outcome.history.is_some());
    let before = shrunk.before.dimensions();
    let after = shrunk.after.dimensions();
    for ((name, larger), (_, smaller)) in before.into_iter().zip(after) {
        assert!(smaller <= larger, "{name}: {larger} became {smaller}");
    }
    let sum = |dimensions: [(_, u64); 8]| dimensions.into_iter().map(|(_, size)| size).sum::<u64>();
    assert!(sum(after) < sum(before));
    assert_eq!(shrunk.plan.system, plan.system);
    shrunk.plan.schedule.check().expect("a schedule that could be a file");
    let mut sound = shrunk.plan.clone();
    sound.system.params.remove("mutant");
    let sound = run(&sound, options).expect("a run");
    assert_eq!(sound.convicted_by(), None, "without the bug: {}", sound.why());
}

#[test]
fn a_lost_write_is_shrunk_to_few_faults_and_few_operations() {
    for mutant in ["lazy-fsync", "wrong-record"] {
        let (plan, outcome) = crashed(mutant);
        let mut told: Vec<Progress> = Vec::new();
        let mut tell = |progress: &Progress| {
            told.push(*progress);
            ControlFlow::Continue(())
        };
        let shrunk = shrink(&plan, &options(600), &mut tell).expect("convicted");
        check(&plan, &outcome, &shrunk, BLACK_BOX);
        let (before, after) = (shrunk.before, shrunk.after);
        // A crash of a majority at least is needed, and the clients that probe at the end are not of the plan.
        assert!((1..=2).contains(&after.injections), "{mutant}: {after:?}");
        assert!(after.operations <= (before.operations / 4).max(40), "{mutant}: {after:?}");
        assert!(after.clients < before.clients, "{mutant}: {after:?}");
        assert!(shrunk.executions <= 600);
        let last = told.last().expect("progress is told");
        assert_eq!((last.size, last.executions + 1), (after, shrunk.executions));
        assert!(told.is_sorted_by_key(|progress| progress.executions));
        let changed = |what: &str| shrunk.changes.iter().any(|change| change.what == what);
        assert!(changed("operations") && changed("clients"), "{:?}", shrunk.changes);
    }
}

#[test]
fn a_breach_of_an_invariant_is_shrunk_to_one_of_the_same_invariant() {
    let (plan, outcome) = convicted("even-quorum", 4, "partition", WHITE_BOX);
    let (_, breach) = outcome.breach.as_ref().expect("an invariant convicts");
    let options = Options { black_box: false, seeds_each: 4, executions_max: 300 };
    let mut go_on = |_: &_| ControlFlow::Continue(());
    let shrunk = shrink(&plan, &options, &mut go_on).expect("convicted");
    check(&plan, &outcome, &shrunk, WHITE_BOX);
    assert_eq!(shrunk.property, breach.invariant);
    let (step, smaller) = shrunk.outcome.breach.as_ref().expect("the same invariant");
    assert_eq!((smaller.invariant, *step), (breach.invariant, shrunk.outcome.steps));
    // An odd number of nodes has no quorum that is off by one.
    assert!([2, 4].contains(&shrunk.plan.nodes), "{} nodes", shrunk.plan.nodes);
}

#[test]
fn who_is_told_of_progress_may_end_it() {
    let (plan, outcome) = crashed("lazy-fsync");
    let mut told = 0;
    let mut tell = |_: &_| {
        told += 1;
        if told < 5 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let shrunk = shrink(&plan, &options(600), &mut tell).expect("convicted");
    assert!(!shrunk.complete);
    assert!(shrunk.executions <= 2 + 5 * 4, "{} executions", shrunk.executions);
    check(&plan, &outcome, &shrunk, BLACK_BOX);
}

#[test]
fn the_same_plan_is_shrunk_to_the_same_plan() {
    let (plan, _) = crashed("lazy-fsync");
    let (one, other) = (quietly(&plan, 120), quietly(&plan, 120));
    assert_eq!(one.plan, other.plan);
    assert_eq!((one.outcome.hash, one.executions), (other.outcome.hash, other.executions));
}

#[test]
fn a_budget_that_is_used_up_is_said_and_what_is_left_is_convicted() {
    let (plan, outcome) = crashed("lazy-fsync");
    let shrunk = quietly(&plan, 20);
    assert!(!shrunk.complete);
    assert_eq!(shrunk.executions, 20);
    check(&plan, &outcome, &shrunk, BLACK_BOX);
    // With nothing to spend, the plan stays what it was, but that its targets are written down.
    let none = quietly(&plan, 0);
    assert!(!none.complete);
    assert_eq!(none.plan.schedule.clone().symbolic(), plan.schedule.symbolic());
}

#[test]
fn what_is_complete_cannot_be_shrunk_again() {
    let (plan, _) = crashed("wrong-record");
    let shrunk = quietly(&plan, 2_000);
    assert!(shrunk.complete, "{} executions", shrunk.executions);
    let again = quietly(&shrunk.plan, 2_000);
    assert_eq!(again.plan, shrunk.plan);
    assert_eq!(again.changes, []);
}

#[test]
fn what_is_not_convicted_is_refused() {
    let asked = Asked { duration_ms: Some(1_500), ..Asked::default() };
    let plan = Plan::swarm(1, &asked).expect("a plan");
    let mut go_on = |_: &_| ControlFlow::Continue(());
    let refused = shrink(&plan, &options(100), &mut go_on).expect_err("it is sound");
    assert!(matches!(refused, ShrinkError::NotConvicted { seed: 1 }), "{refused}");
}
