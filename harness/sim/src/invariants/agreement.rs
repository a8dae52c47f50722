//! Agreement: a slot has one value.
//!
//! Source: Lamport, "Paxos Made Simple" (2001), section 2.1: "only a single value is chosen", here for each instance
//! (section 3); and section 2.2: two proposals never have the same number, so one ballot proposes one value a slot.
//!
//! Compared are digests of values: what any node, in any incarnation, comes to know as decided in a slot; and what is
//! proposed or accepted in one slot under one ballot.
//!
//! No breach: several ballots that propose different values in a slot, as long as one of them is decided; a slot that
//! is decided several times, by restarted nodes for example, with the same value.
//!
//! Forgotten: decided values [`DECIDED`] slots behind the highest, proposals [`PROPOSED`] slots behind. A node that has
//! fallen back further is not compared slot by slot any more; its state still is, by `same-state`.

use super::Invariant;
use super::table::Slots;
use crate::facts::{Fact, View};
use tribunal_protocol::{Claim, NodeId, Observation};

/// Slots whose decided values are remembered.
const DECIDED: usize = 1 << 18;

/// Slots whose proposals are remembered.
const PROPOSED: usize = 1 << 14;

/// The invariant.
pub(super) struct Agreement {
    /// The value of each slot, and who knew it first.
    decided: Slots<Option<Value>>,
    proposed: Slots<Proposals>,
}

#[derive(Clone, Copy, Debug)]
struct Value {
    digest: u64,
    node: NodeId,
}

/// The values proposed in a slot, each with its ballot. Almost always one.
#[derive(Debug, Default)]
struct Proposals {
    newest: Option<(u64, Value)>,
    others: Vec<(u64, Value)>,
}

impl Agreement {
    /// At the start of an execution.
    pub(super) fn new() -> Self {
        Self { decided: Slots::new(DECIDED), proposed: Slots::new(PROPOSED) }
    }

    fn decide(&mut self, slot: u64, value: Value) -> Result<(), String> {
        let Some(known) = self.decided.at(slot) else { return Ok(()) };
        let known = *known.get_or_insert(value);
        if known.digest == value.digest {
            return Ok(());
        }
        Err(format!(
            "slot {slot} is decided as {:016x} at {}, and as {:016x} at {}",
            known.digest, known.node, value.digest, value.node
        ))
    }

    fn propose(&mut self, slot: u64, ballot: u64, value: Value) -> Result<(), String> {
        let Some(proposals) = self.proposed.at(slot) else { return Ok(()) };
        let known = proposals.first(ballot, value);
        if known.digest == value.digest {
            return Ok(());
        }
        Err(format!(
            "ballot {ballot} has two values in slot {slot}: {:016x} at {}, {:016x} at {}",
            known.digest, known.node, value.digest, value.node
        ))
    }
}

impl Proposals {
    /// The value that was first met under `ballot`; `value` if there is none yet.
    fn first(&mut self, ballot: u64, value: Value) -> Value {
        if let Some((_, known)) = self.newest.filter(|(newest, _)| *newest == ballot) {
            return known;
        }
        if let Some((_, known)) = self.others.iter().find(|(other, _)| *other == ballot) {
            return *known;
        }
        self.others.extend(self.newest.replace((ballot, value)));
        value
    }
}

impl Invariant for Agreement {
    fn name(&self) -> &'static str {
        "agreement"
    }

    fn check(&mut self, fact: &Fact<'_>, _view: &dyn View) -> Result<(), String> {
        match *fact {
            Fact::Observed { node, observation: &Observation::Decided { slot, digest } } => {
                self.decide(slot, Value { digest, node })
            }
            Fact::Observed {
                node,
                observation: &Observation::Accepted { slot, ballot, digest },
            }
            | Fact::Sent { from: node, claim: Claim::Proposes { ballot, slot, digest }, .. } => {
                self.propose(slot, ballot, Value { digest, node })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{
        Fake, breached, decided, holds, proposes, sees_accepted, sent, started,
    };
    use super::*;

    #[test]
    fn one_value_a_slot_is_agreement() {
        let facts = [
            sent(1, proposes(5, 1, 0xa)),
            sees_accepted(1, 5, 1, 0xa),
            sees_accepted(2, 5, 1, 0xa),
            sent(3, proposes(7, 1, 0xb)), // Ballot 5 had not reached a majority.
            sees_accepted(2, 7, 1, 0xb),
            sees_accepted(3, 7, 1, 0xb),
            sees_accepted(1, 5, 1, 0xa),
            decided(3, 1, 0xb),
            decided(2, 1, 0xb),
            started(2, 2),
            decided(2, 1, 0xb),
            decided(2, 2, 0xc),
        ];
        holds(&mut Agreement::new(), &Fake::new(3), &facts);
    }

    #[test]
    fn two_nodes_must_not_decide_differently() {
        let facts =
            [decided(1, 1, 0xa), decided(1, 2, 0xb), decided(2, 1, 0xa), decided(2, 2, 0xc)];
        let why = "slot 2 is decided as 000000000000000b at n1, and as 000000000000000c at n2";
        breached(&mut Agreement::new(), &Fake::new(3), &facts, why);
    }

    #[test]
    fn a_restart_must_not_change_what_was_decided() {
        let facts = [decided(1, 1, 0xa), started(1, 2), decided(1, 1, 0xb)];
        breached(&mut Agreement::new(), &Fake::new(1), &facts, "slot 1 is decided as");
    }

    #[test]
    fn one_ballot_must_not_propose_two_values() {
        let facts = [
            sent(1, proposes(5, 3, 0xa)),
            sent(2, proposes(6, 3, 0xb)),
            sent(1, proposes(5, 3, 0xc)),
        ];
        breached(&mut Agreement::new(), &Fake::new(3), &facts, "ballot 5 has two values in slot 3");
    }

    #[test]
    fn what_is_accepted_must_be_what_was_proposed() {
        let facts = [sent(1, proposes(5, 3, 0xa)), sees_accepted(2, 5, 3, 0xb)];
        breached(&mut Agreement::new(), &Fake::new(3), &facts, "ballot 5 has two values in slot 3");
    }
}
