//! `slow-link`: messages between the targets and all other nodes arrive late, in both directions. Links of clients are
//! left alone. A late message is the ground of every false suspicion: Gunawi et al., "Fail-Slow at Scale" (FAST 2018),
//! tell of networks that did this.

use super::{Available, Fault, Line, Target, take_duration_ms};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "slow-link",
        summary: "Delays all messages between some nodes and the others",
        params: &[
            ("delay=50ms", "how much longer each message takes, in each direction"),
            ("target=any", "one, minority, majority, all or leader; any rotates through them"),
        ],
    },
    available: Available::SimulatorOnly,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    let delay_ms = take_duration_ms(&mut params, "delay", 50)?;
    params.finish()?;
    Ok(targets.into_iter().map(|target| Fault::SlowLink { target, delay_ms }).collect())
}
