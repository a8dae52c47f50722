//! Steps a core that is told too early that its records are durable.
//!
//! The core counts the positions of its records; whoever tells it about them has to count alike. The host's own
//! `Input::Persisted` comes later, with a lower position or the same one, and changes nothing then.

use super::Out;
use crate::core::{Core, Input, Position, Snapshot, Time};
use crate::variants::multi_paxos::{Head, Message, MultiPaxos, Record};

/// The count of the core's records.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    next: Position,
}

impl Ahead {
    /// Begins to count where the disk ends. A snapshot that cannot be read is the core's to refuse.
    pub(super) fn recover(&mut self, snapshot: Option<&Snapshot>, records: &[(Position, Record)]) {
        let head = snapshot.and_then(|snapshot| Head::split(snapshot).ok());
        let replaced = head.map_or(Position(0), |(head, _)| head.keep_from);
        let read = records.last().map_or(Position(0), |(last, _)| Position(last.0 + 1));
        self.next = replaced.max(read);
    }

    /// Takes a step, says that what it appended is durable, and so on until nothing more is appended.
    pub(super) fn step(
        &mut self,
        core: &mut MultiPaxos,
        now: Time,
        input: Input<Message>,
        out: &mut Out,
    ) {
        core.step(now, input, out);
        let mut told = 0;
        while out.records.len() > told {
            self.next.0 += (out.records.len() - told) as u64;
            told = out.records.len();
            core.step(now, Input::Persisted(self.next), out);
        }
    }
}
