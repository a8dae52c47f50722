//! What survives what: the whole program, run as a person or a CI job runs it, and killed, interrupted and starved of disk.
//! After each run no node may be left and the folder must still tell the truth.
//!
//! Nothing here waits for a time to pass: a test waits for a condition, and a bound far beyond it catches a hang. The
//! runs find no violation on a correct system, so that their exit codes do not depend on the machine's load: the
//! limits on time are set out of reach.

#[path = "survival/program.rs"]
mod program;

use nix::sys::signal::Signal;
use program::{Ended, Run, WAIT, folder, json, nodes_of, tribunal, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A run that would last until long after its test.
const LONG: &[&str] = &["--duration", "10m", "--nemesis", "none", "--nodes", "3"];
/// A run that ends soon.
const SHORT: &[&str] = &["--duration", "2s", "--nemesis", "none", "--nodes", "3"];

/// The files of a run that was judged.
const FILES: &[&str] = &[
    "plan.json",
    "environment.json",
    "schedule.json",
    "history.jsonl",
    "metrics.jsonl",
    "health.json",
    "verdict.json",
    "summary.md",
    "junit.xml",
    "report.html",
    "latency.hlog",
];

#[test]
fn a_killed_controller_takes_its_nodes_along_and_leaves_a_history() {
    let out = tempfile::tempdir().expect("a folder");
    let mut run = Run::start(out.path(), LONG);
    let folder = run.asking();
    assert_eq!(nodes_of(&folder).len(), 3);
    run.signal(Signal::SIGKILL);
    run.end();
    until("the nodes are gone", || nodes_of(&folder).is_empty());

    let checked = tribunal(["check", folder.to_str().expect("text")]);
    assert_eq!(checked.code, 4, "{checked}");
    assert!(checked.stdout.contains("cut short"), "{checked}");
    assert!(!folder.join("verdict.json").exists(), "a check writes nothing");
}

#[test]
fn an_interrupted_run_is_unknown_and_whole() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let out = tempfile::tempdir().expect("a folder");
        let mut run = Run::start(out.path(), LONG);
        let folder = run.asking();
        run.signal(signal);
        let ended = run.end();
        assert_eq!(ended.code, 4, "{signal}: {ended}");
        assert!(ended.stdout.contains("cut short"), "{signal}: {ended}");
        assert!(nodes_of(&folder).is_empty(), "a node was left");
        for file in FILES {
            assert!(folder.join(file).is_file(), "{signal}: no {file}");
        }
        let verdict = json(&folder.join("verdict.json"));
        assert_eq!(verdict["verdict"], "unknown");
        assert_eq!(verdict["health"]["cut_short"], true);
        assert_eq!(verdict["history_cut"], false);
    }
}

#[test]
fn a_second_interrupt_ends_the_run_at_once() {
    let out = tempfile::tempdir().expect("a folder");
    let mut run = Run::start(out.path(), LONG);
    let folder = run.asking();
    run.signal(Signal::SIGINT);
    run.signal(Signal::SIGTERM);
    let ended = run.end();
    assert_eq!(ended.code, 4, "{ended}");
    until("the nodes are gone", || nodes_of(&folder).is_empty());
    assert_eq!(tribunal(["check", folder.to_str().expect("text")]).code, 4);
}

#[test]
fn an_interrupt_before_every_node_is_up_ends_the_run() {
    let out = tempfile::tempdir().expect("a folder");
    let mut run =
        Run::start(out.path(), &["--duration", "10m", "--nemesis", "none", "--nodes", "9"]);
    until("a node's process is there", || {
        folder(out.path()).is_some_and(|folder| !nodes_of(&folder).is_empty())
    });
    let folder = folder(out.path()).expect("it was there");
    run.signal(Signal::SIGINT);
    let ended = run.end();
    // Whether the clients had begun is up to the machine; the rest is not.
    assert_eq!(ended.code, 4, "{ended}");
    assert!(format!("{ended}").contains("cut short"), "{ended}");
    assert!(nodes_of(&folder).is_empty(), "a node was left");
}

