//! The learner: which values are decided, in whatever order, and applying them in slot order.

use super::message::{Message, Record, Run};
use super::{Mencius, Out};
use crate::core::{NodeId, Observation};
use crate::replication::{Ballot, Partial, Slot, Value};

impl Mencius {
    /// Applies every decided slot after the prefix.
    pub(super) fn advance(&mut self, out: &mut Out) {
        while let Some((slot, entry)) = self.log.next_decided() {
            let unrecorded = entry.unrecorded().is_some();
            let Some(value) = entry.decided.clone() else { return };
            if unrecorded {
                self.append(Record::Learned(slot, value.clone()), out);
            }
            self.log.applied_next();
            if !value.requests().is_empty() {
                self.seen = self.seen.max(slot);
            }
            out.observe(Observation::Decided { slot: slot.0, digest: value.digest() });
            let replies =
                value.requests().iter().map(|request| self.machine.apply(request)).collect();
            let commands = u32::try_from(value.requests().len()).unwrap_or(u32::MAX);
            out.observe(Observation::Applied { slot: slot.0, commands });
            self.suggestion_applied(slot, &value, replies, out);
        }
    }

    /// A proposer says what is decided: in each slot whatever was proposed in that ballot, for one ballot proposes one value. A
    /// value accepted in another ballot proves nothing; what this server lacks it fetches later.
    pub(super) fn on_learn(&mut self, decided: &[(Slot, Ballot)], no_ops: &[Run]) {
        for (slot, ballot) in decided {
            if self.log.get(*slot).is_some_and(|entry| entry.ballot() == *ballot) {
                self.log.decide(*slot);
            }
        }
        self.learn_no_ops(no_ops);
    }

    /// Slots that are decided as no-ops: skipped by their owner, or revoked.
    pub(super) fn learn_no_ops(&mut self, runs: &[Run]) {
        let applied = self.log.applied();
        for Run { first, last } in runs {
            let (owner, below) = (self.owners.of(*first), Slot(first.0.saturating_sub(1)));
            for slot in self.owners.slots(owner, below.max(applied), *last) {
                if !self.is_kept(slot) {
                    break;
                }
                self.log.decide_as(slot, Value::no_op());
            }
        }
    }

    /// Decided values from a peer's memory.
    pub(super) fn on_decided(
        &mut self,
        from: NodeId,
        first: Slot,
        values: Vec<Value>,
        applied: Slot,
        out: &mut Out,
    ) {
        let before = self.log.applied();
        for (slot, value) in (first.0..).map(Slot).zip(values) {
            if slot == self.log.applied().next() {
                self.log.decide_as(slot, value);
                self.advance(out);
            }
        }
        if self.log.applied() > before && applied > self.log.applied() {
            self.catch_up_from(from, applied, out);
        }
    }

    /// Answers a learner that lags: values if they are in memory, else a part of a snapshot.
    pub(super) fn on_catch_up(
        &mut self,
        from: NodeId,
        known: Slot,
        partial: Option<Partial>,
        out: &mut Out,
    ) {
        let applied = self.log.applied();
        if applied <= known {
            return;
        }
        let limits = self.config.limits;
        let Some(above) = self.log.applied_after(known) else {
            return self.send_snapshot(from, partial, out);
        };
        let mut bytes = 0;
        let fits = |value: &&Value| {
            let fits = bytes <= limits.chunk_bytes;
            bytes += value.bytes();
            fits
        };
        let count = limits.batch_commands.max(1);
        let values = above.take(count).take_while(fits).cloned().collect();
        out.send_at_once(from, Message::Decided { first: known.next(), values, applied });
    }
}
