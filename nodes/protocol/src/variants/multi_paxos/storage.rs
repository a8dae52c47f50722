//! What survives a crash: the records, the snapshot that replaces their beginning, and recovery from both.
//!
//! Invariants
//! * Every record follows a `Decided` record for all that was known to be decided when it was appended.
//! * A snapshot holds the promise, the state, and every accepted proposal above it: the records before `keep_from` are
//!   not needed. `keep_from` never lies beyond what is durable, so a log whose end was lost never ends below it.
//! * Replay is idempotent: records that a snapshot covers already change nothing.
//!
//! A peer's snapshot leaves a hole in the records, and they may become durable before the snapshot does. `Installed`
//! marks the hole: if the snapshot is missing, nothing after the mark says what is decided (what was accepted still counts),
//! and nothing that rests on it can have left the node.

use super::log::Log;
use super::membership::Memberships;
use super::message::{Proposal, Record};
use super::{MultiPaxos, Out};
use crate::core::{Config, Damaged, Limits, NodeId, Observation, Position, SaveSnapshot, Snapshot};
use crate::machine::{Machine, digest};
use crate::replication::{Ballot, Slot, Value};
use serde::{Deserialize, Serialize};

/// Where the node stands in its own log of records.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The position of the next record.
    next: Position,
    /// Every record below is durable.
    pub(super) persisted: Position,
    /// The records say that every slot up to this one is decided.
    pub(super) decided: Slot,
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
    /// The highest ballot promised.
    pub promised: Ballot,
    /// The last slot that the state covers.
    pub slot: Slot,
    /// The first record that the snapshot does not replace.
    pub keep_from: Position,
    /// What was accepted above `slot`.
    pub accepted: Vec<Proposal>,
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

impl MultiPaxos {
    /// Appends a record, and before it what is decided, if the records do not say so yet.
    pub(super) fn append(&mut self, record: Record, out: &mut Out) {
        let decided = self.log.decided();
        if decided > self.journal.decided {
            self.journal.decided = decided;
            out.append(Record::Decided(decided));
            self.journal.next.0 += 1;
        }
        out.append(record);
        self.journal.next.0 += 1;
    }

    /// Takes a snapshot after every `snapshot_entries` decided slots.
    pub(super) fn snapshot_if_due(&mut self, out: &mut Out) {
        let limits = self.config.limits;
        if self.log.decided().0 - self.journal.snapshot.0 >= limits.snapshot_entries.max(1) {
            self.take_snapshot(out);
        }
    }

    /// Saves the state and forgets what it replaces.
    pub(super) fn take_snapshot(&mut self, out: &mut Out) {
        self.save_snapshot(out);
        let slot = self.log.decided().0;
        out.observe(Observation::Snapshot { slot, installed: false });
        self.log.drop_decided(self.config.limits.keep_entries);
        self.memberships.settle(self.log.dropped());
    }

    /// The state after every decided slot: that of the machine, and the memberships behind it unless they are the first.
    pub(super) fn encode_state(&self) -> Vec<u8> {
        let machine = self.machine.encode();
        if self.memberships == Memberships::new(self.first_members.clone()) {
            return machine;
        }
        digest::encode(&(CHANGED, &self.memberships, machine))
    }

    pub(super) fn save_snapshot(&mut self, out: &mut Out) {
        let head = Head {
            promised: self.promised,
            slot: self.log.decided(),
            keep_from: self.journal.persisted,
            accepted: self.log.undecided_from(Slot(0)).cloned().collect(),
        };
        self.journal.snapshot = head.slot;
        let snapshot = head.join(&self.encode_state());
        out.snapshot = Some(SaveSnapshot { snapshot, keep_from: head.keep_from });
    }
}

/// Begins a state with memberships. No state machine's encoding begins so: as a number, it would be of more keys than memory
/// holds.
const CHANGED: [u8; 16] = [0xff; 16];

/// What [`MultiPaxos::encode_state`] encoded, of a system that began with the members `first`.
pub(super) fn decode_state(
    bytes: &[u8],
    limits: &Limits,
    first: &[NodeId],
) -> Result<(Machine, Memberships), Damaged> {
    if !bytes.starts_with(&CHANGED) {
        return Ok((Machine::decode(bytes, limits)?, Memberships::new(first.to_vec())));
    }
    let (_, memberships, machine): ([u8; 16], _, Vec<u8>) = postcard::from_bytes(bytes)
        .map_err(|error| Damaged(format!("the memberships of the snapshot: {error}")))?;
    Ok((Machine::decode(&machine, limits)?, memberships))
}

