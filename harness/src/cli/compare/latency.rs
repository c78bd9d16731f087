//! Reads load tests of two sides, and lays them side by side.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use avouch_reports::compare::{
    Change, Comparison, IntervalCounts, RunIntervals, Side, SideRun, compare, overlay,
};
use avouch_reports::latency::{From, INTERVAL_NS, IntervalReader, Series, Sparse, Stage};
use avouch_reports::load::{LOAD_BYTES_MAX, LoadRecord};
use avouch_reports::run::{RUN_BYTES_MAX, Run};

use crate::load::RECORD;
use crate::perform::read_bounded;
use crate::session;

/// What the bootstrap draws from: the same folders give the same answer.
const SEED: u64 = 1;
/// What is compared: receipts are the client's work as much as the server's.
const STAGES: [Stage; 2] = [Stage::Accepted, Stage::Delivered];

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
    let told = |error: std::io::Error| {
        format!(
            "{}: {error}\nhint: two run folders of `avouch load`, or two folders with run folders in them, are compared",
            folder.display()
        )
    };
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

/// What follows, and what can be drawn. Where the sides cannot be held against each other, they are drawn all the same.
pub(super) fn judge(sides: [(&PathBuf, Vec<LoadRun>); 2]) -> Result<Comparison, String> {
    let intervals = [by_stage(&sides[0].1)?, by_stage(&sides[1].1)?];
    let floor_us = floor_difference_us(&sides[0].1, &sides[1].1);
    let sides = sides.map(|(name, runs)| side(name, runs));
    let obstacle = Comparison::obstacle_of(&sides);
    let (mut compared, mut overlays) = (Vec::new(), Vec::new());
    for (place, stage) in STAGES.into_iter().enumerate() {
        let of = [&intervals[0][place][..], &intervals[1][place][..]];
        if obstacle.is_none() {
            compared.extend(compare(stage, of, floor_us, SEED));
        }
        overlays.extend(overlay(stage, of, SEED));
    }
    let change = match obstacle {
        Some(_) => Change::CannotBeCompared,
        None => Comparison::change_of(&compared),
    };
    Ok(Comparison { change, obstacle, sides, compared, overlays })
}

fn side(name: &Path, runs: Vec<LoadRun>) -> Side {
    let of_run = |run: LoadRun| SideRun {
        folder: run.folder.display().to_string(),
        machine: ["kernel", "processors"].map(|key| run.run.environment.get(key).cloned()),
        record: run.record,
    };
    Side { name: name.display().to_string(), runs: runs.into_iter().map(of_run).collect() }
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

/// The latencies of all runs of a side, by [`STAGES`].
fn by_stage(runs: &[LoadRun]) -> Result<[Vec<RunIntervals>; STAGES.len()], String> {
    let mut sides = [const { Vec::new() }; STAGES.len()];
    for run in runs {
        for (side, intervals) in sides.iter_mut().zip(of_run(run)?) {
            side.push(intervals);
        }
    }
    Ok(sides)
}

fn of_run(run: &LoadRun) -> Result<[RunIntervals; STAGES.len()], String> {
    let path = run.folder.join("latency.hlog");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(&path).map_err(|error| told(&error))?;
    let mut stages: [Vec<(u64, Sparse)>; STAGES.len()] = [const { Vec::new() }; STAGES.len()];
    for interval in IntervalReader::new(BufReader::new(file)) {
        let interval = interval.map_err(|error| told(&error))?;
        let series = Series::from_tag(&interval.tag).filter(|series| series.from == From::Intended);
        let Some(place) = series.and_then(|series| STAGES.iter().position(|it| *it == series.stage)) else {
            continue;
        };
        // Second by second, however fine the log is: two runs of different length are compared alike.
        let second_ns = interval.from_ns / INTERVAL_NS * INTERVAL_NS;
        match stages[place].last_mut() {
            Some((from_ns, counts)) if *from_ns == second_ns => counts.merge(&interval.counts),
            _ => stages[place].push((second_ns, interval.counts)),
        }
    }
    let since = |from_ns: u64| from_ns.saturating_sub(run.record.begun_ns);
    let settled = |(from_ns, mut counts): (u64, Sparse)| {
        counts.settle();
        IntervalCounts { from_ns: since(from_ns), counts }
    };
    let mut places = STAGES.into_iter();
    Ok(stages.map(|intervals| {
        let stage = places.next();
        let is_it = |row: &&avouch_reports::load::StageLatency| {
            Some(row.stage) == stage && row.from == From::Intended
        };
        let never = run.record.latency.iter().find(is_it).map_or(0, |row| row.never);
        RunIntervals { intervals: intervals.into_iter().map(settled).collect(), never }
    }))
}
