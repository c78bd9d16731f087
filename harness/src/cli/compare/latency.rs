//! Whether one side's load tests were slower than the other's.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use avouch_reports::compare::{Change, Compared, RunIntervals, compare};
use avouch_reports::escape::visible;
use avouch_reports::latency::{
    From, INTERVAL_NS, IntervalReader, Series, Sparse, Stage, name_of_percentile, show_us,
};
use avouch_reports::load::{LOAD_BYTES_MAX, LoadRecord};
use avouch_reports::run::{RUN_BYTES_MAX, Run};

use crate::load::RECORD;
use crate::perform::read_bounded;
use crate::session;

/// What the bootstrap draws from: the same folders give the same answer.
const SEED: u64 = 1;

/// One load test.
pub(super) struct LoadRun {
    folder: PathBuf,
    record: LoadRecord,
    run: Run,
}

/// Load tests on one side: the folder itself, or the folders in it.
pub(super) fn load_runs(folder: &Path) -> Result<Vec<LoadRun>, String> {
    if folder.join(RECORD).is_file() {
        return Ok(vec![read(folder)?]);
    }
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.join(RECORD).is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    folders.iter().map(|folder| read(folder)).collect()
}

fn read(folder: &Path) -> Result<LoadRun, String> {
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let path = folder.join(RECORD);
    let text = read_bounded(&path, LOAD_BYTES_MAX).map_err(|error| told(&path, &error))?;
    let record = LoadRecord::from_json(text.as_bytes()).map_err(|error| told(&path, &error))?;
    let path = folder.join(session::RECORD);
    let text = read_bounded(&path, RUN_BYTES_MAX).map_err(|error| told(&path, &error))?;
    let run = Run::from_json(text.as_bytes()).map_err(|error| told(&path, &error))?;
    Ok(LoadRun { folder: folder.to_owned(), record, run })
}

/// What follows, and the words for it.
pub(super) fn judge(one: &[LoadRun], other: &[LoadRun]) -> Result<(Change, String), String> {
    let mut text = String::new();
    if let Some(why) = differs(one, other) {
        let _ = writeln!(text, "CANNOT BE COMPARED: {}", visible(&why));
        return Ok((Change::CannotBeCompared, text));
    }
    let mut compared = Vec::new();
    for stage in [Stage::Accepted, Stage::Delivered] {
        let sides = [intervals(one, stage)?, intervals(other, stage)?];
        compared.extend(compare(stage, [&sides[0], &sides[1]], floor_difference_us(one, other), SEED));
    }
    let told = compared.iter().filter(|it| it.ratio.is_some() || it.change == Change::Slower);
    let changes: Vec<Change> = told.map(|it| it.change).collect();
    let change = match changes.iter().max() {
        Some(Change::NoDifferenceShown) if changes.contains(&Change::Faster) => Change::Faster,
        Some(worst) => *worst,
        None => Change::CannotBeCompared,
    };
    let side = |runs: &[LoadRun]| {
        let target = runs.first().map(|run| visible(&run.record.target)).unwrap_or_default();
        format!("{target} ({} run{})", runs.len(), if runs.len() == 1 { "" } else { "s" })
    };
    let _ = writeln!(text, "{}: {} against {}", change.words().to_uppercase(), side(other), side(one));
    for it in &compared {
        let _ = writeln!(text, "{}", line(it));
    }
    for (name, runs) in [("first", one), ("second", other)] {
        let missing: u64 = runs.iter().map(|run| run.record.totals.missing).sum();
        if missing > 0 {
            let _ = writeln!(
                text,
                "  {missing} deliveries are missing on the {name} side: a fast server that loses is not fast"
            );
        }
    }
    Ok((change, text))
}

