//! The state as a whole, for a node that lacks more than what its peers still have in memory.

use super::message::{Message, Place, Record};
use super::{ChainReplication, Out};
use crate::core::{NodeId, Observation};
use crate::machine::Machine;
use crate::replication::{Chunk, Incoming, Partial, Source, Window};

impl ChainReplication {
    pub(super) fn send_snapshot(&mut self, to: NodeId, partial: Option<Partial>, out: &mut Out) {
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
        let asked = !self.is_sealed() && (!member || self.predecessor() == Some(from));
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
        if self.holds(place) {
            // What stands after that may be acknowledged, too, and nobody else's: it must not be forgotten.
            self.agreed = self.agreed.max(place);
            self.advance(place.slot, out);
            return;
        }
        self.machine = Machine::decode(state, &self.config.limits).expect("a peer's state machine");
        (self.dropped, self.decided, self.durable) = (place, place, place);
        (self.agreed, self.last) = (place, place);
        self.log = Window::starting_after(place.slot);
        self.unpersisted.clear();
        self.source = None;
        self.append(Record::Installed(place.slot), out);
        out.observe(Observation::Snapshot { slot: place.slot.0, installed: true });
        self.save_snapshot(out);
        // The next question leaves once this is durable, and its answer tells so.
        self.awaited = self.syncs + 1;
    }
}
