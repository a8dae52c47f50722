//! Revocation: deciding the slots of a server that is suspected, or that does not get on, in its place (rule 3
//! of the paper, and optimization 3).
//!
//! Whoever revokes is an ordinary proposer: it runs phase 1 for the slots of one owner, and proposes in each what was
//! accepted there in the highest ballot, or a no-op. So it is safe whoever does it and whenever; all below is about when it is of
//! use. A suspected server's slots are revoked in blocks ahead of the slots in use, by the first server that does not
//! suspect itself cut off; any server does it where its log does not get on for long. A server also revokes its own slots that
//! an earlier incarnation has left undecided.

use super::message::{Bound, Message, Proposal};
use super::slots::revocation;
use super::{Mencius, Out};
use crate::core::{NodeId, Position, Time};
use crate::replication::{Ballot, Slot, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// Once less than so many slots of a suspected owner are decided ahead of those in use, a block up to twice as many ahead is
/// revoked (the constant of optimization 3).
pub(super) const BETA: u64 = 16;

/// What a server knows as one that revokes.
#[derive(Debug, Default)]
pub(super) struct Revoker {
    /// The highest round met in any ballot.
    pub(super) round_met: u64,
    /// At most one revocation an owner.
    under_way: BTreeMap<NodeId, Revocation>,
    /// Somebody else revokes the owner's slots, or they are being fetched: not before then.
    retry_at: BTreeMap<NodeId, Time>,
    /// All of the owner's slots up to this one were decided when it was last looked at.
    resolved: BTreeMap<NodeId, Slot>,
    /// How far the log was applied when it last got on, when that was, and how long it may take.
    stuck: Option<(Slot, Time, Duration)>,
}

/// The revocation of one owner's slots.
#[derive(Debug)]
struct Revocation {
    ballot: Ballot,
    first: Slot,
    upto: Slot,
    /// Where this server's own promise stands.
    promise: Position,
    promises: BTreeMap<NodeId, Progress>,
    /// What was accepted in the highest ballot, slot by slot.
    reported: BTreeMap<Slot, Proposal>,
    /// Phase 2, once it has begun: the slots that are not decided.
    proposed: Option<BTreeMap<Slot, Proposed>>,
    sent_at: Time,
}

/// How far a peer has come with its promise.
#[derive(Debug)]
struct Progress {
    applied: Slot,
    /// Where its next page begins; `None` when it is complete.
    missing: Option<Slot>,
}

/// A proposal in phase 2.
#[derive(Debug)]
struct Proposed {
    value: Value,
    record: Position,
    acked: Vec<NodeId>,
}

/// A page of a promise.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) applied: Slot,
    pub(super) from: Slot,
    pub(super) accepted: Vec<Proposal>,
    pub(super) more: Option<Slot>,
}

impl Mencius {
    /// Keeps ahead of the slots in use with the slots of suspected servers.
    pub(super) fn revoke_suspects(&mut self, out: &mut Out) {
        let first = self.trusted_peers().next().unwrap_or(self.config.node);
        if first < self.config.node || !self.hears_quorum() {
            return;
        }
        let suspects: Vec<_> = self.config.peers().filter(|peer| self.suspects(*peer)).collect();
        for owner in suspects {
            let ahead = |blocks| Slot(self.seen.0 + blocks * BETA * self.owners.count());
            let resolved = self.resolved(owner);
            // Idle servers revoke nothing; once they do, they go on before it is needed.
            let continues = self.bound(owner).upto >= self.seen && resolved < ahead(1);
            let needed = self.owners.next(owner, resolved) <= self.seen;
            if needed || (continues && self.seen > Slot(0)) {
                self.revoke(owner, ahead(2), out);
            }
        }
    }

    /// All slots of `owner` up to this one are decided. Amortized O(1).
    fn resolved(&self, owner: NodeId) -> Slot {
        let known = self.revoker.resolved.get(&owner).copied().unwrap_or(Slot(0));
        let mut last = known.max(self.log.applied());
        loop {
            let next = self.owners.next(owner, last);
            if !self.log.is_decided(next) {
                return last;
            }
            last = next;
        }
    }

    /// Revokes whatever holds the log up for long, or at once what this server itself has left over.
    pub(super) fn revoke_if_stuck(&mut self, out: &mut Out) {
        let applied = self.log.applied();
        for (owner, resolved) in self.resolved_all() {
            self.revoker.resolved.insert(owner, resolved);
        }
        if applied >= self.seen || self.revoker.stuck.is_none_or(|(at, ..)| at != applied) {
            let patience = self.election_timeout() * 2;
            self.revoker.stuck = Some((applied, self.now, patience));
        }
        let next = applied.next();
        let owner = self.owners.of(next);
        let own = owner == self.config.node;
        let left_over = own && next < self.suggestions.first;
        let long = |(_, since, patience)| self.now.since(since) > patience;
        let due = left_over || self.revoker.stuck.is_some_and(long);
        let live = own && !left_over && next > self.bound(owner).upto.max(self.suggestions.refused);
        if applied >= self.seen || !due || live || !self.hears_quorum() {
            return;
        }
        let upto = match own {
            true if left_over => Slot(self.suggestions.first.0 - 1),
            true => self.bound(owner).upto.max(self.suggestions.refused),
            false => self.seen,
        };
        self.revoke(owner, upto.max(next), out);
    }

