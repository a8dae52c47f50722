//! The instances that a node remembers: a row for each member.
//!
//! Invariants: what is committed never changes; of each row, the committed instances that the node counts are a prefix, and
//! the executed ones a prefix of it; nothing is dropped that was not executed.

use super::message::{Deps, Instance, Payload, Vote};
use crate::replication::{Ballot, Slot, Window};
use serde::{Deserialize, Serialize};

/// What a node holds of one instance: the ballot that it has promised, and, apart from that, its vote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Nothing is accepted in a lower ballot.
    pub promised: Ballot,
    /// What was last said about the instance.
    pub vote: Vote,
}

impl Default for Entry {
    fn default() -> Self {
        Self { promised: Ballot::NONE, vote: Vote::Nothing }
    }
}

/// One member's instances.
#[derive(Debug, Default)]
struct Row {
    entries: Window<Entry>,
    /// The highest number that is known to be used.
    known: u64,
    committed: u64,
    executed: u64,
}

/// All rows.
#[derive(Debug)]
pub(super) struct Log {
    rows: Vec<Row>,
}

impl Log {
    /// An empty log, whose instances up to `dropped` were dropped and those up to `executed` were executed.
    pub(super) fn starting_after(dropped: &Deps, executed: &Deps) -> Self {
        let row = |(row, dropped): (usize, u64)| Row {
            entries: Window::starting_after(Slot(dropped)),
            known: executed.of(row),
            committed: executed.of(row),
            executed: executed.of(row),
        };
        Self { rows: dropped.rows().map(row).collect() }
    }

    fn vector(&self, of: impl Fn(&Row) -> u64) -> Deps {
        let mut deps = Deps::none(self.rows.len());
        for (row, own) in self.rows.iter().enumerate() {
            deps.set(row, of(own));
        }
        deps
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Up to where each row is committed.
    pub(super) fn committed(&self) -> Deps {
        self.vector(|row| row.committed)
    }

    /// Up to where each row is executed.
    pub(super) fn executed(&self) -> Deps {
        self.vector(|row| row.executed)
    }

    /// Up to where each row was dropped.
    pub(super) fn dropped(&self) -> Deps {
        self.vector(|row| row.entries.dropped().0)
    }

    /// The last number of the row that is known to be used.
    pub(super) fn known_in(&self, row: usize) -> u64 {
        self.rows[row].known
    }

    /// Up to where the row is committed.
    pub(super) fn committed_in(&self, row: usize) -> u64 {
        self.rows[row].committed
    }

    /// Up to where the row is executed.
    pub(super) fn executed_in(&self, row: usize) -> u64 {
        self.rows[row].executed
    }

    /// Up to where the row was dropped.
    pub(super) fn dropped_in(&self, row: usize) -> u64 {
        self.rows[row].entries.dropped().0
    }

    /// What is held of an instance.
    pub(super) fn get(&self, instance: Instance) -> Option<&Entry> {
        self.rows[instance.row()].entries.get(Slot(instance.number))
    }

    /// The decision in an instance, if it is known and was not dropped.
    pub(super) fn decision(&self, instance: Instance) -> Option<(&Payload, &Deps)> {
        match &self.get(instance)?.vote {
            Vote::Committed { payload, deps } => Some((payload, deps)),
            _ => None,
        }
    }

    /// Whether the instance is decided, as far as is known here.
    pub(super) fn is_committed(&self, instance: Instance) -> bool {
        let row = &self.rows[instance.row()];
        instance.number <= row.committed || self.decision(instance).is_some()
    }

    /// What is held of an instance that was not dropped, to be changed.
    pub(super) fn entry(&mut self, instance: Instance) -> &mut Entry {
        let row = &mut self.rows[instance.row()];
        row.known = row.known.max(instance.number);
        let slot = Slot(instance.number);
        if row.entries.get(slot).is_none() {
            row.entries.put(slot, Entry::default());
        }
        row.entries.get_mut(slot).expect("it was put there")
    }

    /// An instance is decided.
    pub(super) fn commit(&mut self, instance: Instance, payload: Payload, deps: Deps) {
        for (row, number) in deps.rows() {
            let own = &mut self.rows[row];
            own.known = own.known.max(number);
        }
        self.entry(instance).vote = Vote::Committed { payload, deps };
        self.advance(instance.row());
    }

    fn advance(&mut self, row: usize) {
        let own = &mut self.rows[row];
        let committed = |number: u64| {
            own.entries.get(Slot(number)).is_some_and(|entry| entry.vote.is_committed())
        };
        let mut last = own.committed;
        while committed(last + 1) {
            last += 1;
        }
        own.committed = last;
    }

    /// The next instance of its row is executed.
    pub(super) fn execute(&mut self, instance: Instance) {
        let row = &mut self.rows[instance.row()];
        assert_eq!(instance.number, row.executed + 1, "a row is executed in its order");
        row.executed = instance.number;
    }

    /// Every instance that is held, with its number.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Instance, &Entry)> {
        self.rows.iter().zip(0..).flat_map(|(own, row)| {
            let entries = own.entries.from(Slot(0));
            entries.map(move |(slot, entry)| (Instance { row, number: slot.0 }, entry))
        })
    }

    /// The decisions of a row after `number`, without a gap.
    pub(super) fn decisions_after(
        &self,
        row: u32,
        number: u64,
    ) -> impl Iterator<Item = (Instance, &Payload, &Deps)> {
        let last = self.rows[row as usize].committed;
        (number + 1..=last).map_while(move |number| {
            let instance = Instance { row, number };
            self.decision(instance).map(|(payload, deps)| (instance, payload, deps))
        })
    }

    /// Drops the executed instances up to `upto`.
    pub(super) fn drop_through(&mut self, row: usize, upto: u64) {
        let own = &mut self.rows[row];
        own.entries.drop_through(Slot(upto.min(own.executed)));
    }

    /// Jumps ahead to another node's state, in which the row is executed up to `executed` and dropped up to `dropped`.
    pub(super) fn jump(&mut self, row: usize, dropped: u64, executed: u64) {
        let own = &mut self.rows[row];
        own.executed = own.executed.max(executed);
        own.committed = own.committed.max(executed);
        own.known = own.known.max(executed);
        own.entries.drop_through(Slot(dropped));
        self.advance(row);
    }
}
