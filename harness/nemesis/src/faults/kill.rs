//! `kill`: processes end by SIGKILL. They start again at the end of the injection, or stay dead: then at most a
//! minority over the whole run, so that the system is still owed an answer.

use super::{Available, Fault, Line, Target, expendable, yes_or_no};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "kill",
        summary: "Ends processes by SIGKILL and starts them again",
        params: &[
            ("target=any", "one, minority, majority, all or leader; any rotates through them"),
            ("stay-dead=no", "yes: not started again; at most a minority over the whole run"),
        ],
    },
    available: Available::Everywhere,
    read,
};

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    let stay_dead = params.take_with("stay-dead", false, "yes or no", yes_or_no)?;
    params.finish()?;
    let targets = if stay_dead { expendable(spec, targets)? } else { targets };
    Ok(targets.into_iter().map(|target| Fault::Kill { target, stay_dead }).collect())
}
