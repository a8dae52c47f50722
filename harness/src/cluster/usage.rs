//! What a process uses and does, read from `/proc`.

use nix::unistd::Pid;
use std::fs;
use std::io;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// User and system time of all its threads, in us (the kernel's resolution is 10 ms).
    pub cpu_us: u64,
    /// Resident memory now, in bytes.
    pub memory_bytes: u64,
}

/// Reads what the process has used.
///
/// # Errors
/// If it is gone.
pub fn usage(pid: Pid) -> io::Result<Usage> {
    let fields = stat(&format!("/proc/{pid}/stat"))?;
    // proc(5): utime and stime are fields 14 and 15; the state, field 3, comes first here.
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
    let (Some(user), Some(system)) = (number(14), number(15)) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "unexpected form of /proc/pid/stat",
        ));
    };
    Ok(Usage { cpu_us: (user + system) * TICK_US, memory_bytes: memory_bytes(pid)? })
}

/// Whether every thread of the process is stopped (state `T`), so that none of them runs on.
///
/// # Errors
/// If it is gone.
pub fn is_stopped(pid: Pid) -> io::Result<bool> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = thread?.path().join("stat");
        match stat(&path.to_string_lossy()) {
            Ok(fields) if fields.first().is_some_and(|state| state == "T") => {}
            Ok(_) => return Ok(false),
            // A thread that has just ended does not run on.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The fields from the third on; the second, the name in parentheses, may hold anything.
fn stat(path: &str) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(path)?;
    let (_, fields) = text
        .rsplit_once(')')
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no name in a stat file"))?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

/// The resident memory; a process that has ended and is not reaped yet has none.
fn memory_bytes(pid: Pid) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok());
    Ok(kib.unwrap_or(0) << 10)
}

/// `USER_HZ` is 100 on every architecture that Linux runs on in practice.
const TICK_US: u64 = 10_000;
