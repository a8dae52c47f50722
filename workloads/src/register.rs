//! The default workload: registers under read, write and cas, every written value unique in the run.
//!
//! A cas expects what its thread saw last, on the key where it saw it, so that a good share of them succeeds in spite
//! of contention; one in sixteen expects a value that nobody ever wrote and must fail. Where nothing was seen yet,
//! the thread reads instead. Judged as linearizable registers.

use crate::draw::Draw;
use crate::keys::KeySpace;
use crate::params::KeyParams;
use crate::values::{TEXT_BYTES_MIN, Unique};
use crate::{Completion, Generator, Key, Needs, PHASE_PROBE, Registered, Request, Workload};
use std::collections::BTreeSet;
use tribunal_checkers::Checker;
use tribunal_checkers::linearizability::Linearizable;
use tribunal_history::Value;
use tribunal_spec::{Entry, Spec, SpecError};

/// Its line of the registry.
pub const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "register",
        summary: "Registers under read, write and cas; every written value is unique. Must be linearizable.",
        params: &[
            (
                "mix=40/40/20",
                "percent of reads, writes and cas; without cas its share goes to writes",
            ),
            ("value-bytes=0", "size of a written value in bytes, 16 or more; 0 writes integers"),
            ("processes=8", "the most processes that work on one key at a time"),
            ("keys=2", "keys of each group of processes that last through the run"),
            ("passing=2", "keys of each group that are replaced in each epoch"),
            ("epoch=2s", "how long an epoch is"),
        ],
    },
    build,
};

/// One cas in this many expects a value that nobody wrote.
const WRONG_CAS_ONE_IN: u64 = 16;

fn build(spec: &Spec, threads: u32, offered: &Needs) -> Result<Box<dyn Workload>, SpecError> {
    let mut params = spec.params();
    let mix = params.take_with("mix", Mix::default(), "three percentages of sum 100", Mix::read)?;
    let value_bytes = params.take_with("value-bytes", 0, "0, or 16 to 1048576 bytes", |text| {
        let fits = |bytes: &usize| *bytes == 0 || (TEXT_BYTES_MIN..=1 << 20).contains(bytes);
        text.parse().ok().filter(fits)
    })?;
    let keys = KeyParams::take(&mut params, threads)?;
    params.finish()?;
    let mix = if offered.cas { mix } else { mix.without_cas() };
    Ok(Box::new(Register { mix, value_bytes, keys }))
}

/// Percentages of the three functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mix {
    read: u32,
    write: u32,
    cas: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { read: 40, write: 40, cas: 20 }
    }
}

impl Mix {
    fn read(text: &str) -> Option<Self> {
        let parts: Vec<u32> =
            text.split('/').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let [read, write, cas] = parts[..] else { return None };
        let sum = read.checked_add(write)?.checked_add(cas)?;
        (sum == 100).then_some(Self { read, write, cas })
    }

    fn without_cas(self) -> Self {
        Self { write: self.write + self.cas, cas: 0, ..self }
    }
}

/// The workload.
#[derive(Debug)]
struct Register {
    mix: Mix,
    value_bytes: usize,
    keys: KeyParams,
}

impl Workload for Register {
    fn generator(&self, thread: u32, seed: u64) -> Box<dyn Generator> {
        Box::new(Registers {
            mix: self.mix,
            space: self.keys.space(thread),
            values: Unique::of_thread(thread, self.keys.threads, self.value_bytes),
            draw: Draw::new(seed, u64::from(thread)),
            asked: None,
            seen: None,
            touched: BTreeSet::new(),
        })
    }

    fn closing(&self, generators: &[Box<dyn Generator>]) -> Vec<Request> {
        crate::final_reads(generators)
    }

    fn probe(&self, node: u32, attempt: u64) -> Request {
        let value = Unique::of_probe(node, attempt, self.keys.threads, self.value_bytes);
        Request::new("write", &Key::Probe, value).in_phase(PHASE_PROBE)
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        vec![Box::new(Linearizable::default())]
    }

    fn needs(&self) -> Needs {
        Needs { cas: self.mix.cas > 0, ..Needs::default() }
    }
}

/// The requests of one thread.
#[derive(Debug)]
struct Registers {
    mix: Mix,
    space: KeySpace,
    values: Unique,
    draw: Draw,
    /// The key of the last request.
    asked: Option<Key>,
    /// The last value that this thread surely saw, and where: nil if a read found nothing.
    seen: Option<(Key, Value)>,
    touched: BTreeSet<Key>,
}

impl Registers {
    /// Expects what was seen last, if its key still lives.
    fn cas(&mut self, now: u64) -> Option<(Key, Value)> {
        let (key, from) = self.seen.clone().filter(|(key, _)| self.space.lives(key, now))?;
        let wrong = self.draw.below(WRONG_CAS_ONE_IN) == 0;
        let from = if wrong { self.values.draw() } else { from };
        Some((key, Value::keyed(from, self.values.draw())))
    }
}

impl Generator for Registers {
    fn next(&mut self, now: u64) -> Request {
        let kind = self.draw.below_u32(100);
        let key = self.space.pick(now, &mut self.draw);
        let (f, key, argument) = if kind < self.mix.cas {
            match self.cas(now) {
                Some((key, change)) => ("cas", key, change),
                None => ("read", key, Value::Nil),
            }
        } else if kind < self.mix.cas + self.mix.write {
            ("write", key, self.values.draw())
        } else {
            ("read", key, Value::Nil)
        };
        self.asked = Some(key);
        self.touched.insert(key);
        Request::new(f, &key, argument)
    }

    fn completed(&mut self, request: &Request, completion: &Completion) {
        let (Some(key), Completion::Ok(result)) = (self.asked, completion) else { return };
        let Some((_, value)) = result.as_pair() else { return };
        let value = match (&*request.f, value.as_pair()) {
            ("cas", Some((_, to))) => to,
            _ => value,
        };
        self.seen = Some((key, value.clone()));
    }

    fn keys(&self) -> &BTreeSet<Key> {
        &self.touched
    }
}
