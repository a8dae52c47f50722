//! InstallSnapshot: the state for a follower whose next entry the leader has dropped (section 7), in chunks.
//!
//! The follower drives, as [`transfer`](crate::replication::transfer) says: it answers each part with how far it has come, and
//! the leader repeats the last part if no answer comes. A copy of an answer asks for a part that is under way, and gets none.
//!
//! A snapshot replaces records without having any: until it is durable, nothing is appended behind it.

use super::message::{EntryId, Message, Record, Term};
use super::replication::State;
use super::{Out, Raft};
use crate::core::{NodeId, Observation};
use crate::machine::{Machine, digest};
use crate::replication::{Chunk, Incoming, Partial, Source};
use serde::{Deserialize, Serialize};

/// What stands before the state machine's bytes in a snapshot on its way.
#[derive(Debug, Serialize, Deserialize)]
struct Title {
    /// The last entry that the state covers.
    last: EntryId,
    /// Who votes after it.
    voters: Vec<NodeId>,
}

impl Raft {
    /// Sends the part that follows `partial`, or the first of the current snapshot.
    pub(super) fn send_snapshot(&mut self, to: NodeId, partial: Option<Partial>, out: &mut Out) {
        let dropped = self.log.dropped().slot;
        let goes_on = |at: &Partial| self.source.as_ref().is_some_and(|source| source.goes_on(at));
        let resumed = partial.filter(goes_on);
        // A new transfer must end where the log in memory can take over.
        let stale = self.source.as_ref().is_none_or(|source| source.slot() < dropped);
        if stale && resumed.is_none() {
            self.source = Some(self.snapshot_to_send());
        }
        let offset = resumed.map_or(0, |partial| partial.offset);
        let (chunk_bytes, now, term) = (self.config.limits.chunk_bytes, self.now, self.term);
        let Some(source) = &mut self.source else { return };
        let Some(chunk) = source.chunk(offset, chunk_bytes, now) else { return };
        if let Some(peer) = self.peer(to, term) {
            peer.sent_at = now;
            peer.state = State::Installing(Some(chunk.at));
        }
        out.send_at_once(to, Message::Snapshot { term, chunk });
    }

    fn snapshot_to_send(&self) -> Source {
        let last = self.log.last_committed();
        let title = Title { last, voters: self.voters.at(last.slot).to_vec() };
        let mut bytes = digest::encode(&title);
        bytes.extend(self.machine.encode());
        Source::new(last.slot, bytes, self.now)
    }

    /// Frees the memory of a snapshot that nobody fetches any more.
    pub(super) fn drop_idle_source(&mut self) {
        let patience = self.config.timing.request;
        if self.source.as_ref().is_some_and(|source| source.is_idle(self.now, patience)) {
            self.source = None;
        }
    }

    /// Takes a chunk, and the whole snapshot with its last one.
    pub(super) fn on_snapshot(&mut self, from: NodeId, term: Term, chunk: &Chunk, out: &mut Out) {
        if !self.follow(from, term, out) || self.installing.is_some() {
            return;
        }
        if chunk.at.slot > self.log.committed() {
            Incoming::take(&mut self.incoming, chunk);
            let Some((_, bytes)) = Incoming::complete(&mut self.incoming) else {
                let partial = self.incoming.as_ref().map(Incoming::partial);
                return out.send_at_once(from, Message::Fetch { term, partial });
            };
            self.install(&bytes, out);
        }
        self.incoming = None;
        // What is committed is in the leader's log, whether it is that of the snapshot or more.
        out.send(from, Message::Appended { term, matched: self.log.last_committed() });
    }

    /// How far a follower has come with a snapshot.
    pub(super) fn on_fetch(
        &mut self,
        from: NodeId,
        term: Term,
        partial: Option<Partial>,
        out: &mut Out,
    ) {
        let now = self.now;
        let Some(peer) = self.peer(from, term) else { return };
        peer.answered_at = now;
        if let State::Installing(sent) = peer.state
            && sent != partial
        {
            self.send_snapshot(from, partial, out);
        }
    }

    /// Replaces this node's state by the complete snapshot. Term and vote stay as they are.
    fn install(&mut self, bytes: &[u8], out: &mut Out) {
        let (Title { last, voters }, state) = postcard::take_from_bytes(bytes)
            .expect("a leader's encoding, whose digest was compared");
        self.machine = Machine::decode(state, &self.config.limits)
            .expect("a peer's encoding of the same state machine");
        self.log.install(last, self.term);
        self.voters.install(last.slot, self.log.last().slot, voters);
        self.validated = self.validated.max(last.slot);
        self.journal.committed = last.slot;
        self.append(Record::Installed(last), out);
        self.installing = Some(self.journal.last());
        out.observe(Observation::Snapshot { slot: last.slot.0, installed: true });
        self.save_snapshot(out);
    }
}
