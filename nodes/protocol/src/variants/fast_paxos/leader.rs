//! The leader, the coordinator of both rounds of its reign: classic proposals, opening the fast round, and recovery from
//! collisions.
//!
//! Invariants: one value a slot is proposed in the classic round; below the slot from which on the fast round is open it
//! is a new one, or what phase 1 has brought up; above it what the rule makes of the votes of the fast round. A proposal
//! counts as accepted here only when this node's own record is durable.
//!
//! *Coordinated recovery* (section 3.2.2): an acceptor that has voted in the fast round of a slot votes no more in it, so its
//! phase 2b is as good as a phase 1b of the classic round of the reign: with those of a classic quorum the leader begins
//! phase 2 of the classic round at once.

use super::message::{Message, Proposal};

use super::round::{Round, Vote};
use super::{FastPaxos, Out, Standing};
use crate::core::{NodeId, Observation, Position, Role, Time};
use crate::machine::{Failure, Reply};
use crate::replication::{Ballot, Origin, Slot, Value};
use std::collections::BTreeMap;

/// The time in which a node leads.
#[derive(Debug)]
pub(super) struct Reign {
    pub(super) reign: Ballot,
    /// The first slot for which nothing was proposed in the classic round, while the fast one is not open.
    next: Slot,
    /// Undecided proposals of the classic round.
    under_way: BTreeMap<Slot, UnderWay>,
    /// When each peer last answered something of this reign.
    answered: BTreeMap<NodeId, Time>,
}

/// A proposal in phase 2 of the classic round.
#[derive(Debug)]
struct UnderWay {
    /// Where this node's own record of it stands.
    record: Position,
    accepted_by: Vec<NodeId>,
    sent_at: Time,
    /// Who waits for each request of the value. Empty for what phase 1 or a fast round brought up.
    origins: Vec<Origin>,
}

impl Reign {
    /// The reign which begins with the promises of peers that answered at these times, and proposes anew from `next` on.
    pub(super) fn new(
        reign: Ballot,
        next: Slot,
        answered: impl Iterator<Item = (NodeId, Time)>,
    ) -> Self {
        Self { reign, next, under_way: BTreeMap::new(), answered: answered.collect() }
    }

    /// How many nodes have accepted the proposal for `slot`.
    pub(super) fn accepted_by(&self, slot: Slot) -> usize {
        self.under_way.get(&slot).map_or(0, |under_way| under_way.accepted_by.len())
    }

    /// Whether `peer` has answered lately.
    fn lives(&self, peer: NodeId, now: Time, patience: std::time::Duration) -> bool {
        self.answered.get(&peer).is_some_and(|at| now.since(*at) < patience)
    }

    /// How many nodes, the leader included, have answered since `since`.
    fn alive(&self, now: Time, patience: std::time::Duration) -> usize {
        1 + self.answered.values().filter(|at| now.since(**at) < patience).count()
    }
}

impl FastPaxos {
    /// Phase 2a of the classic round. The message does not wait for this node's own record.
    pub(super) fn propose(
        &mut self,
        slot: Slot,
        value: Value,
        origins: Vec<Origin>,
        out: &mut Out,
    ) {
        let Standing::Leading(leading) = &self.standing else {
            unreachable!("only a leader proposes")
        };
        let proposal = Proposal { slot, round: Round::classic(leading.reign), value };
        let decided = self.log.decided();
        out.broadcast_at_once(Message::Accept { proposal: proposal.clone(), decided });
        self.accept(proposal, out);
        let record = self.journal.last();
        if let Standing::Leading(leading) = &mut self.standing {
            let (accepted_by, sent_at) = (Vec::new(), self.now);
            let under_way = UnderWay { record, accepted_by, sent_at, origins };
            leading.under_way.insert(slot, under_way);
        }
    }

    /// Proposes what waits: in a fast round like every node, else, if this node leads, in the classic one: at once while
    /// few slots are under way, in full batches beyond that.
    pub(super) fn propose_waiting(&mut self, out: &mut Out) {
        if self.fast.is_some() {
            return self.propose_fast(out);
        }
        let limits = self.config.limits;
        while let Standing::Leading(leading) = &mut self.standing {
            let waiting = self.requests.waiting();
            let under_way = leading.under_way.len();
            let eager = under_way < self.eager || waiting >= limits.batch_commands;
            if waiting == 0 || under_way >= limits.pipeline.max(1) || !eager {
                break;
            }
            let slot = leading.next;
            leading.next = slot.next();
            let (value, origins) = self.requests.take_batch();
            self.propose(slot, value, origins, out);
        }
    }

    /// Opens the fast round for every slot that is free, if enough acceptors are there to choose anything in it.
    pub(super) fn open_fast_round(&mut self, out: &mut Out) {
        let patience = self.config.timing.election_min;
        let Standing::Leading(leading) = &self.standing else { return };
        if self.fast.is_some()
            || !self.pace.allows_fast(self.now)
            || leading.alive(self.now, patience) < self.quorums.fast
        {
            return;
        }
        let (reign, from) = (leading.reign, leading.next);
        self.fast = Some(from);
        out.broadcast_at_once(Message::Any { reign, from });
    }

