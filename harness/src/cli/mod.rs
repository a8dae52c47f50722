//! The command line: one subcommand a file. Progress goes to stderr, results to stdout.

mod check;
mod list;
mod mutants;
mod node;
mod report;
mod run;
mod sim;

use crate::exit::{Exit, Failure};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(name = "tribunal", version, about = "Puts replicated systems on trial", long_about = None)]
#[command(
    after_help = "Exit codes: 0 valid, 1 a property was violated, 2 wrong usage or unreadable input, \
                        3 the harness failed, 4 unknown or cut short."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Spawn a system, drive clients against it under faults, and judge what they saw
    Run(Box<run::Args>),
    /// Execute seeds in the deterministic simulator, or replay one
    Sim(Box<sim::Args>),
    /// Judge a recorded run again from its files, or a history of any project
    Check(check::Args),
    /// Measure whether the harness catches known bugs, and how fast
    Mutants(Box<mutants::Args>),
    /// Write the report of a recorded run again
    Report(report::Args),
    /// Print the registries: systems, workloads, models, balancers, faults, mutants
    List(list::Args),
    /// One node of one of our variants; started by `run`
    #[command(hide = true)]
    Node(node::Args),
}

/// Reads the command line, does what it says, and answers the exit code.
#[must_use]
pub fn main() -> ExitCode {
    // clap prints help to stdout with 0, and wrong usage to stderr with 2.
    let result = match Cli::parse().command {
        Command::Run(args) => run::main(*args),
        Command::Sim(args) => sim::main(&args),
        Command::Check(args) => check::main(&args),
        Command::Mutants(args) => mutants::main(&args),
        Command::Report(args) => report::main(&args),
        Command::List(args) => list::main(&args),
        Command::Node(args) => node::main(&args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(Failure { exit, message }) => {
            eprintln!("error: {message}");
            exit.into()
        }
    }
}

/// Writes a result to stdout. A reader that has seen enough, such as `head`, is no error.
///
/// # Errors
/// If it cannot be written for another reason, a full disk for example.
pub(crate) fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::harness(format!("writing to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// What a subcommand answers.
type Answer = Result<Exit, Failure>;

/// Reads `20s`, `500ms`, `2m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("`{text}` is not a duration such as 500ms, 20s or 2m");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let number: u64 = text[..digits].parse().map_err(|_| expected())?;
    let millis = match &text[digits..] {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    millis.map(Duration::from_millis).ok_or_else(expected)
}

/// Reads `600MB`, `512MiB` or `2GiB`.
fn bytes(text: &str) -> Result<usize, String> {
    let expected = || format!("`{text}` is not an amount of memory such as 600MB, 512MiB or 2GiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let number: usize = text[..digits].parse().map_err(|_| expected())?;
    let unit = match &text[digits..] {
        "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err(expected()),
    };
    number.checked_mul(unit).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "20", "s", "1.5s", "-1s", "99999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong:?} should be refused");
        }
    }

    #[test]
    fn memory_needs_a_unit() {
        assert_eq!(bytes("600MB"), Ok(600_000_000));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        for wrong in ["", "20", "MB", "1.5GB", "-1MB", "99999999999999999GiB", "1gb"] {
            assert!(bytes(wrong).is_err(), "{wrong:?} should be refused");
        }
    }
}
