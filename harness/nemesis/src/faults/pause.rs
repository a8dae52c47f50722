//! `pause`: processes are stopped by SIGSTOP, as a long garbage collection or a frozen machine would, and go on where
//! they were, with clocks that have moved.

use super::{Available, Fault, Line, Target};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "pause",
        summary: "Stops processes by SIGSTOP and lets them go on",
        params: &[(
            "target=any",
            "one, minority, majority, all or leader; any rotates through them",
        )],
    },
    available: Available::Everywhere,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    params.finish()?;
    Ok(targets.into_iter().map(|target| Fault::Pause { target }).collect())
}
