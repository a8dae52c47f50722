//! Whatever is decided was accepted by a quorum.
//!
//! Source: Lamport, "Paxos Made Simple" (2001), section 2.1: a value is chosen when "a large enough set of acceptors
//! have accepted it", where "we can let a large enough set consist of any majority of the agents"; section 2.5 for
//! stable storage. What a quorum is, the variant says (`Core::decides`): a majority of the members where it says nothing.
//!
//! When any node first comes to know a slot's decided value, a quorum holds durable records that accept this very value
//! in this slot *under one and the same ballot*. Acceptances that are spread over several
//! ballots prove nothing, even of one value.
//!
//! No breach: later decisions of the same slot, by whoever learns them by whatever means (`agreement` compares their
//! values); slots that a snapshot brings, for they were decided somewhere before; a new leader that proposes an
//! accepted value again, once its own ballot has its majority; a single node that is a majority of itself. An
//! acceptance counts for ever: durable records stay durable. Where nobody ever says that it accepts, there is no such
//! thing to check.
//!
//! Forgotten: slots once they are decided, and slots [`SPAN`] below the highest.

use super::Invariant;
use super::table::Slots;
use super::votes::Votes;
use crate::facts::{Fact, View};
use tribunal_protocol::{Claim, NodeId, Observation};

/// Slots of which acceptances are remembered, from the first undecided one on.
const SPAN: usize = 1 << 16;

/// The invariant.
pub(super) struct Quorum {
    slots: Slots<Slot>,
    /// Whether the variant has acceptances at all.
    accepts: bool,
}

/// What is known of a slot.
#[derive(Debug, Default)]
struct Slot {
    decided: bool,
    votes: Votes,
}

impl Quorum {
    /// At the start of an execution.
    pub(super) fn new() -> Self {
        Self { slots: Slots::new(SPAN), accepts: false }
    }

    fn accept(&mut self, node: NodeId, claims: &[Claim]) {
        for claim in claims {
            let Claim::Accepted { ballot, slot, digest: Some(digest) } = *claim else { continue };
            self.accepts = true;
            if let Some(slot) = self.slots.at(slot).filter(|slot| !slot.decided) {
                slot.votes.add(node, ballot, digest);
            }
        }
    }

    fn decide(
        &mut self,
        node: NodeId,
        slot: u64,
        digest: u64,
        view: &dyn View,
    ) -> Result<(), String> {
        if !self.accepts {
            return Ok(());
        }
        let Some(known) = self.slots.at(slot).filter(|slot| !slot.decided) else { return Ok(()) };
        let mut ballots = known.votes.of(digest);
        if !ballots.any(|(ballot, voters)| voters.decide(node, slot, ballot, view)) {
            return Err(format!(
                "{node} knows slot {slot} to be decided as {digest:016x}; a quorum of the {} members \
                 must have accepted that in one ballot, but {}",
                view.members().len(),
                known.votes.describe()
            ));
        }
        drop(ballots);
        *known = Slot { decided: true, ..Slot::default() };
        self.slots.drop_while(|slot| slot.decided);
        Ok(())
    }
}

