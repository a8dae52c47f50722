//! What survives a crash: the records, the snapshot that replaces their beginning, and recovery from both.
//!
//! Invariants
//! * Every record follows a `Committed` record for all that was known to be committed when it was appended.
//! * A snapshot holds term and vote, the state, the voters, and every entry above it: all that the records before
//!   `saved_at` say, which are passed over. A snapshot is durable after the records of its batch, so a log that ends below
//!   `saved_at` has lost something.
//! * No entry is appended behind a leader's snapshot before that is durable (`Raft::installing`): so no entry's record ever
//!   stands behind a hole.

use super::log::{Log, Stored};
use super::membership::Voters;
use super::message::{EntryId, Payload, Record, Term};
use super::{Out, Raft};
use crate::core::{Config, Damaged, NodeId, Observation, Position, SaveSnapshot, Snapshot};
use crate::machine::{Machine, digest};
use crate::replication::Slot;
use serde::{Deserialize, Serialize};

/// Where the node stands in its own log of records.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The position of the next record.
    next: Position,
    /// Every record below is durable.
    pub(super) persisted: Position,
    /// The records say that every slot up to this one is committed.
    pub(super) committed: Slot,
    /// The last slot that this node's own newest snapshot covers.
    snapshot: Slot,
}

impl Journal {
    /// The position of the record that was appended last.
    pub(super) fn last(&self) -> Position {
        Position(self.next.0.saturating_sub(1))
    }
}

/// The part of a snapshot before the state machine's bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The node's term.
    pub term: Term,
    /// For whom it has voted in that term.
    pub vote: Option<NodeId>,
    /// The last entry that the state covers.
    pub last: EntryId,
    /// Who votes after that entry.
    pub voters: Vec<NodeId>,
    /// The last term in which entries were cut off.
    pub cut_in: Term,
    /// The position of the first record that the snapshot knows nothing of.
    pub saved_at: Position,
    /// The first record that the snapshot does not replace; it may be below `saved_at`.
    pub keep_from: Position,
    /// The entries above `last`.
    pub entries: Vec<Stored>,
}

impl Head {
    /// The snapshot of this head and the state machine's encoding.
    #[must_use]
    pub fn join(&self, state: &[u8]) -> Snapshot {
        let mut data = digest::encode(self);
        data.extend(state);
        Snapshot { data }
    }

    /// The head of a snapshot, and the state machine's encoding.
    ///
    /// # Errors
    /// [`Damaged`] if the head cannot be read.
    pub fn split(snapshot: &Snapshot) -> Result<(Self, &[u8]), Damaged> {
        postcard::take_from_bytes(&snapshot.data)
            .map_err(|error| Damaged(format!("the snapshot: {error}")))
    }
}

impl Raft {
    /// Appends a record, and before it what is committed, if the records do not say so yet.
    pub(super) fn append(&mut self, record: Record, out: &mut Out) {
        let committed = self.log.committed();
        if committed > self.journal.committed {
            self.journal.committed = committed;
            out.append(Record::Committed(committed));
            self.journal.next.0 += 1;
        }
        out.append(record);
        self.journal.next.0 += 1;
    }

    /// Takes a snapshot after every `snapshot_entries` committed slots.
    pub(super) fn snapshot_if_due(&mut self, out: &mut Out) {
        let limits = self.config.limits;
        if self.log.committed().0 - self.journal.snapshot.0 >= limits.snapshot_entries.max(1) {
            self.take_snapshot(out);
        }
    }

    /// Saves the state and forgets what it replaces.
    pub(super) fn take_snapshot(&mut self, out: &mut Out) {
        self.save_snapshot(out);
        let slot = self.log.committed().0;
        out.observe(Observation::Snapshot { slot, installed: false });
        self.log.drop_committed(self.config.limits.keep_entries);
        self.voters.settle(self.log.dropped().slot);
    }

    pub(super) fn save_snapshot(&mut self, out: &mut Out) {
        let last = self.log.last_committed();
        let head = Head {
            term: self.term,
            vote: self.vote,
            last,
            voters: self.voters.at(last.slot).to_vec(),
            cut_in: self.log.cut_in(),
            saved_at: self.journal.next,
            keep_from: self.journal.persisted,
            entries: self.log.from(last.slot.next()).map(|(_, stored)| stored.clone()).collect(),
        };
        self.journal.snapshot = last.slot;
        let snapshot = head.join(&self.machine.encode());
        out.snapshot = Some(SaveSnapshot { snapshot, keep_from: head.keep_from });
    }
}

