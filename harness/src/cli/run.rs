//! `avouch run`: carries scenarios out and judges them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use avouch_engine::defects::Defects;
use avouch_reports::run::Run;
use avouch_scenarios::plan::Plan;
use clap::ValueEnum;

use super::carry_out::{CarriedOut, carry_out};
use super::output::Output;
use super::sources::{self, Loaded};
use super::{Exit, Format, pages, targets};
use crate::perform::{self, Performed, Task, World};
use crate::session::{Earlier, PAGE};
use crate::subject::Subject;
use crate::world::descriptors::{self, Room};

/// The summary of all runs in the folder of run folders.
const SUMMARY: &str = "junit.xml";

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario files, folders of them, or names of the catalog such as crash/kill [default: the whole catalog]
    #[arg(value_name = "SCENARIO")]
    paths: Vec<PathBuf>,
    /// Where to carry them out [default: sim; live for a target that is not part of this tool]
    #[arg(long, value_enum)]
    world: Option<WorldName>,
    /// What is put to the test: a name, a target file, PROTOCOL://HOST:PORT of a server that runs, or 'exec:PROGRAM ARGUMENTS',
    /// a client program (docs/exec.md)
    #[arg(long, default_value = "reference", value_name = "TARGET")]
    target: String,
    /// Where the server of a client program runs, so that its connections can be disturbed [default: only the program knows]
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// The mode of the target [default: its first]
    #[arg(long, value_name = "NAME")]
    mode: Option<String>,
    /// What every random choice is made from [default: the scenario's own, or 1]
    #[arg(long, value_parser = seed, allow_hyphen_values = true, value_name = "NUMBER")]
    seed: Option<u64>,
    /// This many seeds, from --seed upwards
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000), value_name = "COUNT")]
    seeds: u64,
    /// Folder for run folders
    #[arg(long, default_value = "avouch-out", value_name = "FOLDER")]
    out: PathBuf,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print the plans that the scenarios and the seed give, as JSON, and run nothing
    #[arg(long)]
    print_plan: bool,
    /// Do not judge latency: on a shared machine it says more about the machine than about the server
    #[arg(long)]
    no_gates: bool,
    /// Plant a defect in the reference server or its clients; may be given more than once (see `avouch list defects`)
    #[arg(long = "defect", value_name = "NAME", hide = !Defects::ARE_BUILT)]
    defects: Vec<String>,
    /// Runs at once [default: one per processor, one in live]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), value_name = "COUNT")]
    jobs: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WorldName {
    /// Everything simulated: same seed, same history, byte for byte.
    Sim,
    /// The engines on an event heap, no sockets: the same, much faster.
    Explore,
    /// Real processes of the reference server, real sockets, the chaos proxy between.
    Live,
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}

pub(super) fn run(args: &Args, output: Output) -> Exit {
    let tasks = match prepare(args, output) {
        Ok(tasks) => tasks,
        Err(words) => {
            // Diagnostics of scenario files carry their own label.
            output.error(words.strip_prefix("error: ").unwrap_or(&words));
            return Exit::Usage;
        }
    };
    if args.print_plan {
        return print_plans(&tasks, output);
    }
    let tasks = without_senseless(tasks, output);
    if tasks.is_empty() {
        output.error("nothing of this can be carried out in this world");
        return Exit::Inconclusive;
    }
    let world = tasks[0].world;
    let jobs = args.jobs.map_or_else(|| default_jobs(world), usize::from);
    let room = match open_out(&args.out).and_then(|()| room(world, &tasks, jobs)) {
        Ok(room) => room,
        Err(words) => {
            output.error(words);
            return Exit::Usage;
        }
    };
    let Some(carried_out) = carry_out(tasks, Vec::new(), room, jobs, output) else {
        output.error("interrupted twice: the runs in progress were given up without a verdict");
        return Exit::Abandoned;
    };
    report(args, carried_out, output)
}

fn prepare(args: &Args, output: Output) -> Result<Vec<Task>, String> {
    let subject = targets::find(&args.target)?.served_at(args.server.as_deref())?;
    let subject = subject.in_mode(args.mode.as_deref())?;
    let world = world_for(args, &subject)?;
    Defects::named(args.defects.iter().map(String::as_str)).map_err(|error| error.to_string())?;
    let (scenarios, origin) = sources::load(&args.paths)?;
    if let Some(words) = origin.words() {
        output.say(format!("{} {words}", sources::counted(scenarios.len())));
    }
    tasks(args, (world, &subject), &scenarios)
}

