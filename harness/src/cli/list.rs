//! `avouch list`: what there is, printed from the registries that the code itself uses.

use std::fmt::Write as _;

use avouch_engine::defects::DEFECTS;
use avouch_reports::escape::visible;
use avouch_scenarios::FAULT_KINDS;
use avouch_scenarios::profiles::PROFILES;
use avouch_scenarios::target::{TARGETS, TargetEntry, parse_target};
use clap::ValueEnum;

use super::Exit;
use super::output::Output;
use super::sources::{self, Loaded};
use crate::check::GUARANTEES;
use crate::sweep::states::State;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to list
    #[arg(value_enum)]
    subject: Subject,
    /// As a Markdown table, as the documents have it
    #[arg(long)]
    markdown: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Subject {
    /// Promises that checkers judge.
    Guarantees,
    /// What scenarios can make go wrong.
    Faults,
    /// Scenarios of the catalog, and what each proves.
    Scenarios,
    /// Servers that can be put to the test, and what they claim.
    Targets,
    /// Network profiles.
    Profiles,
    /// Rare states that a sweep of schedules has to reach.
    States,
    /// Deliberate bugs that can be planted in the reference server and its clients.
    Defects,
    /// Exit codes of this command.
    ExitCodes,
}

pub(super) fn list(args: &Args, output: Output) -> Exit {
    let table = match args.subject {
        Subject::Guarantees => Ok(guarantees()),
        Subject::Faults => Ok(faults()),
        Subject::Scenarios => scenarios(output),
        Subject::Targets => targets(),
        Subject::Profiles => Ok(profiles()),
        Subject::States => Ok(states()),
        Subject::Defects => Ok(defects()),
        Subject::ExitCodes => Ok(exit_codes()),
    };
    match table {
        Ok(table) => {
            let text = if args.markdown { table.markdown() } else { table.text() };
            output.result(text.as_bytes(), Exit::Pass)
        }
        Err(words) => {
            output.error(words.strip_prefix("error: ").unwrap_or(&words));
            Exit::Usage
        }
    }
}

/// Every scenario of the catalog that a command run here would use.
fn scenarios(output: Output) -> Result<Table, String> {
    let (scenarios, origin) = sources::catalog()?;
    if let Some(words) = origin.words() {
        output.say(format!("{} {words}", sources::counted(scenarios.len())));
    }
    let row = |loaded: Loaded| vec![format!("`{}`", visible(&loaded.name)), visible(&loaded.scenario.about)];
    Ok(Table { head: vec!["scenario", "what it proves"], rows: scenarios.into_iter().map(row).collect() })
}

/// Every target, with what it claims and where.
fn targets() -> Result<Table, String> {
    let row = |entry: &TargetEntry| {
        let target = parse_target(entry.name, entry.text).map_err(|refused| refused.to_string())?;
        let claims = target.claim.iter().map(|claim| format!("{}: {}", claim.guarantee, claim.source));
        let claims = claims.collect::<Vec<_>>().join("\n");
        Ok(vec![format!("`{}`", entry.name), target.about, format!("protocol {}", target.protocol), claims])
    };
    let rows = TARGETS.iter().map(row).collect::<Result<_, String>>()?;
    Ok(Table { head: vec!["target", "what it is", "protocol", "claims"], rows })
}

/// Rows of cells below a head.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn text(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let first = row.first().map_or("", String::as_str);
            let _ = writeln!(out, "{first}");
            for cell in row.iter().skip(1).filter(|cell| !cell.is_empty()) {
                for line in cell.lines() {
                    let _ = writeln!(out, "    {line}");
                }
            }
        }
        out
    }

    /// As documents have it; a test holds them to it.
    pub fn markdown(&self) -> String {
        let mut out = format!("| {} |\n|{}\n", self.head.join(" | "), "---|".repeat(self.head.len()));
        for row in &self.rows {
            let cells = row.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " · "));
            let _ = writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | "));
        }
        out
    }
}

/// Every guarantee.
pub fn guarantees() -> Table {
    let row = |guarantee: &crate::check::Guarantee| {
        vec![format!("`{}`", guarantee.id), guarantee.promise.to_owned(), guarantee.claimed_by.to_owned()]
    };
    Table { head: vec!["id", "promise", "claimed by"], rows: GUARANTEES.iter().map(row).collect() }
}

/// Every fault.
pub fn faults() -> Table {
    let row = |kind: &avouch_scenarios::FaultKind| {
        vec![format!("`{}`", kind.name), kind.on.to_owned(), kind.about.to_owned(), code(kind.example)]
    };
    Table {
        head: vec!["fault", "on", "what happens", "example"],
        rows: FAULT_KINDS.iter().map(row).collect(),
    }
}

