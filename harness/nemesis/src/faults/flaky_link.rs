//! `flaky-link`: messages between the targets and all other nodes arrive more than once and in another order, in both
//! directions. Links of clients are left alone. Paxos allows its network both (Lamport, "Paxos Made Simple", 2001,
//! section 2.1); what a variant adds to Paxos often does not.

use super::{Available, Fault, Line, Target, take_duration_ms, take_percent};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "flaky-link",
        summary: "Duplicates and reorders messages between some nodes and the others",
        params: &[
            ("duplicate=20", "how many percent of the messages arrive twice, 0 to 100"),
            ("reorder=20ms", "each message takes longer by a random time up to this"),
            ("target=any", "one, minority, majority, all or leader; any rotates through them"),
        ],
    },
    available: Available::SimulatorOnly,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    let duplicate_percent = take_percent(&mut params, "duplicate", 20, 0)?;
    let reorder_ms = take_duration_ms(&mut params, "reorder", 20)?;
    params.finish()?;
    let fault = |target| Fault::FlakyLink { target, duplicate_percent, reorder_ms };
    Ok(targets.into_iter().map(fault).collect())
}
