//! `avouch schema`: prints JSON Schemas, for editors and other tools.

use clap::ValueEnum;

use super::Exit;
use super::output::Output;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to describe
    #[arg(value_enum, default_value_t = Subject::Scenario)]
    subject: Subject,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Subject {
    /// Scenario files.
    Scenario,
    /// `run.json`.
    Run,
    /// `load.json`.
    Load,
}

pub(super) fn schema(args: &Args, output: Output) -> Exit {
    let text = match args.subject {
        Subject::Scenario => {
            let schema = avouch_scenarios::schema();
            serde_json::to_string_pretty(&schema).expect("a schema is plain JSON") + "\n"
        }
        Subject::Run => avouch_reports::run::Run::schema(),
        Subject::Load => avouch_reports::load::LoadRecord::schema(),
    };
    output.result(text.as_bytes(), Exit::Pass)
}