fn code(example: &str) -> String {
    example.lines().map(|line| format!("`{line}`")).collect::<Vec<_>>().join("\n")
}

/// Every network profile.
pub fn profiles() -> Table {
    let row = |profile: &avouch_scenarios::profiles::Profile| {
        vec![
            format!("`{}`", profile.name),
            format!("{} ms", profile.round_trip_us as f64 / 1_000.0),
            format!("{} kbit/s up, {} kbit/s down", profile.up_kbit_per_s, profile.down_kbit_per_s),
            profile.source.to_owned(),
        ]
    };
    Table { head: vec!["profile", "round trip", "rate", "source"], rows: PROFILES.iter().map(row).collect() }
}

/// Every defect that can be planted.
pub fn defects() -> Table {
    let row = |planted: &avouch_engine::defects::Planted| {
        let cells = [format!("`{}`", planted.name), planted.about.to_owned()];
        let (breaks, lives) = (format!("`{}`", planted.breaks), format!("`{}`", planted.lives));
        cells.into_iter().chain([breaks, lives, planted.copies.to_owned()]).collect()
    };
    let head = vec!["defect", "what goes wrong", "found by", "lives in", "a published bug of that kind"];
    Table { head, rows: DEFECTS.iter().map(row).collect() }
}

/// Every rare state.
pub fn states() -> Table {
    let row = |state: &State| vec![state.name().to_owned()];
    Table { head: vec!["rare state"], rows: State::ALL.iter().map(row).collect() }
}

/// Every exit code.
pub fn exit_codes() -> Table {
    let row = |(exit, meaning): &(Exit, &str)| vec![exit.code().to_string(), (*meaning).to_owned()];
    Table { head: vec!["code", "meaning"], rows: Exit::ALL.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use avouch_engine::defects::Defects;

    use super::*;

    #[test]
    fn documents_hold_the_tables_that_the_code_prints() {
        let readme = include_str!("../../../README.md");
        let chinese = include_str!("../../../README.zh-CN.md");
        let page = include_str!("../../../docs/faults.md");
        let defects_page = include_str!("../../../docs/defects.md");
        for (name, page, table) in [
            ("README.md: guarantees", readme, guarantees()),
            ("README.md: exit codes", readme, exit_codes()),
            ("docs/faults.md: faults", page, faults()),
            ("docs/faults.md: profiles", page, profiles()),
            ("docs/defects.md", defects_page, defects()),
        ] {
            assert!(
                page.contains(&table.markdown()),
                "{name}: print it again with `avouch list … --markdown`"
            );
        }
        for guarantee in GUARANTEES {
            let id = format!("`{}`", guarantee.id);
            assert!(chinese.contains(&id), "README.zh-CN.md does not know {id}");
        }
    }

    #[test]
    fn every_claim_of_the_reference_server_cites_a_rule_that_there_is() {
        let protocol = include_str!("../../../reference-server/PROTOCOL.md");
        let entry = TARGETS.iter().find(|entry| entry.name == "reference").unwrap();
        for claim in parse_target(entry.name, entry.text).unwrap().claim {
            let cited = claim.source.split([' ', ',', ':']).filter(|word| word.starts_with("AV-"));
            let cited: Vec<&str> = cited.collect();
            assert!(!cited.is_empty(), "{}: {}", claim.guarantee, claim.source);
            for rule in cited {
                assert!(protocol.contains(&format!("**[{rule}]**")), "{}: {rule}", claim.guarantee);
            }
        }
    }

    #[test]
    fn a_defect_is_planted_or_it_is_said_how() {
        let planted = Defects::named(["ack-before-commit"]);
        assert_eq!(planted.is_ok(), cfg!(feature = "defects"));
        if let Err(why) = planted {
            assert_eq!(
                why.to_string(),
                "`ack-before-commit` cannot be planted: this binary was built without planted defects\n\
                 hint: build one with them: cargo build --release --features defects"
            );
        }
    }

    /// What a defect breaks is a guarantee that is judged, or a gate.
    #[test]
    fn defects_break_known_guarantees() {
        for planted in DEFECTS {
            let is_known = GUARANTEES.iter().any(|guarantee| guarantee.id == planted.breaks);
            assert!(is_known || planted.breaks == "latency", "{}: {}", planted.name, planted.breaks);
        }
    }

    #[test]
    fn scenarios_and_checkers_know_the_same_guarantees() {
        let mut known: Vec<&str> =
            avouch_scenarios::guarantees::GUARANTEES.iter().map(|(id, _)| *id).collect();
        known.push(avouch_scenarios::guarantees::RECOVERS_WITHIN.0);
        known.sort_unstable();
        let mut judged: Vec<&str> = GUARANTEES.iter().map(|guarantee| guarantee.id).collect();
        judged.sort_unstable();
        assert_eq!(known, judged);
    }
}
