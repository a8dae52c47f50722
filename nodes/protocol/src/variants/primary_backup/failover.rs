//! Failover: who hears no primary for a while asks who else lives, and the best of those who answer takes over.

use super::message::{Message, Place};
use super::{Out, PrimaryBackup, Standing};
use crate::core::{NodeId, Observation, Role};
use crate::machine::{Failure, Reply};
use crate::replication::Ballot;
use std::collections::BTreeMap;

/// A node asks whether anybody hears a primary.
#[derive(Debug)]
pub(super) struct Poll {
    number: u64,
    /// The last update that each node holds that has answered, this one included.
    answers: BTreeMap<NodeId, Place>,
}

impl PrimaryBackup {
    /// Waits a random time for a primary to be heard.
    pub(super) fn await_primary(&mut self) {
        let timing = self.config.timing;
        self.failover_at = self.random_time(timing.election_min, timing.election_max);
    }

    /// No primary was heard for long: asks; or, having asked, takes the answers that came.
    pub(super) fn failover_is_due(&mut self, out: &mut Out) {
        if matches!(self.standing, Standing::Polling(_)) {
            return self.fail_over(out);
        }
        self.primary = None;
        self.polls += 1;
        let answers = BTreeMap::from([(self.config.node, self.last)]);
        self.standing = Standing::Polling(Poll { number: self.polls, answers });
        self.failover_at = self.now.after(self.config.timing.resend);
        let ballot = self.epoch.number();
        out.observe(Observation::Election { ballot });
        out.observe(Observation::Role { role: Role::Candidate, ballot });
        out.broadcast_at_once(Message::Poll { number: self.polls });
        self.fail_over_if_all_answered(out);
    }

    pub(super) fn on_poll(&mut self, from: NodeId, number: u64, out: &mut Out) {
        let hears = match self.standing {
            Standing::Primary => Some(self.epoch),
            _ => self.primary.filter(|_| self.hears_a_primary()),
        };
        let (epoch, last) = (self.epoch, self.last);
        out.send_at_once(from, Message::Polled { number, hears, epoch, last });
    }

    fn hears_a_primary(&self) -> bool {
        self.primary.is_some()
            && self.now.since(self.heard_at) < self.config.timing.election_min / 2
    }

    pub(super) fn on_polled(
        &mut self,
        from: NodeId,
        number: u64,
        hears: Option<Ballot>,
        epoch: Ballot,
        last: Place,
        out: &mut Out,
    ) {
        let node = self.config.node;
        let Standing::Polling(poll) = &mut self.standing else { return };
        if poll.number != number {
            return;
        }
        self.epoch = self.epoch.max(epoch);
        if hears.is_some_and(|primary| primary.node != node) {
            self.be_backup(out); // There is one; this node will hear it, too, or be heard by others.
        } else {
            poll.answers.insert(from, last);
            self.fail_over_if_all_answered(out);
        }
    }

    fn fail_over_if_all_answered(&mut self, out: &mut Out) {
        let all = self.config.members.len();
        if matches!(&self.standing, Standing::Polling(poll) if poll.answers.len() == all) {
            self.fail_over(out);
        }
    }

    /// Of those who answered, who holds the most updates takes over; of several, the one with the lowest number.
    fn fail_over(&mut self, out: &mut Out) {
        let Standing::Polling(poll) = &self.standing else { return };
        let rank = |(node, last): (&NodeId, &Place)| (*last, std::cmp::Reverse(*node));
        let best = poll.answers.iter().map(rank).max();
        match best {
            Some((_, std::cmp::Reverse(node))) if node != self.config.node => {
                out.send_at_once(node, Message::TakeOver { above: self.epoch });
                self.be_backup(out);
            }
            _ => self.become_primary(out),
        }
    }

    pub(super) fn on_take_over(&mut self, above: Ballot, out: &mut Out) {
        if !matches!(self.standing, Standing::Primary) && !self.hears_a_primary() {
            self.epoch = self.epoch.max(above);
            self.become_primary(out);
        }
    }

    /// Begins an epoch above all that this node has met.
    pub(super) fn become_primary(&mut self, out: &mut Out) {
        self.set_epoch(Ballot { round: self.epoch.round + 1, node: self.config.node }, out);
        self.standing = Standing::Primary;
        self.primary = None;
        self.behind = None;
        self.source = None;
        self.incoming = None;
        out.observe(Observation::Role { role: Role::Leader, ballot: self.epoch.number() });
        self.requests.begin_reign();
        self.beat(out);
        self.submit_waiting(out);
    }

    pub(super) fn beat(&mut self, out: &mut Out) {
        out.broadcast_at_once(Message::Heartbeat { epoch: self.epoch, last: self.applied });
    }

    fn be_backup(&mut self, out: &mut Out) {
        self.standing = Standing::Backup;
        out.observe(Observation::Role { role: Role::Follower, ballot: self.epoch.number() });
        self.await_primary();
    }

    /// A primary speaks. Whether this node follows it: not if it is, or hears, one of a higher epoch.
    pub(super) fn hear(&mut self, epoch: Ballot, out: &mut Out) -> bool {
        let current = match self.standing {
            Standing::Primary => Some(self.epoch),
            _ => self.primary,
        };
        if epoch.node == self.config.node || current.is_some_and(|current| epoch < current) {
            return false;
        }
        if current != Some(epoch) {
            self.follow(epoch, out);
        }
        self.heard_at = self.now;
        self.await_primary();
        true
    }

    fn follow(&mut self, epoch: Ballot, out: &mut Out) {
        let was_primary = matches!(self.standing, Standing::Primary);
        if epoch > self.epoch {
            self.set_epoch(epoch, out);
        }
        self.be_backup(out);
        self.primary = Some(epoch);
        self.behind = None;
        self.incoming = None;
        if was_primary {
            for origin in self.unapplied.iter_mut().flat_map(|held| held.origins.drain(..)) {
                self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
            }
            for waiting in self.requests.take_forwarded_here() {
                self.submit(waiting, out);
            }
        }
        self.requests.hurry_others(epoch, self.now.after(self.config.timing.resend));
        self.submit_waiting(out);
    }
}
