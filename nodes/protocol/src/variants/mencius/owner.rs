//! The owner of slots: suggests in them without phase 1, or skips them (rules 1, 2 and 4 of the paper).
//!
//! Invariants: each own slot is used once, in order, for a suggestion or a skip; none is used above the durable
//! reservation for a suggestion, so no incarnation uses one that an earlier one may have used. A skip is decided once its
//! record is durable. Replies leave once the slot is decided and applied.

use super::message::{Message, Proposal, Record, Run};
use super::slots::{initial, is_skip, skip};
use super::{Mencius, Out};
use crate::core::{Config, NodeId, Observation, Position, RequestId, Time};
use crate::machine::{Failure, Reply, Request};
use crate::replication::{Ballot, Origin, Slot, Value, Waiting};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

/// Own slots that a reservation covers at once. Half of them are left when the next one is written.
const RESERVED: u64 = 32;

/// How far this server may suggest. Suggestions leave while their record is being written; a crash can lose the record, and
/// not the message. So no later incarnation suggests in a slot that is reserved.
#[derive(Debug)]
pub(super) struct Reservation {
    /// The last slot of the newest reservation.
    pub(super) asked: Slot,
    /// Where its record stands.
    record: Position,
    /// The last slot of which the reservation is durable.
    durable: Slot,
}

impl Reservation {
    /// What an earlier incarnation may have used.
    pub(super) fn recovered(asked: Slot) -> Self {
        Self { asked, record: Position(0), durable: Slot(0) }
    }

    pub(super) fn persisted(&mut self, upto: Position) {
        if self.record < upto {
            self.durable = self.asked;
        }
    }
}

/// What this server does with its own slots.
#[derive(Debug)]
pub(super) struct Suggestions {
    /// The ballot of this incarnation's suggestions.
    pub(super) ballot: Ballot,
    /// The first own slot that is neither suggested in nor skipped: the *index* of the paper.
    pub(super) next: Slot,
    /// The first own slot of this incarnation: what is undecided below is left over from an earlier one.
    pub(super) first: Slot,
    /// Others have promised not to accept suggestions up to this slot.
    pub(super) refused: Slot,
    pub(super) under_way: BTreeMap<Slot, Suggestion>,
    /// Skips whose records are not known to be durable.
    skipping: VecDeque<(Position, Slot)>,
    /// Slots whose decision other servers are to be told, with the ballot in which their value was proposed.
    pub(super) to_tell: Vec<(Slot, Ballot)>,
    /// No-ops up to this slot were told with an announcement.
    told: Slot,
}

/// A suggestion that is not decided, not applied, or not announced.
#[derive(Debug)]
pub(super) struct Suggestion {
    value: Value,
    /// Where this server's own record of it stands.
    record: Position,
    acked: Vec<NodeId>,
    at: Time,
    sent_at: Time,
    announced: bool,
    /// Until when somebody waits for each request of the value.
    deadline: Time,
    origins: Vec<Origin>,
}

impl Suggestions {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            ballot: initial(config),
            next: Slot(0),
            first: Slot(0),
            refused: Slot(0),
            under_way: BTreeMap::new(),
            skipping: VecDeque::new(),
            to_tell: Vec::new(),
            told: Slot(0),
        }
    }
}

impl Mencius {
    /// Finds out where to go on after a start: above everything that an earlier incarnation may have used.
    pub(super) fn recover_position(&mut self) {
        let node = self.config.node;
        let mut used = self.reservation.asked.max(self.log.applied());
        used = used.max(self.bounds.get(&node).map_or(Slot(0), |bound| bound.upto));
        let mut round = self.bounds.values().map(|bound| bound.ballot.round).max().unwrap_or(0);
        for (slot, entry) in self.log.above_applied(Slot(0)) {
            round = round.max(entry.ballot().round);
            if entry.value().is_some_and(|value| !value.requests().is_empty()) {
                self.seen = slot;
            }
            if self.owners.of(slot) == node {
                used = used.max(slot);
            }
        }
        self.seen = self.seen.max(self.log.applied());
        self.revoker.round_met = round;
        self.suggestions.next = self.owners.next(node, used);
        self.suggestions.first = self.suggestions.next;
    }

