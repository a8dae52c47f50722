//! Who votes, and changes of it: one server at a time.
//!
//! Source: Ongaro's dissertation (2014), sections 4.1 to 4.3, with the correction published by its author on raft-dev ("bug
//! in single-server membership changes", 2015): a leader starts no change before it has committed an entry of its own term.
//! Without that, two leaders may each append a change of which the other knows nothing, and the majorities of the two need
//! not share a server.
//!
//! * A change takes effect as soon as its entry is appended, and no more when that entry is cut off.
//! * A leader appends a change only after the one before it is committed, and adds a server only once it has caught up.
//! * A server that is no voter receives the log like any other and starts no election; it votes if it is asked, for who asks
//!   may have a newer log than it. Whose votes and acknowledgements count is for the asker's voters to say.
//! * A leader that is removed leads on, without counting itself, until that is committed.

use super::message::Payload;
use super::{Out, Raft, Rule, Standing};
use crate::core::{NodeId, RequestId, Time};
use crate::machine::{Failure, Reply};
use crate::replication::Slot;

/// The voters as the log tells them.
#[derive(Clone, Debug)]
pub(super) struct Voters {
    /// Before every change that is remembered.
    base: Vec<NodeId>,
    /// Who votes from that slot on, in ascending order.
    changes: Vec<(Slot, Vec<NodeId>)>,
}

impl Voters {
    /// As long as nothing changes.
    pub(super) fn new(base: Vec<NodeId>) -> Self {
        Self { base, changes: Vec::new() }
    }

    /// Who votes by the newest entry: "a server always uses the latest configuration in its log, regardless of whether the
    /// entry is committed" (paper, section 6).
    pub(super) fn current(&self) -> &[NodeId] {
        self.changes.last().map_or(&self.base, |(_, voters)| voters)
    }

    /// Who votes by the newest entry up to `slot`.
    pub(super) fn at(&self, slot: Slot) -> &[NodeId] {
        let known = self.changes.iter().rev().find(|(at, _)| *at <= slot);
        known.map_or(&self.base, |(_, voters)| voters)
    }

    /// Who votes by the first change after `slot`, if there is one.
    fn after(&self, slot: Slot) -> Option<&[NodeId]> {
        let next = self.changes.iter().find(|(at, _)| *at > slot);
        next.map(|(_, voters)| voters.as_slice())
    }

    /// The slot of the newest change; 0 if none is remembered.
    pub(super) fn changed_at(&self) -> Slot {
        self.changes.last().map_or(Slot(0), |(slot, _)| *slot)
    }

    /// From `slot` on, the last of the log, these vote.
    pub(super) fn change(&mut self, slot: Slot, voters: Vec<NodeId>) {
        self.changes.push((slot, voters));
    }

    /// The entries after `last` are gone, and what they changed.
    pub(super) fn cut_off_after(&mut self, last: Slot) {
        self.changes.retain(|(slot, _)| *slot <= last);
    }

    /// Forgets what was before `upto`.
    pub(super) fn settle(&mut self, upto: Slot) {
        self.base = self.at(upto).to_vec();
        self.changes.retain(|(slot, _)| *slot > upto);
    }

    /// A snapshot up to `slot` was installed, by which `base` vote; of the log, what follows up to `last` stays.
    pub(super) fn install(&mut self, slot: Slot, last: Slot, base: Vec<NodeId>) {
        self.base = base;
        self.changes.retain(|(at, _)| *at > slot && *at <= last);
    }

    /// Whether those of `nodes` that vote are a majority.
    pub(super) fn is_majority(voters: &[NodeId], nodes: impl Iterator<Item = NodeId>) -> bool {
        nodes.filter(|node| voters.contains(node)).count() > voters.len() / 2
    }

    /// Whether `nodes`, who hold the entry in `slot`, are enough to commit it: a majority of those who vote there, or of
    /// those of the next change, which is in effect as soon as its leader holds it. (By the change after that one, the one
    /// before is committed, and `slot` with it.)
    pub(super) fn commit(&self, slot: Slot, nodes: &[NodeId]) -> bool {
        let majority = |voters| Self::is_majority(voters, nodes.iter().copied());
        majority(self.at(slot)) || self.after(slot).is_some_and(majority)
    }
}

