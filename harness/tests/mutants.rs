//! `tribunal mutants` as a person and as a machine use it.

use std::process::{Command, Output, Stdio};

fn tribunal(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
    command.args(args).stdin(Stdio::null()).output().expect("it starts")
}

fn mutants(args: &[&str]) -> Output {
    tribunal(&[&["mutants"], args].concat())
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
fn a_conviction_after_the_budget_does_not_count_and_its_seconds_are_no_measurement() {
    // The first execution of this base convicts, and takes longer than that.
    let ended = mutants(&["write-all", "--bases", "1", "--budget", "1ms", "--json"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let line = &lines(&ended)[0];
    assert_eq!((&line["caught"], &line["executions"]), (&false.into(), &1.into()), "{line}");
    assert!(line["seconds_median"].is_null() && line["seconds_p90"].is_null(), "{line}");
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
    // Refused at once, with the default budget of minutes.
    let page = told(&["--markdown", "/nowhere/page.md"]);
    assert!(page.contains("--markdown /nowhere/page.md cannot be written"), "{page}");
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

#[test]
fn the_list_says_how_each_is_used() {
    let ended = tribunal(&["list", "mutants", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    let usages: Vec<&str> = list["mutants"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| line["usage"].as_str().expect("a usage"))
        .collect();
    assert_eq!(usages.len(), 48);
    assert_eq!(usages[0], "--system multi-paxos:mutant=lazy-fsync");
    assert_eq!(usages[23], "--client-bug timeout-is-fail");
    assert_eq!(usages[26], "--balancer weights-ignored --assert-shares");
    let text = String::from_utf8(tribunal(&["list", "mutants"]).stdout).expect("text");
    assert_eq!(text.matches("used with").count(), 48, "{text}");
}

#[test]
fn a_mutant_of_another_part_is_refused_as_one_of_the_protocol_with_a_hint() {
    for (name, hint) in [
        ("timeout-is-fail", "`--client-bug timeout-is-fail`"),
        ("sticky-eject", "`--balancer sticky-eject --assert-shares`"),
    ] {
        let system = format!("multi-paxos:mutant={name}");
        for command in [["run", "--duration", "3s"], ["sim", "--seeds", "0..1"]] {
            let ended = tribunal(&[&command[..], &["--system", &system]].concat());
            let told = String::from_utf8_lossy(&ended.stderr);
            assert_eq!(ended.status.code(), Some(2), "{command:?}: {told}");
            assert!(told.contains(hint), "{command:?}: {told}");
        }
    }
}
