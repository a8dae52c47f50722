//! What hosts a core, without sockets, threads or clocks: steps go in, effects and batches for the disk come out.
//!
//! This is the half of the contract in [`tribunal_protocol::core`] that can be tested without a process: time that never
//! falls, records in order, effects held until the records and snapshots of their step and of all earlier ones are
//! durable, and [`Input::Persisted`] after that.
//!
//! Invariants: [`GroupCommit`]'s, and: effects that do not wait leave before those of the same step that could have
//! waited; `Persisted` is stepped after the effects that waited for the same batch were let go.
//!
//! Absent on purpose: who asked a request and where a peer lives, see [`crate::event_loop`].

#[cfg(test)]
mod tests;

use crate::commit::{Batch, GroupCommit};
use crate::config::NodeError;
use crate::metrics::Metrics;
use std::sync::Arc;
use tribunal_protocol::{Config, Core, Effect, Input, Output, Position, Snapshot, Time};

/// A core and what it waits for.
pub(crate) struct Host<C: Core> {
    core: C,
    output: Output<C>,
    commit: GroupCommit<Effect<C::Message>>,
    /// Effects to be carried out now, in order.
    pub(crate) ready: Vec<Effect<C::Message>>,
    wake_at: Option<Time>,
    /// The time of the last step.
    now: Time,
    /// Everything below this is durable.
    durable: Position,
    metrics: Arc<Metrics>,
}

impl<C: Core> Host<C> {
    /// Starts the core from what the disk holds.
    pub(crate) fn recover(
        config: Config,
        now: Time,
        snapshot: Option<Snapshot>,
        records: &[(Position, Vec<u8>)],
        metrics: Arc<Metrics>,
    ) -> Result<Self, NodeError> {
        let durable = records.last().map_or(Position(0), |(last, _)| Position(last.0 + 1));
        let records = records.iter().map(decode::<C>).collect::<Result<Vec<_>, _>>()?;
        let mut output = Output::default();
        let core = C::recover(config, now, snapshot, records.into_iter(), &mut output)?;
        let mut host = Self {
            core,
            output,
            commit: GroupCommit::new(),
            ready: Vec::new(),
            wake_at: None,
            now,
            durable,
            metrics,
        };
        host.take_output();
        Ok(host)
    }

    /// Steps the core. What need not wait for the disk is `ready` then.
    pub(crate) fn step(&mut self, now: Time, input: Input<C::Message>) {
        assert!(self.now <= now, "time fell from {:?} to {now:?}", self.now);
        self.now = now;
        self.core.step(now, input, &mut self.output);
        self.take_output();
    }

    /// Steps the core if the time has come for which it asked.
    pub(crate) fn wake(&mut self, now: Time) {
        if self.wake_at.is_some_and(|at| at <= now) {
            self.wake_at = None;
            self.step(now, Input::Wake);
        }
    }

    /// The batch to write now, if there is one and none is being written.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        self.commit.next_batch()
    }

    /// The batch last handed out is durable, and so is everything below `position`. What waited for it is `ready` then.
    pub(crate) fn written(&mut self, now: Time, position: Position) {
        assert!(self.durable <= position, "what was durable up to {:?} is lost", self.durable);
        self.durable = position;
        self.commit.written();
        while let Some(effect) = self.commit.release() {
            self.ready.push(effect);
        }
        self.step(now, Input::Persisted(position));
    }

    /// When to call [`Host::wake`].
    pub(crate) fn wake_at(&self) -> Option<Time> {
        self.wake_at
    }

    /// Tells the metrics what the core is now.
    pub(crate) fn tell_standing(&self) {
        self.metrics.standing(self.core.role(), self.core.leader());
        self.metrics.held.set(self.commit.held() as u64);
    }

    fn take_output(&mut self) {
        let output = &mut self.output;
        self.ready.append(&mut output.at_once);
        for record in output.records.drain(..) {
            let bytes = postcard::to_allocvec(&record);
            self.commit.append(bytes.expect("sequences of known length, written to memory"));
        }
        if let Some(snapshot) = output.snapshot.take() {
            self.commit.save(snapshot);
        }
        for effect in output.when_durable.drain(..) {
            self.ready.extend(self.commit.hold(effect));
        }
        if let Some(at) = output.wake_at.take() {
            self.wake_at = Some(at);
        }
        for observation in output.observations.drain(..) {
            self.metrics.observe(observation);
        }
    }
}

fn decode<C: Core>(record: &(Position, Vec<u8>)) -> Result<(Position, C::Record), NodeError> {
    let (position, bytes) = record;
    let damaged = |why: String| NodeError::Record { position: position.0, why };
    match postcard::take_from_bytes(bytes) {
        Ok((record, [])) => Ok((*position, record)),
        Ok((_, rest)) => Err(damaged(format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(damaged(error.to_string())),
    }
}
