//! A promise never falls, and survives restarts.
//!
//! Source: Lamport, "Paxos Made Simple" (2001), section 2.2, P1a: an acceptor "can accept a proposal numbered n iff it
//! has not responded to a prepare request having a number greater than n"; and section 2.5: it must remember that "even
//! if it fails and then restarts".
//!
//! Three ballots bind a node. Those that it *observes* (promises or accepts in) never fall within one incarnation.
//! Those that it has *said* in messages never fall either, over all incarnations: messages leave in the order of their
//! steps. And none that it observes lies below one that it has said, or that its disk holds, also not in a later
//! incarnation.
//!
//! No breach: what was promised and had neither left the node nor reached its disk may be lost in a crash. A message
//! that waited for the disk may name a lower ballot than what the node has *observed* meanwhile, but none lower than
//! what it has *said*: what waits goes out in order, and nothing of a later step that rests on the disk overtakes it.
//!
//! Acceptances count where a node shows one promise for all slots (`Core::promised_ballot`). A variant whose promises are
//! for some slots only may accept in a lower ballot elsewhere.
//!
//! Assumed: the disk keeps what it has synced. A world in which rot takes the *last* record for a torn one may break a
//! correct node's promise; such a fault is beyond what any of the papers tolerates.

use super::Invariant;
use super::table::Nodes;
use crate::facts::{Fact, View};
use tribunal_protocol::{Claim, NodeId, Observation};

/// The invariant.
pub(super) struct Promises {
    nodes: Nodes<Bound>,
}

/// The highest ballots of a node.
#[derive(Debug, Default)]
struct Bound {
    /// In which this incarnation has promised or accepted something.
    observed: u64,
    /// Named in a promise or an acceptance that left the node, in any incarnation.
    said: u64,
    /// On its disk.
    durable: u64,
}

impl Promises {
    /// At the start of an execution.
    pub(super) fn new() -> Self {
        Self { nodes: Nodes::new() }
    }
}

impl Bound {
    fn observe(&mut self, node: NodeId, verb: &str, ballot: u64) -> Result<(), String> {
        let Self { observed, said, durable } = *self;
        let (bound, why) = if ballot < said {
            (said, "had told others")
        } else if ballot < observed {
            (observed, "had got to in the same incarnation")
        } else if ballot < durable {
            (durable, "had on its disk")
        } else {
            self.observed = ballot;
            return Ok(());
        };
        Err(format!("{node} {verb} in ballot {ballot}, below ballot {bound} that it {why}"))
    }

    fn say(&mut self, node: NodeId, verb: &str, kind: &str, ballot: u64) -> Result<(), String> {
        if ballot < self.said {
            let said = self.said;
            return Err(format!(
                "{node} says in `{kind}` that it has {verb} ballot {ballot}, after it had \
                 said so of ballot {said}"
            ));
        }
        self.said = ballot;
        Ok(())
    }

    fn keep(&mut self, claims: &[Claim]) {
        for claim in claims {
            if let Claim::Promised { ballot } | Claim::Accepted { ballot, .. } = *claim {
                self.durable = self.durable.max(ballot);
            }
        }
    }
}

