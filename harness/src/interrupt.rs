//! Ctrl-C and SIGTERM, from the start of a run, or of many simulated ones, to its end.
//!
//! The first one cuts the run short in order: everything is healed, the nodes are ended, the history is closed and judged.
//! A second one, or one that comes when only files are left to be read and written, ends the process at once; the
//! kernel ends the nodes with it, and what was recorded can be judged by `tribunal check`.
//!
//! The signals are watched by a thread of their own: no signal is lost between two waits, and none waits for a judge.

use crate::clients::Stop;
use crate::exit::Exit;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Whether the run is to be cut short.
#[derive(Clone, Debug)]
pub struct Interrupt {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    asked: Stop,
    at_once: AtomicBool,
    /// What a person is told when the process ends at once.
    left: &'static str,
}

impl Interrupt {
    /// Takes the signals over, for as long as the process lives. `left` says what is left of its work if it ends at once.
    ///
    /// # Errors
    /// If the handlers or the thread cannot be made.
    pub fn watch(left: &'static str) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        drop(entered);
        let state = Arc::new(State { left, ..State::default() });
        let told = Arc::clone(&state);
        std::thread::Builder::new().name("interrupt".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => told.signal(),
                        _ = terminate.recv() => told.signal(),
                    }
                }
            });
        })?;
        Ok(Self { state })
    }

    /// Waits until the run is to be cut short.
    pub async fn asked(&self) {
        self.state.asked.raised().await;
    }

    /// Whether the work is to be cut short.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.state.asked.is_raised()
    }

    /// From now on a signal ends the process at once: nothing is left that has to be ended in order.
    pub fn end_at_once(&self) {
        self.state.at_once.store(true, Ordering::SeqCst);
    }
}

impl State {
    fn signal(&self) {
        if self.asked.is_raised() || self.at_once.load(Ordering::SeqCst) {
            eprintln!("interrupted: {}", self.left);
            std::process::exit(Exit::Unknown.code().into());
        }
        self.asked.raise();
    }
}
