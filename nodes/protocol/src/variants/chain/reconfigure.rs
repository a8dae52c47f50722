//! Entering a configuration, and what a node tells the master of itself.

use super::message::{Chain, Place, Record, Status};
use super::{ChainReplication, Out};
use crate::core::Observation;
use crate::replication::Slot;

impl ChainReplication {
    /// Enters a configuration that the master has decided. Everything that is said in it is said after it is durable here.
    pub(super) fn enter(&mut self, chain: Chain, out: &mut Out) {
        let was_head = self.is_head();
        self.entered_record = Some(self.append(Record::Entered(chain.clone()), out));
        self.chain = chain;
        self.entered_at = self.now;
        let index = self.index();
        self.settled = self.chain.sure.contains(&self.config.node);
        self.told = false;
        self.goal = None;
        self.matched = index == Some(0);
        self.behind = None;
        self.incoming = None;
        self.caught_up = None;
        if !self.settled && !self.is_reserve() {
            self.cut_off(out);
        }
        if was_head && !self.is_head() {
            self.give_up_origins(out);
        }
        self.observe_role(out);
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
        self.beat(out);
        self.settle(out);
    }

    /// Forgets what is not acknowledged, as far as this node knows: it may have been lost with others.
    fn cut_off(&mut self, out: &mut Out) {
        if self.last != self.decided {
            let Place { slot, .. } = self.decided;
            self.log.cut_off_after(slot);
            self.append(Record::CutOff(slot), out);
            (self.last, self.durable) = (self.decided, self.decided);
            self.unpersisted.clear();
        }
    }

    pub(super) fn observe_role(&self, out: &mut Out) {
        // A head that restarts leads again in the same configuration, which a ballot must not.
        let ballot = (self.chain.epoch << 32) | (self.config.incarnation & 0xffff_ffff);
        out.observe(Observation::Role { role: crate::core::Core::role(self), ballot });
    }

    pub(super) fn status(&self) -> Status {
        let patience = self.patience();
        let recent = |at: crate::core::Time| self.now.since(at) < patience;
        let is_silent = |node: &crate::core::NodeId| {
            let heard = self.heard.get(node).copied().unwrap_or(self.entered_at);
            !recent(heard.max(self.entered_at))
        };
        Status {
            epoch: self.chain.epoch,
            settled: self.settled && self.awaited == 0,
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
