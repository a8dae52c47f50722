//! Diagrams of executions: one small one to the letter, and the bounds of large ones.

#[path = "../../tests/report/markup.rs"]
mod markup;

use tribunal_sim::diagram::Diagram;
use tribunal_sim::{Asked, Options, Outcome, Plan, run};

const RECORDED: Options = Options { black_box: true, record: true };

/// What `wrong-record` was shrunk to: a restart resumes from a wrong record, and a write that was acknowledged is lost.
fn small() -> Outcome {
    let plan: Plan = serde_json::from_str(include_str!("wrong_record.json")).expect("a plan");
    let outcome = run(&plan, RECORDED).expect("a run");
    assert_eq!(outcome.convicted_by(), Some("linearizable"));
    outcome
}

/// An execution of thousands of messages.
fn large() -> Outcome {
    let asked = Asked {
        system: Some("majority-vote".parse().expect("a spec")),
        clients: Some(8),
        nodes: Some(5),
        duration_ms: Some(1_500),
        ..Asked::default()
    };
    let plan = Plan::swarm(5, &asked).expect("a plan");
    let outcome = run(&plan, RECORDED).expect("a run");
    assert!(outcome.messages > 2_000, "{}", outcome.messages);
    outcome
}

#[test]
fn a_small_execution_is_drawn_to_the_letter() {
    insta::assert_snapshot!(Diagram::of(&small()).expect("it was recorded").text());
}

#[test]
fn a_page_gets_well_formed_drawings() {
    for outcome in [small(), large()] {
        let svg = Diagram::of(&outcome).expect("it was recorded").svg();
        markup::check(&format!("<!DOCTYPE html>{svg}"));
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(svg.contains("prefers-color-scheme: dark"));
        assert!(!svg.contains("href") && !svg.contains("url("), "it stands by itself");
    }
}

#[test]
fn the_report_is_tested_with_what_is_drawn() {
    let svg = Diagram::of(&small()).expect("it was recorded").svg();
    let kept = include_str!("../../tests/report/sequence.svg");
    assert!(svg.trim() == kept.trim(), "harness/tests/report/sequence.svg is another drawing");
}

#[test]
fn rows_of_the_witness_are_marked_in_both() {
    let outcome = small();
    let diagram = Diagram::of(&outcome).expect("it was recorded");
    let witness = &outcome.verdicts.iter().find_map(|verdict| verdict.anomalies.first());
    let operations = &witness.expect("an anomaly").witness;
    // A call and an end each, and the conviction.
    let marked = 2 * operations.len() + 1;
    let rows = |text: &str| text.lines().filter(|line| line.starts_with("*  ")).count();
    assert_eq!(rows(&diagram.text()), marked);
    assert_eq!(diagram.svg().matches("class=\"marked\"").count(), marked);
}

#[test]
fn the_step_of_a_breach_is_marked_and_nothing_is_lost_by_the_end() {
    let asked = Asked {
        system: Some("multi-paxos:mutant=forgotten-promise".parse().expect("a spec")),
        nodes: Some(2),
        nemesis: Some(Vec::new()),
        duration_ms: Some(500),
        ..Asked::default()
    };
    let outcomes = (0..20).map(|seed| {
        let plan = Plan::swarm(seed, &asked).expect("a plan");
        run(&plan, Options { black_box: false, record: true }).expect("a run")
    });
    let outcome = outcomes.into_iter().find(|outcome| outcome.breach.is_some()).expect("a breach");
    let text = Diagram::of(&outcome).expect("it was recorded").text();
    let marked: Vec<&str> = text.lines().filter(|line| line.starts_with("*  ")).collect();
    // What is said without being durable, and the conviction.
    assert!(marked.len() >= 2 && marked.iter().any(|line| line.contains("promise")), "{text}");
    assert!(text.contains("promise b1.1 from s1 (has not arrived at the end)"), "{text}");
}

#[test]
fn a_large_execution_fits_and_says_what_is_left_out() {
    let text = Diagram::of(&large()).expect("it was recorded").text();
    let lines: Vec<&str> = text.lines().collect();
    assert!((100..=200).contains(&lines.len()), "{} lines", lines.len());
    assert!(lines.iter().all(|line| line.chars().count() <= 160));
    assert!(text.contains("Left out: "), "{text}");
    assert!(text.contains("════ convicted ════") || text.contains("════ the execution ends ════"));
}

#[test]
fn what_was_not_recorded_is_not_drawn() {
    let plan: Plan = serde_json::from_str(include_str!("wrong_record.json")).expect("a plan");
    let outcome = run(&plan, Options { black_box: true, record: false }).expect("a run");
    assert_eq!(Diagram::of(&outcome), None);
}
