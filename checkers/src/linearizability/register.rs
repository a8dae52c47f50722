//! The engine for registers whose written values are unique: exact, in O(n log n), crashed operations included.
//!
//! The idea of zones is that of Gibbons and Korach, "Testing Shared Memories" (1997), section 4.2, for reads and writes
//! where each read names its write; here extended by compare-and-set and by operations of unknown outcome.
//!
//! # What it decides
//! Operations on one register that is nil at first: completed reads, and writes and cas that completed or *crashed* (outcome
//! unknown: effective at any time after the call, or never). Failed operations did not happen. No value is written
//! twice, and nil never: else the answer is [`Judgement::NotUnique`], and another engine has to decide.
//!
//! 1. **Which crashed operations count.** A value is *observed* if a completed operation read it or found it in a cas, or if a crashed
//!    cas did whose own value is observed. Crashed writes and cas of values that are not observed are dropped. All others
//!    must have happened. *Dropping is sound and complete:* take a linearization with a dropped operation and strike out
//!    all dropped ones: nobody who remains sees their values, so everybody still sees what they saw. Conversely, a crashed
//!    operation need not happen. And an operation that counts must happen, since somebody who happened saw its value.
//! 2. **Groups.** Each observed value needs a writer (nil has a virtual one, before everything). A value's writer and
//!    reads form its group. Since a value is written once, its group stands together in every legal order, the writer first.
//! 3. **Blocks.** A cas from `u` to `v` is the writer of `v` and must directly follow the group of `u`. So at most one cas
//!    leaves a value, and chains of groups, or *blocks*, stand together. A chain that closes to a ring has no first
//!    group and no legal order.
//! 4. **Inside a block** the order of places is fixed (writer, its reads, next writer, ...), and reads of one group
//!    commute. So real time allows the block if and only if no operation ends before one of an earlier place begins.
//! 5. **Between blocks.** A *must precede* B if an operation of A ends before one of B begins: the earliest end of A lies
//!    before the latest start of B. A linearization exists if and only if no two blocks must precede each other.
//!
//! *Proof of 5.* Blocks stand together, so "only if" is clear. For "if", let `e(A)` be the earliest end and `s(A)` the latest
//! start. If the relation `e(A) < s(B)` had a cycle, take its member X of the greatest `e`, its successor Y, and Y's
//! successor W. Every other member Z has `e(Z) <= e(X) < s(Y)`, so Z must precede Y; in particular W does, and Y
//! must precede W: two blocks that must precede each other (X itself, if W = X). Hence without such a pair the relation is acyclic, and
//! the blocks can be sorted by it; inside, sort by place, and reads of one group by their calls. This order is legal by
//! construction, and never puts `b` before `a` if `a` ended before `b` began: by the relation between blocks, by 4 between
//! places, and within a place since then `a` was called first. Such an order is a linearization. ∎
//!
//! # How it searches
//! Only a *forward* zone, `e < s`, can be in conflict: two forward zones that overlap, or a backward zone inside of a
//! forward one (two backward ones would give `e(A) < s(B) <= e(B) < s(A) <= e(A)`). Sort the forward zones by `e`. If any two
//! overlap, two neighbours do: whatever lies between them in the order begins inside of the first. If none do, a backward zone
//! can only lie inside of the last forward one that begins before it ([`conflicts`]).
//!
//! Groups are tried before blocks: a group is part of a block, so a conflict of groups is one as well, and shows it with
//! fewer operations. Each rule is only tried when the ones before it hold, so what is found first is what a person
//! understands first.

use super::record::{KeyHistory, Kind, NIL, NONE, Record, ValueId};
use tribunal_history::Outcome;

/// What the engine says of one key.
#[derive(Debug)]
pub(super) enum Judgement {
    /// There is a linearization: proven.
    Linearizable,
    /// There is none: proven by each of the findings.
    Violated(Vec<Finding>),
    /// A value was written twice, or nil was written: the engine does not apply.
    NotUnique,
}

/// One contradiction. Records and values by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The value was observed, and nobody can have written it.
    NoWriter(ValueId),
    /// `observer` ended before the writer of what it saw began.
    Future { observer: u32, writer: u32 },
    /// Two cas left the same value.
    TwoCas(u32, u32),
    /// The value is its own ancestor by cas.
    Ring(ValueId),
    /// Two groups must precede each other.
    Groups(ValueId, ValueId),
    /// `early` began after `late`, which comes behind it in a chain of cas, had ended.
    Chain { early: u32, late: u32 },
    /// Two blocks, named by their first values, must precede each other.
    Blocks(ValueId, ValueId),
}

/// A value with its operations, by the numbers of their records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// Who wrote it and counts. Nil has none, and needs none.
    pub(super) writer: u32,
    /// The operation through which it counts as observed: a completed one, or a crashed cas whose own value is observed.
    pub(super) because: u32,
    /// The cas that leaves it.
    pub(super) leaving: u32,
    /// Of writer and reads, the one that ended first. `NONE` for nil, which was there before everything.
    pub(super) first_end: u32,
    /// Of writer and reads, the one that began last.
    pub(super) last_start: u32,
}

