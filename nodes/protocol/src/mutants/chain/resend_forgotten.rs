//! After a change of the configuration a node does not resend to its new successor what it had sent to the old one.
//!
//! *Mechanism.* The updates of its `Sent` list that were taken in an earlier configuration reach the new successor without
//! what they ask for, as if it had got them before.
//!
//! *Seen in* the protocol's own failure case: the paper (section 3.2, "Failure of Other Servers") has the predecessor forward
//! `Sent` first, "before processing any updates", because Update Propagation fails otherwise.
//!
//! *Exposed by* the failure of a middle node with updates on their way.
//!
//! *Anomaly.* A lost write: the head's client is answered, and the tail never had the update.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Effect, Input, Time};
use crate::replication::Value;
use crate::variants::chain::{ChainReplication, Message};

/// Its line of the catalogue.
pub const MUTANT: Mutant<ChainReplication> = Mutant {
    about: About {
        number: 48,
        name: "resend-forgotten",
        mechanism: "after a change of the configuration, a node does not resend to its new successor what it had sent to the old one",
        seen_in: "described in the paper, section 3.2",
        exposed_by: "the failure of a node with updates on their way through it",
        anomaly: "lost write",
        exempt_from_real: None,
    },
    make: |_| Box::new(ResendForgotten),
};

#[derive(Debug)]
struct ResendForgotten;

impl Bug<ChainReplication> for ResendForgotten {
    fn step(
        &mut self,
        core: &mut ChainReplication,
        now: Time,
        input: Input<Message>,
        out: &mut Out,
    ) {
        core.step(now, input, out);
        for effect in &mut out.when_durable {
            let Effect::Send(_, Message::Pass { epoch, before, updates, decided, answers, .. }) =
                effect
            else {
                continue;
            };
            if *answers == 0 {
                continue; // New ones.
            }
            for (slot, update) in (before.slot.0 + 1..).zip(updates) {
                if slot > decided.0 && update.epoch < *epoch {
                    update.value = Value::no_op();
                    update.asked_by.clear();
                }
            }
        }
    }
}