#[test]
fn an_interrupt_during_a_fault_heals_and_ends_every_node() {
    let out = tempfile::tempdir().expect("a folder");
    let options = ["--duration", "10m", "--nemesis", "kill:target=majority,pause", "--nodes", "3"];
    let mut run = Run::start(out.path(), &options);
    let folder = run.asking();
    let history = folder.join("history.jsonl");
    until("a fault is in effect", || {
        fs::read_to_string(&history).expect("a history").contains("\"process\":\"nemesis\"")
    });
    run.signal(Signal::SIGINT);
    let ended = run.end();
    assert_eq!(ended.code, 4, "{ended}");
    assert!(nodes_of(&folder).is_empty(), "a node was left");
    let verdict = json(&folder.join("verdict.json"));
    let windows = verdict["windows"].as_array().expect("a list");
    assert!(!windows.is_empty());
    assert!(windows.iter().all(|window| !window["end"].is_null()), "{windows:?}");
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let out = tempfile::tempdir().expect("a folder");
    // One seed and one folder for both: what they could share, they are tempted to.
    let options = [SHORT, &["--seed", "7"]].concat();
    let both = [Run::start(out.path(), &options), Run::start(out.path(), &options)];
    let ended = both.map(|mut run| (run.asking(), run.end()));
    for (folder, end) in &ended {
        assert_eq!(end.code, 0, "{end}");
        assert!(nodes_of(folder).is_empty(), "a node was left");
    }
    let [first, second] = ended.map(|(folder, _)| json(&folder.join("environment.json")));
    assert_ne!(first["run"], second["run"]);
    let ports = |environment: &Value| -> BTreeSet<u64> {
        let ports = environment["ports"].as_object().expect("ports by name").values();
        ports.map(|port| port.as_u64().expect("a port")).collect()
    };
    let (first, second) = (ports(&first), ports(&second));
    assert_eq!((first.len(), second.len()), (6, 6));
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
}

#[test]
fn a_node_that_does_not_start_tells_why() {
    let out = tempfile::tempdir().expect("a folder");
    let mut run = Run::start(out.path(), &[SHORT, &["--system", "multi-paxos:eager=0"]].concat());
    let ended = run.end();
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stderr.contains("option `eager` must be a number above 0"), "{ended}");
    assert!(ended.stderr.contains("stderr.log"), "{ended}");
    assert!(nodes_of(out.path()).is_empty(), "a node was left");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let out = tempfile::tempdir().expect("a folder");
    let file = out.path().join("file");
    fs::write(&file, "").expect("written");
    let ended = Run::start(&file.join("below"), SHORT).end();
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stderr.contains(file.to_str().expect("text")), "{ended}");
    assert!(ended.stderr.contains("--out"), "{ended}");
}

#[test]
fn wrong_usage_is_refused_with_a_hint_and_leaves_nothing() {
    let wrong: &[(&[&str], &str)] = &[
        (&["--balancer", "round-robn"], "did you mean `round-robin`"),
        (&["--nemesis", "kil"], "did you mean `kill`"),
        (&["--workload", "registr"], "did you mean `register`"),
        (&["--system", "multi-paxo"], "did you mean `multi-paxos`"),
        (&["--system", "multi-paxos:eagre=1"], "eager"),
        (&["--duration", "5"], "500ms, 20s or 2m"),
        (&["--rate", "fast"], "fast"),
        (&["--nodes", "0"], "1..=9"),
        (&["--clients", "5", "--clients-max", "4"], "--clients-max 4 is less than --clients 5"),
        (&["--resolved"], "--schedule"),
        (&["--schedule", "/nowhere.json"], "/nowhere.json"),
        (&["--schedule", "/nowhere.json", "--nemesis", "kill"], "cannot be used with"),
    ];
    for (options, hint) in wrong {
        let out = tempfile::tempdir().expect("a folder");
        let place = out.path().to_str().expect("text");
        let ended = tribunal([&["run", "--out", place], *options].concat());
        assert_eq!(ended.code, 2, "{options:?}: {ended}");
        assert!(ended.stderr.contains(hint), "{options:?}: {ended}");
        assert_eq!(fs::read_dir(out.path()).expect("a folder").count(), 0, "{options:?}");
    }
    for unreadable in [["check", "/nowhere"], ["report", "/nowhere"]] {
        let ended = tribunal(unreadable);
        assert_eq!(ended.code, 2, "{ended}");
        assert!(ended.stderr.contains("/nowhere"), "{ended}");
    }
}

