//! Catching up: how a node that lags finds out, asks, and takes over decisions, or a peer's state in chunks.
//!
//! The one who lags drives, as [`transfer`](crate::replication::transfer) says, and asks whoever says next that it knows
//! more.

use super::message::{Decision, Deps, Instance, Message};
use super::{EPaxos, Head, Out};
use crate::core::{NodeId, Time};
use crate::machine::Machine;
use crate::replication::{Chunk, Incoming, Partial, Slot, Source};

/// What a node knows of its own lag.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// How much was known when a lag was last noticed, and since when it has been so.
    stuck: Option<(u64, Time)>,
    /// When it last asked.
    asked_at: Option<Time>,
}

impl EPaxos {
    /// A peer knows more. It may be on its way: asks only if this lasts, or if it is more than what can be under way.
    pub(super) fn on_status(
        &mut self,
        from: NodeId,
        committed: &Deps,
        barriers: u64,
        out: &mut Out,
    ) {
        let own = self.log.committed();
        let lag: u64 = committed.rows().map(|(row, last)| last.saturating_sub(own.of(row))).sum();
        if lag == 0 && barriers <= self.barriers {
            return; // Somebody else may know more: two who lag alike must not calm each other.
        }
        let known = own.rows().map(|(_, last)| last).sum::<u64>() + self.barriers;
        let since = match self.catch_up.stuck {
            Some((at, since)) if at == known => since,
            _ => self.now,
        };
        self.catch_up.stuck = Some((known, since));
        let resend = self.config.timing.resend;
        let lasts = self.now.since(since) >= resend;
        let waits = self.catch_up.asked_at.is_some_and(|at| self.now.since(at) < resend);
        if (lasts || lag > 2 * self.config.limits.pipeline as u64 + 16) && !waits {
            self.ask(from, out);
        }
    }

    fn ask(&mut self, source: NodeId, out: &mut Out) {
        self.catch_up.asked_at = Some(self.now);
        let barriers = self.barriers;
        self.incoming.take_if(|incoming| incoming.slot().0 <= barriers);
        let partial = self.incoming.as_ref().map(Incoming::partial);
        let committed = self.log.committed();
        out.send_at_once(source, Message::CatchUp { committed, barriers, partial });
    }

    pub(super) fn on_catch_up(
        &mut self,
        from: NodeId,
        committed: &Deps,
        barriers: u64,
        partial: Option<Partial>,
        out: &mut Out,
    ) {
        let dropped = self.log.dropped();
        if dropped.within(committed) {
            self.send_decisions(from, committed, out);
        } else if barriers < self.barriers {
            self.send_snapshot(from, partial, out);
        }
        // Otherwise that node has executed all that was dropped here, and will say so.
    }

    /// Sends decisions after `committed`, of all rows in turn, as many as fit.
    fn send_decisions(&mut self, to: NodeId, committed: &Deps, out: &mut Out) {
        let mut rows: Vec<_> = (0u32..)
            .zip(committed.rows())
            .map(|(row, (_, last))| self.log.decisions_after(row, last))
            .collect();
        let (mut decisions, mut bytes) = (Vec::new(), 0);
        while bytes < self.config.limits.chunk_bytes {
            let before = decisions.len();
            for row in &mut rows {
                if let Some((instance, payload, deps)) = row.next() {
                    bytes += payload.bytes() + 16 * rows_of(deps);
                    let (payload, deps) = (payload.clone(), deps.clone());
                    decisions.push(Decision { instance, payload, deps });
                }
            }
            if decisions.len() == before {
                break;
            }
        }
        if !decisions.is_empty() {
            let committed = self.log.committed();
            out.send_at_once(to, Message::Decided { decisions, committed });
        }
    }

