//! An owner says that it skips a slot, and keeps no record of it: after a crash it suggests there.
//!
//! *Mechanism.* A skip seems to be nothing, so nothing is written, neither the skip nor how far the server's slots are used.
//! But it is a promise: everybody who has heard of it applies a no-op in that slot. The owner comes back with an older
//! idea of where it was, and suggests a client's request in the slot that it had skipped, or a second one in a slot in which it
//! had suggested.
//!
//! *Seen in* nothing public. It is the mistake of efficient/epaxos#28, where the answer of an acceptor is not durable, made with a skip.
//!
//! *Exposed by* the crash of a server beside one that is busier, while not everybody has heard of the skip.
//!
//! *Anomaly.* Two histories: some servers have a no-op where others have a request. A lost write or a stale read follows.

use super::{About, Bug, Mutant, Out, nothing};
use crate::core::{Core, Input, Time};
use crate::variants::mencius::{Mencius, Message, Record};

/// Its line of the catalogue.
pub const MUTANT: Mutant<Mencius> = Mutant {
    about: About {
        number: 41,
        name: "skip-not-durable",
        mechanism: "an owner says that it skips a slot without a record of it, and suggests there after a crash",
        seen_in: "made up; the answer that is not durable of efficient/epaxos#28, as a skip",
        exposed_by: "the crash of a server beside a busier one",
        anomaly: "divergence, lost write",
        exempt_from_real: None,
    },
    make: |_| Box::new(SkipNotDurable),
};

#[derive(Debug)]
struct SkipNotDurable;

impl Bug<Mencius> for SkipNotDurable {
    fn step(&mut self, core: &mut Mencius, now: Time, input: Input<Message>, out: &mut Out) {
        core.step(now, input, out);
        for record in &mut out.records {
            if matches!(record, Record::Skipped(..) | Record::Reserved(_)) {
                *record = nothing();
            }
        }
    }
}