#[test]
fn an_old_run_is_judged_and_reported_as_it_was() {
    let out = tempfile::tempdir().expect("a folder");
    let options = ["--duration", "3s", "--nemesis", "kill", "--nodes", "3"];
    let mut run = Run::start(out.path(), &options);
    let folder = run.asking();
    let lived = run.end();
    assert_eq!(lived.code, 0, "{lived}");
    let path = folder.to_str().expect("text");
    let made = ["verdict.json", "summary.md", "junit.xml", "report.html", "latency.hlog"];
    let read = || made.map(|file| fs::read(folder.join(file)).expect("a file of the report"));
    let first = read();

    let checked = tribunal(["check", "--json", path]);
    assert_eq!(checked.code, 0, "{checked}");
    let again = of_run(&checked.stdout);
    assert_eq!(again, json(&folder.join("verdict.json")));
    assert_eq!(tribunal(["check", path]).stdout, lived.stdout);

    for file in made {
        fs::remove_file(folder.join(file)).expect("removed");
    }
    let reported = tribunal(["report", path]);
    assert_eq!(reported.code, 0, "{reported}");
    for (file, (first, second)) in made.iter().zip(first.iter().zip(&read())) {
        assert!(first == second, "{file} differs");
    }
}

#[test]
fn a_schedule_is_replayed_on_the_nodes_that_it_met() {
    let out = tempfile::tempdir().expect("a folder");
    // The leader is another one in each run; what it resolved to must not be.
    let nemesis = "partition:kind=leader,kill:target=leader,pause:target=minority";
    let options = ["--duration", "6s", "--nemesis", nemesis, "--nodes", "5", "--seed", "5"];
    let (folder, events) = faults_of(out.path(), &options);
    let starts = |events: &[Value]| events.iter().filter(|event| event["at"] == "start").count();
    assert!(starts(&events) >= 3, "{events:?}");

    let schedule = folder.join("schedule.json");
    let schedule = schedule.to_str().expect("text");
    let options =
        ["--duration", "6s", "--nodes", "5", "--seed", "6", "--schedule", schedule, "--resolved"];
    let second = tempfile::tempdir().expect("a folder");
    let (again, replayed) = faults_of(second.path(), &options);
    assert_eq!(replayed, events);
    assert_eq!(json(&again.join("schedule.json")), json(&folder.join("schedule.json")));
    assert_eq!(
        json(&again.join("plan.json"))["nemesis"],
        serde_json::json!(["kill", "partition", "pause"])
    );
    let verdict = json(&again.join("verdict.json"));
    let command = verdict["command"].as_str().expect("a command");
    assert!(command.contains(&format!("--schedule {schedule} --resolved")), "{command}");
}

/// Does a run; answers its folder and, of each fault's starts and ends by their id, what does not depend on the machine.
fn faults_of(out: &Path, options: &[&str]) -> (std::path::PathBuf, Vec<Value>) {
    let mut run = Run::start(out, options);
    let folder = run.asking();
    let ended = run.end();
    assert!(matches!(ended.code, 0 | 4), "{ended}");
    let history = fs::read_to_string(folder.join("history.jsonl")).expect("a history");
    let events = history.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut faults: Vec<Value> = events
        .filter(|event| event["process"] == "nemesis" && event["f"] != "node-exit")
        .map(|event| {
            let value = &event["value"];
            let keep = ["id", "at", "spec", "targets", "down", "cut"];
            let kept = keep.map(|key| (key.to_owned(), value[key].clone()));
            let f = ("f".to_owned(), event["f"].clone());
            Value::Object(kept.into_iter().chain([f]).collect())
        })
        .collect();
    // Of faults that start or end at nearly the same time, either may be noted first.
    faults.sort_by_key(|fault| (fault["id"].as_u64(), fault["at"] == "end"));
    (folder, faults)
}

#[test]
fn a_vote_without_order_is_convicted_without_any_fault() {
    let out = tempfile::tempdir().expect("a folder");
    let options = ["--system", "majority-vote", "--nemesis", "none", "--duration", "3s"];
    // Many clients, as fast as they can: writes meet each other all the time, on any machine.
    let load = ["--rate", "max", "--clients", "200"];
    let mut run = Run::start(out.path(), &[&options[..], &load].concat());
    let folder = run.asking();
    let ended = run.end();
    assert_eq!(ended.code, 1, "{ended}");
    assert!(ended.stdout.starts_with("INVALID: linearizable"), "{ended}");
    let verdict = json(&folder.join("verdict.json"));
    let properties = verdict["properties"].as_array().expect("a list");
    let convicted = |one: &&Value| one["verdict"] == "invalid";
    let names: Vec<&Value> =
        properties.iter().filter(convicted).map(|one| &one["checker"]).collect();
    assert_eq!(names, ["linearizable"]);
    let witness =
        properties.iter().find(convicted).expect("one")["anomalies"][0]["operations"].clone();
    assert!(!witness.as_array().expect("operations").is_empty());
    assert!(nodes_of(&folder).is_empty(), "a node was left");
}

