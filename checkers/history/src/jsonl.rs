//! The history file: a header line that names format and version, then one event a line.
//!
//! Written as the run goes and flushed by its writer, so that what was recorded can be checked if the controller dies.
//! The last line of such a file may be cut short: [`Reader`] tells this apart from damage in the middle.

pub use crate::error::ReadError;
use crate::error::excerpt;
use crate::event::Event;
use crate::json::Json;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};

/// The name in the first line.
pub const FORMAT: &str = "tribunal-history";
/// The version in the first line.
pub const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
}

/// Writes the header.
///
/// # Errors
/// Those of `out`.
pub fn write_header(out: &mut impl Write) -> io::Result<()> {
    let header = Header { format: FORMAT.to_owned(), version: VERSION };
    serde_json::to_writer(&mut *out, &header)?;
    out.write_all(b"\n")
}

/// Writes one event.
///
/// # Errors
/// Those of `out`.
pub fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    serde_json::to_writer(&mut *out, event)?;
    out.write_all(b"\n")
}

/// Whether the line is a header, of ours or of another that is like it.
pub(crate) fn is_header(line: &[u8]) -> bool {
    serde_json::from_slice::<Header>(line).is_ok()
}

/// Whether the line is a header of this version.
pub(crate) fn check_header(line: &[u8]) -> Result<(), ReadError> {
    match serde_json::from_slice::<Header>(line) {
        Ok(header) if header.format == FORMAT && header.version == VERSION => Ok(()),
        Ok(header) if header.format == FORMAT => Err(ReadError::Header {
            found: format!("version {}, which is not known", header.version),
        }),
        Ok(header) => Err(ReadError::Header {
            found: format!("the format `{}`, which is not known", header.format),
        }),
        Err(_) => Err(ReadError::Header { found: excerpt(line) }),
    }
}

/// Reads events one by one, on the caller's thread; [`formats::open`](crate::formats::open) parses on others.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    line: u64,
    buffer: Vec<u8>,
    cut_short: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`ReadError::Header`] if the file is not a history of this version.
    pub fn new(input: R) -> Result<Self, ReadError> {
        let mut reader = Self { input, line: 0, buffer: Vec::new(), cut_short: false };
        reader.next_line()?;
        check_header(&reader.buffer)?;
        Ok(reader)
    }

    /// Whether the file ended within a line, as it does when its writer was killed. That line was left out.
    #[must_use]
    pub fn cut_short(&self) -> bool {
        self.cut_short
    }

    /// Reads the next line into the buffer; false at the end of the file.
    fn next_line(&mut self) -> Result<bool, ReadError> {
        self.buffer.clear();
        self.line += 1;
        let line = self.line;
        let read = self.input.read_until(b'\n', &mut self.buffer);
        Ok(read.map_err(|source| ReadError::Io { line, source })? > 0)
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_line() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(error)),
        }
        match Json::lines(&self.buffer).event() {
            Ok(event) => Some(Ok(event)),
            Err(_) if self.buffer.last() != Some(&b'\n') => {
                self.cut_short = true;
                None
            }
            Err(fault) => Some(Err(fault.locate(&self.buffer, self.line))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Actor, EventKind, Process};
    use crate::value::Value;

    fn sample() -> Event {
        Event {
            index: 0,
            time: 12,
            process: Actor::Process(Process(3)),
            kind: EventKind::Invoke,
            f: "write".into(),
            value: Value::keyed("x".into(), 7.into()),
            error: None,
            node: Some(2),
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        }
    }

    fn file() -> Vec<u8> {
        let mut bytes = Vec::new();
        write_header(&mut bytes).expect("in memory");
        write_event(&mut bytes, &sample()).expect("in memory");
        let nemesis = Event { index: 1, process: Actor::Nemesis, ..sample() };
        write_event(&mut bytes, &nemesis).expect("in memory");
        bytes
    }

    #[test]
    fn a_history_reads_back_as_it_was_written() {
        let bytes = file();
        let text = String::from_utf8(bytes.clone()).expect("UTF-8");
        assert_eq!(
            text.lines().nth(1).expect("an event"),
            r#"{"index":0,"time":12,"process":3,"type":"invoke","f":"write","value":["x",7],"node":2}"#
        );
        let events: Vec<Event> =
            Reader::new(&bytes[..]).expect("header").map(|event| event.expect("event")).collect();
        assert_eq!(events.len(), 2);
        assert_eq!(events[0], sample());
    }

    #[test]
    fn a_cut_last_line_is_told_apart_from_damage() {
        let bytes = file();
        let mut cut = Reader::new(&bytes[..bytes.len() - 5]).expect("header");
        assert_eq!(cut.by_ref().filter(Result::is_ok).count(), 1);
        assert!(cut.cut_short());
        let mut damaged = bytes.clone();
        let middle = bytes.len() / 2;
        damaged[middle] = b'\0';
        let mut reader = Reader::new(&damaged[..]).expect("header");
        assert!(reader.any(|event| matches!(event, Err(ReadError::Event { .. }))));
        assert!(!reader.cut_short());
    }

    #[test]
    fn a_foreign_file_is_refused() {
        assert!(matches!(Reader::new(&b"{}\n"[..]), Err(ReadError::Header { .. })));
        assert!(matches!(Reader::new(&b""[..]), Err(ReadError::Header { .. })));
    }

    #[test]
    fn an_integer_beyond_64_bits_is_refused() {
        let mut bytes = Vec::new();
        write_header(&mut bytes).expect("in memory");
        bytes.extend(br#"{"index":0,"time":0,"process":0,"type":"ok","f":"read","value":9223372036854775808}"#);
        bytes.push(b'\n');
        let error = Reader::new(&bytes[..])
            .expect("header")
            .next()
            .expect("a line")
            .expect_err("too large");
        assert!(error.to_string().contains("does not fit in 64 bits"), "{error}");
    }
}
