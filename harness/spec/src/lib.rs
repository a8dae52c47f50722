//! The one grammar for everything that stands in a registry: `name:key=value,key=value`.
//!
//! [`Spec::parse`] reads one; [`Spec::parse_list`] reads several, as in `--nemesis partition:kind=halves,kill`: a part
//! that holds `=` belongs to the spec before it. The owner of the name then takes its parameters by
//! [`Params`], which refuses what it does not know, with the nearest known name as a hint.
//!
//! Absent on purpose: nesting and quoting. A value may hold anything but a comma.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A name with its parameters, as the user wrote them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spec {
    /// The registry's name of the thing.
    pub name: String,
    /// Its parameters.
    pub params: BTreeMap<String, String>,
}

/// What is wrong with a spec, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The text does not follow the grammar.
    #[error("`{text}` is not of the form name:key=value,key=value ({why})")]
    Grammar {
        /// What was read.
        text: String,
        /// Where it departs.
        why: &'static str,
    },
    /// The registry has no such name.
    #[error("there is no {what} `{name}`; {}", hint(.name, .known))]
    UnknownName {
        /// The kind of thing, such as "balancer".
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The thing has no such parameter.
    #[error("{name} has no parameter `{key}`; {}", hint(.key, .known))]
    UnknownKey {
        /// The thing.
        name: String,
        /// What was given.
        key: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The parameter's value does not fit.
    #[error("{name}: {key}={value} does not fit: expected {expected}")]
    BadValue {
        /// The thing.
        name: String,
        /// The parameter.
        key: String,
        /// What was given.
        value: String,
        /// What would fit.
        expected: String,
    },
    /// The system lacks what the thing needs.
    #[error("{name} needs {needs}, which the system does not offer")]
    NotOffered {
        /// The thing.
        name: String,
        /// What it needs.
        needs: &'static str,
    },
}

impl Spec {
    /// A spec without parameters.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), params: BTreeMap::new() }
    }

    /// Reads one spec.
    ///
    /// # Errors
    /// [`SpecError::Grammar`] for an empty name, a missing `=`, or a key given twice.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let grammar = |why| SpecError::Grammar { text: text.to_owned(), why };
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name.trim(), Some(rest)),
            None => (text.trim(), None),
        };
        if name.is_empty() || name.contains('=') {
            return Err(grammar("the name is missing"));
        }
        let mut spec = Self::named(name);
        for part in rest.into_iter().flat_map(|rest| rest.split(',')) {
            spec.add_param(part).map_err(grammar)?;
        }
        Ok(spec)
    }

    /// Reads specs separated by commas; a part with `=` but without `:` is a parameter of the spec before it.
    ///
    /// # Errors
    /// As [`Spec::parse`], and for a list that begins with a parameter.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, SpecError> {
        let mut specs: Vec<Self> = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let is_param = part.contains('=') && !part.contains(':');
            match specs.last_mut() {
                Some(last) if is_param => last
                    .add_param(part)
                    .map_err(|why| SpecError::Grammar { text: text.to_owned(), why })?,
                _ => specs.push(Self::parse(part)?),
            }
        }
        Ok(specs)
    }

    fn add_param(&mut self, part: &str) -> Result<(), &'static str> {
        let (key, value) = part.split_once('=').ok_or("a parameter needs `=`")?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err("a parameter's key is missing");
        }
        match self.params.insert(key.to_owned(), value.to_owned()) {
            None => Ok(()),
            Some(_) => Err("a parameter is given twice"),
        }
    }

    /// The parameters, to be taken one by one.
    #[must_use]
    pub fn params(&self) -> Params<'_> {
        Params { spec: self, taken: Vec::new() }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (nth, (key, value)) in self.params.iter().enumerate() {
            write!(f, "{}{key}={value}", if nth == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        Self::parse(text)
    }
}

/// Takes the parameters of a spec, and in the end refuses those that nobody asked for.
#[derive(Debug)]
pub struct Params<'a> {
    spec: &'a Spec,
    taken: Vec<&'static str>,
}

