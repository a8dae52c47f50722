//! Histories of other projects, with their verdicts: `../shared/corpora/truth.tsv` beside the workspace. They are not part of
//! the project, so where they are absent this says so and tests nothing.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A line of the table.
struct Truth {
    file: String,
    format: String,
    model: String,
    verdict: String,
}

fn corpora() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let folder = root.join("../shared/corpora");
    folder.join("truth.tsv").is_file().then_some(folder)
}

fn truth(folder: &Path) -> Vec<Truth> {
    let table = fs::read_to_string(folder.join("truth.tsv")).expect("the table");
    table
        .lines()
        .filter_map(|line| match *line.split('\t').collect::<Vec<_>>() {
            [file, format, model, verdict] if folder.join(file).is_file() => Some(Truth {
                file: file.to_owned(),
                format: format.to_owned(),
                model: spec(model),
                verdict: verdict.to_owned(),
            }),
            _ => None,
        })
        .collect()
}

/// `long-fork (group size 3)` in our grammar.
fn spec(model: &str) -> String {
    match model.split_once(" (group size ") {
        Some((name, rest)) => format!("{name}:group={}", rest.trim_end_matches(')')),
        None => model.to_owned(),
    }
}

/// Judges files at once; their lines by file.
fn check(options: &[&str], paths: &[PathBuf]) -> BTreeMap<String, Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
    command.arg("check").arg("--json").args(options).args(paths).stdin(Stdio::null());
    let output = command.output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines =
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines.map(|line| (line["file"].as_str().expect("a file").to_owned(), line)).collect()
}

fn agree(given: bool) {
    let Some(folder) = corpora() else {
        return println!("skipped: there is no ../shared/corpora/truth.tsv beside the workspace");
    };
    let truth = truth(&folder);
    assert!(!truth.is_empty(), "the table is empty, or of another form");
    let mut by_options: BTreeMap<Vec<&str>, Vec<&Truth>> = BTreeMap::new();
    for line in &truth {
        let options =
            if given { vec!["--model", &line.model, "--format", &line.format] } else { Vec::new() };
        by_options.entry(options).or_default().push(line);
    }
    let mut wrong = Vec::new();
    for (options, lines) in by_options {
        let paths: Vec<PathBuf> = lines.iter().map(|line| folder.join(&line.file)).collect();
        let judged = check(&options, &paths);
        for (line, path) in lines.iter().zip(paths) {
            let found = &judged[path.to_str().expect("text")];
            let chosen = given || found["model"] == line.model.as_str();
            if chosen && found["verdict"] != line.verdict.as_str() {
                wrong.push(format!(
                    "{}: expected {} under {}, found {found}",
                    line.file, line.verdict, line.model
                ));
            }
            // What the content leaves open is an error that lists the choice.
            let name = line.model.split(':').next().expect("a name");
            let listed = found["error"].as_str().is_some_and(|error| error.contains(name));
            // The two have one checker; without a cas, nothing tells them apart.
            let inferred = found["model"].as_str().is_some_and(|model| {
                model == name || (model, name) == ("register", "cas-register")
            });
            if !given && !listed && !inferred {
                wrong.push(format!("{}: {} is not inferred, but {found}", line.file, line.model));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), truth.len(), wrong.join("\n"));
}

#[test]
fn every_file_gets_its_verdict() {
    agree(true);
}

#[test]
fn every_file_tells_its_model_or_lists_it() {
    agree(false);
}
