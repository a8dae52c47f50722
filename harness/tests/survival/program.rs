//! The program as a child process, and what can be seen of it from outside.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const PATH: &str = env!("CARGO_BIN_EXE_tribunal");
/// A bound on waiting, far beyond what any step takes.
pub(crate) const WAIT: Duration = Duration::from_secs(120);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code, or -1 if a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Runs the program to its end.
pub(crate) fn tribunal(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
    output(Command::new(PATH).args(args))
}

/// Runs a command to its end.
pub(crate) fn output(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Ended { code: output.status.code().unwrap_or(-1), stdout, stderr }
}

/// A `tribunal run` under way. Dropping it kills it, and the kernel its nodes.
pub(crate) struct Run {
    out: PathBuf,
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Run {
    /// Starts it with a light load and limits of time that no machine misses.
    pub(crate) fn start(out: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(PATH);
        command.arg("run").arg("--out").arg(out).args(["--available-within", "10m"]);
        command.args(["--recover-within", "60s"]);
        if !options.contains(&"--rate") {
            command.args(["--rate", "100", "--clients", "4"]);
        }
        command.args(options).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.take().map(drain);
        let stderr = child.stderr.take().map(drain);
        Self { out: out.to_owned(), child, stdout, stderr }
    }

    /// Waits until an operation has succeeded; answers the run's folder.
    pub(crate) fn asking(&mut self) -> PathBuf {
        let pid = self.child.id();
        let mut own = None;
        until("an operation succeeded", || {
            own = folders(&self.out).into_iter().find(|folder| is_of(folder, pid));
            let history =
                own.as_ref().map(|folder| fs::read_to_string(folder.join("history.jsonl")));
            history.is_some_and(|text| text.is_ok_and(|text| text.contains("\"type\":\"ok\"")))
        });
        own.expect("it was just seen")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("sent");
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> Ended {
        until("the run has ended", || self.child.try_wait().expect("a child").is_some());
        let code = self.child.wait().expect("a child").code().unwrap_or(-1);
        let [stdout, stderr] = [&mut self.stdout, &mut self.stderr]
            .map(|reader| reader.take().expect("once").join().expect("text"));
        Ended { code, stdout, stderr }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Both fail if it has ended, as it should have.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("text");
        text
    })
}

/// Polls until `condition` holds.
///
/// # Panics
/// If it does not in a time that only a hang takes.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {WAIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The folder of the only run below `out`.
pub(crate) fn folder(out: &Path) -> Option<PathBuf> {
    folders(out).into_iter().next()
}

/// The folders of all runs below `out`: `<out>/<name>/<time>-<seed>`.
fn folders(out: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        // `latest` is a link.
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.map(|entry| entry.path()).collect()
    };
    below(out).iter().flat_map(|name| below(name)).collect()
}

/// Whether the run of `folder` is that of the controller `pid`.
fn is_of(folder: &Path, pid: u32) -> bool {
    let config = fs::read_to_string(folder.join("nodes/1/node.json")).unwrap_or_default();
    let config: Value = serde_json::from_str(&config).unwrap_or_default();
    config["parent"] == pid
}

/// The pids of node processes whose configuration lies below `folder`.
pub(crate) fn nodes_of(folder: &Path) -> Vec<u32> {
    let below = folder.canonicalize().expect("a folder");
    let pids = fs::read_dir("/proc").expect("Linux").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        // A process that has just ended has no command line.
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut arguments = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        arguments.any(|one| Path::new(&*one).starts_with(&below) && one.ends_with("/node.json"))
    })
    .collect()
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}
