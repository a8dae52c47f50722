//! What `set` and `append` share: unique elements into collections, each of which stays small.
//!
//! A collection is read whole, so its size is what a read costs. Each epoch has new keys, and within an epoch a thread
//! goes on to the next key after `elements` of its own additions. All threads of a group start each epoch at its first
//! key, so that they meet again however far they fell behind.

use crate::draw::Draw;
use crate::keys::group_of;
use crate::params::{MANY, take_between, take_duration};
use crate::values::Unique;
use crate::{Completion, Generator, Key, Needs, PHASE_PROBE, Request};
use std::collections::BTreeSet;
use tribunal_spec::{Spec, SpecError};

/// Their parameters, for the registry.
pub(crate) const PARAMS: &[(&str, &str)] = &[
    ("reads=20", "percent of reads"),
    ("elements=32", "additions of one process to a key before it goes on to the next"),
    ("processes=8", "the most processes that work on one key at a time"),
    ("epoch=1s", "after how long all processes go on to new keys"),
];

/// The workload but for its name and its checkers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growing {
    /// The function that adds an element.
    f: &'static str,
    threads: u32,
    reads_percent: u32,
    elements: u32,
    processes: u32,
    epoch_ns: u64,
}

impl Growing {
    /// Reads the parameters. The system has to offer collections.
    pub(crate) fn build(
        f: &'static str,
        spec: &Spec,
        threads: u32,
        offered: &Needs,
    ) -> Result<Self, SpecError> {
        crate::params::require_collections(spec, offered)?;
        let mut params = spec.params();
        let growing = Self {
            f,
            threads,
            reads_percent: take_between(&mut params, "reads", 20, (0, 99))?,
            elements: take_between(&mut params, "elements", 32, (1, MANY))?,
            processes: take_between(&mut params, "processes", 8, (1, MANY))?,
            epoch_ns: take_duration(&mut params, "epoch", 1_000_000_000)?,
        };
        params.finish()?;
        Ok(growing)
    }

    /// The requests of one thread.
    pub(crate) fn generator(&self, thread: u32, seed: u64) -> Box<dyn Generator> {
        Box::new(Elements {
            growing: *self,
            group: group_of(thread, self.threads, self.processes),
            values: Unique::of_thread(thread, self.threads, 0),
            draw: Draw::new(seed, u64::from(thread)),
            epoch: 0,
            added: 0,
            touched: BTreeSet::new(),
        })
    }

    /// Adds an element of its own.
    pub(crate) fn probe(&self, node: u32, attempt: u64) -> Request {
        let element = Unique::of_probe(node, attempt, self.threads, 0);
        Request::new(self.f, &Key::Probe, element).in_phase(PHASE_PROBE)
    }
}

/// The requests of one thread.
#[derive(Debug)]
struct Elements {
    growing: Growing,
    group: u32,
    values: Unique,
    draw: Draw,
    epoch: u64,
    /// Elements added by this thread in this epoch.
    added: u32,
    touched: BTreeSet<Key>,
}

impl Generator for Elements {
    fn next(&mut self, now: u64) -> Request {
        let epoch = now / self.growing.epoch_ns;
        if epoch != self.epoch {
            self.epoch = epoch;
            self.added = 0;
        }
        let number = self.added / self.growing.elements;
        let key = Key::Passing { group: self.group, epoch, number };
        self.touched.insert(key);
        if self.draw.percent(self.growing.reads_percent) {
            return Request::read(&key);
        }
        self.added += 1;
        Request::new(self.growing.f, &key, self.values.draw())
    }

    fn completed(&mut self, _request: &Request, _completion: &Completion) {}

    fn keys(&self) -> &BTreeSet<Key> {
        &self.touched
    }
}
