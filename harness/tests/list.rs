//! `tribunal list systems`: what is said of each, and the page that is made of it.

use std::process::{Command, Output};
use tribunal_protocol::variants::VARIANTS;

fn tribunal(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tribunal")).args(args).output().expect("it runs")
}

/// What it prints where it succeeds.
fn printed(args: &[&str]) -> String {
    let ended = tribunal(args);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    String::from_utf8(ended.stdout).expect("text")
}

#[test]
fn the_page_of_the_variants_is_what_the_program_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../nodes/README.md");
    let kept = std::fs::read_to_string(path).expect("nodes/README.md");
    let printed = printed(&["list", "systems", "--markdown"]);
    for (number, (kept, printed)) in kept.lines().zip(printed.lines()).enumerate() {
        assert_eq!(
            kept,
            printed,
            "nodes/README.md, line {}; the page says how it is made",
            number + 1
        );
    }
    assert_eq!(kept, printed, "the one is longer than the other");
    for variant in VARIANTS {
        let heading = format!("\n### {}\n", variant.name);
        assert!(printed.contains(&heading), "the page lacks {}", variant.name);
    }
}

#[test]
fn each_system_is_listed_with_its_paper_claims_and_costs() {
    let list: serde_json::Value =
        serde_json::from_str(&printed(&["list", "systems", "--json"])).expect("JSON");
    let systems = list["systems"].as_array().expect("a list");
    for variant in VARIANTS {
        let system = systems.iter().find(|one| one["name"] == variant.name).expect("listed");
        for (field, told) in
            [("paper", variant.paper), ("quorums", variant.quorums), ("survives", variant.survives)]
        {
            assert_eq!(system[field], told, "{}", variant.name);
        }
        let linearizable = &system["claims"]["linearizable"];
        assert_eq!(*linearizable, variant.capabilities.linearizable, "{}", variant.name);
        assert_eq!(system["costs"].as_array().map(Vec::len), Some(variant.costs.len()));
    }
    let multi_paxos = systems.iter().find(|one| one["name"] == "multi-paxos").expect("listed");
    let write = serde_json::json!({
        "asked": "write", "at": "leader", "messages": "2(n - 1)", "delays": "2", "syncs": "n"
    });
    assert_eq!(multi_paxos["costs"][0], write);
}

#[test]
fn the_table_of_systems_says_the_same() {
    let text = printed(&["list", "systems"]);
    for what in ["paper", "claims", "survives", "quorums"] {
        let rows = text.lines().filter(|line| line.trim_start().starts_with(what));
        assert_eq!(rows.count(), VARIANTS.len(), "{what} in\n{text}");
    }
    assert!(text.contains("write at the leader"), "{text}");
    assert!(text.contains("messages: 2(n - 1), message delays: 2, syncs: n"), "{text}");
}

#[test]
fn a_page_is_made_of_systems_only() {
    for args in [&["list", "faults", "--markdown"][..], &["list", "--markdown"]] {
        let ended = tribunal(args);
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    }
    let ended = tribunal(&["list", "systems", "--markdown", "--json"]);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
}
