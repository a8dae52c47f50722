//! A learner does not fetch the decided slots that it lacks: it passes over them, and so does a new leader.
//!
//! *Mechanism.* A node that hears of decided slots of which it holds nothing takes them for empty and goes on with those that
//! it holds. A candidate that learns from a promise that it lacks decided slots does the same instead of catching up. The
//! node's state lacks what was written there from then on, and so do the snapshots that it takes.
//!
//! *Seen in* paxos-rs, zowens/paxos-rs#76 (no way to catch up to missing slots); close to apache/zookeeper PR #972. Paxi leaves
//! a new leader's gaps unfilled (`paxos/paxos.go`, `HandleP1b`).
//!
//! *Exposed by* loss, partition or a crash, and then the loss of the leader.
//!
//! *Anomaly.* Missing writes, as soon as the node that lacks them leads; also expired sessions, where one was opened there.

use super::{About, Bug, Mutant, Out};
use crate::core::{Core, Destination, Effect, Input, NodeId, Time};
use crate::replication::{Slot, Value};
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 10,
        name: "gaps-skipped",
        mechanism: "decided slots that a learner or new leader lacks are passed over instead of fetched",
        seen_in: "zowens/paxos-rs#76, apache/zookeeper PR #972",
        exposed_by: "loss, a partition or a crash, and a change of leader after it",
        anomaly: "missing writes",
        exempt_from_real: None,
    },
    make: |_| Box::new(GapsSkipped { goal: Slot(0) }),
};

#[derive(Debug)]
struct GapsSkipped {
    /// Somebody knows every slot up to this one to be decided.
    goal: Slot,
}

impl GapsSkipped {
    /// How many slots after the decided prefix are known to be decided, and hold nothing here.
    fn gap(&self, core: &MultiPaxos) -> usize {
        core.decided().up_to(self.goal).take_while(|slot| core.held(*slot).is_none()).count()
    }
}

impl Bug<MultiPaxos> for GapsSkipped {
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        if let Input::Message(
            _,
            Message::Accept { decided, .. }
            | Message::Heartbeat { decided, .. }
            | Message::Promise { decided, .. },
        ) = &input
        {
            self.goal = self.goal.max(*decided);
        }
        core.step(now, input, out);
        while self.gap(core) > 0
            && let Some((at, peer)) = question(out)
        {
            out.at_once.remove(at);
            let values = vec![Value::no_op(); self.gap(core)];
            let first = core.decided().next();
            let decided = Slot(core.decided().0 + values.len() as u64);
            let nothing = Message::Decided { first, values, decided };
            core.step(now, Input::Message(peer, nothing), out);
        }
    }
}

/// Where the core asks for decided slots, and whom.
fn question(out: &Out) -> Option<(usize, NodeId)> {
    out.at_once.iter().enumerate().find_map(|(at, effect)| match effect {
        Effect::Send(Destination::Node(peer), Message::CatchUp { .. }) => Some((at, *peer)),
        Effect::Send(..) | Effect::Reply(..) => None,
    })
}
