//! What a history looks like over time, in one pass: outcomes and latencies by second, and a sample of single operations.
//!
//! Memory is bounded by the seconds in which something happened and by [`POINTS_MAX`], not by the operations. The sample is
//! Algorithm R (Vitter, "Random Sampling with a Reservoir", 1985) with a fixed seed: the same history, the same points.

use crate::exit::Failure;
use crate::folder::Folder;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use tribunal_checkers::Checker;
use tribunal_checkers::latency::{Latency, LatencyLog};
use tribunal_history::{Operation, Outcome, Pairing, jsonl};

/// How many operations are drawn one by one.
pub(super) const POINTS_MAX: usize = 4_000;
const SECOND_NS: u64 = 1_000_000_000;

/// A history over time.
pub(super) struct Timeline {
    /// The time of the last event.
    pub(super) end_ns: u64,
    /// Operations by the second of their completion; those that were left open by that of their call.
    pub(super) outcomes: BTreeMap<u64, Outcomes>,
    /// Successful operations, all or a sample of [`POINTS_MAX`], by their completion.
    pub(super) points: Vec<Point>,
    /// How many operations succeeded.
    pub(super) ok_count: u64,
    /// Quantiles by second, of those seconds in which an operation succeeded.
    pub(super) latency: Vec<Quantiles>,
    /// The interval log.
    pub(super) log: LatencyLog,
}

/// Operations by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    pub(super) ok: u64,
    pub(super) fail: u64,
    pub(super) info: u64,
}

impl Outcomes {
    /// Counts those of another time too.
    pub(super) fn add(&mut self, other: Self) {
        self.ok += other.ok;
        self.fail += other.fail;
        self.info += other.info;
    }

    /// All of them.
    pub(super) fn total(self) -> u64 {
        self.ok + self.fail + self.info
    }
}

/// One operation that succeeded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// When it completed.
    pub(super) end_ns: u64,
    /// How long it took from the first byte.
    pub(super) latency_ns: u64,
}

/// The latencies of one second, from the first byte, in us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantiles {
    pub(super) second: u64,
    pub(super) count: u64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) max_us: f64,
}

impl Timeline {
    /// Reads the history of a run.
    ///
    /// # Errors
    /// If it cannot be read, or its events form no operations.
    pub(super) fn read(folder: &Folder) -> Result<Self, Failure> {
        let path = folder.history();
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("reading {}: {error}", path.display()))
        };
        let file = File::open(&path).map_err(|error| unreadable(&error))?;
        let events = jsonl::Reader::new(BufReader::with_capacity(1 << 20, file))
            .map_err(|error| unreadable(&error))?;
        let mut pass = Pass::new();
        let mut pairing = Pairing::new();
        for event in events {
            let event = event.map_err(|error| unreadable(&error))?;
            pass.end_ns = event.time;
            if let Some(operation) = pairing.push(event).map_err(|error| unreadable(&error))? {
                pass.operation(&operation);
            }
        }
        pairing.finish().iter().for_each(|operation| pass.operation(operation));
        Ok(pass.finish())
    }
}

/// The pass that makes a timeline.
struct Pass {
    end_ns: u64,
    outcomes: BTreeMap<u64, Outcomes>,
    sample: Vec<Point>,
    ok_count: u64,
    random: ChaCha8Rng,
    latency: Box<Latency>,
    log: LatencyLog,
}

impl Pass {
    fn new() -> Self {
        let (latency, log) = Latency::new();
        Self {
            end_ns: 0,
            outcomes: BTreeMap::new(),
            sample: Vec::new(),
            ok_count: 0,
            random: ChaCha8Rng::seed_from_u64(0),
            latency: Box::new(latency),
            log,
        }
    }

    fn operation(&mut self, operation: &Operation) {
        self.latency.operation(operation);
        let end_ns = operation.end.unwrap_or(operation.call).time;
        let outcomes = self.outcomes.entry(end_ns / SECOND_NS).or_default();
        match operation.outcome {
            Outcome::Ok => outcomes.ok += 1,
            Outcome::Fail => outcomes.fail += 1,
            Outcome::Info => outcomes.info += 1,
        }
        if operation.outcome == Outcome::Ok {
            let latency_ns = end_ns.saturating_sub(operation.call.time);
            self.point(Point { end_ns, latency_ns });
        }
    }

    fn point(&mut self, point: Point) {
        self.ok_count += 1;
        if self.sample.len() < POINTS_MAX {
            self.sample.push(point);
            return;
        }
        let place = self.random.random_range(0..self.ok_count);
        let kept = usize::try_from(place).ok().and_then(|place| self.sample.get_mut(place));
        if let Some(kept) = kept {
            *kept = point;
        }
    }

    fn finish(mut self) -> Timeline {
        self.sample.sort_unstable_by_key(|point| (point.end_ns, point.latency_ns));
        let verdict = self.latency.finish();
        let seconds = verdict.figures.get("seconds").and_then(serde_json::Value::as_array);
        Timeline {
            end_ns: self.end_ns,
            outcomes: self.outcomes,
            points: self.sample,
            ok_count: self.ok_count,
            latency: seconds.into_iter().flatten().filter_map(quantiles).collect(),
            log: self.log,
        }
    }
}

fn quantiles(second: &serde_json::Value) -> Option<Quantiles> {
    let number = |name: &str| second.get(name)?.as_f64();
    Some(Quantiles {
        second: second.get("second")?.as_u64()?,
        count: second.get("count")?.as_u64()?,
        p50_us: number("p50_us")?,
        p99_us: number("p99_us")?,
        max_us: number("max_us")?,
    })
}
