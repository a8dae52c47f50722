//! A request that a client sends again is executed again.
//!
//! *Mechanism.* The node that takes a request numbers it anew, so a second attempt is another request to the state
//! machine. The numbers still rise with the client's own, so that whatever else the session does goes on: answers are
//! dropped below the watermark, and late copies of a request that the client gave up are refused.
//!
//! *Seen in* elastickv, bootjp/elastickv PR #796: a retry computes anew where to append, without regard to the first
//! attempt. Curvine, CurvineIO/curvine#676: the numbers of executed requests are lost with the leader that held them.
//!
//! *Exposed by* whatever makes a client send a request again that was executed: a killed or paused leader, a lost
//! answer.
//!
//! *Anomaly.* One append stands twice in its list, one add counts twice. Clients that never retry cannot see it.

use super::{About, Bug, Mutant, Out};
use crate::core::{Config, Core, Input, Time};
use crate::machine::Request;
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 18,
        name: "no-dedup",
        mechanism: "each attempt of a request is executed, since the node that takes it numbers it anew",
        seen_in: "elastickv, bootjp/elastickv PR #796; Curvine, CurvineIO/curvine#676",
        exposed_by: "a fault that makes a client send a request again that was executed",
        anomaly: "duplicate append, add counted twice",
        exempt_from_real: None,
    },
    make: |config| Box::new(NoDedup::new(config)),
};

/// Numbers that one of the client's stands for.
const ATTEMPTS: u64 = 1 << 32;

#[derive(Debug)]
struct NoDedup {
    /// Below [`ATTEMPTS`], and used by no other node or incarnation for a long time.
    next: u64,
}

impl NoDedup {
    fn new(config: &Config) -> Self {
        Self {
            next: (u64::from(config.node.0) << 24 | (config.incarnation & 0xff) << 16) % ATTEMPTS,
        }
    }
}

impl Bug<MultiPaxos> for NoDedup {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, mut input: Input<Message>, out: &mut Out) {
        if let Input::Request(_, Request::Execute(command)) = &mut input {
            self.next = (self.next + 1) % ATTEMPTS;
            command.sequence = command.sequence * ATTEMPTS + self.next;
            command.watermark *= ATTEMPTS;
        }
        core.step(now, input, out);
    }
}
