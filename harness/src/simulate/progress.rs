//! The live line of many executions on stderr: redrawn on a terminal, once in five seconds elsewhere.

use super::tally::Tally;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

pub(super) struct Progress {
    bar: ProgressBar,
    every: Duration,
    /// When it was drawn last, and how many operations were done by then.
    last: (Instant, u64),
    /// How many executions there are to be.
    of: Option<u64>,
}

impl Progress {
    pub(super) fn start(of: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        let every = Duration::from_millis(if bar.is_hidden() { 5_000 } else { 200 });
        Self { bar, every, last: (Instant::now(), 0), of }
    }

    /// Draws the line anew, if it is time.
    pub(super) fn tick(&mut self, tally: &Tally) {
        let (at, before) = self.last;
        let passed = at.elapsed();
        if passed < self.every {
            return;
        }
        let done = tally.counts.invoked;
        self.last = (Instant::now(), done);
        let rate = (done - before) as f64 / passed.as_secs_f64();
        let of = self.of.map_or_else(String::new, |of| format!(" of {of}"));
        let line = format!(
            "{}{of} executions | {done} operations, {rate:.0}/s | {} convicted",
            tally.executions,
            tally.convicted_count()
        );
        if self.bar.is_hidden() {
            eprintln!("{line}");
        } else {
            self.bar.set_message(line);
            self.bar.tick();
        }
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
