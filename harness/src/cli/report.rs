//! `avouch report`: renders stored runs, audits and explorations again, and makes one of the parts of a load test.

mod load;
mod many;

use std::io;
use std::path::{Path, PathBuf};

use super::output::Output;
use super::pages::{self, Kept};
use super::{Exit, Format};
use crate::session::{HISTORY, PAGE, RECORD};
use many::Many;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run folders, folders of them, or what `avouch audit` and `avouch explore` left
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// How they are printed
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
    let stored: Result<Vec<Stored>, String> = args.folders.iter().map(|folder| stored(folder)).collect();
    let stored = match stored {
        Ok(stored) => stored,
        Err(words) => {
            output.error(words);
            return Exit::Usage;
        }
    };
    let exit = stored.iter().map(Stored::exit).fold(Exit::Pass, Exit::worse);
    if args.html {
        return write_pages(&args.folders, stored, exit, output);
    }
    if let [Stored::Many(many)] = &stored[..] {
        return output.result(&many.render(args.format, output), exit);
    }
    let mut kept: Vec<Kept> = Vec::new();
    for stored in stored {
        match stored {
            Stored::Runs(runs) => kept.extend(runs),
            Stored::Many(_) => {
                output.error(
                    "audits, explorations and runs cannot be shown together\n\
                     hint: give one folder at a time, or --html to write the page of each",
                );
                return Exit::Usage;
            }
        }
    }
    if let (Format::Html, [(folder, run)]) = (args.format, &kept[..]) {
        return output.result(&pages::render_run(folder, run, output), exit);
    }
    let runs: Vec<_> = kept.drain(..).map(|(_, run)| run).collect();
    output.result(&super::render_all(&runs, args.format, output), exit)
}

/// What a folder holds.
enum Stored {
    Runs(Vec<Kept>),
    Many(Many),
}

impl Stored {
    fn exit(&self) -> Exit {
        match self {
            Self::Runs(runs) => {
                runs.iter().map(|(_, run)| super::exit_of(run.outcome)).fold(Exit::Pass, Exit::worse)
            }
            Self::Many(many) => many.exit(),
        }
    }
}

fn stored(folder: &Path) -> Result<Stored, String> {
    match many::find(folder) {
        Some(many) => many.map(Stored::Many),
        None => read(folder).map(Stored::Runs),
    }
}

fn write_pages(folders: &[PathBuf], stored: Vec<Stored>, exit: Exit, output: Output) -> Exit {
    let mut written = Vec::new();
    for (folder, stored) in folders.iter().zip(stored) {
        let done = match stored {
            Stored::Many(many) => many.write_pages(folder, output),
            Stored::Runs(runs) => write_pages_of_runs(folder, runs, output),
        };
        if let Err(words) = done {
            output.error(words);
            return exit.worse(Exit::Usage);
        }
        written.push(format!("{}\n", folder.join(PAGE).display()));
    }
    output.result(written.concat().as_bytes(), exit)
}

fn write_pages_of_runs(folder: &Path, runs: Vec<Kept>, output: Output) -> Result<(), String> {
    match &runs[..] {
        [(path, run)] if path == folder => pages::write_run(path, run, output),
        _ => {
            let runs: Vec<_> = runs.into_iter().map(|(path, run)| (Some(path), run)).collect();
            pages::write_all(folder, &runs, output)
        }
    }
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
