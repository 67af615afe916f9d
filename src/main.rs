//! The samlgate binary.

use std::process::ExitCode;

/// Every request allocates header maps and buffers; this one is quicker at it, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    samlgate::cli::main()
}