    fn resolved_all(&self) -> Vec<(NodeId, Slot)> {
        self.config.members.iter().map(|owner| (*owner, self.resolved(*owner))).collect()
    }

    /// Phase 1a for the undecided slots of `owner` up to `upto`. The own promise is durable before it leaves.
    fn revoke(&mut self, owner: NodeId, upto: Slot, out: &mut Out) {
        let applied = self.log.applied();
        let upto = upto.min(Slot(applied.0 + self.window()));
        let waits = self.revoker.retry_at.get(&owner).is_some_and(|at| *at > self.now);
        let busy = self.revoker.under_way.contains_key(&owner);
        let mut slots = self.owners.slots(owner, applied, upto);
        if waits || busy || slots.all(|slot| self.log.is_decided(slot)) {
            return;
        }
        let ballot = revocation(self.revoker.round_met, self.config.node);
        self.promise(owner, Bound { ballot, upto }, out);
        let revocation = Revocation {
            ballot,
            first: applied.next(),
            upto,
            promise: self.journal.last(),
            promises: BTreeMap::new(),
            reported: BTreeMap::new(),
            proposed: None,
            sent_at: self.now,
        };
        out.broadcast(revocation.prepare(owner, revocation.first));
        self.revoker.under_way.insert(owner, revocation);
    }

    /// A ballot of a revocation was met. A lower one of this server is over; whoever has the higher one gets time for it.
    pub(super) fn meet(&mut self, owner: NodeId, ballot: Ballot) {
        self.revoker.round_met = self.revoker.round_met.max(ballot.round);
        if ballot.node == self.config.node {
            return;
        }
        let lower = |revocation: &Revocation| revocation.ballot < ballot;
        let own = self.revoker.under_way.get(&owner);
        if own.is_none_or(lower) && ballot >= self.bound(owner).ballot {
            self.revoker.under_way.remove(&owner);
            let wait = self.election_timeout();
            self.revoker.retry_at.insert(owner, self.now.after(wait));
        }
    }

    pub(super) fn on_promise(
        &mut self,
        from: NodeId,
        owner: NodeId,
        ballot: Ballot,
        page: Page,
        out: &mut Out,
    ) {
        self.notice_lag(from, page.applied, out);
        let Some(revocation) = self.revoker.under_way.get_mut(&owner) else { return };
        if revocation.ballot != ballot || revocation.proposed.is_some() {
            return;
        }
        let missing = Some(revocation.first);
        let progress = Progress { applied: Slot(0), missing };
        let progress = revocation.promises.entry(from).or_insert(progress);
        if progress.missing != Some(page.from) {
            return; // A copy.
        }
        progress.missing = page.more;
        progress.applied = progress.applied.max(page.applied);
        page.accepted.into_iter().for_each(|proposal| revocation.report(proposal));
        match page.more {
            Some(next) => out.send_at_once(from, revocation.prepare(owner, next)),
            None => self.propose_if_promised(owner, out),
        }
    }

    /// Phase 2a for every slot of the block that nobody in the quorum has applied.
    fn propose_if_promised(&mut self, owner: NodeId, out: &mut Out) {
        let persisted = self.journal.persisted;
        let Some(revocation) = self.revoker.under_way.get_mut(&owner) else { return };
        if revocation.proposed.is_some() || !revocation.is_promised(persisted, self.quorum) {
            return;
        }
        for proposal in self.log.accepted(revocation.first) {
            revocation.report(proposal);
        }
        revocation.sent_at = self.now;
        let (ballot, upto) = (revocation.ballot, revocation.upto);
        let mut reported = std::mem::take(&mut revocation.reported);
        let known = revocation.promises.values().map(|progress| progress.applied).max();
        let known = known.unwrap_or(Slot(0));
        let applied = self.log.applied();
        if known > applied {
            // These slots it fetches. Until it has them they would seem to need a revocation, over and over.
            let fetched_at = self.now.after(self.config.timing.resend);
            self.revoker.retry_at.insert(owner, fetched_at);
        }
        let mut proposed = BTreeMap::new();
        for slot in self.owners.slots(owner, applied.max(known), upto) {
            if self.log.is_decided(slot) {
                continue;
            }
            let value = reported.remove(&slot).map_or_else(Value::no_op, |found| found.value);
            let proposal = Proposal { slot, ballot, value: value.clone() };
            out.broadcast_at_once(Message::Accept { proposal: proposal.clone(), applied });
            self.accept(proposal, out);
            let record = self.journal.last();
            proposed.insert(slot, Proposed { value, record, acked: Vec::new() });
        }
        if let Some(revocation) = self.revoker.under_way.get_mut(&owner) {
            revocation.proposed = Some(proposed);
        }
        self.end_if_decided(owner);
    }

