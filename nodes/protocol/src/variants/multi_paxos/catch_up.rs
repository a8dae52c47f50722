//! Catching up: how a node that lags finds out, asks, and takes over a peer's state in chunks.
//!
//! The one who lags drives, as [`transfer`](crate::replication::transfer) says, and repeats its question after `resend`.

use super::message::{Message, Record};
use super::{MultiPaxos, Out, Standing, storage};
use crate::core::{NodeId, Observation, Time};
use crate::replication::{Chunk, Incoming, Partial, Slot, Source};

/// What a node knows of its own lag.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// A peer knows every slot up to `goal` to be decided.
    goal: Slot,
    /// Whom to ask.
    source: Option<NodeId>,
    /// How far this node was when it last noticed, and since when it has been there. None if there is no reason to wait
    /// before it asks.
    stuck: Option<(Slot, Time)>,
    /// When it last asked.
    asked_at: Option<Time>,
    /// The snapshot that comes in.
    incoming: Option<Incoming>,
}

impl MultiPaxos {
    /// A peer knows more than this node can take from its own log. The rest may be on its way: asks only if this lasts,
    /// or if the distance is more than what can be under way.
    pub(super) fn notice_lag(&mut self, from: NodeId, goal: Slot, out: &mut Out) {
        let decided = self.log.decided();
        self.catch_up.goal = self.catch_up.goal.max(goal);
        self.catch_up.source = Some(from);
        if self.catch_up.stuck.is_none_or(|(at, _)| at != decided) {
            self.catch_up.stuck = Some((decided, self.now));
        }
        if goal.0 - decided.0 > self.config.limits.pipeline as u64 {
            self.pursue_at_once(out);
        }
    }

    /// Asks `source` for everything up to `goal`, without waiting for anything, and again until an answer comes.
    pub(super) fn catch_up_from(&mut self, source: NodeId, goal: Slot, out: &mut Out) {
        self.catch_up.goal = self.catch_up.goal.max(goal);
        self.catch_up.source = Some(source);
        self.catch_up.stuck = None;
        self.catch_up.asked_at = None;
        self.pursue_at_once(out);
    }

    /// Asks if this node has lagged for `resend`, and again if the last question was not answered for so long.
    pub(super) fn pursue(&mut self, out: &mut Out) {
        let resend = self.config.timing.resend;
        let decided = self.log.decided();
        if decided >= self.catch_up.goal {
            self.catch_up.stuck = None;
            self.catch_up.incoming = None;
        } else if self
            .catch_up
            .stuck
            .is_none_or(|(at, since)| at == decided && self.now.since(since) >= resend)
        {
            self.pursue_at_once(out);
        }
    }

    fn pursue_at_once(&mut self, out: &mut Out) {
        let decided = self.log.decided();
        let resend = self.config.timing.resend;
        let waits = self.catch_up.asked_at.is_some_and(|at| self.now.since(at) < resend);
        let leads = matches!(self.standing, Standing::Leading(_));
        let Some(source) = self.catch_up.source.filter(|_| !waits && !leads) else { return };
        if decided < self.catch_up.goal {
            self.catch_up.asked_at = Some(self.now);
            // What was learned meanwhile may reach beyond a snapshot of which parts are missing. Its parts are of no use any
            // more, and a peer that still has it would send the next one of them for ever.
            self.catch_up.incoming.take_if(|incoming| incoming.slot() <= decided);
            let partial = self.catch_up.incoming.as_ref().map(Incoming::partial);
            out.send_at_once(source, Message::CatchUp { decided, partial });
        }
    }

    /// Sends the next chunk of the snapshot that the peer has a part of, or the first of the current one.
    pub(super) fn send_snapshot(&mut self, to: NodeId, partial: Option<Partial>, out: &mut Out) {
        let dropped = self.log.dropped();
        let resumed = partial
            .filter(|partial| self.source.as_ref().is_some_and(|source| source.goes_on(partial)));
        // A new transfer must end where the log in memory can take over.
        let stale = self.source.as_ref().is_none_or(|source| source.slot() < dropped);
        if stale && resumed.is_none() {
            self.source = Some(Source::new(self.log.decided(), self.encode_state(), self.now));
        }
        let offset = resumed.map_or(0, |partial| partial.offset);
        let chunk_bytes = self.config.limits.chunk_bytes;
        let chunk =
            self.source.as_mut().and_then(|source| source.chunk(offset, chunk_bytes, self.now));
        if let Some(chunk) = chunk {
            out.send_at_once(to, Message::Snapshot(chunk));
        }
    }

    /// Frees the memory of a snapshot that nobody fetches any more.
    pub(super) fn drop_idle_source(&mut self) {
        let patience = self.config.timing.request;
        if self.source.as_ref().is_some_and(|source| source.is_idle(self.now, patience)) {
            self.source = None;
        }
    }

    /// Takes a chunk, and the whole snapshot with its last one.
    pub(super) fn on_snapshot(&mut self, from: NodeId, chunk: &Chunk, out: &mut Out) {
        let slot = chunk.at.slot;
        let leads = matches!(self.standing, Standing::Leading(_));
        if slot <= self.log.decided()
            || leads
            || !Incoming::take(&mut self.catch_up.incoming, chunk)
        {
            return;
        }
        if let Some((slot, bytes)) = Incoming::complete(&mut self.catch_up.incoming) {
            self.install(slot, &bytes, out);
        }
        let goal = self.catch_up.goal.max(slot);
        self.catch_up_from(from, goal, out);
        self.progressed(out);
    }

    /// Replaces this node's state by the complete snapshot. Promise and acceptances above it stay as they are.
    fn install(&mut self, slot: Slot, bytes: &[u8], out: &mut Out) {
        let state = storage::decode_state(bytes, &self.config.limits, &self.first_members);
        (self.machine, self.memberships) =
            state.expect("a peer's encoding of the same state machine");
        self.log.install(slot);
        self.journal.decided = slot;
        self.append(Record::Installed(slot), out);
        out.observe(Observation::Snapshot { slot: slot.0, installed: true });
        self.save_snapshot(out);
    }
}
