//! `avouch audit`: everything that fits a target; claims against observed, with evidence.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use avouch_reports::audit::{Audit, VoidRun};
use avouch_reports::render::{
    write_audit_json, write_audit_junit, write_audit_markdown, write_audit_page, write_audit_text,
};
use avouch_scenarios::parse_scenario;

use super::carry_out::carry_out;
use super::output::Output;
use super::run::quoted;
use super::targets::{self, Found};
use super::{Exit, Format, pages};
use crate::audit::battery::{Case, Depth, cases};
use crate::audit::{Brief, Done, conclude, worst_fault};
use crate::perform::{Performed, Task, World};
use crate::session::PAGE;
use crate::subject::Subject;
use crate::world::descriptors;

/// Live runs wait most of their time: so many at once per processor.
const JOBS_PER_PROCESSOR: usize = 8;
/// The same where each device is a program, which is slow to start and has to answer in time.
const JOBS_OF_PROGRAMS: usize = 2;

/// Broken promises that are annotated: GitHub shows ten errors of a step.
const ANNOTATIONS_MAX: usize = 10;
/// The record of an audit, in its folder.
pub(super) const RECORD: &str = "audit.json";

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is put to the test: a name, a target file, PROTOCOL://HOST:PORT of a server that runs, or 'exec:PROGRAM ARGUMENTS'
    #[arg(value_name = "TARGET")]
    target: String,
    /// Where the server of a client program runs [default: only the program knows]
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// Only these modes of the target; may be given more than once [default: all]
    #[arg(long = "mode", value_name = "NAME")]
    modes: Vec<String>,
    /// Only what tells most, in half a minute
    #[arg(long)]
    quick: bool,
    /// Only cases whose name contains this; may be given more than once
    #[arg(long = "case", value_name = "WORDS")]
    only: Vec<String>,
    /// What every random choice is made from
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// This many seeds, from --seed upwards
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000), value_name = "COUNT")]
    seeds: u64,
    /// Folder for run folders
    #[arg(long, default_value = "avouch-audit", value_name = "FOLDER")]
    out: PathBuf,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Runs at once [default: eight per processor, two of client programs]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), value_name = "COUNT")]
    jobs: Option<u16>,
}

/// A run that is to be carried out.
struct Planned {
    mode: usize,
    case: String,
    fault: &'static str,
    task: Task,
}

/// Runs to carry out, and cases that cannot be, by mode.
type Battery = (Vec<Planned>, Vec<(usize, VoidRun)>);

/// How many runs go on at once, unless it is said.
fn jobs_at_once(subjects: &[Subject]) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let has_programs = subjects.iter().any(|subject| subject.client.is_some());
    processors * if has_programs { JOBS_OF_PROGRAMS } else { JOBS_PER_PROCESSOR }
}

pub(super) fn audit(args: &Args, output: Output) -> Exit {
    let found = targets::find(&args.target).and_then(|found| found.served_at(args.server.as_deref()));
    let prepared = found.and_then(|found| {
        let subjects = subjects(args, &found)?;
        let (planned, skipped) = plan(args, &subjects)?;
        Ok((found, subjects, planned, skipped))
    });
    let (found, subjects, planned, mut skipped) = match prepared {
        Ok(prepared) => prepared,
        Err(words) => {
            output.error(words.strip_prefix("error: ").unwrap_or(&words));
            return Exit::Usage;
        }
    };
    if planned.is_empty() {
        return nothing_to_do(&skipped, output);
    }
    let jobs = args.jobs.map_or_else(|| jobs_at_once(&subjects), usize::from);
    let devices: Vec<_> = planned.iter().map(|planned| planned.task.plan.devices.len()).collect();
    let room = match descriptors::make_room(&devices, jobs) {
        Ok(room) => room,
        Err(error) => {
            output.error(error);
            return Exit::Usage;
        }
    };
    output.say(format!("{} runs of {} modes", planned.len(), subjects.len()));
    let tasks = planned.iter().map(|planned| planned.task.clone()).collect();
    let modes = planned.iter().map(|planned| planned.mode).collect();
    let Some(carried_out) = carry_out(tasks, modes, room, jobs, output) else {
        output.error("interrupted twice: the runs in progress were given up without a verdict");
        return Exit::Abandoned;
    };
    let mut exit = Exit::Pass;
    if carried_out.not_begun > 0 {
        output.say(format!("interrupted: {} runs were not begun", carried_out.not_begun));
        exit = Exit::Inconclusive;
    }
    skipped.extend(pointless(&planned, &carried_out.pointless));
    let done: Vec<Done> = carried_out
        .performed
        .into_iter()
        .map(|(number, performed)| done(&planned[number], performed, output))
        .collect();
    let audit = conclude(brief(args, &found), &subjects, &skipped, &done);
    exit = exit.worse(super::exit_of(audit.outcome));
    for weakness in audit.broken_promises().iter().take(ANNOTATIONS_MAX) {
        output.annotate(audit.outcome, "avouch audit", &weakness.to_string());
    }
    if let Err(error) = keep(&args.out, &audit, output) {
        output.error(format!("cannot write into {}: {error}", args.out.display()));
        exit = exit.worse(Exit::Inconclusive);
    }
    let mut printed = Vec::new();
    render(&audit, args.format, output, &mut printed).expect("writing to memory does not fail");
    output.result(&printed, exit)
}

