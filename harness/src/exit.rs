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

impl Exit {
    /// The code that the process ends with.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Usage => 2,
            Self::Failed => 3,
            Self::Unknown => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
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

/// How a command ends that came to `exit`, and then did `rest` to tell of it: a violation outranks a failure.
///
/// # Errors
/// The failure, unless a violation outranks it.
pub fn outranking(exit: Exit, rest: Result<(), Failure>) -> Result<Exit, Failure> {
    match rest {
        Ok(()) => Ok(exit),
        Err(failure) if exit == Exit::Invalid => {
            eprintln!("error: {failure}");
            Ok(exit)
        }
        Err(failure) => Err(failure),
    }
}