const EMPTY: Group =
    Group { writer: NONE, because: NONE, leaving: NONE, first_end: NONE, last_start: NONE };

/// The groups of one key; also what a witness is made from.
#[derive(Debug)]
pub(super) struct Groups<'a> {
    pub(super) records: &'a [Record],
    pub(super) by_value: Vec<Group>,
}

/// Judges one key, and gives the groups for a witness. O(n log n) time; 20 bytes a value and 24 bytes a block.
pub(super) fn judge(history: &KeyHistory) -> (Judgement, Groups<'_>) {
    let mut groups =
        Groups { records: history.records(), by_value: vec![EMPTY; history.value_count()] };
    if !groups.find_writers() {
        return (Judgement::NotUnique, groups);
    }
    groups.observe();
    let findings = groups.findings();
    let judgement = match findings.is_empty() {
        true => Judgement::Linearizable,
        false => Judgement::Violated(findings),
    };
    (judgement, groups)
}

impl Groups<'_> {
    /// Rule by rule; the first that is violated gives the findings.
    fn findings(&mut self) -> Vec<Finding> {
        let rules: [fn(&mut Self) -> Vec<Finding>; 5] = [
            Self::check_groups,
            Self::check_rings,
            |groups| {
                let pairs = conflicts(groups.group_zones());
                pairs.into_iter().map(|(a, b)| Finding::Groups(a, b)).collect()
            },
            Self::check_chains,
            |groups| {
                let pairs = conflicts(groups.block_zones());
                pairs.into_iter().map(|(a, b)| Finding::Blocks(a, b)).collect()
            },
        ];
        let mut found = rules.into_iter().map(|rule| rule(self));
        found.find(|findings| !findings.is_empty()).unwrap_or_default()
    }

    /// Finds who may have written each value. False if that is not unique.
    fn find_writers(&mut self) -> bool {
        for (id, record) in numbered(self.records) {
            if record.writes() && record.outcome != Outcome::Fail {
                let group = &mut self.by_value[record.value as usize];
                if record.value == NIL || record.value == record.from || group.writer != NONE {
                    return false;
                }
                group.writer = id;
            }
        }
        true
    }

    /// Rule 1: what is observed, and through whom.
    fn observe(&mut self) {
        let mut work: Vec<ValueId> = Vec::new();
        for (id, record) in numbered(self.records) {
            if record.outcome == Outcome::Ok
                && let Some(value) = record.observes()
            {
                self.observe_one(value, id, &mut work);
            }
        }
        while let Some(value) = work.pop() {
            let writer = self.by_value[value as usize].writer;
            if writer != NONE
                && let Some(source) = self.record(writer).observes()
            {
                self.observe_one(source, writer, &mut work);
            }
        }
    }

    fn observe_one(&mut self, value: ValueId, because: u32, work: &mut Vec<ValueId>) {
        let group = &mut self.by_value[value as usize];
        if group.because == NONE {
            group.because = because;
            work.push(value);
        }
    }

    /// Rules 2 and 3: every value has a writer, who began before anyone saw it, and one cas at most leaves it.
    fn check_groups(&mut self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = (NIL + 1..)
            .zip(&self.by_value[1..])
            .filter(|(_, group)| group.because != NONE && group.writer == NONE)
            .map(|(value, _)| Finding::NoWriter(value))
            .collect();
        for (id, record) in numbered(self.records) {
            if !self.counts(record) {
                continue;
            }
            if let Some(seen) = record.observes() {
                let writer = self.by_value[seen as usize].writer;
                if writer != NONE && record.finish() < self.record(writer).begin() {
                    findings.push(Finding::Future { observer: id, writer });
                }
            }
            if record.kind == Kind::Cas {
                let source = &mut self.by_value[record.from as usize];
                if source.leaving == NONE {
                    source.leaving = id;
                } else {
                    findings.push(Finding::TwoCas(source.leaving, id));
                }
            }
            self.extend(id, record);
        }
        findings
    }

    /// Takes an operation into the zone of its group.
    fn extend(&mut self, id: u32, record: &Record) {
        let Group { first_end, last_start, .. } = self.by_value[record.value as usize];
        let ends_first = first_end == NONE || record.finish() < self.record(first_end).finish();
        let starts_last = last_start == NONE || record.begin() > self.record(last_start).begin();
        let group = &mut self.by_value[record.value as usize];
        // Nil was there before everything, so no read of it ends its group first.
        if ends_first && record.value != NIL {
            group.first_end = id;
        }
        if starts_last {
            group.last_start = id;
        }
    }

    /// Rule 3: chains have a beginning.
    fn check_rings(&mut self) -> Vec<Finding> {
        let mut seen = vec![false; self.by_value.len()];
        for head in self.heads() {
            self.chain(head).for_each(|value| seen[value as usize] = true);
        }
        let mut findings = Vec::new();
        for value in self.values() {
            if !seen[value as usize] {
                findings.push(Finding::Ring(value));
                self.ring(value).for_each(|value| seen[value as usize] = true);
            }
        }
        findings
    }

    /// Rule 4.
    fn check_chains(&mut self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for head in self.heads() {
            let mut early = NONE;
            for value in self.chain(head) {
                let group = &self.by_value[value as usize];
                if early != NONE && self.first_end(value) < self.record(early).begin() {
                    findings.push(Finding::Chain { early, late: group.first_end });
                }
                if early == NONE || self.last_start(value) > self.record(early).begin() {
                    early = group.last_start;
                }
            }
        }
        findings
    }

    fn group_zones(&self) -> Vec<Zone> {
        let zone = |value| Zone {
            first_end: self.first_end(value),
            last_start: self.last_start(value),
            value,
        };
        self.values().map(zone).collect()
    }

    fn block_zones(&self) -> Vec<Zone> {
        let zone = |head| {
            self.chain(head).fold(
                Zone { first_end: u64::MAX, last_start: 0, value: head },
                |zone, value| Zone {
                    first_end: zone.first_end.min(self.first_end(value)),
                    last_start: zone.last_start.max(self.last_start(value)),
                    value: head,
                },
            )
        };
        self.heads().map(zone).collect()
    }

    /// Values that have a group: nil, and what was written by an operation that counts.
    fn values(&self) -> impl Iterator<Item = ValueId> {
        let counts = |group: &Group| group.writer != NONE && self.counts(self.record(group.writer));
        (NIL..)
            .zip(&self.by_value)
            .filter(move |(value, group)| *value == NIL || counts(group))
            .map(|(value, _)| value)
    }

    /// Values that begin a chain: nil, and those that were not written by a cas.
    pub(super) fn heads(&self) -> impl Iterator<Item = ValueId> {
        self.values().filter(|&value| {
            value == NIL || self.record(self.by_value[value as usize].writer).kind == Kind::Write
        })
    }

    /// The values from `head` along the cas. Endless in a ring.
    pub(super) fn chain(&self, head: ValueId) -> impl Iterator<Item = ValueId> {
        std::iter::successors(Some(head), |&value| {
            let leaving = self.by_value[value as usize].leaving;
            (leaving != NONE).then(|| self.record(leaving).value)
        })
    }

    /// The values of a ring, each once.
    pub(super) fn ring(&self, value: ValueId) -> impl Iterator<Item = ValueId> {
        let rest = self.chain(value).skip(1).take_while(move |&other| other != value);
        std::iter::once(value).chain(rest)
    }

    pub(super) fn group(&self, value: ValueId) -> Group {
        self.by_value[value as usize]
    }

    pub(super) fn record(&self, id: u32) -> &Record {
        &self.records[id as usize]
    }

    /// Whether it happened: it completed, or somebody who happened saw its value.
    pub(super) fn counts(&self, record: &Record) -> bool {
        match record.outcome {
            Outcome::Ok => true,
            Outcome::Fail => false,
            Outcome::Info => {
                record.writes() && self.by_value[record.value as usize].because != NONE
            }
        }
    }

    /// When the first operation of the group had ended; 0 for nil.
    pub(super) fn first_end(&self, value: ValueId) -> u64 {
        match self.by_value[value as usize].first_end {
            NONE => 0,
            id => self.record(id).finish(),
        }
    }

    /// When the last operation of the group began; 0 for a nil that nobody read.
    pub(super) fn last_start(&self, value: ValueId) -> u64 {
        match self.by_value[value as usize].last_start {
            NONE => 0,
            id => self.record(id).begin(),
        }
    }
}

