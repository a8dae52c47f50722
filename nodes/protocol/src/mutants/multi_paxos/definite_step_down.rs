//! A leader that steps down tells its clients that their requests failed, though others may still decide them.
//!
//! *Mechanism.* What the leader has proposed and not seen decided is answered `NoLeader`, which says that it was
//! proposed nowhere. Requests that it had not proposed yet, and all other failures, are answered as they should be.
//!
//! *Seen in* RedisRaft: RedisLabs/redisraft#23, "Aborted reads with NOLEADER". hashicorp/raft PR #561 explains why its
//! `ErrLeadershipLost` has to mean that nothing is known.
//!
//! *Exposed by* whatever deposes a leader with requests under way that a majority, or one of the next majority,
//! accepted: a partition (above all one that stops only what the leader hears), a pause, a delay.
//!
//! *Anomaly.* A read of a write that failed (G1a, aborted read).

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Effect, Input, Role, Time};
use crate::machine::{Failure, Reply};
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 20,
        name: "definite-step-down",
        mechanism: "a leader that steps down answers a definite failure for what it proposed",
        seen_in: "RedisRaft, RedisLabs/redisraft#23",
        exposed_by: "a partition, pause or delay that deposes a leader with requests under way",
        anomaly: "read of a write that failed (aborted read)",
        exempt_from_real: None,
    },
    make: |_| Box::new(DefiniteStepDown),
};

#[derive(Debug)]
struct DefiniteStepDown;

impl Bug<MultiPaxos> for DefiniteStepDown {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        let led = core.role() == Role::Leader;
        core.step(now, input, out);
        if led && core.role() != Role::Leader {
            out.at_once.iter_mut().flat_map(replies_in).for_each(make_definite);
        }
    }
}

/// Answers to the node's own clients, and to those of other nodes.
fn replies_in(effect: &mut Effect<Message>) -> Vec<&mut Reply> {
    match effect {
        Effect::Reply(_, reply) => vec![reply],
        Effect::Send(_, Message::Answer { replies }) => {
            replies.iter_mut().map(|(_, reply)| reply).collect()
        }
        Effect::Send(..) => Vec::new(),
    }
}

fn make_definite(reply: &mut Reply) {
    if *reply == Reply::Failed(Failure::Unknown) {
        *reply = Reply::Failed(Failure::NoLeader);
    }
}
