//! Updates on their way down the chain, and their acknowledgements on the way up.

use super::message::{Message, Place, Record, Update};
use super::{ChainReplication, Out, Waits};
use crate::core::{NodeId, Observation};
use crate::machine::{Failure, Machine, Reply};
use crate::replication::{Chunk, Incoming, Origin, Partial, Slot, Source, Window};

/// What a `pass` says.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) before: Place,
    pub(super) updates: Vec<Update>,
    pub(super) last: Place,
    pub(super) ready: bool,
    pub(super) decided: Slot,
    pub(super) answers: u64,
}

/// Down.
impl ChainReplication {
    /// The head takes what waits, in batches.
    pub(super) fn take_waiting(&mut self, out: &mut Out) {
        let pipeline = self.config.limits.pipeline.max(1) as u64;
        while self.is_head()
            && self.requests.waiting() > 0
            && self.last.slot.0 - self.decided.slot.0 < pipeline
        {
            let (value, origins) = self.requests.take_batch();
            let forwarded = |origin: &Origin| match origin {
                Origin::Peer(node, ticket) => Some((*node, *ticket)),
                Origin::Client { .. } => None,
            };
            let asked_by = origins.iter().map(forwarded).collect();
            self.hold(Update { epoch: self.chain.epoch, value, asked_by }, out);
            let deadline = self.now.after(self.config.timing.request);
            self.origins.push_back(Waits { slot: self.last.slot, deadline, origins });
        }
    }

    /// Writes the next update.
    fn hold(&mut self, update: Update, out: &mut Out) {
        let slot = self.last.slot.next();
        self.last = Place { epoch: update.epoch, slot };
        let decided = self.decided.slot;
        let record = self.append(Record::Update { slot, update: update.clone(), decided }, out);
        self.log.put(slot, update);
        self.unpersisted.push_back((record, self.last));
    }

    /// What has become durable is passed on, and acknowledged by the tail.
    pub(super) fn on_persisted(&mut self, out: &mut Out) {
        let (before, persisted) = (self.durable, self.journal.persisted);
        while let Some((_, place)) = self.unpersisted.pop_front_if(|(at, _)| *at < persisted) {
            self.durable = place;
        }
        if self.durable != before
            && let Some(successor) = self.successor()
        {
            self.pass(successor, before, self.durable, 0, out);
        }
        self.settle(out);
    }

    /// Passes the updates after `before` and up to `last`, as many as fit a message.
    fn pass(&self, to: NodeId, before: Place, last: Place, answers: u64, out: &mut Out) {
        let limits = self.config.limits;
        let mut bytes = 0;
        let fits = |update: &Update| {
            let fits = bytes <= limits.chunk_bytes;
            bytes += update.value.bytes();
            fits
        };
        let held = self.log.from(before.slot.next()).take_while(|(slot, _)| *slot <= last.slot);
        let few = held.map(|(_, update)| update.clone()).take(limits.batch_commands.max(1));
        let message = Message::Pass {
            epoch: self.chain.epoch,
            before,
            updates: few.take_while(fits).collect(),
            last,
            ready: self.is_ready(),
            decided: self.decided.slot,
            answers,
        };
        out.send(to, message);
    }

    /// Tells the successor that this node lives, and where it is.
    pub(super) fn beat(&self, out: &mut Out) {
        if let Some(successor) = self.successor() {
            self.pass(successor, self.durable, self.durable, 0, out);
        }
    }

    /// From the predecessor; or, to a node that is no member, from a member.
    pub(super) fn on_pass(&mut self, from: NodeId, pass: Passed, out: &mut Out) {
        let member = self.index().is_some();
        if self.is_reserve() || (member && self.predecessor() != Some(from)) {
            return;
        }
        if self.awaited > 0 && pass.answers >= self.awaited {
            self.awaited = 0;
        }
        let beat = pass.updates.is_empty();
        if pass.before == self.last && !beat {
            pass.updates.into_iter().for_each(|update| self.hold(update, out));
            self.incoming = None;
        }
        if self.awaited == 0 && (pass.before == self.last || pass.last == self.last) {
            self.matched = true;
        }
        if pass.last == self.last {
            self.behind = None;
        } else if pass.answers > 0 && pass.answers == self.syncs {
            self.sync(from, out); // One part came, and there is more.
        } else if member {
            self.notice_distance(from, out);
        }
        if pass.ready && member {
            self.told = true;
            self.goal.get_or_insert(pass.last.slot);
        }
        let near = self.last.slot.0 + self.config.limits.pipeline as u64 >= pass.last.slot.0;
        if !member && near && pass.answers > 0 {
            self.caught_up = Some((from, self.now));
        }
        self.advance(pass.decided, out);
        self.settle(out);
        if beat && member {
            let (epoch, decided) = (self.chain.epoch, self.decided.slot);
            out.send(from, Message::Ack { epoch, decided });
        }
    }

