//! Every replica's state is what the decided slots make of it: applied in their order, each once, by sessions that let
//! each command take effect once; a snapshot equals the replay of what it replaces, sessions included.
//!
//! Sources: Schneider, "Implementing Fault-Tolerant Services Using the State Machine Approach" (1990), section 3
//! (Agreement and Order); Ongaro's dissertation (2014), chapter 5 (a snapshot replaces the log before it) and section
//! 6.3 (sessions).
//!
//! A node's state is compared with that of the [reference](super::reference) after the same slot: when it starts, when
//! it has installed a peer's snapshot, when all is quiet, and when it takes a snapshot itself, but then not before
//! [`SPACING`] requests came since the last time. More often would cost too much: a digest takes as long as encoding
//! the state.
//!
//! No breach: a node that lags, or starts with less than it had. Skipped and counted: states that lie too far back, and
//! those of slots whose requests nobody still knew when the reference needed them.

use super::Invariant;
use super::reference::{Reference, SPACING, Shared};
use super::table::Nodes;
use crate::facts::{Fact, View};
use tribunal_protocol::{NodeId, Observation};

/// The invariant.
pub(super) struct SameState {
    reference: Shared,
    /// The reference's work when each node was last compared.
    compared: Nodes<Option<u64>>,
    skipped: u64,
}

impl SameState {
    /// At the start of an execution.
    pub(super) fn new(reference: Shared) -> Self {
        Self { reference, compared: Nodes::new(), skipped: 0 }
    }

