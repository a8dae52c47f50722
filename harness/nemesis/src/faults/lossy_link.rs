//! `lossy-link`: some of the messages between the targets and all other nodes are lost, in both directions, each by a
//! draw of its own. Links of clients are left alone. What is lost is lost in silence: the fair-loss link of Cachin,
//! Guerraoui, Rodrigues, "Introduction to Reliable and Secure Distributed Programming" (2011), section 2.4.

use super::{Available, Fault, Line, Target, take_percent};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "lossy-link",
        summary: "Loses some of the messages between some nodes and the others",
        params: &[
            ("percent=20", "how many of the messages are lost, 1 to 100"),
            ("target=any", "one, minority, majority, all or leader; any rotates through them"),
        ],
    },
    available: Available::SimulatorOnly,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    let percent = take_percent(&mut params, "percent", 20, 1)?;
    params.finish()?;
    Ok(targets.into_iter().map(|target| Fault::LossyLink { target, percent }).collect())
}
