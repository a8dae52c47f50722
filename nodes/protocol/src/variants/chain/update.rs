//! Updates on their way down the chain, and their acknowledgements on the way up.

use super::message::{Message, Place, Record, Update};
use super::{ChainReplication, Out, Waits};
use crate::core::{NodeId, Observation};
use crate::machine::Reply;
use crate::replication::{Incoming, Origin, Partial, Slot};

/// What a `pass` says.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) before: Place,
    pub(super) updates: Vec<Update>,
    pub(super) last: Place,
    pub(super) in_line: bool,
    pub(super) decided: Slot,
    pub(super) answers: u64,
}

/// Down.
impl ChainReplication {
    /// The head takes what waits, in batches.
    pub(super) fn take_waiting(&mut self, out: &mut Out) {
        let pipeline = self.config.limits.pipeline.max(1) as u64;
        while self.is_head()
            && !self.is_sealed()
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

    /// Writes the next update of the chain's history.
    pub(super) fn hold(&mut self, update: Update, out: &mut Out) {
        let slot = self.last.slot.next();
        self.last = Place { epoch: update.epoch, slot };
        self.agreed = self.last;
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
            && self.is_in_line()
            && let Some(successor) = self.successor()
        {
            self.pass(successor, before, self.durable, 0, out);
        }
        self.decide_as_tail(out);
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
        let few = held.map(|(_, update)| update.clone());
        let message = Message::Pass {
            epoch: self.chain.epoch,
            before,
            updates: few.take_while(fits).collect(),
            last,
            in_line: self.is_in_line(),
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
        if member && self.predecessor() != Some(from) {
            return;
        }
        let beat = pass.updates.is_empty();
        if pass.in_line && !self.is_sealed() {
            self.follow(from, pass, out);
        }
        self.decide_as_tail(out);
        if beat && member {
            let (epoch, decided) = (self.chain.epoch, self.decided.slot);
            out.send(from, Message::Ack { epoch, decided });
        }
    }

    /// Takes what a node in line passes, and asks for more if there is more.
    fn follow(&mut self, from: NodeId, pass: Passed, out: &mut Out) {
        let member = self.index().is_some();
        if pass.answers >= self.awaited {
            self.awaited = 0;
        }
        let goes_on = self.holds(pass.before);
        let (before, some) = (self.agreed, !pass.updates.is_empty());
        if goes_on {
            self.take(pass.before, pass.updates, out);
        }
        self.advance(pass.decided, out);
        if self.agreed != before {
            self.behind = self.behind.map(|_| self.now);
        }
        let asked = pass.answers > 0 && pass.answers == self.syncs;
        if self.agreed == pass.last && self.awaited == 0 {
            self.behind = None;
        } else if asked && some && goes_on && self.agreed.slot < pass.last.slot {
            self.sync(from, out); // One part came, and there is more.
        } else if member {
            self.notice_distance(from, out);
        }
        let near = self.agreed.slot.0 + self.config.limits.pipeline as u64 >= pass.last.slot.0;
        if !member && near && pass.answers > 0 {
            self.caught_up = Some((from, self.now));
        }
    }

    /// Whether this place, which is one of the chain's history, is one of this node's, too.
    pub(super) fn holds(&self, place: Place) -> bool {
        let same = |update: &Update| update.epoch == place.epoch;
        place.slot <= self.decided.slot || self.log.get(place.slot).is_some_and(same)
    }

    /// Takes updates of the chain's history that follow one which this node holds. What it holds instead of them was never
    /// acknowledged, and is forgotten with all that follows it.
    fn take(&mut self, before: Place, updates: Vec<Update>, out: &mut Out) {
        let mut place = before;
        for update in updates {
            place = Place { epoch: update.epoch, slot: place.slot.next() };
            if !self.holds(place) {
                self.cut_off_after(Slot(place.slot.0 - 1));
                self.hold(update, out);
            }
        }
        if place.slot > self.agreed.slot {
            self.agreed = place;
        }
    }

    /// Forgets the updates after `slot`. The record of the one that takes the place of the first says so to recovery.
    fn cut_off_after(&mut self, slot: Slot) {
        if slot >= self.last.slot {
            return;
        }
        self.log.cut_off_after(slot);
        let held = self.log.get(slot).map(|update| Place { epoch: update.epoch, slot });
        self.last = held.unwrap_or(self.decided);
        while self.unpersisted.pop_back_if(|(_, place)| place.slot > slot).is_some() {}
        if self.durable.slot > slot {
            self.durable = self.last;
        }
    }

    /// Asks if this node has been elsewhere than its predecessor for a `heartbeat`, or meets it for the first time: what it
    /// lacks may be on its way.
    fn notice_distance(&mut self, from: NodeId, out: &mut Out) {
        match self.behind {
            Some(since) if self.now.since(since) < self.config.timing.heartbeat => {}
            None if self.is_in_line() => self.behind = Some(self.now),
            _ => self.sync(from, out),
        }
    }

    pub(super) fn sync(&mut self, from: NodeId, out: &mut Out) {
        self.behind = Some(self.now);
        self.syncs += 1;
        let (epoch, number, agreed) = (self.chain.epoch, self.syncs, self.agreed);
        let partial = self.incoming.as_ref().map(Incoming::partial);
        // After what it holds, or has installed, is durable.
        out.send(from, Message::Sync { epoch, number, agreed, partial });
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

    /// The successor, or a node that is no member, asks for what comes after `agreed`.
    pub(super) fn on_sync(
        &mut self,
        from: NodeId,
        number: u64,
        agreed: Place,
        partial: Option<Partial>,
        out: &mut Out,
    ) {
        let member = self.chain.nodes.contains(&from);
        let meant = self.index().is_some() && (!member || self.successor() == Some(from));
        if !meant || !self.is_in_line() {
            return;
        }
        let upto = if member { self.durable } else { self.decided };
        if agreed.slot >= self.dropped.slot {
            self.pass(from, agreed, upto, number, out);
        } else {
            self.send_snapshot(from, partial, out);
        }
    }
}

/// Up.
impl ChainReplication {
    /// What is durable at a tail in line is durable at all nodes of the chain.
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

    /// Every update up to `decided` is acknowledged: applies those that this node surely holds, answers, and tells its
    /// predecessor.
    pub(super) fn advance(&mut self, decided: Slot, out: &mut Out) {
        let upto = decided.min(self.durable.slot).min(self.agreed.slot);
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
