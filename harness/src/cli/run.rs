//! `avouch run`: carries scenarios out and judges them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use avouch_reports::run::Run;
use avouch_scenarios::plan::Plan;
use avouch_scenarios::{Scenario, parse_scenario};
use clap::ValueEnum;

use super::output::Output;
use super::{Exit, Format};
use crate::perform::{self, Task, World};

/// Where scenarios are looked for when none is named.
const CATALOG: &str = "scenarios/catalog";
/// Scenario files in one run at most.
const FILES_MAX: usize = 10_000;
/// How deep folders are searched.
const FOLDERS_DEEP_MAX: usize = 16;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario files or folders [default: the catalog]
    paths: Vec<PathBuf>,
    /// Where to carry them out
    #[arg(long, value_enum, default_value_t = WorldName::Sim)]
    world: WorldName,
    /// What every random choice is made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// This many seeds, from --seed upwards
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
    /// Folder for run folders
    #[arg(long, default_value = "avouch-out")]
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
    /// Runs at once [default: one per processor in sim, one in live]
    #[arg(long)]
    jobs: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WorldName {
    /// Everything simulated: same seed, same history, byte for byte.
    Sim,
    /// Real processes of the reference server, real sockets, the chaos proxy between.
    Live,
}

pub(super) fn run(args: &Args, output: Output) -> Exit {
    let scenarios = match find(&args.paths).and_then(|files| load(&files)) {
        Ok(scenarios) => scenarios,
        Err(words) => {
            // Diagnostics of scenario files carry their own label.
            output.error(words.strip_prefix("error: ").unwrap_or(&words));
            return Exit::Usage;
        }
    };
    let tasks = match tasks(args, &scenarios) {
        Ok(tasks) => tasks,
        Err(words) => {
            output.error(words);
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
    let jobs = args.jobs.unwrap_or(match args.world {
        WorldName::Sim => thread::available_parallelism().map_or(1, usize::from),
        WorldName::Live => 1,
    });
    let runs = perform_all(&tasks, jobs.max(1), output);
    report(args, runs, output)
}

/// Scenario files below the paths, in a fixed order.
fn find(paths: &[PathBuf]) -> Result<Vec<(String, PathBuf)>, String> {
    let default = [PathBuf::from(CATALOG)];
    let paths = if paths.is_empty() { &default[..] } else { paths };
    let mut files = Vec::new();
    for path in paths {
        let Ok(meta) = fs::metadata(path) else {
            return Err(format!(
                "there is no scenario file or folder {}\nhint: run from the repository's root, or name a file: avouch run {CATALOG}/smoke",
                path.display()
            ));
        };
        if meta.is_dir() {
            search(path, 0, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    files.dedup();
    if files.is_empty() {
        return Err("no scenario file was found: they end in .toml".to_owned());
    }
    Ok(files.into_iter().map(|path| (name(&path), path)).collect())
}

fn search(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |error| format!("cannot read {}: {error}", folder.display());
    if depth > FOLDERS_DEEP_MAX {
        return Err(format!("{} is more than {FOLDERS_DEEP_MAX} folders deep", folder.display()));
    }
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            search(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(format!("more than {FILES_MAX} scenario files; name fewer"));
        }
    }
    Ok(())
}

/// Its path below the catalog, without the ending.
fn name(path: &Path) -> String {
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let below = parts.iter().rposition(|part| part == "catalog").map_or(parts.len() - 1, |at| at + 1);
    let name = parts[below.min(parts.len() - 1)..].join("/");
    name.strip_suffix(".toml").unwrap_or(&name).to_owned()
}

struct Loaded {
    name: String,
    path: PathBuf,
    scenario: Scenario,
}

/// Reads all of them, and reports all that is wrong with any.
fn load(files: &[(String, PathBuf)]) -> Result<Vec<Loaded>, String> {
    let mut wrong = Vec::new();
    let mut scenarios = Vec::new();
    for (name, path) in files {
        let shown = path.display().to_string();
        match perform::read_bounded(path, avouch_scenarios::SCENARIO_BYTES_MAX) {
            Err(error) => wrong.push(format!("{shown}: {error}")),
            Ok(text) => match parse_scenario(&shown, &text) {
                Ok(scenario) => {
                    scenarios.push(Loaded { name: name.clone(), path: path.clone(), scenario });
                }
                Err(refused) => wrong.push(refused.to_string()),
            },
        }
    }
    if wrong.is_empty() { Ok(scenarios) } else { Err(wrong.join("\n\n")) }
}

fn tasks(args: &Args, scenarios: &[Loaded]) -> Result<Vec<Task>, String> {
    let world = match args.world {
        WorldName::Sim => World::Sim,
        WorldName::Live => World::Live,
    };
    let mut tasks = Vec::new();
    for loaded in scenarios {
        for seed in args.seed..args.seed.saturating_add(args.seeds) {
            let plan = loaded
                .scenario
                .plan(&loaded.name, seed)
                .map_err(|error| format!("{}: {error}", loaded.path.display()))?;
            tasks.push(task(args, world, loaded, plan)?);
        }
    }
    Ok(tasks)
}

fn task(args: &Args, world: World, loaded: &Loaded, mut plan: Plan) -> Result<Task, String> {
    if args.no_gates {
        plan.expect.latency.clear();
    }
    let word = world.name();
    let folder = args.out.join(format!("{}-{word}-{}", loaded.name.replace('/', "-"), plan.seed));
    let repeat = format!("avouch run {} --world {word} --seed {}", loaded.path.display(), plan.seed);
    perform::check_plan(&plan).map_err(|why| format!("{}: {why}", loaded.path.display()))?;
    Ok(Task { plan, world, folder, repeat })
}

/// Leaves out what this world can do nothing of, and says so.
fn without_senseless(tasks: Vec<Task>, output: Output) -> Vec<Task> {
    let makes_sense = |task: &Task| match perform::why_not(&task.plan, task.world) {
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
    match output.data(text.as_bytes()) {
        Ok(()) => Exit::Pass,
        Err(error) => {
            output.error(format!("cannot print: {error}"));
            Exit::Usage
        }
    }
}

/// Performs all tasks, several at once, each on a thread of its own; the results are in the tasks' order.
fn perform_all(tasks: &[Task], jobs: usize, output: Output) -> Vec<Result<Run, String>> {
    let total = tasks.len();
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<Run, String>>>> = Mutex::new((0..total).map(|_| None).collect());
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..jobs.min(total) {
            scope.spawn(|| {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    output.progress(format!(
                        "[{}/{total}] {}",
                        done.load(Ordering::Relaxed),
                        task.plan.scenario
                    ));
                    let result = perform::on_own_thread(task.clone());
                    let number = done.fetch_add(1, Ordering::Relaxed) + 1;
                    tell(number, total, task, &result, output);
                    let mut results = results.lock().expect("no holder of this lock can panic");
                    let slot = tasks.iter().position(|other| std::ptr::eq(other, task));
                    if let Some(slot) = slot {
                        results[slot] = Some(result);
                    }
                }
            });
        }
    });
    output.clear_progress();
    let results = results.into_inner().expect("no holder of this lock can panic");
    results.into_iter().flatten().collect()
}

/// One line per finished run.
fn tell(number: usize, total: usize, task: &Task, result: &Result<Run, String>, output: Output) {
    output.clear_progress();
    let word = match result {
        Ok(run) => run.outcome.name(),
        Err(_) => "failed",
    };
    output.say(format!("[{number:>3}/{total}] {word:<13} {} (seed {})", task.plan.scenario, task.plan.seed));
}

fn report(args: &Args, results: Vec<Result<Run, String>>, output: Output) -> Exit {
    let mut exit = Exit::Pass;
    let mut runs = Vec::new();
    for result in results {
        match result {
            Ok(run) => {
                exit = exit.worse(super::exit_of(run.outcome));
                runs.push(run);
            }
            Err(words) => {
                output.error(words);
                exit = exit.worse(Exit::Inconclusive);
            }
        }
    }
    let summary = super::render_all(&runs, Format::Junit, false);
    let path = args.out.join("junit.xml");
    if let Err(error) = fs::create_dir_all(&args.out).and_then(|()| fs::write(&path, summary)) {
        output.error(format!("cannot write {}: {error}", path.display()));
        exit = exit.worse(Exit::Inconclusive);
    }
    let rendered = super::render_all(&runs, args.format, output.colour());
    if let Err(error) = output.data(&rendered) {
        output.error(format!("cannot print: {error}"));
        exit = exit.worse(Exit::Usage);
    }
    exit
}