fn done(planned: &Planned, performed: Performed, output: Output) -> Done {
    if let Some(words) = &performed.complaint {
        output.error(words);
    }
    let of_run = performed.folder.as_deref().map(|folder| pages::write_run(folder, &performed.run, output));
    if let Some(Err(words)) = of_run {
        output.error(words);
    }
    let folder = planned.task.folder.display().to_string();
    let (mode, case, fault) = (planned.mode, planned.case.clone(), planned.fault);
    Done { mode, case, fault, folder, run: performed.run }
}

/// No case has such a name, or none that has can be carried out here.
fn nothing_to_do(skipped: &[(usize, VoidRun)], output: Output) -> Exit {
    let Some((_, first)) = skipped.first() else {
        output.error("no case has such a name\nhint: a run without --case tells the names, as it goes on");
        return Exit::Usage;
    };
    output.error(format!("nothing of this can be carried out: {}: {}", first.case, first.why));
    Exit::Inconclusive
}

/// Runs that were not begun, in one line per mode.
fn pointless(planned: &[Planned], numbers: &[usize]) -> Vec<(usize, VoidRun)> {
    let mut by_mode: BTreeMap<usize, usize> = BTreeMap::new();
    for number in numbers {
        *by_mode.entry(planned[*number].mode).or_default() += 1;
    }
    let words = |count| VoidRun {
        case: format!("{count} more runs"),
        why: "the server was of no use before it had taken a single message".to_owned(),
        folder: String::new(),
    };
    by_mode.into_iter().map(|(mode, count)| (mode, words(count))).collect()
}

fn subjects(args: &Args, found: &Found) -> Result<Vec<Subject>, String> {
    let names = if args.modes.is_empty() { found.target.mode_names() } else { args.modes.clone() };
    names.iter().map(|name| found.in_mode(Some(name))).collect()
}

/// Every case of every mode and seed; what cannot be carried out here is told once per case.
fn plan(args: &Args, subjects: &[Subject]) -> Result<Battery, String> {
    let depth = if args.quick { Depth::Quick } else { Depth::Full };
    let scenarios = args.out.join("scenarios");
    fs::create_dir_all(&scenarios).map_err(|error| {
        format!("{} cannot be made: {error}\nhint: choose another folder with --out", scenarios.display())
    })?;
    let (mut planned, mut skipped) = (Vec::new(), Vec::new());
    for (mode, subject) in subjects.iter().enumerate() {
        let is_wanted =
            |case: &Case| args.only.is_empty() || args.only.iter().any(|only| case.name.contains(only));
        for case in cases(&*subject.dialect, depth).into_iter().filter(is_wanted) {
            let file = scenarios.join(format!("{}-{}.toml", subject.mode.name, case.name));
            fs::write(&file, &case.text).map_err(|error| format!("{}: {error}", file.display()))?;
            for seed in args.seed..args.seed.saturating_add(args.seeds) {
                match one(args, subject, &case, &file, seed)? {
                    Ok((fault, task)) => planned.push(Planned { mode, case: case.name.clone(), fault, task }),
                    Err(why) => {
                        let void = VoidRun { case: case.name.clone(), why, folder: String::new() };
                        skipped.push((mode, void));
                        break;
                    }
                }
            }
        }
    }
    // A server that is of no use is so in the first case of its mode; then the others need not be tried.
    let first = cases_of(&planned);
    planned.sort_by_key(|planned| first.get(&planned.mode) != Some(&planned.case));
    Ok((planned, skipped))
}

