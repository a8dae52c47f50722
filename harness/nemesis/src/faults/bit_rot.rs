//! `bit-rot`: one bit flips in what each target has synced to its log. The target is restarted at the start of the
//! injection, so that it reads the damage.
//!
//! A node may refuse to start from a damaged log, and has to: to cut the log off would be to forget a promise
//! (Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018). It therefore
//! counts as lost for the rest of the run, as after `kill:stay-dead=yes`, and at most a minority may be hit over the
//! whole run. A node that starts nevertheless must not serve what is damaged.

use super::{Available, Fault, Line, Target, expendable};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "bit-rot",
        summary: "Flips one bit in the synced log of nodes and restarts them",
        params: &[(
            "target=any",
            "one, minority or leader; any rotates through them; at most a minority over the whole run",
        )],
    },
    available: Available::SimulatorOnly,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    params.finish()?;
    let targets = expendable(spec, targets)?;
    Ok(targets.into_iter().map(|target| Fault::BitRot { target }).collect())
}
