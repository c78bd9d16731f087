//! The `avouch-server` command.
//!
//! Exit codes: 0 stopped when asked to, 2 wrong settings, 4 could not start or go on (address or data directory in
//! use, disk failed).

use std::io::Write;
use std::process::ExitCode;

use avouch_server::{Exit, ServerArgs, run};
use clap::Parser;

/// The reference messaging server of Avouch.
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    args: ServerArgs,
}

fn main() -> ExitCode {
    let command = Command::parse();
    let exit = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(command.args)),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: cannot start a runtime: {error}");
            Exit::Failed
        }
    };
    ExitCode::from(exit.code())
}
