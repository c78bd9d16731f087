//! The `avouch` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    avouch::cli::main()
}
