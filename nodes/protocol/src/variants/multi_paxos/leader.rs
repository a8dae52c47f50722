//! The leader: phase 2, many slots at a time.
//!
//! Invariants: slots are proposed without holes, each once; a proposal counts as accepted here only when this node's own
//! record is durable; replies leave once the slot is decided and applied.

use super::lease::Lease;
use super::message::{Message, Proposal};
use super::reads::Reads;
use super::{MultiPaxos, Out, Standing};
use crate::core::{Config, NodeId, Observation, Position, RequestId, Role, Time};
use crate::machine::{Failure, Reply};
use crate::replication::{Ballot, Origin, Slot, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The time in which a node leads.
#[derive(Debug)]
pub(super) struct Reign {
    pub(super) ballot: Ballot,
    /// Once this slot is decided, so is everything that was decided before the reign, and reads may be answered.
    pub(super) settled: Slot,
    /// Proposals that are not decided in order yet; the first is for the slot after the log's decided prefix.
    under_way: VecDeque<UnderWay>,
    /// Own acceptances were counted up to this slot.
    own_counted: Slot,
    /// What phase 1 constrains this ballot to, in slots that nothing is proposed for yet.
    inherited: BTreeMap<Slot, Proposal>,
    /// The members for whose slots this node was elected.
    pub(super) first_members: Vec<NodeId>,
    /// The peers that have promised, with all that they had to report when nothing was proposed for later slots.
    promised: BTreeSet<NodeId>,
    /// The peers that were asked to promise later, and from which slot on they were asked last.
    asked: BTreeMap<NodeId, Slot>,
    /// The operator's change that this reign has proposed, and its slot.
    pub(super) change: Option<(Slot, RequestId)>,
    /// When each peer last answered something of this ballot.
    answered: BTreeMap<NodeId, Time>,
    pub(super) reads: Reads,
    /// What it may count on, where reads rest on leases.
    pub(super) lease: Lease,
}

/// A proposal in phase 2.
#[derive(Debug)]
struct UnderWay {
    /// Where this node's own record of it stands.
    record: Position,
    accepted_by: Vec<NodeId>,
    sent_at: Time,
    /// Who waits for each request of the value. Empty for what phase 1 brought up.
    origins: Vec<Origin>,
}

impl Reign {
    /// The reign of `ballot`, which begins after a decided prefix and must decide up to another slot before it may answer
    /// reads, with what was reported from there on, and who promised.
    pub(super) fn new(
        config: &Config,
        ballot: Ballot,
        (decided, settled, inherited): (Slot, Slot, BTreeMap<Slot, Proposal>),
        promised: BTreeSet<NodeId>,
        now: Time,
    ) -> Self {
        Self {
            ballot,
            settled,
            under_way: VecDeque::new(),
            own_counted: decided,
            inherited,
            first_members: Vec::new(),
            promised,
            asked: BTreeMap::new(),
            change: None,
            answered: config.peers().map(|peer| (peer, now)).collect(),
            reads: Reads::default(),
            lease: Lease::default(),
        }
    }

    /// The first slot that nothing is proposed for.
    pub(super) fn next_slot(&self, decided: Slot) -> Slot {
        Slot(decided.0 + self.under_way.len() as u64 + 1)
    }

    /// Whether the peer's whole promise is known.
    pub(super) fn has_promised(&self, peer: NodeId) -> bool {
        self.promised.contains(&peer)
    }

    /// The peer is asked for its promise from `slot` on.
    pub(super) fn ask(&mut self, peer: NodeId, slot: Slot) {
        self.asked.insert(peer, slot);
    }

    /// Whether the peer was asked for just that.
    pub(super) fn is_asked(&self, peer: NodeId, slot: Slot) -> bool {
        self.asked.get(&peer) == Some(&slot)
    }

    /// The peer has reported everything.
    pub(super) fn promised(&mut self, peer: NodeId) {
        self.asked.remove(&peer);
        self.promised.insert(peer);
    }

    /// A peer reports a proposal for a slot that nothing is proposed for yet.
    pub(super) fn inherit(&mut self, proposal: Proposal) {
        self.settled = self.settled.max(proposal.slot);
        let known = self.inherited.get(&proposal.slot);
        if known.is_none_or(|known| known.ballot < proposal.ballot) {
            self.inherited.insert(proposal.slot, proposal);
        }
    }

    /// The proposal for `slot`, if it is still under way after `decided`.
    fn at(&mut self, slot: Slot, decided: Slot) -> Option<&mut UnderWay> {
        let index = slot.0.checked_sub(decided.0 + 1)?;
        self.under_way.get_mut(usize::try_from(index).ok()?)
    }
}

impl MultiPaxos {
    /// Phase 2a for the next slot. The message does not wait for this node's own record.
    pub(super) fn propose(&mut self, value: Value, origins: Vec<Origin>, out: &mut Out) {
        let decided = self.log.decided();
        let Standing::Leading(reign) = &mut self.standing else {
            unreachable!("only a leader proposes")
        };
        let slot = Slot(decided.0 + reign.under_way.len() as u64 + 1);
        let proposal = Proposal { slot, ballot: reign.ballot, value };
        out.broadcast_at_once(Message::Accept { proposal: proposal.clone(), decided });
        self.accept(proposal, out);
        let record = self.journal.last();
        if let Standing::Leading(reign) = &mut self.standing {
            let (accepted_by, sent_at) = (Vec::new(), self.now);
            reign.under_way.push_back(UnderWay { record, accepted_by, sent_at, origins });
        }
    }

    /// The first slot that nothing is proposed for, if this node leads and may propose for it: it is near enough to the
    /// decided prefix, and its members have promised.
    pub(super) fn next_to_propose(&self) -> Option<Slot> {
        let Standing::Leading(reign) = &self.standing else { return None };
        let next = reign.next_slot(self.log.decided());
        let near = (reign.under_way.len() as u64) < self.alpha();
        (near && self.is_prepared_for(reign, next)).then_some(next)
    }

    /// Proposes again what phase 1 brought up, and fills its gaps. A no-op in the first slot after everything also tells what was
    /// decided before.
    pub(super) fn propose_inherited(&mut self, out: &mut Out) {
        while let Some(next) = self.next_to_propose() {
            let Standing::Leading(reign) = &mut self.standing else { return };
            if next > reign.settled {
                return;
            }
            let found = reign.inherited.remove(&next);
            self.propose(found.map_or_else(Value::no_op, |found| found.value), Vec::new(), out);
        }
    }

    /// Proposes what waits: at once while few slots are under way, in full batches beyond that.
    pub(super) fn propose_waiting(&mut self, out: &mut Out) {
        let limits = self.config.limits;
        self.propose_inherited(out);
        while let Some(next) = self.next_to_propose()
            && let Standing::Leading(reign) = &self.standing
        {
            if next <= reign.settled {
                break;
            }
            let waiting = self.requests.waiting();
            // No-ops hasten a change, where nothing else does.
            let hastens = next <= self.memberships.in_force_after();
            let eager = reign.under_way.len() < self.eager || waiting >= limits.batch_commands;
            if !hastens && (waiting == 0 || !eager) {
                break;
            }
            let (value, origins) = self.requests.take_batch();
            self.propose(value, origins, out);
        }
    }

    pub(super) fn on_accepted(&mut self, from: NodeId, ballot: Ballot, slot: Slot, out: &mut Out) {
        let decided = self.log.decided();
        let Standing::Leading(reign) = &mut self.standing else { return };
        if reign.ballot != ballot {
            return; // Of an earlier reign.
        }
        reign.answered.insert(from, self.now);
        if let Some(proposal) = reign.at(slot, decided)
            && !proposal.accepted_by.contains(&from)
        {
            proposal.accepted_by.push(from);
            self.decide(out);
        }
    }

    /// Counts the leader's own acceptances, as far as its records are durable.
    pub(super) fn count_own_acceptances(&mut self, out: &mut Out) {
        let (node, decided, persisted) =
            (self.config.node, self.log.decided(), self.journal.persisted);
        let Standing::Leading(reign) = &mut self.standing else { return };
        let mut next = reign.own_counted.max(decided).next();
        while let Some(proposal) = reign.at(next, decided)
            && proposal.record < persisted
        {
            proposal.accepted_by.push(node);
            next = next.next();
        }
        reign.own_counted = Slot(next.0 - 1);
        self.decide(out);
    }

    /// Decides, in order, what a quorum has accepted; applies it and answers who waited for it.
    fn decide(&mut self, out: &mut Out) {
        while let Standing::Leading(reign) = &self.standing
            && let Some(first) = reign.under_way.front()
            && self.is_decided_by(self.log.decided().next(), &first.accepted_by)
        {
            let Standing::Leading(reign) = &mut self.standing else { break };
            let origins = reign.under_way.pop_front().map_or_else(Vec::new, |first| first.origins);
            let replies = self.learn_next(out);
            for (origin, reply) in origins.into_iter().zip(replies) {
                self.requests.answer(origin, reply, out);
            }
        }
        self.answer_change(out);
        self.serve_reads(out);
    }

    /// What a leader does every `heartbeat`.
    pub(super) fn reign_on(&mut self, out: &mut Out) {
        let Standing::Leading(reign) = &self.standing else { return };
        let patience = self.config.timing.election_max;
        let node = self.config.node;
        let heard = |peer: NodeId| match reign.answered.get(&peer) {
            Some(at) => self.now.since(*at) < patience,
            None => peer == node,
        };
        let size = self.accept_quorum.max(self.read_quorum);
        if !self.is_quorum_of_all(size, heard) || !self.is_member() {
            return self.canvass(out);
        }
        self.prepare_members(out);
        self.beat(out);
        self.accept_again(out);
    }

    /// Sends the next heartbeat. Its round also serves the reads that have waited for one.
    pub(super) fn beat(&mut self, out: &mut Out) {
        let decided = self.log.decided();
        let Standing::Leading(reign) = &mut self.standing else { return };
        let round = reign.reads.next_round();
        out.broadcast_at_once(Message::Heartbeat { ballot: reign.ballot, round, decided });
        self.note_round(round);
        self.serve_reads(out);
    }

    /// Repeats phase 2a for peers that live but have not accepted. The others would only find their queues full of it.
    fn accept_again(&mut self, out: &mut Out) {
        let (now, resend, decided) = (self.now, self.config.timing.resend, self.log.decided());
        let Standing::Leading(reign) = &mut self.standing else { return };
        let live = |at: &Time| now.since(*at) < resend * 2;
        let live: Vec<_> =
            reign.answered.iter().filter(|(_, at)| live(at)).map(|(peer, _)| *peer).collect();
        for (slot, under_way) in (decided.0 + 1..).map(Slot).zip(&mut reign.under_way) {
            if now.since(under_way.sent_at) < resend {
                continue;
            }
            under_way.sent_at = now;
            let Some(proposal) = self.log.get(slot) else { continue };
            for peer in live.iter().filter(|peer| !under_way.accepted_by.contains(peer)) {
                let proposal = proposal.clone();
                out.send_at_once(*peer, Message::Accept { proposal, decided });
            }
        }
    }

    pub(super) fn on_heard(&mut self, from: NodeId, ballot: Ballot, round: u64, out: &mut Out) {
        if let Standing::Leading(reign) = &mut self.standing
            && reign.ballot == ballot
        {
            reign.answered.insert(from, self.now);
            reign.reads.heard(from, round);
            self.count_pledge(from, round);
            self.serve_reads(out);
        }
    }

    /// Somebody has promised more. If it was a leader, that leader will be heard; if nobody leads, this node may again.
    pub(super) fn on_rejected(&mut self, ballot: Ballot, promised: Ballot, out: &mut Out) {
        self.round_met = self.round_met.max(promised.round);
        match &self.standing {
            Standing::Leading(reign) if reign.ballot == ballot => self.canvass(out),
            Standing::Preparing(preparation) if preparation.ballot == ballot => {
                self.step_down(out);
                self.await_leader();
            }
            _ => {}
        }
    }

    /// Stops proposing. What was proposed may still be decided by others, so its fate is unknown here.
    pub(super) fn step_down(&mut self, out: &mut Out) {
        let standing = std::mem::replace(&mut self.standing, Standing::Follower);
        let ballot = match &standing {
            Standing::Follower | Standing::Canvassing(_) => return,
            Standing::Preparing(preparation) => preparation.ballot,
            Standing::Leading(reign) => reign.ballot,
        };
        out.observe(Observation::Role { role: Role::Follower, ballot: ballot.number() });
        if let Standing::Leading(reign) = standing {
            for origin in reign.under_way.into_iter().flat_map(|under_way| under_way.origins) {
                self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
            }
            if let Some((_, id)) = reign.change {
                out.reply_at_once(id, Reply::Failed(Failure::Unknown));
            }
            self.requests.wait_again(reign.reads.into_waiting());
            self.return_forwarded(out);
            self.await_leader();
        }
    }
}
