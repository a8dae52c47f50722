//! Why a history cannot be read: where, and what was expected there.

use crate::jsonl::{FORMAT, VERSION};
use std::io;
use std::path::PathBuf;

/// Why a history cannot be read. Lines and columns count from 1; columns count bytes.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("line {line}: {source}")]
    Io {
        /// The line, from 1.
        line: u64,
        /// The cause.
        source: io::Error,
    },
    /// The first line is not a header of ours.
    #[error("line 1: expected {{\"format\":\"{FORMAT}\",\"version\":{VERSION}}}, found {found}")]
    Header {
        /// What stands there.
        found: String,
    },
    /// What stands there is no event.
    #[error("line {line}, column {column}: {message}")]
    Event {
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: usize,
        /// What was expected.
        message: String,
    },
    /// There is nothing to judge.
    #[error("the history holds no operations")]
    Empty,
    /// The content is of no format that is known.
    #[error("line 1: no known format of histories starts with {found}; the formats are {}", .names.join(", "))]
    UnknownFormat {
        /// What stands there.
        found: String,
        /// The names of the formats.
        names: &'static [&'static str],
    },
    /// One of the above, with the file's name.
    #[error("{}: {source}", .path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Self>,
    },
}

impl ReadError {
    /// The same, `lines` lines further down.
    pub(crate) fn shifted(mut self, lines: u64) -> Self {
        if let Self::Io { line, .. } | Self::Event { line, .. } = &mut self {
            *line += lines;
        }
        self
    }
}

/// What is wrong at a byte of some text; its owner turns this into a line and a column.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// From the start of the text.
    pub(crate) offset: usize,
    /// What was expected.
    pub(crate) message: String,
}

impl Fault {
    /// The error, where `text` starts at the beginning of line `first_line`.
    pub(crate) fn locate(self, text: &[u8], first_line: u64) -> ReadError {
        let before = &text[..self.offset.min(text.len())];
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        ReadError::Event {
            line: first_line + newlines(&before[..start]),
            column: before.len() - start + 1,
            message: self.message,
        }
    }
}

/// How many lines end in `bytes`.
pub(crate) fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The first bytes of a line, for a message.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(80)]).trim().to_owned()
}
