//! Sets: unique elements are added, and read in between and at the end. Judged by what became of each element.

use crate::growing::{Growing, PARAMS};
use crate::{Generator, Needs, Registered, Request, Workload};
use tribunal_checkers::Checker;
use tribunal_checkers::set::SetChecker;
use tribunal_spec::{Entry, Spec, SpecError};

/// Its line of the registry.
pub const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "set",
        summary: "Adds unique elements to sets and reads them. None may be lost, or appear from nowhere.",
        params: PARAMS,
    },
    build,
};

fn build(spec: &Spec, threads: u32, offered: &Needs) -> Result<Box<dyn Workload>, SpecError> {
    Ok(Box::new(Set(Growing::build("insert", spec, threads, offered)?)))
}

/// The workload.
#[derive(Debug)]
struct Set(Growing);

impl Workload for Set {
    fn generator(&self, thread: u32, seed: u64) -> Box<dyn Generator> {
        self.0.generator(thread, seed)
    }

    fn closing(&self, generators: &[Box<dyn Generator>]) -> Vec<Request> {
        crate::final_reads(generators)
    }

    fn probe(&self, node: u32, attempt: u64) -> Request {
        self.0.probe(node, attempt)
    }

    fn checkers(&self) -> Vec<Box<dyn Checker>> {
        vec![Box::new(SetChecker::new())]
    }

    fn needs(&self) -> Needs {
        Needs { collections: true, ..Needs::default() }
    }
}
