//! `avouch explore`: draws schedules, carries them out, and shrinks what fails to a scenario file.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use avouch_engine::defects::Defects;
use avouch_reports::render::{
    SweepFormat, write_scoreboard, write_scoreboard_page, write_sweep, write_sweep_page,
};
use avouch_reports::sweep::{Find as Record, SWEEP_VERSION, Scoreboard, StateHits, Sweep};
use avouch_scenarios::Scenario;
use avouch_scenarios::schedule::{Schedule, schedule, schedule_on, seed_of};
use avouch_scenarios::units::{Time, Unit};

use super::output::Output;
use super::{Exit, Format, pages};
use crate::sweep::found::{Budget, Place, SHRINK_RUNS, settle, write_unshrunk};
use crate::sweep::states::State;
use crate::sweep::{self, Find, Options, Progress, Swept, scenario_of, scoreboard};

/// A sweep of at least so many drawn schedules has to reach every rare state.
const STATES_DEMANDED_FROM: u64 = 2_000;
/// Seeds of the scoreboard.
const SCOREBOARD_SEEDS: u64 = 10;
/// Processor time of each defect and seed of the scoreboard.
const SCOREBOARD_CPU_TIME: Duration = Duration::from_secs(60);
/// Shrinking one find takes no longer.
const SHRINK_TIME: Duration = Duration::from_secs(120);
/// Repeating what is left, for its timeline and in the world `sim`, no longer than this.
const REPEAT_TIME: Duration = Duration::from_secs(120);
/// Between two lines of progress.
const TOLD_EVERY: Duration = Duration::from_millis(200);
/// The word that stands for every defect.
const ALL: &str = "all";
/// The record of an exploration, in its folder.
pub(super) const SWEEP: &str = "sweep.json";
/// The same of a scoreboard.
pub(super) const SCOREBOARD: &str = "scoreboard.json";

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario files or folders: their workloads, with faults drawn anew [default: everything is drawn]
    paths: Vec<PathBuf>,
    /// Schedules at most
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Time at most: "30s", "5 min" [default: until the runs are done]
    #[arg(long, value_parser = time)]
    time: Option<Duration>,
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Plant a defect in the reference server or its clients; `all` prints the scoreboard (see `avouch list defects`)
    #[arg(long = "defect", value_name = "NAME")]
    defects: Vec<String>,
    /// Go on after something was found, and collect
    #[arg(long)]
    keep_going: bool,
    /// Folder for what is found
    #[arg(long, default_value = "avouch-out/explore")]
    out: PathBuf,
    /// How results are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print the schedule of one run, with the table of its options, and run nothing
    #[arg(long, value_name = "RUN")]
    print_schedule: Option<u64>,
    /// Seeds per defect of the scoreboard
    #[arg(long, default_value_t = SCOREBOARD_SEEDS, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// Processor time that each defect and seed of the scoreboard may take, or the sweep: "60s" [default: scoreboard 60s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    cpu_time: Option<Duration>,
    /// Candidates that shrinking one find may cost
    #[arg(long, default_value_t = SHRINK_RUNS)]
    shrink_runs: u64,
    /// Runs at once [default: one per processor]
    #[arg(long)]
    jobs: Option<usize>,
}

fn time(text: &str) -> Result<Duration, String> {
    let time = Time::from_text(text).map_err(|complaint| format!("{complaint}; {}", complaint.hint))?;
    Ok(Duration::from_nanos(time.0))
}

pub(super) fn explore(args: &Args, output: Output) -> Exit {
    let is_board = args.defects.iter().any(|name| name == ALL);
    let named = args.defects.iter().map(String::as_str).filter(|name| *name != ALL);
    // The scoreboard plants every one of them, so this build has to be able to plant any.
    let probe = is_board.then(|| avouch_engine::defects::DEFECTS[0].name);
    if let Err(error) = Defects::named(named.chain(probe)) {
        output.error(error);
        return Exit::Usage;
    }
    let bases = match bases(args) {
        Ok(bases) => bases,
        Err(words) => {
            output.error(words.strip_prefix("error: ").unwrap_or(&words));
            return Exit::Usage;
        }
    };
    let options = Options {
        seed: args.seed,
        runs: args.runs,
        keep_going: args.keep_going,
        cpu_ns_max: args
            .cpu_time
            .or(is_board.then_some(SCOREBOARD_CPU_TIME))
            .map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
        jobs: args.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)),
        defects: args.defects.iter().filter(|name| *name != ALL).cloned().collect(),
        bases: bases.into_iter().map(|(_, scenario)| scenario).collect(),
    };
    if let Some(run) = args.print_schedule {
        return print_schedule(&options, run, output);
    }
    let stop = interrupt(output);
    if is_board { score(args, &options, stop, output) } else { sweep_all(args, &options, stop, output) }
}

