//! `membership`: an operator takes the targets out of the membership, and makes them members again at the end. Both go by
//! the system's own operation, and each request is repeated until it is carried out: with other faults, changes of
//! membership meet elections, restarts and partitions. Never more than a minority is out at one time.

use super::{Available, Fault, Line, Target, expendable};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "membership",
        summary: "Takes nodes out of the membership and makes them members again; for systems that can change it",
        params: &[("target=any", "one, minority or leader; any rotates through them")],
    },
    available: Available::Everywhere,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = expendable(spec, Target::take(&mut params)?)?;
    params.finish()?;
    Ok(targets.into_iter().map(|target| Fault::Membership { target }).collect())
}
