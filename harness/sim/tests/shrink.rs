//! Plans that are convicted become small ones that are convicted by the same property. What convicts is a known bug; the
//! variant without it survives the small plan, so it is the bug that is found, and no artefact of shrinking.

use tribunal_sim::shrink::{Options, Progress, ShrinkError, Shrunk, shrink};
use tribunal_sim::{Asked, Outcome, Plan, run};

/// Options of an execution that is judged as clients see it.
const BLACK_BOX: tribunal_sim::Options = tribunal_sim::Options { black_box: true, record: false };

/// The first convicted plan of a mutant that crashes expose, and its outcome.
fn convicted(mutant: &str) -> (Plan, Outcome) {
    let system = format!("multi-paxos:mutant={mutant}").parse().expect("a spec");
    let nemesis = tribunal_spec::Spec::parse_list("kill:stay-dead=no,partition").expect("specs");
    let asked = Asked {
        system: Some(system),
        nodes: Some(5),
        clients: Some(4),
        nemesis: Some(nemesis),
        duration_ms: Some(2_000),
        ..Asked::default()
    };
    let plans = (0..100).map(|seed| Plan::swarm(seed, &asked).expect("a plan"));
    let run = |plan: Plan| {
        let outcome = run(&plan, BLACK_BOX).expect("a run");
        (plan, outcome)
    };
    plans.map(run).find(|(_, outcome)| outcome.convicted_by().is_some()).expect("a conviction")
}

fn options(executions_max: u64) -> Options {
    Options { black_box: true, seeds_each: 4, executions_max }
}

fn quietly(plan: &Plan, executions_max: u64) -> Shrunk {
    shrink(plan, &options(executions_max), &mut |_| {}).expect("it is convicted")
}

/// What holds of every shrunk plan.
fn check(plan: &Plan, outcome: &Outcome, shrunk: &Shrunk) {
    assert_eq!(outcome.convicted_by(), Some(shrunk.property));
    let again = run(&shrunk.plan, BLACK_BOX).expect("a run");
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
    let sound = run(&sound, BLACK_BOX).expect("a run");
    assert_eq!(sound.convicted_by(), None, "without the bug: {}", sound.why());
}

#[test]
fn a_lost_write_is_shrunk_to_one_fault_and_few_operations() {
    for mutant in ["lazy-fsync", "wrong-record"] {
        let (plan, outcome) = convicted(mutant);
        let mut told: Vec<Progress> = Vec::new();
        let shrunk =
            shrink(&plan, &options(600), &mut |progress| told.push(*progress)).expect("convicted");
        check(&plan, &outcome, &shrunk);
        let after = shrunk.after;
        assert!(after.injections <= 2 && after.operations <= 30, "{mutant}: {after:?}");
        assert!(after.nodes <= 4 && after.clients <= 3, "{mutant}: {after:?}");
        assert!(shrunk.executions <= 600);
        let last = told.last().expect("progress is told");
        assert_eq!((last.size, last.executions + 1), (after, shrunk.executions));
        assert!(told.is_sorted_by_key(|progress| progress.executions));
        let changed = |what: &str| shrunk.changes.iter().any(|change| change.what == what);
        assert!(changed("operations") && changed("nodes"), "{:?}", shrunk.changes);
    }
}

#[test]
fn the_same_plan_is_shrunk_to_the_same_plan() {
    let (plan, _) = convicted("lazy-fsync");
    let (one, other) = (quietly(&plan, 120), quietly(&plan, 120));
    assert_eq!(one.plan, other.plan);
    assert_eq!((one.outcome.hash, one.executions), (other.outcome.hash, other.executions));
}

#[test]
fn a_budget_that_is_used_up_is_said_and_what_is_left_is_convicted() {
    let (plan, outcome) = convicted("lazy-fsync");
    let shrunk = quietly(&plan, 20);
    assert!(!shrunk.complete);
    assert_eq!(shrunk.executions, 20);
    check(&plan, &outcome, &shrunk);
    // With nothing to spend, the plan stays what it was, but that its targets are written down.
    let none = quietly(&plan, 0);
    assert!(!none.complete);
    assert_eq!(none.plan.schedule.clone().symbolic(), plan.schedule.symbolic());
}

#[test]
fn what_is_complete_cannot_be_shrunk_again() {
    let (plan, _) = convicted("wrong-record");
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
    let refused = shrink(&plan, &options(100), &mut |_| {}).expect_err("it is sound");
    assert!(matches!(refused, ShrinkError::NotConvicted { seed: 1 }), "{refused}");
}