/// The first case of each mode.
fn cases_of(planned: &[Planned]) -> BTreeMap<usize, String> {
    planned.iter().rev().map(|planned| (planned.mode, planned.case.clone())).collect()
}

/// A run; the inner error is why it cannot be carried out here.
#[allow(clippy::type_complexity, reason = "two kinds of failure, of which one is a result")]
fn one(
    args: &Args,
    subject: &Subject,
    case: &Case,
    file: &Path,
    seed: u64,
) -> Result<Result<(&'static str, Task), String>, String> {
    let scenario = parse_scenario(&case.name, &case.text).map_err(|refused| refused.to_string())?;
    let plan = scenario.plan(&case.name, seed).map_err(|error| format!("{}: {error}", case.name))?;
    subject.check_plan(&plan)?;
    let lacks = plan.faults.iter().find_map(|planned| crate::world::live::lacks(&planned.fault, subject));
    if let Some(why) = lacks {
        return Ok(Err(why.to_owned()));
    }
    let folder = args.out.join("runs").join(format!("{}-{}-{seed}", subject.mode.name, case.name));
    let mode = if subject.has_modes { format!(" --mode {}", subject.mode.name) } else { String::new() };
    let repeat = format!(
        "avouch run {} --target {}{mode} --world live --seed {seed}",
        quoted(&file.display().to_string()),
        target_words(args)
    );
    let fault = worst_fault(&plan);
    Ok(Ok((fault, Task { plan, world: World::Live, folder, repeat, subject: subject.clone() })))
}

fn brief(args: &Args, found: &Found) -> Brief {
    let quick = if args.quick { " --quick" } else { "" };
    let modes: String = args.modes.iter().flat_map(|mode| [" --mode ", mode.as_str()]).collect();
    let cases: String = args.only.iter().flat_map(|only| [" --case ".to_owned(), quoted(only)]).collect();
    let seeds = if args.seeds == 1 { String::new() } else { format!(" --seeds {}", args.seeds) };
    Brief {
        target: found.name.clone(),
        about: found.target.about.clone(),
        seeds: (args.seed..args.seed.saturating_add(args.seeds)).collect(),
        repeat: format!(
            "avouch audit {}{quick}{modes}{cases} --seed {}{seeds}",
            target_words(args),
            args.seed
        ),
    }
}

/// What names the target on a command line.
fn target_words(args: &Args) -> String {
    let server = args.server.iter().flat_map(|server| [" --server ".to_owned(), quoted(server)]);
    quoted(&args.target) + &server.collect::<String>()
}

/// In a format.
pub(super) fn render(
    audit: &Audit,
    format: Format,
    output: Output,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    match format {
        Format::Text => write_audit_text(audit, out),
        Format::Json => write_audit_json(audit, out),
        Format::Junit => write_audit_junit(audit, out),
        Format::Markdown => write_audit_markdown(audit, out),
        Format::Html => write_audit_page(audit, output.language(), out),
    }
}

/// The result, in every format, beside the run folders.
fn keep(out: &Path, audit: &Audit, output: Output) -> io::Result<()> {
    for (name, format) in [
        (RECORD, Format::Json),
        ("audit.txt", Format::Text),
        ("junit.xml", Format::Junit),
        ("summary.md", Format::Markdown),
        (PAGE, Format::Html),
    ] {
        let mut bytes = Vec::new();
        render(audit, format, output, &mut bytes)?;
        fs::write(out.join(name), bytes)?;
    }
    Ok(())
}