fn bases(args: &Args) -> Result<Vec<(String, Scenario)>, String> {
    if args.paths.is_empty() {
        return Ok(Vec::new());
    }
    let (loaded, _) = super::sources::load(&args.paths)?;
    let bases: Vec<(String, Scenario)> =
        loaded.into_iter().map(|loaded| (loaded.argument, loaded.scenario)).collect();
    for (path, scenario) in &bases {
        sweep::trial::plan_of(scenario, &[]).map_err(|why| format!("{path}: {why}"))?;
    }
    Ok(bases)
}

/// Becomes true when somebody interrupts: then what is under way is finished, and what was found is printed.
fn interrupt(output: Output) -> &'static AtomicBool {
    static STOP: AtomicBool = AtomicBool::new(false);
    if let Err(error) = super::signals::listen(|| STOP.store(true, Ordering::Relaxed)) {
        output.error(format!("interrupts cannot be heard: {error}"));
    }
    &STOP
}

fn print_schedule(options: &Options, run: u64, output: Output) -> Exit {
    let seed = seed_of(options.seed, run);
    let base = options.bases.get((run % options.bases.len().max(1) as u64) as usize);
    let Schedule { scenario, options: table } =
        base.map_or_else(|| schedule(seed), |base| schedule_on(seed, base));
    let rows = table.iter().map(|(name, value)| format!("# {name:<18} {value}\n"));
    let text =
        format!("# Run {run} of seed {}\n{}\n{}", options.seed, rows.collect::<String>(), scenario.to_toml());
    output.result(text.as_bytes(), Exit::Pass)
}

fn sweep_all(args: &Args, options: &Options, stop: &'static AtomicBool, output: Output) -> Exit {
    let (begun, told) = (now(), Told::new(output));
    let is_enough =
        || stop.load(Ordering::Relaxed) || args.time.is_some_and(|time| now().duration_since(begun) >= time);
    let swept = sweep::sweep(options, &is_enough, &|progress| told.tell(progress));
    output.clear_progress();
    let finds = settle_all(args, options, &swept, stop, output);
    let mut record = record(args, options, &swept, finds);
    record.interrupted = stop.load(Ordering::Relaxed);
    let render = |format, out: &mut dyn io::Write| render_sweep(&record, format, output, out);
    keep(args, SWEEP, &render, output);
    let mut text = Vec::new();
    render(args.format, &mut text).expect("writing to memory does not fail");
    output.result(&text, exit_of_sweep(&record))
}

/// The exit code of an exploration.
pub(super) fn exit_of_sweep(sweep: &Sweep) -> Exit {
    match sweep.outcome().exit_code() {
        0 => Exit::Pass,
        1 => Exit::Violated,
        _ => Exit::Inconclusive,
    }
}

/// The exit code of a scoreboard.
pub(super) fn exit_of_scoreboard(board: &Scoreboard) -> Exit {
    let is_whole = !board.interrupted && board.missed().next().is_none();
    if is_whole { Exit::Pass } else { Exit::Inconclusive }
}

/// An exploration in a format.
pub(super) fn render_sweep(
    sweep: &Sweep,
    wanted: Format,
    output: Output,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    match format(wanted) {
        Some(format) => write_sweep(sweep, format, out),
        None => write_sweep_page(sweep, output.language(), out),
    }
}

/// A scoreboard in a format.
pub(super) fn render_scoreboard(
    board: &Scoreboard,
    wanted: Format,
    output: Output,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    match format(wanted) {
        Some(format) => write_scoreboard(board, format, out),
        None => write_scoreboard_page(board, output.language(), out),
    }
}

/// Writes every find as it was drawn, then shrinks them, the first found first.
fn settle_all(
    args: &Args,
    options: &Options,
    swept: &Swept,
    stop: &AtomicBool,
    output: Output,
) -> Vec<Record> {
    let command = command(options);
    let place = Place { out: &args.out, defects: &options.defects, command: &command };
    let mut finds: Vec<&Find> = swept.finds.values().collect();
    finds.sort_by_key(|find| find.run);
    if !options.keep_going {
        finds.truncate(1); // the first thing that the first run showed; the rest is most often the same cause
    }
    for find in &finds {
        if let Err(error) = write_unshrunk(&scenario_of(options, find.run), find, place) {
            output.error(format!("cannot write to {}: {error}", args.out.display()));
        }
    }
    let records = Mutex::new(Vec::new());
    let next = Mutex::new(finds.iter().enumerate());
    thread::scope(|scope| {
        for _ in 0..options.jobs.min(finds.len()) {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().expect("no holder of this lock can panic").next();
                    let Some((index, find)) = taken else { return };
                    let signature = &find.broken.signature;
                    output.progress(format!("shrinking {}: {} …", signature.guarantee, signature.anomaly));
                    let begun = now();
                    let is_over = |time| stop.load(Ordering::Relaxed) || now().duration_since(begun) >= time;
                    let (is_enough, is_late) =
                        (|| is_over(SHRINK_TIME), || is_over(SHRINK_TIME + REPEAT_TIME));
                    let budget = Budget { runs: args.shrink_runs, stop: &is_enough, stop_all: &is_late };
                    match settle(&scenario_of(options, find.run), find, place, budget) {
                        Ok(record) => {
                            records.lock().expect("no holder of this lock can panic").push((index, record));
                        }
                        Err(error) => {
                            output.error(format!("cannot write to {}: {error}", args.out.display()));
                        }
                    }
                }
            });
        }
    });
    output.clear_progress();
    let mut records = records.into_inner().expect("no holder of this lock can panic");
    records.sort_by_key(|(index, _)| *index);
    records.into_iter().map(|(_, record)| record).collect()
}

