//! The live line of many executions, or of shrinking one, on stderr: redrawn on a terminal, once in five seconds elsewhere.

use super::tally::Tally;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};
use tribunal_sim::shrink;

/// The line of many executions.
pub(super) struct Progress {
    line: Line,
    /// How many operations were done when it was drawn last.
    done: u64,
    /// How many executions there are to be.
    of: Option<u64>,
}

impl Progress {
    pub(super) fn start(of: Option<u64>) -> Self {
        Self { line: Line::start(), done: 0, of }
    }

    /// Draws the line anew, if it is time.
    pub(super) fn tick(&mut self, tally: &Tally) {
        let Some(passed) = self.line.due() else { return };
        let done = tally.counts.invoked;
        let rate = (done - self.done) as f64 / passed.as_secs_f64();
        self.done = done;
        let of = self.of.map_or_else(String::new, |of| format!(" of {of}"));
        self.line.draw(format!(
            "{}{of} executions | {done} operations, {rate:.0}/s | {} convicted",
            tally.executions,
            tally.convicted_count()
        ));
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.line.finish();
    }
}

/// The line of shrinking.
pub(super) struct Shrinking(Line);

impl Shrinking {
    pub(super) fn start() -> Self {
        Self(Line::start())
    }

    /// Draws the line anew, if it is time.
    pub(super) fn tick(&mut self, progress: &shrink::Progress) {
        if self.0.due().is_none() {
            return;
        }
        let shrink::Progress { executions, executions_max, pass, size } = progress;
        self.0.draw(format!(
            "{executions} of at most {executions_max} executions | {} faults, {} operations, {} nodes, {} clients | \
             now: {pass}",
            size.injections, size.operations, size.nodes, size.clients
        ));
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.0.finish();
    }
}

/// A line that is drawn again and again.
struct Line {
    bar: ProgressBar,
    every: Duration,
    drawn: Instant,
}

impl Line {
    fn start() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        let every = Duration::from_millis(if bar.is_hidden() { 5_000 } else { 200 });
        Self { bar, every, drawn: Instant::now() }
    }

    /// How long ago it was drawn last, if it is time to draw it anew.
    fn due(&mut self) -> Option<Duration> {
        let passed = self.drawn.elapsed();
        if passed < self.every {
            return None;
        }
        self.drawn = Instant::now();
        Some(passed)
    }

    fn draw(&self, line: String) {
        if self.bar.is_hidden() {
            eprintln!("{line}");
        } else {
            self.bar.set_message(line);
            self.bar.tick();
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
