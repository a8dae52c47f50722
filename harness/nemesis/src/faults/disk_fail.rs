//! `disk-fail`: the next sync of each target fails, and what it was to make durable may be lost. The node has to end: a
//! second sync that succeeds proves nothing about what the first one covered (Rebello et al., "Can Applications Recover
//! from fsync Failures?", ATC 2020). It is started again at the end of the injection.

use super::{Available, Fault, Line, Target};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "disk-fail",
        summary: "Makes the next sync of the log fail; the node ends and is started again",
        params: &[(
            "target=any",
            "one, minority, majority, all or leader; any rotates through them",
        )],
    },
    available: Available::SimulatorOnly,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    params.finish()?;
    Ok(targets.into_iter().map(|target| Fault::DiskFail { target }).collect())
}
