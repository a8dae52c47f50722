//! Judges a run while it goes on, from the file that the recorder writes: the history stays the only way to a verdict.
//!
//! A thread of its own reads behind the recorder and waits at the end of the file, so no client waits for a judge, and a judge
//! that falls behind delays only itself. When the history is closed it has little left to read, and the verdict stands at
//! once. What it says is what `tribunal check` says of the closed file: the same checkers, forgetting at the same events.
//!
//! Twice a second it asks whether clients have seen a violation. Its checkers have forgotten what is settled, and one that has may
//! be wrong where it says so; thus the file is judged once more, by checkers that keep everything, before a run is
//! stopped.
//!
//! Absent: anything that the run waits for. A judge that fails is silent; the file is then judged when the run is over.

use crate::clients::Stop;
use crate::exit::Failure;
use crate::folder::Folder;
use crate::judge::{Heard, Judging, violated_within};
use crate::plan::Plan;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tribunal_history::jsonl;

/// How long the reader waits at the end of the file: as long as the recorder keeps a line.
const WAIT: Duration = Duration::from_millis(50);
/// How often it asks for a violation.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// A judge at work.
#[derive(Debug)]
pub struct Live {
    thread: JoinHandle<Result<Heard, Failure>>,
    violation: Arc<Violation>,
    /// Dropped when the file is closed.
    open: Sender<()>,
}

/// The first violation, once it is found.
#[derive(Debug, Default)]
pub struct Violation {
    found: Stop,
    at_ns: AtomicU64,
}

impl Violation {
    /// Waits for one. Answers the time of the last event that was judged, in ns since the start of the run.
    pub async fn found(&self) -> u64 {
        self.found.raised().await;
        self.at_ns.load(Ordering::SeqCst)
    }
}

impl Live {
    /// Begins to read the history of `folder`, which the recorder has created.
    ///
    /// # Errors
    /// If the plan is none, or no thread can be started.
    pub fn start(folder: &Folder, plan: &Plan) -> Result<Self, Failure> {
        let (open, closed) = mpsc::channel();
        let violation = Arc::new(Violation::default());
        let judge = Judge {
            judging: Judging::new(plan)?,
            folder: folder.clone(),
            plan: plan.clone(),
            violation: Arc::clone(&violation),
        };
        let builder = std::thread::Builder::new().name("judge".into());
        let thread = builder.spawn(move || judge.run(closed)).map_err(Failure::harness)?;
        Ok(Self { thread, violation, open })
    }

    /// Where a violation is told.
    #[must_use]
    pub fn violation(&self) -> Arc<Violation> {
        Arc::clone(&self.violation)
    }

    /// Reads the rest, now that the file is closed. `None` if the judge failed: judging the file again tells why.
    #[must_use]
    pub fn finish(self) -> Option<Heard> {
        drop(self.open);
        self.thread.join().ok()?.ok()
    }
}

struct Judge {
    judging: Judging,
    folder: Folder,
    plan: Plan,
    violation: Arc<Violation>,
}

impl Judge {
    fn run(mut self, closed: Receiver<()>) -> Result<Heard, Failure> {
        let file = File::open(self.folder.history()).map_err(Failure::harness)?;
        let growing = BufReader::with_capacity(1 << 16, Growing { file, closed, whole: false });
        let mut events = jsonl::Reader::new(growing).map_err(Failure::harness)?;
        let mut asked = Instant::now();
        let mut asking = self.plan.stop_on_violation;
        for event in &mut events {
            let time_ns = event.as_ref().map_or(0, |event| event.time);
            self.judging.event(event, &self.folder)?;
            if asking && asked.elapsed() >= ASK_EVERY {
                asking = !self.judging.violated();
                if !asking && violated_within(&self.folder, &self.plan, self.judging.events())? {
                    self.violation.at_ns.store(time_ns, Ordering::SeqCst);
                    self.violation.found.raise();
                }
                asked = Instant::now();
            }
        }
        Ok(self.judging.finish(events.cut_short()))
    }
}

/// A file that another thread writes: its end is an end only when that thread is done.
struct Growing {
    file: File,
    closed: Receiver<()>,
    /// Whether it grows no more.
    whole: bool,
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.file.read(buffer)?;
            if read > 0 || self.whole || buffer.is_empty() {
                return Ok(read);
            }
            // Nothing is ever sent. What was written before the other end was dropped is read after it.
            self.whole = self.closed.recv_timeout(WAIT) == Err(RecvTimeoutError::Disconnected);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_growing_file_is_read_to_the_end_that_its_writer_leaves() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let mut writer = File::create(&path).expect("created");
        let (open, closed) = mpsc::channel::<()>();
        let file = File::open(&path).expect("opened");
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            let mut growing = Growing { file, closed, whole: false };
            growing.read_to_string(&mut text).map(|_| text)
        });
        for _ in 0..1000 {
            writer.write_all(b"line\n").expect("written");
        }
        drop(open);
        let text = reader.join().expect("no panic").expect("read");
        assert_eq!(text.len(), 5000);
    }
}
