//! The program `tribunal`. See the library for its parts.

use std::process::ExitCode;

/// Judging a history is many small allocations; this allocator makes them faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tribunal::cli::main()
}
