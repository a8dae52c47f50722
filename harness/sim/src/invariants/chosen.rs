//! What is chosen stays chosen: a higher ballot never proposes anything else.
//!
//! Source: Lamport, "Paxos Made Simple" (2001), section 2.2, P2b: "If a proposal with value v is chosen, then every
//! higher-numbered proposal issued by any proposer has value v". It is what phase 1 is for (P2c), and what the
//! intersection of majorities buys.
//!
//! A value is chosen in a slot once a quorum holds durable records that accept it under one ballot, whether anybody
//! knows or not; what a quorum is, the variant says (`Core::decides`), as far as the last of them knows the members. From then on no proposal of a higher ballot may name another value, and none may have been issued
//! before: whoever issued it had promises of a majority, and one of these acceptors could not have accepted the lower
//! ballot any more. This sees a leader that goes wrong when it proposes, long before two nodes decide differently.
//!
//! No breach: an old leader that still proposes another value under a lower ballot, late or again; several ballots with
//! different values of which none is chosen; a value that is chosen again in a higher ballot.
//!
//! Assumed: promises are asked of quorums that meet those. Forgotten: slots [`SPAN`] below the highest; a leader that falls back so
//! far and proposes there is left to `agreement`.

use super::Invariant;
use super::table::Slots;
use super::votes::Votes;
use crate::facts::{Fact, View};
use tribunal_protocol::{Claim, NodeId};

/// Slots that are remembered.
const SPAN: usize = 1 << 14;

/// The invariant.
pub(super) struct Chosen {
    slots: Slots<Slot>,
}

/// What is known of a slot.
#[derive(Debug, Default)]
struct Slot {
    votes: Votes,
    /// The chosen proposal; the one of the lowest ballot, if several are.
    chosen: Option<Proposal>,
    /// The proposal of the highest ballot.
    highest: Option<Proposal>,
    /// Those before it. Of one value, only that of the highest ballot.
    others: Vec<Proposal>,
}

#[derive(Clone, Copy, Debug)]
struct Proposal {
    ballot: u64,
    digest: u64,
}

impl Chosen {
    /// At the start of an execution.
    pub(super) fn new() -> Self {
        Self { slots: Slots::new(SPAN) }
    }

    fn accept(&mut self, node: NodeId, claims: &[Claim], view: &dyn View) -> Result<(), String> {
        for claim in claims {
            let Claim::Accepted { ballot, slot, digest: Some(digest) } = *claim else { continue };
            let Some(known) = self.slots.at(slot) else { continue };
            if known.votes.add(node, ballot, digest).decide(node, slot, ballot, view) {
                known.choose(slot, Proposal { ballot, digest })?;
            }
        }
        Ok(())
    }

    fn propose(&mut self, slot: u64, proposal: Proposal) -> Result<(), String> {
        let Some(known) = self.slots.at(slot) else { return Ok(()) };
        known.issue(proposal);
        match known.chosen {
            Some(chosen) => compare(slot, chosen, proposal),
            None => Ok(()),
        }
    }
}

impl Slot {
    fn choose(&mut self, slot: u64, proposal: Proposal) -> Result<(), String> {
        let chosen = self.chosen.get_or_insert(proposal);
        if chosen.digest != proposal.digest {
            return Err(format!(
                "two values are chosen in slot {slot}: {:016x} in ballot {}, {:016x} in ballot {}",
                chosen.digest, chosen.ballot, proposal.digest, proposal.ballot
            ));
        }
        chosen.ballot = chosen.ballot.min(proposal.ballot);
        let chosen = *chosen;
        let mut issued = self.highest.iter().chain(&self.others);
        issued.try_for_each(|issued| compare(slot, chosen, *issued))
    }

    fn issue(&mut self, proposal: Proposal) {
        let highest = self.highest.get_or_insert(proposal);
        if highest.digest == proposal.digest {
            highest.ballot = highest.ballot.max(proposal.ballot);
            return;
        }
        let lower = if highest.ballot < proposal.ballot {
            std::mem::replace(highest, proposal)
        } else {
            proposal
        };
        let digest = highest.digest;
        self.others.retain(|other| other.digest != digest);
        match self.others.iter_mut().find(|other| other.digest == lower.digest) {
            Some(other) => other.ballot = other.ballot.max(lower.ballot),
            None => self.others.push(lower),
        }
    }
}

fn compare(slot: u64, chosen: Proposal, issued: Proposal) -> Result<(), String> {
    if issued.ballot <= chosen.ballot || issued.digest == chosen.digest {
        return Ok(());
    }
    Err(format!(
        "ballot {} proposes {:016x} in slot {slot}, where {:016x} is chosen in ballot {}",
        issued.ballot, issued.digest, chosen.digest, chosen.ballot
    ))
}