impl Invariant for Promises {
    fn name(&self) -> &'static str {
        "promises"
    }

    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String> {
        let promises = |node| view.promised_ballot(node).is_some();
        match *fact {
            Fact::Started { node, .. } => self.nodes.at(node).observed = 0,
            Fact::Durable { node, claims } => self.nodes.at(node).keep(claims),
            Fact::Observed { node, observation: &Observation::Promised { ballot } } => {
                return self.nodes.at(node).observe(node, "promises", ballot);
            }
            Fact::Observed { node, observation: &Observation::Accepted { ballot, .. } }
                if promises(node) =>
            {
                return self.nodes.at(node).observe(node, "accepts", ballot);
            }
            Fact::Sent { from, kind, claim: Claim::Promised { ballot }, .. } => {
                return self.nodes.at(from).say(from, "promised", kind, ballot);
            }
            Fact::Sent { from, kind, claim: Claim::Accepted { ballot, .. }, .. }
                if promises(from) =>
            {
                return self.nodes.at(from).say(from, "accepted in", kind, ballot);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{
        Fake, accepted, accepted_value, breached, durable, holds, promised, sees_accepted,
        sees_promised, sent, started,
    };
    use super::*;

    /// A view of three nodes that promise for all slots at once.
    fn promising() -> Fake {
        let mut view = Fake::new(3);
        view.promised = (1..=3).map(|node| (NodeId(node), 0)).collect();
        view
    }

    #[test]
    fn promises_that_only_rise_are_kept() {
        let facts = [
            started(1, 1),
            sees_promised(1, 5),
            sees_accepted(1, 5, 1, 0xa),
            sees_promised(1, 7),
            durable(1, &[promised(5), accepted_value(5, 1, 0xa), promised(7)]),
            sent(1, accepted(5, 1)), // It had waited; the promise of 7 leaves after it.
            sent(1, promised(7)),
            sent(1, promised(7)),
            started(1, 2),
            durable(1, &[promised(5), accepted_value(5, 1, 0xa), promised(7)]),
            sees_accepted(1, 7, 2, 0xb),
            sees_promised(1, 9),
        ];
        holds(&mut Promises::new(), &promising(), &facts);
    }

    #[test]
    fn what_never_left_the_node_may_be_lost() {
        let facts = [sees_promised(1, 9), started(1, 2), sees_promised(1, 5), sent(1, promised(5))];
        holds(&mut Promises::new(), &promising(), &facts);
    }

    #[test]
    fn nodes_do_not_bind_each_other() {
        holds(&mut Promises::new(), &promising(), &[sees_promised(1, 9), sees_promised(2, 5)]);
    }

    #[test]
    fn acceptances_bind_only_where_a_promise_is_for_all_slots() {
        let facts = [sees_accepted(1, 7, 1, 0xa), sees_accepted(1, 5, 2, 0xb)];
        holds(&mut Promises::new(), &Fake::new(3), &facts);
        breached(&mut Promises::new(), &promising(), &facts, "n1 accepts in ballot 5, below");
    }

    #[test]
    fn a_promise_must_not_fall_within_an_incarnation() {
        let facts = [sees_promised(1, 7), sees_promised(1, 5)];
        breached(&mut Promises::new(), &promising(), &facts, "n1 promises in ballot 5, below");
        let facts = [sees_promised(1, 7), sees_accepted(1, 5, 1, 0xa)];
        breached(&mut Promises::new(), &promising(), &facts, "n1 accepts in ballot 5, below");
    }

    #[test]
    fn a_restart_must_not_forget_what_was_said() {
        let facts = [sees_promised(1, 7), sent(1, promised(7)), started(1, 2), sees_promised(1, 5)];
        breached(&mut Promises::new(), &promising(), &facts, "ballot 7 that it had told others");
        let facts = [sent(1, accepted(7, 1)), started(1, 2), sees_accepted(1, 5, 1, 0xa)];
        breached(&mut Promises::new(), &promising(), &facts, "ballot 7 that it had told others");
    }

    #[test]
    fn a_restart_must_not_forget_what_the_disk_holds() {
        let facts = [durable(1, &[promised(7)]), started(1, 2), sees_promised(1, 5)];
        breached(&mut Promises::new(), &promising(), &facts, "ballot 7 that it had on its disk");
    }

    #[test]
    fn what_is_said_must_not_fall() {
        let why =
            "n1 says in `made` that it has promised ballot 5, after it had said so of ballot 7";
        let facts = [sent(1, accepted(7, 1)), sent(1, promised(5))];
        breached(&mut Promises::new(), &promising(), &facts, why);
        let facts = [sent(1, promised(7)), started(1, 2), sent(1, accepted(5, 1))];
        breached(&mut Promises::new(), &promising(), &facts, "accepted in ballot 5");
    }
}