    fn observe(
        &mut self,
        node: NodeId,
        observation: &Observation,
        view: &dyn View,
    ) -> Result<(), String> {
        match *observation {
            Observation::Applied { slot, .. } => {
                self.reference.with(view, |reference| reference.follow(view, node, slot));
                Ok(())
            }
            Observation::Snapshot { installed: true, .. } => {
                self.compare(node, "after a peer's snapshot", view)
            }
            Observation::Snapshot { installed: false, .. } => {
                let work = self.reference.with(view, |reference| reference.work());
                let due = self.compared.at(node).is_none_or(|last| work - last >= SPACING);
                if due { self.compare(node, "at its snapshot", view) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn compare(&mut self, node: NodeId, when: &str, view: &dyn View) -> Result<(), String> {
        let Some(slot) = view.applied(node) else { return Ok(()) };
        let compared = self.compared.at(node);
        let known = self.reference.with(view, |reference: &mut Reference| {
            reference.follow(view, node, slot);
            *compared = Some(reference.work());
            reference.digest_at(slot)
        });
        let Some(expected) = known else {
            self.skipped += 1;
            return Ok(());
        };
        match view.state_digest(node) {
            Some(state) if state != expected => Err(format!(
                "the state of {node} after slot {slot} is {state:016x} {when}, but the decided \
                 slots up to there make {expected:016x}"
            )),
            _ => Ok(()),
        }
    }
}

impl Invariant for SameState {
    fn name(&self) -> &'static str {
        "same-state"
    }

    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String> {
        match *fact {
            Fact::Started { node, .. } => self.compare(node, "at its start", view),
            Fact::Observed { node, observation } => self.observe(node, observation, view),
            Fact::Quiet => {
                view.members().iter().try_for_each(|node| self.compare(*node, "in the end", view))
            }
            _ => Ok(()),
        }
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{
        Fake, Made, add, applied, breached, holds, installed, open, started, taken,
    };
    use super::*;
    use tribunal_protocol::{Limits, Machine, Request};

    /// Slot 1 opens the session, each later one adds its number; slot 4 repeats slot 3's command.
    fn decided(slot: u64) -> Vec<Request> {
        match slot {
            1 => vec![open(7)],
            4 => decided(3),
            _ => vec![add(slot, i64::try_from(slot).expect("small"))],
        }
    }

    fn state(slots: impl IntoIterator<Item = u64>) -> u64 {
        let mut machine = Machine::new(&Limits::default());
        for request in slots.into_iter().flat_map(decided) {
            machine.apply(&request);
        }
        machine.digest()
    }

    /// Node 1 has applied slots 1 to 6, node 2 those up to `slot` with the state `digest`.
    fn view(slot: u64, digest: u64) -> Fake {
        let mut view = Fake::new(2);
        view.decided.extend((1..=6).map(|slot| ((NodeId(1), slot), decided(slot))));
        view.applied.extend([(NodeId(1), 6), (NodeId(2), slot)]);
        view.digests.extend([(NodeId(1), state(1..=6)), (NodeId(2), digest)]);
        view
    }

    /// Node 1 applies all, then `last` happens.
    fn after_all(last: &[Made]) -> Vec<Made> {
        (1..=6).map(|slot| applied(1, slot)).chain(last.iter().cloned()).collect()
    }

    /// When states are compared.
    fn moments() -> [Made; 4] {
        [started(2, 2), installed(2, 5), taken(2, 5), Made::Quiet]
    }

    #[test]
    fn the_same_slots_make_the_same_state() {
        for slot in 0..=6 {
            let mut same = SameState::new(Shared::default());
            let view = view(slot, state(1..=slot));
            holds(&mut same, &view, &after_all(&moments()));
            assert_eq!(same.skipped(), 0);
        }
    }

    #[test]
    fn every_other_order_and_number_of_times_is_a_breach() {
        let skipped = state([1, 2, 3, 5]);
        let swapped = state([1, 2, 4, 5, 3]); // Equal: slot 4 repeats slot 3.
        assert_eq!(state(1..=5), swapped);
        let swapped = state([1, 3, 2, 4, 5]);
        let behind = state(1..=4);
        let without_session = state(2..=5);
        for wrong in [skipped, swapped, behind, without_session] {
            for moment in moments() {
                let mut same = SameState::new(Shared::default());
                let facts = after_all(&[moment]);
                breached(&mut same, &view(5, wrong), &facts, "the state of n2 after slot 5 is");
            }
        }
    }

    #[test]
    fn a_command_must_not_take_effect_twice() {
        let mut machine = Machine::new(&Limits::default());
        let renumbered = [add(40, 3)]; // What a client library makes of a retry.
        let twice = (1..=3).flat_map(decided).chain(renumbered);
        for request in twice {
            machine.apply(&request);
        }
        let view = view(4, machine.digest());
        let facts = after_all(&[started(2, 2)]);
        breached(&mut SameState::new(Shared::default()), &view, &facts, "n2 after slot 4");
    }

    #[test]
    fn the_node_that_is_first_is_compared_as_well() {
        let mut view = view(0, state([]));
        view.digests.insert(NodeId(1), state([1, 2, 3, 4, 6, 5]));
        let facts = after_all(&[taken(1, 6)]);
        breached(
            &mut SameState::new(Shared::default()),
            &view,
            &facts,
            "the state of n1 after slot 6",
        );
    }

    #[test]
    fn a_node_that_takes_snapshots_all_the_time_is_compared_now_and_then() {
        let mut same = SameState::new(Shared::default());
        let good = view(5, state(1..=5));
        let bad = view(5, 0xbad);
        holds(&mut same, &good, &after_all(&[taken(2, 5)]));
        holds(&mut same, &bad, &[taken(2, 5)]);
        breached(&mut same, &bad, &[started(2, 2)], "at its start");
    }

    #[test]
    fn what_cannot_be_compared_is_counted() {
        let mut view = view(6, 0xbad);
        view.decided.remove(&(NodeId(1), 4));
        let mut same = SameState::new(Shared::default());
        holds(&mut same, &view, &after_all(&[started(2, 2)]));
        assert_eq!(same.skipped(), 1);
        view.down.insert(NodeId(2));
        holds(&mut same, &view, &[started(2, 2)]);
        assert_eq!(same.skipped(), 1, "a variant that shows nothing is not even skipped");
    }
}
