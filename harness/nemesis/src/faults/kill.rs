//! `kill`: processes end by SIGKILL. They start again at the end of the injection, or stay dead: then at most a
//! minority over the whole run, so that the system is still owed an answer.

use super::{Fault, Target};
use tribunal_spec::{Entry, Spec, SpecError};

pub(super) const ENTRY: Entry = Entry {
    name: "kill",
    summary: "Ends processes by SIGKILL and starts them again",
    params: &[
        ("target=any", "one, minority, majority, all or leader; any rotates through them"),
        ("stay-dead=no", "yes: not started again; at most a minority over the whole run"),
    ],
};

pub(super) fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    let stay_dead = params.take_with("stay-dead", false, "yes or no", |text| match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    })?;
    params.finish()?;
    let faults: Vec<Fault> = targets
        .into_iter()
        .filter(|target| !stay_dead || !matches!(target, Target::Majority | Target::All))
        .map(|target| Fault::Kill { target, stay_dead })
        .collect();
    if faults.is_empty() {
        return Err(SpecError::BadValue {
            name: ENTRY.name.to_owned(),
            key: "target".to_owned(),
            value: spec.params["target"].clone(),
            expected: "one, minority or leader where stay-dead=yes: a majority has to live"
                .to_owned(),
        });
    }
    Ok(faults)
}