/// What recovery finds.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) promised: Ballot,
    pub(super) log: Log,
    pub(super) journal: Journal,
    pub(super) machine: Machine,
    pub(super) memberships: Memberships,
    /// How many slots a change waits before it governs.
    alpha: u64,
    /// Whoever may be a member.
    nodes: Vec<NodeId>,
    /// A peer's snapshot is missing: later records do not tell what is decided.
    pub(super) hole: bool,
    /// The highest promise among the records, which must not fall.
    recorded: Ballot,
}

impl Kept {
    pub(super) fn recover(
        config: &Config,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
    ) -> Result<Self, Damaged> {
        let mut kept = match snapshot {
            Some(snapshot) => Self::from_snapshot(config, &snapshot)?,
            None => Self::empty(config)?,
        };
        for (position, record) in records {
            kept.replay(record).map_err(|why| Damaged(format!("record {}: {why}", position.0)))?;
            kept.journal.next = kept.journal.next.max(Position(position.0 + 1));
        }
        kept.journal.persisted = kept.journal.next;
        kept.journal.decided = kept.log.decided();
        Ok(kept)
    }

    fn empty(config: &Config) -> Result<Self, Damaged> {
        Ok(Self {
            promised: Ballot::NONE,
            log: Log::default(),
            journal: Journal::default(),
            machine: Machine::new(&config.limits),
            memberships: Memberships::new(config.first_voters()?),
            alpha: config.limits.pipeline.max(1) as u64,
            nodes: config.members.clone(),
            hole: false,
            recorded: Ballot::NONE,
        })
    }

    fn from_snapshot(config: &Config, snapshot: &Snapshot) -> Result<Self, Damaged> {
        let (head, state) = Head::split(snapshot)?;
        let mut log = Log::starting_after(head.slot);
        for proposal in head.accepted {
            log.accept(proposal);
        }
        let journal = Journal { next: head.keep_from, snapshot: head.slot, ..Journal::default() };
        let empty = Self::empty(config)?;
        let first = config.first_voters()?;
        let (machine, memberships) = decode_state(state, &config.limits, &first)?;
        Ok(Self { promised: head.promised, log, journal, machine, memberships, ..empty })
    }

    fn replay(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Promised(ballot) if ballot < self.recorded => {
                return Err(format!("the promise falls from {} to {ballot}", self.recorded));
            }
            Record::Promised(ballot) => {
                self.recorded = ballot;
                self.promised = self.promised.max(ballot);
            }
            Record::Accepted(proposal) => self.replay_accepted(proposal)?,
            Record::Learned(slot, value) if slot > self.log.decided() && !self.hole => {
                if slot != self.log.decided().next() {
                    return Err(format!("slot {slot} is learned after {}", self.log.decided()));
                }
                self.log.learn(slot, value.clone());
                self.apply(slot, &value);
            }
            Record::Decided(upto) if !self.hole => self.replay_decided(upto)?,
            Record::Installed(slot) => self.hole = slot > self.log.decided(),
            Record::Learned(..) | Record::Decided(_) => {}
        }
        Ok(())
    }

    fn replay_accepted(&mut self, proposal: Proposal) -> Result<(), String> {
        if proposal.ballot < self.recorded {
            return Err(format!("ballot {} is accepted below a promise", proposal.ballot));
        }
        self.recorded = proposal.ballot;
        self.promised = self.promised.max(proposal.ballot);
        let newer = |held: &Proposal| held.ballot >= proposal.ballot;
        if proposal.slot > self.log.decided() && !self.log.get(proposal.slot).is_some_and(newer) {
            self.log.accept(proposal);
        }
        Ok(())
    }

    fn replay_decided(&mut self, upto: Slot) -> Result<(), String> {
        for slot in self.log.decided().up_to(upto) {
            if self.log.get(slot).is_none() {
                return Err(format!("slot {slot} is decided without a value"));
            }
            let value = self.log.decide_next().clone();
            self.apply(slot, &value);
        }
        Ok(())
    }

    fn apply(&mut self, slot: Slot, value: &Value) {
        value.requests().iter().for_each(|request| drop(self.machine.apply(request)));
        self.memberships.decide(slot, self.alpha, &self.nodes, value);
    }
}
