//! Every node as a proposer of fast rounds: its clients' requests go to all acceptors without a detour to the leader.
//!
//! Invariants: a node has one proposal of a fast round under way, for one slot of one reign. It can be chosen there and
//! nowhere else, so once the slot is decided otherwise the requests have surely had no effect by it, and wait anew. If the
//! reign ends first, nobody may ever decide the slot, or the next leader may propose the value in it: the requests wait
//! anew as *exposed*, and sessions see to it that they take effect once.

use super::message::{Message, Proposal};
use super::round::Round;
use super::{FastPaxos, Out};
use crate::core::Time;
use crate::machine::{Failure, Reply};
use crate::replication::{Ballot, Origin, Slot, Value, Waiting};

/// A proposal of a fast round, under way.
#[derive(Debug)]
pub(super) struct Attempt {
    reign: Ballot,
    slot: Slot,
    value: Value,
    /// Who waits for each request of the value, until when; `None` for those who were told that they waited in vain.
    origins: Vec<Option<(Origin, Time)>>,
    sent_at: Time,
}

impl FastPaxos {
    /// The reign whose fast round is open, and from which slot on, as far as this node knows.
    pub(super) fn open(&self) -> Option<(Ballot, Slot)> {
        let reign = match &self.standing {
            super::Standing::Leading(leading) => Some(leading.reign),
            super::Standing::Follower => self.leader,
            _ => None,
        };
        reign.filter(|reign| *reign == self.promised).zip(self.fast)
    }

    /// Phase 2a of this node as a proposer: all that waits, for the first slot that it takes for free.
    pub(super) fn propose_fast(&mut self, out: &mut Out) {
        let Some((reign, from)) = self.open() else { return };
        if self.attempt.is_some() || self.requests.waiting() == 0 {
            return;
        }
        let met = self.ballots.last_key_value().map_or(Slot(0), |(slot, _)| *slot);
        let slot = self.log.last().max(met).next().max(from);
        if slot.0 - self.log.decided().0 > self.window() {
            return;
        }
        let (value, origins) = self.requests.take_batch_until();
        let origins = origins.into_iter().map(Some).collect();
        out.broadcast_at_once(Message::Propose { reign, slot, value: value.clone() });
        let attempt = Attempt { reign, slot, value: value.clone(), origins, sent_at: self.now };
        self.attempt = Some(attempt);
        self.vote(Proposal { slot, round: Round::fast(reign), value: value.clone() }, out);
        self.note_seen(slot, value);
    }

    /// `slot` is decided: answers who waited for it, or lets them wait anew.
    pub(super) fn settle_fast(
        &mut self,
        slot: Slot,
        value: &Value,
        replies: Vec<Reply>,
        out: &mut Out,
    ) {
        let Some(attempt) = self.attempt.take_if(|attempt| attempt.slot <= slot) else { return };
        if attempt.value != *value {
            return self.attempt_again(attempt, false, out);
        }
        for (origin, reply) in attempt.origins.into_iter().zip(replies) {
            if let Some((origin, _)) = origin {
                self.requests.answer(origin, reply, out);
            }
        }
    }

    /// The requests of an attempt wait anew. `exposed` says that it may still succeed.
    fn attempt_again(&mut self, attempt: Attempt, may_succeed: bool, out: &mut Out) {
        let requests = attempt.value.requests().iter().cloned();
        for (origin, request) in attempt.origins.into_iter().zip(requests) {
            let Some((origin, deadline)) = origin else { continue };
            let origin = match origin {
                Origin::Client { id, exposed } => {
                    Origin::Client { id, exposed: exposed || may_succeed }
                }
                Origin::Peer(..) if may_succeed => {
                    self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
                    continue;
                }
                peer @ Origin::Peer(..) => peer,
            };
            self.submit(Waiting { origin, request, deadline }, out);
        }
    }

    /// A snapshot has replaced every slot up to this one: what became of an attempt there is unknown.
    pub(super) fn forget_through(&mut self, slot: Slot, out: &mut Out) {
        self.ballots = self.ballots.split_off(&slot.next());
        let Some(attempt) = self.attempt.take_if(|attempt| attempt.slot <= slot) else { return };
        for (origin, _) in attempt.origins.into_iter().flatten() {
            self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
        }
    }

    /// From time to time: sends the attempt again, gives it up with its reign, or tells who has waited too long.
    pub(super) fn look_after_attempt(&mut self, out: &mut Out) {
        let (now, resend) = (self.now, self.config.timing.resend);
        let Some(attempt) = &mut self.attempt else { return };
        for origin in &mut attempt.origins {
            if let Some((origin, _)) = origin.take_if(|(_, deadline)| *deadline <= now) {
                self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
            }
        }
        if now.since(attempt.sent_at) < resend {
            return;
        }
        attempt.sent_at = now;
        let Attempt { reign, slot, .. } = *attempt;
        if reign == self.promised {
            let value = attempt.value.clone();
            out.broadcast_at_once(Message::Propose { reign, slot, value });
        } else if let Some(attempt) = self.attempt.take() {
            self.attempt_again(attempt, true, out);
        }
    }
}
