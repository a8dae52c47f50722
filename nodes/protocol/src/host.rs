//! What hosts a core, without sockets, threads or clocks: steps go in, effects and batches for the disk come out.
//!
//! This is the half of the contract in [`crate::core`] that needs no process. A process and a simulator run it alike:
//! the one brings sockets, a clock and a disk's thread, the other brings events of its own making. It sees to time that
//! never falls, records in order, effects held until the records and snapshots of their step and of all earlier ones
//! are durable, and [`Input::Persisted`] after that.
//!
//! Invariants: those of [`crate::commit`], and: effects that do not wait leave before those of the same step that could
//! have waited; `Persisted` is stepped after the effects that waited for the same batch were let go.
//!
//! Absent on purpose: who asked a request, where a peer lives, what is done with observations.

#[cfg(test)]
mod tests;

use crate::commit::{Batch, GroupCommit};
use crate::core::{
    Claim, Config, Core, Damaged, Effect, Input, Observation, Output, Position, Snapshot, Time,
};

/// Why a core did not start from what the disk holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// A record in the log is none of this core's.
    #[error("the record at position {} is none of this variant's: {why}", .position.0)]
    Record {
        /// Where it stands.
        position: Position,
        /// What the decoder said.
        why: String,
    },
    /// The records contradict each other.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// A core and what it waits for.
pub struct Host<C: Core> {
    core: C,
    output: Output<C>,
    commit: GroupCommit<Effect<C::Message>>,
    /// Effects to be carried out now, in order. The caller drains them.
    pub ready: Vec<Effect<C::Message>>,
    /// What the core has observed, in order. The caller drains them, before they pile up.
    pub observations: Vec<Observation>,
    wake_at: Option<Time>,
    /// The time of the last step.
    now: Time,
    /// Everything below this is durable.
    durable: Position,
}

impl<C: Core> Host<C> {
    /// Starts the core from what the disk holds: the newest snapshot, and the records from its `keep_from` on, in
    /// order.
    ///
    /// # Errors
    /// [`RecoverError`]: the node must not take part.
    pub fn recover(
        config: Config,
        now: Time,
        snapshot: Option<Snapshot>,
        records: &[(Position, Vec<u8>)],
    ) -> Result<Self, RecoverError> {
        let durable = records.last().map_or(Position(0), |(last, _)| Position(last.0 + 1));
        let records = records.iter().map(decode::<C>).collect::<Result<Vec<_>, _>>()?;
        let mut output = Output::default();
        let core = C::recover(config, now, snapshot, records.into_iter(), &mut output)?;
        let mut host = Self {
            core,
            output,
            commit: GroupCommit::new(),
            ready: Vec::new(),
            observations: Vec::new(),
            wake_at: None,
            now,
            durable,
        };
        host.take_output();
        Ok(host)
    }

    /// Steps the core. What need not wait for the disk is `ready` then.
    ///
    /// # Panics
    /// If `now` is before the time of an earlier step.
    pub fn step(&mut self, now: Time, input: Input<C::Message>) {
        assert!(self.now <= now, "time fell from {:?} to {now:?}", self.now);
        self.now = now;
        self.core.step(now, input, &mut self.output);
        self.take_output();
    }

    /// Steps the core if the time has come for which it asked.
    pub fn wake(&mut self, now: Time) {
        if self.wake_at.is_some_and(|at| at <= now) {
            self.wake_at = None;
            self.step(now, Input::Wake);
        }
    }

    /// The batch to write now, if there is one and none is being written.
    pub fn next_batch(&mut self) -> Option<Batch> {
        self.commit.next_batch()
    }

    /// The batch last handed out is durable, and so is everything below `position`. What waited for it is `ready` then.
    ///
    /// # Panics
    /// If no batch was handed out, or `position` is below what was durable before.
    pub fn written(&mut self, now: Time, position: Position) {
        assert!(self.durable <= position, "what was durable up to {:?} is lost", self.durable);
        self.durable = position;
        self.commit.written();
        while let Some(effect) = self.commit.release() {
            self.ready.push(effect);
        }
        self.step(now, Input::Persisted(position));
    }

    /// When to call [`Host::wake`], if at all.
    #[must_use]
    pub fn wake_at(&self) -> Option<Time> {
        self.wake_at
    }

    /// Bytes of the records that wait to be handed to the disk, which has a batch already. A host that goes on stepping
    /// the core while its disk stalls has to bound them.
    #[must_use]
    pub fn gathered_bytes(&self) -> usize {
        self.commit.gathered_bytes()
    }

    /// How many effects wait for the disk.
    #[must_use]
    pub fn held(&self) -> usize {
        self.commit.held()
    }

    /// The core, to look at.
    #[must_use]
    pub fn core(&self) -> &C {
        &self.core
    }

    fn take_output(&mut self) {
        let output = &mut self.output;
        self.ready.append(&mut output.at_once);
        for record in output.records.drain(..) {
            let bytes = postcard::to_allocvec(&record);
            let bytes = bytes.expect("sequences of known length, written to memory");
            self.commit.append(bytes, C::claim_of(&record));
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
        self.observations.append(&mut output.observations);
    }
}

/// What each of the records that a disk holds says, for whoever looks on. One that is none of this core's says nothing.
#[must_use]
pub fn claims<C: Core>(records: &[(Position, Vec<u8>)]) -> Vec<Claim> {
    let claim =
        |record| decode::<C>(record).map_or(Claim::Nothing, |(_, record)| C::claim_of(&record));
    records.iter().map(claim).collect()
}

fn decode<C: Core>(record: &(Position, Vec<u8>)) -> Result<(Position, C::Record), RecoverError> {
    let (position, bytes) = record;
    let damaged = |why: String| RecoverError::Record { position: *position, why };
    match postcard::take_from_bytes(bytes) {
        Ok((record, [])) => Ok((*position, record)),
        Ok((_, rest)) => Err(damaged(format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(damaged(error.to_string())),
    }
}