fn command(options: &Options) -> String {
    let defects: String = options.defects.iter().flat_map(|name| [" --defect ", name]).collect();
    format!("avouch explore --seed {}{defects}", options.seed)
}

fn record(args: &Args, options: &Options, swept: &Swept, finds: Vec<Record>) -> Sweep {
    let hits = State::ALL.iter().zip(&swept.states);
    Sweep {
        avouch_sweep: SWEEP_VERSION,
        seed: options.seed,
        bases: args.paths.iter().map(|path| path.display().to_string()).collect(),
        defects: options.defects.clone(),
        runs_asked: options.runs,
        runs: swept.runs,
        passed: swept.passed,
        inconclusive: swept.inconclusive.clone(),
        broken: swept.broken,
        cpu_s: swept.cpu_ns as f64 / 1e9,
        interrupted: false,
        finds,
        states: hits.map(|(state, runs)| StateHits { state: state.name().to_owned(), runs: *runs }).collect(),
        states_demanded: options.bases.is_empty() && swept.runs >= STATES_DEMANDED_FROM,
    }
}

fn score(args: &Args, options: &Options, stop: &'static AtomicBool, output: Output) -> Exit {
    let is_enough = || stop.load(Ordering::Relaxed);
    let budget = Budget { runs: args.shrink_runs, stop: &is_enough, stop_all: &is_enough };
    let tell =
        |name: &str, index: usize, all: usize| output.progress(format!("[{}/{all}] {name}", index + 1));
    let board = scoreboard::score(options, args.seeds, budget, &args.out, &tell);
    output.clear_progress();
    let render = |format, out: &mut dyn io::Write| render_scoreboard(&board, format, output, out);
    keep(args, SCOREBOARD, &render, output);
    let mut text = Vec::new();
    render(args.format, &mut text).expect("writing to memory does not fail");
    output.result(&text, exit_of_scoreboard(&board))
}

/// Writes a record and its page, and the pages of the runs that it kept.
fn keep(
    args: &Args,
    name: &str,
    render: &dyn Fn(Format, &mut dyn io::Write) -> io::Result<()>,
    output: Output,
) {
    // A folder has one record: that of the last command.
    for earlier in [SWEEP, SCOREBOARD] {
        let _ = std::fs::remove_file(args.out.join(earlier));
    }
    let written = std::fs::create_dir_all(&args.out)
        .map_err(|error| error.to_string())
        .and_then(|()| pages::write_file(&args.out.join(name), |out| render(Format::Json, out)))
        .and_then(|()| pages::write(&args.out, |out| render(Format::Html, out)))
        .and_then(|()| pages::write_again(&args.out.join("runs"), output));
    if let Err(words) = written {
        output.error(words);
    }
}

/// `None`: a page.
fn format(format: Format) -> Option<SweepFormat> {
    Some(match format {
        Format::Text => SweepFormat::Text,
        Format::Json => SweepFormat::Json,
        Format::Junit => SweepFormat::Junit,
        Format::Markdown => SweepFormat::Markdown,
        Format::Html => return None,
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "a shell: progress and limits of time are about the person who waits"
)]
fn now() -> Instant {
    Instant::now()
}

/// A line of progress, now and then.
struct Told {
    output: Output,
    begun: Instant,
    last: Mutex<Option<Instant>>,
}

impl Told {
    fn new(output: Output) -> Self {
        Self { output, begun: now(), last: Mutex::new(None) }
    }

    fn tell(&self, progress: Progress) {
        let mut last = self.last.lock().expect("no holder of this lock can panic");
        let now = now();
        if last.is_some_and(|last| now.duration_since(last) < TOLD_EVERY) {
            return;
        }
        *last = Some(now);
        let elapsed = now.duration_since(self.begun);
        let Progress { done, runs, finds } = progress;
        let per_s = done as f64 / elapsed.as_secs_f64().max(0.001);
        let left_s = (runs.saturating_sub(done)) as f64 / per_s.max(0.001);
        let found =
            if finds == 0 { "nothing found".to_owned() } else { format!("{finds} kinds of breaks found") };
        self.output
            .progress(format!("[{done}/{runs}] {per_s:.0} runs/s, {left_s:.0} s left at most, {found}"));
    }
}
