//! The learner: which values are decided, and applying them in order.

use super::message::Message;
use super::{MultiPaxos, Out, Standing};
use crate::core::{NodeId, Observation};
use crate::machine::Reply;
use crate::replication::{Ballot, Partial, Slot, Value};

impl MultiPaxos {
    /// The leader of `ballot` says that every slot up to `decided` is.
    ///
    /// What this node accepted in that very ballot is then the decided value: the leader has either tallied the slot in
    /// its ballot, in which it proposes one value, or knew the slot before it proposed anything in it. A value accepted
    /// in a lower ballot proves nothing, however plausible.
    pub(super) fn learn_announced(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        decided: Slot,
        out: &mut Out,
    ) {
        while self.log.decided() < decided
            && self.log.get(self.log.decided().next()).is_some_and(|held| held.ballot == ballot)
        {
            self.learn_next(out);
        }
        if self.log.decided() < decided {
            self.notice_lag(from, decided, out);
        }
    }

    /// Decided values from a peer's memory.
    pub(super) fn on_decided(
        &mut self,
        from: NodeId,
        first: Slot,
        values: Vec<Value>,
        decided: Slot,
        out: &mut Out,
    ) {
        if matches!(self.standing, Standing::Leading(_)) {
            // A leader asks for nothing. Taking these would make it announce what it did not tally in its own ballot.
            return;
        }
        let before = self.log.decided();
        for (slot, value) in (first.0..).map(Slot).zip(values) {
            if slot == self.log.decided().next() {
                self.learn(slot, value, out);
            } else if let Some(known) = self.log.get(slot).filter(|_| slot <= before) {
                assert_eq!(known.value, value, "slot {slot} was decided twice");
            }
        }
        if self.log.decided() > before {
            self.caught_up_a_little(from, decided, out);
        }
    }

    /// Learns the value of the first undecided slot.
    fn learn(&mut self, slot: Slot, value: Value, out: &mut Out) {
        let held = self.log.get(slot).is_some_and(|held| held.value == value);
        if held {
            self.learn_next(out);
        } else {
            self.append(super::Record::Learned(slot, value.clone()), out);
            self.log.learn(slot, value.clone());
            self.apply(slot, &value, out);
        }
    }

    /// The first undecided slot is decided, with the value that the log holds; what it answers, request by request.
    pub(super) fn learn_next(&mut self, out: &mut Out) -> Vec<Reply> {
        let value = self.log.decide_next().clone();
        self.apply(self.log.decided(), &value, out)
    }

    fn apply(&mut self, slot: Slot, value: &Value, out: &mut Out) -> Vec<Reply> {
        assert_eq!(slot, self.log.decided(), "applied in order, as decided");
        out.observe(Observation::Decided { slot: slot.0, digest: value.digest() });
        let replies = value.requests().iter().map(|request| self.machine.apply(request)).collect();
        self.memberships.decide(slot, self.governs_after, &self.config.members, value);
        let commands = u32::try_from(value.requests().len()).unwrap_or(u32::MAX);
        out.observe(Observation::Applied { slot: slot.0, commands });
        replies
    }

    /// Every slot up to this one is decided and applied, as far as this node knows.
    pub(crate) fn decided(&self) -> Slot {
        self.log.decided()
    }

    /// A learner that lags asks again after each part, so that one part at a time is under way.
    fn caught_up_a_little(&mut self, from: NodeId, decided: Slot, out: &mut Out) {
        if decided > self.log.decided() {
            self.catch_up_from(from, decided, out);
        }
        self.progressed(out);
    }

    /// Values or a part of a snapshot came in: a candidate that waits for them has reason to go on waiting.
    pub(super) fn progressed(&mut self, out: &mut Out) {
        if matches!(self.standing, Standing::Preparing(_)) {
            self.await_leader();
            self.lead_if_promised(out);
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
        let decided = self.log.decided();
        if decided <= known {
            return;
        }
        let limits = self.config.limits;
        let Some(above) = self.log.decided_after(known) else {
            return self.send_snapshot(from, partial, out);
        };
        let mut bytes = 0;
        let fits = |value: &&Value| {
            let fits = bytes <= limits.chunk_bytes;
            bytes += value.bytes();
            fits
        };
        let values = above.take(limits.batch_commands.max(1)).take_while(fits).cloned().collect();
        out.send_at_once(from, Message::Decided { first: known.next(), values, decided });
    }
}
