//! Pages for people (`report.html`): made from what is in a run folder, or in a folder of run folders, and written there.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use avouch_reports::latency::OverTime;
use avouch_reports::load::{LOAD_BYTES_MAX, LoadRecord};
use avouch_reports::render::{IndexEntry, write_index_page, write_load_page, write_run_page};
use avouch_reports::run::{RUN_BYTES_MAX, Run};

use super::output::Output;
use crate::perform::read_bounded;
use crate::session::{INTERVALS, PAGE, RECORD};

/// Folders between a folder of run folders and these, at most: `avouch-audit/runs/NAME`.
const DEPTH_MAX: usize = 3;
/// Run folders of one folder that are looked at.
const RUNS_MAX: usize = 10_000;

/// The record of a load test, in its run folder.
const LOAD: &str = "load.json";

/// A run and its folder.
pub(super) type Kept = (PathBuf, Run);

/// Reads the record of a run.
pub(super) fn read_record(path: &Path) -> Result<Run, String> {
    let text = read_bounded(path, RUN_BYTES_MAX).map_err(|error| format!("{}: {error}", path.display()))?;
    Run::from_json(text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Run folders below a folder, itself included, by rising path.
pub(super) fn run_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    search(folder, DEPTH_MAX, &mut found)?;
    Ok(found)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if folder.join(RECORD).is_file() {
        found.push(folder.to_owned());
        return Ok(());
    }
    if depth == 0 || found.len() >= RUNS_MAX {
        return Ok(());
    }
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    // Links are not followed: there may be a circle of them.
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let mut folders: Vec<PathBuf> = entries.into_iter().filter(is_folder).map(|entry| entry.path()).collect();
    folders.sort();
    folders.iter().try_for_each(|folder| search(folder, depth - 1, found))
}

/// The page of a run, with charts if its folder has an interval log that can be read; if not, why.
pub(super) fn render_run(folder: &Path, run: &Run, output: Output) -> Vec<u8> {
    let path = folder.join(INTERVALS);
    let over_time = match File::open(&path) {
        Ok(file) => OverTime::read(BufReader::new(file)).map_err(|error| error.to_string()).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let over_time = over_time.unwrap_or_else(|why| {
        output.say(format!("note: no charts, {}: {why}", path.display()));
        None
    });
    let (over_time, language) = (over_time.as_ref(), output.language());
    let mut page = Vec::new();
    let written = match load_record(folder, output) {
        Some(load) => write_load_page(&load, run, over_time, language, &mut page),
        None => write_run_page(run, over_time, language, &mut page),
    };
    written.expect("writing to memory does not fail");
    page
}

/// What a load test adds; `None` if the run was none, or if its record cannot be read, which is told.
fn load_record(folder: &Path, output: Output) -> Option<LoadRecord> {
    let path = folder.join(LOAD);
    if !path.exists() {
        return None;
    }
    let text = read_bounded(&path, LOAD_BYTES_MAX).map_err(|error| error.to_string());
    let load =
        text.and_then(|text| LoadRecord::from_json(text.as_bytes()).map_err(|error| error.to_string()));
    load.map_err(|why| output.say(format!("note: shown as a run, {}: {why}", path.display()))).ok()
}

/// Writes the page of a run into its folder.
pub(super) fn write_run(folder: &Path, run: &Run, output: Output) -> Result<(), String> {
    write(folder, |out| out.write_all(&render_run(folder, run, output)))
}

/// Writes the page of each run, and an index of all into `out`. Runs without a folder stand in the index alone.
pub(super) fn write_all(out: &Path, runs: &[(Option<PathBuf>, Run)], output: Output) -> Result<(), String> {
    let mut links = Vec::new();
    for (folder, run) in runs {
        if let Some(folder) = folder {
            write_run(folder, run, output)?;
        }
        let inside = folder.as_ref().and_then(|folder| folder.strip_prefix(out).ok());
        links.push(inside.map(|inside| inside.join(PAGE).to_string_lossy().into_owned()));
    }
    let entries: Vec<IndexEntry<'_>> =
        runs.iter().zip(&links).map(|((_, run), link)| IndexEntry { run, link: link.as_deref() }).collect();
    write(out, |file| write_index_page(&entries, output.language(), file))
}

/// Writes the page of every run below a folder, if there is one.
pub(super) fn write_again(folder: &Path, output: Output) -> Result<(), String> {
    if !folder.is_dir() {
        return Ok(());
    }
    let folders = run_folders(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    folders.iter().try_for_each(|folder| write_run(folder, &read_record(&folder.join(RECORD))?, output))
}

/// Writes a page into a folder.
pub(super) fn write(
    folder: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), String> {
    write_file(&folder.join(PAGE), fill)
}

/// Writes a page into a file.
pub(super) fn write_file(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), String> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        fill(&mut out)?;
        out.flush()
    });
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use avouch_reports::render::promise_in_english;

    use crate::check::GUARANTEES;

    #[test]
    fn pages_have_the_words_of_every_guarantee() {
        for guarantee in GUARANTEES {
            assert_eq!(promise_in_english(guarantee.id), Some(guarantee.promise), "{}", guarantee.id);
        }
    }
}
