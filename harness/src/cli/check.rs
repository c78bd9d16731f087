//! `avouch check`: judges a stored history, of this tool or of another.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use avouch_reports::history::{HistoryReader, ReadOptions, What};
use avouch_reports::run::{End, PlannedFault, Run};
use avouch_scenarios::nearest;

use super::output::Output;
use super::{Exit, Format};
use crate::check::{GUARANTEES, explain, find};
use crate::session::{HISTORY, Judging};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The history (JSON Lines; see docs/history-format.md), or a run folder that holds one
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
        let hint = match nearest(unknown, GUARANTEES.iter().map(|guarantee| guarantee.id)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`avouch list guarantees` shows all".to_owned(),
        };
        output.error(format!("there is no guarantee `{unknown}`\nhint: {hint}"));
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
            output.result(&super::render_all(&[run], args.format, output), exit)
        }
    }
}

fn open(args: &Args) -> Result<HistoryReader<BufReader<File>>, String> {
    let path = if args.history.is_dir() { args.history.join(HISTORY) } else { args.history.clone() };
    if fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
        let words = "this is no file: a history is read more than once\nhint: write it to a file first";
        return Err(words.to_owned());
    }
    let file = File::open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if args.history.is_dir() => format!("there is no {HISTORY} in this folder"),
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    })?;
    HistoryReader::open(BufReader::new(file), ReadOptions { accept_torn: true })
        .map_err(|error| error.to_string())
}

fn judge(args: &Args) -> Result<(Run, Option<String>), String> {
    let mut reader = open(args)?;
    let mut header = reader.header().clone();
    header.expected.extend(args.expect.iter().cloned());
    let mut judging = Judging::new(&header, header.reading(), planned(open(args)?)?);
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