    /// Reserves more slots before they are needed.
    pub(super) fn reserve_ahead(&mut self, out: &mut Out) {
        let ahead = |slots: u64| Slot(self.suggestions.next.0 + slots * self.owners.count());
        if self.reservation.asked < ahead(RESERVED / 2) {
            self.reservation.asked = ahead(RESERVED);
            self.append(Record::Reserved(self.reservation.asked), out);
            self.reservation.record = self.journal.last();
        }
    }

    pub(super) fn on_request(&mut self, id: RequestId, request: Request, out: &mut Out) {
        let origin = Origin::Client { id, exposed: false };
        if self.requests.waiting() >= self.config.limits.queue {
            self.requests.refuse(origin, out);
        } else {
            let deadline = self.now.after(self.config.timing.request);
            self.requests.wait(Waiting { origin, request, deadline });
        }
    }

    /// Suggests what waits: at once while few slots are under way, in full batches beyond that.
    pub(super) fn suggest_waiting(&mut self, out: &mut Out) {
        if self.requests.waiting() > 0 {
            self.pass_known(out);
            if !self.has_room() {
                // Restarts and revocations have moved the own slots far ahead of what was ever needed. Now it is: all
                // servers shall skip, or revoke what they have left over, up to there.
                self.seen = self.seen.max(self.suggestions.next);
            }
        }
        while self.requests.waiting() > 0 && self.may_suggest() {
            let slot = self.suggestions.next;
            let (value, origins) = self.requests.take_batch();
            self.suggest(slot, value, origins, out);
            self.pass_known(out);
        }
    }

    fn may_suggest(&self) -> bool {
        let limits = self.config.limits;
        let Suggestions { next, under_way, .. } = &self.suggestions;
        let pending = under_way.range((Excluded(self.log.applied()), Unbounded)).count();
        let eager = pending < self.eager || self.requests.waiting() >= limits.batch_commands;
        let allowed = eager && pending < limits.pipeline.max(1) && self.has_room();
        allowed && *next <= self.reservation.durable && self.hears_quorum()
    }

    /// Whether the next own slot is near enough for the others to accept something there.
    fn has_room(&self) -> bool {
        self.suggestions.next.0 - self.log.applied().0 <= self.window() / 2
    }

    /// Phase 2 in the initial ballot. The message does not wait for this server's own record.
    fn suggest(&mut self, slot: Slot, value: Value, origins: Vec<Origin>, out: &mut Out) {
        let ballot = self.suggestions.ballot;
        let proposal = Proposal { slot, ballot, value: value.clone() };
        let applied = self.log.applied();
        out.broadcast_at_once(Message::Accept { proposal: proposal.clone(), applied });
        self.accept(proposal, out);
        let suggestion = Suggestion {
            value,
            record: self.journal.last(),
            acked: Vec::new(),
            at: self.now,
            sent_at: self.now,
            announced: false,
            deadline: self.now.after(self.config.timing.request),
            origins,
        };
        self.suggestions.under_way.insert(slot, suggestion);
        self.suggestions.next = self.owners.after(slot);
        self.reserve_ahead(out);
    }

    /// Goes on to the first own slot of which nothing is known: what others have revoked is not to be used.
    pub(super) fn pass_known(&mut self, out: &mut Out) {
        let node = self.config.node;
        let applied = self.log.applied();
        if self.suggestions.next <= applied {
            self.suggestions.next = self.owners.next(node, applied);
        }
        while self.log.get(self.suggestions.next).is_some() {
            self.suggestions.next = self.owners.after(self.suggestions.next);
        }
        self.reserve_ahead(out);
    }

    /// Rule 2: skips the own unused slots below `limit`, where somebody else is by now.
    pub(super) fn skip_below(&mut self, limit: Slot, out: &mut Out) {
        self.pass_known(out);
        while self.suggestions.next < limit && self.is_kept(self.suggestions.next) {
            let (slot, owner) = (self.suggestions.next, self.config.node);
            let proposal = Proposal { slot, ballot: skip(owner), value: Value::no_op() };
            self.observe_accepted(&proposal, out);
            self.append(Record::Skipped(slot, owner), out);
            self.log.accept(proposal);
            self.suggestions.skipping.push_back((self.journal.last(), slot));
            self.pass_known(out);
        }
    }

