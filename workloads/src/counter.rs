//! Counters: small positive amounts are added, and sums read. Judged by the bounds that the additions before and during
//! a read put on it.

use crate::draw::Draw;
use crate::keys::KeySpace;
use crate::params::{KeyParams, require_collections, take_between};
use crate::{Completion, Generator, Key, Needs, PHASE_PROBE, Registered, Request, Workload};
use std::collections::BTreeSet;
use tribunal_checkers::Checker;
use tribunal_checkers::counter::CounterChecker;
use tribunal_history::Value;
use tribunal_spec::{Entry, Spec, SpecError};

/// Its line of the registry.
pub const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "counter",
        summary: "Adds to counters and reads them. Each sum must lie within what the additions allow.",
        params: &[
            ("reads=50", "percent of reads"),
            ("processes=8", "the most processes that work on one key at a time"),
            ("keys=2", "keys of each group of processes that last through the run"),
            ("passing=2", "keys of each group that are replaced in each epoch"),
            ("epoch=2s", "how long an epoch is"),
        ],
    },
    build,
};

/// Amounts run from 1 to this.
const AMOUNT_MAX: u32 = 5;

fn build(spec: &Spec, threads: u32, offered: &Needs) -> Result<Box<dyn Workload>, SpecError> {
    require_collections(spec, offered)?;
    let mut params = spec.params();
    let reads_percent = take_between(&mut params, "reads", 50, (0, 99))?;
    let keys = KeyParams::take(&mut params, threads)?;
    params.finish()?;
    Ok(Box::new(Counter { reads_percent, keys }))
}

/// The workload.
#[derive(Debug)]
struct Counter {
    reads_percent: u32,
    keys: KeyParams,
}

impl Workload for Counter {
    fn generator(&self, thread: u32, seed: u64) -> Box<dyn Generator> {
        Box::new(Amounts {
            reads_percent: self.reads_percent,
            space: self.keys.space(thread),
            draw: Draw::new(seed, u64::from(thread)),
            touched: BTreeSet::new(),
        })
    }

    fn closing(&self, generators: &[Box<dyn Generator>]) -> Vec<Request> {
        crate::final_reads(generators)
    }

    fn probe(&self, _node: u32, _attempt: u64) -> Request {
        Request::new("add", &Key::Probe, Value::Int(1)).in_phase(PHASE_PROBE)
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        vec![Box::new(CounterChecker::new())]
    }

    fn needs(&self) -> Needs {
        Needs { collections: true, ..Needs::default() }
    }
}

/// The requests of one thread.
#[derive(Debug)]
struct Amounts {
    reads_percent: u32,
    space: KeySpace,
    draw: Draw,
    touched: BTreeSet<Key>,
}

impl Generator for Amounts {
    fn next(&mut self, now: u64) -> Request {
        let key = self.space.pick(now, &mut self.draw);
        self.touched.insert(key);
        if self.draw.percent(self.reads_percent) {
            return Request::read(&key);
        }
        let amount = 1 + self.draw.below_u32(AMOUNT_MAX);
        Request::new("add", &key, Value::Int(i64::from(amount)))
    }

    fn completed(&mut self, _request: &Request, _completion: &Completion) {}

    fn keys(&self) -> &BTreeSet<Key> {
        &self.touched
    }
}
