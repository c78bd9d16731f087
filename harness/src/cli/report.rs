//! `avouch report`: renders stored runs again.

use std::io;
use std::path::PathBuf;

use avouch_reports::run::{RUN_BYTES_MAX, Run};

use super::output::Output;
use super::{Exit, Format};
use crate::perform::read_bounded;
use crate::session::{HISTORY, RECORD};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run folders, each with a run.json
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn report(args: &Args, output: Output) -> Exit {
    let mut runs = Vec::new();
    for folder in &args.folders {
        let path = if folder.is_file() { folder.clone() } else { folder.join(RECORD) };
        let read = read_bounded(&path, RUN_BYTES_MAX).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if folder.join(HISTORY).exists() => {
                "there is no such file\nhint: this run did not come to its end; judge it with `avouch check`"
                    .to_owned()
            }
            io::ErrorKind::NotFound => {
                "there is no such file\nhint: `avouch run` makes run folders".to_owned()
            }
            _ => error.to_string(),
        });
        match read.and_then(|text| Run::from_json(text.as_bytes()).map_err(|error| error.to_string())) {
            Ok(run) => runs.push(run),
            Err(words) => {
                output.error(format!("{}: {words}", path.display()));
                return Exit::Usage;
            }
        }
    }
    let exit = runs.iter().map(|run| super::exit_of(run.outcome)).fold(Exit::Pass, Exit::worse);
    output.result(&super::render_all(&runs, args.format, output.colour()), exit)
}