impl Invariant for Chosen {
    fn name(&self) -> &'static str {
        "chosen"
    }

    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String> {
        match *fact {
            Fact::Durable { node, claims } => self.accept(node, claims, view),
            Fact::Sent { claim: Claim::Proposes { ballot, slot, digest }, .. } => {
                self.propose(slot, Proposal { ballot, digest })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{
        Fake, Made, accepted_value, breached, durable, holds, proposes, sent, started,
    };
    use super::*;

    fn accepts(node: u32, ballot: u64, slot: u64, digest: u64) -> Made {
        durable(node, &[accepted_value(ballot, slot, digest)])
    }

    /// Value a is chosen in slot 1 under ballot 5, by nodes 1 and 2 of three.
    fn chosen() -> Vec<Made> {
        vec![sent(1, proposes(5, 1, 0xa)), accepts(1, 5, 1, 0xa), accepts(2, 5, 1, 0xa)]
    }

    fn and(last: &[Made]) -> Vec<Made> {
        [&chosen()[..], last].concat()
    }

    #[test]
    fn higher_ballots_propose_what_is_chosen() {
        let facts = and(&[
            sent(2, proposes(6, 1, 0xa)),
            accepts(3, 6, 1, 0xa),
            accepts(2, 6, 1, 0xa),
            started(1, 2),
            accepts(1, 5, 1, 0xa),
            sent(1, proposes(7, 1, 0xa)),
            sent(1, proposes(7, 2, 0xb)),
        ]);
        holds(&mut Chosen::new(), &Fake::new(3), &facts);
    }

    #[test]
    fn lower_ballots_may_still_propose_anything() {
        let facts = [
            sent(3, proposes(3, 1, 0xb)),
            accepts(3, 3, 1, 0xb),
            sent(1, proposes(5, 1, 0xa)),
            accepts(1, 5, 1, 0xa),
            accepts(2, 5, 1, 0xa),
            sent(3, proposes(3, 1, 0xb)),
            sent(3, proposes(4, 1, 0xc)),
        ];
        holds(&mut Chosen::new(), &Fake::new(3), &facts);
    }

    #[test]
    fn what_is_not_chosen_binds_nobody() {
        let facts = [
            sent(1, proposes(5, 1, 0xa)),
            accepts(1, 5, 1, 0xa),
            sent(2, proposes(6, 1, 0xb)),
            accepts(2, 6, 1, 0xb),
            sent(3, proposes(7, 1, 0xa)), // Two ballots, one value, but no majority in one of them.
            accepts(3, 7, 1, 0xa),
            sent(2, proposes(8, 1, 0xb)),
            accepts(2, 8, 1, 0xb),
            accepts(3, 8, 1, 0xb),
        ];
        holds(&mut Chosen::new(), &Fake::new(3), &facts);
    }

    #[test]
    fn a_higher_ballot_must_not_propose_another_value() {
        let why = "ballot 7 proposes 000000000000000b in slot 1, where 000000000000000a is \
                   chosen in ballot 5";
        breached(&mut Chosen::new(), &Fake::new(3), &and(&[sent(3, proposes(7, 1, 0xb))]), why);
        let again = [accepts(2, 9, 1, 0xa), accepts(3, 9, 1, 0xa), sent(3, proposes(7, 1, 0xb))];
        breached(&mut Chosen::new(), &Fake::new(3), &and(&again), why);
    }

    #[test]
    fn a_higher_ballot_must_not_have_proposed_another_value_before() {
        let facts = [&[sent(3, proposes(7, 1, 0xb))], &chosen()[..]].concat();
        breached(&mut Chosen::new(), &Fake::new(3), &facts, "ballot 7 proposes 000000000000000b");
        let hidden = [
            sent(3, proposes(7, 1, 0xb)),
            sent(2, proposes(8, 1, 0xc)),
            sent(1, proposes(9, 1, 0xa)),
        ];
        let facts = [&hidden[..], &chosen()].concat();
        breached(&mut Chosen::new(), &Fake::new(3), &facts, "in slot 1, where");
    }

    #[test]
    fn two_values_must_not_be_chosen() {
        let facts = and(&[accepts(2, 4, 1, 0xb), accepts(3, 4, 1, 0xb)]);
        let why = "two values are chosen in slot 1: 000000000000000a in ballot 5, \
                   000000000000000b in ballot 4";
        breached(&mut Chosen::new(), &Fake::new(3), &facts, why);
    }

    #[test]
    fn of_each_value_the_highest_ballot_is_remembered() {
        let mut slot = Slot::default();
        for (ballot, digest) in [(5, 1), (3, 2), (7, 2), (6, 1), (9, 3), (8, 1), (4, 3)] {
            slot.issue(Proposal { ballot, digest });
        }
        let mut known: Vec<_> = slot.others.iter().chain(&slot.highest).collect();
        known.sort_by_key(|proposal| proposal.digest);
        let known: Vec<_> = known.iter().map(|known| (known.ballot, known.digest)).collect();
        assert_eq!(known, [(8, 1), (7, 2), (9, 3)]);
        assert_eq!(slot.highest.map(|highest| highest.ballot), Some(9));
    }
}
