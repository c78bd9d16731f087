//! A run folder: one run at a time, and nothing of an earlier one is lost that cannot be had again.
//!
//! An earlier run of the same name that passed is replaced: its command repeats it. One that did not pass, or of which
//! nobody can say, is moved aside as `NAME.1`, `NAME.2` and so on. Files that are no part of a run are left alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use avouch_reports::run::{Outcome, RUN_BYTES_MAX, Run};

use super::SessionError;
use crate::perform::read_bounded;

/// The file that makes a folder a run folder; whoever writes it holds its lock.
pub const HISTORY: &str = "history.jsonl";
/// The record of the run.
pub const RECORD: &str = "run.json";
/// Its latency by the second.
pub const INTERVALS: &str = "latency.hlog";
/// The page for people.
pub const PAGE: &str = "report.html";
/// Earlier runs of one name that are kept aside at most.
const KEPT_MAX: u32 = 1_000;

/// What was in the folder before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Earlier {
    /// No run.
    #[default]
    Nothing,
    /// A run that passed, and is gone now.
    Replaced,
    /// A run that is kept here now.
    Kept(PathBuf),
}

/// Makes room for a run: the folder, an empty history in it that nobody else can claim while it is open, and what
/// became of an earlier run.
pub(super) fn claim(folder: &Path) -> Result<(File, Earlier), SessionError> {
    let at = |path: PathBuf| move |cause| SessionError::Folder { path, cause };
    let earlier = set_aside(folder)?;
    fs::create_dir_all(folder).map_err(at(folder.to_owned()))?;
    let path = folder.join(HISTORY);
    // Not truncated before it is ours.
    let options = OpenOptions::new().write(true).create(true).truncate(false).clone();
    let file = options.open(&path).map_err(at(path.clone()))?;
    lock(&file, folder)?;
    file.set_len(0).map_err(at(path))?;
    Ok((file, earlier))
}

fn set_aside(folder: &Path) -> Result<Earlier, SessionError> {
    let (history, record) = (folder.join(HISTORY), folder.join(RECORD));
    if !history.exists() && !record.exists() {
        return Ok(Earlier::Nothing);
    }
    if let Ok(file) = File::open(&history) {
        lock(&file, folder)?;
    }
    let failed = |cause| SessionError::Folder { path: folder.to_owned(), cause };
    if passed(&record) {
        for path in files_of_a_run(folder).map_err(failed)? {
            fs::remove_file(&path).map_err(|cause| SessionError::Folder { path, cause })?;
        }
        return Ok(Earlier::Replaced);
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut places = (1..=KEPT_MAX).map(|number| folder.with_file_name(format!("{name}.{number}")));
    let kept = places.find(|path| !path.exists());
    let kept = kept.ok_or_else(|| failed(io::Error::other(format!("{KEPT_MAX} earlier runs are kept"))))?;
    fs::rename(folder, &kept).map_err(failed)?;
    Ok(Earlier::Kept(kept))
}

fn passed(record: &Path) -> bool {
    let text = read_bounded(record, RUN_BYTES_MAX).ok();
    let run = text.and_then(|text| Run::from_json(text.as_bytes()).ok());
    run.is_some_and(|run| run.outcome == Outcome::Passed)
}

/// Files that a run leaves behind, by rising path.
fn files_of_a_run(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        matches!(
            &*name,
            HISTORY | RECORD | INTERVALS | PAGE | "junit.xml" | "summary.md" | "plan.json" | "load.json"
        ) || path.extension().is_some_and(|ending| ending == "hgrm")
    };
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(is_ours).collect();
    paths.sort();
    Ok(paths)
}

fn lock(file: &File, folder: &Path) -> Result<(), SessionError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(SessionError::InUse { path: folder.to_owned() }),
        // A file system without locks: then nothing can be said of others.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}
