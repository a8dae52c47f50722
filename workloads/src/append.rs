//! Lists: unique elements are appended, and read in between and at the end. Judged by whether all reads of a list are
//! prefixes of one order that agrees with real time.

use crate::growing::{Growing, PARAMS};
use crate::{Generator, Needs, Registered, Request, Workload};
use tribunal_checkers::Checker;
use tribunal_checkers::append::AppendChecker;
use tribunal_spec::{Entry, Spec, SpecError};

/// Its line of the registry.
pub const REGISTERED: Registered = Registered {
    entry: Entry {
        name: "append",
        summary: "Appends unique elements to lists and reads them. All reads must agree on one order.",
        params: PARAMS,
    },
    build,
};

fn build(spec: &Spec, threads: u32, offered: &Needs) -> Result<Box<dyn Workload>, SpecError> {
    Ok(Box::new(Append(Growing::build("append", spec, threads, offered)?)))
}

/// The workload.
#[derive(Debug)]
struct Append(Growing);

impl Workload for Append {
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
        vec![Box::new(AppendChecker::new())]
    }

    fn needs(&self) -> Needs {
        Needs { collections: true, ..Needs::default() }
    }
}
