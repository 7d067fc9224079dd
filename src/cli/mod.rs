//! Argument grammar, rendering, progress and exit codes: alone in printing and in knowing a terminal.

use std::process::ExitCode;

/// Runs the program and says how it ended.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
