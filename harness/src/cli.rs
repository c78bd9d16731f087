//! The command line. One file per command; what the user said becomes what it means here, nothing more.

mod audit;
mod carry_out;
mod check;
mod compare;
mod explore;
pub mod list;
mod load;
pub mod output;
mod pages;
mod progress;
mod proxy;
mod report;
mod run;
mod schema;
mod serve;
mod signals;
mod sources;
mod targets;

use std::process::ExitCode;

use avouch_reports::render::{Html, Json, Junit, Language, Markdown, Renderer, Text};
use avouch_reports::run::{Outcome, Run};
use clap::{Parser, Subcommand, ValueEnum};

use output::Output;

/// Proves or refutes what a messaging server promises: nothing lost, nothing twice, everything in order.
#[derive(Debug, Parser)]
#[command(name = "avouch", version, max_term_width = 110, after_help = EXIT_CODES_HELP)]
pub struct Cli {
    /// Print results only.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// What pages (report.html) are written in; each has a switch for the other.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "LANGUAGE")]
    lang: PageLanguage,
    #[command(subcommand)]
    command: Command,
}

/// Languages of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum PageLanguage {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

impl From<PageLanguage> for Language {
    fn from(language: PageLanguage) -> Self {
        match language {
            PageLanguage::En => Self::English,
            PageLanguage::Zh => Self::Chinese,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry scenarios out and judge them.
    Run(run::Args),
    /// Draw random fault schedules, and shrink what fails to a scenario file.
    Explore(explore::Args),
    /// Put a server through everything that fits it: what it claims against what is observed.
    Audit(audit::Args),
    /// Send messages by a schedule, and measure how long they take while everything is checked.
    Load(Box<load::Args>),
    /// Judge a stored history, of this tool or of another.
    Check(check::Args),
    /// Show stored runs, load tests, audits and explorations again; make one of the parts of a load test.
    Report(report::Args),
    /// Compare two load tests (faster or slower?), or the verdicts of the same scenarios in two folders.
    Compare(compare::Args),
    /// Show what there is: guarantees, faults, profiles, planted defects, exit codes.
    List(list::Args),
    /// Print a JSON Schema: of scenario files (for editors) or of results.
    Schema(schema::Args),
    /// Run the reference server.
    Serve(Box<serve::Args>),
    /// Run the chaos proxy alone, in front of any server; it answers Toxiproxy's clients.
    Proxy(Box<proxy::Args>),
}

const EXIT_CODES_HELP: &str = "\
Exit codes:
  0    everything claimed held
  1    a guarantee was violated; outranks all else
  2    bad usage, scenario, history or configuration
  3    too little was seen to say
  4    the target could not be started, or died on its own
  130  interrupted twice: given up at once, without a verdict";

/// Why the process ends. One documented code per cause; a violation outranks all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was claimed held.
    Pass,
    /// A guarantee was violated.
    Violated,
    /// The command or a file that it names cannot be used.
    Usage,
    /// Too little was seen to say.
    Inconclusive,
    /// The target could not be started or died on its own.
    TargetDied,
    /// A second interrupt: nothing was waited for.
    Abandoned,
}

impl Exit {
    /// All, with what they mean.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Pass, "everything claimed held"),
        (Self::Violated, "a guarantee was violated; outranks all else"),
        (Self::Usage, "bad usage, scenario, history or configuration"),
        (Self::Inconclusive, "too little was seen to say"),
        (Self::TargetDied, "the target could not be started, or died on its own"),
        (Self::Abandoned, "interrupted twice: given up at once, without a verdict"),
    ];

    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Violated => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::TargetDied => 4,
            Self::Abandoned => 130,
        }
    }

    /// The one that outranks the other.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |exit| match exit {
            Self::Pass => 0,
            Self::Inconclusive => 1,
            Self::TargetDied => 2,
            Self::Usage => 3,
            Self::Abandoned => 4,
            Self::Violated => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
    /// For a CI server's test view.
    Junit,
    /// For a CI summary or a comment.
    Markdown,
    /// A page for a browser.
    Html,
}

/// The exit code of a run's outcome.
fn exit_of(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Passed => Exit::Pass,
        Outcome::Violated => Exit::Violated,
        Outcome::Inconclusive => Exit::Inconclusive,
        Outcome::TargetFailed => Exit::TargetDied,
    }
}

/// One run in full, or several as a summary.
fn render_all(runs: &[Run], format: Format, output: Output) -> Vec<u8> {
    let text = Text { colour: output.colour() };
    let html = Html { language: output.language() };
    let renderer: &dyn Renderer = match format {
        Format::Text => &text,
        Format::Json => &Json,
        Format::Junit => &Junit,
        Format::Markdown => &Markdown,
        Format::Html => &html,
    };
    let mut out = Vec::new();
    let rendered = match runs {
        [run] => renderer.render(run, &mut out),
        runs => renderer.render_all(runs, &mut out),
    };
    rendered.expect("writing to memory does not fail");
    out
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse(); // bad usage ends here, with clap's own words and code 2
    let output = Output::new(cli.quiet, cli.lang.into());
    let exit = match cli.command {
        Command::Run(args) => run::run(&args, output),
        Command::Explore(args) => explore::explore(&args, output),
        Command::Audit(args) => audit::audit(&args, output),
        Command::Load(args) => load::load(&args, output),
        Command::Check(args) => check::check(&args, output),
        Command::Report(args) => report::report(&args, output),
        Command::Compare(args) => compare::compare(&args, output),
        Command::List(args) => list::list(&args, output),
        Command::Schema(args) => schema::schema(&args, output),
        Command::Serve(args) => serve::serve(*args, output),
        Command::Proxy(args) => proxy::proxy(&args, output),
    };
    ExitCode::from(exit.code())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_tells_every_exit_code() {
        for (exit, meaning) in Exit::ALL {
            let line = format!("\n  {:<4} {meaning}", exit.code());
            assert!(EXIT_CODES_HELP.contains(&line), "{line}");
        }
    }

    #[test]
    fn a_violation_outranks_everything_and_nothing_outranks_it() {
        for (exit, _) in Exit::ALL {
            assert_eq!(exit.worse(Exit::Violated), Exit::Violated);
            assert_eq!(Exit::Violated.worse(exit), Exit::Violated);
            assert_eq!(Exit::Pass.worse(exit), exit);
        }
    }
}
