//! `tribunal check` on files: what it prints, and how it ends.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

fn check(args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
    let output = command.arg("check").args(args).stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Ended { code: output.status.code().unwrap_or(-1), stdout, stderr }
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("written");
    }
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The output with the folder's name and the times left out.
fn plain(output: &str, folder: &TempDir) -> String {
    let output = output.replace(text(folder.path()), "FOLDER");
    let word = |word: &str| match word.split_once('.') {
        Some((whole, decimals))
            if decimals.len() == 3
                && whole.parse::<u32>().is_ok()
                && decimals.parse::<u32>().is_ok() =>
        {
            "TIME".to_owned()
        }
        _ => word.to_owned(),
    };
    output.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

const HEADER: &str = r#"{"format":"tribunal-history","version":1}"#;

/// A history of sequential operations, each `f input output`.
fn history(operations: &[(&str, &str, &str)]) -> String {
    let mut lines = vec![HEADER.to_owned()];
    for (nth, (f, input, output)) in operations.iter().enumerate() {
        for (offset, (kind, value)) in [("invoke", input), ("ok", output)].iter().enumerate() {
            let index = 2 * nth + offset;
            let time = index * 1_000_000;
            lines.push(format!(
                r#"{{"index":{index},"time":{time},"process":0,"type":"{kind}","f":"{f}","value":{value}}}"#
            ));
        }
    }
    lines.join("\n") + "\n"
}

fn good() -> String {
    history(&[
        ("write", "1", "1"),
        ("read", "null", "1"),
        ("cas", "[1,2]", "[1,2]"),
        ("read", "null", "2"),
    ])
}

fn bad() -> String {
    history(&[("write", "1", "1"), ("write", "2", "2"), ("read", "null", "1")])
}

#[test]
fn a_single_file_shows_verdict_evidence_and_what_it_rests_on() {
    let folder = folder(&[("bad.jsonl", &bad()), ("good.jsonl", &good())]);
    let ended = check(&[text(&folder.path().join("bad.jsonl"))]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    insta::assert_snapshot!("check_a_violation", plain(&ended.stdout, &folder));
    let ended = check(&[text(&folder.path().join("good.jsonl"))]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    insta::assert_snapshot!("check_no_violation", plain(&ended.stdout, &folder));
}

#[test]
fn a_folder_gives_a_line_a_file_in_order_and_a_total() {
    let folder = folder(&[
        ("a/good.jsonl", &good()),
        ("a/notes.md", "no history"),
        ("b.jsonl", &bad()),
        ("c.jsonl", "what is this\n"),
    ]);
    let ended = check(&[text(folder.path())]);
    assert_eq!(ended.code, 1, "a violation outranks what is unreadable");
    insta::assert_snapshot!("check_a_folder", plain(&ended.stdout, &folder));
    assert!(ended.stderr.contains("c.jsonl"), "{}", ended.stderr);
}

#[test]
fn the_line_for_machines_keeps_its_keys_in_their_order() {
    let folder = folder(&[("bad.jsonl", &bad())]);
    let ended = check(&[text(&folder.path().join("bad.jsonl")), "--json"]);
    let line: Value = serde_json::from_str(&ended.stdout).expect("one line of JSON");
    let seconds = line["seconds"].to_string();
    let stable = ended.stdout.replace(&format!("\"seconds\":{seconds}"), "\"seconds\":0");
    let bytes = format!("\"engine_bytes\":{}", line["engine_bytes"]);
    let stable = stable.replace(&bytes, "\"engine_bytes\":0");
    insta::assert_snapshot!("check_json", plain(&stable, &folder));
    assert_eq!(ended.stdout.lines().count(), 1);
}

#[test]
fn every_format_is_found_by_its_content() {
    let edn = "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n";
    let json = r#"[{"process":0,"type":"invoke","f":"write","value":1},{"process":0,"type":"ok","f":"write","value":1}]"#;
    let cases = [
        ("h.jsonl", good(), "cas-register"),
        ("h.edn", edn.to_owned(), "register"),
        ("vector.edn", format!("; a comment\n[{edn}]"), "register"),
        ("h.json", json.to_owned(), "register"),
        ("history.txt", "0\t:invoke\t:write\t1\n0\t:ok\t:write\t1\n".to_owned(), "register"),
    ];
    for (name, content, model) in cases {
        // The name says nothing.
        let folder = folder(&[("history", &content)]);
        let ended = check(&[text(&folder.path().join("history")), "--json"]);
        assert_eq!(ended.code, 0, "{name}: {}", ended.stderr);
        let line: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(line["model"], model, "{name}");
    }
}

#[test]
fn exit_codes_rank_what_was_found() {
    // A register whose values have keys at first and none later is undecided.
    let mut mixed: Vec<(&str, &str, &str)> = vec![("write", "[1,1]", "[1,1]"); 1024];
    mixed.push(("write", "7", "7"));
    let folder = folder(&[
        ("good.jsonl", &good()),
        ("bad.jsonl", &bad()),
        ("unknown.jsonl", &history(&mixed)),
        ("broken.jsonl", "broken"),
    ]);
    let codes: &[(&[&str], i32)] = &[
        (&["good"], 0),
        (&["unknown"], 4),
        (&["good", "unknown"], 4),
        (&["broken"], 2),
        (&["unknown", "broken"], 2),
        (&["good", "unknown", "broken", "bad"], 1),
    ];
    for (names, code) in codes {
        let paths: Vec<PathBuf> =
            names.iter().map(|name| folder.path().join(format!("{name}.jsonl"))).collect();
        let paths: Vec<&str> = paths.iter().map(|path| text(path)).collect();
        assert_eq!(check(&paths).code, *code, "{names:?}");
    }
}

#[test]
fn what_cannot_be_read_says_where_and_gets_no_verdict() {
    let two = |first: &str, second: &str| format!("{HEADER}\n{first}\n{second}\n");
    let event = |index: u64, time: u64, kind: &str, value: &str| {
        format!(
            r#"{{"index":{index},"time":{time},"process":0,"type":"{kind}","f":"write","value":{value}}}"#
        )
    };
    let cases = [
        (
            "beyond 64 bits",
            two(&event(0, 0, "invoke", "1"), &event(1, 0, "ok", "9223372036854775808")),
        ),
        ("completion without invocation", two(&event(0, 0, "ok", "1"), &event(1, 0, "ok", "1"))),
        ("two open operations", two(&event(0, 0, "invoke", "1"), &event(1, 0, "invoke", "1"))),
        ("duplicate indices", two(&event(0, 0, "invoke", "1"), &event(0, 0, "ok", "1"))),
        ("a time that goes back", two(&event(0, 5, "invoke", "1"), &event(1, 4, "ok", "1"))),
        ("no JSON", two(&event(0, 0, "invoke", "1"), "{\"index\":")),
        ("another version", "{\"format\":\"tribunal-history\",\"version\":99}\n".to_owned()),
        ("nothing", String::new()),
    ];
    for (case, content) in cases {
        let folder = folder(&[("broken.jsonl", &content)]);
        let path = folder.path().join("broken.jsonl");
        let ended = check(&[text(&path), "--json"]);
        assert_eq!(ended.code, 2, "{case}: {}", ended.stderr);
        let line: Value = serde_json::from_str(&ended.stdout).expect("one line of JSON");
        assert_eq!(line["verdict"], "unknown", "{case}");
        let nothing = r#","model":null,"verdict":"unknown","complete":false,"engine":null,"operations":null,"crashed":null,"seconds":null,"engine_bytes":null,"anomalies":[],"error":""#;
        assert!(ended.stdout.contains(nothing), "{case}: {}", ended.stdout);
        assert!(
            ended.stderr.starts_with(&format!("error: {}", path.display())),
            "{case}: {}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("panicked"), "{case}: {}", ended.stderr);
        assert!(
            case == "nothing" || ended.stderr.contains(".jsonl: line "),
            "{case}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_file_that_was_cut_short_is_no_pass() {
    let whole = good();
    let folder = folder(&[("cut.jsonl", &whole[..whole.len() - 9])]);
    let ended = check(&[text(&folder.path().join("cut.jsonl"))]);
    assert_eq!(ended.code, 4, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("in the middle of a line"), "{}", ended.stdout);
    assert!(ended.stdout.contains("not complete"), "{}", ended.stdout);
}

#[test]
fn a_model_that_the_content_leaves_open_lists_the_choices() {
    let folder =
        folder(&[("counter.jsonl", &history(&[("add", "1", "1"), ("read", "null", "1")]))]);
    let path = folder.path().join("counter.jsonl");
    let ended = check(&[text(&path)]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("choose with --model: counter, counter-bounds"),
        "{}",
        ended.stderr
    );
    assert_eq!(check(&[text(&path), "--model", "counter"]).code, 0);
}

#[test]
fn wrong_usage_is_said_once_with_a_hint() {
    let folder = folder(&[("a.jsonl", &good()), ("b.jsonl", &good())]);
    for (options, hint) in [
        (["--model", "cas-registre"], "did you mean `cas-register`?"),
        (["--model", "register:keyd=no"], "did you mean `keyed`?"),
        (["--memory", "lots"], "2GiB"),
        (["--timeout", "lots"], "20s"),
    ] {
        let ended = check(&[text(folder.path()), options[0], options[1]]);
        assert_eq!(ended.code, 2, "{options:?}");
        assert_eq!(ended.stderr.matches(hint).count(), 1, "{options:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    let empty = tempfile::tempdir().expect("a folder");
    assert_eq!(check(&[text(empty.path())]).code, 2, "nothing judged is no pass");
    let line = check(&[text(empty.path()), "--json"]).stdout;
    assert!(line.contains("there is no history in this folder"), "{line}");
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn events_that_do_not_fit_together_have_a_place_in_every_format() {
    let cases = [
        (
            "{:process 0 :type :invoke :f :read}\n  {:process 1 :type :ok :f :read}\n",
            "line 2, column 3: ",
        ),
        ("0\t:invoke\t:read\tnil\n\n1\t:ok\t:read\tnil\n", "line 3, column 1: "),
        (
            r#"[{"process":0,"type":"invoke","f":"read"}, {"process":1,"type":"ok","f":"read"}]"#,
            "line 1, column 44: ",
        ),
    ];
    for (content, place) in cases {
        let folder = folder(&[("history", content)]);
        let path = folder.path().join("history");
        let ended = check(&[text(&path), "--model", "register"]);
        let start = format!("error: {}: {place}event 1: ", path.display());
        assert!(ended.stderr.starts_with(&start), "{}", ended.stderr);
    }
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let ended = check(&["/dev/zero"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("no regular file"), "{}", ended.stderr);
}

#[test]
fn our_corpus_is_judged_by_its_path() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .join("checkers/corpus");
    for entry in fs::read_dir(root).expect("the corpus") {
        let folder = entry.expect("an entry").path();
        // The folders of what there are two checkers of are not named after the model.
        let model = match folder.file_name().and_then(|name| name.to_str()).expect("text") {
            "counter" => "counter-bounds",
            "counter-linearizable" => "counter",
            "set" => "set-full",
            "set-linearizable" => "set",
            "owned-mutex" => "owner-mutex",
            model => model,
        };
        for (name, expected) in [("good", "valid"), ("bad", "invalid")] {
            let histories: Vec<String> = paths(&folder.join(name));
            let mut args = vec!["--json", "--model", model];
            args.extend(histories.iter().map(String::as_str));
            let ended = check(&args);
            assert_eq!(ended.stdout.lines().count(), histories.len(), "{}", ended.stderr);
            for line in ended.stdout.lines() {
                let line: Value = serde_json::from_str(line).expect("JSON");
                assert_eq!(line["verdict"], expected, "{line}");
            }
        }
    }
}

/// The histories in a folder; what stands beside them tells of them.
fn paths(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<String> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| text(&path).to_owned())
        .collect();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.sort();
    paths
}
