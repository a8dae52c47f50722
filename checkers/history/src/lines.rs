//! Lines to events on other threads: a history file of ours is read, parsed and judged at the same time.
//!
//! One thread cuts the file into chunks at line ends; chunk n goes to worker n modulo their number, so that taking the workers
//! in turn gives the order of the file. Every queue holds one chunk: memory is a few chunks, whatever the file's size.
//! Dropping [`Lines`] closes the queues, and each thread ends at its next one. A file of one chunk starts no thread.

use crate::error::{Fault, ReadError};
use crate::event::Event;
use crate::json::Json;
use std::io::{self, Read};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// About how much is parsed at a time: enough to make handing over cheap, little enough for the caches.
const CHUNK_BYTES: usize = 1 << 20;
/// A longer line is no event: a file without line ends must not fill the memory.
const LINE_BYTES_MAX: usize = 1 << 30;
/// More workers than this outrun the one who takes the events.
const WORKERS_MAX: usize = 4;

/// What is read from: a file, perhaps through a decompressor.
pub(crate) type Input = Box<dyn Read + Send>;

/// Whole lines; the last of the file may lack its end.
struct Chunk {
    bytes: Vec<u8>,
    /// Nothing follows.
    last: bool,
}

/// What a chunk held.
struct Batch {
    events: Vec<Event>,
    /// How many lines were parsed.
    lines: u64,
    /// What ended it before its end, with the line counted from the chunk's first.
    error: Option<ReadError>,
    cut_short: bool,
    last: bool,
}

/// Events of a file, in its order.
#[derive(Debug)]
pub(crate) struct Lines {
    events: std::vec::IntoIter<Event>,
    error: Option<ReadError>,
    /// The number of the line that the next batch starts with.
    line: u64,
    workers: Vec<Receiver<Batch>>,
    next: usize,
    ended: bool,
    cut_short: bool,
}

impl Lines {
    /// Reads on from line `line`; `start` is what was read of it already.
    pub(crate) fn new(start: Vec<u8>, line: u64, input: Input) -> Self {
        let mut lines = Self {
            events: Vec::new().into_iter(),
            error: None,
            line,
            workers: Vec::new(),
            next: 0,
            ended: false,
            cut_short: false,
        };
        let mut chunks = Chunks { input, carry: start, ended: false };
        match chunks.next() {
            None => lines.ended = true,
            Some(Ok(chunk)) if !chunk.last => lines.start_threads(chunk, chunks),
            Some(first) => lines.accept(parse(first)),
        }
        lines
    }

    /// Whether the last line is cut, and was left out. Known once the events are exhausted.
    pub(crate) fn cut_short(&self) -> bool {
        self.cut_short
    }

    fn start_threads(&mut self, first: Chunk, chunks: Chunks) {
        let count = thread::available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX);
        let mut queues: Vec<SyncSender<io::Result<Chunk>>> = Vec::with_capacity(count);
        for _ in 0..count {
            let (queue, tasks) = sync_channel::<io::Result<Chunk>>(1);
            let (out, batches) = sync_channel(1);
            queues.push(queue);
            self.workers.push(batches);
            thread::spawn(move || {
                // A closed queue on either side is the end of the work.
                let _ = tasks.into_iter().try_for_each(|chunk| out.send(parse(chunk)));
            });
        }
        thread::spawn(move || {
            let all = std::iter::once(Ok(first)).chain(chunks);
            let mut turns = queues.iter().cycle();
            for chunk in all {
                let sent = turns.next().map(|queue| queue.send(chunk));
                if !matches!(sent, Some(Ok(()))) {
                    return;
                }
            }
        });
    }

    fn accept(&mut self, batch: Batch) {
        self.events = batch.events.into_iter();
        self.ended = batch.last || batch.error.is_some();
        self.error = batch.error.map(|error| error.shifted(self.line - 1));
        self.line += batch.lines;
        self.cut_short = batch.cut_short;
    }

    fn receive(&mut self) {
        let received = self.workers[self.next].recv();
        self.next = (self.next + 1) % self.workers.len();
        match received {
            Ok(batch) => self.accept(batch),
            // Only a panic ends a worker before the last batch: what follows is unknown, so this is no end of the file.
            Err(_) => {
                self.ended = true;
                let source = io::Error::other("the thread that parses ended: a defect of ours");
                self.error = Some(ReadError::Io { line: self.line, source });
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.events.next() {
                return Some(Ok(event));
            }
            if let Some(error) = self.error.take() {
                return Some(Err(error));
            }
            if self.ended {
                return None;
            }
            self.receive();
        }
    }
}

/// The chunks of a file.
struct Chunks {
    input: Input,
    /// The start of a line whose end has not been read.
    carry: Vec<u8>,
    ended: bool,
}

impl Chunks {
    fn read(&mut self) -> io::Result<Chunk> {
        let mut bytes = std::mem::take(&mut self.carry);
        bytes.reserve(CHUNK_BYTES);
        loop {
            let scanned = bytes.len();
            let limit = CHUNK_BYTES as u64;
            let read = self.input.by_ref().take(limit).read_to_end(&mut bytes)?;
            if read < CHUNK_BYTES {
                self.ended = true;
                return Ok(Chunk { bytes, last: true });
            }
            if let Some(end) = bytes[scanned..].iter().rposition(|byte| *byte == b'\n') {
                self.carry = bytes.split_off(scanned + end + 1);
                return Ok(Chunk { bytes, last: false });
            }
            if bytes.len() > LINE_BYTES_MAX {
                return Err(io::Error::other("a line is longer than 1 GiB"));
            }
        }
    }
}

impl Iterator for Chunks {
    type Item = io::Result<Chunk>;

    fn next(&mut self) -> Option<io::Result<Chunk>> {
        if self.ended {
            return None;
        }
        let chunk = self.read();
        self.ended |= chunk.is_err();
        Some(chunk)
    }
}

fn parse(chunk: io::Result<Chunk>) -> Batch {
    let mut batch =
        Batch { events: Vec::new(), lines: 0, error: None, cut_short: false, last: false };
    match chunk {
        Ok(chunk) => parse_chunk(&chunk, &mut batch),
        Err(source) => batch.error = Some(ReadError::Io { line: 1, source }),
    }
    batch
}

fn parse_chunk(chunk: &Chunk, batch: &mut Batch) {
    let bytes = &chunk.bytes;
    batch.last = chunk.last;
    // An event has 80 bytes and more: what is reserved beyond need is never touched.
    batch.events.reserve(bytes.len() / 80);
    let mut json = Json::lines(bytes);
    while json.at() < bytes.len() {
        match json.event() {
            Ok(event) => batch.events.push(event),
            Err(fault) => {
                batch.cut_short = chunk.last && is_cut(bytes, &fault);
                if !batch.cut_short {
                    batch.error = Some(fault.locate(bytes, 1));
                }
                return;
            }
        }
        batch.lines += 1;
    }
}

/// Whether the fault lies in a last line that has no end.
fn is_cut(bytes: &[u8], fault: &Fault) -> bool {
    !bytes[fault.offset.min(bytes.len())..].contains(&b'\n') && bytes.last() != Some(&b'\n')
}
