//! Becoming the leader: canvass, then phase 1 of both rounds of a reign for all undecided slots at once.
//!
//! Source: "Fast Paxos", section 2.2, figure 2 for the values that phase 1 binds; Lamport, "Paxos Made Simple" (2001),
//! section 3, for many instances at once. The canvass is the pre-vote of Ongaro's dissertation, section 9.6; safety does
//! not rest on it.

use super::leader::Reign;
use super::message::{Message, Proposal, promise_of};
use super::round::Vote;
use super::{FastPaxos, Out, Standing};
use crate::core::{NodeId, Observation, Position, Role};
use crate::replication::{Ballot, Slot, Value};
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
    pub(super) reign: Ballot,
    /// Where this node's own promise stands in its log.
    own_promise: Position,
    /// What each peer has answered so far.
    promises: BTreeMap<NodeId, Progress>,
    /// What the peers have accepted in each slot.
    reported: BTreeMap<Slot, Vec<(NodeId, Vote)>>,
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

impl FastPaxos {
    /// The election timer ran out: asks whether anybody hears a leader.
    pub(super) fn canvass(&mut self, out: &mut Out) {
        self.step_down(out);
        self.forget_leader();
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
            Standing::Leading(reign) => Some(reign.reign),
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
            && hears.is_none_or(|reign| reign.node == node)
        {
            canvass.deaf.insert(from);
            self.prepare_if_favored(out);
        }
    }

    fn prepare_if_favored(&mut self, out: &mut Out) {
        if let Standing::Canvassing(canvass) = &self.standing
            && canvass.deaf.len() >= self.quorums.classic
        {
            self.prepare(out);
        }
    }

    /// Phase 1a, with a reign above all that this node has met.
    pub(super) fn prepare(&mut self, out: &mut Out) {
        self.step_down(out);
        self.forget_leader();
        let reign = Ballot { round: self.round_met + 1, node: self.config.node };
        out.observe(Observation::Election { ballot: promise_of(reign) });
        self.promise(reign, out);
        let from = self.log.decided().next();
        let missing = Progress { missing: Some(from), decided: Slot(0) };
        self.standing = Standing::Preparing(Preparation {
            reign,
            own_promise: self.journal.last(),
            promises: self.config.peers().map(|peer| (peer, missing)).collect(),
            reported: BTreeMap::new(),
        });
        out.observe(Observation::Role { role: Role::Candidate, ballot: promise_of(reign) });
        self.await_leader();
        // Not before its own promise is durable: a restarted node would otherwise use this reign a second time, and
        // count promises given to the first.
        out.broadcast(Message::Prepare { reign, from });
    }

    /// Asks again whoever has not answered.
    pub(super) fn prepare_again(&self, out: &mut Out) {
        let Standing::Preparing(preparation) = &self.standing else { return };
        for (peer, progress) in &preparation.promises {
            if let Some(from) = progress.missing {
                out.send(*peer, Message::Prepare { reign: preparation.reign, from });
            }
        }
    }

    pub(super) fn on_promise(&mut self, from: NodeId, reign: Ballot, page: Page, out: &mut Out) {
        let Standing::Preparing(preparation) = &mut self.standing else { return };
        if preparation.reign != reign {
            return; // A late answer to an earlier attempt.
        }
        let Some(progress) = preparation.promises.get_mut(&from) else { return };
        if progress.missing != Some(page.from) {
            return; // A copy.
        }
        progress.missing = page.more;
        progress.decided = progress.decided.max(page.decided);
        for Proposal { slot, round, value } in page.accepted {
            preparation.reported.entry(slot).or_default().push((from, Vote { round, value }));
        }
        match page.more {
            Some(from_slot) => out.send(from, Message::Prepare { reign, from: from_slot }),
            None => self.lead_if_promised(out),
        }
    }

    /// Leads, once a majority has promised and this node knows all that any of them knows to be decided.
    pub(super) fn lead_if_promised(&mut self, out: &mut Out) {
        let Standing::Preparing(preparation) = &self.standing else { return };
        if !preparation.is_promised(self.journal.persisted, self.quorums.classic) {
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

    /// Phase 2 begins with the classic round: the rule binds the slots that anybody of the quorum has accepted something in.
    fn lead(&mut self, out: &mut Out) {
        let standing = std::mem::replace(&mut self.standing, Standing::Follower);
        let Standing::Preparing(preparation) = standing else {
            unreachable!("only who prepares comes to lead")
        };
        let (reign, decided) = (preparation.reign, self.log.decided());
        let promised: BTreeSet<NodeId> = preparation.promised().collect();
        let heard = 1 + promised.len();
        let mut votes: BTreeMap<Slot, Vec<Vote>> = BTreeMap::new();
        for Proposal { slot, round, value } in self.log.undecided_from(Slot(0)) {
            let vote = Vote { round: *round, value: value.clone() };
            votes.entry(*slot).or_default().push(vote);
        }
        for (slot, reported) in preparation.reported.into_iter().filter(|(slot, _)| *slot > decided)
        {
            let of_quorum = reported.into_iter().filter(|(node, _)| promised.contains(node));
            votes.entry(slot).or_default().extend(of_quorum.map(|(_, vote)| vote));
        }
        votes.retain(|_, votes| !votes.is_empty());
        // Nothing at all if nothing is open: reigns come and go while nobody asks, and need no slot for that.
        let last = votes.last_key_value().map_or(decided, |(slot, _)| *slot);
        self.requests.begin_reign();
        let answered = promised.iter().map(|peer| (*peer, self.now));
        self.standing = Standing::Leading(Reign::new(reign, last.next(), answered));
        out.observe(Observation::Role { role: Role::Leader, ballot: promise_of(reign) });
        self.announce = last == decided; // Else the proposals say who leads.
        for slot in decided.up_to(last) {
            // A no-op in a gap.
            let votes = votes.remove(&slot).unwrap_or_default();
            let value = (self.pick)(&self.quorums, heard, &votes).unwrap_or_else(Value::no_op);
            self.propose(slot, value, Vec::new(), out);
        }
        self.submit_waiting(out);
        self.open_fast_round(out);
    }
}

impl Preparation {
    /// The peers whose promise is complete.
    fn promised(&self) -> impl Iterator<Item = NodeId> {
        let complete = |(_, progress): &(&NodeId, &Progress)| progress.missing.is_none();
        self.promises.iter().filter(complete).map(|(peer, _)| *peer)
    }

    /// Whether `quorum` nodes have promised, this one, durably, among them.
    fn is_promised(&self, persisted: Position, quorum: usize) -> bool {
        self.own_promise < persisted && 1 + self.promised().count() >= quorum
    }

    /// The peer that knows the longest decided prefix.
    fn best_informed(&self) -> Option<(NodeId, Slot)> {
        let informed = self.promises.iter().map(|(peer, progress)| (*peer, progress.decided));
        informed.max_by_key(|(_, decided)| *decided)
    }
}