/// What recovery finds.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) term: Term,
    pub(super) vote: Option<NodeId>,
    pub(super) log: Log,
    pub(super) voters: Voters,
    pub(super) journal: Journal,
    pub(super) machine: Machine,
    /// A leader's snapshot is missing: later records do not tell what is committed.
    pub(super) hole: bool,
}

impl Kept {
    pub(super) fn recover(
        config: &Config,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
    ) -> Result<Self, Damaged> {
        let (mut kept, saved_at) = match snapshot {
            Some(snapshot) => Self::from_snapshot(config, &snapshot)?,
            None => (Self::empty(config)?, Position(0)),
        };
        for (position, record) in records {
            kept.journal.next = kept.journal.next.max(Position(position.0 + 1));
            if position >= saved_at {
                let place = |why| Damaged(format!("record {}: {why}", position.0));
                kept.replay(record).map_err(place)?;
            }
        }
        if kept.journal.next < saved_at {
            let Position(next) = kept.journal.next;
            return Err(Damaged(format!(
                "it ends before record {next}, and the snapshot was taken at record {}",
                saved_at.0
            )));
        }
        kept.journal.persisted = kept.journal.next;
        kept.journal.committed = kept.log.committed();
        Ok(kept)
    }

    fn empty(config: &Config) -> Result<Self, Damaged> {
        Ok(Self {
            term: Term(0),
            vote: None,
            log: Log::default(),
            voters: Voters::new(config.first_voters()?),
            journal: Journal::default(),
            machine: Machine::new(&config.limits),
            hole: false,
        })
    }

    fn from_snapshot(config: &Config, snapshot: &Snapshot) -> Result<(Self, Position), Damaged> {
        let (head, state) = Head::split(snapshot)?;
        let journal =
            Journal { next: head.keep_from, snapshot: head.last.slot, ..Journal::default() };
        let mut kept = Self {
            term: head.term,
            vote: head.vote,
            log: Log::starting_after(head.last, head.cut_in),
            voters: Voters::new(head.voters),
            journal,
            machine: Machine::decode(state, &config.limits)?,
            hole: false,
        };
        head.entries.into_iter().for_each(|stored| kept.push(stored));
        Ok((kept, head.saved_at))
    }

    fn push(&mut self, stored: Stored) {
        if let Payload::Voters(voters) = &stored.entry.payload {
            self.voters.change(self.log.last().slot.next(), voters.clone());
        }
        self.log.push(stored);
    }

    fn replay(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Vote(term, vote) => {
                let changes = self.vote.is_some() && self.vote != vote;
                if term < self.term || term == self.term && changes {
                    return Err(format!("a vote in term {term} after one in term {}", self.term));
                }
                (self.term, self.vote) = (term, vote);
            }
            Record::Entry { accepted_in, slot, entry } => {
                self.replay_entry(slot, Stored { entry, accepted_in })?;
            }
            Record::Covered { accepted_in, slot, .. } => {
                if let Some(stored) = self.log.get_mut(slot) {
                    stored.accepted_in = accepted_in;
                }
            }
            Record::Committed(upto) if !self.hole => self.replay_committed(upto)?,
            Record::Installed(id) => self.hole |= id.slot > self.log.committed(),
            Record::Committed(_) => {}
        }
        Ok(())
    }

    fn replay_entry(&mut self, slot: Slot, stored: Stored) -> Result<(), String> {
        if stored.accepted_in != self.term {
            return Err(format!("term {} appends in term {}", stored.accepted_in, self.term));
        }
        let last = self.log.last().slot;
        if slot > last.next() {
            return Err(format!("slot {slot} follows slot {last}"));
        }
        if slot <= self.log.committed() {
            return Err(format!("slot {slot} is replaced, and is committed"));
        }
        if slot <= last {
            self.log.cut_off_after(Slot(slot.0 - 1), stored.accepted_in);
            self.voters.cut_off_after(Slot(slot.0 - 1));
        }
        self.push(stored);
        Ok(())
    }

    fn replay_committed(&mut self, upto: Slot) -> Result<(), String> {
        if upto > self.log.last().slot {
            return Err(format!("slot {upto} is committed without an entry"));
        }
        while self.log.committed() < upto {
            let entry = self.log.commit_next().clone();
            entry.requests().iter().for_each(|request| drop(self.machine.apply(request)));
        }
        Ok(())
    }
}
