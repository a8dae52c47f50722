//! `tribunal sim` as a person or a CI job runs it: what it prints, how it ends, and that one seed is one execution.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tribunal::simulate::breach::{Breach, Node, Property};
use tribunal_history::jsonl;
use tribunal_sim::{Asked, Options, Plan, run};

struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

fn tribunal(args: &[&str]) -> Ended {
    ended(Command::new(env!("CARGO_BIN_EXE_tribunal")).args(args))
}

fn ended(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Ended { code: output.status.code().unwrap_or(-1), stdout, stderr }
}

fn sim(args: &[&str]) -> Ended {
    let mut all = vec!["sim"];
    all.extend(args);
    tribunal(&all)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn lines(stdout: &str) -> Vec<Json> {
    stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The folder of the only replay below `out`.
fn folder(out: &Path) -> PathBuf {
    out.join("latest").canonicalize().expect("a replay")
}

/// A bug that hardly any seed hides.
const BROKEN: &[&str] = &["--system", "majority-vote", "--duration", "1s"];

#[test]
fn a_seed_is_one_execution() {
    for seed in 0..50 {
        let asked = Asked { duration_ms: Some(800), clients: Some(2), ..Asked::default() };
        let plan = Plan::swarm(seed, &asked).expect("possible");
        let [(first_hash, first), (second_hash, second)] = [(); 2].map(|()| {
            let outcome = run(&plan, Options { black_box: false, record: true }).expect("runs");
            let mut bytes = Vec::new();
            for event in outcome.history.expect("recorded") {
                jsonl::write_event(&mut bytes, &event).expect("written");
            }
            (outcome.hash, bytes)
        });
        assert_eq!(first_hash, second_hash, "seed {seed}");
        assert!(!first.is_empty(), "seed {seed} did nothing");
        assert!(first == second, "seed {seed} gives two histories");
    }
}

#[test]
fn the_number_of_threads_changes_nothing_but_the_time() {
    let of = |jobs: &str| {
        let mut args = vec!["--seeds", "3..11", "--json", "--jobs", jobs];
        args.extend(BROKEN);
        let ended = sim(&args);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        let mut lines = lines(&ended.stdout);
        let sums = lines.last_mut().expect("sums").as_object_mut().expect("an object");
        let speed = sums.remove("speed").expect("a speed");
        assert!(speed["operations_per_core_s"].as_f64().is_some_and(|rate| rate > 0.0));
        lines
    };
    let alone = of("1");
    assert_eq!(alone, of("2"));
    let (sums, convicted) = alone.split_last().expect("sums");
    assert_eq!(sums["executions"], 8);
    assert_eq!(sums["seeds"], serde_json::json!({ "from": 3, "to": 11 }));
    assert_eq!(sums["convicted"], convicted.len());
    assert!(sums["operations"]["ok"].as_u64() > Some(100));
    assert!(sums["states"]["distinct"].as_u64() > Some(10));
    let seeds: Vec<u64> = convicted.iter().filter_map(|line| line["seed"].as_u64()).collect();
    assert!(seeds.is_sorted() && seeds.len() == convicted.len());
}

#[test]
fn a_mutant_is_convicted_and_the_command_repeats_it() {
    let ended = sim(&[
        "--system",
        "multi-paxos:mutant=lazy-fsync",
        "--nemesis",
        "power-loss:target=all",
        "--until-failure",
        "--json",
        "--black-box",
    ]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let lines = lines(&ended.stdout);
    assert_eq!(lines.len(), 2, "one conviction and the sums: {}", ended.stdout);
    let executions = lines[0]["seed"].as_u64().expect("a seed") + 1;
    assert_eq!(lines[1]["executions"], executions, "nothing is told beyond the first conviction");

    let out = tempfile::tempdir().expect("a folder");
    let command = lines[0]["command"].as_str().expect("a command");
    let mut args: Vec<&str> = command.split(' ').skip(1).collect();
    args.extend(["--out", text(out.path())]);
    let replayed = tribunal(&args);
    assert_eq!(replayed.code, 1, "{}{}", replayed.stdout, replayed.stderr);
    let verdict = read_json(&folder(out.path()), "verdict.json");
    let properties = verdict["properties"].as_array().expect("properties");
    let convicted = properties.iter().find(|one| one["verdict"] == "invalid").expect("convicted");
    assert_eq!(convicted["checker"], lines[0]["by"]);
    assert_eq!(verdict["command"], command);
    let bare = command.strip_prefix("tribunal ").expect("the program's name");
    assert!(replayed.stdout.contains(bare), "{}", replayed.stdout);
}

fn read_json(folder: &Path, name: &str) -> Json {
    let text = fs::read_to_string(folder.join(name)).expect(name);
    serde_json::from_str(&text).expect("JSON")
}

/// The files of a replay.
const FILES: &[&str] = &[
    "plan.json",
    "simulation.json",
    "environment.json",
    "schedule.json",
    "history.jsonl",
    "trace.jsonl",
    "health.json",
    "verdict.json",
    "summary.md",
    "junit.xml",
    "report.html",
    "latency.hlog",
];

#[test]
fn a_replay_is_a_run_that_is_judged_again_and_repeats_its_bytes() {
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let mut args = vec!["--replay", "3", "--out", text(first.path())];
    args.extend(BROKEN);
    let replayed = sim(&args);
    assert_eq!(replayed.code, 1, "{}{}", replayed.stdout, replayed.stderr);
    let own = folder(first.path());
    for file in FILES {
        assert!(fs::metadata(own.join(file)).is_ok_and(|file| file.len() > 0), "no {file}");
    }

    // Judged the same from its files.
    let checked = tribunal(&["check", text(&own)]);
    assert_eq!((checked.code, &checked.stdout), (1, &replayed.stdout));
    let verdict = fs::read(own.join("verdict.json")).expect("a verdict");
    assert_eq!(tribunal(&["report", text(&own)]).code, 1);
    assert!(fs::read(own.join("verdict.json")).expect("a verdict") == verdict);

    // Repeated from its plan, to the byte.
    let plan = own.join("simulation.json");
    let again = sim(&["--plan", text(&plan), "--out", text(second.path())]);
    assert_eq!(again.code, 1, "{}", again.stderr);
    let other = folder(second.path());
    for file in ["history.jsonl", "trace.jsonl", "schedule.json", "simulation.json", "health.json"]
    {
        let [one, two] = [&own, &other].map(|folder| fs::read(folder.join(file)).expect("a file"));
        assert!(one == two, "{file} differs");
    }
    let [one, two] = [&own, &other].map(|folder| read_json(folder, "environment.json"));
    assert_eq!(one["simulated"]["hash"], two["simulated"]["hash"]);
    assert!(replayed.stdout.contains(one["simulated"]["hash"].as_str().expect("a hash")));
}

#[test]
fn a_report_says_that_it_was_simulated() {
    let out = tempfile::tempdir().expect("a folder");
    let replayed = sim(&[
        "--replay",
        "1",
        "--nemesis",
        "none",
        "--duration",
        "500ms",
        "--out",
        text(out.path()),
    ]);
    assert_eq!(replayed.code, 0, "{}{}", replayed.stdout, replayed.stderr);
    let own = folder(out.path());
    let page = fs::read_to_string(own.join("report.html")).expect("a page");
    let summary = fs::read_to_string(own.join("summary.md")).expect("a summary");
    for told in [&replayed.stdout, &page, &summary] {
        assert!(told.contains("It was simulated."), "{told}");
        assert!(told.contains("s of virtual time"), "{told}");
        let command = "tribunal sim --nemesis none --duration 500ms --replay 1";
        assert!(told.contains(&command["tribunal ".len()..]), "{told}");
        assert!(!told.contains("tribunal run") && !told.contains("-- run "), "{told}");
    }
    for measured in ["timers at most", "Health of the harness", "node-logs", "power loss, torn"] {
        assert!(!page.contains(measured), "nothing such was measured: {measured}");
    }
}

#[test]
fn a_breach_of_an_invariant_convicts_from_its_file() {
    let out = tempfile::tempdir().expect("a folder");
    let args =
        ["--replay", "1", "--nemesis", "none", "--duration", "500ms", "--out", text(out.path())];
    assert_eq!(sim(&args).code, 0);
    let own = folder(out.path());
    assert_eq!(tribunal(&["check", text(&own)]).code, 0);
    let breach = Breach {
        property: Property::Invariant,
        name: "agreement".to_owned(),
        why: "nodes 1 and 2 decided different values in slot 7".to_owned(),
        step: 812,
        time_ns: 1_234_567_000,
        message: None,
        nodes: vec![Node { node: 1, role: None, ballot: 4, applied: Some(6) }],
    };
    let json = serde_json::to_string(&breach).expect("JSON");
    fs::write(own.join("breach.json"), json).expect("written");
    let checked = tribunal(&["check", text(&own)]);
    assert_eq!(checked.code, 1, "{}", checked.stdout);
    for told in
        ["invariant (agreement) was violated", "slot 7", "step 812, at 1.234567 s", "n1: down"]
    {
        assert!(checked.stdout.contains(told), "{told}: {}", checked.stdout);
    }
    fs::write(own.join("breach.json"), "{}").expect("written");
    assert_eq!(tribunal(&["check", text(&own)]).code, 2, "a broken file is no pass");
}

#[test]
fn an_invariant_convicts_a_replay_and_its_folder() {
    let out = tempfile::tempdir().expect("a folder");
    let args = ["--system", "multi-paxos:mutant=forgotten-promise", "--replay", "0", "--out"];
    let replayed = sim(&[&args[..], &[text(out.path())]].concat());
    assert_eq!(replayed.code, 1, "{}{}", replayed.stdout, replayed.stderr);
    let own = folder(out.path());
    let breach = read_json(&own, "breach.json");
    let headline =
        format!("INVALID: invariant ({}) was violated.", breach["name"].as_str().expect("a name"));
    assert!(replayed.stdout.starts_with(&headline), "{}", replayed.stdout);
    assert!(breach["message"]["message"].is_string(), "{breach}");
    let checked = tribunal(&["check", text(&own)]);
    assert_eq!((checked.code, checked.stdout), (1, replayed.stdout));
    let page = fs::read_to_string(own.join("report.html")).expect("a page");
    assert!(page.contains("last message: from n"), "the page does not show the message");
}

#[test]
fn a_breach_tells_the_step_the_message_and_the_states() {
    let plan =
        Plan::swarm(1, &Asked { duration_ms: Some(500), ..Asked::default() }).expect("a plan");
    let mut outcome = run(&plan, Options { black_box: true, record: true }).expect("runs");
    assert_eq!(Breach::of(&outcome), None);
    let breach = tribunal_sim::invariants::Breach { invariant: "agreement", why: "no".to_owned() };
    outcome.breach = Some((9, breach));
    let told = Breach::of(&outcome).expect("a breach");
    assert_eq!(
        (told.name.as_str(), told.step, told.property),
        ("agreement", 9, Property::Invariant)
    );
    assert_eq!(told.time_ns, outcome.virtual_ns);
    assert_eq!(told.nodes.len(), plan.nodes as usize);
    assert!(told.nodes.iter().any(|node| node.role.as_deref() == Some("leader")), "{told:?}");
    let message = told.message.expect("messages were sent");
    assert!(message.sent_ns < message.arrived_ns && message.arrived_ns <= told.time_ns);
    outcome.breach = None;
    outcome.finished = false;
    let told = Breach::of(&outcome).expect("a breach");
    assert_eq!(told.property, Property::Ends);
}

/// A mutant whose shrinking is short, with a small budget.
const SHRINK: &[&str] = &[
    "--system",
    "multi-paxos:mutant=forgotten-promise",
    "--shrink",
    "--shrink-seeds",
    "2",
    "--shrink-executions",
    "15",
];

#[test]
fn what_is_shrunk_is_shown_and_its_folder_repeats_it() {
    let out = tempfile::tempdir().expect("a folder");
    let args = ["--seeds", "0..20", "--until-failure", "--out", text(out.path())];
    let ended = sim(&[SHRINK, &args].concat());
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    let own = folder(out.path());
    let plan = own.join("simulation.json");
    let repeat = format!("sim --plan {}", plan.display());
    for told in [
        "Shrunk seed ",
        "more may be left out with a larger --shrink-executions",
        "The same plan without forgotten-promise is acquitted",
        "before",
        "════ convicted ════",
        &repeat,
    ] {
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
    let diagram = fs::read_to_string(own.join("sequence.txt")).expect("a diagram");
    assert!(ended.stdout.contains(&diagram), "the terminal shows what the file holds");
    let svg = fs::read_to_string(own.join("sequence.svg")).expect("a drawing");
    let page = fs::read_to_string(own.join("report.html")).expect("a page");
    assert!(page.contains(svg.trim()), "the report shows the drawing");

    let hash = |folder: &Path| read_json(folder, "environment.json")["simulated"]["hash"].clone();
    let first = hash(&own);
    let again = sim(&["--plan", text(&plan), "--out", text(out.path())]);
    assert_eq!(again.code, 1, "{}", again.stderr);
    assert_eq!(hash(&folder(out.path())), first);
}

#[test]
fn a_replay_and_a_plan_are_shrunk_and_told_to_machines() {
    let out = tempfile::tempdir().expect("a folder");
    let at = ["--json", "--out", text(out.path())];
    let ended = sim(&[SHRINK, &["--replay", "0"], &at].concat());
    assert_eq!(ended.code, 1, "{}{}", ended.stdout, ended.stderr);
    let [json]: [Json; 1] = lines(&ended.stdout).try_into().expect("one line");
    assert_eq!((&json["seed"], &json["without_bug"]["acquitted"]), (&0.into(), &true.into()));
    assert_eq!((&json["executions"], &json["complete"]), (&15.into(), &false.into()));
    let size = |which: &str| json[which]["nodes"].as_u64().expect("a size");
    assert!(size("after") < size("before"), "{json}");
    let plan = Path::new(json["folder"].as_str().expect("a folder")).join("simulation.json");
    assert!(json["command"].as_str().is_some_and(|command| command.ends_with(text(&plan))));

    let args = ["--plan", text(&plan), "--shrink", "--shrink-executions", "5"];
    let again = sim(&[&args[..], &at].concat());
    assert_eq!(again.code, 1, "{}{}", again.stdout, again.stderr);
    assert_eq!(lines(&again.stdout)[0]["by"], json["by"]);
}

#[test]
fn what_is_not_convicted_is_not_shrunk() {
    let out = tempfile::tempdir().expect("a folder");
    let calm = ["--nemesis", "none", "--duration", "300ms", "--shrink", "--out", text(out.path())];
    let ended = sim(&[&calm[..], &["--replay", "5"]].concat());
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    let told = "seed 5 is not convicted: there is nothing to shrink";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    let ended = sim(&[&calm[..], &["--seeds", "0..2"]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let told = "no seed is convicted: there is nothing to shrink";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    assert!(fs::read_dir(out.path()).expect("a folder").next().is_none(), "nothing is written");
}

#[test]
fn correct_executions_are_acquitted_with_what_that_is_worth() {
    let ended =
        sim(&["--seeds", "0..4", "--nodes", "3", "--duration", "500ms", "--nemesis", "kill"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    for told in [
        "VALID: none of 4 executions was convicted.\n",
        "fewer than 3/4 executions of this distribution violate a property",
        "kill ",
        "distinct",
        "operations/s",
    ] {
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
}

#[test]
fn a_conviction_outranks_a_failure_to_print_it() {
    let out = tempfile::tempdir().expect("a folder");
    let full = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
        command.arg("sim").args(args).args(["--out", text(out.path())]);
        ended(command.stdout(fs::File::create("/dev/full").expect("a full device")))
    };
    let told = "error: writing to stdout: ";
    for more in [&["--seeds", "3..5"][..], &["--seeds", "3..5", "--json"], &["--replay", "3"]] {
        let ended = full(&[BROKEN, more].concat());
        assert_eq!(ended.code, 1, "{more:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.matches(told).count(), 1, "{more:?}: {}", ended.stderr);
    }
    let ended = full(&["--seeds", "0..1", "--nemesis", "none", "--duration", "100ms"]);
    assert_eq!(ended.code, 3, "an acquittal that nobody can read: {}", ended.stderr);
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn the_number_of_threads_is_told_in_words_that_fit() {
    let of = |jobs| {
        let calm = ["--nemesis", "none", "--duration", "10ms", "--seeds", "0..1", "--jobs", jobs];
        sim(&calm).stderr
    };
    assert!(of("1").starts_with("executing seeds 0..1 on 1 thread\n"));
    assert!(of("2").starts_with("executing seeds 0..1 on 2 threads\n"));
}

#[test]
fn a_fault_that_was_asked_for_and_never_in_effect_is_no_pass() {
    let args = ["--nemesis", "partition,kill", "--duration", "1ms", "--seeds", "0..3"];
    let ended = sim(&args);
    assert_eq!(ended.code, 4, "{}{}", ended.stdout, ended.stderr);
    let headline = "UNKNOWN: none of 3 executions was convicted, but kill and partition were asked for and never in effect.";
    assert!(ended.stdout.starts_with(headline), "{}", ended.stdout);
    let ended = sim(&[&args[..], &["--json"]].concat());
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    let sums = &lines(&ended.stdout)[0];
    assert_eq!(sums["never_in_effect"], serde_json::json!(["kill", "partition"]));
}

#[test]
fn wrong_usage_is_refused_with_a_hint_before_anything_is_executed() {
    let cases: &[(&[&str], &str)] = &[
        (&["--system", "multi-paxo"], "did you mean `multi-paxos`?"),
        (&["--system", "multi-paxos:mutant=lazy-fsink"], "did you mean `lazy-fsync`?"),
        (&["--system", "majority-vote:mutant=lazy-fsync"], "mutant"),
        (&["--workload", "registre"], "did you mean `register`?"),
        (&["--balancer", "randm"], "did you mean `random`?"),
        (&["--client-bug", "timeout"], "tribunal list mutants"),
        (&["--nemesis", "kil"], "error: there is no fault `kil`; did you mean `kill`?"),
        (&["--nemesis", "kill:targt=all"], "error: kill has no parameter `targt`"),
        (&["--nemesis", "none,kill"], "`none` stands alone"),
        (&["--balancer", "weighted:weights=3/1/1"], "`--nodes 3` fixes it"),
        (&["--balancer", "weighted:weights=3/1", "--replay", "0"], "`--nodes 2` fixes it"),
        (
            &["--nemesis", "kill:stay-dead=yes", "--nodes", "2"],
            "ask for another number with --nodes",
        ),
        (&["--seeds", "5..5"], "holds no seed"),
        (&["--seeds", "5.."], "--until-failure"),
        (&["--duration", "0s"], "longer than nothing"),
        (&["--duration", "11m"], "at most 10m: an execution is not interrupted"),
        (&["--duration", "600001ms", "--replay", "0"], "at most 10m"),
        (&["--replay", "1", "--until-failure"], "cannot be used with"),
        (&["--plan", "p.json", "--nodes", "3"], "cannot be used with"),
        (&["--plan", "no-such-file.json"], "no-such-file.json"),
        (&["--replay", "1", "--shrink-seeds", "3"], "--shrink"),
    ];
    for (args, hint) in cases {
        let ended = sim(args);
        assert_eq!(ended.code, 2, "{args:?}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(hint), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

#[test]
fn the_help_tells_what_is_drawn_and_how_long_an_execution_is() {
    let help = sim(&["--help"]);
    let words = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in ["3, 4 or 5", "2 to 8", "at most 10m", "a calm time follows", "14 s of virtual"] {
        assert!(words.contains(told), "{told}: {}", help.stdout);
    }
    // The help is true.
    for seed in 0..200 {
        let of = |assert_shares| {
            let asked = Asked { assert_shares, ..Asked::default() };
            Plan::swarm(seed, &asked).expect("possible")
        };
        let plan = of(false);
        assert!((3..=5).contains(&plan.nodes) && (2..=8).contains(&plan.clients), "seed {seed}");
        assert!((1_500..=4_000).contains(&plan.schedule.duration_ms), "seed {seed}");
        assert!(of(true).calm_ms > plan.calm_ms + 13_000, "seed {seed}");
    }
}

#[test]
fn a_plan_that_contradicts_itself_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan::swarm(1, &Asked::default()).expect("a plan");
    let refused = |plan: &Plan, why: &str| {
        let file = folder.path().join("plan.json");
        fs::write(&file, serde_json::to_string(plan).expect("JSON")).expect("written");
        let ended = sim(&["--plan", text(&file), "--out", text(&folder.path().join("out"))]);
        assert_eq!(ended.code, 2, "{why}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(why), "{why}: {}", ended.stderr);
    };
    refused(&Plan { version: 99, ..plan.clone() }, "version 99");
    refused(&Plan { nodes: 0, ..plan.clone() }, "nodes must be 1 to 9");
    refused(&Plan { nodes: plan.nodes + 1, ..plan.clone() }, "the schedule is for");
    let mut links = plan.links;
    links.delay_min_us = links.delay_max_us + 1;
    refused(&Plan { links, ..plan.clone() }, "delay_min_us");
    assert!(!folder.path().join("out").exists(), "something was left behind");
}

#[test]
fn an_interrupt_ends_it_with_what_was_done() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
    command.args(["sim", "--until-failure", "--nemesis", "none", "--duration", "200ms"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("text");
    assert!(line.starts_with("executing seeds 0.. on "), "{line}");
    let pid = i32::try_from(child.id()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("sent");
    let mut stdout = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("text");
    let code = child.wait().expect("a child").code();
    assert_eq!(code, Some(4), "{stdout}");
    assert!(
        stdout.contains("UNKNOWN: none of ") && stdout.contains("It was cut short."),
        "{stdout}"
    );
}

#[test]
fn the_catalogue_of_mutants_is_listed() {
    let listed = tribunal(&["list", "mutants", "--json"]);
    assert_eq!(listed.code, 0);
    let json: Json = serde_json::from_str(&listed.stdout).expect("JSON");
    let mutants = json["mutants"].as_array().expect("a list");
    let names: Vec<&str> = mutants.iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"lazy-fsync") && names.contains(&"timeout-is-fail"), "{names:?}");
    assert!(mutants.iter().all(|one| one["number"].is_u64()));
}
