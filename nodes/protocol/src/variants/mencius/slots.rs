//! Whose a slot is, and the three classes of ballots in it.
//!
//! Lowest is the *skip*: the owner's own no-op, which is decided when its owner has accepted it, since nobody else may
//! propose anything but a no-op there without having found the owner's value. Then come the *initial* ballots, in which
//! the owner suggests without phase 1; their round names the owner's incarnation, so that no two incarnations share one.
//! A slot is skipped or suggested in once, by one incarnation. Above all of them are the ballots of *revocations*, which
//! need phase 1.

use crate::core::{Config, NodeId};
use crate::replication::{Ballot, Slot};

/// The first round of a revocation. Incarnations are counted below it.
const REVOCATIONS: u64 = 1 << 32;

/// The ballot in which `owner` skips one of its slots.
pub(super) fn skip(owner: NodeId) -> Ballot {
    Ballot { round: 1, node: owner }
}

/// Whether it is the ballot of a skip.
pub(super) fn is_skip(ballot: Ballot) -> bool {
    ballot.round == 1
}

/// The ballot in which this incarnation suggests in its own slots.
pub(super) fn initial(config: &Config) -> Ballot {
    Ballot { round: 1 + config.incarnation, node: config.node }
}

/// The ballot of a revocation by `node`, above every round that it has met.
pub(super) fn revocation(round_met: u64, node: NodeId) -> Ballot {
    Ballot { round: round_met.max(REVOCATIONS) + 1, node }
}

/// Whether it needs phase 1.
pub(super) fn is_revocation(ballot: Ballot) -> bool {
    ballot.round >= REVOCATIONS
}

/// Who owns which slots: the members take turns.
#[derive(Clone, Debug)]
pub(super) struct Owners {
    members: Vec<NodeId>,
}

impl Owners {
    pub(super) fn new(config: &Config) -> Self {
        Self { members: config.members.clone() }
    }

    /// How many slots lie between two of the same owner.
    pub(super) fn count(&self) -> u64 {
        self.members.len() as u64
    }

    /// Who owns `slot`, which is one of a log.
    pub(super) fn of(&self, slot: Slot) -> NodeId {
        let turn = (slot.0 - 1) % self.count();
        self.members[usize::try_from(turn).unwrap_or(0)]
    }

    /// The first slot of `owner` above `slot`.
    pub(super) fn next(&self, owner: NodeId, slot: Slot) -> Slot {
        let place = self.members.iter().position(|member| *member == owner);
        let turn = place.expect("a member") as u64;
        let ahead = (turn + self.count() - slot.0 % self.count()) % self.count();
        Slot(slot.0 + 1 + ahead)
    }

    /// The slot of the same owner after `slot`.
    pub(super) fn after(&self, slot: Slot) -> Slot {
        Slot(slot.0 + self.count())
    }

    /// The slots of `owner` above `above`, up to and with `upto`.
    pub(super) fn slots(
        &self,
        owner: NodeId,
        above: Slot,
        upto: Slot,
    ) -> impl Iterator<Item = Slot> + use<> {
        let step = self.count();
        let first = self.next(owner, above);
        (0..).map(move |turn| Slot(first.0 + turn * step)).take_while(move |slot| *slot <= upto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_take_turns() {
        let owners = Owners { members: [1, 2, 3].map(NodeId).to_vec() };
        assert_eq!([1, 2, 3, 4].map(|slot| owners.of(Slot(slot)).0), [1, 2, 3, 1]);
        for above in 0..9 {
            for owner in [1, 2, 3].map(NodeId) {
                let next = owners.next(owner, Slot(above));
                assert_eq!(owners.of(next), owner);
                assert!((above + 1..=above + 3).contains(&next.0), "{owner} above {above}");
            }
        }
        let slots: Vec<_> = owners.slots(NodeId(2), Slot(2), Slot(11)).map(|slot| slot.0).collect();
        assert_eq!(slots, [5, 8, 11]);
    }
}
