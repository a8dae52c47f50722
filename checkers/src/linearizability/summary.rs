//! What of a history is still needed once its past is settled: the memory of a run of hours.
//!
//! The register engine judges a whole history. A live run cannot keep one, so from time to time the part that is decided is
//! replaced by a few records. Source: our own; it rests on the proof in the header of `register`, whose words are used here.
//!
//! # What is kept
//! Let the operations so far, with those under way as crashed ones, be linearizable, and let `b` be the earliest begin of an
//! operation under way, or after everything if there is none. What is not taken yet begins at `b` or later. Call a
//! block *ended* if its earliest end lies before `b`, and let M be the ended block of the latest start (there is one:
//! nil's).
//!
//! 1. An ended block X other than M with `e(X) < s(M)` is **forgotten**: M has replaced it for good.
//! 2. In every other block, places before the last one that ended before `b` are forgotten, and that one is replaced by a
//!    write and a read which stand in for the block so far: the same earliest end, the same latest start.
//! 3. Of every other group, writer, earliest end, latest start, and through whom it is observed are kept; other reads are not.
//! 4. Crashed writes and cas that nobody saw are kept, each: they may take effect at any time. Failed ones are forgotten.
//!
//! Hence what is kept does not grow with the length of a history: blocks that are neither forgotten nor M have
//! `e >= s(M)` or `e >= b`, so each has an operation that spans one of these two instants, and at most as many
//! operations as there are clients, and crashed ones, do. What does grow: 40 bytes for a crashed write, and the summary of each key.
//!
//! # Why a pass is a proof, and an alarm is one where values are unique
//! *Claim:* if later operations make the history not linearizable, what was kept and they are not linearizable either.
//! The first violation has an operation `o` that was not taken yet, in a block Y, so `s(Y) >= b`.
//! (a) `o` sees or replaces a value that was forgotten, or Y reaches such a value by a crashed cas that now counts: what is kept
//! has no writer for that value, which is a violation. (In the whole history it is one as well: the value's block X has `e(X) < s(M)`
//! and now `e(M) < b <= s(X)`, or a later place of its block ended before `o` began.)
//! (b) Y has nothing forgotten in it, and is in conflict with a forgotten X: `e(Y) < s(X) <= s(M)`. If Y is not M, then
//! `e(M) < b <= s(Y)`, so Y is in conflict with M too. Y is not M: `e(M) < s(X)` held before (earliest ends never
//! fall later on), and with `e(X) < s(M)` that would have been a conflict before. (c) The violation lies inside of what is kept: its
//! zones and places are those of the whole history, as rules 2 and 3 keep them. ∎
//!
//! By (a) to (c) violations are the same where values are unique. Where a value is written again after it was forgotten, the
//! second write counts as one of another value. A linearization of that is one of the history with equal values too, so
//! **a pass stays a proof; an alarm then is none**, and whoever raises one has to judge the whole history to convict.
//! So the words of an anomaly never come from a summary.

use super::record::{Kind, NIL, NONE, Record, ValueId};
use super::register::Groups;
use std::collections::BTreeSet;
use tribunal_history::Outcome;

/// The records to go on with, given the groups of a linearizable history of which the first `taken` records were
/// taken and the others are under way. Every operation that is not taken yet begins at `settled` or later.
pub(super) fn summary(groups: &Groups<'_>, taken: u32, settled: u64) -> Vec<Record> {
    let blocks: Vec<Block> = groups.heads().map(|head| Block::of(groups, head)).collect();
    let ended = blocks.iter().filter(|block| block.first_end < settled);
    let last = ended.max_by_key(|block| block.last_start).map_or(NIL, |block| block.head);
    let replaced = blocks.iter().find(|block| block.head == last).map_or(0, |m| m.last_start);
    let mut kept = Kept { stand_ins: Vec::new(), ids: BTreeSet::new() };
    for block in &blocks {
        let forgotten =
            block.head != last && block.first_end < settled && block.first_end < replaced;
        if !forgotten {
            kept.block(groups, block.head, settled);
        }
    }
    let unseen = (0..).zip(groups.records).filter(|(_, record)| {
        record.outcome == Outcome::Info && record.writes() && !groups.counts(record)
    });
    kept.ids.extend(unseen.map(|(id, _)| id));
    let own = kept.ids.range(..taken).map(|&id| *groups.record(id));
    kept.stand_ins.extend(own);
    kept.stand_ins
}

/// A chain of groups and its zone.
struct Block {
    head: ValueId,
    first_end: u64,
    last_start: u64,
}

impl Block {
    fn of(groups: &Groups<'_>, head: ValueId) -> Self {
        let ends = groups.chain(head).map(|value| groups.first_end(value));
        let starts = groups.chain(head).map(|value| groups.last_start(value));
        let first_end = ends.min().unwrap_or(u64::MAX);
        Self { head, first_end, last_start: starts.max().unwrap_or(0) }
    }
}

/// What a summary is made of.
struct Kept {
    stand_ins: Vec<Record>,
    /// The records that stay as they are.
    ids: BTreeSet<u32>,
}

impl Kept {
    /// Rules 2 and 3 for one block.
    fn block(&mut self, groups: &Groups<'_>, head: ValueId, settled: u64) {
        let places: Vec<ValueId> = groups.chain(head).collect();
        let ended = places.iter().rposition(|&value| groups.first_end(value) < settled);
        let (past, rest) = places.split_at(ended.map_or(0, |place| place + 1));
        if let Some(&value) = past.last() {
            let first_end = past.iter().map(|&value| groups.first_end(value)).min().unwrap_or(0);
            let last_start = past.iter().map(|&value| groups.last_start(value)).max().unwrap_or(0);
            self.stand_in(value, first_end, last_start);
        }
        for &value in rest {
            let group = groups.group(value);
            let deciding = [group.writer, group.first_end, group.last_start, group.because];
            self.ids.extend(deciding.into_iter().filter(|&id| id != NONE));
        }
    }

    /// A write and a read of `value` with this zone. Nil needs no writer, and was there before everything.
    fn stand_in(&mut self, value: ValueId, first_end: u64, last_start: u64) {
        if value != NIL {
            self.stand_ins.push(Record::standing_in(Kind::Write, value, 0, first_end));
        }
        if last_start > 0 {
            let end = first_end.max(last_start);
            self.stand_ins.push(Record::standing_in(Kind::Read, value, last_start, end));
        }
    }
}
