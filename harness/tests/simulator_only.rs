//! Faults that real processes cannot suffer: refused before a run starts, and told apart by `tribunal list`.

use std::fs;
use std::process::{Command, Output, Stdio};
use tribunal_nemesis::{Available, Pace, generate_paced, registry};
use tribunal_spec::Spec;

fn tribunal(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
    command.args(args).stdin(Stdio::null()).output().expect("it starts")
}

/// What a person is told of a run that is refused. Nothing may be left behind.
fn refused(args: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("runs");
    let mut all = vec!["run", "--out", out.to_str().expect("text")];
    all.extend(args);
    let ended = tribunal(&all);
    assert_eq!(ended.status.code(), Some(2), "{args:?}: {ended:?}");
    assert!(!out.exists(), "{args:?} left something behind");
    String::from_utf8(ended.stderr).expect("text")
}

fn simulator_only() -> Vec<&'static str> {
    let lines = registry().filter(|(_, available)| *available == Available::SimulatorOnly);
    lines.map(|(entry, _)| entry.name).collect()
}

#[test]
fn a_run_with_real_processes_refuses_each_of_them() {
    for name in simulator_only() {
        let told = refused(&["--nemesis", name]);
        let expected = format!(
            "`{name}` is available in the simulator only (tribunal sim); with real processes: partition, kill, pause"
        );
        assert!(told.contains(&expected), "{told}");
    }
    let told = refused(&["--nemesis", "kill,clock:kind=jump,by=1s"]);
    assert!(told.contains("`clock` is available"), "{told}");
    let told = refused(&["--nemesis", "clokc"]);
    assert!(told.contains("did you mean `clock`?"), "{told}");
}

#[test]
fn a_schedule_with_one_of_them_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("schedule.json");
    let specs = [Spec::named("disk-fail")];
    let schedule = generate_paced(1, 3, 3_000, &specs, &Pace::SIM).expect("fits");
    assert!(!schedule.injections.is_empty());
    fs::write(&file, schedule.to_json().expect("JSON")).expect("written");
    let path = file.to_str().expect("text");
    let told = refused(&["--nodes", "3", "--duration", "3s", "--schedule", path]);
    assert!(
        told.contains("schedule.json: `disk-fail` is available in the simulator only"),
        "{told}"
    );
}

#[test]
fn the_list_says_which_is_which() {
    let ended = tribunal(&["list", "faults", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    let entries = json["faults"].as_array().expect("a list");
    let simulated = entries.iter().filter(|entry| entry["simulator_only"] == true);
    let names: Vec<&str> = simulated.filter_map(|entry| entry["name"].as_str()).collect();
    assert_eq!(names, simulator_only());
    assert_eq!(entries.len(), registry().count());

    let table = String::from_utf8(tribunal(&["list", "faults"]).stdout).expect("text");
    assert_eq!(table.matches("(simulator only)").count(), simulator_only().len(), "{table}");
    let others = String::from_utf8(tribunal(&["list", "workloads"]).stdout).expect("text");
    assert!(!others.contains("simulator"), "{others}");
}