    /// Others have given up, or may give up, this server's slots up to `upto`: none of them is used any more. Those that never
    /// were are skipped.
    pub(super) fn yield_own(&mut self, upto: Slot, out: &mut Out) {
        self.skip_below(upto.next(), out);
        let next = self.owners.next(self.config.node, upto);
        self.suggestions.next = self.suggestions.next.max(next);
        self.pass_known(out);
    }

    /// Own slots between the two, exclusive, that this server has skipped. Not to be said before all records are durable.
    pub(super) fn own_skips(&self, above: Slot, below: Slot) -> Vec<Run> {
        let mut runs = Vec::new();
        let last = below.min(self.suggestions.next);
        for slot in self.owners.slots(self.config.node, above.max(self.log.dropped()), last) {
            let skipped = self.log.get(slot).is_some_and(|entry| {
                is_skip(entry.ballot())
                    || entry.decided.as_ref().is_some_and(|value| value.requests().is_empty())
            });
            if skipped && slot < below {
                self.lengthen(&mut runs, slot);
            }
        }
        runs
    }

    fn lengthen(&self, runs: &mut Vec<Run>, slot: Slot) {
        match runs.last_mut().filter(|run| self.owners.after(run.last) == slot) {
            Some(run) => run.last = slot,
            None => runs.push(Run { first: slot, last: slot }),
        }
    }

    /// A peer has accepted, and says what it has skipped for it (optimization 1).
    pub(super) fn on_ack(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        slot: Slot,
        skips: &[Run],
        out: &mut Out,
    ) {
        self.learn_no_ops(skips);
        let own = ballot == self.suggestions.ballot;
        if let Some(suggestion) = self.suggestions.under_way.get_mut(&slot).filter(|_| own) {
            if !suggestion.acked.contains(&from) {
                suggestion.acked.push(from);
                self.decide_suggestion(slot);
            }
        } else if !self.revocation_acked(from, ballot, slot) {
            self.tell_again(from, ballot, slot, out);
        }
    }

    /// Somebody accepts what was decided and announced without it.
    fn tell_again(&self, to: NodeId, ballot: Ballot, slot: Slot, out: &mut Out) {
        let known = self.log.get(slot).filter(|entry| entry.decided.is_some());
        if known.is_some_and(|entry| entry.ballot() == ballot && entry.unrecorded().is_none()) {
            let decided = vec![(slot, ballot)];
            out.send_at_once(to, Message::Learn { decided, no_ops: Vec::new() });
        }
    }

    /// Counts the server's own acceptances and skips, as far as its records are durable.
    pub(super) fn count_own_acceptances(&mut self) {
        let (node, persisted) = (self.config.node, self.journal.persisted);
        while let Some((_, slot)) =
            self.suggestions.skipping.pop_front_if(|(record, _)| *record < persisted)
        {
            self.log.decide_as(slot, Value::no_op());
        }
        let mut counted = Vec::new();
        for (slot, suggestion) in &mut self.suggestions.under_way {
            if suggestion.record < persisted && !suggestion.acked.contains(&node) {
                suggestion.acked.push(node);
                counted.push(*slot);
            }
        }
        counted.into_iter().for_each(|slot| self.decide_suggestion(slot));
    }

    fn decide_suggestion(&mut self, slot: Slot) {
        let Some(suggestion) = self.suggestions.under_way.get(&slot) else { return };
        if suggestion.acked.len() >= self.quorum {
            self.log.decide_as(slot, suggestion.value.clone());
        }
    }

    /// An own slot, if this is one, is applied: answers who waited, or suggests the requests anew if the slot was revoked
    /// (rule 4): they surely took no effect there.
    pub(super) fn suggestion_applied(
        &mut self,
        slot: Slot,
        value: &Value,
        replies: Vec<Reply>,
        out: &mut Out,
    ) {
        let Some(mut suggestion) = self.suggestions.under_way.remove(&slot) else { return };
        let origins = std::mem::take(&mut suggestion.origins);
        if suggestion.value != *value {
            let deadline = suggestion.deadline;
            let again = origins.into_iter().zip(suggestion.value.requests());
            let again = again.map(|(origin, request)| {
                let request = request.clone();
                Waiting { origin, request, deadline }
            });
            return self.requests.wait_again(again);
        }
        for (origin, reply) in origins.into_iter().zip(replies) {
            self.requests.answer(origin, reply, out);
        }
        if !suggestion.announced {
            self.suggestions.under_way.insert(slot, suggestion);
        }
    }