    /// Asks if this node has been elsewhere than its predecessor for a `heartbeat`, or meets it for the first time: what it lacks
    /// may be on its way.
    fn notice_distance(&mut self, from: NodeId, out: &mut Out) {
        match self.behind.filter(|(at, _)| *at == self.last) {
            Some((_, since)) if self.now.since(since) < self.config.timing.heartbeat => {}
            None if self.matched => self.behind = Some((self.last, self.now)),
            _ => self.sync(from, out),
        }
    }

    fn sync(&mut self, from: NodeId, out: &mut Out) {
        self.behind = Some((self.last, self.now));
        self.syncs += 1;
        let (epoch, number, last) = (self.chain.epoch, self.syncs, self.last);
        let partial = self.incoming.as_ref().map(Incoming::partial);
        // After what it holds, or has installed, is durable.
        out.send(from, Message::Sync { epoch, number, last, partial });
    }

    /// A node that is no member copies what is acknowledged: from the tail, or, if that is silent, from the others.
    pub(super) fn copy(&mut self, out: &mut Out) {
        let Some(tail) = self.chain.nodes.last().copied() else { return };
        let silent = |at: &crate::core::Time| self.now.since(*at) >= self.patience();
        let others = self.chain.nodes.len() - 1;
        if self.heard.get(&tail).is_none_or(silent) && others > 0 {
            let turn = usize::try_from(self.syncs).unwrap_or(0) / 2 % others;
            self.sync(self.chain.nodes[turn], out);
        }
        self.sync(tail, out);
    }

    /// The successor, or a node that is no member, asks for what comes after `last`.
    pub(super) fn on_sync(
        &mut self,
        from: NodeId,
        number: u64,
        last: Place,
        partial: Option<Partial>,
        out: &mut Out,
    ) {
        let member = self.chain.nodes.contains(&from);
        if self.index().is_none() || (member && self.successor() != Some(from)) {
            return;
        }
        let upto = if member { self.durable } else { self.decided };
        let same = |update: &Update| update.epoch == last.epoch;
        let held = last == self.dropped || self.log.get(last.slot).is_some_and(same);
        if held && last.slot <= self.durable.slot {
            let upto = if last.slot > upto.slot { last } else { upto };
            self.pass(from, last, upto, number, out);
        } else if last.slot < self.decided.slot {
            self.send_snapshot(from, partial, out);
        }
    }
}

/// Up.
impl ChainReplication {
    /// Becomes settled, once it holds what its settled predecessor did in this configuration.
    pub(super) fn settle(&mut self, out: &mut Out) {
        let reached = self.goal.is_some_and(|goal| goal <= self.durable.slot);
        if !self.settled && self.matched && reached && self.awaited == 0 {
            self.settled = true;
            let epoch = self.chain.epoch;
            self.append(Record::Settled(epoch), out);
        }
        self.decide_as_tail(out);
    }

    /// What is durable at a tail that may act is durable at all nodes of the chain.
    pub(super) fn decide_as_tail(&mut self, out: &mut Out) {
        if self.is_acting_tail() {
            self.advance(self.durable.slot, out);
            self.serve_queries(out);
        }
    }

    pub(super) fn on_ack(&mut self, from: NodeId, decided: Slot, out: &mut Out) {
        if self.successor() == Some(from) {
            self.advance(decided, out);
        }
    }

    /// Every update up to `decided` is acknowledged: applies those that this node holds, answers, and tells its
    /// predecessor.
    fn advance(&mut self, decided: Slot, out: &mut Out) {
        let upto = decided.min(self.durable.slot);
        if upto <= self.decided.slot {
            return;
        }
        while self.decided.slot < upto {
            self.apply_next(out);
        }
        if let Some(predecessor) = self.predecessor() {
            let (epoch, decided) = (self.chain.epoch, self.decided.slot);
            out.send(predecessor, Message::Ack { epoch, decided });
        }
    }

