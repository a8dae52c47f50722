//! Where a node stands in its own log of records, and which of its own votes wait for its disk.
//!
//! A node is one of the nodes that it asks. What it says to a peer waits for its disk by [`Output::send`]; what it says
//! to itself has to wait, too, or a restart takes back a vote that was counted. It waits here, so that a majority of
//! others need not wait for a slow disk of this node.

use crate::core::{Core, Output, Position, SaveSnapshot, Snapshot};
use std::collections::VecDeque;

/// The log of records of a node whose own votes are `V`.
#[derive(Debug)]
pub struct Journal<V> {
    /// The position of the next record.
    next: Position,
    /// Every record below is durable.
    persisted: Position,
    since_snapshot: u64,
    /// Own votes, each with the position up to which it rests on records, ascending.
    votes: VecDeque<(Position, V)>,
}

impl<V> Journal<V> {
    /// The journal of a node that has found its records up to `next` on its disk, `since_snapshot` of them beyond what
    /// its snapshot replaces.
    #[must_use]
    pub fn recovered(next: Position, since_snapshot: u64) -> Self {
        Self { next, persisted: next, since_snapshot, votes: VecDeque::new() }
    }

    /// Appends a record.
    pub fn append<C: Core>(&mut self, record: C::Record, out: &mut Output<C>) {
        out.append(record);
        self.next.0 += 1;
        self.since_snapshot += 1;
    }

    /// Gives the vote back if every record so far is durable. Otherwise keeps it until then.
    #[must_use]
    pub fn when_durable(&mut self, vote: V) -> Option<V> {
        if self.persisted >= self.next {
            return Some(vote);
        }
        self.votes.push_back((self.next, vote));
        None
    }

    /// How many votes wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.votes.len()
    }

    /// Every record below `position` is durable.
    pub fn persisted(&mut self, position: Position) {
        self.persisted = self.persisted.max(position);
    }

    /// The next vote that need not wait any more.
    pub fn next_vote(&mut self) -> Option<V> {
        let (rests_on, _) = self.votes.front()?;
        if *rests_on > self.persisted {
            return None;
        }
        self.votes.pop_front().map(|(_, vote)| vote)
    }

    /// Whether a snapshot is due, with one after `entries` records.
    #[must_use]
    pub fn is_snapshot_due(&self, entries: u64) -> bool {
        self.since_snapshot >= entries.max(1)
    }

    /// Where the records begin that a snapshot taken now does not replace. It never lies beyond what is durable, so a
    /// log whose end was lost never ends below it; what the snapshot covers is replayed once more, without effect.
    #[must_use]
    pub fn keep_from(&self) -> Position {
        self.persisted
    }

    /// Saves a snapshot of everything so far.
    pub fn save<C: Core>(&mut self, data: Vec<u8>, out: &mut Output<C>) {
        self.since_snapshot = 0;
        let keep_from = self.keep_from();
        out.snapshot = Some(SaveSnapshot { snapshot: Snapshot { data }, keep_from });
    }
}
