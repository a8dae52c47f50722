//! Replication: from the primary's disk to the backups, and how a backup comes to where the primary is.

use super::message::{Message, Place, Record, Update};
use super::{Out, PrimaryBackup, Standing, Unapplied};
use crate::core::{NodeId, Observation, Position};
use crate::machine::{Failure, Machine, Reply};
use crate::replication::{Ballot, Chunk, Incoming, Origin, Partial, Slot, Source, Window};

impl PrimaryBackup {
    /// The primary takes what waits, in batches.
    pub(super) fn take_waiting(&mut self, out: &mut Out) {
        while matches!(self.standing, Standing::Primary)
            && self.requests.waiting() > 0
            && self.unapplied.len() < self.config.limits.pipeline.max(1)
        {
            let (value, origins) = self.requests.take_batch();
            self.hold(Update { epoch: self.epoch, value }, origins, out);
        }
    }

    /// Writes the next update.
    fn hold(&mut self, update: Update, origins: Vec<Origin>, out: &mut Out) {
        let slot = self.last.slot.next();
        self.last = Place { epoch: update.epoch, slot };
        let lineage = self.journal.lineage;
        let record = self.append(Record::Update { lineage, slot, update: update.clone() }, out);
        self.log.put(slot, update);
        self.unapplied.push_back(Unapplied { record, origins });
    }

    /// What is durable is applied; the primary answers who waits for it, and only then tells its backups.
    pub(super) fn on_persisted(&mut self, upto: Position, out: &mut Out) {
        self.journal.persisted = self.journal.persisted.max(upto);
        let (persisted, before) = (self.journal.persisted, self.applied);
        let mut updates = Vec::new();
        while let Some(held) = self.unapplied.pop_front_if(|held| held.record < persisted) {
            let slot = self.applied.slot.next();
            let update = self.log.get(slot).expect("what is not applied is not dropped").clone();
            let requests = update.value.requests();
            let replies: Vec<_> =
                requests.iter().map(|request| self.machine.apply(request)).collect();
            for (origin, reply) in held.origins.into_iter().zip(replies) {
                self.requests.answer(origin, reply, out);
            }
            let commands = u32::try_from(requests.len()).unwrap_or(u32::MAX);
            out.observe(Observation::Applied { slot: slot.0, commands });
            self.applied = Place { epoch: update.epoch, slot };
            updates.push(update);
        }
        if matches!(self.standing, Standing::Primary) && !updates.is_empty() {
            let (epoch, last) = (self.epoch, self.applied);
            out.broadcast_at_once(Message::Updates { epoch, before, updates, last });
        }
    }

    /// Updates from the primary that this node follows. It takes them only after the one that the primary had before.
    pub(super) fn on_updates(
        &mut self,
        before: Place,
        updates: Vec<Update>,
        last: Place,
        out: &mut Out,
    ) {
        if before == self.last && !updates.is_empty() {
            for update in updates {
                self.hold(update, Vec::new(), out);
            }
            self.incoming = None;
            if self.last != last {
                self.ask(out);
            }
        } else {
            self.compare(last, out);
        }
    }

    /// The primary is at `last`. Asks if this node has been where it is for `resend`, and that is elsewhere: what it lacks
    /// may be on its way.
    pub(super) fn compare(&mut self, last: Place, out: &mut Out) {
        if last == self.last {
            self.behind = None;
        } else if let Some((_, since)) = self.behind.filter(|(at, _)| *at == self.last) {
            if self.now.since(since) >= self.config.timing.resend {
                self.ask(out);
            }
        } else {
            self.behind = Some((self.last, self.now));
        }
    }

    fn ask(&mut self, out: &mut Out) {
        self.behind = Some((self.last, self.now));
        if let Some(epoch) = self.primary {
            let partial = self.incoming.as_ref().map(Incoming::partial);
            out.send_at_once(epoch.node, Message::Sync { epoch, last: self.last, partial });
        }
    }

