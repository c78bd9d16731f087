//! What becomes of a find: it is repeated, shrunk, written as a scenario file with its timeline beside it, and tried in `sim`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use avouch_reports::render::{Renderer, Text};
use avouch_reports::run::{End, Run};
use avouch_reports::sweep::{Find as Record, Size as RecordedSize};
use avouch_reports::verdict::Verdict;
use avouch_scenarios::Scenario;
use avouch_scenarios::shrink::{Shrunk, Size, Tried, resolved, shrink};

use super::trial::{self, Broken, DIED, LIVELOCK, PANIC, Signature};
use super::{Find, Stop, on_fresh_thread};
use crate::check::GUARANTEES;
use crate::interrupt::Interrupt;
use crate::perform::{self, Task, World};
use crate::subject::Subject;

/// Candidates that shrinking one find tries, unless somebody wants another number.
pub const SHRINK_RUNS: u64 = 5_000;

/// Between two looks whether somebody wants no more, while a find is repeated.
const LOOK: Duration = Duration::from_millis(50);

/// How much shrinking may cost.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    /// Candidates.
    pub runs: u64,
    /// Whether shrinking took long enough, or somebody wants no more.
    pub stop: Stop<'a>,
    /// The same for everything that is done with a find: what is left is repeated for its timeline, and in the other world.
    pub stop_all: Stop<'a>,
}

/// Where a find goes, and with which defects it was found.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The folder.
    pub out: &'a Path,
    /// Planted defects.
    pub defects: &'a [String],
    /// The sweep's command, for the file's head.
    pub command: &'a str,
}

/// Makes a find's scenario as small as possible. `Err` says why that cannot be, in a sentence.
pub fn shrunk(
    scenario: &Scenario,
    signature: &Signature,
    defects: &[String],
    budget: Budget<'_>,
) -> Result<Shrunk, String> {
    let mut tried = 0;
    let mut same = |candidate: &Scenario| {
        tried += 1;
        if tried > budget.runs || (budget.stop)() {
            return Tried::Enough;
        }
        match shows_until(candidate, signature, defects, budget.stop) {
            None => Tried::Enough,
            Some(true) => Tried::Same,
            Some(false) => Tried::Other,
        }
    };
    match same(scenario) {
        Tried::Same => {}
        Tried::Enough => return Err("It was not shrunk: somebody wanted no more, or its time was up.".into()),
        Tried::Other => {
            return Err(
                "The schedule did not show it a second time, so it cannot be shrunk: this is a bug of avouch."
                    .into(),
            );
        }
    }
    let seed = scenario.seed.unwrap_or(1);
    let start = match resolved(scenario, seed) {
        Some(written_out) if written_out == *scenario || same(&written_out) == Tried::Same => written_out,
        _ => scenario.clone(),
    };
    Ok(shrink(&start, same))
}

/// Whether a scenario shows that kind of break: with defects planted, and not without them.
pub fn shows(scenario: &Scenario, signature: &Signature, defects: &[String]) -> bool {
    shows_until(scenario, signature, defects, &|| false) == Some(true)
}

/// The same; `None` if somebody wanted no more before that was known.
fn shows_until(
    scenario: &Scenario,
    signature: &Signature,
    defects: &[String],
    stop: Stop<'_>,
) -> Option<bool> {
    let does = |defects: &[String]| {
        let trial = on_fresh_thread(|| trial::try_until(scenario, defects, stop));
        let shows = trial.broken.iter().any(|broken| broken.signature == *signature);
        (!trial.is_interrupted).then_some(shows)
    };
    Some(does(defects)? && (defects.is_empty() || !does(&[])?))
}

/// Writes the schedule of a find as it was drawn, at once: whatever happens later, it is there.
pub fn write_unshrunk(scenario: &Scenario, find: &Find, place: Place<'_>) -> io::Result<PathBuf> {
    let path = path(find, place.out);
    fs::create_dir_all(place.out)?;
    fs::write(&path, file_text(scenario, (find, &find.broken), place, &path, "Not shrunk."))?;
    Ok(path)
}

/// Shrinks, writes, and tries the result in the other world.
pub fn settle(scenario: &Scenario, find: &Find, place: Place<'_>, budget: Budget<'_>) -> io::Result<Record> {
    let signature = &find.broken.signature;
    let mut remarks = Vec::new();
    let shrunk = if (budget.stop)() {
        remarks.push("It was interrupted before it was shrunk.".to_owned());
        None
    } else {
        shrunk(scenario, signature, place.defects, budget).map_err(|why| remarks.push(why)).ok()
    };
    let least = shrunk.as_ref().map_or_else(|| scenario.clone(), |shrunk| shrunk.scenario.clone());
    if shrunk.as_ref().is_some_and(|shrunk| !shrunk.is_complete) {
        remarks.push("Shrinking used its budget up; there may be something smaller.".to_owned());
    }
    if shrunk.as_ref().is_some_and(|shrunk| Size::of(&shrunk.scenario) == Size::of(scenario)) {
        remarks.push("Nothing could be left out.".to_owned());
    }
    let path = path(find, place.out);
    let story = match &shrunk {
        Some(shrunk) => format!("Shrunk from {} in {} runs.", words(Size::of(scenario)), shrunk.tried),
        None => "Not shrunk.".to_owned(),
    };
    let broken = told(&least, find, place, budget);
    fs::create_dir_all(place.out)?;
    fs::write(&path, file_text(&least, (find, &broken), place, &path, &story))?;
    let repeat = repeat(&path, place.defects);
    let again = |world| record(&least, world, (&path, &repeat), place, budget.stop_all);
    let explored = again(World::Explore);
    // On its runtime a livelock of half a minute takes hours.
    let can_be_simulated = signature.guarantee != LIVELOCK;
    let simulated = can_be_simulated.then(|| again(World::Sim));
    if let Ok(run) = &explored {
        let mut text = Vec::new();
        Text::default().render(run, &mut text)?;
        fs::write(path.with_extension("txt"), text)?;
    }
    if let Err(why) = explored {
        remarks.push(format!("The timeline is missing: {why}."));
    }
    Ok(Record {
        guarantee: signature.guarantee.clone(),
        anomaly: signature.anomaly.clone(),
        run: find.run,
        seed: scenario.seed.unwrap_or(1),
        runs: find.runs,
        expected: broken.expected,
        actual: broken.actual,
        before: recorded(Size::of(scenario)),
        after: shrunk.as_ref().map(|shrunk| recorded(Size::of(&shrunk.scenario))),
        tried: shrunk.as_ref().map_or(0, |shrunk| shrunk.tried),
        remarks,
        file: path.display().to_string(),
        repeat,
        in_sim: simulated.and_then(Result::ok).map(|run| run_shows(&run, signature)),
    })
}