    /// Tells a node that asks for a vote that the instance is decided.
    pub(super) fn tell_decision(&mut self, to: NodeId, instance: Instance, out: &mut Out) {
        let committed = self.log.committed();
        let message = match self.log.decision(instance) {
            Some((payload, deps)) => {
                let (payload, deps) = (payload.clone(), deps.clone());
                let decisions = vec![Decision { instance, payload, deps }];
                Message::Decided { decisions, committed }
            }
            None => Message::Status { committed, barriers: self.barriers },
        };
        out.send_at_once(to, message);
    }

    pub(super) fn on_decided(
        &mut self,
        from: NodeId,
        decisions: Vec<Decision>,
        committed: &Deps,
        out: &mut Out,
    ) {
        let before = self.log.committed();
        self.take_decisions(decisions);
        let now = self.log.committed();
        if self.catch_up.asked_at.is_some() && now != before && !committed.within(&now) {
            self.ask(from, out);
        }
    }

    /// Sends the next chunk of the snapshot that the peer has a part of, or the first of the current one.
    fn send_snapshot(&mut self, to: NodeId, partial: Option<Partial>, out: &mut Out) {
        let resumed = partial
            .filter(|partial| self.source.as_ref().is_some_and(|source| source.goes_on(partial)));
        let stale = self.source.as_ref().is_none_or(|source| source.slot().0 < self.barriers);
        if stale && resumed.is_none() {
            let bytes = self.head().for_peers().join(&self.machine.encode()).data;
            self.source = Some(Source::new(Slot(self.barriers), bytes, self.now));
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
        if chunk.at.slot.0 <= self.barriers || !Incoming::take(&mut self.incoming, chunk) {
            return;
        }
        if let Some((_, bytes)) = Incoming::complete(&mut self.incoming) {
            self.install(bytes, out);
        }
        self.ask(from, out);
    }

    /// Replaces this node's state by that of a node which has executed more barriers. That includes all that this node has
    /// executed, but for no-ops; see "Bounds" in [`super`]. Votes above it stay as they are.
    fn install(&mut self, data: Vec<u8>, out: &mut Out) {
        let snapshot = crate::core::Snapshot { data };
        let (head, state) = Head::split(&snapshot).expect("a peer's encoding of its own head");
        self.machine = Machine::decode_commuting(state, &self.config.limits)
            .expect("a peer's encoding of the same state machine");
        self.assert_only_no_ops_after(&head.executed);
        self.barriers = head.barriers;
        self.common.merge(&head.common);
        self.since_barrier = 0;
        self.conflicts.merge(head.conflicts);
        for (row, executed) in head.executed.rows() {
            self.log.jump(row, head.dropped.of(row), executed);
        }
        for (instance, entry) in head.entries {
            if instance.number > self.log.dropped_in(instance.row())
                && let super::Vote::Committed { payload, deps } = entry.vote
                && self.log.decision(instance).is_none()
            {
                self.log.commit(instance, payload, deps);
            }
        }
        self.after_install(out);
    }

    fn assert_only_no_ops_after(&self, executed: &Deps) {
        for (row, last) in self.log.executed().rows() {
            for number in executed.of(row) + 1..=last {
                let decision = self.log.decision(self.instance(row, number));
                assert!(
                    matches!(decision, Some((super::Payload::NoOp, _))),
                    "a state of more barriers lacks an instance of row {row}"
                );
            }
        }
    }

    fn after_install(&mut self, out: &mut Out) {
        self.blocked.fill(None);
        let settled: Vec<_> = self.attempts.keys().copied().collect();
        for instance in settled {
            if self.log.is_committed(instance) {
                self.attempts.remove(&instance);
            }
        }
        let executed = self.log.executed_in(self.row);
        assert!(executed < self.next, "only the owner proposes in its row");
        self.barrier.take_if(|own| *own <= executed);
        let rest = self.own.split_off(&(executed + 1));
        for own in std::mem::replace(&mut self.own, rest).into_values() {
            self.give_up(own.origins, out);
        }
        (0..self.log.rows()).for_each(|row| self.trust(row));
        self.save_snapshot(out);
    }
}

fn rows_of(deps: &Deps) -> usize {
    deps.rows().count()
}
