//! The learner: which values are chosen, and applying them in order.
//!
//! A slot is decided here for one of three reasons: a fast quorum of acceptors has told this node of the same value in
//! the same fast round; or this node leads and a classic quorum has accepted its proposal; or a leader says that the slot
//! is decided, and this node holds a value of the classic round of that leader's reign, in which it has proposed only one.

use super::message::{Message, Record};
use super::{FastPaxos, Out, Standing};
use crate::core::{NodeId, Observation, Time};
use crate::machine::Reply;
use crate::replication::{Ballot, Partial, Slot, Value};

/// What a node knows of the fast round of an undecided slot.
#[derive(Debug)]
pub(super) struct Ballots {
    /// Each acceptor's vote of the highest reign that was heard: the reign, and which value.
    votes: Vec<(NodeId, Ballot, u64)>,
    /// Values that were proposed, at most as many as there are nodes.
    seen: Vec<Value>,
    /// When the slot was noticed, or pushed on.
    pub(super) pushed_at: Time,
    /// When the slot was noticed.
    pub(super) since: Time,
}

impl Ballots {
    pub(super) fn new(now: Time) -> Self {
        Self { votes: Vec::new(), seen: Vec::new(), pushed_at: now, since: now }
    }

    fn count(&mut self, node: NodeId, reign: Ballot, digest: u64) {
        match self.votes.iter_mut().find(|(known, ..)| *known == node) {
            Some(vote) if vote.1 < reign => *vote = (node, reign, digest),
            Some(_) => {}
            None => self.votes.push((node, reign, digest)),
        }
    }

    /// Which value each acceptor is known to have voted for in the fast round of this reign.
    pub(super) fn of(&self, reign: Ballot) -> impl Iterator<Item = u64> {
        let votes = self.votes.iter().filter(move |(_, of, _)| *of == reign);
        votes.map(|(.., digest)| *digest)
    }

    /// Whether the acceptor is known to have voted in the fast round of this reign.
    pub(super) fn has_voted(&self, node: NodeId, reign: Ballot) -> bool {
        self.votes.iter().any(|(known, of, _)| (*known, *of) == (node, reign))
    }

    /// The value for which `quorum` acceptors have voted in one fast round.
    fn chosen(&self, quorum: usize) -> Option<u64> {
        let same = |a: &&(NodeId, Ballot, u64), b: &(NodeId, Ballot, u64)| (a.1, a.2) == (b.1, b.2);
        let count = |vote| self.votes.iter().filter(|other| same(other, vote)).count();
        self.votes.iter().find(|vote| count(vote) >= quorum).map(|(.., digest)| *digest)
    }

    /// A value that was proposed, by its digest.
    pub(super) fn value(&self, digest: u64) -> Option<&Value> {
        self.seen.iter().find(|value| value.digest() == digest)
    }

    /// Any value that was proposed.
    pub(super) fn any_value(&self) -> Option<&Value> {
        self.seen.first()
    }
}

impl FastPaxos {
    /// What is known of an undecided slot's fast round. `None` if the slot is decided, or lies too far ahead.
    pub(super) fn ballots(&mut self, slot: Slot) -> Option<&mut Ballots> {
        let decided = self.log.decided();
        let near = slot > decided && slot.0 - decided.0 <= self.window();
        near.then(|| self.ballots.entry(slot).or_insert_with(|| Ballots::new(self.now)))
    }

    /// Keeps a value that was proposed for a slot, in case that it is picked though this node accepted another one.
    pub(super) fn note_seen(&mut self, slot: Slot, value: Value) {
        let limit = self.config.members.len();
        if let Some(ballots) = self.ballots(slot)
            && ballots.seen.len() < limit
            && ballots.value(value.digest()).is_none()
        {
            ballots.seen.push(value);
        }
    }

    /// Phase 2b of a fast round: an acceptor tells what it has accepted.
    pub(super) fn on_voted(
        &mut self,
        from: NodeId,
        reign: Ballot,
        slot: Slot,
        digest: u64,
        out: &mut Out,
    ) {
        self.round_met = self.round_met.max(reign.round);
        match &self.standing {
            // Another node leads. A leader must not announce in its own reign what is chosen in a later one.
            Standing::Leading(leading) if leading.reign < reign => self.canvass(out),
            Standing::Preparing(preparation) if preparation.reign < reign => {
                self.step_down(out);
                self.await_leader();
            }
            _ => {}
        }
        self.count_vote(from, reign, slot, digest, out);
    }

