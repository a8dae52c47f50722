//! A promise says nothing of the slots that are committed, so that a new leader which lacks them uses them again.
//!
//! *Mechanism.* The answer to `prepare` lists what was accepted and is not yet committed; what is committed is left out, and
//! nothing else tells the candidate that those slots are taken. It fills them anew. Who knows better keeps its own value, but
//! acknowledges the proposal all the same, so the new leader decides it.
//!
//! *Seen in* Paxi (ailidani/paxi), `paxos/paxos.go`: `HandleP1a` skips entries with `commit` set, and `HandleP2a` answers for
//! a committed entry without taking the value.
//!
//! *Exposed by* a partition, loss or crash that leaves a node behind, which then becomes the leader.
//!
//! *Anomaly.* Lost writes, and two histories: the nodes that had committed the slots go on from other states.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Effect, Input, Time};
use crate::replication::Slot;
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 6,
        name: "slots-forgotten",
        mechanism: "promises leave committed slots out, and a new leader that lacks them uses them again",
        seen_in: "Paxi, paxos/paxos.go, HandleP1a",
        exposed_by: "a partition, loss or crash that leaves the next leader behind",
        anomaly: "lost write, divergence",
        exempt_from_real: None,
    },
    make: |_| Box::new(SlotsForgotten),
};

#[derive(Debug)]
struct SlotsForgotten;

impl Bug<MultiPaxos> for SlotsForgotten {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        let committed = match &input {
            Input::Message(from, Message::Accept { proposal, .. })
                if proposal.slot <= core.decided() && proposal.ballot >= core.promised() =>
            {
                Some((*from, proposal.ballot, proposal.slot))
            }
            _ => None,
        };
        core.step(now, input, out);
        for effect in &mut out.when_durable {
            if let Effect::Send(_, Message::Promise { decided, .. }) = effect {
                *decided = Slot(0);
            }
        }
        let accepted = |effect: &_| matches!(effect, Effect::Send(_, Message::Accepted { .. }));
        if let Some((from, ballot, slot)) = committed
            && !out.when_durable.iter().any(accepted)
        {
            out.send(from, Message::Accepted { ballot, slot });
        }
    }
}
