//! `avouch serve`: runs the reference server in the foreground.

use avouch_server::{Exit as Served, ServerArgs};

use super::Exit;
use super::output::Output;

/// Arguments: those of the server's own command.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn serve(args: Args, output: Output) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.error(format!("cannot start a runtime: {error}"));
            return Exit::TargetDied;
        }
    };
    match runtime.block_on(avouch_server::run(args.server)) {
        Served::Stopped => Exit::Pass,
        Served::BadConfig => Exit::Usage,
        Served::Failed => Exit::TargetDied,
    }
}
