//! `disk-stall`: every sync of the targets takes longer. Gunawi et al., "Fail-Slow at Scale" (FAST 2018),
//! tell of disks that did so. It loses nothing: it is dangerous to a node that acknowledges before its sync has ended.

use super::{Available, Fault, Line, Target, take_duration_ms};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "disk-stall",
        summary: "Makes every sync of the log take longer",
        params: &[
            ("delay=500ms", "how much longer"),
            ("target=any", "one, minority, majority, all or leader; any rotates through them"),
        ],
    },
    available: Available::SimulatorOnly,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    let delay_ms = take_duration_ms(&mut params, "delay", 500)?;
    params.finish()?;
    Ok(targets.into_iter().map(|target| Fault::DiskStall { target, delay_ms }).collect())
}