    /// What became of the suggestions up to `slot` is hidden in a peer's snapshot.
    pub(super) fn suggestions_covered(&mut self, slot: Slot, out: &mut Out) {
        let above = self.suggestions.under_way.split_off(&slot.next());
        let covered = std::mem::replace(&mut self.suggestions.under_way, above);
        for origin in covered.into_values().flat_map(|suggestion| suggestion.origins) {
            self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
        }
    }

    /// Tells everybody what is decided, once every peer that seems to live has accepted it, and what was skipped below. One
    /// that does not answer in time is not waited for.
    pub(super) fn announce(&mut self, out: &mut Out) {
        let late = self.config.timing.resend * 2;
        let trusted: Vec<_> = self.trusted_peers().collect();
        let Suggestions { ballot, under_way, to_tell, .. } = &mut self.suggestions;
        let (mut last, applied) = (Slot(0), self.log.applied());
        for (slot, suggestion) in under_way.iter_mut() {
            let complete = trusted.iter().all(|peer| suggestion.acked.contains(peer));
            let due = complete || self.now.since(suggestion.at) >= late;
            // A slot that was revoked is decided, too, but not in this ballot. One that is applied is here no more then.
            let decided = self.log.decided(*slot);
            let chosen = *slot <= applied || decided == Some(&suggestion.value);
            if due && chosen && !suggestion.announced {
                suggestion.announced = true;
                to_tell.push((*slot, *ballot));
                last = *slot;
            }
        }
        under_way.retain(|slot, suggestion| *slot > applied || !suggestion.announced);
        if !to_tell.is_empty() {
            let decided = std::mem::take(to_tell);
            let no_ops = self.no_ops_to_tell(last);
            out.broadcast_at_once(Message::Learn { decided, no_ops });
        }
    }

    /// The no-ops below `last` that were not told yet.
    fn no_ops_to_tell(&mut self, last: Slot) -> Vec<Run> {
        let (mut runs, told) = (Vec::new(), self.suggestions.told);
        let no_op = |slot| self.log.decided(slot).is_some_and(|value| value.requests().is_empty());
        for owner in &self.config.members {
            for slot in self.owners.slots(*owner, told.max(self.log.dropped()), last) {
                if no_op(slot) {
                    self.lengthen(&mut runs, slot);
                }
            }
        }
        self.suggestions.told = told.max(last);
        runs
    }

    /// Repeats suggestions for peers that live but have not accepted. The others would only find their queues full of it.
    pub(super) fn suggest_again(&mut self, out: &mut Out) {
        let (now, resend, applied) = (self.now, self.config.timing.resend, self.log.applied());
        let trusted: Vec<_> = self.trusted_peers().collect();
        let ballot = self.suggestions.ballot;
        for (slot, suggestion) in &mut self.suggestions.under_way {
            if suggestion.announced || now.since(suggestion.sent_at) < resend {
                continue;
            }
            suggestion.sent_at = now;
            let proposal = Proposal { slot: *slot, ballot, value: suggestion.value.clone() };
            for peer in trusted.iter().filter(|peer| !suggestion.acked.contains(peer)) {
                let message = Message::Accept { proposal: proposal.clone(), applied };
                out.send_at_once(*peer, message);
            }
        }
    }

    /// Nobody waits longer than `Timing::request` for what may yet be decided.
    pub(super) fn give_up_old_suggestions(&mut self, out: &mut Out) {
        let mut given_up = Vec::new();
        for suggestion in self.suggestions.under_way.values_mut() {
            if suggestion.deadline <= self.now {
                given_up.append(&mut suggestion.origins);
            }
        }
        for origin in given_up {
            self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
        }
    }

    pub(super) fn observe_accepted(&self, proposal: &Proposal, out: &mut Out) {
        out.observe(Observation::Accepted {
            slot: proposal.slot.0,
            ballot: proposal.ballot.number(),
            digest: proposal.value.digest(),
        });
    }
}
