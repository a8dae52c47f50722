//! Becoming the leader: canvass, then phase 1 for all undecided slots at once.
//!
//! Source: "Paxos Made Simple", section 3: the new leader "executes phase 1 of instances 135-137 and of all instances
//! greater than 139", re-proposes what phase 1 constrains it to, and fills the gaps with no-ops. The canvass is the
//! pre-vote of Ongaro's dissertation, section 9.6; safety does not rest on it.

use super::leader::Reign;
use super::message::{Message, Proposal};
use super::{MultiPaxos, Out, Standing};
use crate::core::{NodeId, Observation, Position, Role};
use crate::replication::{Ballot, Slot};
use std::collections::{BTreeMap, BTreeSet};

/// A node asks whether anybody hears a leader.
#[derive(Debug)]
pub(super) struct Canvass {
    number: u64,
    /// Who hears none, this node included.
    deaf: BTreeSet<NodeId>,
}

/// Phase 1 under way.
#[derive(Debug)]
pub(super) struct Preparation {
    pub(super) ballot: Ballot,
    /// Where this node's own promise stands in its log.
    own_promise: Position,
    /// What each peer has answered so far.
    promises: BTreeMap<NodeId, Progress>,
    /// Of every slot, the proposal with the highest ballot that was reported.
    reported: BTreeMap<Slot, Proposal>,
}

/// How far a peer's promise has come.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// The page that is missing; `None` once the promise is complete.
    missing: Option<Slot>,
    /// Every slot up to this one is decided, says the peer.
    decided: Slot,
}

/// One message's worth of a promise.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) decided: Slot,
    pub(super) from: Slot,
    pub(super) accepted: Vec<Proposal>,
    pub(super) more: Option<Slot>,
}

impl MultiPaxos {
    /// The election timer ran out: asks whether anybody hears a leader.
    pub(super) fn canvass(&mut self, out: &mut Out) {
        self.step_down(out);
        self.leader = None;
        if !self.is_member() {
            self.standing = Standing::Follower;
            return self.await_leader(); // Only members lead.
        }
        self.canvasses += 1;
        let number = self.canvasses;
        let deaf = BTreeSet::from([self.config.node]);
        self.standing = Standing::Canvassing(Canvass { number, deaf });
        let timing = self.config.timing;
        self.election_at = self.random_time(timing.election_min / 2, timing.election_min);
        out.broadcast_at_once(Message::Canvass { number });
        self.prepare_if_favored(out);
    }

    pub(super) fn on_canvass(&self, from: NodeId, number: u64, out: &mut Out) {
        let hears = match &self.standing {
            Standing::Leading(reign) => Some(reign.ballot),
            // Half the time after which a leader is given up: a canvass right after its death finds a majority.
            _ => self
                .leader
                .filter(|_| self.now.since(self.heard_at) < self.config.timing.election_min / 2),
        };
        out.send_at_once(from, Message::Canvassed { number, hears, promised: self.promised });
    }

    pub(super) fn on_canvassed(
        &mut self,
        from: NodeId,
        number: u64,
        hears: Option<Ballot>,
        promised: Ballot,
        out: &mut Out,
    ) {
        self.round_met = self.round_met.max(promised.round);
        let node = self.config.node;
        if let Standing::Canvassing(canvass) = &mut self.standing
            && canvass.number == number
            // A leader that is this very node, deposed or restarted, is none.
            && hears.is_none_or(|ballot| ballot.node == node)
        {
            canvass.deaf.insert(from);
            self.prepare_if_favored(out);
        }
    }

    fn prepare_if_favored(&mut self, out: &mut Out) {
        if let Standing::Canvassing(canvass) = &self.standing
            && self.is_quorum_of_all(self.promise_quorum, |node| canvass.deaf.contains(&node))
        {
            self.prepare(out);
        }
    }

    /// Phase 1a, with a ballot above all that this node has met.
    pub(super) fn prepare(&mut self, out: &mut Out) {
        self.step_down(out);
        if !self.is_member() {
            return;
        }
        if self.is_pledged() {
            self.election_at = self.pledged_until; // It canvasses then.
            return;
        }
        self.leader = None;
        let ballot = Ballot { round: self.round_met + 1, node: self.config.node };
        out.observe(Observation::Election { ballot: ballot.number() });
        self.promise(ballot, out);
        let from = self.log.decided().next();
        let missing = Progress { missing: Some(from), decided: Slot(0) };
        self.standing = Standing::Preparing(Preparation {
            ballot,
            own_promise: self.journal.last(),
            promises: self.config.peers().map(|peer| (peer, missing)).collect(),
            reported: BTreeMap::new(),
        });
        out.observe(Observation::Role { role: Role::Candidate, ballot: ballot.number() });
        self.await_leader();
        // Not before its own promise is durable: a restarted node would otherwise use this ballot a second time, and
        // count promises given to the first.
        out.broadcast(Message::Prepare { ballot, from });
    }

