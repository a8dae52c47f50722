//! Entering a configuration, sealing one, and what a node tells the master of itself.

use super::message::{Chain, Message, Place, Record, Status, Update};
use super::{ChainReplication, Out};
use crate::core::{NodeId, Observation, Position};
use crate::replication::{Slot, Value};

/// A configuration that lasts so many times `election_max` is a calm one.
const CALM: u32 = 8;
/// Patience doubles at most so often.
const UNREST_MAX: u32 = 2;

impl ChainReplication {
    /// Enters a configuration that the master has decided. Everything that is said in it is said after it is durable here.
    pub(super) fn enter(&mut self, chain: Chain, out: &mut Out) {
        let was_head = self.is_head();
        self.append(Record::Entered(chain.clone()), out);
        self.chain = chain;
        let lasted = self.now.since(self.entered_at);
        self.unrest = match lasted < self.config.timing.election_max * CALM {
            true => (self.unrest + 1).min(UNREST_MAX),
            false => 0,
        };
        self.entered_at = self.now;
        self.agreed = self.decided;
        self.behind = None;
        self.incoming = None;
        self.caught_up = None;
        self.take_the_head(out);
        self.observe_role(out);
        self.submit_again(was_head, out);
        self.beat(out);
        self.decide_as_tail(out);
    }

    /// A head's history is the chain's from now on. The no-op tells so to the others, and that it is later than any
    /// that they may hold.
    pub(super) fn take_the_head(&mut self, out: &mut Out) {
        if self.is_head() && !self.is_sealed() && self.last.epoch != self.chain.epoch {
            let (value, asked_by) = (Value::no_op(), Vec::new());
            self.hold(Update { epoch: self.chain.epoch, value, asked_by }, out);
        }
    }

    /// Brings the requests on their way that the former head, the former tail or this node have not taken.
    fn submit_again(&mut self, was_head: bool, out: &mut Out) {
        if was_head && !self.is_head() {
            self.give_up_origins(out);
        }
        let queries = self.queries.start_over();
        self.requests.begin_reign();
        let soon = self.now.after(self.config.timing.resend);
        self.requests.hurry_others(self.chain.epoch, soon);
        if was_head && !self.is_head() {
            for waiting in self.requests.take_forwarded_here() {
                self.submit(waiting, out);
            }
        }
        for (_, waiting) in queries {
            self.submit(waiting, out);
        }
        self.submit_waiting(out);
    }

    /// The leader of the Multi-Paxos is about to change the configuration: this node takes no more updates in it, and
    /// says what it holds. Nothing of that changes before it enters a later one.
    pub(super) fn on_seal(&mut self, from: NodeId, epoch: u64, out: &mut Out) {
        if epoch >= self.chain.epoch {
            self.seal(epoch, out);
            out.send(from, Message::Sealed { epoch, last: self.last });
        }
    }

    pub(super) fn seal(&mut self, epoch: u64, out: &mut Out) -> Option<Position> {
        let seals = self.open_from <= epoch;
        seals.then(|| {
            self.open_from = epoch + 1;
            self.append(Record::Sealed(epoch), out)
        })
    }

    pub(super) fn observe_role(&self, out: &mut Out) {
        // A head that restarts leads again in the same configuration, which a ballot must not.
        let ballot = (self.chain.epoch << 32) | (self.config.incarnation & 0xffff_ffff);
        out.observe(Observation::Role { role: crate::core::Core::role(self), ballot });
    }

    pub(super) fn status(&self) -> Status {
        let patience = self.patience();
        let recent = |at: crate::core::Time| self.now.since(at) < patience;
        let is_silent = |node: &NodeId| {
            let heard = self.heard.get(node).copied().unwrap_or(self.entered_at);
            !recent(heard.max(self.entered_at))
        };
        Status {
            epoch: self.chain.epoch,
            sealed: self.is_sealed(),
            silent: self.successor().filter(is_silent),
            caught_up_with: self.caught_up.filter(|(_, at)| recent(*at)).map(|(node, _)| node),
        }
    }

    /// Forgets acknowledged updates but for the last `keep_entries`.
    pub(super) fn drop_decided(&mut self) {
        let keep = self.config.limits.keep_entries;
        let slot = Slot(self.decided.slot.0.saturating_sub(keep));
        if let Some(update) = self.log.get(slot) {
            self.dropped = Place { epoch: update.epoch, slot };
            self.log.drop_through(slot);
        }
    }
}
