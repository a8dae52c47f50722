//! Answers while a history is still being made: has it been violated already, and what of it may be forgotten.
//!
//! * A prefix of a history, with the operations under way as crashed ones, is a history; linearizability is closed under
//!   prefixes (Herlihy and Wing 1990, section 3.3). So a violation of the prefix convicts the whole, and is judged
//!   by the same engine. Only keys that changed since the last answer are judged again.
//! * What is settled is replaced by a `summary`, whose header has the proof. A checker that has forgotten can still prove that the
//!   history is linearizable. Anything else needs the whole history again, and it says so: [`NEEDS_HISTORY`].
//!
//! Absent: keys whose written values are not unique. Their violations are not told before the end, and a checker that is
//! asked to settle them answers [`NEEDS_HISTORY`].

use super::record::{KeyHistory, Parts};
use super::register::{self, Judgement};
use super::summary::summary;
use super::{Linearizable, decode};
use rustc_hash::FxHashMap;
use tribunal_history::{Operation, Outcome, Process, Value};

/// Why a checker that was asked to settle cannot tell: judge the history once more, without settling.
pub const NEEDS_HISTORY: &str =
    "not decided by what was kept of the settled past: the whole history has to be judged again";

/// What a checker knows beside its keys.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Live {
    /// After everything that was taken: indices of events, from 1.
    latest: u64,
    /// Whether anything was forgotten.
    pub(super) settled: bool,
    /// Whether a violation was found in what was taken. It stays one.
    violated: bool,
    /// Whether a key has values that are not unique, of which something was to be forgotten.
    not_unique: bool,
    /// The most that was kept at a time, in bytes.
    pub(super) bytes_max: usize,
}

impl Live {
    /// An operation goes by.
    pub(super) fn pass(&mut self, operation: &Operation) {
        let last = operation.end.unwrap_or(operation.call).index;
        self.latest = self.latest.max(last.saturating_add(1));
    }

    /// Whether nothing that comes can change that the whole history is needed. Nothing has to be kept then.
    pub(super) fn needs_history(&self) -> bool {
        self.settled && (self.violated || self.not_unique)
    }

    /// What was not taken yet begins then or later.
    fn begin(&self, open: &[Operation]) -> u64 {
        let begins = open.iter().map(|operation| operation.call.index.saturating_add(1));
        begins.min().unwrap_or(u64::MAX).min(self.latest.saturating_add(1))
    }
}

impl Linearizable {
    /// See [`crate::Checker::violated`].
    pub(super) fn violated_so_far(&mut self, open: &[Operation]) -> bool {
        let open = by_key(open);
        for (key, history) in &mut self.keys {
            if self.live.violated || !std::mem::take(&mut history.changed.since_judged) {
                continue;
            }
            let open = open.get(key).map_or(&[][..], Vec::as_slice);
            self.live.violated = with_open(history, open, |history| {
                matches!(register::judge(history).0, Judgement::Violated(_))
            });
        }
        self.live.violated
    }

    /// See [`crate::Checker::settle`].
    pub(super) fn summarise(&mut self, open: &[Operation]) {
        self.live.bytes_max = self.live.bytes_max.max(self.bytes());
        let settled = self.live.begin(open);
        let open = by_key(open);
        for (key, history) in &mut self.keys {
            if !std::mem::take(&mut history.changed.since_summary) {
                continue;
            }
            let open = open.get(key).map_or(&[][..], Vec::as_slice);
            // Fits, since the history gave that many records their numbers.
            let taken = u32::try_from(history.records().len()).unwrap_or(u32::MAX);
            let kept = with_open(history, open, |history| match register::judge(history) {
                (Judgement::Linearizable, groups) => Ok(summary(&groups, taken, settled)),
                (other, _) => Err(other),
            });
            match kept {
                Ok(records) => history.replace(records),
                Err(Judgement::NotUnique) => self.live.not_unique = true,
                Err(_) => self.live.violated = true,
            }
        }
        self.live.settled = true;
        if self.live.needs_history() {
            self.keys = FxHashMap::default();
        }
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.keys.values().map(KeyHistory::bytes).sum::<usize>()
            + self.processes.len() * size_of::<(Process, u32)>()
    }
}

/// Writes and cas under way. A read that has not returned says nothing; what is no operation of a register is refused when
/// it ends.
fn by_key(open: &[Operation]) -> FxHashMap<&Value, Vec<&Operation>> {
    let mut keys: FxHashMap<&Value, Vec<&Operation>> = FxHashMap::default();
    for operation in open.iter().filter(|operation| operation.f != "read") {
        debug_assert_eq!(operation.outcome, Outcome::Info, "it is under way");
        if let Ok((key, _)) = decode(operation) {
            keys.entry(key).or_default().push(operation);
        }
    }
    keys
}

/// Asks something of a history that ends with the operations under way.
fn with_open<T>(
    history: &mut KeyHistory,
    open: &[&Operation],
    ask: impl FnOnce(&KeyHistory) -> T,
) -> T {
    let (records, values) = (history.records().len(), history.value_count());
    let decoded: Vec<(&Operation, Parts<'_>)> = open
        .iter()
        .filter_map(|&operation| decode(operation).ok().map(|(_, parts)| (operation, parts)))
        .collect();
    for &(operation, parts) in &decoded {
        // Too long for its numbers: it is refused when it ends, and no verdict follows.
        let _refused_later = history.push(operation, parts, 0);
    }
    let answer = ask(history);
    let parts: Vec<Parts<'_>> = decoded.into_iter().map(|(_, parts)| parts).collect();
    history.take_back(records, values, &parts);
    answer
}
