//! `clock`: the monotonic clock of the targets departs from true time, as `jepsen.nemesis.time` does it to wall clocks.
//! It exposes leases and timeouts that trust two clocks to agree.
//!
//! A monotonic clock never falls. So at the end of an offset, and whenever a clock that is to run true again is ahead
//! of where it would have been, it stands or goes on from where it is; see [`Clock`] for which.

use super::{Available, Fault, Line, Target, take_duration_ms};
use tribunal_spec::{Entry, Params, Spec, SpecError};

pub(super) const LINE: Line = Line {
    entry: Entry {
        name: "clock",
        summary: "Makes the monotonic clocks of nodes run wrong; they never fall",
        params: &[
            ("by=2s", "how far a clock jumps or is ahead"),
            ("kind=any", "offset, rate or jump; any rotates through them"),
            (
                "rate=any",
                "how fast a clock runs in percent, 50 to 200 but not 100; any: 50 and 200 in turn",
            ),
            ("target=any", "one, minority, majority, all or leader; any rotates through them"),
        ],
    },
    available: Available::SimulatorOnly,
    read,
};

/// How a clock departs from true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// It is ahead by so much during the injection: it jumps forward at the start, and stands still at the end until
    /// true time has caught up.
    Offset {
        /// How far ahead, in ms.
        by_ms: u64,
    },
    /// It runs at another rate during the injection, and then goes on at the true rate from where it is.
    Rate {
        /// Percent of the true rate, of [`Clock::RATES`].
        percent: u32,
    },
    /// It jumps forward once, at the start, and goes on from there for good.
    Jump {
        /// How far, in ms.
        by_ms: u64,
    },
}

impl Clock {
    /// The lowest and the highest rate, in percent. 100 is no fault, and refused.
    pub const RATES: (u32, u32) = (50, 200);

    /// Its name in the grammar.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Offset { .. } => "offset",
            Self::Rate { .. } => "rate",
            Self::Jump { .. } => "jump",
        }
    }
}

fn read(spec: &Spec) -> Result<Vec<Fault>, SpecError> {
    let mut params = spec.params();
    let targets = Target::take(&mut params)?;
    let kind = params.take_with("kind", "any", "one of offset, rate, jump, any", |kind| {
        ["offset", "rate", "jump", "any"].contains(&kind).then_some(kind)
    })?;
    let by_ms = take_duration_ms(&mut params, "by", 2_000)?;
    let rates = take_rates(&mut params)?;
    params.finish()?;
    let idle = if kind == "rate" { "by" } else { "rate" };
    if kind != "any" {
        super::refuse(spec, idle, &format!("no `{idle}` beside kind={kind}"))?;
    }
    let offset = Clock::Offset { by_ms };
    let jump = Clock::Jump { by_ms };
    let rates = rates.into_iter().map(|percent| Clock::Rate { percent });
    let mut clocks: Vec<Clock> = [offset, jump].into_iter().chain(rates).collect();
    clocks.retain(|clock| kind == "any" || clock.name() == kind);
    let of_target = |target| clocks.iter().map(move |&clock| Fault::Clock { target, clock });
    Ok(targets.into_iter().flat_map(of_target).collect())
}

fn take_rates(params: &mut Params<'_>) -> Result<Vec<u32>, SpecError> {
    let (min, max) = Clock::RATES;
    let expected = format!("a number from {min} to {max} but not 100, or any");
    params.take_with("rate", vec![min, max], &expected, |text| match text {
        "any" => Some(vec![min, max]),
        text => {
            let percent = text.parse().ok()?;
            (percent != 100 && (min..=max).contains(&percent)).then(|| vec![percent])
        }
    })
}