    /// An acceptance of what a revocation of this server proposes; false if it is not one.
    pub(super) fn revocation_acked(&mut self, from: NodeId, ballot: Ballot, slot: Slot) -> bool {
        let owner = self.owners.of(slot);
        let revocation = self.revoker.under_way.get_mut(&owner);
        let Some(revocation) = revocation.filter(|found| found.ballot == ballot) else {
            return false;
        };
        let proposed = revocation.proposed.as_mut().and_then(|slots| slots.get_mut(&slot));
        let Some(proposed) = proposed else { return false };
        if !proposed.acked.contains(&from) {
            proposed.acked.push(from);
        }
        if proposed.acked.len() >= self.quorum {
            self.log.decide_as(slot, proposed.value.clone());
            self.suggestions.to_tell.push((slot, ballot));
            self.end_if_decided(owner);
        }
        true
    }

    fn end_if_decided(&mut self, owner: NodeId) {
        let Some(revocation) = self.revoker.under_way.get_mut(&owner) else { return };
        let Some(proposed) = &mut revocation.proposed else { return };
        proposed.retain(|slot, _| !self.log.is_decided(*slot));
        if proposed.is_empty() {
            self.revoker.under_way.remove(&owner);
        }
    }

    /// Counts the server's own promises and acceptances, as far as its records are durable.
    pub(super) fn own_promises_persisted(&mut self, out: &mut Out) {
        let (node, persisted) = (self.config.node, self.journal.persisted);
        let owners: Vec<_> = self.revoker.under_way.keys().copied().collect();
        for owner in owners {
            self.propose_if_promised(owner, out);
            let Some(revocation) = self.revoker.under_way.get(&owner) else { continue };
            let (ballot, proposed) = (revocation.ballot, revocation.proposed.as_ref());
            let durable = proposed.into_iter().flatten().filter(|(_, proposed)| {
                proposed.record < persisted && !proposed.acked.contains(&node)
            });
            let slots: Vec<_> = durable.map(|(slot, _)| *slot).collect();
            for slot in slots {
                self.revocation_acked(node, ballot, slot);
            }
        }
    }

    /// Says again what was not answered.
    pub(super) fn revoke_again(&mut self, out: &mut Out) {
        let owners: Vec<_> = self.revoker.under_way.keys().copied().collect();
        owners.into_iter().for_each(|owner| self.end_if_decided(owner));
        let (now, resend, applied) = (self.now, self.config.timing.resend, self.log.applied());
        let trusted: Vec<_> = self.trusted_peers().collect();
        for (owner, revocation) in &mut self.revoker.under_way {
            if now.since(revocation.sent_at) < resend {
                continue;
            }
            revocation.sent_at = now;
            for peer in &trusted {
                match &revocation.proposed {
                    None => out.send(*peer, revocation.prepare_again(*owner, *peer)),
                    Some(proposed) => {
                        for proposal in revocation.not_acked_by(*peer, proposed) {
                            out.send_at_once(*peer, Message::Accept { proposal, applied });
                        }
                    }
                }
            }
        }
    }
}

impl Revocation {
    fn prepare(&self, owner: NodeId, from: Slot) -> Message {
        let Self { ballot, upto, .. } = *self;
        Message::Prepare { owner, ballot, from, upto }
    }

    fn prepare_again(&self, owner: NodeId, peer: NodeId) -> Message {
        let missing = self.promises.get(&peer).and_then(|progress| progress.missing);
        self.prepare(owner, missing.unwrap_or(self.first))
    }

    fn not_acked_by<'a>(
        &'a self,
        peer: NodeId,
        proposed: &'a BTreeMap<Slot, Proposed>,
    ) -> impl Iterator<Item = Proposal> + 'a {
        let missing = proposed.iter().filter(move |(_, proposed)| !proposed.acked.contains(&peer));
        missing.map(|(slot, proposed)| Proposal {
            slot: *slot,
            ballot: self.ballot,
            value: proposed.value.clone(),
        })
    }

    fn report(&mut self, proposal: Proposal) {
        let known = self.reported.get(&proposal.slot);
        if known.is_none_or(|known| known.ballot < proposal.ballot) {
            self.reported.insert(proposal.slot, proposal);
        }
    }

    /// Whether `quorum` servers have promised, this one's own durable promise included.
    fn is_promised(&self, persisted: Position, quorum: usize) -> bool {
        let complete = self.promises.values().filter(|progress| progress.missing.is_none());
        usize::from(self.promise < persisted) + complete.count() >= quorum
    }
}
