//! A learner applies decided slots in the order in which they arrived.
//!
//! *Mechanism.* A follower that learns of several decided slots at once applies them as it received their values, not by
//! slot. The leader applies by slot.
//!
//! *Seen in* CubeFS, cubefs/cubefs PR #4060 (entries of a larger index applied before those of a smaller one, when two
//! goroutines apply around an election).
//!
//! *Exposed by* delays that reorder two proposals, or the loss of the first, which is then sent again; and then a change of
//! leader.
//!
//! *Anomaly.* The order of two writes changes: a list that was read is no prefix of what is read later.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::replication::{Ballot, Slot, Value};
use crate::variants::multi_paxos::{Message, MultiPaxos, Record};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 11,
        name: "out-of-order",
        mechanism: "a follower applies decided slots in the order of their arrival",
        seen_in: "cubefs/cubefs PR #4060",
        exposed_by: "delay or loss that reorders proposals, and a change of leader after it",
        anomaly: "reordered writes",
        exempt_from_real: None,
    },
    make: |_| Box::new(OutOfOrder { arrived: Vec::new() }),
};

#[derive(Debug)]
struct OutOfOrder {
    /// The undecided slots in which something was accepted, the last to arrive at the end.
    arrived: Vec<Slot>,
}

impl OutOfOrder {
    /// The values of the slots that an announcement decides, in their order of arrival.
    fn decides(&self, core: &MultiPaxos, ballot: Ballot, upto: Slot) -> Vec<Value> {
        let current = |slot: &Slot| core.held(*slot).is_some_and(|held| held.ballot == ballot);
        let last = core.decided().up_to(upto).take_while(current).last();
        let arrived = self.arrived.iter().filter(|slot| Some(**slot) <= last);
        arrived.filter_map(|slot| core.held(*slot)).map(|held| held.value.clone()).collect()
    }
}

impl Bug<MultiPaxos> for OutOfOrder {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        self.arrived.retain(|slot| *slot > core.decided());
        let announced = match &input {
            Input::Message(from, Message::Heartbeat { ballot, decided, .. }) => {
                Some((*from, *ballot, *decided))
            }
            Input::Message(from, Message::Accept { proposal, decided }) => {
                Some((*from, proposal.ballot, *decided))
            }
            _ => None,
        };
        if let Some((from, ballot, upto)) = announced
            && ballot == core.promised()
        {
            let values = self.decides(core, ballot, upto);
            let decided = Slot(core.decided().0 + values.len() as u64);
            let first = core.decided().next();
            core.step(now, Input::Message(from, Message::Decided { first, values, decided }), out);
        }
        core.step(now, input, out);
        for record in &out.records {
            if let Record::Accepted(proposal) = record {
                self.arrived.retain(|slot| *slot != proposal.slot);
                self.arrived.push(proposal.slot);
            }
        }
    }
}
