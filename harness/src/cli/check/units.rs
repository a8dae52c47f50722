//! What the paths of `tribunal check` stand for: runs, files, and the files in folders.
//!
//! A folder with a `plan.json` is a run, which is judged whole. In other folders the files whose names end like those of
//! histories are taken, and the others are counted and said; one without any is said to be so. Of other files only
//! regular ones are taken. Links below a given path are not followed, so that
//! nothing is judged twice and no walk is endless.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One thing to judge.
#[derive(Debug)]
pub(super) enum Unit {
    /// A history.
    File(PathBuf),
    /// The folder of a run.
    Run(PathBuf),
    /// A path that leads to neither, and why.
    Unreadable(PathBuf, String),
}

impl Unit {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Run(path) | Self::Unreadable(path, _) => path,
        }
    }
}

/// Everything to judge.
#[derive(Debug, Default)]
pub(super) struct Units {
    pub(super) units: Vec<Unit>,
    /// Files in folders that are not named like histories.
    skipped: Vec<PathBuf>,
    /// Some path was a folder of files, so that there is a list even of one.
    folder: bool,
}

impl Units {
    /// Whether a single thing was asked for.
    pub(super) fn alone(&self) -> bool {
        self.units.len() == 1 && !self.folder
    }

    /// What was left out, if anything.
    pub(super) fn note(&self) -> Option<String> {
        let first = self.skipped.first()?;
        let endings = ENDINGS.join(" ");
        Some(format!(
            "{} files left out whose names do not end in {endings} ({} for example)",
            self.skipped.len(),
            first.display()
        ))
    }
}

/// Finds what `paths` stand for.
pub(super) fn find(paths: &[PathBuf]) -> Units {
    let mut units = Units::default();
    for path in paths {
        // A link that was given is followed: `results/latest` is one.
        match fs::metadata(path) {
            Err(error) => {
                units.refuse(path, &error);
            }
            Ok(metadata) if metadata.is_dir() => {
                if !is_run(path) {
                    units.folder = true;
                }
                let before = units.units.len();
                units.walk(path);
                if units.units.len() == before {
                    units.refuse(path, "there is no history in this folder");
                }
            }
            Ok(metadata) if metadata.is_file() => units.units.push(Unit::File(path.clone())),
            // A pipe may never end, and nothing can be read twice.
            Ok(_) => units.refuse(path, "it is no regular file; histories are read from files"),
        }
    }
    units
}

impl Units {
    fn walk(&mut self, folder: &Path) {
        if is_run(folder) {
            return self.units.push(Unit::Run(folder.to_owned()));
        }
        let entries =
            fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.refuse(folder, &error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            match entry.file_type() {
                Err(error) => self.refuse(&path, &error),
                Ok(kind) if kind.is_dir() => self.walk(&path),
                Ok(kind) if kind.is_file() && named_like_a_history(&path) => {
                    self.units.push(Unit::File(path))
                }
                Ok(kind) if kind.is_file() => self.skipped.push(path),
                Ok(_) => {}
            }
        }
    }

    fn refuse(&mut self, path: &Path, why: impl std::fmt::Display) {
        let why = format!("{}: {why}", path.display());
        self.units.push(Unit::Unreadable(path.to_owned(), why));
    }
}

fn is_run(folder: &Path) -> bool {
    folder.join("plan.json").is_file()
}

fn named_like_a_history(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

const ENDINGS: &[&str] = &[".jsonl", ".json", ".edn", ".txt", ".log"];
