//! Records of many runs, shown again: an audit, an exploration, the scoreboard of planted defects.

use std::path::Path;

use avouch_reports::audit::{AUDIT_VERSION, Audit};
use avouch_reports::sweep::{SWEEP_VERSION, Scoreboard, Sweep};
use serde::de::DeserializeOwned;

use crate::cli::output::Output;
use crate::cli::{Exit, Format, audit, exit_of, explore, pages};
use crate::perform::read_bounded;

/// Largest record that is read, in bytes.
const BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// One of them.
pub(super) enum Many {
    Audit(Box<Audit>),
    Sweep(Box<Sweep>),
    Scoreboard(Box<Scoreboard>),
}

/// The record of a folder, if it is one of these.
pub(super) fn find(folder: &Path) -> Option<Result<Many, String>> {
    let read = |name: &str, read: fn(&[u8]) -> Result<Many, String>| {
        let path = folder.join(name);
        path.is_file().then(|| {
            let text = read_bounded(&path, BYTES_MAX).map_err(|error| error.to_string());
            text.and_then(|text| read(text.as_bytes()))
                .map_err(|error| format!("{}: {error}", path.display()))
        })
    };
    read(audit::RECORD, |text| {
        let audit: Audit = parse(text)?;
        known(audit.avouch_audit, AUDIT_VERSION)?;
        Ok(Many::Audit(Box::new(audit)))
    })
    .or_else(|| {
        read(explore::SWEEP, |text| {
            let sweep: Sweep = parse(text)?;
            known(sweep.avouch_sweep, SWEEP_VERSION)?;
            Ok(Many::Sweep(Box::new(sweep)))
        })
    })
    .or_else(|| {
        read(explore::SCOREBOARD, |text| {
            let board: Scoreboard = parse(text)?;
            known(board.avouch_scoreboard, SWEEP_VERSION)?;
            Ok(Many::Scoreboard(Box::new(board)))
        })
    })
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| format!("it cannot be read: {error}"))
}

fn known(found: u64, newest: u64) -> Result<(), String> {
    if found <= newest {
        return Ok(());
    }
    Err(format!(
        "version {found} of this record is newer than this tool, which knows {newest}\n\
         hint: read it with the version of avouch that wrote it, or a newer one"
    ))
}

impl Many {
    /// What the command that made it ended with.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Audit(audit) => exit_of(audit.outcome),
            Self::Sweep(sweep) => explore::exit_of_sweep(sweep),
            Self::Scoreboard(board) => explore::exit_of_scoreboard(board),
        }
    }

    /// In a format.
    pub(super) fn render(&self, format: Format, output: Output) -> Vec<u8> {
        let mut out = Vec::new();
        let written = match self {
            Self::Audit(record) => audit::render(record, format, output, &mut out),
            Self::Sweep(record) => explore::render_sweep(record, format, output, &mut out),
            Self::Scoreboard(record) => explore::render_scoreboard(record, format, output, &mut out),
        };
        written.expect("writing to memory does not fail");
        out
    }

    /// Writes its page again, and those of its runs.
    pub(super) fn write_pages(&self, folder: &Path, output: Output) -> Result<(), String> {
        pages::write_again(&folder.join("runs"), output)?;
        pages::write(folder, |out| out.write_all(&self.render(Format::Html, output)))
    }
}
