//! A revocation puts no-ops everywhere, whatever had been accepted.
//!
//! *Mechanism.* Who revokes the slots of a suspected server believes that it had suggested nothing, since it was not heard.
//! What the acceptors report in their promises is not looked at. A request that the owner and somebody else had accepted,
//! and that was answered, is replaced by a no-op.
//!
//! *Seen in* MySQL Group Replication's XCom, where the accepted value is ignored in phase 1: mysql/mysql-server PR #229
//! (bugs.mysql.com 92690); reported, unconfirmed. It descends from Mencius.
//!
//! *Exposed by* the loss of a server right after it has decided, while whoever revokes lacks the value.
//!
//! *Anomaly.* A lost write.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Input, Time};
use crate::variants::mencius::{Mencius, Message};

/// Its line of the catalogue.
pub const MUTANT: Mutant<Mencius> = Mutant {
    about: About {
        number: 42,
        name: "revoked-any-value",
        mechanism: "a revocation puts no-ops into the slots of a suspected server, whatever was accepted there",
        seen_in: "MySQL XCom, mysql/mysql-server PR #229 (reported, unconfirmed)",
        exposed_by: "the loss of a server right after it has decided something",
        anomaly: "lost write",
        exempt_from_real: None,
    },
    make: |_| Box::new(RevokedAnyValue),
};

#[derive(Debug)]
struct RevokedAnyValue;

impl Bug<Mencius> for RevokedAnyValue {
    fn step(&mut self, core: &mut Mencius, now: Time, mut input: Input<Message>, out: &mut Out) {
        if let Input::Message(_, Message::Promise { accepted, .. }) = &mut input {
            accepted.clear();
        }
        core.step(now, input, out);
    }
}
