//! A run's folder: `<out>/<name>/<UTC time>-<seed>/`, and where each file stands in it. `<out>/latest` links to the newest.

use crate::exit::Failure;
use crate::plan::Plan;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longer names are cut and end in a hash.
const NAME_LENGTH_MAX: usize = 64;

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes a new folder for a run of `plan` below `out`. Two runs at once never share one.
    ///
    /// # Errors
    /// If it cannot be made; the message names the path.
    pub fn create(out: &Path, plan: &Plan) -> Result<Self, Failure> {
        let parent = out.join(name(plan));
        let cannot = |path: &Path, error: io::Error| {
            Failure::harness(format!(
                "cannot make the run's folder {}: {error}; choose another place with --out",
                path.display()
            ))
        };
        fs::create_dir_all(&parent).map_err(|error| cannot(&parent, error))?;
        let stamp = utc(SystemTime::now());
        for attempt in 0..100 {
            let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
            let path = parent.join(format!("{stamp}-{}{suffix}", plan.seed));
            match fs::create_dir(&path) {
                Ok(()) => {
                    let path = path.canonicalize().map_err(|error| cannot(&path, error))?;
                    return Ok(Self { path });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(cannot(&path, error)),
            }
        }
        Err(Failure::harness(format!(
            "100 runs of this seed began at once in {}",
            parent.display()
        )))
    }

    /// The folder of a recorded run.
    ///
    /// # Errors
    /// If there is no history in it.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let folder = Self { path: path.to_owned() };
        if folder.history().is_file() {
            return Ok(folder);
        }
        Err(Failure::usage(format!("{} holds no history.jsonl of a run", path.display())))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What every client saw.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.file("history.jsonl")
    }

    /// The folder of a node.
    #[must_use]
    pub fn node(&self, node: u32) -> PathBuf {
        self.path.join("nodes").join(node.to_string())
    }

    /// Writes a file as pretty JSON.
    ///
    /// # Errors
    /// If it cannot be written; the message names it.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value).map_err(Failure::harness)?;
        text.push('\n');
        self.write(name, text.as_bytes())
    }

    /// Writes a file, whole or not at all: on a full disk, what stood there before is still there.
    ///
    /// # Errors
    /// If it cannot be written; the message names it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.file(name);
        let temporary = self.file(&format!(".{name}.new"));
        fs::write(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|error| Failure::harness(format!("writing {}: {error}", path.display())))
    }

    /// Reads a JSON file.
    ///
    /// # Errors
    /// If it is not there or not what it should be; the message names it.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        let path = self.file(name);
        let shown = path.display();
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::usage(format!("reading {shown}: {error}")))?;
        serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{shown}: {error}")))
    }

    /// Lets `<out>/latest` point to this run. Another run may do so at the same time; the last one wins.
    ///
    /// # Errors
    /// If the link cannot be made.
    pub fn link_latest(&self, out: &Path) -> io::Result<()> {
        let temporary = out.join(format!(".latest-{}", std::process::id()));
        let target = self.path.strip_prefix(out.canonicalize()?).unwrap_or(&self.path);
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(target, &temporary)?;
        fs::rename(&temporary, out.join("latest"))
    }
}

/// The name under which runs of alike plans are kept.
fn name(plan: &Plan) -> String {
    let faults = if plan.nemesis.is_empty() { "calm".into() } else { plan.nemesis.join("+") };
    let whole = format!("{}-{}-{}n-{faults}", plan.system, plan.workload, plan.nodes);
    let safe: String = whole
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-+.".contains(c) { c } else { '_' })
        .collect();
    if safe.len() <= NAME_LENGTH_MAX {
        return safe;
    }
    // FNV-1a, to tell apart names that begin alike.
    let hash = whole.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{}-{hash:016x}", &safe[..NAME_LENGTH_MAX - 17])
}

/// `20261122T221500Z`: sorts as text, and needs no escaping anywhere.
#[must_use]
pub fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// The Gregorian date that lies `days` after 1970-01-01, counted from March 1 of year 0, so that the leap day comes
/// last in a year (as in Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101T000000Z");
        assert_eq!(at(951_782_400), "20000229T000000Z");
        assert_eq!(at(1_795_385_700), "20261122T221500Z");
    }
}
