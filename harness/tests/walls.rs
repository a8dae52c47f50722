//! Keeps two promises of DESIGN.md by reading the sources: who may use whom, and what a deterministic crate never touches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate's folder, its name, and the crates of ours that it may use.
const MAY_USE: &[(&str, &str, &[&str])] = &[
    ("harness/spec", "tribunal-spec", &[]),
    ("checkers/history", "tribunal-history", &[]),
    ("nodes/protocol", "tribunal-protocol", &[]),
    ("nodes/wal", "tribunal-wal", &[]),
    ("harness/nemesis", "tribunal-nemesis", &["tribunal-spec"]),
    ("checkers", "tribunal-checkers", &["tribunal-history", "tribunal-spec"]),
    (
        "workloads",
        "tribunal-workloads",
        &["tribunal-checkers", "tribunal-history", "tribunal-spec"],
    ),
    ("nodes", "tribunal-nodes", &["tribunal-protocol", "tribunal-wal"]),
    (
        "harness/sim",
        "tribunal-sim",
        &[
            "tribunal-checkers",
            "tribunal-history",
            "tribunal-nemesis",
            "tribunal-protocol",
            "tribunal-spec",
            "tribunal-wal",
            "tribunal-workloads",
        ],
    ),
    (
        "harness",
        "tribunal",
        &[
            "tribunal-checkers",
            "tribunal-history",
            "tribunal-nemesis",
            "tribunal-nodes",
            "tribunal-protocol",
            "tribunal-sim",
            "tribunal-spec",
            "tribunal-workloads",
        ],
    ),
];

/// Crates whose behaviour is a function of their inputs.
const DETERMINISTIC: &[&str] =
    &["nodes/protocol", "nodes/wal", "workloads", "harness/nemesis", "harness/sim", "harness/spec"];

/// What such a crate never names, and why.
const BANNED: &[(&str, &str)] = &[
    ("std::thread", "threads"),
    ("thread::spawn", "threads"),
    ("std::net", "sockets"),
    ("std::fs", "files"),
    ("std::process", "processes"),
    ("std::env", "the environment"),
    ("tokio", "a runtime"),
    ("rayon", "threads"),
    ("Instant::", "clocks"),
    ("SystemTime", "clocks"),
    ("HashMap", "iteration in no fixed order"),
    ("HashSet", "iteration in no fixed order"),
    ("thread_rng", "randomness without a seed"),
    ("rand::rng()", "randomness without a seed"),
    ("StdRng", "randomness that is not portable"),
    ("SmallRng", "randomness that is not portable"),
    (".ln(", "the platform's floating point"),
    (".log2(", "the platform's floating point"),
    (".log10(", "the platform's floating point"),
    (".exp(", "the platform's floating point"),
    (".powf(", "the platform's floating point"),
    (".sin(", "the platform's floating point"),
    (".cos(", "the platform's floating point"),
];

fn root() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.parent().expect("harness lies in the workspace").to_owned()
}

/// The names in `[dependencies]`, not those that only tests use.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[").find(|section| section.starts_with("dependencies]"));
    let lines = section.unwrap_or_default().lines().skip(1);
    lines
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// Every source file below the crate's `src`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The code of a file without comments and without its tests, which stand last.
fn code(text: &str) -> Vec<(usize, String)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default().to_owned()))
        .collect()
}

fn breaches(code: &[(usize, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in code {
        for (word, what) in BANNED.iter().filter(|(word, _)| line.contains(word)) {
            found.push(format!("line {number} names `{word}` ({what})"));
        }
    }
    found
}

#[test]
fn every_crate_of_the_workspace_stands_in_the_table() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace");
    let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
    let members: BTreeSet<&str> =
        members.expect("members").split(['"', ',', '\n', ' ']).filter(|m| !m.is_empty()).collect();
    let table: BTreeSet<&str> = MAY_USE.iter().map(|(folder, _, _)| *folder).collect();
    assert_eq!(members, table);
}

#[test]
fn nobody_uses_whom_it_may_not() {
    let mut wrong: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (folder, name, may_use) in MAY_USE {
        let manifest =
            fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{folder} is not {name}");
        let ours = dependencies(&manifest).into_iter().filter(|name| name.starts_with("tribunal"));
        let beyond: BTreeSet<String> =
            ours.filter(|name| !may_use.contains(&name.as_str())).collect();
        if !beyond.is_empty() {
            wrong.insert(name, beyond);
        }
    }
    assert!(wrong.is_empty(), "beyond the table: {wrong:?}");
}

#[test]
fn deterministic_crates_touch_nothing_that_is_not_an_input() {
    let mut wrong = Vec::new();
    for folder in DETERMINISTIC {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).expect("a source");
            let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            wrong.extend(
                breaches(&code(&text)).into_iter().map(|breach| format!("{shown}: {breach}")),
            );
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_checks_bite() {
    let manifest = "[dependencies]\ntribunal-nodes.workspace = true\n\n[dev-dependencies]\ntribunal.path = \"x\"\n";
    let found = dependencies(&format!("\n{manifest}"));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["tribunal-nodes"]);
    let text = "use std::collections::HashMap; // fine: SystemTime\nlet x = y.ln();\n#[cfg(test)]\nuse std::fs;";
    assert_eq!(breaches(&code(text)).len(), 2);
}