    /// Asks again whoever has not answered.
    pub(super) fn prepare_again(&self, out: &mut Out) {
        let Standing::Preparing(preparation) = &self.standing else { return };
        for (peer, progress) in &preparation.promises {
            if let Some(from) = progress.missing {
                out.send(*peer, Message::Prepare { ballot: preparation.ballot, from });
            }
        }
    }

    pub(super) fn on_promise(&mut self, from: NodeId, ballot: Ballot, page: Page, out: &mut Out) {
        let Standing::Preparing(preparation) = &mut self.standing else { return };
        if preparation.ballot != ballot {
            return; // A late answer to an earlier attempt.
        }
        let Some(progress) = preparation.promises.get_mut(&from) else { return };
        if progress.missing != Some(page.from) {
            return; // A copy.
        }
        progress.missing = page.more;
        progress.decided = progress.decided.max(page.decided);
        for proposal in page.accepted {
            preparation.report(proposal);
        }
        match page.more {
            Some(from_slot) => out.send(from, Message::Prepare { ballot, from: from_slot }),
            None => self.lead_if_promised(out),
        }
    }

    /// Leads, once a majority has promised and this node knows all that any of them knows to be decided.
    pub(super) fn lead_if_promised(&mut self, out: &mut Out) {
        let Standing::Preparing(preparation) = &self.standing else { return };
        let node = self.config.node;
        let promised = |peer| match preparation.promises.get(&peer) {
            Some(progress) => progress.missing.is_none(),
            None => peer == node && preparation.own_promise < self.journal.persisted,
        };
        // Its own promise is a condition, also where it is no member any more: ballots are not used twice.
        if !promised(node) || !self.is_quorum_of_all(self.promise_quorum, promised) {
            return;
        }
        let Some((peer, decided)) = preparation.best_informed() else { return self.lead(out) };
        if decided > self.log.decided() {
            // What lies below must not be proposed again from a majority that may have forgotten it.
            self.catch_up_from(peer, decided, out);
        } else {
            self.lead(out);
        }
    }

    /// Phase 2 begins: P2c binds the slots that anybody of the majority has accepted something in.
    fn lead(&mut self, out: &mut Out) {
        let standing = std::mem::replace(&mut self.standing, Standing::Follower);
        let Standing::Preparing(mut preparation) = standing else {
            unreachable!("only who prepares comes to lead")
        };
        for proposal in self.log.undecided_from(Slot(0)) {
            preparation.report(proposal.clone());
        }
        let decided = self.log.decided();
        let reported = preparation.reported.split_off(&decided.next());
        let last = reported.last_key_value().map_or(decided.next(), |(slot, _)| *slot);
        self.requests.begin_reign();
        let promised = preparation.promises.into_iter().filter(|(_, of)| of.missing.is_none());
        let promised = promised.map(|(peer, _)| peer).collect();
        let first = (decided, last, reported);
        let mut reign = Reign::new(&self.config, preparation.ballot, first, promised, self.now);
        reign.first_members = self.members().to_vec();
        self.standing = Standing::Leading(Box::new(reign));
        let ballot = preparation.ballot.number();
        out.observe(Observation::Role { role: Role::Leader, ballot });
        self.propose_inherited(out);
        self.submit_waiting(out);
    }
}

impl Preparation {
    /// "The highest-numbered proposal among the responses" (section 2.2, phase 2a), kept slot by slot.
    fn report(&mut self, proposal: Proposal) {
        let known = self.reported.get(&proposal.slot);
        if known.is_none_or(|known| known.ballot < proposal.ballot) {
            self.reported.insert(proposal.slot, proposal);
        }
    }

    /// The peer that knows the longest decided prefix.
    fn best_informed(&self) -> Option<(NodeId, Slot)> {
        let informed = self.promises.iter().map(|(peer, progress)| (*peer, progress.decided));
        informed.max_by_key(|(_, decided)| *decided)
    }
}
