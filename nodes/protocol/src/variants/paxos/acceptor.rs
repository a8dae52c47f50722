//! The acceptor of each register, and what survives a crash of it.

use super::Out;
use super::message::{Message, Query, Record, Register};
use super::proposer::OwnVote;
use super::state::State;
use crate::core::{Damaged, Observation, Position, Snapshot};
use crate::machine::digest;
use crate::replication::{Ballot, Journal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an acceptor holds of one register.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Acceptor {
    /// The highest ballot promised or accepted.
    pub(super) promised: Ballot,
    /// The highest ballot accepted.
    pub(super) accepted: Ballot,
    /// What was accepted in it.
    pub(super) state: State,
}

impl Acceptor {
    fn new() -> Self {
        Self { promised: Ballot::NONE, accepted: Ballot::NONE, state: State::default() }
    }
}

/// The acceptors of all registers of a node.
#[derive(Debug)]
pub(super) struct Acceptors {
    held: BTreeMap<Register, Acceptor>,
    pub(super) journal: Journal<OwnVote>,
}

impl Acceptors {
    /// The highest ballot promised for the register, and the highest accepted.
    pub(super) fn ballots(&self, register: &Register) -> (Ballot, Ballot) {
        let held = self.held.get(register);
        held.map_or((Ballot::NONE, Ballot::NONE), |held| (held.promised, held.accepted))
    }

    /// The state accepted in `ballot`, if that is the last one that was accepted.
    pub(super) fn state_of(&self, register: &Register, ballot: Ballot) -> Option<State> {
        match self.held.get(register) {
            Some(held) => (held.accepted == ballot).then(|| held.state.clone()),
            None => (ballot == Ballot::NONE).then(State::default),
        }
    }

    /// Phase 1b. `known` is what the proposer has.
    pub(super) fn on_prepare(
        &mut self,
        register: Register,
        ballot: Ballot,
        known: Ballot,
        out: &mut Out,
    ) -> Message {
        let held = self.held.entry(register.clone()).or_insert_with(Acceptor::new);
        let promised = held.promised;
        if ballot < promised {
            return Message::Rejected { register, ballot, promised };
        }
        let accepted = held.accepted;
        let state = (accepted > known).then(|| held.state.clone());
        if ballot > promised {
            held.promised = ballot;
            let record = Record::Promised { register: register.clone(), ballot };
            self.journal.append(record, out);
        }
        Message::Promise { register, ballot, accepted, state }
    }

    /// Phase 2b.
    pub(super) fn on_accept(
        &mut self,
        register: Register,
        ballot: Ballot,
        state: State,
        out: &mut Out,
    ) -> Message {
        let held = self.held.entry(register.clone()).or_insert_with(Acceptor::new);
        let promised = held.promised;
        // A copy of what was accepted is acknowledged, whatever was promised since.
        if ballot != held.accepted {
            if ballot < promised {
                return Message::Rejected { register, ballot, promised };
            }
            held.promised = ballot;
            held.accepted = ballot;
            held.state = state.clone();
            let record = Record::Accepted { register: register.clone(), ballot, state };
            self.journal.append(record, out);
        }
        Message::Accepted { register, ballot }
    }

    /// What was accepted last, for a reader that has what was accepted in `known`.
    pub(super) fn on_query(&self, register: Register, query: Query, known: Ballot) -> Message {
        let (_, accepted) = self.ballots(&register);
        let other = self.held.get(&register).filter(|held| held.accepted != known);
        let state = other.map(|held| held.state.clone());
        Message::Report { register, query, accepted, state }
    }

    /// See [`super::Paxos::forget_promise`].
    pub(super) fn forget_promise(&mut self, register: &Register) {
        if let Some(held) = self.held.get_mut(register) {
            held.promised = Ballot::NONE;
        }
    }
}

/// What a snapshot holds.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// The first record that it does not replace.
    keep_from: Position,
    held: BTreeMap<Register, Acceptor>,
}

impl Acceptors {
    /// What the disk holds. A record that is older than what the snapshot holds changes nothing.
    pub(super) fn recover(
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
    ) -> Result<Self, Damaged> {
        let saved = match snapshot {
            Some(snapshot) => Saved::decode(&snapshot)?,
            None => Saved { keep_from: Position(0), held: BTreeMap::new() },
        };
        let (mut held, mut next, mut since_snapshot) = (saved.held, saved.keep_from, 0);
        for (position, record) in records {
            replay(&mut held, record);
            next = next.max(Position(position.0 + 1));
            since_snapshot += 1;
        }
        Ok(Self { held, journal: Journal::recovered(next, since_snapshot) })
    }

    pub(super) fn snapshot_if_due(&mut self, entries: u64, out: &mut Out) {
        if self.journal.is_snapshot_due(entries) {
            self.take_snapshot(out);
        }
    }

    pub(super) fn take_snapshot(&mut self, out: &mut Out) {
        let data = digest::encode(&(self.journal.keep_from(), &self.held));
        self.journal.save(data, out);
        out.observe(Observation::Snapshot { slot: 0, installed: false });
    }
}

fn replay(held: &mut BTreeMap<Register, Acceptor>, record: Record) {
    match record {
        Record::Promised { register, ballot } => {
            let acceptor = held.entry(register).or_insert_with(Acceptor::new);
            acceptor.promised = acceptor.promised.max(ballot);
        }
        Record::Accepted { register, ballot, state } => {
            let acceptor = held.entry(register).or_insert_with(Acceptor::new);
            acceptor.promised = acceptor.promised.max(ballot);
            if ballot > acceptor.accepted {
                acceptor.accepted = ballot;
                acceptor.state = state;
            }
        }
    }
}

impl Saved {
    fn decode(snapshot: &Snapshot) -> Result<Self, Damaged> {
        match postcard::take_from_bytes(&snapshot.data) {
            Ok((saved, [])) => Ok(saved),
            Ok((_, rest)) => Err(Damaged(format!("{} bytes follow the snapshot", rest.len()))),
            Err(error) => Err(Damaged(format!("the snapshot: {error}"))),
        }
    }
}
