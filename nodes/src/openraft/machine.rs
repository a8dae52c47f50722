//! The library's state machine: our [`Machine`], with its place in the log.
//!
//! A snapshot is [`Machine::encode`] at one place. It is durable before the library is told that it exists, because the
//! library purges the log behind it.

use super::journal::{Journal, Meta};
use super::{Entry, Image, LogId, Membership, Types};
use crate::metrics::Metrics;
use openraft::storage::RaftStateMachine;
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, StorageError, StorageIOError,
};
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tribunal_protocol::core::Damaged;
use tribunal_protocol::machine::{Command, Machine};
use tribunal_protocol::{Limits, Observation, Reply};

/// What was applied, shared with those who read.
#[derive(Clone, Debug)]
pub(super) struct StateMachine {
    applied: Arc<Mutex<Applied>>,
    journal: Arc<Journal>,
    metrics: Arc<Metrics>,
    limits: Limits,
    /// Makes the names of this start's snapshots its own.
    origin: String,
}

#[derive(Debug)]
struct Applied {
    machine: Machine,
    last: Option<LogId>,
    membership: Membership,
    /// The newest snapshot.
    image: Option<Image>,
}

impl StateMachine {
    /// The machine as of `image`, or an empty one.
    ///
    /// # Errors
    /// [`Damaged`] if it is no encoding of a machine.
    pub(super) fn recover(
        image: Option<Image>,
        journal: Arc<Journal>,
        metrics: Arc<Metrics>,
        limits: Limits,
        origin: String,
    ) -> Result<Self, Damaged> {
        let mut applied = Applied {
            machine: Machine::new(&limits),
            last: None,
            membership: Membership::default(),
            image: None,
        };
        if let Some(image) = image {
            let machine = Machine::decode(&image.machine, &limits)?;
            applied.install(machine, image, &metrics, false);
        }
        Ok(Self { applied: Arc::new(Mutex::new(applied)), journal, metrics, limits, origin })
    }

    /// Answers a command that only reads.
    pub(super) fn read(&self, command: &Command) -> Reply {
        self.applied().machine.read(command)
    }

    /// A panic while it is locked ends the library's task, and the node with it.
    fn applied(&self) -> MutexGuard<'_, Applied> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Applied {
    fn install(&mut self, machine: Machine, image: Image, metrics: &Metrics, installed: bool) {
        self.machine = machine;
        self.last = image.meta.last_log_id;
        self.membership = image.meta.last_membership.clone();
        if let Some(last) = self.last {
            metrics.observe(Observation::Snapshot { slot: last.index, installed });
        }
        self.keep(image);
    }

    /// Keeps a snapshot if it is the newest.
    fn keep(&mut self, image: Image) {
        let newer = |kept: &Image| kept.meta.last_log_id < image.meta.last_log_id;
        if self.image.as_ref().is_none_or(newer) {
            self.image = Some(image);
        }
    }
}

fn given(image: Image) -> Snapshot<Types> {
    Snapshot { meta: image.meta, snapshot: Box::new(Cursor::new(image.machine)) }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError<u32>> {
        let applied = self.applied();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Option<Reply>>, StorageError<u32>>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = self.applied();
        let mut replies = Vec::new();
        for Entry { log_id, payload } in entries {
            applied.last = Some(log_id);
            let reply = match payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(request) => Some(applied.machine.apply(&request)),
                EntryPayload::Membership(membership) => {
                    applied.membership = Membership::new(Some(log_id), membership);
                    None
                }
            };
            let commands = u32::from(reply.is_some());
            self.metrics.observe(Observation::Decided { slot: log_id.index, digest: 0 });
            self.metrics.observe(Observation::Applied { slot: log_id.index, commands });
            replies.push(reply);
        }
        Ok(replies)
    }

    /// Encodes at once: the builder runs beside what is applied next.
    async fn get_snapshot_builder(&mut self) -> Builder {
        let applied = self.applied();
        let index = applied.last.map_or(0, |last| last.index);
        let meta = Meta {
            last_log_id: applied.last,
            last_membership: applied.membership.clone(),
            snapshot_id: format!("{}-{index}", self.origin),
        };
        Builder { image: Image { meta, machine: applied.machine.encode() }, of: self.clone() }
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<Cursor<Vec<u8>>>, StorageError<u32>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &Meta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError<u32>> {
        let image = Image { meta: meta.clone(), machine: snapshot.into_inner() };
        let machine = Machine::decode(&image.machine, &self.limits)
            .map_err(|damaged| StorageIOError::read_snapshot(None, &damaged))?;
        self.journal
            .save(&image)
            .await
            .map_err(|error| StorageIOError::write_snapshot(None, &error))?;
        self.applied().install(machine, image, &self.metrics, true);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError<u32>> {
        Ok(self.applied().image.clone().map(given))
    }
}

/// A snapshot that is to become durable.
#[derive(Debug)]
pub(super) struct Builder {
    image: Image,
    of: StateMachine,
}

impl RaftSnapshotBuilder<Types> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError<u32>> {
        self.of
            .journal
            .save(&self.image)
            .await
            .map_err(|error| StorageIOError::write_snapshot(None, &error))?;
        self.of.applied().keep(self.image.clone());
        Ok(given(self.image.clone()))
    }
}