/// What went wrong, in the words of the file that is written: the schedule that was drawn had other devices and messages.
fn told(least: &Scenario, find: &Find, place: Place<'_>, budget: Budget<'_>) -> Broken {
    let trial = on_fresh_thread(|| trial::try_until(least, place.defects, budget.stop_all));
    let same = trial.broken.into_iter().find(|broken| broken.signature == find.broken.signature);
    same.unwrap_or_else(|| find.broken.clone())
}

/// As the record has it.
pub fn recorded(size: Size) -> RecordedSize {
    RecordedSize { clients: size.clients, messages: size.messages, faults: size.faults }
}

fn words(size: Size) -> String {
    format!("{} clients, {} messages, {} faults", size.clients, size.messages, size.faults)
}

fn path(find: &Find, out: &Path) -> PathBuf {
    let Signature { guarantee, anomaly } = &find.broken.signature;
    let plain = |text: &str| -> String {
        text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
    };
    let anomaly = plain(anomaly.rsplit('/').next().unwrap_or_default());
    out.join(format!("{}-{anomaly}-run{}.toml", plain(guarantee), find.run))
}

fn repeat(path: &Path, defects: &[String]) -> String {
    let defects: String = defects.iter().flat_map(|name| [" --defect ", name]).collect();
    format!("avouch run {} --world explore{defects}", path.display())
}

fn record(
    scenario: &Scenario,
    world: World,
    (file, repeat): (&Path, &str),
    place: Place<'_>,
    stop: Stop<'_>,
) -> Result<Run, String> {
    if stop() {
        return Err("it was interrupted before it was repeated".to_owned());
    }
    let mut plan = trial::plan_of(scenario, place.defects)?;
    plan.scenario = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = place.out.join("runs").join(format!("{}-{}", plan.scenario, world.name()));
    let task = Task { plan, world, folder, repeat: repeat.to_owned(), subject: Subject::reference() };
    let run = perform_until(task, stop);
    match &run.end {
        End::ToolFailed { why } => Err(why.clone()),
        End::Interrupted => Err("its repetition was interrupted".to_owned()),
        _ => Ok(run),
    }
}

/// Performs a task while somebody looks whether anybody wants no more: in the world `sim` a run can take very long.
pub(super) fn perform_until(task: Task, stop: Stop<'_>) -> Run {
    let (interrupt, is_over) = (Interrupt::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) && !interrupt.is_set() {
                if stop() {
                    interrupt.set();
                }
                thread::park_timeout(LOOK);
            }
        });
        let run = perform::on_own_thread(task, interrupt.clone()).run;
        is_over.store(true, Ordering::Relaxed);
        watch.thread().unpark();
        run
    })
}

fn run_shows(run: &Run, signature: &Signature) -> bool {
    if matches!(signature.guarantee.as_str(), PANIC | DIED | LIVELOCK) {
        return matches!(run.end, End::TargetFailed { .. });
    }
    let broken = run.judgements.iter().filter(|it| it.verdict == Verdict::Violated);
    broken
        .filter(|it| it.guarantee == signature.guarantee)
        .any(|it| it.findings.iter().any(|finding| finding.anomaly == signature.anomaly))
}

/// The scenario file: what goes wrong in words, where it is from, how to repeat it, and the scenario.
fn file_text(
    scenario: &Scenario,
    (find, broken): (&Find, &Broken),
    place: Place<'_>,
    path: &Path,
    story: &str,
) -> String {
    let promise = GUARANTEES.iter().find(|guarantee| guarantee.id == broken.signature.guarantee);
    let mut scenario = scenario.clone();
    scenario.about = match promise {
        Some(guarantee) => format!("Shows that this is broken: {} ({})", guarantee.promise, broken.actual),
        None => broken.actual.clone(),
    };
    scenario.about = scenario.about.chars().filter(|letter| !letter.is_control()).collect();
    let mut text = String::new();
    let mut say = |words: &str| {
        for line in words.lines() {
            let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
            let _ = writeln!(text, "# {line}");
        }
    };
    say(&format!("{}: {}", broken.signature.guarantee, broken.signature.anomaly));
    say(&format!("  expected: {}", broken.expected));
    say(&format!("  actual:   {}", broken.actual));
    say(&format!("Found by: {} (run {}). {story}", place.command, find.run));
    say(&format!("Repeat:   {}", repeat(path, place.defects)));
    let body = scenario.to_toml();
    format!("{text}\n{body}")
}
