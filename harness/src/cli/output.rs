//! The one place that prints: data to standard output, talk to standard error.
#![allow(clippy::print_stderr, reason = "this module is the exception that the lint is there for")]

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// How the command talks.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    quiet: bool,
    colour_out: bool,
    colour_err: bool,
}

impl Output {
    /// Colour where there is a terminal and `NO_COLOR` is not set.
    pub fn new(quiet: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            quiet,
            colour_out: wanted && io::stdout().is_terminal(),
            colour_err: wanted && io::stderr().is_terminal(),
        }
    }

    /// Whether data may be coloured.
    pub fn colour(&self) -> bool {
        self.colour_out
    }

    /// Whether somebody watches who can be shown a line that changes.
    pub fn is_watched(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Data. A closed pipe (`| head`) is no error.
    pub fn data(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Talk that `--quiet` silences.
    pub fn say(&self, words: impl Display) {
        if !self.quiet {
            eprintln!("{words}");
        }
    }

    /// A line that the next one overwrites; only where somebody watches.
    pub fn progress(&self, words: impl Display) {
        if self.is_watched() {
            eprint!("\r\x1b[2K{words}");
            let _ = io::stderr().flush();
        }
    }

    /// Ends the line that changes.
    pub fn clear_progress(&self) {
        self.progress("");
    }

    /// An error, with hints on lines of their own.
    pub fn error(&self, words: impl Display) {
        let label = if self.colour_err { "\x1b[1;31merror\x1b[0m" } else { "error" };
        eprintln!("{label}: {words}");
    }
}
