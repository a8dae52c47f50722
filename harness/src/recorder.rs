//! The only writer of a history. Order in the file is real-time order: index and time are given under one lock.
//!
//! Lines collect in memory and a thread of the recorder's own writes them out many times a second, so that no client waits
//! for the disk, and a controller that is killed loses a fraction of a second of what it saw, never the middle.
//! A write that fails is kept and ends the run: nothing is dropped silently.

use crate::clock::Clock;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tribunal_history::{Actor, Event, EventKind, Process, Value, jsonl};

/// How long a line waits in memory at most, if the disk keeps up.
const FLUSH_EVERY: Duration = Duration::from_millis(50);
/// Bytes that wait in memory before clients are held up: a disk that stalls must not exhaust the memory.
const PENDING_BYTES_MAX: usize = 64 << 20;

/// What an event says beside its index and time.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who.
    pub process: Actor,
    /// What it says.
    pub kind: EventKind,
    /// The function.
    pub f: Cow<'static, str>,
    /// Arguments or result.
    pub value: Value,
    /// Why it failed.
    pub error: Option<Cow<'static, str>>,
    /// The node asked.
    pub node: Option<u32>,
    /// The intended start.
    pub scheduled: Option<u64>,
    /// How often it was sent.
    pub attempts: Option<u32>,
    /// The session.
    pub session: Option<u64>,
    /// The phase.
    pub phase: Option<Cow<'static, str>>,
}

impl Entry {
    /// An event of a client.
    #[must_use]
    pub fn of(process: Process, kind: EventKind, f: Cow<'static, str>, value: Value) -> Self {
        Self {
            process: Actor::Process(process),
            kind,
            f,
            value,
            error: None,
            node: None,
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        }
    }

    /// An event of the nemesis.
    #[must_use]
    pub fn nemesis(f: &str, value: Value) -> Self {
        let f = Cow::Owned(f.to_owned());
        let client = Self::of(Process(0), EventKind::Info, f, value);
        Self { process: Actor::Nemesis, ..client }
    }
}

/// What was recorded so far, for the progress line.
#[derive(Debug, Default)]
pub struct Counts {
    /// Operations begun.
    pub invoked: AtomicU64,
    /// Operations that succeeded.
    pub ok: AtomicU64,
    /// Operations that surely had no effect.
    pub fail: AtomicU64,
    /// Operations whose fate is unknown.
    pub info: AtomicU64,
}

/// Records events; shared by everything that makes any.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    counts: Counts,
}

#[derive(Debug, Default)]
struct State {
    next_index: u64,
    last_time: u64,
    pending: Vec<u8>,
    closing: bool,
    failed: Option<io::Error>,
    stall_max: Duration,
}

impl Recorder {
    /// Creates the file and writes its header.
    ///
    /// # Errors
    /// If the file cannot be created or written.
    pub fn create(path: &Path, clock: Clock) -> io::Result<Self> {
        let mut file = File::create_new(path)?;
        jsonl::write_header(&mut file)?;
        let shared = Arc::new(Shared {
            clock,
            path: path.to_owned(),
            state: Mutex::default(),
            changed: Condvar::new(),
            counts: Counts::default(),
        });
        let for_thread = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || for_thread.write_out(file))?;
        Ok(Self { shared, writer: Mutex::new(Some(writer)) })
    }

    /// Records an event and answers its time in ns.
    pub fn record(&self, entry: Entry) -> u64 {
        self.count(&entry);
        let shared = &*self.shared;
        let mut state = shared.lock();
        while state.pending.len() > PENDING_BYTES_MAX && state.failed.is_none() {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let time = shared.clock.now_ns().max(state.last_time);
        let index = state.next_index;
        state.next_index += 1;
        state.last_time = time;
        let event = Event {
            index,
            time,
            process: entry.process,
            kind: entry.kind,
            f: entry.f,
            value: entry.value,
            error: entry.error,
            node: entry.node,
            scheduled: entry.scheduled,
            attempts: entry.attempts,
            session: entry.session,
            phase: entry.phase,
        };
        if state.failed.is_none()
            && let Err(error) = jsonl::write_event(&mut state.pending, &event)
        {
            state.failed = Some(error);
        }
        time
    }

    /// What was recorded so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Whether a write has failed: the run should end.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.shared.lock().failed.is_some()
    }

    /// Writes what is pending and closes the file. Answers the longest time that one write took.
    ///
    /// # Errors
    /// The first write that failed; the message names the file.
    pub fn close(&self) -> io::Result<Duration> {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            return Err(io::Error::other("the recorder's thread panicked"));
        }
        let mut state = self.shared.lock();
        match state.failed.take() {
            None => Ok(state.stall_max),
            Some(error) => Err(io::Error::new(
                error.kind(),
                format!("writing {}: {error}", self.shared.path.display()),
            )),
        }
    }

    fn count(&self, entry: &Entry) {
        if entry.process == Actor::Nemesis {
            return;
        }
        let counts = &self.shared.counts;
        let counter = match entry.kind {
            EventKind::Invoke => &counts.invoked,
            EventKind::Ok => &counts.ok,
            EventKind::Fail => &counts.fail,
            EventKind::Info => &counts.info,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // An error here was either reported by `close` or belongs to a run that is already failing.
        let _already_reported = self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self, mut file: File) {
        let mut buffer = Vec::new();
        loop {
            let mut state = self.lock();
            if !state.closing {
                let waited = self.changed.wait_timeout(state, FLUSH_EVERY);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            std::mem::swap(&mut state.pending, &mut buffer);
            let done = state.closing && buffer.is_empty();
            drop(state);
            self.changed.notify_all();
            if done {
                return;
            }
            let began = Instant::now();
            let written = file.write_all(&buffer);
            buffer.clear();
            let mut state = self.lock();
            state.stall_max = state.stall_max.max(began.elapsed());
            if let Err(error) = written {
                state.failed = Some(error);
                self.changed.notify_all();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_reads_back_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history.jsonl");
        let recorder = Recorder::create(&path, Clock::start()).expect("created");
        for process in 0..100 {
            let f = Cow::Borrowed("read");
            recorder.record(Entry::of(Process(process), EventKind::Invoke, f, Value::Nil));
        }
        recorder.close().expect("closed");
        let file = io::BufReader::new(File::open(&path).expect("opened"));
        let events: Vec<Event> = jsonl::Reader::new(file)
            .expect("a header")
            .map(|event| event.expect("an event"))
            .collect();
        assert!(events.iter().enumerate().all(|(nth, event)| event.index == nth as u64));
        assert!(events.is_sorted_by_key(|event| event.time));
        assert_eq!(events.len(), 100);
    }

    #[test]
    fn a_full_disk_is_reported_and_names_the_file() {
        let recorder = Recorder {
            shared: Arc::new(Shared {
                clock: Clock::start(),
                path: "/dev/full".into(),
                state: Mutex::default(),
                changed: Condvar::new(),
                counts: Counts::default(),
            }),
            writer: Mutex::new(None),
        };
        let file = File::options().write(true).open("/dev/full").expect("a Linux device");
        recorder.record(Entry::nemesis("kill", Value::Nil));
        recorder.shared.lock().closing = true;
        recorder.shared.write_out(file);
        assert!(recorder.has_failed());
        let error = recorder.close().expect_err("no space");
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}
