//! What was measured, for people and machines.

use super::history::{KeyHistory, Kind, Record};
use super::lag::Lag;
use super::sequential::Contradiction;
use super::sessions::{GUARANTEES, NAMES, Pair, Violations};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use tribunal_history::{Process, Value};

/// How bad a history of registers is, over all keys that could be measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SeverityReport {
    /// Why nothing was measured, if so: the other fields mean nothing then.
    pub not_measured: Option<String>,
    /// Operations that were taken in.
    pub operations: u64,
    /// Keys that were measured.
    pub keys_measured: u64,
    /// Keys that were not, since a value was written to them twice, or nil was.
    pub keys_not_measured: u64,
    /// Completed reads of the measured keys.
    pub reads: u64,
    /// Reads and cas that saw what nobody wrote, or what was written only later. Only `sequential` counts the former, and
    /// nothing the latter.
    pub unexplained: u64,
    /// Keys that are not sequentially consistent.
    pub keys_not_sequential: u64,
    /// Why the first of them is not.
    pub not_sequential: Option<Witness>,
    /// The session guarantees by name: `read-your-writes`, `monotonic-reads`, `monotonic-writes`, `writes-follow-reads`.
    pub guarantees: BTreeMap<&'static str, Guarantee>,
    /// The smallest delta in nanoseconds such that the history is delta-atomic.
    pub delta_ns: u64,
    /// Whether that is exact; a lower bound otherwise, since there are cas.
    pub delta_exact: bool,
    /// Reads of versions that had surely been replaced.
    pub reads_stale: u64,
    /// The most versions that a read lagged, at least.
    pub versions_lagged_at_least_max: u64,
    /// The mean over the stale reads.
    pub versions_lagged_at_least_mean: f64,
}

/// A session guarantee in a history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Guarantee {
    /// Operations that surely violate it.
    pub violations: u64,
    /// The first of them on the first key that has one.
    pub first: Option<Witness>,
}

/// Operations that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// In a sentence.
    pub message: String,
    /// The indices of the invocations that the message names.
    pub calls: Vec<u64>,
}

/// What was measured of one key.
#[derive(Debug, Default)]
pub(super) struct KeyReport {
    pub(super) measured: bool,
    pub(super) reads: u64,
    pub(super) unexplained: u64,
    pub(super) cas: bool,
    /// Why it is not sequentially consistent, if so.
    pub(super) sequential: Option<Witness>,
    pub(super) guarantees: [Guarantee; GUARANTEES],
    pub(super) delta_ns: u64,
    pub(super) lag: Lag,
}

impl SeverityReport {
    pub(super) fn not_measured(why: String) -> Self {
        Self { not_measured: Some(why), ..Self::default() }
    }

    pub(super) fn of(operations: u64, keys: Vec<KeyReport>) -> Self {
        let mut report = Self { operations, delta_exact: true, ..Self::default() };
        report.guarantees = NAMES.into_iter().map(|name| (name, Guarantee::default())).collect();
        let mut lagged = 0;
        for key in keys {
            if !key.measured {
                report.keys_not_measured += 1;
                continue;
            }
            lagged += key.lag.sum;
            report.add(key);
        }
        if report.reads_stale > 0 {
            report.versions_lagged_at_least_mean = lagged as f64 / report.reads_stale as f64;
        }
        if report.keys_measured == 0 {
            report.not_measured = Some("no key has only unique written values".to_owned());
        }
        report
    }

    fn add(&mut self, key: KeyReport) {
        self.keys_measured += 1;
        self.reads += key.reads;
        self.unexplained += key.unexplained;
        self.keys_not_sequential += u64::from(key.sequential.is_some());
        self.not_sequential = self.not_sequential.take().or(key.sequential);
        for (name, guarantee) in NAMES.into_iter().zip(key.guarantees) {
            let all = self.guarantees.entry(name).or_default();
            all.violations += guarantee.violations;
            all.first = all.first.take().or(guarantee.first);
        }
        self.delta_ns = self.delta_ns.max(key.delta_ns);
        self.delta_exact &= !key.cas;
        self.reads_stale += key.lag.stale;
        self.versions_lagged_at_least_max = self.versions_lagged_at_least_max.max(key.lag.max);
    }
}