    fn count_vote(&mut self, node: NodeId, reign: Ballot, slot: Slot, digest: u64, out: &mut Out) {
        let Some(ballots) = self.ballots(slot) else { return };
        ballots.count(node, reign, digest);
        self.advance(out);
        self.recover_if_collided(slot, out);
    }

    /// Counts this node's own votes, as far as its records are durable.
    pub(super) fn count_own_votes(&mut self, out: &mut Out) {
        let persisted = self.journal.persisted;
        let is_durable = |vote: &mut (crate::core::Position, Slot, Ballot, u64)| vote.0 < persisted;
        while let Some((_, slot, reign, digest)) = self.own_votes.pop_front_if(is_durable) {
            self.count_vote(self.config.node, reign, slot, digest, out);
        }
    }

    /// After a start: what the log holds of fast rounds are votes that were given.
    pub(super) fn recount_own_votes(&mut self) {
        let node = self.config.node;
        let held = self.log.undecided_from(Slot(0)).filter(|held| held.is_fast());
        let votes: Vec<_> =
            held.map(|held| (held.slot, held.round.reign, held.value.digest())).collect();
        for (slot, reign, digest) in votes {
            if let Some(ballots) = self.ballots(slot) {
                ballots.count(node, reign, digest);
            }
        }
    }

    /// The leader of `reign` says that every slot up to `decided` is.
    pub(super) fn learn_announced(
        &mut self,
        from: NodeId,
        reign: Ballot,
        decided: Slot,
        out: &mut Out,
    ) {
        self.announced = self.announced.max((reign, decided));
        self.advance(out);
        if self.log.decided() < decided {
            self.notice_lag(from, decided, out);
        }
    }

    /// Decides, in order, what is known to be chosen.
    pub(super) fn advance(&mut self, out: &mut Out) {
        loop {
            let slot = self.log.decided().next();
            if self.is_decided_classic(slot) {
                self.learn_next(out);
                continue;
            }
            let chosen =
                self.ballots.get(&slot).and_then(|ballots| ballots.chosen(self.quorums.fast));
            let Some(digest) = chosen else { break };
            let held = self.log.get(slot).is_some_and(|held| held.value.digest() == digest);
            let seen = self.ballots.get(&slot).and_then(|ballots| ballots.value(digest)).cloned();
            match seen {
                _ if held => self.learn_next(out),
                Some(value) => self.learn(slot, value, out),
                None => break, // Some acceptor has it; whoever leads will see to it.
            }
        }
    }

    /// Whether the value that this node holds in `slot` was chosen in a classic round.
    fn is_decided_classic(&self, slot: Slot) -> bool {
        let (reign, announced) = self.announced;
        let holds = |held: &super::Proposal| !held.is_fast() && held.round.reign == reign;
        if slot <= announced && self.log.get(slot).is_some_and(holds) {
            return true;
        }
        match &self.standing {
            Standing::Leading(leading) => leading.accepted_by(slot) >= self.quorums.classic,
            _ => false,
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
            // A leader asks for nothing. Taking these would make it announce what was decided in a later reign.
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
            self.append(Record::Learned(slot, value.clone()), out);
            self.log.learn(slot, value.clone());
            self.apply(slot, &value, out);
        }
    }

    /// The first undecided slot is decided, with the value that the log holds.
    fn learn_next(&mut self, out: &mut Out) {
        let value = self.log.decide_next().clone();
        self.apply(self.log.decided(), &value, out);
    }

    fn apply(&mut self, slot: Slot, value: &Value, out: &mut Out) {
        assert_eq!(slot, self.log.decided(), "applied in order, as decided");
        out.observe(Observation::Decided { slot: slot.0, digest: value.digest() });
        let requests = value.requests().iter();
        let replies: Vec<Reply> = requests.map(|request| self.machine.apply(request)).collect();
        let commands = u32::try_from(value.requests().len()).unwrap_or(u32::MAX);
        out.observe(Observation::Applied { slot: slot.0, commands });
        self.ballots.remove(&slot);
        let replies = self.settle_classic(slot, replies, out);
        self.settle_fast(slot, value, replies, out);
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
        self.advance(out);
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
