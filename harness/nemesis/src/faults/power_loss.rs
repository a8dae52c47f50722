//! `power-loss`: the targets crash in one moment and lose what they had not synced. They start again at the end of the
//! injection. SIGKILL loses nothing that was written, so a real process cannot suffer this.
//!
//! With `torn=yes` the disk also keeps any part of what was not synced: a sector may have been written while an
//! earlier one was not, and a record may be cut in its middle. Pillai et al., "All File Systems Are Not Created
//! Equal" (OSDI 2014), shows that file systems allow both. With `torn=no` exactly what was synced is left.

use super::{Available, Fault, Line, Target, yes_or_no};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "power-loss",
        summary: "Crashes nodes together, with the loss of what they had not synced",
        params: &[
            ("target=any", "one, minority, majority, all or leader; any rotates through them"),
            (
                "torn=any",
                "yes: some sectors of what was not synced stay, in any order; no: none; any: both in turn",
            ),
        ],
    },
    available: Available::SimulatorOnly,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    let torn =
        params.take_with("torn", vec![false, true], "yes, no or any", |text| match text {
            "any" => Some(vec![false, true]),
            text => yes_or_no(text).map(|torn| vec![torn]),
        })?;
    params.finish()?;
    let of_target = |target| torn.iter().map(move |&torn| Fault::PowerLoss { target, torn });
    Ok(targets.into_iter().flat_map(of_target).collect())
}
