//! Catching up: how a node that lags finds out, asks, and takes over a peer's state in chunks.
//!
//! The one who lags drives: it asks for one part at a time, repeats the question after `resend`, and says how far it
//! has come, so the peer keeps nothing about it. A snapshot is named by its last slot and the digest of its bytes; another
//! peer with the same bytes may go on with it, and any other snapshot starts anew.
//!
//! Bounds: one snapshot under way in each direction, one chunk (`Limits::chunk_bytes`) a message.

use super::message::{Message, Partial, Record, Slot};
use super::{MultiPaxos, Out, Standing};
use crate::core::{NodeId, Observation, Time};
use crate::machine::{Machine, digest};

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

#[derive(Debug)]
struct Incoming {
    slot: Slot,
    digest: u64,
    total: u64,
    bytes: Vec<u8>,
}

impl Incoming {
    fn partial(&self) -> Partial {
        Partial { slot: self.slot, digest: self.digest, offset: self.bytes.len() as u64 }
    }
}

/// A snapshot that peers are fetching.
#[derive(Debug)]
pub(super) struct Source {
    slot: Slot,
    digest: u64,
    bytes: Vec<u8>,
    used_at: Time,
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
            self.catch_up.incoming.take_if(|incoming| incoming.slot <= decided);
            let partial = self.catch_up.incoming.as_ref().map(Incoming::partial);
            out.send_at_once(source, Message::CatchUp { decided, partial });
        }
    }

    /// Sends the next chunk of the snapshot that the peer has a part of, or the first of the current one.
    pub(super) fn send_snapshot(&mut self, to: NodeId, partial: Option<Partial>, out: &mut Out) {
        let dropped = self.log.dropped();
        let goes_on = |source: &Source, partial: Partial| {
            (source.slot, source.digest) == (partial.slot, partial.digest)
        };
        let resumed = partial
            .filter(|partial| self.source.as_ref().is_some_and(|source| goes_on(source, *partial)));
        let offset = resumed.map_or(0, |partial| partial.offset);
        // A new transfer must end where the log in memory can take over.
        let stale = self.source.as_ref().is_none_or(|source| source.slot < dropped);
        if stale && resumed.is_none() {
            let bytes = self.machine.encode();
            let digest = digest::of_bytes(&bytes);
            let slot = self.log.decided();
            self.source = Some(Source { slot, digest, bytes, used_at: self.now });
        }
        let Some(source) = &mut self.source else { return };
        source.used_at = self.now;
        let rest = usize::try_from(offset).ok().and_then(|offset| source.bytes.get(offset..));
        let Some(rest) = rest else { return };
        let chunk = rest.len().min(self.config.limits.chunk_bytes.max(1));
        out.send_at_once(
            to,
            Message::Snapshot {
                slot: source.slot,
                digest: source.digest,
                total: source.bytes.len() as u64,
                offset,
                bytes: rest[..chunk].to_vec(),
            },
        );
    }

    /// Frees the memory of a snapshot that nobody fetches any more.
    pub(super) fn drop_idle_source(&mut self) {
        let patience = self.config.timing.request;
        if self.source.as_ref().is_some_and(|source| self.now.since(source.used_at) > patience) {
            self.source = None;
        }
    }

    /// Takes a chunk if it is the next one, or the first of another snapshot.
    pub(super) fn on_snapshot(
        &mut self,
        from: NodeId,
        part: Partial,
        total: u64,
        bytes: &[u8],
        out: &mut Out,
    ) {
        if part.slot <= self.log.decided() || matches!(self.standing, Standing::Leading(_)) {
            return;
        }
        let expected = self.catch_up.incoming.as_ref().map(Incoming::partial);
        if part.offset == 0
            && expected.is_none_or(|held| (held.slot, held.digest) != (part.slot, part.digest))
        {
            let (slot, digest) = (part.slot, part.digest);
            self.catch_up.incoming = Some(Incoming { slot, digest, total, bytes: Vec::new() });
        } else if expected != Some(part) {
            return; // A copy, or a part of a snapshot that was given up.
        }
        let Some(incoming) = &mut self.catch_up.incoming else { return };
        incoming.bytes.extend_from_slice(bytes);
        if incoming.bytes.len() as u64 >= incoming.total {
            self.install(out);
        }
        let goal = self.catch_up.goal.max(part.slot);
        self.catch_up_from(from, goal, out);
        self.progressed(out);
    }

    /// Replaces this node's state by the complete snapshot. Promise and acceptances above it stay as they are.
    fn install(&mut self, out: &mut Out) {
        let Some(incoming) = self.catch_up.incoming.take() else { return };
        let Incoming { slot, digest, bytes, .. } = incoming;
        assert_eq!(digest::of_bytes(&bytes), digest, "messages are not altered");
        self.machine = Machine::decode(&bytes, &self.config.limits)
            .expect("a peer's encoding of the same state machine");
        self.log.install(slot);
        self.journal.decided = slot;
        self.append(Record::Installed(slot), out);
        out.observe(Observation::Snapshot { slot: slot.0, installed: true });
        self.save_snapshot(out);
    }
}
