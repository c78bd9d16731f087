//! The record itself, for programs. Its schema is `run.schema.json`.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use super::Renderer;
use crate::escape::is_hostile;
use crate::run::{Outcome, Run};

/// Version of the list of runs.
const RUNS_VERSION: u64 = 1;

/// Indented JSON with a line feed at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

#[derive(Serialize)]
struct List<'a> {
    avouch_runs: u64,
    outcome: Outcome,
    exit_code: u8,
    runs: &'a [Run],
}

impl Renderer for Json {
    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        write_ascii_safe(run, out)
    }

    fn render_all(&self, runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
        let outcome = Outcome::of_all(runs);
        write_ascii_safe(
            &List { avouch_runs: RUNS_VERSION, outcome, exit_code: outcome.exit_code(), runs },
            out,
        )
    }
}

/// JSON escapes C0 only; the other hostile characters can stand in strings alone, and are escaped there as well.
pub(super) fn write_ascii_safe(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    let mut units = [0; 2];
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && is_hostile(character) {
            for unit in character.encode_utf16(&mut units) {
                write!(safe, "\\u{unit:04x}").expect("writing to a string never fails");
            }
        } else {
            safe.push(character);
        }
    }
    writeln!(out, "{safe}")
}