/// Where a target can be: our own server in every world, any other only where it really runs.
fn world_for(args: &Args, subject: &Subject) -> Result<World, String> {
    let world = match args.world {
        Some(WorldName::Sim) => World::Sim,
        Some(WorldName::Explore) => World::Explore,
        None if subject.is_reference() => World::Sim,
        Some(WorldName::Live) | None => World::Live,
    };
    if world != World::Live && !subject.is_reference() {
        let (name, word) = (subject.name(), world.name());
        return Err(format!(
            "{name} is a real server, which the world {word} has not\nhint: leave --world out"
        ));
    }
    if !subject.is_reference() && !args.defects.is_empty() {
        return Err("defects can be planted in the reference server only".to_owned());
    }
    Ok(world)
}

/// What names the target on a command line; nothing for the default.
fn target_words(args: &Args, subject: &Subject) -> String {
    if subject.is_reference() {
        return String::new();
    }
    let mode = if subject.has_modes { format!(" --mode {}", subject.mode.name) } else { String::new() };
    let server =
        args.server.as_ref().map_or_else(String::new, |server| format!(" --server {}", quoted(server)));
    format!(" --target {}{server}{mode}", quoted(&args.target))
}

fn tasks(
    args: &Args,
    (world, subject): (World, &Subject),
    scenarios: &[Loaded],
) -> Result<Vec<Task>, String> {
    let mut tasks = Vec::new();
    let mut folders: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for loaded in scenarios {
        let first = args.seed.or(loaded.scenario.seed).unwrap_or(1);
        let last = first.checked_add(args.seeds - 1);
        let last = last.ok_or_else(|| format!("there are no {} seeds from {first} upwards", args.seeds))?;
        for seed in first..=last {
            let plan = loaded.scenario.plan(&loaded.name, seed);
            let plan = plan.map_err(|error| format!("{}: {error}", loaded.argument))?;
            let task = task(args, (world, subject), loaded, plan)?;
            if let Some(other) = folders.insert(task.folder.clone(), &loaded.argument) {
                return Err(format!(
                    "{other} and {} would have one run folder, {}\nhint: run them one after the other, each with its own --out",
                    loaded.argument,
                    task.folder.display()
                ));
            }
            tasks.push(task);
        }
    }
    Ok(tasks)
}

fn task(
    args: &Args,
    (world, subject): (World, &Subject),
    loaded: &Loaded,
    mut plan: Plan,
) -> Result<Task, String> {
    if args.no_gates {
        plan.expect.latency.clear();
    }
    plan.defects.clone_from(&args.defects);
    let word = world.name();
    let folder = args.out.join(format!("{}-{word}-{}", loaded.name.replace('/', "-"), plan.seed));
    let scenario = quoted(&loaded.argument);
    let gates = if args.no_gates { " --no-gates" } else { "" };
    let planted: String = plan.defects.iter().flat_map(|name| [" --defect ", name.as_str()]).collect();
    let target = target_words(args, subject);
    let repeat = format!("avouch run {scenario}{target} --world {word} --seed {}{gates}{planted}", plan.seed);
    subject.check_plan(&plan).map_err(|why| format!("{}: {why}", loaded.argument))?;
    Ok(Task { plan, world, folder, repeat, subject: subject.clone() })
}

