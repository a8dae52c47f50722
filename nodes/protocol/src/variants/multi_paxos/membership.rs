//! Who is a member, slot by slot, and changes of it through the log.
//!
//! Source: L. Lamport, D. Malkhi and L. Zhou, "Reconfiguring a State Machine" (2010), section 3.1, the method R-alpha of "Paxos
//! Made Simple", section 3; the window as in R. van Renesse and D. Altinbuken, "Paxos Made Moderately Complex" (2015), section 2.
//!
//! A change that is decided in slot `s` governs the slots from `s + alpha` on, where `alpha` is `Limits::pipeline`, the same
//! for every node. Nothing is proposed for a slot more than `alpha` above the decided prefix, so whoever proposes knows
//! the members for that slot.
//!
//! # Invariants
//! * A slot is decided by a quorum of *its* members; others may accept it, but do not count.
//! * A proposal for a slot follows promises of a quorum of its members. A candidate asks for quorums of all that may govern the
//!   next `alpha` slots; a leader that comes to slots with other members asks those who have not promised again, and
//!   proposes nothing before they have. What they report binds it; who knows more to be decided than it has proposed
//!   ends its reign.
//! * Reads are confirmed by a quorum of the members of the first undecided slot, once those have promised and all
//!   that was reported is decided: a later leader needs the promise of one of them before it decides that slot.

use super::leader::Reign;
use super::message::Message;
use super::{MultiPaxos, Out, Standing, election};
use crate::core::{NodeId, RequestId};
use crate::machine::{Failure, Reply, digest};
use crate::replication::{Ballot, Slot, Value};
use serde::{Deserialize, Serialize};

/// A change of membership. As a value it has no requests, and is told from the no-op by its digest: values, messages and
/// records of other slots stay what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) node: NodeId,
    /// Whether it is to be a member, or no more.
    pub(super) joins: bool,
}

impl Change {
    pub(super) fn value(self) -> Value {
        Value::new(Vec::new(), &digest::encode(&("member", self)))
    }

    /// The change that the value is, of one of `nodes`.
    fn of(value: &Value, nodes: &[NodeId]) -> Option<Self> {
        if !value.requests().is_empty() || value.bytes() == 0 {
            return None;
        }
        let both = |node| [true, false].map(|joins| Self { node, joins });
        nodes.iter().copied().flat_map(both).find(|change| change.value() == *value)
    }
}

/// The members of every slot whose members are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memberships {
    /// Before every change that is remembered, in ascending order.
    base: Vec<NodeId>,
    /// From that slot on, in the order of slots.
    changes: Vec<(Slot, Vec<NodeId>)>,
}

/// Changes that are remembered though their slots are dropped.
const REMEMBERED: usize = 32;

impl Memberships {
    /// As long as nothing changes.
    pub(super) fn new(base: Vec<NodeId>) -> Self {
        Self { base, changes: Vec::new() }
    }

    /// The members of `slot`.
    pub(super) fn at(&self, slot: Slot) -> &[NodeId] {
        let known = self.changes.iter().rev().find(|(from, _)| *from <= slot);
        known.map_or(&self.base, |(_, members)| members)
    }

    fn newest(&self) -> &[NodeId] {
        self.changes.last().map_or(&self.base, |(_, members)| members)
    }

    /// Every membership that governs a slot from `slot` on, as far as is known.
    fn from(&self, slot: Slot) -> impl Iterator<Item = &[NodeId]> {
        let later = self.changes.iter().filter(move |(from, _)| *from > slot);
        std::iter::once(self.at(slot)).chain(later.map(|(_, members)| members.as_slice()))
    }

    /// The newest change is in force once this slot is decided.
    pub(super) fn in_force_after(&self) -> Slot {
        self.changes.last().map_or(Slot(0), |(from, _)| Slot(from.0 - 1))
    }

    /// Makes the change that a value is which is decided in `slot`, for the slots that are so many above it.
    pub(super) fn decide(&mut self, slot: Slot, after: u64, nodes: &[NodeId], value: &Value) {
        let Some(change) = Change::of(value, nodes) else { return };
        let mut members = self.newest().to_vec();
        match members.binary_search(&change.node) {
            Err(at) if change.joins => members.insert(at, change.node),
            Ok(at) if !change.joins && members.len() > 1 => drop(members.remove(at)),
            _ => return, // Nothing to do; or nobody would be left to decide anything.
        }
        self.changes.push((Slot(slot.0 + after), members));
    }

    /// Forgets who was a member before the slots above `dropped`, but for the last few changes, which whoever watches may ask
    /// for.
    pub(super) fn settle(&mut self, dropped: Slot) {
        let settled = self.changes.partition_point(|(from, _)| *from <= dropped.next());
        let forgotten = settled.min(self.changes.len().saturating_sub(REMEMBERED));
        if let Some((_, members)) = self.changes.drain(..forgotten).next_back() {
            self.base = members;
        }
    }
}

impl MultiPaxos {
    /// How many slots above the decided prefix may be proposed, and how many a change waits before it governs.
    pub(super) fn alpha(&self) -> u64 {
        self.config.limits.pipeline.max(1) as u64
    }

    /// The members of the first undecided slot.
    pub(super) fn members(&self) -> &[NodeId] {
        self.memberships.at(self.log.decided().next())
    }

