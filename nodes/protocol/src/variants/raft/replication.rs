//! Replication: how a leader brings each follower's log to be its own (section 5.3).
//!
//! A follower is *probed* with one message at a time until the last common entry is found, *streamed* to from then on, without
//! waiting for answers, and sent a *snapshot* if its next entry was dropped. An answer that comes late or twice changes
//! nothing, but what it proves.
//!
//! Bounds: a follower has at most two pipelines of slots under way, a message about one chunk of bytes.

use super::message::{EntryId, Message, Term};
use super::{Out, Raft, Standing};
use crate::core::{NodeId, Time};
use crate::replication::{Partial, Slot};

/// What a leader knows of a follower.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) state: State,
    /// The next slot to send.
    pub(super) next: Slot,
    /// Up to here its log is durable, and the leader's.
    pub(super) matched: Slot,
    /// When it last answered something of this term.
    pub(super) answered_at: Time,
    /// When it was last sent something that it has to answer, or has proved more than before.
    pub(super) sent_at: Time,
}

/// How a follower is brought up.
#[derive(Debug)]
pub(super) enum State {
    /// The last common entry is not known. Whether a message that asks is under way.
    Probing(bool),
    /// All before `next` was sent.
    Streaming,
    /// It gets a snapshot: the part that was sent last.
    Installing(Option<Partial>),
}

impl Progress {
    /// At the start of a reign of a leader whose log ends with slot `last`.
    pub(super) fn new(last: Slot, now: Time) -> Self {
        let state = State::Probing(false);
        Self { state, next: last.next(), matched: Slot(0), answered_at: now, sent_at: now }
    }

    /// Whether it may be sent the slots up to `last` as they come.
    fn is_open(&self, last: Slot, window: u64) -> bool {
        match self.state {
            State::Probing(under_way) => !under_way,
            State::Streaming => self.next <= last && self.next.0 - self.matched.0 <= window,
            State::Installing(_) => false,
        }
    }

    fn probe_from(&mut self, next: Slot) {
        self.state = State::Probing(false);
        self.next = next;
    }
}

impl Raft {
    /// Sends the newest entry to everyone: one message for all, if all are as far as that.
    pub(super) fn replicate(&mut self, out: &mut Out) {
        let (last, window, now) = (self.log.last().slot, self.window(), self.now);
        let Standing::Leading(reign) = &mut self.standing else { return };
        let alike = |peer: &super::replication::Progress| {
            let ready = matches!(peer.state, State::Streaming | State::Probing(false));
            ready && peer.next == last && peer.is_open(last, window)
        };
        if !reign.peers.values().all(alike) {
            let peers: Vec<_> = reign.peers.keys().copied().collect();
            return peers.into_iter().for_each(|peer| self.replicate_to(peer, out));
        }
        for peer in reign.peers.values_mut() {
            peer.sent_at = now;
            match &mut peer.state {
                State::Probing(under_way) => *under_way = true,
                _ => peer.next = last.next(),
            }
        }
        if let Some((message, _)) = self.append_message(last) {
            out.broadcast_at_once(message);
        }
    }

    /// Sends a follower what it may be sent.
    pub(super) fn replicate_to(&mut self, node: NodeId, out: &mut Out) {
        let (last, window, now) = (self.log.last().slot, self.window(), self.now);
        loop {
            let Standing::Leading(reign) = &self.standing else { return };
            let Some(peer) = reign.peers.get(&node).filter(|peer| peer.is_open(last, window))
            else {
                return;
            };
            let message = self.append_message(peer.next);
            let Standing::Leading(reign) = &mut self.standing else { return };
            let Some(peer) = reign.peers.get_mut(&node) else { return };
            let Some((message, after)) = message else {
                peer.state = State::Installing(None);
                return self.send_snapshot(node, None, out);
            };
            peer.sent_at = now;
            out.send_at_once(node, message);
            match &mut peer.state {
                State::Probing(under_way) => *under_way = true,
                _ => peer.next = after,
            }
        }
    }

    /// The entries from `next` on, as many as fit a message, and the slot after them. `None` if the one before was dropped.
    fn append_message(&self, next: Slot) -> Option<(Message, Slot)> {
        let limits = self.config.limits;
        let slot = Slot(next.0 - 1);
        let previous = EntryId { term: self.log.term_at(slot)?, slot };
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (_, stored) in self.log.from(next).take(limits.batch_commands.max(1)) {
            bytes += stored.entry.bytes();
            if bytes > limits.chunk_bytes && !entries.is_empty() {
                break;
            }
            entries.push(stored.entry.clone());
        }
        let after = Slot(next.0 + entries.len() as u64);
        let (term, commit) = (self.term, self.log.committed());
        Some((Message::Append { term, previous, entries, commit }, after))
    }

    pub(super) fn on_appended(
        &mut self,
        from: NodeId,
        term: Term,
        matched: EntryId,
        out: &mut Out,
    ) {
        let (now, holds) = (self.now, self.log.holds(matched));
        let Some(peer) = self.peer(from, term) else { return };
        assert!(holds, "{from} has appended entry {matched}, which its leader does not hold");
        peer.answered_at = now;
        if matched.slot > peer.matched {
            peer.matched = matched.slot;
            peer.sent_at = now;
        }
        if matched.slot.next() >= peer.next {
            peer.next = matched.slot.next();
            peer.state = State::Streaming;
        }
        self.count(out);
        self.replicate_to(from, out);
        self.change_if_allowed(out);
    }

    /// The follower lacks the entry before those that it was sent. Backs up: to the leader's last entry of the conflicting
    /// term, if it has one, else to before that term (section 5.3, the last paragraphs).
    pub(super) fn on_refused(
        &mut self,
        from: NodeId,
        term: Term,
        previous: EntryId,
        first: Slot,
        conflict: Option<Term>,
        out: &mut Out,
    ) {
        let now = self.now;
        let common = conflict.and_then(|conflict| self.log.last_of(conflict));
        let Some(peer) = self.peer(from, term) else { return };
        peer.answered_at = now;
        let current = match peer.state {
            State::Probing(_) => previous.slot.next() == peer.next,
            State::Streaming => previous.slot > peer.matched,
            State::Installing(_) => false,
        };
        if !current {
            return; // Late, or a copy.
        }
        let next = common.map_or(first, Slot::next).min(previous.slot);
        let next = next.max(peer.matched.next());
        peer.probe_from(next);
        self.replicate_to(from, out);
    }

    /// Repeats what was not answered for `resend`, to peers that live. The others would only find their queues full of it.
    pub(super) fn replicate_again(&mut self, out: &mut Out) {
        let (now, resend) = (self.now, self.config.timing.resend);
        let Standing::Leading(reign) = &mut self.standing else { return };
        let mut again = Vec::new();
        for (node, peer) in &mut reign.peers {
            if now.since(peer.answered_at) >= resend * 2 || now.since(peer.sent_at) < resend {
                continue;
            }
            match peer.state {
                State::Streaming if peer.next == peer.matched.next() => continue,
                State::Streaming => peer.probe_from(peer.matched.next()),
                State::Probing(_) => peer.state = State::Probing(false),
                State::Installing(partial) => {
                    again.push((*node, Some(partial)));
                    continue;
                }
            }
            again.push((*node, None));
        }
        for (node, installing) in again {
            match installing {
                Some(partial) => self.send_snapshot(node, partial, out),
                None => self.replicate_to(node, out),
            }
        }
    }

    /// How many slots a follower may have under way.
    fn window(&self) -> u64 {
        2 * self.config.limits.pipeline.max(1) as u64
    }
}
