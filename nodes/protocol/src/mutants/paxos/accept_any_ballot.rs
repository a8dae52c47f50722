//! An acceptor accepts whatever is proposed, and does not look at what it has promised.
//!
//! *Mechanism.* `accept` is taken in any ballot. A proposer that was promised a higher ballot has been told what was
//! accepted before; what the acceptor accepts in the lower one since, it does not know of, and overwrites.
//!
//! *Seen in*: no public report known to us of a real system. It is what remains of Paxos if its phase 1 is taken for a
//! way to read, a mistake of first implementations; "Paxos Made Simple", section 2.2, P1a, says what is missing.
//!
//! *Exposed by* two nodes whose clients change one key at the same time. No fault is needed.
//!
//! *Anomaly.* A lost update: two proposers start from the same version, and both are told that theirs is the next.

use super::super::{About, Bug, Mutant};
use crate::core::{Core, Input, Output, Time};
use crate::variants::paxos::{Message, Paxos};

/// Its line of the catalogue.
pub(super) const MUTANT: Mutant<Paxos> = Mutant {
    about: About {
        number: 45,
        name: "accept-any-ballot",
        mechanism: "an acceptor accepts proposals below the ballot that it has promised",
        seen_in: "no public report known to us; \"Paxos Made Simple\" 2.2, P1a",
        exposed_by: "two nodes that change one key at the same time",
        anomaly: "lost update",
        exempt_from_real: None,
    },
    make: |_| Box::new(AcceptAnyBallot),
};

#[derive(Debug)]
struct AcceptAnyBallot;

impl Bug<Paxos> for AcceptAnyBallot {
    fn step(
        &mut self,
        core: &mut Paxos,
        now: Time,
        input: Input<Message>,
        out: &mut Output<Paxos>,
    ) {
        if let Input::Message(_, Message::Accept { register, .. }) = &input {
            core.forget_promise(register);
        }
        core.step(now, input, out);
    }
}
