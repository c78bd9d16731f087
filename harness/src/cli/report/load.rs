//! Load tests again: one, or all parts of one.

use std::path::{Path, PathBuf};

use avouch_reports::load::LoadRecord;
use avouch_reports::render::write_load_text;
use avouch_reports::run::Run;

use crate::cli::output::Output;
use crate::cli::{Exit, Format, exit_of, pages};
use crate::load::{RECORD as RECORD_OF_LOAD, merge, read_record};
use crate::session::RECORD;

/// Whether some of these are load tests, which are told in text and JSON by more than their runs.
pub(super) fn are_among(folders: &[PathBuf], format: Format) -> bool {
    matches!(format, Format::Text | Format::Json)
        && folders.iter().any(|folder| folder.join(RECORD_OF_LOAD).is_file())
}

pub(super) fn load(folders: &[PathBuf], format: Format, output: Output) -> Exit {
    if folders.iter().any(|folder| !folder.join(RECORD_OF_LOAD).is_file()) {
        output.error(
            "load tests and other runs cannot be shown together\nhint: give only folders of `avouch load`",
        );
        return Exit::Usage;
    }
    let told = match folders {
        [folder] => one(folder),
        folders => merge(folders),
    };
    match told {
        Ok((run, record)) => {
            let mut bytes = Vec::new();
            if format == Format::Json {
                bytes = serde_json::to_vec_pretty(&record).expect("a record is plain JSON");
            } else {
                write_load_text(&record, &run, &mut bytes).expect("writing to memory does not fail");
            }
            output.result(&bytes, exit_of(record.outcome))
        }
        Err(words) => {
            output.error(words);
            Exit::Usage
        }
    }
}

fn one(folder: &Path) -> Result<(Run, LoadRecord), String> {
    Ok((pages::read_record(&folder.join(RECORD))?, read_record(folder)?))
}
