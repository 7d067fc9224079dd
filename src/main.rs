//! The `netrun` program: hands its arguments to [`netrun::cli`] and returns the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    netrun::cli::main()
}
