//! `avouch report`: renders stored runs again.

use std::path::PathBuf;

use avouch_reports::run::{RUN_BYTES_MAX, Run};

use super::output::Output;
use super::{Exit, Format};
use crate::perform::read_bounded;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run folders (each holds a run.json)
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn report(args: &Args, output: Output) -> Exit {
    let mut runs = Vec::new();
    for folder in &args.folders {
        let path = folder.join("run.json");
        let read = read_bounded(&path, RUN_BYTES_MAX).map_err(|error| error.to_string());
        match read.and_then(|text| Run::from_json(text.as_bytes()).map_err(|error| error.to_string())) {
            Ok(run) => runs.push(run),
            Err(words) => {
                output.error(format!("{}: {words}", path.display()));
                return Exit::Usage;
            }
        }
    }
    let exit = runs.iter().map(|run| super::exit_of(run.outcome)).fold(Exit::Pass, Exit::worse);
    match output.data(&super::render_all(&runs, args.format, output.colour())) {
        Ok(()) => exit,
        Err(error) => {
            output.error(format!("cannot print: {error}"));
            Exit::Usage
        }
    }
}
