//! `avouch check`: judges a stored history, of this tool or of another.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use avouch_reports::history::{Header, HistoryReader, ReadOptions, What};
use avouch_reports::run::{End, PlannedFault, Run};

use super::output::Output;
use super::{Exit, Format};
use crate::check::{GUARANTEES, Options, explain, find};
use crate::session::Judging;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The history (JSON Lines; see docs/history-format.md)
    history: PathBuf,
    /// Guarantees that must hold, in addition to those that the history's header names
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    expect: Vec<String>,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn check(args: &Args, output: Output) -> Exit {
    if let Some(unknown) = args.expect.iter().find(|id| find(id).is_none()) {
        let known = GUARANTEES.iter().map(|guarantee| guarantee.id).collect::<Vec<_>>().join(", ");
        output.error(format!("there is no guarantee `{unknown}`\nhint: there are {known}"));
        return Exit::Usage;
    }
    match judge(args) {
        Err(words) => {
            output.error(format!("{}: {words}", args.history.display()));
            Exit::Usage
        }
        Ok((run, note)) => {
            if let Some(note) = note {
                output.say(note);
            }
            let exit = super::exit_of(run.outcome);
            match output.data(&super::render_all(&[run], args.format, output.colour())) {
                Ok(()) => exit,
                Err(error) => {
                    output.error(format!("cannot print: {error}"));
                    exit.worse(Exit::Usage)
                }
            }
        }
    }
}

fn open(args: &Args) -> Result<HistoryReader<BufReader<File>>, String> {
    let file = File::open(&args.history).map_err(|error: io::Error| error.to_string())?;
    HistoryReader::open(BufReader::new(file), ReadOptions { accept_torn: true })
        .map_err(|error| error.to_string())
}

/// A history of the reference server is read by its promises; one of another by the defaults, which excuse.
fn options(header: &Header) -> Options {
    if header.target == "reference" { Options::reference() } else { Options::default() }
}

fn judge(args: &Args) -> Result<(Run, Option<String>), String> {
    let mut reader = open(args)?;
    let mut header = reader.header().clone();
    header.expected.extend(args.expect.iter().cloned());
    let mut judging = Judging::new(&header, options(&header), planned(open(args)?)?);
    while let Some(event) = reader.next_event().map_err(|error| error.to_string())? {
        judging.observe(&event);
    }
    let torn = reader.torn();
    let (mut run, _) = judging.conclude(header, &[]);
    run.end = if torn.is_some() { End::Interrupted } else { End::Complete };
    explain(&mut run.judgements, &mut open(args)?.map_while(Result::ok));
    run.conclude();
    let note = torn.map(|torn| {
        format!("note: the last line ({}) is torn after {} bytes and was left out", torn.line, torn.bytes)
    });
    Ok((run, note))
}

/// The faults that the history speaks of.
fn planned<R: BufRead>(mut reader: HistoryReader<R>) -> Result<Vec<PlannedFault>, String> {
    let mut planned: Vec<PlannedFault> = Vec::new();
    while let Some(event) = reader.next_event().map_err(|error| error.to_string())? {
        if let What::FaultStarted { id, kind, target } = event.what
            && !planned.iter().any(|fault| fault.id == id)
        {
            planned.push(PlannedFault { id, kind, target });
        }
    }
    Ok(planned)
}