#[test]
fn a_run_stops_at_the_first_violation() {
    let out = tempfile::tempdir().expect("a folder");
    let options = ["--system", "majority-vote", "--nemesis", "pause", "--duration", "10m"];
    let load = ["--rate", "max", "--clients", "200", "--stop-on-violation"];
    let mut run = Run::start(out.path(), &[&options[..], &load].concat());
    let folder = run.asking();
    let ended = run.end();
    assert_eq!(ended.code, 1, "{ended}");
    assert!(ended.stdout.starts_with("INVALID: linearizable"), "{ended}");
    assert!(ended.stdout.contains("was stopped at the first violation"), "{ended}");
    assert!(nodes_of(&folder).is_empty(), "a node was left");
    for file in FILES {
        assert!(folder.join(file).is_file(), "no {file}");
    }
    let verdict = json(&folder.join("verdict.json"));
    let stopped = verdict["health"]["stopped_by_violation_ns"].as_u64().expect("a time");
    let ten_minutes_ns = 600_000_000_000;
    assert!(stopped > 0 && stopped < ten_minutes_ns, "{stopped}");
    let windows = verdict["windows"].as_array().expect("a list");
    assert!(windows.iter().all(|window| !window["end"].is_null()), "{windows:?}");
    // What was judged live is what the files say.
    let checked = tribunal(["check", "--json", folder.to_str().expect("text")]);
    assert_eq!(checked.code, 1, "{checked}");
    assert_eq!(of_run(&checked.stdout), verdict);
}

/// The line that `check --json` prints for the folder of a run, without what the line of any file has.
fn of_run(line: &str) -> Value {
    const OF_ANY_FILE: &[&str] = &[
        "file",
        "model",
        "complete",
        "engine",
        "operations",
        "crashed",
        "seconds",
        "engine_bytes",
        "anomalies",
    ];
    let mut line: Value = serde_json::from_str(line).expect("JSON");
    let keys = line.as_object_mut().expect("an object");
    for key in OF_ANY_FILE {
        assert!(keys.remove(*key).is_some(), "{key} is missing");
    }
    line
}

/// In a mount namespace of its own: a small file system, which is filled up once the run is under way. The nodes' logs are
/// written ahead of use, so that the history is what meets the full disk.
const FULL_DISK: &str = r#"
    set -e
    mount -t tmpfs -o size=300m tmpfs "$OUT"
    "$TRIBUNAL" run --out "$OUT" --duration 10m --nemesis none --available-within 10m --seed 1 $OPTIONS &
    until [ "$(cat "$OUT"/*/*/history.jsonl 2>/dev/null | wc -l)" -gt "$LINES" ]; do sleep 0.02; done
    dd if=/dev/zero of="$OUT/fill" bs=64k 2>/dev/null || true
    set +e
    wait $!
    echo "run $?"
    rm "$OUT/fill"
    "$TRIBUNAL" check "$OUT"/*/*-1
    echo "check $?"
"#;

/// A run with `options` whose disk is full after `lines` of history; `None` where no small disk can be made.
fn on_a_full_disk(options: &str, lines: &str) -> Option<Ended> {
    let namespace = ["-U", "-r", "-m"];
    let possible = Command::new("unshare").args(namespace).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: `unshare -Urm` is not permitted here, so no small disk can be made");
        return None;
    }
    let out = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("timeout");
    command.arg(WAIT.as_secs().to_string()).arg("unshare").args(namespace);
    command.args(["sh", "-c", FULL_DISK]).env("OUT", out.path()).env("TRIBUNAL", program::PATH);
    let ended = program::output(command.env("OPTIONS", options).env("LINES", lines));
    assert!(nodes_of(out.path()).is_empty(), "a node was left");
    assert!(ended.stderr.contains("history.jsonl: No space left on device"), "{ended}");
    assert!(ended.stderr.contains("tribunal check"), "{ended}");
    Some(ended)
}

#[test]
fn a_full_disk_fails_the_harness_and_keeps_what_was_recorded() {
    let Some(ended) = on_a_full_disk("--nodes 3 --clients 4 --rate 200", "100") else { return };
    assert!(ended.stdout.contains("run 3\n"), "{ended}");
    assert!(ended.stdout.contains("check 4\n"), "{ended}");
    assert!(ended.stdout.contains("cut short"), "{ended}");
}

#[test]
fn a_violation_that_was_seen_outranks_a_full_disk() {
    let options = "--system majority-vote --clients 200 --rate max";
    let Some(ended) = on_a_full_disk(options, "6000") else { return };
    assert!(ended.stdout.contains("run 1\n"), "{ended}");
    assert!(ended.stdout.contains("check 1\n"), "{ended}");
}
