//! What a run took place on: machine, load, versions, ports, and the wall-clock time at the zero of its own clock.
//! Nothing here decides anything; it stands beside every figure.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// `environment.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Environment {
    /// The program's version.
    pub version: String,
    /// The commit of the working tree that the program runs in, with `-dirty` if it differs; empty where there is none.
    pub commit: String,
    /// What identifies the executable that both controller and nodes run.
    pub executable: String,
    /// The processor's model.
    pub cpu: String,
    /// How many processors this process may use.
    pub cpus: usize,
    /// Memory of the machine, in bytes.
    pub memory_bytes: u64,
    /// The kernel.
    pub kernel: String,
    /// Runnable tasks over the last minute, when the run began.
    pub load_1m: String,
    /// Wall-clock time at the zero of the run's clock, in ns since 1970.
    pub wall_ns_at_zero: u64,
    /// This run's number, which nodes and controller tell each other.
    pub run: String,
    /// Ports by use, `n1 client` for example.
    pub ports: BTreeMap<String, u16>,
    /// What is to be known of a run in which no process ran, no message left this one, and no second passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Simulated>,
}

/// An execution in the simulator. Its times are virtual, its network and disks are drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulated {
    /// The command that repeats it, step by step, with the same commit.
    pub command: String,
    /// Stands for every step: another execution with the same number took the same steps.
    pub hash: String,
    /// How long it took in virtual time, in ns.
    pub virtual_ns: u64,
    /// Whether invariants were left out.
    pub black_box: bool,
    /// Steps of cores.
    pub steps: u64,
    /// Messages between nodes.
    pub messages: u64,
    /// Batches that nodes wrote.
    pub writes: u64,
}

impl Environment {
    /// Reads what the machine says of itself. What it does not say stays empty.
    #[must_use]
    pub fn read() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: commit(),
            executable: String::new(),
            cpu: field(&cpuinfo, "model name"),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kibibytes(&field(&meminfo, "MemTotal")) * 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            load_1m: load.split(' ').next().unwrap_or_default().to_owned(),
            wall_ns_at_zero: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX),
            run: String::new(),
            ports: BTreeMap::new(),
            simulated: None,
        }
    }
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
    value.unwrap_or_default().to_owned()
}

fn kibibytes(text: &str) -> u64 {
    text.trim_end_matches(" kB").parse().unwrap_or(0)
}

fn commit() -> String {
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        .stderr(std::process::Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_from_the_text_of_proc() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nMemTotal:       24576 kB\n";
        assert_eq!(field(text, "model name"), "AMD EPYC");
        assert_eq!(kibibytes(&field(text, "MemTotal")), 24_576);
        assert_eq!(field(text, "absent"), "");
    }
}
