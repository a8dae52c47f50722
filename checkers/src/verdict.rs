//! What a checker answers.

use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use tribunal_history::Operation;

/// Whether a property holds. Ordered from best to worst for composition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Validity {
    /// It holds, as far as the checker can tell; see [`Verdict::complete`].
    Valid,
    /// Not decided. Never to be read as valid.
    Unknown,
    /// It was violated, and there is a witness.
    Invalid,
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        })
    }
}

/// A violation, with the smallest evidence that the checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The field's name for it: `stale-read`, `lost-update`, `not-linearizable` ...
    pub name: Cow<'static, str>,
    /// One sentence (or two) that a person can check against the witness.
    pub message: String,
    /// The key that it is about, where there is one.
    pub key: Option<String>,
    /// The few operations that contradict each other, in the order of their calls.
    pub witness: Vec<Operation>,
    /// The witness as a picture: SVG that can stand in a page.
    pub drawing: Option<String>,
}

impl Anomaly {
    /// An anomaly without a picture.
    #[must_use]
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        message: String,
        key: Option<String>,
        witness: Vec<Operation>,
    ) -> Self {
        Self { name: name.into(), message, key, witness, drawing: None }
    }
}

/// What one checker says of one history.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The property, such as `linearizable` or `available`.
    pub checker: &'static str,
    /// Whether it holds.
    pub validity: Validity,
    /// Whether a pass of the checker is a proof, or only says that no anomaly was found; false if it is unknown.
    pub complete: bool,
    /// What decided, where several engines could.
    pub engine: Option<Cow<'static, str>>,
    /// What was violated. Not empty exactly if invalid.
    pub anomalies: Vec<Anomaly>,
    /// Anomalies beyond those listed.
    pub anomalies_more: usize,
    /// Why the verdict is unknown, and how far the checker got.
    pub unknown: Option<String>,
    /// Measured figures by name, with the unit last in the name; for reports and machines.
    pub figures: BTreeMap<String, serde_json::Value>,
}

impl Verdict {
    /// No anomaly found.
    #[must_use]
    pub fn valid(checker: &'static str, complete: bool) -> Self {
        Self {
            checker,
            validity: Validity::Valid,
            complete,
            engine: None,
            anomalies: Vec::new(),
            anomalies_more: 0,
            unknown: None,
            figures: BTreeMap::new(),
        }
    }

    /// Violated. Keeps the first `limit` anomalies and counts the others.
    ///
    /// # Panics
    /// If there is no anomaly: a conviction needs evidence.
    #[must_use]
    pub fn invalid(checker: &'static str, mut anomalies: Vec<Anomaly>, limit: usize) -> Self {
        assert!(!anomalies.is_empty(), "{checker}: a conviction needs evidence");
        let anomalies_more = anomalies.len().saturating_sub(limit.max(1));
        anomalies.truncate(limit.max(1));
        let valid = Self::valid(checker, true);
        Self { validity: Validity::Invalid, anomalies, anomalies_more, ..valid }
    }

    /// Valid if there are no anomalies, invalid with up to ten of them otherwise.
    #[must_use]
    pub fn of(checker: &'static str, complete: bool, anomalies: Vec<Anomaly>) -> Self {
        if anomalies.is_empty() {
            Self::valid(checker, complete)
        } else {
            Self { complete, ..Self::invalid(checker, anomalies, 10) }
        }
    }

    /// Not decided.
    #[must_use]
    pub fn unknown(checker: &'static str, why: impl Into<String>) -> Self {
        let valid = Self::valid(checker, false);
        Self { validity: Validity::Unknown, unknown: Some(why.into()), ..valid }
    }

    /// Adds a figure. The name ends in its unit.
    #[must_use]
    pub fn figure(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.figures.insert(name.to_owned(), value.into());
        self
    }
}

/// Composition takes the worst: invalid before unknown before valid. Nothing at all is unknown.
#[must_use]
pub fn worst(verdicts: &[Verdict]) -> Validity {
    verdicts.iter().map(|verdict| verdict.validity).max().unwrap_or(Validity::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composition_takes_the_worst() {
        let valid = Verdict::valid("a", true);
        let unknown = Verdict::unknown("b", "time");
        let anomaly = Anomaly::new("x", String::new(), None, Vec::new());
        let invalid = Verdict::invalid("c", vec![anomaly], 10);
        assert_eq!(worst(&[]), Validity::Unknown);
        assert_eq!(worst(std::slice::from_ref(&valid)), Validity::Valid);
        assert_eq!(worst(&[unknown.clone(), valid.clone()]), Validity::Unknown);
        assert_eq!(worst(&[unknown, invalid, valid]), Validity::Invalid);
    }
}
