//! `avouch compare`: whether the same scenarios came to the same verdicts here and there, and whether load tests were slower.

mod latency;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use avouch_reports::agreement::Agreements;
use avouch_reports::compare::{Change, Comparison};
use avouch_reports::escape;
use avouch_reports::render::{write_agreement_page, write_comparison_page, write_comparison_text};
use avouch_reports::run::{RUN_BYTES_MAX, Run};

use super::Exit;
use super::output::Output;
use super::pages::write_file;
use crate::perform::read_bounded;
use crate::session::RECORD;

/// Run folders that are read at most, on each side.
const RUNS_MAX: usize = 10_000;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run folder of `avouch load`, or a folder with run folders in it, as `avouch run --out` leaves it
    one: PathBuf,
    /// Another: the same load on another version, or the same scenarios with the same seeds in another world
    other: PathBuf,
    /// Write a page as well: of load tests, latencies drawn over each other, by percentile and over time; of other runs, where
    /// their verdicts differ
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(super) fn compare(args: &Args, output: Output) -> Exit {
    match (latency::load_runs(&args.one), latency::load_runs(&args.other)) {
        (Ok(one), Ok(other)) if one.is_empty() && other.is_empty() => verdicts(args, output),
        (Ok(one), Ok(other)) => match latency::judge([(&args.one, one), (&args.other, other)]) {
            Ok(comparison) => tell(&comparison, args, output),
            Err(words) => {
                output.error(words);
                Exit::Usage
            }
        },
        (Err(words), _) | (_, Err(words)) => {
            output.error(words);
            Exit::Usage
        }
    }
}

/// What follows of two sets of load tests.
fn tell(comparison: &Comparison, args: &Args, output: Output) -> Exit {
    let exit = match comparison.change {
        Change::Slower => Exit::Violated,
        Change::CannotBeCompared => Exit::Inconclusive,
        Change::Faster | Change::NoDifferenceShown => Exit::Pass,
    };
    let mut text = Vec::new();
    write_comparison_text(comparison, &mut text).expect("writing to memory does not fail");
    let exit = page(args, output, exit, |out| write_comparison_page(comparison, output.language(), out));
    output.result(&text, exit)
}

/// Guarantee by guarantee.
fn verdicts(args: &Args, output: Output) -> Exit {
    let (one, other) = match (runs_in(&args.one), runs_in(&args.other)) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(words), _) | (_, Err(words)) => {
            output.error(words);
            return Exit::Usage;
        }
    };
    let names = [&args.one, &args.other].map(|folder| folder.display().to_string());
    let mut agreed = Agreements { names, ..Agreements::default() };
    for (key, mine) in &one {
        if let Some(theirs) = other.get(key) {
            agreed.add(mine, theirs);
        }
    }
    agreed.alone = one.len() as u64 + other.len() as u64 - 2 * agreed.runs;
    let exit = match (agreed.contrary.len(), agreed.same) {
        (1.., _) => Exit::Violated,
        (0, 0) => Exit::Inconclusive,
        (0, _) => Exit::Pass,
    };
    let exit = page(args, output, exit, |out| write_agreement_page(&agreed, output.language(), out));
    output.result(text_of(&agreed).as_bytes(), exit)
}

fn text_of(agreed: &Agreements) -> String {
    let mut text = String::new();
    for contrary in &agreed.contrary {
        let _ = writeln!(text, "{}", escape::visible(&contrary.to_string()));
    }
    let Agreements { runs, alone, same, untested, undecided, .. } = agreed;
    let contrary = agreed.contrary.len();
    let words = match (contrary, *same) {
        (1.., _) => "CONTRARY",
        (0, 0) => "INCONCLUSIVE",
        (0, _) => "AGREED",
    };
    let _ = writeln!(
        text,
        "{words}: {runs} runs on both sides, {alone} on one only; {same} verdicts are the same, {contrary} contrary; \
         {untested} were not put to the test, {undecided} not decided, on one side at least"
    );
    text
}

/// Writes the page that was asked for, if one was.
fn page(
    args: &Args,
    output: Output,
    exit: Exit,
    fill: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> Exit {
    let Some(path) = &args.html else { return exit };
    match write_file(path, fill) {
        Ok(()) => {
            output.say(format!("page: {}", path.display()));
            exit
        }
        Err(words) => {
            output.error(words);
            exit.worse(Exit::Usage)
        }
    }
}

/// The runs of a folder, by scenario and seed.
fn runs_in(folder: &Path) -> Result<BTreeMap<(String, Option<u64>), Run>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    let mut runs = BTreeMap::new();
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| told(&error))? {
        let record = entry.map_err(|error| told(&error))?.path().join(RECORD);
        if record.is_file() {
            paths.push(record);
        }
    }
    if paths.is_empty() || paths.len() > RUNS_MAX {
        let count = paths.len();
        return Err(told(&format!(
            "{count} runs are in it, from 1 to {RUNS_MAX} can be compared\nhint: `avouch run --out FOLDER` makes one"
        )));
    }
    paths.sort();
    for path in paths {
        let read = read_bounded(&path, RUN_BYTES_MAX).map_err(|error| error.to_string());
        let run = read.and_then(|text| Run::from_json(text.as_bytes()).map_err(|error| error.to_string()));
        let run = run.map_err(|error| format!("{}: {error}", path.display()))?;
        runs.insert((run.header.scenario.clone(), run.header.seed), run);
    }
    Ok(runs)
}
