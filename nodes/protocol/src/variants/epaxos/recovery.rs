//! Explicit Prepare: whoever waits too long for a decision makes one.
//!
//! The rule and its proof are in [`super`].

use super::leader::{Attempt, Stage};
use super::message::{Deps, Instance, Payload, Vote, ballot_above};
use super::{EPaxos, Out, Suspect};
use crate::core::NodeId;
use crate::replication::Ballot;
use std::collections::BTreeMap;

/// Instances of one row that are recovered at a time.
const AT_ONCE: u64 = 32;

/// Patience grows with every attempt, up to so many times.
const PATIENCE_MAX: u32 = 6;

/// What may be proposed in a recovery.
#[derive(Debug, PartialEq)]
enum Choice {
    /// Only this.
    Bound(Payload, Deps),
    /// This payload, with dependencies to be found out anew.
    Payload(Payload),
}

impl EPaxos {
    /// The row makes progress: nothing of it is to be recovered for a while.
    pub(super) fn trust(&mut self, row: usize) {
        self.suspect(row, 0);
    }

    fn suspect(&mut self, row: usize, tries: u32) {
        let timing = self.config.timing;
        let patience = 1 + tries.min(PATIENCE_MAX);
        let (min, max) = (timing.election_min, timing.election_max * patience);
        self.suspects[row] = Suspect { at: self.random_time(min, max), tries };
    }

    /// Recovers what was waited for too long.
    pub(super) fn recover_suspects(&mut self, out: &mut Out) {
        for row in 0..self.log.rows() {
            let (committed, known) = (self.log.committed_in(row), self.log.known_in(row));
            if committed >= known {
                self.trust(row);
            } else if self.now >= self.suspects[row].at {
                let tries = self.suspects[row].tries;
                for number in committed + 1..=known.min(committed + AT_ONCE) {
                    self.recover_instance(self.instance(row, number), out);
                }
                self.suspect(row, tries + 1);
            }
        }
    }

    /// Begins a recovery of an undecided instance in which this node has no attempt under way.
    fn recover_instance(&mut self, instance: Instance, out: &mut Out) {
        if self.log.is_committed(instance) || self.attempts.contains_key(&instance) {
            return;
        }
        let promised = self.log.get(instance).map_or(Ballot::NONE, |entry| entry.promised);
        let highest = promised.max(self.met);
        let ballot = ballot_above(highest, self.config.node, self.config.incarnation);
        self.promise(instance, ballot, out);
        self.begin(instance, ballot, Stage::Preparing { votes: BTreeMap::new() }, out);
    }

    pub(super) fn on_prepare_ok(
        &mut self,
        from: NodeId,
        instance: Instance,
        ballot: Ballot,
        vote: Vote,
        out: &mut Out,
    ) {
        let Some(attempt) = self.attempts.get_mut(&instance) else { return };
        if let Stage::Preparing { votes } = &mut attempt.stage
            && attempt.ballot == ballot
        {
            votes.insert(from, vote);
            self.advance(instance, out);
        }
    }

    /// Goes on once a quorum has told what it holds.
    pub(super) fn advance_recovery(&mut self, instance: Instance, out: &mut Out) {
        let Some(Attempt { ballot, stage: Stage::Preparing { votes }, .. }) =
            self.attempts.get(&instance)
        else {
            return;
        };
        let ballot = *ballot;
        if votes.len() + 1 < self.quorum {
            return;
        }
        let nothing = Vote::Nothing;
        let own = self.log.get(instance).map_or(&nothing, |entry| &entry.vote);
        let owner = self.owner(instance);
        let with_owner = owner == self.config.node || votes.contains_key(&owner);
        let all: Vec<_> = votes.values().chain([own]).collect();
        let unasked = self.config.members.len() - all.len();
        match choose(&all, with_owner, self.fast_quorum.saturating_sub(unasked)) {
            Choice::Bound(payload, deps) => {
                self.ask_acceptance(instance, ballot, payload, deps, out);
            }
            Choice::Payload(Payload::NoOp) => {
                let mut deps = Deps::none(self.log.rows());
                deps.set(instance.row(), instance.number - 1);
                self.ask_acceptance(instance, ballot, Payload::NoOp, deps, out);
            }
            Choice::Payload(payload) => {
                let none = Deps::none(self.log.rows());
                let deps = self.pre_accept(instance, ballot, payload.clone(), none, out);
                self.ask_dependencies(instance, ballot, payload, deps, out);
            }
        }
    }
}

/// What may be proposed, given the votes of a quorum. `with_owner`: the instance's owner is one of them. `agreed_min`: so
/// many of them must have agreed to the owner's dependencies if the owner has decided these by the fast path.
fn choose(votes: &[&Vote], with_owner: bool, agreed_min: usize) -> Choice {
    let mut accepted: Option<(Ballot, &Payload, &Deps)> = None;
    let mut known: Option<&Payload> = None;
    let mut agreed: Vec<&Deps> = Vec::new();
    for vote in votes {
        match vote {
            Vote::Nothing => {}
            // Can only be learned by another message in between; it is decided already.
            Vote::Committed { payload, deps } => {
                return Choice::Bound(payload.clone(), deps.clone());
            }
            Vote::Accepted { ballot, payload, deps } => {
                if accepted.is_none_or(|(highest, ..)| *ballot > highest) {
                    accepted = Some((*ballot, payload, deps));
                }
            }
            Vote::PreAccepted { payload, deps, agreed: agrees } => {
                known = Some(payload);
                agreed.extend(agrees.then_some(deps));
            }
        }
    }
    if let Some((_, payload, deps)) = accepted {
        return Choice::Bound(payload.clone(), deps.clone());
    }
    match (known, agreed.first()) {
        (None, _) => Choice::Payload(Payload::NoOp),
        (Some(payload), Some(deps)) if !with_owner && agreed.len() >= agreed_min => {
            Choice::Bound(payload.clone(), (*deps).clone())
        }
        (Some(payload), _) => Choice::Payload(payload.clone()),
    }
}
