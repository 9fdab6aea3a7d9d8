//! The binary: everything happens in the library; here is the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    slp_collector::cli::main()
}