    pub(super) fn on_accepted(&mut self, from: NodeId, reign: Ballot, slot: Slot, out: &mut Out) {
        let Standing::Leading(leading) = &mut self.standing else { return };
        if leading.reign != reign {
            return; // Of an earlier reign.
        }
        leading.answered.insert(from, self.now);
        if let Some(proposal) = leading.under_way.get_mut(&slot)
            && !proposal.accepted_by.contains(&from)
        {
            proposal.accepted_by.push(from);
            self.advance(out);
        }
    }

    /// Counts the leader's own acceptances, as far as its records are durable.
    pub(super) fn count_own_acceptances(&mut self, out: &mut Out) {
        let (node, persisted) = (self.config.node, self.journal.persisted);
        let Standing::Leading(leading) = &mut self.standing else { return };
        for proposal in leading.under_way.values_mut() {
            if proposal.record < persisted && !proposal.accepted_by.contains(&node) {
                proposal.accepted_by.push(node);
            }
        }
        self.advance(out);
    }

    /// `slot` is decided: answers who waited for this node's classic proposal there. Gives back the replies if nobody did.
    pub(super) fn settle_classic(
        &mut self,
        slot: Slot,
        replies: Vec<Reply>,
        out: &mut Out,
    ) -> Vec<Reply> {
        let Standing::Leading(leading) = &mut self.standing else { return replies };
        let proposed = leading.under_way.remove(&slot);
        if self.fast.is_some_and(|from| slot >= from) {
            self.pace.decided();
            // Whoever proposed in the slot waits to hear what became of it, since only a fast round's votes go to all.
            self.announce |= proposed.is_some();
        }
        let origins = proposed.map_or_else(Vec::new, |proposed| proposed.origins);
        if origins.is_empty() {
            return replies;
        }
        for (origin, reply) in origins.into_iter().zip(replies) {
            self.requests.answer(origin, reply, out);
        }
        Vec::new()
    }

    /// What a leader does every `heartbeat`.
    pub(super) fn reign_on(&mut self, out: &mut Out) {
        let timing = self.config.timing;
        let Standing::Leading(leading) = &self.standing else { return };
        if leading.alive(self.now, timing.election_max) < self.quorums.classic {
            return self.canvass(out);
        }
        let can_be_fast = leading.alive(self.now, timing.election_min) >= self.quorums.fast;
        if self.fast.is_none() {
            self.open_fast_round(out);
        } else if !can_be_fast {
            return self.leave_fast_round(out);
        } else if self.pace.is_crowded() {
            self.pace.slow_down(self.now, timing.election_min);
            return self.leave_fast_round(out);
        } else if !self.push_on(out) {
            return self.leave_fast_round(out);
        }
        self.beat(out);
        self.accept_again(out);
    }

    /// A new reign, which begins with its classic round: phase 1 ends the fast round of the old one.
    fn leave_fast_round(&mut self, out: &mut Out) {
        self.pace.pause(self.now, self.config.timing.election_min);
        self.prepare(out);
    }

    /// Says that this node leads, and how far the slots are decided.
    pub(super) fn beat(&mut self, out: &mut Out) {
        let Standing::Leading(leading) = &self.standing else { return };
        let (reign, decided, fast) = (leading.reign, self.log.decided(), self.fast);
        out.broadcast_at_once(Message::Heartbeat { reign, decided, fast });
    }

    /// Recovers from a collision in `slot` as soon as no value can be chosen there in the fast round any more by the
    /// acceptors that live. Whether one that is silent has voted makes no difference for the rule, which reckons with it.
    pub(super) fn recover_if_collided(&mut self, slot: Slot, out: &mut Out) {
        let Standing::Leading(leading) = &self.standing else { return };
        let Some(ballots) = self.ballots.get(&slot) else { return };
        let reign = leading.reign;
        let mut votes: Vec<u64> = ballots.of(reign).collect();
        let patience = self.config.timing.resend * 2;
        let may_vote = |node: &&NodeId| {
            let lives = **node == self.config.node || leading.lives(**node, self.now, patience);
            lives && !ballots.has_voted(**node, reign)
        };
        let silent = self.config.members.iter().filter(may_vote).count();
        votes.sort_unstable();
        let most = votes.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap_or(0);
        if most + silent < self.quorums.fast {
            self.recover(slot, out);
        }
    }

    /// Coordinated recovery: the votes of the fast round, if they are those of a classic quorum, are the phase 1 of the
    /// classic one. False if it is not possible.
    fn recover(&mut self, slot: Slot, out: &mut Out) -> bool {
        let Standing::Leading(leading) = &self.standing else { return false };
        if leading.under_way.contains_key(&slot) {
            return true;
        }
        let round = Round::fast(leading.reign);
        let Some(ballots) = self.ballots.get(&slot) else { return false };
        let held = self.log.get(slot).map(|held| &held.value);
        let value = |digest| {
            let held = held.filter(|value| value.digest() == digest);
            held.or_else(|| ballots.value(digest)).cloned()
        };
        let votes: Option<Vec<Vote>> = ballots
            .of(leading.reign)
            .map(|digest| value(digest).map(|value| Vote { round, value }))
            .collect();
        let Some(votes) = votes.filter(|votes| votes.len() >= self.quorums.classic) else {
            return false;
        };
        let Some(value) = (self.pick)(&self.quorums, votes.len(), &votes) else { return false };
        self.pace.collided();
        self.propose(slot, value, Vec::new(), out);
        true
    }

