//! The decided slots that a node knows are a prefix, which only grows; it is applied in order, without holes.
//!
//! Source: Lamport, "Paxos Made Simple" (2001), section 3: the servers "execute the same sequence of state machine
//! commands", which needs each command "once all the previous commands have been executed".
//!
//! Within one incarnation:
//! * decided slots come one by one; what is decided lies above what the node had applied when it started;
//! * applied slots come one by one, from the one after what the node had applied when it started; none lies above the
//!   last decided one;
//! * a peer's snapshot replaces only what lies below it: it covers more than was applied, and both go on after it;
//! * a snapshot that a node takes covers no more than it has applied.
//!
//! Across incarnations only this holds: a node does not start with more applied than it ever had. It may start with
//! less, or with nothing, since what is decided is written with the next record, never for its own sake; how much less
//! a correct one may forget is the business of `promises`, `quorum` and `same-state`.
//!
//! No breach: slots that are applied without any that is decided, in a variant that knows no decisions and only counts.

use super::Invariant;
use super::table::Nodes;
use crate::facts::{Fact, View};
use tribunal_protocol::{NodeId, Observation};

/// The invariant.
pub(super) struct Prefix {
    nodes: Nodes<Known>,
}

/// How far a node has come.
#[derive(Debug, Default)]
struct Known {
    /// The last slot applied; what it began with at first. `None` as long as nobody knows.
    applied: Option<u64>,
    /// The last slot decided in this incarnation.
    decided: Option<u64>,
    /// The highest slot ever applied, in any incarnation.
    highest: u64,
}

impl Prefix {
    /// At the start of an execution.
    pub(super) fn new() -> Self {
        Self { nodes: Nodes::new() }
    }
}

impl Known {
    fn start(&mut self, node: NodeId, applied: Option<u64>) -> Result<(), String> {
        let highest = self.highest;
        *self = Self { applied, decided: None, highest };
        match applied {
            Some(applied) if applied > highest => Err(format!(
                "{node} starts with slots up to {applied} applied, but had never come further \
                 than {highest}"
            )),
            _ => Ok(()),
        }
    }

