//! In the end all replicas are the same.
//!
//! Source: Schneider, "Implementing Fault-Tolerant Services Using the State Machine Approach" (1990), section 3:
//! replicas that process the same requests in the same order reach the same state; and the liveness that "Paxos Made
//! Simple", section 2.4, promises once a leader is heard: nobody stays behind for ever.
//!
//! When all is quiet (no fault, time to catch up, no more requests), every node that runs has applied the same slot and
//! has the same state.
//!
//! No breach: nodes that are down; a variant that shows neither slots nor states.

use super::Invariant;
use crate::facts::{Fact, View};
use tribunal_protocol::NodeId;

/// The invariant.
pub(super) struct ReplicasAgree;

impl ReplicasAgree {
    /// At the start of an execution.
    pub(super) fn new() -> Self {
        Self
    }
}

/// Demands that `property` is the same for all nodes that have it.
fn same<T: PartialEq>(
    view: &dyn View,
    property: impl Fn(NodeId) -> Option<T>,
    describe: impl Fn(NodeId, &T) -> String,
) -> Result<(), String> {
    let up = view.members().iter().copied().filter(|node| view.is_up(*node));
    let mut known = up.filter_map(|node| Some((node, property(node)?)));
    let Some((first, expected)) = known.next() else { return Ok(()) };
    match known.find(|(_, found)| *found != expected) {
        None => Ok(()),
        Some((node, found)) => Err(format!(
            "all is quiet, but {}, and {}",
            describe(first, &expected),
            describe(node, &found)
        )),
    }
}

impl Invariant for ReplicasAgree {
    fn name(&self) -> &'static str {
        "replicas-agree"
    }

    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String> {
        if !matches!(fact, Fact::Quiet) {
            return Ok(());
        }
        let applied = |node: NodeId, slot: &u64| format!("{node} has applied slots up to {slot}");
        same(view, |node| view.applied(node), applied)?;
        let state = |node: NodeId, digest: &u64| format!("the state of {node} is {digest:016x}");
        same(view, |node| view.state_digest(node), state)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, Made, applied, breached, holds};
    use super::*;

    fn view(nodes: &[(u64, u64)]) -> Fake {
        let mut view = Fake::new(u32::try_from(nodes.len()).expect("few"));
        for (node, (applied, digest)) in (1..).map(NodeId).zip(nodes) {
            view.applied.insert(node, *applied);
            view.digests.insert(node, *digest);
        }
        view
    }

    #[test]
    fn equal_nodes_agree_and_those_that_are_down_do_not_count() {
        let mut view = view(&[(3, 0xa), (3, 0xa), (1, 0xb)]);
        view.down.insert(NodeId(3));
        holds(&mut ReplicasAgree::new(), &view, &[Made::Quiet]);
        holds(&mut ReplicasAgree::new(), &Fake::new(3), &[Made::Quiet]);
    }

    #[test]
    fn before_all_is_quiet_nodes_may_differ() {
        holds(&mut ReplicasAgree::new(), &view(&[(3, 0xa), (1, 0xb)]), &[applied(1, 3)]);
    }

    #[test]
    fn nobody_must_stay_behind() {
        let view = view(&[(3, 0xa), (3, 0xa), (2, 0xb)]);
        let why = "n1 has applied slots up to 3, and n3 has applied slots up to 2";
        breached(&mut ReplicasAgree::new(), &view, &[Made::Quiet], why);
    }

    #[test]
    fn states_must_not_differ() {
        let view = view(&[(3, 0xa), (3, 0xb)]);
        let why = "the state of n1 is 000000000000000a, and the state of n2 is 000000000000000b";
        breached(&mut ReplicasAgree::new(), &view, &[Made::Quiet], why);
    }
}