fn numbered(records: &[Record]) -> impl Iterator<Item = (u32, &Record)> {
    (0..).zip(records)
}

/// The extent of a group or a block: `e` and `s` of the header.
#[derive(Clone, Copy, Debug)]
struct Zone {
    first_end: u64,
    last_start: u64,
    value: ValueId,
}

/// Rule 5: zones that must precede each other. O(n log n). Empty if and only if there are none; not all pairs otherwise.
fn conflicts(zones: Vec<Zone>) -> Vec<(ValueId, ValueId)> {
    let mut forward: Vec<Zone> =
        zones.iter().copied().filter(|zone| zone.first_end < zone.last_start).collect();
    forward.sort_unstable_by_key(|zone| zone.first_end);
    let mut pairs = Vec::new();
    for neighbours in forward.windows(2) {
        if neighbours[1].first_end < neighbours[0].last_start {
            pairs.push((neighbours[0].value, neighbours[1].value));
        }
    }
    for zone in zones.iter().filter(|zone| zone.first_end >= zone.last_start) {
        let earlier = forward.partition_point(|other| other.first_end < zone.last_start);
        if let Some(other) = earlier.checked_sub(1).map(|last| &forward[last])
            && zone.first_end < other.last_start
        {
            pairs.push((other.value, zone.value));
        }
    }
    pairs
}
