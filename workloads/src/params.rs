//! Reads parameters that several registry entries share.

use crate::Needs;
use crate::keys::{KeySpace, group_of};
use tribunal_spec::{Params, Spec, SpecError, duration_ns};

/// Takes a duration with a default in ns.
pub(crate) fn take_duration(
    params: &mut Params<'_>,
    key: &'static str,
    default_ns: u64,
) -> Result<u64, SpecError> {
    params.take_with(key, default_ns, "a duration such as 500ms or 2s", duration_ns)
}

/// Takes a number between `min` and `max`.
pub(crate) fn take_between(
    params: &mut Params<'_>,
    key: &'static str,
    default: u32,
    (min, max): (u32, u32),
) -> Result<u32, SpecError> {
    params.take_with(key, default, &format!("a number from {min} to {max}"), |text| {
        text.parse().ok().filter(|number| (min..=max).contains(number))
    })
}

/// The largest number of keys, threads a key and the like that a workload takes.
pub(crate) const MANY: u32 = 1_000_000;

/// Refuses a system without lists, counters and sets.
pub(crate) fn require_collections(spec: &Spec, offered: &Needs) -> Result<(), SpecError> {
    if offered.collections {
        return Ok(());
    }
    Err(SpecError::NotOffered {
        name: spec.name.clone(),
        needs: "lists, counters and sets (`collections`)",
    })
}

/// How threads share keys that last and keys that pass, as the user asked for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyParams {
    pub(crate) threads: u32,
    processes: u32,
    lasting: u32,
    passing: u32,
    epoch_ns: u64,
}

impl KeyParams {
    /// Takes `processes`, `keys`, `passing` and `epoch`.
    pub(crate) fn take(params: &mut Params<'_>, threads: u32) -> Result<Self, SpecError> {
        Ok(Self {
            threads,
            processes: take_between(params, "processes", 8, (1, MANY))?,
            lasting: take_between(params, "keys", 2, (1, MANY))?,
            passing: take_between(params, "passing", 2, (0, MANY))?,
            epoch_ns: take_duration(params, "epoch", 2_000_000_000)?,
        })
    }

    /// The keys of a thread's group.
    pub(crate) fn space(&self, thread: u32) -> KeySpace {
        KeySpace {
            group: group_of(thread, self.threads, self.processes),
            lasting: self.lasting,
            passing: self.passing,
            epoch_ns: self.epoch_ns,
        }
    }
}