    fn observe(&mut self, node: NodeId, observation: &Observation) -> Result<(), String> {
        match *observation {
            Observation::Decided { slot, .. } => self.decide(node, slot),
            Observation::Applied { slot, .. } => self.apply(node, slot),
            Observation::Snapshot { slot, installed: true } => self.install(node, slot),
            Observation::Snapshot { slot, installed: false } => match self.applied {
                Some(applied) if slot > applied => Err(format!(
                    "{node} takes a snapshot of slots up to {slot}, but has applied only those \
                     up to {applied}"
                )),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn decide(&mut self, node: NodeId, slot: u64) -> Result<(), String> {
        let (follows, after) = match (self.decided, self.applied) {
            (Some(decided), _) => (slot == decided + 1, decided),
            (None, Some(applied)) => (slot > applied, applied),
            (None, None) => (true, 0),
        };
        self.decided = Some(slot);
        if follows {
            return Ok(());
        }
        Err(format!("{node} knows slot {slot} to be decided next after slot {after}"))
    }

    fn apply(&mut self, node: NodeId, slot: u64) -> Result<(), String> {
        if let Some(applied) = self.applied.filter(|applied| slot != applied + 1) {
            return Err(format!("{node} applies slot {slot} next after slot {applied}"));
        }
        if let Some(decided) = self.decided.filter(|decided| slot > *decided) {
            return Err(format!(
                "{node} applies slot {slot}, but knows only slots up to {decided} to be decided"
            ));
        }
        self.applied = Some(slot);
        self.highest = self.highest.max(slot);
        Ok(())
    }

    fn install(&mut self, node: NodeId, slot: u64) -> Result<(), String> {
        if let Some(applied) = self.applied.filter(|applied| slot <= *applied) {
            return Err(format!(
                "{node} goes back to a peer's snapshot of slots up to {slot}, having applied \
                 those up to {applied}"
            ));
        }
        self.applied = Some(slot);
        self.decided = self.decided.map(|decided| decided.max(slot));
        self.highest = self.highest.max(slot);
        Ok(())
    }
}

impl Invariant for Prefix {
    fn name(&self) -> &'static str {
        "prefix"
    }

    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String> {
        match *fact {
            Fact::Started { node, .. } => self.nodes.at(node).start(node, view.applied(node)),
            Fact::Observed { node, observation } => self.nodes.at(node).observe(node, observation),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{
        Fake, Made, applied, breached, decided, holds, installed, started, taken,
    };
    use super::*;

    /// Slots decided and applied, one after the other.
    fn through(node: u32, slots: std::ops::RangeInclusive<u64>) -> Vec<Made> {
        slots.flat_map(|slot| [decided(node, slot, 0xa), applied(node, slot)]).collect()
    }

    /// A view in which node 1 begins with slots up to `slot` applied.
    fn beginning_with(slot: u64) -> Fake {
        let mut view = Fake::new(3);
        view.applied.insert(NodeId(1), slot);
        view
    }

    #[test]
    fn a_prefix_grows_slot_by_slot_and_by_snapshots() {
        let mut facts = vec![started(1, 1)];
        facts.extend(through(1, 1..=3));
        facts.extend([taken(1, 3), decided(1, 4, 0xa), decided(1, 5, 0xa)]);
        facts.extend([applied(1, 4), applied(1, 5), installed(1, 9)]);
        facts.extend(through(1, 10..=11));
        holds(&mut Prefix::new(), &beginning_with(0), &facts);
    }

    #[test]
    fn a_restart_may_begin_lower() {
        let mut prefix = Prefix::new();
        holds(
            &mut prefix,
            &beginning_with(0),
            &[&[started(1, 1)], &through(1, 1..=5)[..]].concat(),
        );
        holds(
            &mut prefix,
            &beginning_with(2),
            &[&[started(1, 2)], &through(1, 3..=7)[..]].concat(),
        );
        holds(
            &mut prefix,
            &beginning_with(7),
            &[&[started(1, 3)], &through(1, 8..=8)[..]].concat(),
        );
        breached(&mut prefix, &beginning_with(9), &[started(1, 4)], "never come further than 8");
    }

    #[test]
    fn a_variant_that_only_applies_counts_on() {
        let facts = [
            started(1, 1),
            applied(1, 0),
            applied(1, 1),
            taken(1, 1),
            started(1, 2),
            applied(1, 2),
            applied(1, 3),
        ];
        holds(&mut Prefix::new(), &Fake::new(3), &facts);
        breached(
            &mut Prefix::new(),
            &Fake::new(3),
            &[applied(1, 1), applied(1, 3)],
            "applies slot 3",
        );
    }

    #[test]
    fn decided_slots_must_not_leave_holes_or_go_back() {
        let view = beginning_with(0);
        let facts = [decided(1, 1, 0xa), decided(1, 3, 0xa)];
        breached(&mut Prefix::new(), &view, &facts, "slot 3 to be decided next after slot 1");
        let facts = [decided(1, 1, 0xa), decided(1, 2, 0xa), decided(1, 2, 0xa)];
        breached(&mut Prefix::new(), &view, &facts, "slot 2 to be decided next after slot 2");
        let facts = [applied(1, 1), installed(1, 9), started(1, 2), decided(1, 7, 0xa)];
        breached(&mut Prefix::new(), &beginning_with(8), &facts, "next after slot 8");
    }

    #[test]
    fn slots_must_be_applied_in_order_and_once() {
        let view = beginning_with(0);
        let two = [started(1, 1), decided(1, 1, 0xa), decided(1, 2, 0xa)];
        let with = |last: &[Made]| [&two[..], last].concat();
        breached(&mut Prefix::new(), &view, &with(&[applied(1, 2)]), "slot 2 next after slot 0");
        let twice = with(&[applied(1, 1), applied(1, 1)]);
        breached(&mut Prefix::new(), &view, &twice, "slot 1 next after slot 1");
        let ahead = with(&[applied(1, 1), applied(1, 2), applied(1, 3)]);
        breached(&mut Prefix::new(), &view, &ahead, "knows only slots up to 2");
    }

    #[test]
    fn a_start_must_not_skip_slots() {
        let mut prefix = Prefix::new();
        holds(
            &mut prefix,
            &beginning_with(0),
            &[&[started(1, 1)], &through(1, 1..=5)[..]].concat(),
        );
        let facts = [started(1, 2), decided(1, 5, 0xa), applied(1, 5)];
        breached(&mut prefix, &beginning_with(3), &facts, "applies slot 5 next after slot 3");
    }

    #[test]
    fn snapshots_must_fit_what_was_applied() {
        let five = [&[started(1, 1)], &through(1, 1..=5)[..]].concat();
        let with = |last: &[Made]| [&five[..], last].concat();
        let view = beginning_with(0);
        breached(&mut Prefix::new(), &view, &with(&[installed(1, 4)]), "goes back to a peer's");
        breached(&mut Prefix::new(), &view, &with(&[taken(1, 6)]), "applied only those up to 5");
        let facts =
            with(&[installed(1, 9), decided(1, 10, 0xa), decided(1, 11, 0xa), applied(1, 11)]);
        breached(&mut Prefix::new(), &view, &facts, "slot 11 next after slot 9");
    }
}