fn line(it: &Compared) -> String {
    let show = |us: Option<u64>| us.map_or_else(|| "never".to_owned(), show_us);
    let name = format!("{} {}", it.stage.name(), name_of_percentile(it.percentile_milli));
    let values = format!("  {name:<16}{:>11} → {:<11}", show(it.us[0]), show(it.us[1]));
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    let ratio = it.ratio.map_or_else(String::new, |(ratio, low, high)| {
        format!("{:+.1} % (99 %: {:+.1} to {:+.1} %)  ", percent(ratio), percent(low), percent(high))
    });
    let why = if it.why.is_empty() { String::new() } else { format!(": {}", it.why) };
    format!("{values}{ratio}{}{why}", it.change.words())
}

/// What makes a comparison meaningless. The target may be another one: that is what is compared.
fn differs(one: &[LoadRun], other: &[LoadRun]) -> Option<String> {
    let all = || one.iter().chain(other);
    let Some(first) = all().next() else { return Some("there are no load tests".to_owned()) };
    if one.is_empty() || other.is_empty() {
        return Some("one side has no load tests".to_owned());
    }
    for run in all() {
        let name = run.folder.display();
        if !run.record.generator.kept_schedule {
            return Some(format!("{name}: {}", run.record.generator.words));
        }
        let (mine, theirs) = (&run.record, &first.record);
        let aspects = [
            ("arrivals", &mine.arrival.words, &theirs.arrival.words),
            ("payload", &mine.payload.words, &theirs.payload.words),
            ("conversations", &mine.shape.words, &theirs.shape.words),
        ];
        let faults =
            |record: &LoadRecord| record.faults.iter().map(|it| it.words.clone()).collect::<Vec<_>>();
        if let Some((what, here, there)) = aspects.into_iter().find(|(_, here, there)| here != there) {
            return Some(format!(
                "the set-ups differ: {what} are {here} in {name} and {there} in {}",
                first.folder.display()
            ));
        }
        if faults(mine) != faults(theirs) {
            return Some(format!(
                "the set-ups differ: {name} and {} have other faults",
                first.folder.display()
            ));
        }
        let environment = |run: &Run| ["kernel", "processors"].map(|key| run.environment.get(key).cloned());
        if environment(&run.run) != environment(&first.run) {
            return Some(format!("{name} and {} were run on different machines", first.folder.display()));
        }
    }
    None
}

/// By how much the machine itself differed between the sides, as the loopback shows it.
fn floor_difference_us(one: &[LoadRun], other: &[LoadRun]) -> u64 {
    let median = |runs: &[LoadRun]| {
        let floor = |run: &LoadRun| run.record.noise_floor.and_then(|floor| floor.ping_pong.p50_us);
        let mut floors: Vec<u64> = runs.iter().filter_map(floor).collect();
        floors.sort_unstable();
        floors.get(floors.len() / 2).copied().unwrap_or(0)
    };
    median(one).abs_diff(median(other))
}

fn intervals(runs: &[LoadRun], stage: Stage) -> Result<Vec<RunIntervals>, String> {
    runs.iter().map(|run| of_run(run, stage)).collect()
}

fn of_run(run: &LoadRun, stage: Stage) -> Result<RunIntervals, String> {
    let path = run.folder.join("latency.hlog");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(&path).map_err(|error| told(&error))?;
    let mut intervals: Vec<(u64, Sparse)> = Vec::new();
    for interval in IntervalReader::new(BufReader::new(file)) {
        let interval = interval.map_err(|error| told(&error))?;
        let Some(series) = Series::from_tag(&interval.tag) else { continue };
        if series.stage != stage || series.from != From::Intended {
            continue;
        }
        // Second by second, however fine the log is: two runs of different length are compared alike.
        let second = interval.from_ns / INTERVAL_NS;
        match intervals.last_mut() {
            Some((last, counts)) if *last == second => counts.merge(&interval.counts),
            _ => intervals.push((second, interval.counts)),
        }
    }
    let row = run.record.latency.iter().find(|row| row.stage == stage && row.from == From::Intended);
    let settled = intervals.into_iter().map(|(_, mut counts)| {
        counts.settle();
        counts
    });
    Ok(RunIntervals { intervals: settled.collect(), never: row.map_or(0, |row| row.never) })
}