    fn apply_next(&mut self, out: &mut Out) {
        let slot = self.decided.slot.next();
        let update = self.log.get(slot).expect("what is not applied is not dropped").clone();
        out.observe(Observation::Decided { slot: slot.0, digest: update.value.digest() });
        let requests = update.value.requests();
        let replies: Vec<_> = requests.iter().map(|request| self.machine.apply(request)).collect();
        let commands = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        out.observe(Observation::Applied { slot: slot.0, commands });
        self.decided = Place { epoch: update.epoch, slot };
        if let Some(waits) = self.origins.pop_front_if(|waits| waits.slot <= slot)
            && waits.slot == slot
        {
            for (origin, reply) in waits.origins.into_iter().zip(&replies) {
                if matches!(origin, Origin::Client { .. }) {
                    self.requests.answer(origin, reply.clone(), out);
                }
            }
        }
        if self.is_tail() {
            self.answer_forwarded(&update, replies, out);
        }
    }

    fn answer_forwarded(&mut self, update: &Update, replies: Vec<Reply>, out: &mut Out) {
        for (asked_by, reply) in update.asked_by.iter().zip(replies) {
            match *asked_by {
                Some((node, ticket)) if node == self.config.node => {
                    self.requests.on_answer(vec![(ticket, reply)], out);
                }
                Some((node, ticket)) => {
                    self.requests.answer(Origin::Peer(node, ticket), reply, out);
                }
                None => {}
            }
        }
    }
}

/// The state as a whole.
impl ChainReplication {
    fn send_snapshot(&mut self, to: NodeId, partial: Option<Partial>, out: &mut Out) {
        let resumed = partial
            .filter(|partial| self.source.as_ref().is_some_and(|source| source.goes_on(partial)));
        let stale = self.source.as_ref().is_none_or(|source| source.slot() < self.dropped.slot);
        if stale && resumed.is_none() {
            let bytes = self.encode_state();
            self.source = Some(Source::new(self.decided.slot, bytes, self.now));
        }
        let offset = resumed.map_or(0, |partial| partial.offset);
        let chunk_bytes = self.config.limits.chunk_bytes;
        let chunk =
            self.source.as_mut().and_then(|source| source.chunk(offset, chunk_bytes, self.now));
        if let Some(chunk) = chunk {
            out.send_at_once(to, Message::Snapshot { epoch: self.chain.epoch, chunk });
        }
    }

    /// Takes a chunk, and the whole state with its last one.
    pub(super) fn on_snapshot(&mut self, from: NodeId, chunk: &Chunk, out: &mut Out) {
        let member = self.index().is_some();
        let asked = if member {
            self.predecessor() == Some(from) && !self.settled
        } else {
            !self.is_reserve()
        };
        if !asked
            || chunk.at.slot <= self.decided.slot
            || !Incoming::take(&mut self.incoming, chunk)
        {
            return;
        }
        self.heard.insert(from, self.now);
        if let Some((_, bytes)) = Incoming::complete(&mut self.incoming) {
            self.install(&bytes, out);
        }
        self.sync(from, out);
    }

    /// Replaces this node's state by another one's, which holds more acknowledged updates.
    fn install(&mut self, bytes: &[u8], out: &mut Out) {
        let (place, state) = postcard::take_from_bytes::<Place>(bytes)
            .expect("a peer's encoding of its place and state");
        self.machine = Machine::decode(state, &self.config.limits).expect("a peer's state machine");
        (self.last, self.durable, self.decided, self.dropped) = (place, place, place, place);
        self.log = Window::starting_after(place.slot);
        self.unpersisted.clear();
        self.source = None;
        self.append(Record::Installed(place.slot), out);
        out.observe(Observation::Snapshot { slot: place.slot.0, installed: true });
        self.save_snapshot(out);
        // The next question leaves once this is durable, and its answer tells so.
        self.awaited = self.syncs + 1;
        self.matched = false;
    }

    /// Answers whoever waits for what is not acknowledged, since this node is no longer the head.
    pub(super) fn give_up_origins(&mut self, out: &mut Out) {
        for waits in std::mem::take(&mut self.origins) {
            self.give_up(waits, out);
        }
    }

    /// Tells the head's own clients that the fate of an update is not known. The others know when to give up.
    pub(super) fn give_up(&mut self, waits: Waits, out: &mut Out) {
        for origin in waits.origins {
            if matches!(origin, Origin::Client { .. }) {
                self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
            }
        }
    }
}