impl Invariant for Quorum {
    fn name(&self) -> &'static str {
        "quorum"
    }

    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String> {
        match *fact {
            Fact::Durable { node, claims } => self.accept(node, claims),
            Fact::Sent { claim: Claim::Accepted { .. }, .. }
            | Fact::Observed { observation: Observation::Accepted { .. }, .. } => {
                self.accepts = true;
            }
            Fact::Observed { node, observation: &Observation::Decided { slot, digest } } => {
                return self.decide(node, slot, digest, view);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{
        Fake, Made, accepted, accepted_value, breached, decided, durable, holds, installed,
        sees_accepted, sent, started,
    };
    use super::*;

    fn accepts(node: u32, ballot: u64, slot: u64, digest: u64) -> Made {
        durable(node, &[accepted_value(ballot, slot, digest)])
    }

    #[test]
    fn a_majority_in_one_ballot_decides() {
        let facts = [
            accepts(1, 5, 1, 0xa),
            accepts(1, 5, 2, 0xb),
            accepts(2, 5, 2, 0xb),
            accepts(3, 5, 1, 0xa),
            decided(1, 1, 0xa),
            decided(1, 2, 0xb),
            accepts(2, 5, 1, 0xa), // Late.
            decided(2, 1, 0xa),
            installed(4, 2), // And goes on where it is told.
            accepts(1, 5, 3, 0xc),
            started(1, 2), // Its acceptance outlives it.
            accepts(2, 5, 3, 0xc),
            accepts(3, 5, 3, 0xc),
            decided(4, 3, 0xc),
        ];
        holds(&mut Quorum::new(), &Fake::new(3), &facts);
    }

    #[test]
    fn a_value_proposed_again_needs_a_majority_of_its_own() {
        let again = [
            accepts(1, 5, 1, 0xa),
            accepts(2, 5, 1, 0xa),
            accepts(3, 8, 1, 0xa),
            accepts(4, 8, 1, 0xa),
        ];
        let with = |last: &[Made]| [&again[..], last].concat();
        holds(
            &mut Quorum::new(),
            &Fake::new(5),
            &with(&[accepts(1, 8, 1, 0xa), decided(3, 1, 0xa)]),
        );
        let why = "n1, n2 accepted 000000000000000a in ballot 5; \
                   n3, n4 accepted 000000000000000a in ballot 8";
        breached(&mut Quorum::new(), &Fake::new(5), &with(&[decided(3, 1, 0xa)]), why);
    }

    #[test]
    fn a_single_node_is_its_own_majority() {
        holds(&mut Quorum::new(), &Fake::new(1), &[accepts(1, 5, 1, 0xa), decided(1, 1, 0xa)]);
    }

    #[test]
    fn a_variant_without_acceptances_has_no_quorums() {
        holds(&mut Quorum::new(), &Fake::new(3), &[decided(1, 1, 0xa), decided(2, 1, 0xa)]);
    }

    #[test]
    fn a_quorum_is_what_the_variant_says() {
        let mut view = Fake::new(3);
        let facts = [accepts(1, 5, 1, 0xa), decided(1, 1, 0xa)];
        view.quorum = Some(1);
        holds(&mut Quorum::new(), &view, &facts);
        let facts = [accepts(1, 5, 1, 0xa), accepts(2, 5, 1, 0xa), decided(1, 1, 0xa)];
        view.quorum = Some(3);
        breached(&mut Quorum::new(), &view, &facts, "n1, n2 accepted");
    }

    #[test]
    fn half_of_an_even_cluster_must_not_decide() {
        let facts = [accepts(1, 5, 1, 0xa), accepts(2, 5, 1, 0xa), decided(1, 1, 0xa)];
        breached(&mut Quorum::new(), &Fake::new(4), &facts, "a quorum of the 4 members");
    }

    #[test]
    fn one_node_must_not_count_twice() {
        let facts = [accepts(1, 5, 1, 0xa), accepts(1, 5, 1, 0xa), decided(1, 1, 0xa)];
        breached(&mut Quorum::new(), &Fake::new(3), &facts, "n1 accepted");
    }

    #[test]
    fn what_is_not_durable_must_not_count() {
        let facts = [
            accepts(1, 5, 1, 0xa),
            sees_accepted(2, 5, 1, 0xa),
            sent(2, accepted(5, 1)),
            decided(1, 1, 0xa),
        ];
        breached(&mut Quorum::new(), &Fake::new(3), &facts, "n1 accepted");
        let facts = [sees_accepted(1, 5, 1, 0xa), decided(1, 1, 0xa)];
        breached(&mut Quorum::new(), &Fake::new(3), &facts, "no disk holds any");
    }

    #[test]
    fn acceptances_of_another_value_or_slot_must_not_count() {
        let facts = [accepts(1, 5, 1, 0xa), accepts(2, 6, 1, 0xb), decided(1, 1, 0xa)];
        breached(
            &mut Quorum::new(),
            &Fake::new(3),
            &facts,
            "accepted 000000000000000b in ballot 6",
        );
        let facts = [accepts(1, 5, 1, 0xa), accepts(2, 5, 1, 0xa), decided(1, 2, 0xa)];
        breached(&mut Quorum::new(), &Fake::new(3), &facts, "slot 2");
    }
}