impl fmt::Display for SeverityReport {
    /// A line a measure, each with what it means.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.not_measured {
            return write!(f, "not measured: {why}");
        }
        match &self.not_sequential {
            None if self.keys_measured == 1 => write!(f, "sequentially consistent: yes, proven")?,
            None => write!(
                f,
                "sequentially consistent: each key is, proven; not decided over all keys"
            )?,
            Some(witness) => {
                let (violated, all) = (self.keys_not_sequential, self.keys_measured);
                write!(
                    f,
                    "sequentially consistent: no, {violated} of {all} keys; {}",
                    witness.message
                )?;
            }
        }
        for name in NAMES {
            let words = name.replace('-', " ");
            let guarantee = self.guarantees.get(name).cloned().unwrap_or_default();
            match guarantee.first {
                None => write!(f, "\n{words}: no violation seen")?,
                Some(first) => {
                    let count = guarantee.violations;
                    write!(f, "\n{words}: violated {count} times; {}", first.message)?;
                }
            }
        }
        let ms = self.delta_ns as f64 / 1e6;
        let least = if self.delta_exact { "" } else { "at least " };
        write!(f, "\nstaleness in time: {least}{ms:.3} ms (delta-atomicity)")?;
        let (stale, reads) = (self.reads_stale, self.reads);
        write!(f, "\nstale reads: at least {stale} of {reads}")?;
        if stale > 0 {
            let (max, mean) =
                (self.versions_lagged_at_least_max, self.versions_lagged_at_least_mean);
            write!(f, ", lagging at least {mean:.1} versions on average and {max} at most")?;
        }
        if self.unexplained > 0 {
            let count = self.unexplained;
            write!(
                f,
                "\nnot measured: {count} operations that saw what nobody had written by then"
            )?;
        }
        if self.keys_not_measured > 0 {
            let count = self.keys_not_measured;
            write!(f, "\nnot measured: {count} keys to which a value was written twice, or nil")?;
        }
        Ok(())
    }
}

/// Words for what was found on one key.
pub(super) struct Narrator<'a> {
    pub(super) key: &'a Value,
    pub(super) history: &'a KeyHistory,
    pub(super) processes: &'a [Process],
}

impl Narrator<'_> {
    pub(super) fn guarantee(&self, violations: Violations) -> Guarantee {
        let first = violations.first.map(|pair| self.pair(pair));
        Guarantee { violations: violations.count, first }
    }

    fn pair(&self, pair: Pair) -> Witness {
        let [earlier, later] = [pair.earlier, pair.later].map(|id| self.record(id));
        let verb = |record: &Record, version: u32| match record.sees() == Some(version) {
            true => "saw",
            false => "wrote",
        };
        let message = format!(
            "process {} {} {} at {}, then {} {} at {}, which is older (key {})",
            self.processes[earlier.process as usize],
            verb(earlier, pair.newer),
            self.history.name(pair.newer),
            seconds(earlier.call_ns),
            verb(later, pair.older),
            self.history.name(pair.older),
            seconds(later.call_ns),
            self.key(),
        );
        Witness { message, calls: vec![earlier.index(), later.index()] }
    }

    pub(super) fn contradiction(&self, found: &Contradiction) -> Witness {
        match found {
            Contradiction::Unwritten(id) => {
                let message = format!("{}, which nobody wrote", self.noun(*id));
                Witness { message, calls: vec![self.record(*id).index()] }
            }
            Contradiction::Chain(id) => {
                let message = format!("{}, which cannot have been there then", self.noun(*id));
                Witness { message, calls: vec![self.record(*id).index()] }
            }
            Contradiction::Back(first, second) => {
                let message = format!("{}, then {}", self.noun(*first), self.noun(*second));
                let calls = [first, second].map(|id| self.record(*id).index());
                Witness { message, calls: calls.to_vec() }
            }
            Contradiction::Circle(steps) => self.circle(steps),
        }
    }

    fn circle(&self, steps: &[(u32, u32)]) -> Witness {
        const TOLD: usize = 3;
        let told = steps.iter().take(TOLD);
        let mut told: Vec<String> = told
            .map(|&(first, second)| format!("{} before {}", self.noun(first), self.noun(second)))
            .collect();
        if steps.len() > TOLD {
            told.push(format!("and {} more steps back to the first", steps.len() - TOLD));
        }
        // A circle may lead through the whole history; those that are told say where to look.
        let calls = steps.iter().take(TOLD).flat_map(|&(first, second)| [first, second]);
        Witness {
            message: told.join("; "),
            calls: calls.map(|id| self.record(id).index()).collect(),
        }
    }

    fn noun(&self, id: u32) -> String {
        let record = self.record(id);
        let did = match record.kind {
            Kind::Read => "read",
            Kind::Write => "wrote",
            Kind::Cas => "put by cas",
        };
        let found = match (record.kind, record.sees()) {
            (Kind::Cas, Some(from)) => format!(" upon finding {}", self.history.name(from)),
            _ => String::new(),
        };
        format!(
            "process {} {did} {}{found} at {} (key {})",
            self.processes[record.process as usize],
            self.history.name(record.value),
            seconds(record.call_ns),
            self.key(),
        )
    }

    fn key(&self) -> String {
        self.key.as_text().map_or_else(|| self.key.to_string(), str::to_owned)
    }

    fn record(&self, id: u32) -> &Record {
        &self.history.records[id as usize]
    }
}

fn seconds(ns: u64) -> String {
    format!("{:.6} s", ns as f64 / 1e9)
}