    /// `size` of the first members, or the majority of others.
    pub(super) fn quorum_of(&self, members: &[NodeId], size: usize) -> usize {
        if members == self.first_members { size } else { members.len() / 2 + 1 }
    }

    /// Whether so many of `members` are among the nodes of which `counts` is true.
    fn is_quorum(&self, members: &[NodeId], size: usize, counts: &impl Fn(NodeId) -> bool) -> bool {
        let counted = members.iter().filter(|node| counts(**node)).count();
        counted >= self.quorum_of(members, size)
    }

    /// Whether these nodes hold a quorum of all memberships that may govern undecided slots, of this size of the first.
    pub(super) fn is_quorum_of_all(&self, size: usize, counts: impl Fn(NodeId) -> bool) -> bool {
        let mut memberships = self.memberships.from(self.log.decided().next());
        memberships.all(|members| self.is_quorum(members, size, &counts))
    }

    /// Whether these nodes decide `slot` by their acceptance.
    pub(super) fn is_decided_by(&self, slot: Slot, acceptors: &[NodeId]) -> bool {
        let members = self.memberships.at(slot);
        self.is_quorum(members, self.accept_quorum, &|node| acceptors.contains(&node))
    }

    /// Whether this node is, or is known to become, a member for an undecided slot.
    pub(super) fn is_member(&self) -> bool {
        let mut memberships = self.memberships.from(self.log.decided().next());
        memberships.any(|members| members.contains(&self.config.node))
    }

    /// Whether a quorum of the members of `slot` has promised to this leader.
    pub(super) fn is_prepared_for(&self, reign: &Reign, slot: Slot) -> bool {
        let members = self.memberships.at(slot);
        members == reign.first_members
            || self.is_quorum(members, self.promise_quorum, &|node| {
                node == self.config.node || reign.has_promised(node)
            })
    }

    /// Phase 1 of a leader that has come to slots whose members have not promised: asks those who have not.
    pub(super) fn prepare_members(&mut self, out: &mut Out) {
        let Standing::Leading(reign) = &self.standing else { return };
        let from = reign.next_slot(self.log.decided());
        if self.is_prepared_for(reign, from) {
            return;
        }
        let ballot = reign.ballot;
        let missing: Vec<NodeId> =
            self.config.peers().filter(|peer| !reign.has_promised(*peer)).collect();
        let Standing::Leading(reign) = &mut self.standing else { return };
        for peer in missing {
            reign.ask(peer, from);
            out.send(peer, Message::Prepare { ballot, from });
        }
    }

    /// A promise to a leader: it counts where the leader has asked for more than what elected it.
    pub(super) fn on_late_promise(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        page: election::Page,
        out: &mut Out,
    ) {
        let decided = self.log.decided();
        let Standing::Leading(reign) = &mut self.standing else { return };
        if reign.ballot != ballot || !reign.is_asked(from, page.from) {
            return;
        }
        let next = reign.next_slot(decided);
        if page.decided >= next {
            // It knows decided slots that this leader has proposed nothing for, and does not report their values.
            let goal = page.decided;
            self.canvass(out);
            return self.catch_up_from(from, goal, out);
        }
        for proposal in page.accepted.into_iter().filter(|proposal| proposal.slot >= next) {
            reign.inherit(proposal);
        }
        match page.more {
            Some(more) => {
                reign.ask(from, more);
                out.send(from, Message::Prepare { ballot, from: more });
            }
            None => {
                reign.promised(from);
                self.serve_reads(out);
            }
        }
    }

    /// An operator wants `node` to be a member, or not to be. Nothing waits: it is proposed now, or refused.
    pub(super) fn on_change(&mut self, id: RequestId, change: Change, out: &mut Out) {
        let refuse = |why| Reply::Failed(why);
        // What a leader may count on for its lease was not given by members to come.
        if self.leases.is_some() || !self.config.members.contains(&change.node) {
            return out.reply_at_once(id, refuse(Failure::Unsupported));
        }
        let Standing::Leading(reign) = &self.standing else {
            return out.reply_at_once(id, refuse(Failure::NoLeader));
        };
        // What was inherited may be a change, too.
        let decided = self.log.decided();
        let busy = reign.change.is_some()
            || reign.settled.max(self.memberships.in_force_after()) > decided;
        let Some(slot) = self.next_to_propose().filter(|_| !busy) else {
            return out.reply_at_once(id, refuse(Failure::Overloaded));
        };
        let members = self.memberships.newest();
        if members.contains(&change.node) == change.joins {
            return out.reply_at_once(id, Reply::Done);
        }
        if members.len() == 1 && !change.joins {
            return out.reply_at_once(id, refuse(Failure::Unsupported));
        }
        if let Standing::Leading(reign) = &mut self.standing {
            reign.change = Some((slot, id));
        }
        self.propose(change.value(), Vec::new(), out);
    }

    /// Tells the operator that its change has come into force.
    pub(super) fn answer_change(&mut self, out: &mut Out) {
        let decided = self.log.decided();
        let in_force_after = self.memberships.in_force_after();
        if let Standing::Leading(reign) = &mut self.standing
            && let Some((_, id)) =
                reign.change.take_if(|(slot, _)| in_force_after.max(*slot) <= decided)
        {
            out.reply(id, Reply::Done);
        }
    }
}
