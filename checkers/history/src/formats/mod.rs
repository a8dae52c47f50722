//! Any history file, ours or another project's, plain or gzipped; its format is found by its content, never by its name.
//!
//! Ours is streamed and parsed on threads of its own. The others are read whole, then parsed one event at a time: they are
//! one vector or array, or have to be sorted, and none of these projects writes a history that does not fit in memory.
//! What they leave out is filled in as `completion` says.

mod completion;
mod detection;
mod edn;
mod edn_form;
mod etcd_operations;
mod json;
mod text;

use crate::error::{Fault, ReadError, excerpt, newlines};
use crate::event::Event;
use crate::jsonl;
use crate::lines::{Input, Lines};
use crate::record::Record;
use completion::Completion;
use flate2::bufread::GzDecoder;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How much of a file is looked at to find its format.
const HEAD_BYTES: usize = 1 << 16;
/// Every gzip file starts with these (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How a history is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Ours: see [`crate::jsonl`].
    Jsonl,
    /// Jepsen's, Knossos' and elle-cli's EDN: maps, alone or in a vector or list.
    Edn,
    /// Jepsen's `history.txt`: process, type, function, value and perhaps an error, between tabs.
    JepsenText,
    /// The Jepsen logs of etcd among Porcupine's tests.
    PorcupineEtcd,
    /// The key-value histories among Porcupine's tests: EDN maps with a `:key`.
    PorcupineKv,
    /// elle-cli's JSON array; also one object a line, without our header.
    Json,
    /// What etcd's robustness tests report.
    EtcdOperations,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 7] = [
        Self::Jsonl,
        Self::Edn,
        Self::JepsenText,
        Self::PorcupineEtcd,
        Self::PorcupineKv,
        Self::Json,
        Self::EtcdOperations,
    ];
    /// The name of every format, in the order of [`Format::ALL`].
    pub const NAMES: &'static [&'static str] = &[
        "jsonl",
        "edn",
        "jepsen-text",
        "porcupine-log",
        "porcupine-kv",
        "json",
        "etcd-operations",
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No format has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no format is called `{name}`; the formats are {}", Format::NAMES.join(", "))]
pub struct UnknownFormat {
    /// What was asked for.
    name: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownFormat { name: name.to_owned() })
    }
}

/// Opens a history file. Every error names it.
///
/// # Errors
/// It cannot be read, its format is not known, or it is not of the given one. What is wrong further down is told by the
/// [`Source`] when it gets there.
pub fn open(path: &Path, format: Option<Format>) -> Result<Source, ReadError> {
    let named = |source| in_file(path, source);
    let file = File::open(path).map_err(|source| named(ReadError::Io { line: 1, source }))?;
    let mut source = read(file, format).map_err(named)?;
    source.path = Some(path.to_owned());
    Ok(source)
}

/// Reads a history from anywhere, as [`open`] does from a file.
///
/// # Errors
/// As [`open`].
pub fn read(
    mut input: impl Read + Send + 'static,
    format: Option<Format>,
) -> Result<Source, ReadError> {
    let start = head(&mut input, GZIP_MAGIC.len())?;
    if start == GZIP_MAGIC {
        let whole = io::Cursor::new(start).chain(input);
        return plain(Box::new(Unzipped(Some(GzDecoder::new(BufReader::new(whole))))), format);
    }
    plain(Box::new(io::Cursor::new(start).chain(input)), format)
}

fn plain(mut input: Input, format: Option<Format>) -> Result<Source, ReadError> {
    let mut bytes = head(&mut input, HEAD_BYTES)?;
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    if bytes.len() < HEAD_BYTES && bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ReadError::Empty);
    }
    let format = match format {
        Some(format) => format,
        None => detection::detect(&bytes).ok_or_else(|| ReadError::UnknownFormat {
            found: format!("`{}`", excerpt(bytes.trim_ascii_start())),
            names: Format::NAMES,
        })?,
    };
    let events = if format == Format::Jsonl {
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        jsonl::check_header(&bytes[..end])?;
        Events::Ours(Lines::new(bytes.split_off(end), 2, input))
    } else {
        if let Err(source) = input.read_to_end(&mut bytes) {
            return Err(ReadError::Io { line: newlines(&bytes) + 1, source });
        }
        let document = Document { bytes, at: 0, start: 0, state: 0 };
        match format {
            Format::EtcdOperations => {
                Events::Sorted(etcd_operations::events(&document.bytes)?.into_iter())
            }
            Format::Json => Events::Foreign(document, json::next, Completion::default()),
            Format::Edn | Format::Jsonl => {
                Events::Foreign(document, edn::next, Completion::default())
            }
            Format::PorcupineKv => {
                Events::Foreign(document, edn::next_keyed, Completion::default())
            }
            Format::JepsenText | Format::PorcupineEtcd => {
                Events::Foreign(document, text::next, Completion::default())
            }
        }
    };
    Ok(Source { format, events, path: None, given: 0, ended: false })
}