/// As a shell takes it for one word.
pub(super) fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@,%".contains(c);
    if argument.chars().all(is_plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

fn default_jobs(world: World) -> usize {
    match world {
        World::Sim | World::Explore => thread::available_parallelism().map_or(1, usize::from),
        World::Live => 1,
    }
}

/// Leaves out what this world can do nothing of, and says so.
fn without_senseless(tasks: Vec<Task>, output: Output) -> Vec<Task> {
    let makes_sense = |task: &Task| match perform::why_not(&task.plan, task.world, &task.subject) {
        Some(why) => {
            output.say(format!("skipped: {} (seed {}): {why}", task.plan.scenario, task.plan.seed));
            false
        }
        None => true,
    };
    tasks.into_iter().filter(makes_sense).collect()
}

fn print_plans(tasks: &[Task], output: Output) -> Exit {
    let plans: Vec<&Plan> = tasks.iter().map(|task| &task.plan).collect();
    let text = match &plans[..] {
        [one] => serde_json::to_string_pretty(one),
        many => serde_json::to_string_pretty(many),
    };
    let text = text.expect("a plan has no map keys but strings") + "\n";
    output.result(text.as_bytes(), Exit::Pass)
}

/// Makes the folder and sees that it can be written, before anything runs. Earlier summaries go: should this be ended
/// before there are new ones, nobody takes them for the outcome.
fn open_out(out: &Path) -> Result<(), String> {
    let summaries = [SUMMARY, PAGE].map(|name| out.join(name));
    let opened = fs::create_dir_all(out).and_then(|()| {
        summaries.iter().try_for_each(|path| File::create(path).and_then(|_| fs::remove_file(path)))
    });
    opened.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => "it is no folder".to_owned(),
            _ => error.to_string(),
        };
        format!(
            "run folders cannot be made in {}: {why}\nhint: choose another folder with --out",
            out.display()
        )
    })
}

/// Live runs hold real sockets, and a process has so many file descriptors and no more.
fn room(world: World, tasks: &[Task], jobs: usize) -> Result<Room, String> {
    if world != World::Live {
        return Ok(Room::unlimited());
    }
    // A client program takes four pipes more; its own connections are its own.
    let devices = tasks.iter().map(|task| {
        let per_device = if task.subject.client.is_some() { 2 } else { 1 };
        task.plan.devices.len() * per_device
    });
    let devices: Vec<_> = devices.collect();
    descriptors::make_room(&devices, jobs).map_err(|error| error.to_string())
}

fn report(args: &Args, carried_out: CarriedOut, output: Output) -> Exit {
    let mut exit = Exit::Pass;
    let performed: Vec<Performed> =
        carried_out.performed.into_iter().map(|(_, performed)| performed).collect();
    for Performed { run, complaint, .. } in &performed {
        exit = exit.worse(super::exit_of(run.outcome));
        if let Some(reason) = run.reasons.first() {
            output.annotate(run.outcome, &run.header.scenario, reason);
        }
        if let Some(words) = complaint {
            output.error(words);
            exit = exit.worse(Exit::Inconclusive);
        }
    }
    tell_of_earlier(&performed, &args.out, output);
    if carried_out.not_begun > 0 {
        let (left_out, total) = (carried_out.not_begun, carried_out.not_begun + performed.len());
        output.say(format!("interrupted: {left_out} of {total} runs were not begun"));
        exit = exit.worse(Exit::Inconclusive);
    }
    let kept: Vec<_> = performed.into_iter().map(|performed| (performed.folder, performed.run)).collect();
    if let Err(words) = pages::write_all(&args.out, &kept, output) {
        output.error(words);
        exit = exit.worse(Exit::Inconclusive);
    }
    let runs: Vec<Run> = kept.into_iter().map(|(_, run)| run).collect();
    let path = args.out.join(SUMMARY);
    if let Err(error) = fs::write(&path, super::render_all(&runs, Format::Junit, output)) {
        output.error(format!("cannot write {}: {error}", path.display()));
        exit = exit.worse(Exit::Inconclusive);
    }
    output.result(&super::render_all(&runs, args.format, output), exit)
}

/// What became of runs that were in the run folders before.
fn tell_of_earlier(performed: &[Performed], out: &Path, output: Output) {
    let replaced = performed.iter().filter(|performed| performed.earlier == Earlier::Replaced).count();
    if replaced > 0 {
        let runs = if replaced == 1 { "earlier run" } else { "earlier runs" };
        output.say(format!("replaced in {}: {replaced} {runs} that had passed", out.display()));
    }
    for performed in performed {
        if let Earlier::Kept(path) = &performed.earlier {
            output.say(format!("kept: the earlier run, which had not passed, is in {} now", path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_copied() {
        let check = |argument: &str, expected: &str| assert_eq!(quoted(argument), expected);
        check("scenarios/catalog/crash/kill.toml", "scenarios/catalog/crash/kill.toml");
        check("my scenario.toml", "'my scenario.toml'");
        check("it's $(rm).toml", r"'it'\''s $(rm).toml'");
    }
}
