//! `avouch report`: renders stored runs again, and makes one of the parts of a load test.

mod load;

use std::io;
use std::path::{Path, PathBuf};

use super::output::Output;
use super::pages::{self, Kept};
use super::{Exit, Format};
use crate::session::{HISTORY, PAGE, RECORD};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run folders, each with a run.json, or folders of them
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write report.html into each folder again, and an index into a folder of several; print where
    #[arg(long, conflicts_with = "format")]
    html: bool,
}

pub(super) fn report(args: &Args, output: Output) -> Exit {
    if !args.html && load::are_among(&args.folders, args.format) {
        return load::load(&args.folders, args.format, output);
    }
    let mut kept: Vec<Vec<Kept>> = Vec::new();
    for folder in &args.folders {
        match read(folder) {
            Ok(runs) => kept.push(runs),
            Err(words) => {
                output.error(words);
                return Exit::Usage;
            }
        }
    }
    let exit =
        kept.iter().flatten().map(|(_, run)| super::exit_of(run.outcome)).fold(Exit::Pass, Exit::worse);
    if args.html {
        return write_pages(&args.folders, kept, exit, output);
    }
    let mut kept: Vec<Kept> = kept.into_iter().flatten().collect();
    if let (Format::Html, [(folder, run)]) = (args.format, &kept[..]) {
        return output.result(&pages::render_run(folder, run, output), exit);
    }
    let runs: Vec<_> = kept.drain(..).map(|(_, run)| run).collect();
    output.result(&super::render_all(&runs, args.format, output), exit)
}

fn write_pages(folders: &[PathBuf], kept: Vec<Vec<Kept>>, exit: Exit, output: Output) -> Exit {
    let mut written = Vec::new();
    for (folder, runs) in folders.iter().zip(kept) {
        let is_run = matches!(&runs[..], [(path, _)] if path == folder);
        let done = match runs.first() {
            Some((path, run)) if is_run => pages::write_run(path, run, output),
            _ => {
                let runs: Vec<_> = runs.into_iter().map(|(path, run)| (Some(path), run)).collect();
                pages::write_all(folder, &runs, output)
            }
        };
        if let Err(words) = done {
            output.error(words);
            return exit.worse(Exit::Usage);
        }
        written.push(format!("{}\n", folder.join(PAGE).display()));
    }
    output.result(written.concat().as_bytes(), exit)
}

/// The runs of a folder, or of a record that is named itself.
fn read(path: &Path) -> Result<Vec<Kept>, String> {
    if path.is_file() {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        return Ok(vec![(folder, pages::read_record(path)?)]);
    }
    let folders = pages::run_folders(path).unwrap_or_default();
    if folders.is_empty() {
        let record = path.join(RECORD);
        let why = if path.join(HISTORY).exists() {
            "there is no such file\nhint: this run did not come to its end; judge it with `avouch check`"
                .to_owned()
        } else {
            match std::fs::metadata(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => error.to_string(),
                _ => "there is no such file\nhint: `avouch run` makes run folders".to_owned(),
            }
        };
        return Err(format!("{}: {why}", record.display()));
    }
    folders
        .into_iter()
        .map(|folder| Ok((folder.clone(), pages::read_record(&folder.join(RECORD))?)))
        .collect()
}
