//! `contest`: an operator keeps telling the targets to lead, one after the other, as a balancer of leaders or an impatient
//! person does. Promises and acceptances of several ballots are then under way at once, which elections by timeouts
//! hardly bring about.

use super::{Available, Fault, Line, Target, take_duration_ms};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "contest",
        summary: "Tells nodes to try to become the leader, again and again",
        params: &[
            ("every=20ms", "the mean time between two such commands; each is drawn"),
            ("target=any", "one, minority, majority, all or leader; any rotates through them"),
        ],
    },
    available: Available::SimulatorOnly,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    let every_ms = take_duration_ms(&mut params, "every", 20)?;
    params.finish()?;
    Ok(targets.into_iter().map(|target| Fault::Contest { target, every_ms }).collect())
}
