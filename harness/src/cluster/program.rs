//! What a node executes.
//!
//! Our own nodes run the controller's executable. It is opened once, at the start of the run, and every node executes that
//! descriptor through `/proc/self/fd`: a rebuild during the run replaces the file, not the program.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

/// What to execute.
#[derive(Clone, Debug)]
pub enum Program {
    /// The executable of the controller, as it was when it was opened.
    Pinned(Arc<File>),
    /// Whatever stands at a path, or is found by a name, at the time of each start.
    Path(PathBuf),
}

impl Program {
    /// Opens the controller's own executable.
    ///
    /// # Errors
    /// If `/proc` is not there.
    pub fn own() -> io::Result<Self> {
        Ok(Self::Pinned(Arc::new(File::open("/proc/self/exe")?)))
    }

    /// Names the pinned program in a run's files, as `crc32c:<hex>,bytes:<length>`: enough to tell two builds apart, not
    /// to withstand forgery. `None` for a program that is not pinned.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn fingerprint(&self) -> io::Result<Option<String>> {
        let Self::Pinned(_) = self else { return Ok(None) };
        // Opened anew: a shared descriptor has a shared position.
        let mut file = File::open(self.path())?;
        let mut buffer = vec![0; 1 << 20];
        let (mut sum, mut length) = (0, 0_u64);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(Some(format!("crc32c:{sum:08x},bytes:{length}"))),
                count => {
                    sum = crc32c::crc32c_append(sum, &buffer[..count]);
                    length += count as u64;
                }
            }
        }
    }

    /// A command that executes it.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.path());
        if let Self::Pinned(_) = self {
            // Else `ps` would show the path below.
            command.arg0("tribunal");
        }
        command
    }

    fn path(&self) -> PathBuf {
        match self {
            // The descriptor closes on exec, but the kernel follows this path before.
            Self::Pinned(file) => format!("/proc/self/fd/{}", file.as_raw_fd()).into(),
            Self::Path(path) => path.clone(),
        }
    }
}
