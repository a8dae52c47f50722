//! What each variant's operations cost on a calm schedule is what its header says by the paper.

use std::fmt::Write;
use tribunal_protocol::variants::cost::{Asked, At, Cost, NONE, formula};
use tribunal_protocol::variants::{VARIANTS, Variant};
use tribunal_sim::calm::{Measured, measure};

const NODES: [u32; 4] = [3, 4, 5, 7];

/// How a line of costs differs from what was counted, by quantity; empty if it does not.
fn differences(cost: &Cost, measured: &Measured) -> String {
    let Measured { nodes, messages, delays, syncs, .. } = measured;
    let mut text = String::new();
    for (what, formula, counted) in [
        ("messages", cost.messages, *messages),
        ("delays", cost.delays, *delays),
        ("syncs", cost.syncs, *syncs),
    ] {
        let expected = (formula.of)(u64::from(*nodes));
        if expected != counted {
            let formula = formula.text;
            let _ = write!(text, "; {what}: {formula} = {expected}, but {counted} counted");
        }
    }
    text
}

/// What is wrong with the costs of a variant, a line each.
fn complaints(variant: &Variant, costs: &[Cost]) -> Vec<String> {
    let mut all = Vec::new();
    for (cost, nodes) in costs.iter().flat_map(|cost| NODES.map(|nodes| (cost, nodes))) {
        let Cost { asked, at, .. } = cost;
        let line = format!("{}, n = {nodes}, {asked:?} at {at:?}", variant.name);
        match measure(variant, nodes, *asked, *at) {
            Err(error) => all.push(format!("{line}: {error}")),
            Ok(measured) => {
                let differences = differences(cost, &measured);
                if !differences.is_empty() {
                    let Measured { by_kind, later, spared, .. } = measured;
                    all.push(format!(
                        "{line}{differences}; {by_kind:?}, of them later {later:?}, spared {spared:?}"
                    ));
                }
            }
        }
    }
    all
}

#[test]
fn operations_cost_what_the_papers_say() {
    let all: Vec<_> =
        VARIANTS.iter().flat_map(|variant| complaints(variant, variant.costs)).collect();
    assert!(all.is_empty(), "\n{}\n", all.join("\n"));
}

#[test]
fn each_variant_says_what_a_write_and_a_read_cost() {
    for variant in VARIANTS {
        for asked in [Asked::Write, Asked::Read] {
            let told = variant.costs.iter().any(|cost| cost.asked == asked);
            assert!(told, "{} does not say what a {asked:?} costs", variant.name);
        }
    }
}

#[test]
fn a_wrong_formula_is_told() {
    let variant = VARIANTS.iter().find(|one| one.name == "multi-paxos").expect("registered");
    let right = variant.costs.iter().find(|cost| cost.at == At::Leader).expect("a cost");
    assert_eq!(complaints(variant, &[*right]), Vec::<String>::new());
    // As if messages to all but a quorum were not sent: equal for n = 3.
    let messages = formula("n + 1", |n| n + 1);
    let told = complaints(variant, &[Cost { messages, ..*right }]);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(
        told[0],
        "multi-paxos, n = 4, Write at Leader; messages: n + 1 = 5, but 6 counted; \
         {\"accept\": 3, \"accepted\": 3}, of them later {}, spared {}"
    );
    let delays = formula("3", |_| 3);
    let told = complaints(variant, &[Cost { delays, ..*right }]);
    assert!(told[0].contains("delays: 3 = 3, but 2 counted"), "{told:?}");
    let told = complaints(variant, &[Cost { syncs: NONE, ..*right }]);
    assert!(told[0].contains("syncs: 0 = 0, but 3 counted"), "{told:?}");
}

#[test]
fn a_question_to_nobody_is_told() {
    let variant = VARIANTS.iter().find(|one| one.name == "majority-vote").expect("registered");
    let cost = Cost { at: At::Leader, ..variant.costs[0] };
    let told = complaints(variant, &[cost]);
    assert_eq!(told.len(), NODES.len());
    assert!(told[0].contains("none can be asked as Leader"), "{told:?}");
}
