//! The program `tribunal`. See the library for its parts.

use std::process::ExitCode;

fn main() -> ExitCode {
    tribunal::cli::main()
}
