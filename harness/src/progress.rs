//! The live line of a run on stderr: what is done, how fast, and which faults are in effect.

use crate::clock::Clock;
use crate::recorder::Counts;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A line that is drawn again and again on a terminal, and once in five seconds elsewhere.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    clock: Clock,
    duration: Duration,
    faults: Mutex<BTreeMap<u64, String>>,
    last: Mutex<(u64, u64)>,
}

impl Progress {
    /// A line for a run of `duration`.
    #[must_use]
    pub fn start(clock: Clock, duration: Duration) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        let is_terminal = !bar.is_hidden();
        Self { bar, is_terminal, clock, duration, faults: Mutex::default(), last: Mutex::default() }
    }

    /// A fault is in effect.
    pub fn fault_began(&self, id: u64, text: String) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).insert(id, text);
    }

    /// It no longer is.
    pub fn fault_ended(&self, id: u64) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Says something that stays.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Draws the line anew.
    pub fn tick(&self, counts: &Counts) {
        let now = self.clock.now_ns();
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let done = load(&counts.ok) + load(&counts.fail) + load(&counts.info);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = if self.is_terminal { 200_000_000 } else { 5_000_000_000 };
        if now < last.0 + due {
            return;
        }
        let rate = (done - last.1) as f64 / ((now - last.0) as f64 / 1e9);
        *last = (now, done);
        drop(last);
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let faults: Vec<&str> = faults.values().map(String::as_str).collect();
        let faults = if faults.is_empty() { "none".to_owned() } else { faults.join("; ") };
        let line = format!(
            "{:4.1} s of {} s | {done} operations ({} ok, {} fail, {} info) | {rate:.0}/s | faults: {faults}",
            now as f64 / 1e9,
            self.duration.as_secs(),
            load(&counts.ok),
            load(&counts.fail),
            load(&counts.info),
        );
        if self.is_terminal {
            self.bar.set_message(line);
            self.bar.tick();
        } else {
            eprintln!("{line}");
        }
    }

    /// Removes the line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