    /// A backup asks: updates, if this primary holds the backup's last one and what comes after it; else its state.
    pub(super) fn on_sync(
        &mut self,
        from: NodeId,
        epoch: Ballot,
        last: Place,
        partial: Option<Partial>,
        out: &mut Out,
    ) {
        if !matches!(self.standing, Standing::Primary)
            || self.epoch != epoch
            || last == self.applied
        {
            return;
        }
        if !self.holds(last) {
            return self.send_snapshot(from, partial, out);
        }
        let limits = self.config.limits;
        let mut bytes = 0;
        let fits = |update: &Update| {
            let fits = bytes <= limits.chunk_bytes;
            bytes += update.value.bytes();
            fits
        };
        let durable =
            self.log.from(last.slot.next()).take_while(|(at, _)| *at <= self.applied.slot);
        let few = durable.map(|(_, update)| update).take(limits.batch_commands.max(1));
        let updates = few.cloned().take_while(fits).collect();
        let applied = self.applied;
        out.send_at_once(from, Message::Updates { epoch, before: last, updates, last: applied });
    }

    /// Whether this node has applied the update at that place, and knows all that came after it.
    fn holds(&self, place: Place) -> bool {
        let same = |update: &Update| update.epoch == place.epoch && place.slot <= self.applied.slot;
        place == self.dropped || self.log.get(place.slot).is_some_and(same)
    }

    fn send_snapshot(&mut self, to: NodeId, partial: Option<Partial>, out: &mut Out) {
        let resumed = partial
            .filter(|partial| self.source.as_ref().is_some_and(|source| source.goes_on(partial)));
        let stale = self.source.as_ref().is_none_or(|source| source.slot() < self.dropped.slot);
        if stale && resumed.is_none() {
            let bytes = self.encode_state();
            self.source = Some(Source::new(self.applied.slot, bytes, self.now));
        }
        let offset = resumed.map_or(0, |partial| partial.offset);
        let chunk_bytes = self.config.limits.chunk_bytes;
        let chunk =
            self.source.as_mut().and_then(|source| source.chunk(offset, chunk_bytes, self.now));
        if let Some(chunk) = chunk {
            out.send_at_once(to, Message::Snapshot { epoch: self.epoch, chunk });
        }
    }

    pub(super) fn on_snapshot(&mut self, chunk: &Chunk, out: &mut Out) {
        if !Incoming::take(&mut self.incoming, chunk) {
            return;
        }
        if let Some((_, bytes)) = Incoming::complete(&mut self.incoming) {
            self.install(&bytes, out);
        }
        self.ask(out);
    }

    /// Becomes what the primary was when it encoded its state. What this node held beyond that is lost; unless it has
    /// updates of the primary's own epoch: then it holds nothing else, and the state may only be a late one.
    fn install(&mut self, bytes: &[u8], out: &mut Out) {
        let (place, state) = postcard::take_from_bytes::<Place>(bytes)
            .expect("a peer's encoding of its place and state");
        if self.primary == Some(self.last.epoch) && place.slot <= self.last.slot {
            return;
        }
        self.machine = Machine::decode(state, &self.config.limits).expect("a peer's state machine");
        (self.last, self.applied, self.dropped) = (place, place, place);
        self.log = Window::starting_after(place.slot);
        self.source = None;
        for origin in self.unapplied.drain(..).flat_map(|held| held.origins) {
            self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
        }
        self.journal.begin_lineage(self.config.incarnation);
        out.observe(Observation::Snapshot { slot: place.slot.0, installed: true });
        self.save_snapshot(out);
    }

    /// Forgets applied updates but for the last `keep_entries`.
    pub(super) fn drop_applied(&mut self) {
        let keep = self.config.limits.keep_entries;
        let slot = Slot(self.applied.slot.0.saturating_sub(keep));
        if let Some(update) = self.log.get(slot) {
            self.dropped = Place { epoch: update.epoch, slot };
            self.log.drop_through(slot);
        }
    }
}
