//! What the paths of `tribunal check` stand for: runs, files, and the files in folders.
//!
//! A folder with a `plan.json` is a run, which is judged whole. In other folders the files whose names end like those of
//! histories are taken, and the others are counted and said. Links below a given path are not followed, so that
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
                units.unreadable(path, &error);
            }
            Ok(metadata) if metadata.is_dir() => {
                if !is_run(path) {
                    units.folder = true;
                }
                units.walk(path);
            }
            Ok(_) => units.units.push(Unit::File(path.clone())),
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
            Err(error) => return self.unreadable(folder, &error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            match entry.file_type() {
                Err(error) => self.unreadable(&path, &error),
                Ok(kind) if kind.is_dir() => self.walk(&path),
                Ok(kind) if kind.is_file() && named_like_a_history(&path) => {
                    self.units.push(Unit::File(path))
                }
                Ok(kind) if kind.is_file() => self.skipped.push(path),
                Ok(_) => {}
            }
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let why = format!("{}: {error}", path.display());
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