/// Up to `bytes` bytes.
fn head(input: &mut impl Read, bytes: usize) -> Result<Vec<u8>, ReadError> {
    let mut head = Vec::new();
    match input.by_ref().take(bytes as u64).read_to_end(&mut head) {
        Ok(_) => Ok(head),
        Err(source) => Err(ReadError::Io { line: newlines(&head) + 1, source }),
    }
}

fn in_file(path: &Path, source: ReadError) -> ReadError {
    ReadError::InFile { path: path.to_owned(), source: Box::new(source) }
}

/// A decompressor whose errors say what they mean: the member that it reads, one of perhaps several.
struct Unzipped<R>(Option<GzDecoder<BufReader<R>>>);

impl<R: Read> Read for Unzipped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let read = member.read(buffer).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    io::Error::new(error.kind(), "the gzip file is cut short")
                }
                kind => io::Error::new(kind, format!("the gzip file is damaged: {error}")),
            })?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.next_member()?;
        }
        Ok(0)
    }
}

impl<R: Read> Unzipped<R> {
    fn next_member(&mut self) -> io::Result<()> {
        let Some(mut rest) = self.0.take().map(GzDecoder::into_inner) else { return Ok(()) };
        match rest.fill_buf()?.first() {
            None => Ok(()),
            Some(first) if *first == GZIP_MAGIC[0] => {
                self.0 = Some(GzDecoder::new(rest));
                Ok(())
            }
            Some(_) => {
                let message = "the gzip file is whole, but bytes follow that are not gzip";
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
        }
    }
}

/// A file of another project, and how far it was read.
struct Document {
    bytes: Vec<u8>,
    at: usize,
    /// Where the event before that began, with the space in front of it.
    start: usize,
    /// For the parser: how many vectors or arrays are open, and what it has seen.
    state: usize,
}

/// Takes the next event of a document; none at its end.
type Next = fn(&mut Document) -> Result<Option<Record>, Fault>;

enum Events {
    Ours(Lines),
    Foreign(Document, Next, Completion),
    Sorted(std::vec::IntoIter<Event>),
}

/// The events of a history, in the order of the file. After an error there are none: a history is read whole or not at all.
pub struct Source {
    format: Format,
    events: Events,
    path: Option<PathBuf>,
    /// How many events there were.
    given: u64,
    ended: bool,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("format", &self.format)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// The format, given or found.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether the last line of a file of ours is cut, as it is when its writer was killed. That line was left out.
    /// Known once the events are exhausted.
    #[must_use]
    pub fn cut_short(&self) -> bool {
        matches!(&self.events, Events::Ours(lines) if lines.cut_short())
    }

    /// The line and column, from 1, of the event that was given last; none where the file has its events in another order.
    #[must_use]
    pub fn place(&self) -> Option<(u64, usize)> {
        match &self.events {
            // Below the header, every line is an event.
            Events::Ours(_) => Some((self.given + 1, 1)),
            Events::Sorted(_) => None,
            Events::Foreign(document, ..) => {
                let read = &document.bytes[..document.at];
                let start = match self.format {
                    // Lines of others may stand before it.
                    Format::JepsenText | Format::PorcupineEtcd => {
                        let line = read.trim_ascii_end().iter().rposition(|byte| *byte == b'\n');
                        line.map_or(0, |newline| newline + 1)
                    }
                    _ => skip_space(read, document.start),
                };
                let line = read[..start].iter().rposition(|byte| *byte == b'\n');
                Some((newlines(&read[..start]) + 1, start - line.map_or(0, |end| end + 1) + 1))
            }
        }
    }

    fn event(&mut self) -> Option<Result<Event, ReadError>> {
        match &mut self.events {
            Events::Ours(lines) => lines.next(),
            Events::Sorted(events) => events.next().map(Ok),
            Events::Foreign(document, next, completion) => {
                let start = document.at;
                document.start = start;
                let event = next(document).and_then(|record| {
                    record.map(|record| completion.complete(record)).transpose().map_err(
                        |message| Fault { offset: skip_space(&document.bytes, start), message },
                    )
                });
                event.map_err(|fault| fault.locate(&document.bytes, 1)).transpose()
            }
        }
    }
}

impl Iterator for Source {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = match self.event() {
            None if self.given == 0 => Some(Err(ReadError::Empty)),
            event => event,
        };
        self.ended = !matches!(event, Some(Ok(_)));
        self.given += u64::from(!self.ended);
        event.map(|event| {
            event.map_err(|error| match &self.path {
                Some(path) => in_file(path, error),
                None => error,
            })
        })
    }
}

/// The first byte from `at` that is no space or comma, which EDN takes for one.
fn skip_space(bytes: &[u8], at: usize) -> usize {
    let space = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    at + bytes[at..].iter().take_while(|byte| space(byte)).count()
}
