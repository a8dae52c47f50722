//! The parameters of a node, as the registry documents them.

use super::lease::Terms;
use crate::core::{Config, Damaged, VOTERS};
use std::str::FromStr;

/// What the options say.
#[derive(Debug)]
pub(super) struct Options {
    /// Slots that may be under way before requests wait for a full batch.
    pub(super) eager: usize,
    /// How long leases last, if reads rest on them.
    pub(super) leases: Option<Terms>,
}

impl Options {
    /// # Errors
    /// [`Damaged`] if there is an option that is none of these, or has no such value.
    pub(super) fn read(config: &Config) -> Result<Self, Damaged> {
        const KNOWN: [&str; 4] = ["eager", "reads", "drift", VOTERS];
        if let Some(unknown) = config.options.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(refuse(&format!("`{unknown}` is not one of multi-paxos")));
        }
        let option = |key: &str| config.options.get(key).map(String::as_str);
        let leases = match option("reads") {
            None | Some("index") => false,
            Some("lease") => true,
            Some(_) => return Err(refuse("`reads` must be index or lease")),
        };
        if !leases && option("drift").is_some() {
            return Err(refuse("`drift` means something with reads=lease only"));
        }
        let eager =
            number(option("eager"), 4, "`eager` must be a number above 0", |eager| eager > 0)?;
        let drift = "`drift` must be a number of percent from 0 to 49";
        let drift = number(option("drift"), 10, drift, |percent| percent < 50)?;
        let leases = leases.then(|| Terms::new(config.timing.election_min, drift));
        Ok(Self { eager, leases })
    }
}

fn number<T: FromStr + Copy>(
    text: Option<&str>,
    default: T,
    expected: &str,
    fits: fn(T) -> bool,
) -> Result<T, Damaged> {
    let number = text.map_or(Some(default), |text| text.parse().ok());
    number.filter(|number| fits(*number)).ok_or_else(|| refuse(expected))
}

/// Options are read before the log.
pub(super) fn refuse(what: &str) -> Damaged {
    Damaged(format!("no log was read: option {what}"))
}