/// A change that an operator asked a leader for.
#[derive(Debug)]
pub(super) struct Change {
    id: RequestId,
    node: NodeId,
    /// Whether the node is to vote, or no more.
    votes: bool,
    deadline: Time,
    /// The slot of its entry, once that is appended.
    slot: Option<Slot>,
}

impl Raft {
    /// Whether this node votes, by the newest entry of its log.
    pub(super) fn is_voter(&self) -> bool {
        self.voters.current().contains(&self.config.node)
    }

    /// An operator wants `node` to vote, or not to.
    pub(super) fn on_change(&mut self, id: RequestId, node: NodeId, votes: bool, out: &mut Out) {
        let deadline = self.now.after(self.config.timing.request);
        let Standing::Leading(reign) = &mut self.standing else {
            return out.reply_at_once(id, Reply::Failed(Failure::NoLeader));
        };
        if !self.config.members.contains(&node) {
            return out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
        }
        if reign.change.is_some() {
            return out.reply_at_once(id, Reply::Failed(Failure::Overloaded));
        }
        reign.change = Some(Change { id, node, votes, deadline, slot: None });
        self.change_if_allowed(out);
    }

    /// Appends the change that waits, if the rules allow it by now.
    pub(super) fn change_if_allowed(&mut self, out: &mut Out) {
        let Standing::Leading(reign) = &self.standing else { return };
        let Some(change) = reign.change.as_ref().filter(|change| change.slot.is_none()) else {
            return;
        };
        let committed = self.log.committed();
        let settled = committed >= reign.settled || self.waives(Rule::SettledChanges);
        let caught_up = !change.votes
            || change.node == self.config.node
            || reign.peers.get(&change.node).is_some_and(|peer| {
                peer.matched.0 + self.config.limits.pipeline as u64 >= committed.0
                    && peer.matched >= self.log.dropped().slot
            });
        if self.voters.changed_at() > committed || !settled || !caught_up {
            return;
        }
        let (id, node, votes) = (change.id, change.node, change.votes);
        let mut voters = self.voters.current().to_vec();
        match voters.binary_search(&node) {
            Err(at) if votes => voters.insert(at, node),
            Ok(at) if !votes => drop(voters.remove(at)),
            _ => {} // It is so already; but whether this node still leads, only the log can tell.
        }
        if voters.is_empty() {
            return self.end_change(id, Reply::Failed(Failure::Unsupported), out);
        }
        let slot = self.log.last().slot.next();
        if let Standing::Leading(reign) = &mut self.standing
            && let Some(change) = &mut reign.change
        {
            change.slot = Some(slot);
        }
        self.propose(Payload::Voters(voters), Vec::new(), out);
    }

    fn end_change(&mut self, id: RequestId, reply: Reply, out: &mut Out) {
        if let Standing::Leading(reign) = &mut self.standing {
            reign.change = None;
        }
        out.reply_at_once(id, reply);
    }

    /// More is committed: perhaps the change, by which this node may lead no more.
    pub(super) fn finish_change(&mut self, out: &mut Out) {
        let committed = self.log.committed();
        let Standing::Leading(reign) = &self.standing else { return };
        if let Some(Change { id, slot: Some(slot), .. }) = reign.change
            && slot <= committed
        {
            self.end_change(id, Reply::Done, out);
        }
        if !self.is_voter() && self.voters.changed_at() <= committed {
            self.beat(out); // The others learn that it is committed.
            self.leader = None;
            self.step_down(out);
        }
    }

    /// Gives up a change that cannot begin.
    pub(super) fn expire_change(&mut self, out: &mut Out) {
        let Standing::Leading(reign) = &self.standing else { return };
        if let Some(Change { id, slot: None, deadline, .. }) = reign.change
            && deadline <= self.now
        {
            self.end_change(id, Reply::Failed(Failure::Overloaded), out);
        }
    }
}

impl Change {
    /// Its leader leads no more.
    pub(super) fn abandon(self, out: &mut Out) {
        let why = if self.slot.is_some() { Failure::Unknown } else { Failure::NoLeader };
        out.reply_at_once(self.id, Reply::Failed(why));
    }
}
