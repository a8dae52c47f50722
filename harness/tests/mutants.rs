//! `tribunal mutants` as a person and as a machine use it.

use std::process::{Command, Output, Stdio};

fn mutants(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
    command.arg("mutants").args(args).stdin(Stdio::null()).output().expect("it starts")
}

/// The lines of JSON.
fn lines(ended: &Output) -> Vec<serde_json::Value> {
    let text = std::str::from_utf8(&ended.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Budgets are of processor time in a debug build; both mutants need far less in a release build.
#[test]
fn strong_mutants_are_caught_by_what_clients_see_and_the_correct_variant_is_not() {
    let ended = mutants(&[
        "write-all",
        "lazy-fsync",
        "--black-box",
        "--bases",
        "2",
        "--budget",
        "3s",
        "--json",
    ]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let lines = lines(&ended);
    let [lazy_fsync, write_all, control] = lines.as_slice() else { panic!("{lines:?}") };
    for (line, name) in [(lazy_fsync, "lazy-fsync"), (write_all, "write-all")] {
        assert_eq!(line["mutant"], name);
        assert_eq!(line["caught"], true);
        assert_eq!(line["bases"], 2);
        assert_eq!(line["mode"], "black-box");
        assert!(line["by"].is_string() && line["executions"].as_u64() > Some(0), "{line}");
    }
    assert_eq!((&control["mutant"], &control["caught"]), (&serde_json::Value::Null, &false.into()));
    assert_eq!(control["unmutated"], "multi-paxos");
    assert!(control["executions"].as_u64() > Some(0), "{control}");
    // Other programs read the first keys by their place, too.
    let text = String::from_utf8(ended.stdout).expect("text");
    let first = text.lines().next().expect("a line");
    let mut rest = first;
    for key in ["mutant", "caught", "by", "executions", "seconds_median", "seconds_p90"] {
        let key = format!("\"{key}\":");
        let at = rest.find(&key).unwrap_or_else(|| panic!("{key} is missing or late in {first}"));
        rest = &rest[at + key.len()..];
    }
}

#[test]
fn what_is_found_does_not_depend_on_how_many_jobs_run_at_once() {
    let found = |jobs: &str| {
        let ended = mutants(&[
            "write-all",
            "--black-box",
            "--bases",
            "2",
            "--budget",
            "2s",
            "--jobs",
            jobs,
            "--json",
        ]);
        let lines = lines(&ended);
        (lines[0]["executions"].clone(), lines[0]["commands"].clone())
    };
    assert_eq!(found("1"), found("2"));
}

#[test]
fn a_mutant_that_is_not_caught_is_told_by_the_exit_code() {
    // One execution is all that fits, and the first of the base does not show this bug.
    let ended = mutants(&["definite-step-down", "--black-box", "--bases", "1", "--budget", "1ms"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let text = String::from_utf8(ended.stdout).expect("text");
    assert!(text.contains("NOT CAUGHT: definite-step-down."), "{text}");
    assert!(text.contains("0/1") && text.contains(">1"), "{text}");
}

#[test]
fn wrong_usage_is_refused() {
    let told = |args: &[&str]| {
        let ended = mutants(args);
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {ended:?}");
        String::from_utf8(ended.stderr).expect("text")
    };
    let unknown = told(&["lazy-fsnyc"]);
    assert!(unknown.contains("there is no mutant `lazy-fsnyc`"), "{unknown}");
    assert!(unknown.contains("lazy-fsync"), "{unknown}");
    told(&["--budget", "0s"]);
    told(&["--runs", "2"]);
    told(&["--real", "--bases", "2"]);
    told(&["--real", "--black-box"]);
}

#[test]
fn only_an_exempt_mutant_is_nothing_to_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("runs");
    let page = folder.path().join("page.md");
    let ended = mutants(&[
        "damage-served",
        "--real",
        "--out",
        out.to_str().expect("text"),
        "--markdown",
        page.to_str().expect("text"),
    ]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!out.exists());
    let text = std::fs::read_to_string(page).expect("the page");
    assert!(text.contains("| 15 | damage-served | exempt |"), "{text}");
}
