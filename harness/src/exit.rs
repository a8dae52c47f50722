//! Exit codes, the same for every subcommand. In one run, a violation outranks a failure of the harness, which outranks
//! unknown.

use std::process::ExitCode;
use tribunal_checkers::Validity;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every property held.
    Valid,
    /// A property was violated.
    Invalid,
    /// Wrong usage or unreadable input.
    Usage,
    /// The harness itself failed.
    Failed,
    /// Not decided, or cut short.
    Unknown,
}

impl From<Validity> for Exit {
    fn from(validity: Validity) -> Self {
        match validity {
            Validity::Valid => Self::Valid,
            Validity::Invalid => Self::Invalid,
            Validity::Unknown => Self::Unknown,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Valid => 0,
            Exit::Invalid => 1,
            Exit::Usage => 2,
            Exit::Failed => 3,
            Exit::Unknown => 4,
        })
    }
}

/// An error with the exit code that it calls for, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// What happened, and what to do.
    pub message: String,
}

impl Failure {
    /// Wrong usage or unreadable input.
    pub fn usage(message: impl ToString) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    /// The harness failed.
    pub fn harness(message: impl ToString) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }
}

impl From<tribunal_spec::SpecError> for Failure {
    fn from(error: tribunal_spec::SpecError) -> Self {
        Self::usage(error)
    }
}