    /// Sees to slots of the fast round that have been undecided for `resend`: recovers those in which a classic quorum has
    /// voted, and proposes in the others, so that every acceptor which lives votes. False if that did not help, for
    /// instance since this node lacks a value that may have been chosen: phase 1 of a new reign brings it.
    fn push_on(&mut self, out: &mut Out) -> bool {
        let resend = self.config.timing.resend;
        let Some((reign, from)) = self.open() else { return true };
        let met = self.ballots.last_key_value().map_or(Slot(0), |(slot, _)| *slot);
        let last = self.log.last().max(met);
        let first = Slot(self.log.decided().0.max(from.0 - 1));
        for slot in first.up_to(last).take(self.config.limits.pipeline.max(1)) {
            let now = self.now;
            let Some(ballots) = self.ballots(slot) else { break };
            if now.since(ballots.pushed_at) < resend {
                continue;
            }
            let age = now.since(ballots.since);
            ballots.pushed_at = now;
            let heard = ballots.of(reign).count();
            if self.is_under_way(slot) || (heard >= self.quorums.classic && self.recover(slot, out))
            {
                continue;
            }
            if age > resend * 5 {
                return false;
            }
            self.push(reign, slot, out);
        }
        true
    }

    fn is_under_way(&self, slot: Slot) -> bool {
        matches!(&self.standing, Standing::Leading(leading) if leading.under_way.contains_key(&slot))
    }

    /// Proposes in a slot of the fast round what is known to have been proposed there, or else nothing at all.
    fn push(&mut self, reign: Ballot, slot: Slot, out: &mut Out) {
        let round = Round::fast(reign);
        let held = self.log.get(slot).filter(|held| held.round == round).map(|held| &held.value);
        let seen = self.ballots.get(&slot).and_then(super::learner::Ballots::any_value);
        let value = held.or(seen).cloned().unwrap_or_else(Value::no_op);
        let voted = held.is_some();
        out.broadcast_at_once(Message::Propose { reign, slot, value: value.clone() });
        if !voted {
            self.vote(Proposal { slot, round, value: value.clone() }, out);
            self.note_seen(slot, value);
        }
    }

    /// Repeats phase 2a for peers that live but have not accepted. The others would only find their queues full of it.
    fn accept_again(&mut self, out: &mut Out) {
        let (now, resend, decided) = (self.now, self.config.timing.resend, self.log.decided());
        let Standing::Leading(leading) = &mut self.standing else { return };
        let live = |at: &Time| now.since(*at) < resend * 2;
        let live: Vec<_> =
            leading.answered.iter().filter(|(_, at)| live(at)).map(|(peer, _)| *peer).collect();
        for (slot, under_way) in &mut leading.under_way {
            if now.since(under_way.sent_at) < resend {
                continue;
            }
            under_way.sent_at = now;
            let Some(proposal) = self.log.get(*slot) else { continue };
            for peer in live.iter().filter(|peer| !under_way.accepted_by.contains(peer)) {
                let proposal = proposal.clone();
                out.send_at_once(*peer, Message::Accept { proposal, decided });
            }
        }
    }

    pub(super) fn on_heard(&mut self, from: NodeId, reign: Ballot) {
        if let Standing::Leading(leading) = &mut self.standing
            && leading.reign == reign
        {
            leading.answered.insert(from, self.now);
        }
    }

    /// Somebody has promised more. If it was a leader, that leader will be heard; if nobody leads, this node may again.
    pub(super) fn on_rejected(&mut self, reign: Ballot, promised: Ballot, out: &mut Out) {
        self.round_met = self.round_met.max(promised.round);
        match &self.standing {
            Standing::Leading(leading) if leading.reign == reign => self.canvass(out),
            Standing::Preparing(preparation) if preparation.reign == reign => {
                self.step_down(out);
                self.await_leader();
            }
            _ => {}
        }
    }

    /// Stops proposing. What was proposed may still be decided by others, so its fate is unknown here.
    pub(super) fn step_down(&mut self, out: &mut Out) {
        let standing = std::mem::replace(&mut self.standing, Standing::Follower);
        let reign = match &standing {
            Standing::Follower | Standing::Canvassing(_) => return,
            Standing::Preparing(preparation) => preparation.reign,
            Standing::Leading(leading) => leading.reign,
        };
        let ballot = super::message::promise_of(reign);
        out.observe(Observation::Role { role: Role::Follower, ballot });
        if let Standing::Leading(leading) = standing {
            self.fast = None;
            for origin in leading.under_way.into_values().flat_map(|under_way| under_way.origins) {
                self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
            }
            self.return_forwarded(out);
            self.await_leader();
        }
    }
}
