//! The one place that prints: data to standard output, talk to standard error.
//!
//! Standard error may be closed or full, as in `2>&1 | head`: that hides words, and ends nothing.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use avouch_reports::escape::visible;
use avouch_reports::render::Language;
use avouch_reports::run::Outcome;

use super::Exit;

/// How the command talks.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    quiet: bool,
    language: Language,
    colour_out: bool,
    colour_err: bool,
}

impl Output {
    /// Colour where there is a terminal and `NO_COLOR` is not set.
    pub fn new(quiet: bool, language: Language) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            quiet,
            language,
            colour_out: wanted && io::stdout().is_terminal(),
            colour_err: wanted && io::stderr().is_terminal(),
        }
    }

    /// Whether data may be coloured.
    pub fn colour(&self) -> bool {
        self.colour_out
    }

    /// What pages are written in.
    pub fn language(&self) -> Language {
        self.language
    }

    /// Whether somebody watches who can be shown a line that changes.
    pub fn is_watched(&self) -> bool {
        let can_overwrite = std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        !self.quiet && can_overwrite && io::stderr().is_terminal()
    }

    /// Data. A closed pipe (`| head`) is no error.
    pub fn data(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Data that a command ends with: the exit code, also where the data could not be printed.
    pub fn result(&self, bytes: &[u8], exit: Exit) -> Exit {
        match self.data(bytes) {
            Ok(()) => exit,
            Err(error) => {
                self.error(format!("cannot print: {error}"));
                exit.worse(Exit::Usage)
            }
        }
    }

    /// Talk that `--quiet` silences.
    pub fn say(&self, words: impl Display) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{}", harmless(&words.to_string()));
        }
    }

    /// A line that the next one overwrites; only where somebody watches.
    pub fn progress(&self, words: impl Display) {
        if self.is_watched() {
            let _ = write!(io::stderr(), "\r\x1b[2K{words}");
        }
    }

    /// Ends the line that changes.
    pub fn clear_progress(&self) {
        self.progress("");
    }

    /// A line that GitHub Actions shows at the workflow's run; nothing anywhere else.
    pub fn annotate(&self, outcome: Outcome, title: &str, words: &str) {
        if std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true") {
            let _ = writeln!(io::stderr(), "{}", annotation(outcome, title, words));
        }
    }

    /// An error, with hints on lines of their own.
    pub fn error(&self, words: impl Display) {
        let label = if self.colour_err { "\x1b[1;31merror\x1b[0m" } else { "error" };
        let _ = writeln!(io::stderr(), "{label}: {}", harmless(&words.to_string()));
    }
}

/// Words may quote file names, files and targets, and these may be hostile. Lines stay.
fn harmless(words: &str) -> String {
    words.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// A workflow command: one line, in which a few letters mean something and are escaped.
fn annotation(outcome: Outcome, title: &str, words: &str) -> String {
    let level = match outcome {
        Outcome::Passed => "notice",
        Outcome::Inconclusive => "warning",
        Outcome::Violated | Outcome::TargetFailed => "error",
    };
    // The end of a target's log stands where it is read anyway.
    let message = visible(words.lines().next().unwrap_or_default()).replace('%', "%25");
    let title = visible(title).replace('%', "%25").replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_is_one_line_that_nothing_breaks_out_of() {
        let shown = annotation(Outcome::Violated, "a,b: c", "100 % lost\u{1b}\n::error::forged");
        assert_eq!(shown, "::error title=a%2Cb%3A c::100 %25 lost\\u{1b}");
        assert!(annotation(Outcome::Inconclusive, "a", "b").starts_with("::warning "));
    }
}