impl<'a> Params<'a> {
    /// The value of `key`, read as a `T`, or `default`.
    ///
    /// # Errors
    /// [`SpecError::BadValue`] if it cannot be read as a `T`; `expected` is what the message says would fit.
    pub fn take<T: FromStr>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &str,
    ) -> Result<T, SpecError> {
        self.take_with(key, default, expected, |value| value.parse().ok())
    }

    /// The value of `key`, read by `read`, or `default`.
    ///
    /// # Errors
    /// [`SpecError::BadValue`] if `read` answers `None`.
    pub fn take_with<T>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, SpecError> {
        self.taken.push(key);
        let Some(value) = self.spec.params.get(key) else {
            return Ok(default);
        };
        read(value).ok_or_else(|| SpecError::BadValue {
            name: self.spec.name.clone(),
            key: key.to_owned(),
            value: value.clone(),
            expected: expected.to_owned(),
        })
    }

    /// Ends the taking.
    ///
    /// # Errors
    /// [`SpecError::UnknownKey`] for a parameter that was given and not taken.
    pub fn finish(self) -> Result<(), SpecError> {
        match self.spec.params.keys().find(|key| !self.taken.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(SpecError::UnknownKey {
                name: self.spec.name.clone(),
                key: key.clone(),
                known: self.taken.iter().map(|&key| key.to_owned()).collect(),
            }),
        }
    }
}

/// A line of a registry, as `tribunal list` and the docs print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name in the grammar.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    /// Each parameter, as `key=default`, and what it means.
    pub params: &'static [(&'static str, &'static str)],
}

/// A duration such as `500ms`, `2s` or `1m`, in ns. Not 0.
#[must_use]
pub fn duration_ns(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit_ns = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => NS_PER_MS,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ns).filter(|&ns| ns > 0)
}

/// As [`duration_ns`], in ms; `None` if it is not a whole number of them.
#[must_use]
pub fn duration_ms(text: &str) -> Option<u64> {
    duration_ns(text).filter(|ns| ns % NS_PER_MS == 0).map(|ns| ns / NS_PER_MS)
}

const NS_PER_MS: u64 = 1_000_000;

/// Finds `name` among the entries of a registry.
///
/// # Errors
/// [`SpecError::UnknownName`] with the nearest known names.
pub fn find<'a, T>(
    what: &'static str,
    name: &str,
    entries: &'a [T],
    entry: impl Fn(&T) -> &Entry,
) -> Result<&'a T, SpecError> {
    entries.iter().find(|item| entry(item).name == name).ok_or_else(|| SpecError::UnknownName {
        what,
        name: name.to_owned(),
        known: entries.iter().map(|item| entry(item).name.to_owned()).collect(),
    })
}

/// "did you mean" if one known name is near, else all of them.
fn hint(given: &str, known: &[String]) -> String {
    let nearest = known.iter().map(|name| (distance(given, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= 2 => format!("did you mean `{name}`?"),
        Some(_) => format!("known: {}", known.join(", ")),
        None => "it takes none".to_owned(),
    }
}

/// The edit distance of Levenshtein, in O(|a| |b|).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_reads_back_as_it_was_written() {
        for text in ["kill", "partition:kind=halves", "weighted:health=eject,weights=3/1/1"] {
            assert_eq!(Spec::parse(text).expect("valid").to_string(), text);
        }
    }

    #[test]
    fn a_list_gives_parameters_to_the_spec_before_them() {
        let specs = Spec::parse_list("partition:kind=halves,every=2s,kill").expect("valid");
        assert_eq!(
            specs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["partition:every=2s,kind=halves", "kill"]
        );
    }

    #[test]
    fn what_departs_from_the_grammar_is_refused() {
        for text in ["", ":a=1", "kill:", "kill:a", "kill:=1", "kill:a=1,a=2"] {
            assert!(Spec::parse(text).is_err(), "{text:?} should be refused");
        }
        assert!(Spec::parse_list("a=1,kill").is_err());
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration_ns("500ms"), Some(500_000_000));
        assert_eq!(duration_ns("2s"), Some(2_000_000_000));
        assert_eq!(duration_ms("1h"), Some(3_600_000));
        for bad in ["", "5", "s", "0s", "2d", "99999999999999999999s", "18446744073709551615s"] {
            assert_eq!(duration_ns(bad), None, "{bad:?}");
        }
        assert_eq!((duration_ms("1500us"), duration_ms("2000us")), (None, Some(2)));
    }

    #[test]
    fn an_unknown_key_is_refused_with_a_hint() {
        let spec = Spec::parse("kill:tagret=one").expect("valid");
        let mut params = spec.params();
        params.take("target", String::new(), "a target").expect("default");
        let error = params.finish().expect_err("unknown").to_string();
        assert!(error.ends_with("did you mean `target`?"), "{error}");
    }

    #[test]
    fn a_bad_value_says_what_would_fit() {
        let spec = Spec::parse("kill:count=many").expect("valid");
        let error = spec.params().take("count", 1_u32, "a number").expect_err("bad").to_string();
        assert_eq!(error, "kill: count=many does not fit: expected a number");
    }
}
